"""The published training loop for many networks at once, each with rows of its own.

In batches of 8, a step of one network is next to nothing but the calls of torch. Several networks
as stacked matrices, with the passes forward and back written out, make as few calls as one does;
a step of ten then costs about that of one by autograd. What they compute is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

__all__ = ["PublishedProxy", "StackedReLU", "train_together"]


class StackedReLU:
    """ReLU networks of one shape with their gradients, as stacked matrices.

    The bias of a layer is the last row of its matrix.

    Parameters
    ----------
    widths : sequence of int
        Numbers of variables, of units in each hidden layer, and of outputs.
    relu_output : bool
        Whether the output passes a ReLU too.
    generators : sequence of torch.Generator
        One for each network; it draws the starting weights as `torch.nn.Linear` does.
    dtype : torch.dtype, default=torch.float64
        Precision of the weights.

    Attributes
    ----------
    weights, gradients : Tensor of shape (n_weights,)
        All numbers of all networks, and their gradients after `backward`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        relu_output: bool,
        generators: Sequence[torch.Generator],
        dtype: torch.dtype = torch.float64,
    ) -> None:
        n_members = len(generators)
        self.relu_output = relu_output
        shapes = [(n_members, n_in + 1, n_out) for n_in, n_out in pairwise(widths)]
        sizes = [int(np.prod(shape)) for shape in shapes]
        self.weights = torch.empty(sum(sizes), dtype=dtype)
        self.gradients = torch.zeros_like(self.weights)
        self._matrices = [
            part.view(shape) for part, shape in zip(self.weights.split(sizes), shapes, strict=True)
        ]
        self._matrix_gradients = [
            part.view(shape)
            for part, shape in zip(self.gradients.split(sizes), shapes, strict=True)
        ]
        for matrix in self._matrices:
            bound = (matrix.shape[1] - 1) ** -0.5
            for own_matrix, generator in zip(matrix, generators, strict=True):
                own_matrix.uniform_(-bound, bound, generator=generator)
        self._widths = list(widths)
        self._n_members = n_members

    def prepare(self, batch_size: int) -> None:
        """Set up what the passes over batches of a size write to."""
        shape, dtype = (self._n_members, batch_size), self.weights.dtype
        self._inputs = [torch.ones(*shape, width + 1, dtype=dtype) for width in self._widths]
        self._values = [inputs[:, :, :-1] for inputs in self._inputs]
        self._sums = [torch.empty(*shape, width, dtype=dtype) for width in self._widths]
        self._errors = [torch.empty_like(sums) for sums in self._sums]
        self._turned_inputs = [inputs.transpose(1, 2) for inputs in self._inputs]
        self._turned_matrices = [matrix[:, :-1].transpose(1, 2) for matrix in self._matrices]

    def forward(self, rows: Tensor) -> Tensor:
        """Return outputs (n_members, batch_size, 1) for rows (n_members, batch_size, n_inputs)."""
        self._values[0].copy_(rows)
        last = len(self._matrices)
        for layer, matrix in enumerate(self._matrices):
            torch.bmm(self._inputs[layer], matrix, out=self._sums[layer + 1])
            if layer + 1 < last or self.relu_output:
                torch.clamp_min(self._sums[layer + 1], 0.0, out=self._values[layer + 1])
        return self._values[last] if self.relu_output else self._sums[last]

    def backward(self, targets: Tensor, loss_scale: float) -> None:
        """Write the gradients of the mean squared errors of the last `forward`."""
        last = len(self._matrices)
        output = self._values[last] if self.relu_output else self._sums[last]
        torch.sub(output, targets, out=self._errors[last])
        self._errors[last].mul_(2.0 * loss_scale / targets.shape[1])
        if self.relu_output:
            _where_positive(self._errors[last], self._sums[last])
        for layer in reversed(range(last)):
            torch.bmm(
                self._turned_inputs[layer],
                self._errors[layer + 1],
                out=self._matrix_gradients[layer],
            )
            if layer:
                torch.bmm(
                    self._errors[layer + 1], self._turned_matrices[layer], out=self._errors[layer]
                )
                _where_positive(self._errors[layer], self._sums[layer])

    def predict(self, rows: Tensor) -> Tensor:
        """Return outputs (n_members, n) for rows (n_members, n, n_inputs)."""
        hidden = rows
        last = len(self._matrices) - 1
        for layer, matrix in enumerate(self._matrices):
            hidden = torch.baddbmm(matrix[:, -1:], hidden, matrix[:, :-1])
            if layer < last or self.relu_output:
                hidden = hidden.relu_()
        return hidden[:, :, 0]

    def layers_of(self, member: int) -> list[NDArray[np.float64]]:
        """Return the matrices of a network, biases in the last row."""
        return [matrix[member].double().numpy().copy() for matrix in self._matrices]


