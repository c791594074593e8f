"""The contract of forward models: predictions from unknowns and conditions, random problems."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_proxyopt._utils._validation import as_generator, check_integer

__all__ = ["ForwardModel"]


class ForwardModel(ABC):
    """A simulator whose parameters are to be found from what it produces.

    It is called on a batch of independent problems at once and is differentiable with respect to
    the unknowns. A subclass sets the attributes below and implements `_simulate` and `_draw`.

    Attributes
    ----------
    bounds : ndarray of shape (n_unknowns, 2)
        The box that unknowns are drawn from.
    start : ndarray of shape (n_unknowns,)
        The best guess without a measurement, where a local search begins.
    hard_bounds : bool
        Whether unknowns outside the bounds are meaningless, rather than only unlikely.
    observation_shape : tuple of int
        Shape of what is measured on one problem.
    condition_shape : tuple of int
        Shape of what is known beforehand about one problem; empty where nothing is.
    """

    bounds: NDArray[np.float64]
    start: NDArray[np.float64]
    hard_bounds: bool = True
    observation_shape: tuple[int, ...]
    condition_shape: tuple[int, ...] = ()
    # Whether a simulation takes the same course whatever it computes, so that a GPU may record it.
    is_static: bool = False

    @abstractmethod
    def _simulate(self, unknowns: Tensor, conditions: Tensor) -> Tensor:
        """Return predictions; both they and the conditions come in their shapes."""

    @abstractmethod
    def _draw(self, n_problems: int, rng: np.random.Generator) -> tuple[Any, Any, Any]:
        """Return observations, conditions (None where there are none) and true unknowns."""

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns of one problem."""
        return len(self.bounds)

    @property
    def n_observed(self) -> int:
        """Number of values measured on one problem."""
        return int(np.prod(self.observation_shape))

    @property
    def n_conditions(self) -> int:
        """Number of values known beforehand about one problem."""
        return int(np.prod(self.condition_shape)) if self.condition_shape else 0

    def __call__(self, unknowns: Tensor, conditions: Tensor | None = None) -> Tensor:
        """Simulate a batch of problems.

        Parameters
        ----------
        unknowns : torch.Tensor of shape (n, n_unknowns)
            Parameters, of floating point type.
        conditions : torch.Tensor of shape (n, n_conditions), default=None
            What is known about each problem; None for a model without conditions.

        Returns
        -------
        torch.Tensor of shape (n, ...)
            What would be measured, differentiable with respect to both.
        """
        if unknowns.ndim != 2 or unknowns.shape[1] != self.n_unknowns:
            raise ValueError(
                f"unknowns must have shape (n, {self.n_unknowns}); got {tuple(unknowns.shape)}."
            )
        if conditions is None:
            conditions = unknowns.new_empty(len(unknowns), 0)
        if conditions.shape != (len(unknowns), self.n_conditions):
            raise ValueError(
                f"conditions must have shape ({len(unknowns)}, {self.n_conditions}); "
                f"got {tuple(conditions.shape)}."
            )
        if self.condition_shape:
            conditions = conditions.reshape(len(unknowns), *self.condition_shape)
        return self._simulate(unknowns, conditions)

    def sample(
        self, n_problems: int, random_state: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw problems together with their solutions.

        Parameters
        ----------
        n_problems : int
            Number of problems.
        random_state : None, int, RandomState or Generator, default=None
            Draws them.

        Returns
        -------
        X : ndarray of shape (n_problems, n_observed + n_conditions)
            One problem a row: the flattened observation, then the flattened conditions.
        unknowns : ndarray of shape (n_problems, n_unknowns)
            The parameters that produced them.
        """
        n_problems = check_integer(n_problems, "n_problems")
        rng = as_generator(random_state)
        observed, conditions, unknowns = self._draw(n_problems, rng)
        parts = [observed] if conditions is None else [observed, conditions]
        rows = [np.asarray(part, dtype=np.float64).reshape(n_problems, -1) for part in parts]
        return np.hstack(rows), np.asarray(unknowns, dtype=np.float64)

    def draw_pairs(
        self, n_problems: int, random_state: Any = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw problems with solutions for a network to learn from, without knowing good ones.

        Parameters
        ----------
        n_problems : int
            Number of problems.
        random_state : None, int, RandomState or Generator, default=None
            Draws them.

        Returns
        -------
        X : ndarray of shape (n_problems, n_observed + n_conditions)
            As from `sample`, which also draws them unless a model can do so only from its answers.
        unknowns : ndarray of shape (n_problems, n_unknowns)
            The parameters that produced them.
        """
        return self.sample(n_problems, random_state)

    def _draw_unknowns(self, n_problems: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw unknowns uniformly from the box."""
        lower, upper = self.bounds.T
        return rng.uniform(lower, upper, (n_problems, self.n_unknowns))

    def _predict(
        self, unknowns: NDArray[np.float64], conditions: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Simulate arrays without a gradient."""
        with torch.no_grad():
            rows = None if conditions is None else conditions.reshape(len(unknowns), -1)
            known = None if rows is None else torch.from_numpy(rows)
            return self(torch.from_numpy(unknowns), known).numpy()
