"""Batched BFGS whose moves never ask the host: every problem is computed, masks say what counts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sklearn_proxyopt._utils._step_graph import StepGraph
from sklearn_proxyopt.optimizers._bfgs_batch import RUNNING, Batch
from sklearn_proxyopt.optimizers._curvature import DenseCurvature
from sklearn_proxyopt.optimizers._wolfe_search import WolfeSearch

__all__ = ["StaticBatch"]


class StaticBatch(Batch):
    """The steps of `Batch` on tensors that stay where they are.

    Problems that have ended are evaluated on: a launch is what costs time, not what it computes.
    The parameters are those of `Batch`; `fun` must take the same course whatever it computes.
    """

    _curvature: DenseCurvature

    def __init__(self, *settings: Any) -> None:
        self._move: StepGraph | None = None
        super().__init__(*settings)
        self._buffers = [tensor.clone() for tensor in self._state()]
        self._keep()
        self._move = StepGraph(self._advance, self._x.device, lambda: self._buffers)

    @property
    def is_running(self) -> bool:
        """Whether any problem runs."""
        return bool((self._status == RUNNING).any())

    def stop(self, status: Tensor) -> None:
        """End the running problems whose status is no longer that of running."""
        self._status.copy_(torch.where(self._status == RUNNING, status, self._status))

    def advance(self) -> None:
        """Evaluate one trial of each problem and let those that run go on from there."""
        assert self._move is not None
        self._move()

    def _state(self) -> list[Tensor]:
        own = [self._x, self._f, self._g, self._nit, self._nfev, self._status, self._direction]
        return [*own, self._curvature.inverse_hessian, *vars(self._search).values()]

    def _keep(self) -> None:
        """Put the numbers of the state where they stay, and go on from there."""
        for buffer, tensor in zip(self._buffers, self._state(), strict=True):
            if buffer is not tensor:
                buffer.copy_(tensor)
        names = ("_x", "_f", "_g", "_nit", "_nfev", "_status", "_direction")
        vars(self).update(zip(names, self._buffers, strict=False))
        rest = self._buffers[len(names) :]
        self._curvature.inverse_hessian = rest[0]
        vars(self._search).update(zip(vars(self._search), rest[1:], strict=True))

    def _advance(self) -> None:
        search, running = self._search, self._status == RUNNING
        moved = search.step[:, None] * self._direction
        trial = self._x + moved
        f, g = self._evaluate(trial)
        least, f_before, g_before = search.least, self._f, self._g
        found, failed = search.advance(f, (g * self._direction).sum(dim=1))

        taken = running & found
        self._nit = self._nit + taken
        self._nfev = self._nfev + running
        converged = g.abs().amax(dim=1) <= self._tolerance
        converged |= (least > 0) & (f_before - f <= least)
        still = moved.norm(dim=1) == 0
        spent = self._nit >= self._max_iterations
        ended = torch.where(converged, 0, torch.where(still, 2, torch.where(spent, 1, RUNNING)))
        ended = torch.where(found, ended, RUNNING)
        ended = torch.where(failed, torch.where(search.is_futile, 0, 2), ended)
        self._status = torch.where(running, ended, self._status)
        self._x = torch.where(taken[:, None], trial, self._x)
        self._f = torch.where(taken, f, f_before)
        self._g = torch.where(taken[:, None], g, g_before)
        self._turn_where(taken, moved, g - g_before, f_before)
        self._keep()

    def _turn_where(self, taken: Tensor, moved: Tensor, change: Tensor, f_before: Tensor) -> None:
        """Learn the curvature and begin the next line search of the problems that took a step."""
        f, g = self._f, self._g
        learned = self._curvature.updated(self._curvature.inverse_hessian, moved, change)
        direction = -torch.einsum("nij,nj->ni", learned, g)
        uphill = ~((direction * g).sum(dim=1) < 0)
        identity = torch.eye(g.shape[1], dtype=g.dtype, device=g.device)
        learned = torch.where(uphill[:, None, None], identity, learned)
        direction = torch.where(uphill[:, None], -g, direction)
        slope = (direction * g).sum(dim=1)
        step = (2.02 * (f - f_before) / slope).clamp_max(1.0)
        step = torch.where(step > 0, step, 1.0)
        fresh = vars(WolfeSearch(f, slope, step, self._value_tolerance))
        for name, value in fresh.items():
            kept = getattr(self._search, name)
            setattr(self._search, name, torch.where(taken, value, kept))
        self._direction = torch.where(taken[:, None], direction, self._direction)
        self._curvature.inverse_hessian = torch.where(
            taken[:, None, None], learned, self._curvature.inverse_hessian
        )