def _where_positive(errors: Tensor, sums: Tensor) -> None:
    """Set errors to zero where the sums are not positive, by one call."""
    torch.ops.aten.threshold_backward.grad_input(errors, sums, 0.0, grad_input=errors)


class ReLUNetwork(nn.Module):
    """One trained network as a torch module, from the user's units to the user's units.

    Parameters
    ----------
    layers : list of ndarray of shape (n_in + 1, n_out)
        Matrices with the bias in the last row.
    scale : float
        What outputs are multiplied by.
    relu_output : bool
        Whether the output passes a ReLU too.
    """

    def __init__(self, layers: list[NDArray[np.float64]], scale: float, relu_output: bool) -> None:
        super().__init__()
        for index, layer in enumerate(layers):
            self.register_buffer(f"matrix_{index}", torch.from_numpy(layer[:-1].copy()))
            self.register_buffer(f"bias_{index}", torch.from_numpy(layer[-1].copy()))
        self._n_layers = len(layers)
        self._scale = scale
        self._relu_output = relu_output

    def forward(self, x: Tensor) -> Tensor:
        """Return values (n, 1) at rows (n, n_features)."""
        for index in range(self._n_layers):
            x = torch.addmm(getattr(self, f"bias_{index}"), x, getattr(self, f"matrix_{index}"))
            if index + 1 < self._n_layers or self._relu_output:
                x = torch.relu(x)
        return self._scale * x


