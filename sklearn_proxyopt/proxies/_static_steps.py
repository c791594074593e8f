"""Training with steps that never look at the host: recorded once on a GPU and replayed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from sklearn_proxyopt._utils._step_graph import StepGraph
from sklearn_proxyopt.proxies._products import WaveConstants
from sklearn_proxyopt.proxies._shares import batch_sizes

__all__ = ["StaticSteps"]

# Samples held out that are judged at once, of all members together.
_ROWS_TO_JUDGE = 65_536
# Slices of a tensor that the optimizer works on side by side.
_N_SLICES = 36
# Steps that a recording may run ahead of the schedule.
_N_SPARE = 8


class StaticSteps:
    """The steps of one training, on tensors that stay where they are.

    Samples are gathered, losses added up and rates looked up on the device, each by a count that
    the step itself moves on. The host launches steps and reads the losses once an epoch.

    Parameters
    ----------
    net : ProxyNet
        Initialized, with dense networks.
    training, held_out : MemberRows
        The samples on the device of the net.
    batch_size : int
        Samples a step for each member.
    rates : sequence of float
        The learning rate of every step.
    """

    def __init__(
        self,
        net: Any,
        training: Any,
        held_out: Any,
        batch_size: int,
        rates: Sequence[float],
    ) -> None:
        self._net, self._training, self._held_out = net, training, held_out
        self._n_members, self._n_rows = net.module_.n_members, len(training)
        self._optimizer = net.optimizer_
        self._parameters = list(net.module_.parameters())
        like, device = self._parameters[0], training.index.device
        self._batch_size = min(batch_size, self._n_rows)
        # A recording goes through the step more than once, beyond the end of what there is.
        places = torch.arange(self._n_rows + _N_SPARE * self._batch_size, device=device)
        self._order = training.index.expand(self._n_members, -1)[:, places % self._n_rows]
        self._place = places.new_zeros(())
        self._step = places.new_zeros(())
        spared = [*rates, *[rates[-1]] * _N_SPARE]
        # The fused Adam of CUDA takes its rate in single precision.
        rate_type = torch.float64 if device.type == "cpu" else torch.float32
        self._rates = torch.tensor(spared, dtype=rate_type, device=device)
        self._rate = self._rates[0].clone()
        self._total = torch.zeros(self._n_members, dtype=like.dtype, device=device)
        self._judged = torch.zeros_like(self._total)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate
        *full, n_last = batch_sizes(self._n_rows, self._batch_size)
        self._n_full = len(full)
        self._places = places[: max(n_last, self._batch_size)]
        self._table: Any = training
        self._adam: _SlicedAdam | None = None
        if device.type == "cuda":
            self._table = _Table(training) if _Table.holds(training) else training
            self._adam = _SlicedAdam(self._optimizer, self._rate)
            for group in net.module_.groups:
                group.constants = WaveConstants.of(group.mask)
        recorded = partial(StepGraph, device=device, state=self._state, draws=training.generator)
        self._full = recorded(partial(self._train, self._batch_size))
        self._last = self._full
        if n_last != self._batch_size:
            self._last = recorded(partial(self._train, n_last))
        self._judge = StepGraph(self._judge_all, device) if len(held_out) else None

    @property
    def has_held_out(self) -> bool:
        """Whether there are samples to judge by."""
        return self._judge is not None

    def train(self) -> None:
        """Go once through the samples, in a new order for each member."""
        self._order[:, : self._n_rows] = self._training.shuffled(self._n_members)
        self._place.zero_()
        self._total.zero_()
        for _ in range(self._n_full):
            self._full()
        self._last()

    def judge(self) -> None:
        """Take the losses of the samples held out."""
        if self._judge is not None:
            self._judge()

    def losses(self) -> list[Tensor]:
        """Wait for the device and return the members' training and held-out losses."""
        return list(torch.stack([self._total / self._n_rows, self._judged]).cpu())

    def finish(self) -> None:
        """Leave the optimizer as one that steps by itself."""
        if self._adam is not None:
            self._adam.finish()
            for networks in self._net.module_.groups:
                networks.constants = None
        for group in self._optimizer.param_groups:
            group["lr"] = float(self._rate)
        self._optimizer.zero_grad(set_to_none=True)

    def _state(self) -> list[Tensor]:
        moments = [
            value
            for state in self._optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        if self._adam is not None:
            moments.append(self._adam.n_steps)
        counts = [self._place, self._step, self._total, self._rate]
        return [*self._parameters, *moments, *counts]

    def _train(self, n_rows: int) -> None:
        """Take one step of the optimizer on the next samples of each member."""
        which = self._order.index_select(1, self._place + self._places[:n_rows])
        self._optimizer.zero_grad(set_to_none=True)
        losses = self._net.train_step_single(self._table[which])["loss"]
        self._rate.copy_(self._rates.index_select(0, self._step[None])[0])
        if self._adam is None:
            self._optimizer.step()
        else:
            self._adam.step()
        self._total.add_(losses, alpha=n_rows)
        self._place.add_(n_rows)
        self._step.add_(1)

    def _judge_all(self) -> None:
        self._judged.zero_()
        size = max(_ROWS_TO_JUDGE // self._n_members, 1)
        for block in self._held_out.index.split(size, dim=1):
            losses = self._net.validation_step(self._held_out[block])["loss"]
            self._judged.add_(losses, alpha=block.shape[1] / len(self._held_out))


class _Table:
    """Rows, a column of ones, targets and weights side by side, found by one look-up.

    Parameters
    ----------
    rows : MemberRows
        Samples with the same targets for all members.
    """

    def __init__(self, rows: Any) -> None:
        columns = [rows.rows, torch.ones_like(rows.weight)[:, None]]
        columns += [rows.targets[0], rows.weight[:, None]]
        if sum(part.shape[1] for part in columns) * rows.rows.element_size() % 16 == 0:
            # Samples of such lengths are copied one by one, which takes longer where they are
            # short.
            columns.append(columns[1])
        n_columns, n_outputs = rows.rows.shape[1] + 1, rows.targets.shape[2]
        self._ends = (n_columns, n_columns + n_outputs, n_columns + n_outputs + 1)
        self._numbers = torch.cat(columns, dim=1)

    @staticmethod
    def holds(rows: Any) -> bool:
        """Return whether samples can be kept so: neither noise nor targets of the members' own."""
        return len(rows.targets) == 1 and not hasattr(rows, "noise")

    def __getitem__(self, which: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return (X, (y, weight)) as the rows do, X with the column of ones."""
        X, y, weight, *_ = self._numbers[which].tensor_split(self._ends, dim=2)
        return X, (y, weight[:, :, 0])


class _SlicedAdam:
    """The fused Adam on slices of large tensors, which it would pass through with few threads.

    It goes on from what the optimizer has learned of the gradients, and leaves it there.

    Parameters
    ----------
    optimizer : torch.optim.Adam
        Gives settings and state.
    rate : Tensor of shape ()
        The learning rate, on the device.
    """

    def __init__(self, optimizer: Any, rate: Tensor) -> None:
        (group,) = optimizer.param_groups
        self._group, self._rate = group, rate
        self._states = []
        n_before = 0.0
        slices: tuple[list[Tensor], ...] = ([], [], [])
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            n_before = float(state["step"])
            self._states.append(state)
            tensors = (parameter.detach(), state["exp_avg"], state["exp_avg_sq"])
            for known, tensor in zip(slices, tensors, strict=True):
                known += tensor.view(-1).tensor_split(_N_SLICES)
        self._parameters, self._means, self._squares = slices
        self.n_steps = torch.full(
            (len(self._parameters),), n_before, dtype=torch.float32, device=rate.device
        )

    def step(self) -> None:
        """Take a step along the gradients."""
        gradients = [
            part
            for parameter in self._group["params"]
            for part in parameter.grad.reshape(-1).tensor_split(_N_SLICES)
        ]
        beta1, beta2 = self._group["betas"]
        adam(
            self._parameters,
            gradients,
            self._means,
            self._squares,
            [],
            list(self.n_steps.unbind()),
            fused=True,
            capturable=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=self._rate,
            weight_decay=self._group["weight_decay"],
            eps=self._group["eps"],
            maximize=False,
        )

    def finish(self) -> None:
        """Tell the optimizer how many steps were taken."""
        for state in self._states:
            state["step"].fill_(float(self.n_steps[0]))
