"""What an inverse solver owes: an estimate of the unknowns behind each row."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from dataclasses import asdict
from os import PathLike
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.base import BaseEstimator, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sklearn_proxyopt._utils._fitted import take_over
from sklearn_proxyopt._utils._threads import all_threads
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt._utils._validation import (
    as_generator,
    as_numbers,
    check_integer,
    check_option,
    check_real,
    check_rows,
)
from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.exceptions import DeviceNotFoundWarning, StartReturnedWarning
from sklearn_proxyopt.inverse._diagnosis import InverseDiagnosis, diagnose_problems
from sklearn_proxyopt.inverse._path import PathRecorder
from sklearn_proxyopt.inverse._problem import InverseProblem, straight_line
from sklearn_proxyopt.inverse._problem_set import ProblemSet, Step, Tell
from sklearn_proxyopt.inverse._saving import read_solvers, write_solvers
from sklearn_proxyopt.proxies._device import (
    inverse_device,
    is_there,
    resolve_device,
)

__all__ = ["BaseInverse"]

# The status of a descent whose start has no finite value.
_NO_VALUE = 3
# A loss below this share of what it spreads over the box is that of a solution.
_SOLVED = 1e-9


class BaseInverse(CallbackSupportMixin, BaseEstimator, ABC):
    """Base of all inverse solvers.

    A subclass has the parameters `problem`, `refine`, `tolerance`, `loss_tolerance`, `batch_size`,
    `path_length`, `device` and `random_state`, and owes `check_parameters`, `_learn`, which sees
    the problems of `fit` and returns their estimates, and `_estimate`, which answers new ones. Both
    work in unbounded variables.
    """

    problem: InverseProblem | None
    refine: str | None
    tolerance: float
    loss_tolerance: float
    batch_size: int | None
    path_length: int
    device: Any
    random_state: Any

    @abstractmethod
    def _learn(self, problems: ProblemSet, rng: np.random.Generator, tell: Tell) -> Tensor:
        """Return estimates (n, n_unknowns) for the problems of a fit."""

    @abstractmethod
    def _estimate(self, problems: ProblemSet) -> Tensor:
        """Return estimates (n, n_unknowns) for other problems."""

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        if self.problem is not None and not isinstance(self.problem, InverseProblem):
            raise ValueError(f"problem must be an InverseProblem or None; got {self.problem!r}.")
        check_option(self.refine, "refine", ("bfgs", None))
        check_real(self.tolerance, "tolerance", minimum=0.0)
        check_real(self.loss_tolerance, "loss_tolerance", minimum=0.0)
        if self.batch_size is not None:
            check_integer(self.batch_size, "batch_size")
        check_integer(self.path_length, "path_length", minimum=0)
        resolve_device(self.device, torch.float64)

    @with_callbacks
    @plain_torch()
    @all_threads()
    def fit(self, X: ArrayLike, y: Any = None, *, noise_std: ArrayLike | None = None) -> Self:
        """Solve one inverse problem a row, all together.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations, flattened, NaN where nothing was measured, followed by the conditions.
        y : None
            Ignored; here by convention.
        noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
            Standard deviations of the errors of each problem, or of each of its points. None takes
            those of the problem. With scikit-learn's metadata routing enabled, request it by
            `set_fit_request`.

        Returns
        -------
        self
            The solver with its answers in `solutions_`.
        """
        X = check_rows(self, X)
        self.check_parameters()
        context = self._init_callback_context(max_subtasks=None)
        context.call_on_fit_task_begin(estimator=self)

        self._settle(*X.shape)
        problems = self._problem_set(X, noise_std)

        def tell(step: Step) -> bool:
            task = context.subcontext(task_name="step")
            task.call_on_fit_task_begin(estimator=self)
            facts = {**asdict(step), "n_forward_calls": problems.n_forward_calls}
            return task.call_on_fit_task_end(estimator=self, metadata=facts)

        if self.path_length:
            shape = len(X), self.problem_.n_unknowns
            problems.recorder = PathRecorder(self.path_length, *shape)
        rng = as_generator(self.random_state)
        estimates = self._learn(problems, rng, tell)
        answers, has_ended = self._refined(problems, estimates, tell)
        self.converged_ = has_ended & ~problems.fall_inside(answers, among=has_ended)
        self._keep(problems, estimates, answers)
        self.n_forward_calls_ = problems.n_forward_calls
        self.failed_ = ~np.isfinite(self.loss_)
        reduced_chi2 = problems.reduced_chi2(self.loss_)
        if reduced_chi2 is not None:
            self.reduced_chi2_ = reduced_chi2
        if problems.recorder is not None:
            self.path_ = problems.recorder.path(self.solutions_, self.loss_, self.n_forward_calls_)
        context.call_on_fit_task_end(estimator=self)
        return self

    def predict(self, X: ArrayLike, *, noise_std: ArrayLike | None = None) -> NDArray[np.float64]:
        """Solve further problems with what was learned in `fit`.

        Parameters
        ----------
        X : array-like of shape (n_problems, n_columns)
            Observations and conditions, as in `fit`.
        noise_std : array-like of shape (n_problems,) or (n_problems, n_observed), default=None
            Standard deviations of the errors, as in `fit`.

        Returns
        -------
        ndarray of shape (n_problems, n_unknowns)
            Solutions, refined if `refine` says so; NaN for a problem without a finite loss.
        """
        return self._solve_new(X, noise_std)[0]

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
        loss = self._solve_new(X, noise_std)[1]
        return float(-loss.mean()) if np.isfinite(loss).all() else -np.inf

    @plain_torch()
    @all_threads()
    def diagnose(
        self,
        X: ArrayLike,
        unknowns: ArrayLike | None = None,
        *,
        noise_std: ArrayLike | None = None,
        level: float = 0.95,
    ) -> InverseDiagnosis:
        """Judge the answers to problems: how well unknowns are known, and which may be wrong.

        Each problem is also searched from elsewhere, so that better solutions, and others that fit
        as well, become known. That takes about as many simulations as `DirectInverse` with four
        starts and 32 candidates. Intervals do not include other basins: look at `is_beaten` and
        `n_rivals`.

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
        check_is_fitted(self)
        check_real(level, "level", minimum=0.0, maximum=1.0, include_minimum=False)
        if unknowns is None:
            unknowns = self.predict(X, noise_std=noise_std)
        X = check_rows(self, X, reset=False)
        answers, shape = as_numbers(unknowns, "unknowns"), (len(X), self.problem_.n_unknowns)
        if answers.shape != shape:
            raise ValueError(f"unknowns must have shape {shape}; got {answers.shape}.")
        problems = self._problem_set(X, noise_std)
        rng = np.random.default_rng(0)
        given = torch.as_tensor(answers, device="cpu").to(problems.rows)
        return diagnose_problems(problems, given, level, rng)

    def save(self, path: str | PathLike[str]) -> None:
        """Save the fitted solver into a file that contains no code.

        The file holds plain arrays, and text in JSON: the answers, and all that was learned, but
        not the path.
        Parameters, and with them the problem and the kind of its network, are not in it: they are
        in the program.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced.
        """
        check_is_fitted(self)
        write_solvers(path, self, [self])

    @plain_torch()
    def load(self, path: str | PathLike[str]) -> Self:
        """Load the fitted solver that `save` wrote.

        It gives the same answers to the last bit if its parameters are those of the saved solver;
        problem and networks are made from them.

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
        self.check_parameters()
        loaded = clone(self)
        read_solvers(path, self, loaded, [loaded])
        take_over(self, loaded)
        return self

    def _settle(self, n_problems: int, n_columns: int) -> None:
        """Settle which problem is solved, and where."""
        problem = straight_line(n_columns) if self.problem is None else self.problem
        problem.shape_of_rows(n_columns)
        self.problem_ = problem
        n_numbers = n_problems * n_columns
        self.device_ = str(inverse_device(self.device, problem.is_static, n_numbers))

    def _untrained(self, n_columns: int) -> dict[str, torch.nn.Module]:
        """Return the networks that a fit trains, as they are before, by their attributes."""
        return {}

    @plain_torch()
    @all_threads()
    def _solve_new(
        self, X: ArrayLike, noise_std: ArrayLike | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return solutions and losses of further problems."""
        check_is_fitted(self)
        X = check_rows(self, X, reset=False)
        problems = self._problem_set(X, noise_std)
        answers, _ = self._refined(problems, self._estimate(problems))
        return self._judge(problems, answers)

    def _refined(
        self, problems: ProblemSet, latent: Tensor, tell: Tell | None = None
    ) -> tuple[Tensor, NDArray[np.bool_]]:
        """Return answers in unbounded variables, and whether their search converged."""
        if self.refine is None:
            return latent, np.zeros(len(latent), dtype=bool)
        result = problems.descend(latent, tell, first_step=self._first_step(), **self._tolerances())
        answers = torch.as_tensor(result.x, device="cpu").to(latent)
        (failed,) = np.nonzero(result.status == _NO_VALUE)
        if len(failed):
            self._begin_elsewhere(problems, answers, result, failed)
        _warn_of_starts(problems, answers, result)
        return answers, result.success

    def _begin_elsewhere(
        self,
        problems: ProblemSet,
        answers: Tensor,
        result: OptimizeResult,
        failed: NDArray[np.intp],
    ) -> None:
        """Descend again for estimates without a value, from the best point known to have one."""
        number = torch.as_tensor(failed, device=answers.device)
        again = problems.descend(problems.best_known[number], number=number, **self._tolerances())
        answers[number] = torch.as_tensor(again.x, device="cpu").to(answers)
        for name in ("fun", "success"):
            result[name][failed] = again[name]

    def _tolerances(self) -> dict[str, Any]:
        """Return when a descent of `batched_bfgs` on the simulator ends."""
        return {"tolerance": self.tolerance, "value_tolerance": self.loss_tolerance}

    def _first_step(self) -> float:
        """Return the first trial of a refinement, in unbounded variables.

        An estimate is improved where it lies; SciPy's, of length one, would cross half of the box.
        """
        return 0.01

    def _problem_set(
        self, X: NDArray[np.float64], noise_std: ArrayLike | None = None
    ) -> ProblemSet:
        rows = torch.tensor(np.ascontiguousarray(X), dtype=torch.float64, device=self.device_)
        return ProblemSet(self.problem_, rows, noise_std, self.batch_size)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__().copy()
        if state.get("device_", "cpu") != "cpu":
            for name, value in state.items():
                if isinstance(value, torch.nn.Module):
                    state[name] = copy.deepcopy(value).cpu()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        device = state.get("device_", "cpu")
        if device == "cpu":
            return
        if not is_there(torch.device(device)):
            warnings.warn(
                f"The solver ran on {device!r}, which torch does not find here; it runs on the "
                "CPU now.",
                DeviceNotFoundWarning,
                stacklevel=2,
            )
            device = self.device_ = "cpu"
        for value in vars(self).values():
            if isinstance(value, torch.nn.Module):
                value.to(device)

    def _keep(self, problems: ProblemSet, estimates: Tensor, answers: Tensor) -> None:
        """Keep unknowns and losses of answers, and of the estimates that they differ from."""
        self.solutions_, self.loss_ = self._judge(problems, answers)
        self.estimates_, self.estimate_loss_ = self.solutions_.copy(), self.loss_.copy()
        moved = (estimates != answers).any(dim=1).nonzero()[:, 0]
        if len(moved):
            unknowns, loss = self._judge(problems, estimates[moved], moved)
            number = moved.cpu().numpy()
            self.estimates_[number], self.estimate_loss_[number] = unknowns, loss

    def _judge(
        self, problems: ProblemSet, latent: Tensor, index: Tensor | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return unknowns and losses, NaN where there is no finite loss."""
        with torch.no_grad():
            loss = problems.losses(latent, index)
            unknowns = self.problem_.to_unknowns(latent)
            finite = torch.isfinite(loss)
            unknowns = torch.where(finite[:, None], unknowns, torch.nan)
            loss = torch.where(finite, loss, torch.nan)
        return unknowns.cpu().double().numpy(), loss.cpu().double().numpy()


def _warn_of_starts(problems: ProblemSet, answers: Tensor, result: OptimizeResult) -> None:
    """Warn of problems that end at their best guess, though it does not solve them."""
    is_start = (answers == problems.start).all(dim=1).cpu().numpy()
    n_stuck = int((is_start & (np.abs(result.fun) > _SOLVED)).sum())
    if n_stuck:
        warn_user(
            f"{n_stuck} of {len(answers)} problems end at the best guess, where they began: their "
            "loss has no slope there. Take several starts, as DirectInverse(n_starts=5, "
            "n_candidates=50) does, or another solver.",
            StartReturnedWarning,
        )