class PublishedProxy(RegressorMixin, BaseEstimator):
    """The network of the published study, trained as there.

    A fifth of the rows is held out, and the weights of the epoch with the lowest held-out loss
    are kept. Neither rows nor targets are scaled but by `target_scale`. Defaults are the published
    settings; `train_together` trains many at once.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(20, 50, 120, 70, 20, 10)
        Widths of the hidden layers.
    max_epochs : int, default=500
        Passes over the rows.
    batch_size : int, default=8
        Rows a step; an incomplete last batch is left out, in training and in validation.
    learning_rate : float, default=0.001
        Rate of Adam, its highest with the schedule "one-cycle".
    schedule : {"constant", "one-cycle"}, default="constant"
        How the rate changes over the steps.
    target_scale : float, default=1.0
        What targets are divided by.
    loss_scale : float, default=1.0
        What the loss is multiplied by.
    relu_output : bool, default=False
        Whether the output passes a ReLU too.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the training; afterwards all is double.
    patience : int, default=None
        End once the lowest held-out loss is so many epochs old. None goes to the last epoch.
    random_state : int, default=0
        Draws the split, the starting weights and the batches.

    Attributes
    ----------
    layers_ : list of ndarray of shape (n_in + 1, n_out)
        The matrices, biases in the last row.
    best_epoch_ : int
        The epoch whose weights were kept.
    held_out_loss_ : float
        The mean squared error there, in units of the scaled targets.
    seconds_ : float
        CPU seconds that the training took, shared among the networks trained together.
    """

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (20, 50, 120, 70, 20, 10),
        *,
        max_epochs: int = 500,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        target_scale: float = 1.0,
        loss_scale: float = 1.0,
        relu_output: bool = False,
        dtype: str = "float64",
        patience: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.target_scale = target_scale
        self.loss_scale = loss_scale
        self.relu_output = relu_output
        self.dtype = dtype
        self.patience = patience
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the network alone."""
        train_together([self], [(X, y)])
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict values of shape (n,) at rows."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        with torch.no_grad():
            return self.torch_module()(torch.tensor(X))[:, 0].numpy()

    def torch_module(self) -> ReLUNetwork:
        """Return the network as one differentiable module that maps (n, d) to (n, 1)."""
        check_is_fitted(self)
        return ReLUNetwork(self.layers_, self.target_scale, self.relu_output)


def train_together(
    proxies: Sequence[PublishedProxy],
    data: Sequence[tuple[ArrayLike, ArrayLike]],
    on_epoch: Callable[[int], Any] | None = None,
) -> None:
    """Fit proxies that differ in `random_state` alone, each to rows of its own, as one stack.

    Parameters
    ----------
    proxies : sequence of PublishedProxy
        The proxies, which become fitted.
    data : sequence of (X, y)
        As many rows for each.
    on_epoch : callable, default=None
        Called with the number of each epoch that is done.
    """
    start = time.process_time()
    first = proxies[0]
    # Generators of its own make a network the same whatever others it is trained with.
    generators = [torch.Generator().manual_seed(proxy.random_state) for proxy in proxies]
    X, y = _stacked_rows(proxies, data, generators)
    n_rows, size = X.shape[1], first.batch_size
    n_training = int(0.8 * n_rows)
    X_held_out, y_held_out = (
        part[:, n_training : n_rows - (n_rows - n_training) % size] for part in (X, y)
    )
    every = torch.arange(len(proxies))[:, None]

    networks = StackedReLU(
        [X.shape[2], *first.hidden_layer_sizes, 1], first.relu_output, generators, X.dtype
    )
    networks.prepare(size)
    n_batches = n_training // size
    rates = _rates(first, n_batches)
    adam = _Adam(networks)
    lowest = np.full(len(proxies), np.inf)
    best_epoch = np.zeros(len(proxies), dtype=int)
    layers: list[list[NDArray[np.float64]]] = [[] for _ in proxies]
    for epoch in range(1, first.max_epochs + 1):
        order = torch.stack([torch.randperm(n_training, generator=own) for own in generators])
        order = order[:, : n_batches * size]
        batches, targets = (
            part[every, order].view(len(proxies), n_batches, size, -1).transpose(0, 1).contiguous()
            for part in (X, y)
        )
        for rows, values in zip(batches, targets, strict=True):
            networks.forward(rows)
            networks.backward(values, first.loss_scale)
            adam.move(next(rates))
        losses = ((networks.predict(X_held_out) - y_held_out[:, :, 0]) ** 2).mean(dim=1).numpy()
        for member in np.flatnonzero(losses < lowest):
            lowest[member], best_epoch[member] = losses[member], epoch
            layers[member] = networks.layers_of(int(member))
        if on_epoch is not None:
            on_epoch(epoch)
        if first.patience is not None and epoch - best_epoch.max() >= first.patience:
            break
    seconds = (time.process_time() - start) / len(proxies)
    for member, proxy in enumerate(proxies):
        proxy.layers_ = layers[member]
        proxy.best_epoch_ = int(best_epoch[member])
        proxy.held_out_loss_ = float(lowest[member])
        proxy.seconds_ = seconds


def _stacked_rows(
    proxies: Sequence[PublishedProxy],
    data: Sequence[tuple[ArrayLike, ArrayLike]],
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """Return rows (n_members, n, d) and scaled targets (n_members, n, 1), each in random order."""
    checked = [
        validate_data(proxy, X, y, dtype=np.float64, y_numeric=True)
        for proxy, (X, y) in zip(proxies, data, strict=True)
    ]
    dtype = getattr(torch, proxies[0].dtype)
    X = torch.tensor(np.stack([rows for rows, _ in checked]), dtype=dtype)
    y = torch.tensor(np.stack([values for _, values in checked]), dtype=dtype)
    order = torch.stack([torch.randperm(X.shape[1], generator=own) for own in generators])
    every = torch.arange(len(proxies))[:, None]
    return X[every, order], y[every, order][:, :, None] / proxies[0].target_scale


class _Adam:
    """Adam for all numbers of a stack, as one call of torch.

    Parameters
    ----------
    networks : StackedReLU
        The stack.
    """

    def __init__(self, networks: StackedReLU) -> None:
        self._networks = networks
        self._moments = [torch.zeros_like(networks.weights) for _ in range(2)]
        self._step = torch.tensor(1.0)

    def move(self, rate: float) -> None:
        """Make one step along the gradients that the stack holds."""
        torch._fused_adam_(
            [self._networks.weights],
            [self._networks.gradients],
            self._moments[:1],
            self._moments[1:],
            [],
            [self._step],
            lr=rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )
        self._step += 1


def _rates(proxy: PublishedProxy, n_batches: int) -> Any:
    """Yield the learning rate of each step."""
    n_steps = proxy.max_epochs * n_batches
    if proxy.schedule == "constant":
        yield from [proxy.learning_rate] * n_steps
        return
    # Up over the first three tenths, down to nothing over the rest, along cosines.
    rise = 0.3 * n_steps
    for step in range(n_steps):
        if step < rise:
            share = 0.04 + 0.96 * (1 - np.cos(np.pi * step / rise)) / 2
        else:
            share = (1 + np.cos(np.pi * (step - rise) / (n_steps - rise))) / 2
        yield proxy.learning_rate * share
