"""The contract of problems: a vectorized function with its box and its known optima."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import special_ortho_group

from sklearn_proxyopt._utils._validation import as_generator, check_integer

__all__ = ["Problem", "RotatedProblem", "read_only"]


class Problem(ABC):
    """A function to minimize whose optimum is known.

    A subclass sets the class attributes `half_width` and `optimum`, and `middle` if the bounds are
    not centered at zero, the same on every axis. It implements `_evaluate(X, xp)`, written for
    NumPy and torch at once. A problem does not change: an attribute is set once.

    Parameters
    ----------
    n_dims : int, default=2
        Number of variables.

    Attributes
    ----------
    bounds : ndarray of shape (n_dims, 2)
        The search space.
    x_opt : ndarray of shape (n_optima, n_dims)
        The global minima.
    f_opt : float
        The value there.
    """

    half_width: float
    middle: float = 0.0
    optimum: float
    bounds: NDArray[np.float64]
    x_opt: NDArray[np.float64]
    f_opt: float = 0.0

    def __init__(self, n_dims: int = 2) -> None:
        self.n_dims = check_integer(n_dims, "n_dims")
        sides = [self.middle - self.half_width, self.middle + self.half_width]
        self.bounds = read_only(np.tile(sides, (self.n_dims, 1)))
        self.x_opt = read_only(np.full((1, self.n_dims), self.optimum))

    @abstractmethod
    def _evaluate(self, X: Any, xp: Any) -> Any:
        """Return the values of rows, by the functions of `xp`, which is numpy or torch."""

    def __call__(self, X: Any) -> Any:
        """Evaluate rows.

        Parameters
        ----------
        X : array-like or torch.Tensor of shape (n, n_dims) or (n_dims,)
            Rows, or one.

        Returns
        -------
        ndarray or torch.Tensor of shape (n,) or ()
            Their values; for a tensor a tensor of the same type and device, differentiable.
        """
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(X, torch.Tensor):
            xp: Any = torch
            if not X.is_floating_point():
                raise ValueError(f"X must be a tensor of floating point type; got {X.dtype}.")
        else:
            xp = np
            try:
                X = np.asarray(X, dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(
                    f"X must be numbers of shape (n, {self.n_dims}) for {self!r}; got {X!r}."
                ) from None
        if X.ndim not in (1, 2) or X.shape[-1] != self.n_dims:
            raise ValueError(
                f"X must have shape (n, {self.n_dims}) or ({self.n_dims},) for {self!r}; "
                f"got {tuple(X.shape)}."
            )
        return self._evaluate(X, xp) if X.ndim == 2 else self._evaluate(X[None], xp)[0]

    def rotated_and_shifted(self, random_state: Any = 0) -> RotatedProblem:
        """Return the same landscape turned and with its optimum elsewhere.

        Parameters
        ----------
        random_state : int, RandomState or Generator, default=0
            Draws the rotation and the place of the optimum.

        Returns
        -------
        RotatedProblem
            The new problem, in the same box if it has two variables or more.
        """
        return RotatedProblem(self, random_state)

    def _key(self) -> tuple[Any, ...]:
        return (type(self), self.n_dims)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            raise AttributeError(f"{name} of {self!r} cannot be changed; make a new problem.")
        super().__setattr__(name, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Copies and unpickled arrays come back writeable.
        for value in state.values():
            if isinstance(value, np.ndarray):
                read_only(value)
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_dims={self.n_dims})"


class RotatedProblem(Problem):
    """A problem turned by a random rotation, with its optimum moved to a random place.

    The value at x is that of the original at R (x - x_new) + x_old. In two variables or more the
    box stays, and the new optimum lies within its central 60 %; the original is then also
    evaluated outside its own box, so it must have its global minimum there too. In one variable,
    where nothing can turn, the landscape is mirrored and the box moves with it.

    Parameters
    ----------
    problem : Problem
        The original, with one optimum.
    random_state : int, RandomState or Generator, default=0
        Draws the rotation and the place of the optimum.

    Attributes
    ----------
    bounds : ndarray of shape (n_dims, 2)
        The search space.
    x_opt : ndarray of shape (1, n_dims)
        The global minimum.
    f_opt : float
        The value there.
    rotation : ndarray of shape (n_dims, n_dims)
        The matrix R.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Ackley
    >>> problem = Ackley(n_dims=3).rotated_and_shifted(random_state=1)
    >>> bool(abs(problem(problem.x_opt)[0]) < 1e-12)
    True
    """

    def __init__(self, problem: Problem, random_state: Any = 0) -> None:
        self.problem = problem
        self.random_state = random_state
        self.n_dims = problem.n_dims
        self.f_opt = problem.f_opt
        rng = as_generator(random_state)
        lower, upper = problem.bounds.T
        place = (lower + upper) / 2 + 0.3 * (upper - lower) * rng.uniform(-1, 1, self.n_dims)
        self.x_opt = read_only(place[None])
        if self.n_dims == 1:
            self.rotation = read_only(np.array([[-1.0]]))
            mirrored = place + problem.x_opt[0] - problem.bounds[0, ::-1]
            self.bounds = read_only(mirrored[None])
        else:
            rotation = special_ortho_group.rvs(self.n_dims, random_state=rng)
            self.rotation = read_only(rotation)
            self.bounds = problem.bounds

    def _evaluate(self, X: Any, xp: Any) -> Any:
        rotation, place, origin = self.rotation, self.x_opt, self.problem.x_opt
        if xp is not np:
            rotation, place, origin = (
                xp.tensor(array, dtype=X.dtype, device=X.device)
                for array in (rotation, place, origin)
            )
        return self.problem._evaluate((X - place) @ rotation.T + origin, xp)

    def _key(self) -> tuple[Any, ...]:
        return (type(self), self.problem, self.x_opt.tobytes(), self.rotation.tobytes())

    def __repr__(self) -> str:
        return f"{self.problem!r}.rotated_and_shifted(random_state={self.random_state!r})"


def read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the array itself, which can no longer be written to."""
    array.setflags(write=False)
    return array
