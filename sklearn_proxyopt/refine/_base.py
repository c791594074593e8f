"""What a refiner owes: better points of the objective than those that the proxy suggests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import LinearConstraint, OptimizeResult

from sklearn_proxyopt._strategies import Batches
from sklearn_proxyopt._utils._box import BoxEstimator

__all__ = ["BaseRefiner", "EarlySearch"]


class EarlySearch(Protocol):
    """A search of the objective that begins before the proxy learns, and goes on after it has."""

    @property
    def n_left(self) -> int:
        """How many of the evaluations allowed are left."""

    def note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take evaluated samples into account, NaN for those that failed."""

    def expect(self, X: NDArray[np.float64], points: NDArray[np.float64]) -> None:
        """Take samples for pending, found at these points: NaN is no result of theirs."""

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take the results of samples that were pending; others are passed over."""

    def withdraw(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Forget samples whose results will never come; tell which of them were pending."""

    def allow(self, n_evaluations: int) -> None:
        """Allow this many more evaluations in all."""

    def explore(self, n_evaluations: int | None = None) -> Batches:
        """Yield samples to evaluate until so many were, or nothing is left that is worth it."""

    def refine_from(self, candidates: NDArray[np.float64]) -> Batches:
        """Yield candidates, then further samples; return what was found, as `refine` does."""

    def result(self) -> OptimizeResult:
        """Return what was found, as `refine` does."""

    def left_undone(self, spread: float, shown: Callable[[float], float]) -> str:
        """Return in a sentence what more evaluations could gain, "" if unknown.

        `spread` is that of the values: small shares of it are not worth mentioning. `shown` takes a
        value and returns it as the user knows it.
        """


class BaseRefiner(BoxEstimator, ABC):
    """Base of all refiners.

    A subclass implements `refine`, and states by attributes of its class, or properties, what it
    supports.

    Attributes
    ----------
    max_evaluations : int or None
        Most evaluations of the objective; None for what a budget leaves.
    handles_variables : bool
        Whether `refine` takes the further argument `variables`, and asks for valid samples itself.
        Another refiner sees a plain box, every point of which stands for the nearest valid sample.
    handles_constraints : bool
        Whether the function may return constraints beside its value.
    begins_before_proxy : bool
        Whether a run with a budget may begin the search before the proxy learns, by `begin`.
    """

    max_evaluations: int | None
    handles_variables: ClassVar[bool] = False
    begins_before_proxy: ClassVar[bool] = False

    @property
    def handles_constraints(self) -> bool:
        """Whether the function may return constraints beside its value."""
        return True

    @abstractmethod
    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""

    @abstractmethod
    def refine(
        self,
        fun: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        candidates: ArrayLike,
        bounds: ArrayLike | None = None,
        *,
        incumbent: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> OptimizeResult:
        """Search the objective from candidates; `x` and `fun` are the best known.

        Parameters
        ----------
        fun : callable
            The objective, (n, n_features) to (n,), or to (n, 1 + n_constraints) with constraints
            that hold where they are at most 0; NaN where an evaluation fails.
        candidates : array-like of shape (n, n_features)
            Points to evaluate first, the best predicted first.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box. None takes the one read by `fit`.
        incumbent : tuple of array-like of shape (n_features,) and float, default=None
            The best sample inside the box known so far and its value, or value and constraints.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x`, `fun`, `nfev`, `nit`, `success`, `message`, and `constraints` where there are any.
        """

    def begin(
        self,
        bounds: ArrayLike | None = None,
        rows_of: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
        is_category: NDArray[np.bool_] | None = None,
        moved_to: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
        | None = None,
        limits: LinearConstraint | None = None,
    ) -> EarlySearch:
        """Begin a search that can be told of samples, where `begins_before_proxy` says so.

        Parameters
        ----------
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box. None takes the one read by `fit`.
        rows_of : callable, default=None
            Takes points of the box and returns the sample that each stands for, NaN where there is
            none. None lets every point be a sample.
        is_category : ndarray of bool of shape (n_features,), default=None
            The axes whose points, rounded, are codes without an order.
        moved_to : callable, default=None
            Takes points of the box and the samples that they stand for, and returns where on the
            box these lie. None leaves points where they are.
        limits : scipy.optimize.LinearConstraint, default=None
            Linear constraints on points of the box: beyond them lies no sample near the point.
            None knows of none.

        Returns
        -------
        EarlySearch
            The search, which has evaluated nothing yet.
        """
        raise TypeError(f"{type(self).__name__} begins no search before the proxy learns.")
