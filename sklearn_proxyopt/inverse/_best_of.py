"""The better of several answers to each problem."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._utils._fitted import take_over
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import check_rows
from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._diagnosis import InverseDiagnosis
from sklearn_proxyopt.inverse._direct import DirectInverse
from sklearn_proxyopt.inverse._reparameterized import ReparameterizedInverse
from sklearn_proxyopt.inverse._saving import read_solvers, write_solvers

__all__ = ["BestOfInverse"]


class BestOfInverse(BaseEstimator):
    """Solve inverse problems by several solvers and keep the best answer to each.

    A problem that a joint training cannot fit has a high loss; a search on that problem alone may
    solve it.

    Parameters
    ----------
    solvers : sequence of inverse solvers, default=None
        Solvers of the same problem. None takes `DirectInverse` and `ReparameterizedInverse`.

    Attributes
    ----------
    solvers_ : list of inverse solvers
        The fitted solvers.
    winners_ : ndarray of shape (n_problems,)
        Which of them has the lowest loss of each problem of `fit`.
    solutions_ : ndarray of shape (n_problems, n_unknowns)
        The unknowns found for the rows of `fit`.
    loss_ : ndarray of shape (n_problems,)
        Their losses.
    failed_ : ndarray of shape (n_problems,)
        True for a problem without a finite loss, whose solution is NaN.
    converged_ : ndarray of shape (n_problems,)
        True where the search of the winner ended by its tolerances.
    reduced_chi2_ : ndarray of shape (n_problems,)
        Squared misfits in units of the noise over degrees of freedom, about 1 for a good fit; only
        where the noise is known and no `loss` is given.
    n_forward_calls_ : int
        Simulations of one problem that all solvers together have used.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `X` had any.

    Examples
    --------
    >>> from sklearn_proxyopt.inverse import BestOfInverse, DirectInverse, InverseProblem
    >>> from sklearn_proxyopt.inverse import SupervisedInverse
    >>> from sklearn_proxyopt.problems.physics import BilliardShot
    >>> shot = InverseProblem(BilliardShot())
    >>> X, unknowns = BilliardShot().sample(20, random_state=0)
    >>> both = BestOfInverse([DirectInverse(shot), SupervisedInverse(shot, random_state=0)])
    >>> bool((both.fit(X).loss_ <= both.solvers_[0].loss_).all())
    True
    """

    def __init__(self, solvers: Sequence[BaseInverse] | None = None) -> None:
        self.solvers = solvers

    def fit(self, X: ArrayLike, y: Any = None, *, noise_std: ArrayLike | None = None) -> Self:
        """Solve one inverse problem a row by each solver.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations, flattened, NaN where nothing was measured, followed by the conditions.
        y : None
            Ignored; here by convention.
        noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
            Standard deviations of the errors of each problem, or of each of its points. None takes
            those of the problem.

        Returns
        -------
        self
            The solver with its answers in `solutions_`.
        """
        check_rows(self, X)
        self._take([clone(solver).fit(X, noise_std=noise_std) for solver in self._chosen()])
        return self

    def predict(self, X: ArrayLike, *, noise_std: ArrayLike | None = None) -> NDArray[np.float64]:
        """Solve further problems by each solver and keep the best answers.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations and conditions, as in `fit`.
        noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
            Standard deviations of the errors, as in `fit`.

        Returns
        -------
        ndarray of shape (n_problems, n_unknowns)
            Solutions; NaN for a problem that no solver has a finite loss for.
        """
        return self._solve_new(X, noise_std)[1]

    def score(self, X: ArrayLike, y: Any = None, *, noise_std: ArrayLike | None = None) -> float:
        """Return how well the solutions of further problems reproduce their observations.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations and conditions, as in `fit`.
        y : None
            Ignored; here by convention.
        noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
            Standard deviations of the errors, as in `fit`.

        Returns
        -------
        float
            Minus the mean loss; minus infinity where a problem has no finite loss.
        """
        loss = self._solve_new(X, noise_std)[2]
        return float(-loss.mean()) if np.isfinite(loss).all() else -np.inf

    def diagnose(
        self,
        X: ArrayLike,
        unknowns: ArrayLike | None = None,
        *,
        noise_std: ArrayLike | None = None,
        level: float = 0.95,
    ) -> InverseDiagnosis:
        """Judge the answers to problems: how well unknowns are known, and which may be wrong.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations and conditions, as in `fit`.
        unknowns : array-like of shape (n_problems, n_unknowns), default=None
            The answers to judge, such as `solutions_`; None solves the problems by `predict`.
        noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
            Standard deviations of the errors, as in `fit`.
        level : float, default=0.95
            Probability with which intervals are to hold the true unknowns.

        Returns
        -------
        InverseDiagnosis
            Covariances, intervals, flags and chances of all problems.
        """
        if unknowns is None:
            unknowns = self.predict(X, noise_std=noise_std)
        check_is_fitted(self)
        return self.solvers_[0].diagnose(X, unknowns, noise_std=noise_std, level=level)

    def save(self, path: str | PathLike[str]) -> None:
        """Save the fitted solvers into a file that contains no code.

        The file holds plain arrays, and text in JSON. Parameters are not in it: they are in the
        program.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced.
        """
        check_is_fitted(self)
        write_solvers(path, self, self.solvers_)

    @plain_torch()
    def load(self, path: str | PathLike[str]) -> Self:
        """Load the fitted solver that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        self
            The fitted solver.

        Raises
        ------
        ValueError
            If the file is damaged, of another class or of a format that is not known, or if the
            parameters do not fit it. The solver stays as it was.
        """
        loaded = clone(self)
        solvers = [clone(solver) for solver in self._chosen()]
        read_solvers(path, self, loaded, solvers)
        loaded._take(solvers)
        take_over(self, loaded)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _chosen(self) -> list[BaseInverse]:
        """Return the solvers that the parameters name."""
        solvers = [DirectInverse(), ReparameterizedInverse()]
        if self.solvers is not None:
            solvers = list(self.solvers)
        if not solvers or not all(isinstance(solver, BaseInverse) for solver in solvers):
            raise ValueError(
                f"solvers must be a non-empty sequence of inverse solvers; got {self.solvers!r}."
            )
        return solvers

    def _take(self, solvers: list[BaseInverse]) -> None:
        """Keep the best answers of fitted solvers."""
        self.solvers_ = solvers
        losses = np.array([solver.loss_ for solver in solvers])
        answers = np.array([solver.solutions_ for solver in solvers])
        self.winners_, self.solutions_, self.loss_ = _best(losses, answers)
        self.failed_ = ~np.isfinite(self.loss_)
        converged = np.array([solver.converged_ for solver in solvers])
        each = np.arange(len(self.winners_))
        self.converged_ = converged[self.winners_, each]
        if all(hasattr(solver, "reduced_chi2_") for solver in solvers):
            reduced_chi2 = np.array([solver.reduced_chi2_ for solver in solvers])
            self.reduced_chi2_ = reduced_chi2[self.winners_, each]
        self.n_forward_calls_ = sum(solver.n_forward_calls_ for solver in solvers)

    def _solve_new(
        self, X: ArrayLike, noise_std: ArrayLike | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        found = [solver._solve_new(X, noise_std) for solver in self.solvers_]
        return _best(
            np.array([loss for _, loss in found]), np.array([answer for answer, _ in found])
        )


def _best(
    losses: NDArray[np.float64], answers: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return for each problem the number of the best solver, its answer and its loss."""
    winners = np.where(np.isfinite(losses), losses, np.inf).argmin(axis=0)
    each = np.arange(losses.shape[1])
    return winners, answers[winners, each], losses[winners, each]
