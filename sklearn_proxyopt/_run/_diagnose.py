"""The side of an optimizer that doubts: whether its optimum can be believed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._proxy_search._penalty import Merit, merit_of_rows
from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.diagnosis._diagnosis import judge, stated_regret
from sklearn_proxyopt.diagnosis._evidence import Inquiry
from sklearn_proxyopt.exceptions import FalseOptimumWarning
from sklearn_proxyopt.variables import Variables

__all__ = ["DiagnosingMixin", "inquiry_of"]

# Fewer rows cannot be halved and still say anything.
_MIN_ROWS = 10
# Rows closer than this in the unit cube are the same but for rounding.
_SAME_ROW = 1e-9


class DiagnosingMixin:
    """The method `diagnose` of an optimizer.

    The class owes the fitted attributes of an optimizer, `n_learned_`, `_typical` and
    `_diagnosis_seed`, which `_learn` sets, and `_buying`.
    """

    X_: NDArray[np.float64]
    y_: NDArray[np.float64]
    bounds_: NDArray[np.float64]
    variables_: Variables
    x_: NDArray[np.float64]
    fun_: float
    x_proxy_: NDArray[np.float64]
    proxy_: Any
    result_: Any
    _candidates: NDArray[np.float64]
    n_learned_: int
    _diagnosis_seed: int
    _typical: float
    _buying: Any
    _inquiry: Inquiry | None = None
    _merit: Merit | None = None

    def diagnose(
        self,
        objective: Callable[..., Any] | None = None,
        *,
        n_checks: int = 5,
        regret: float | None = None,
        of: str = "proxy",
    ) -> Diagnosis:
        """Judge whether the optimum can be believed.

        Proxies of the same kind learn from halves of the rows; where they find their minima, what
        they say of this one and of rows that they have not seen is weighed against what is
        tolerated, by a model that was learned on functions with known optima.

        Parameters
        ----------
        objective : callable, default=None
            The true function, called to check the optimum and rivals of it. None spends no
            evaluation: what is known from `minimize` is used, or else the rows alone.
        n_checks : int, default=5
            How many times it is called, at most.
        regret : float, default=None
            How far the true value may lie above the lowest in the box, in units of `y`. None
            tolerates 2 % of what lies between the middle row and the lowest value known; where a
            search chose further rows, the middle one of the first design.
        of : {"proxy", "answer"}, default="proxy"
            Which optimum is judged: the proxy's, or `x_`, which differs from it after `minimize`.

        Returns
        -------
        Diagnosis
            Verdict, probability, reasons and evidence.

        Raises
        ------
        ValueError
            If fewer than 10 rows were learned from, or an argument is out of its limits.

        Notes
        -----
        What the checks pay for stays on record: `minimize` does not pay for it again.
        """
        check_is_fitted(self, "proxy_")
        if objective is not None and not callable(objective):
            raise ValueError(f"objective must be callable or None; got {objective!r}.")
        check_integer(n_checks, "n_checks")
        if regret is not None:
            check_real(regret, "regret", minimum=0.0, include_minimum=False)
        check_option(of, "of", ("proxy", "answer"))
        x = self.x_proxy_ if of == "proxy" else self.x_
        inquiry = self._inquire()
        evidence = inquiry.about(x)
        if objective is None:
            rows, truths = self._known_checks(x)
        else:
            rivals = self.variables_.from_unit_cube(evidence.rivals[: n_checks - 1])
            rivals = rivals[self.variables_.is_feasible(rivals)]
            rows = np.vstack([x[None], rivals])
            truths = self._buy_checks(objective, rows)
        mode = "rows"
        if len(rows) and np.isfinite(truths[0]):
            promises = inquiry.promises(rows[1:]) if len(rows) > 1 else np.empty(0)
            lowest = min(evidence.lowest_known, float(self._merit_of(self.y_).min()))
            evidence = replace(evidence, lowest_known=lowest)
            evidence = evidence.checked(float(truths[0]), promises, truths[1:])
            mode = "refined" if of == "answer" and "true_at_proxy" in self.result_ else "checks"
        tolerated = stated_regret(evidence, self._typical) if regret is None else float(regret)
        diagnosis = judge(evidence, tolerated, mode, x, rows, truths)
        return replace(diagnosis, smoothing=getattr(self, "smoothing_report_", None))

    def _inquire(self) -> Inquiry:
        """Ask proxies of half of the rows, once for each fit."""
        if self._inquiry is None:
            X, y = self.X_[: self.n_learned_], self.y_[: self.n_learned_]
            if len(X) < _MIN_ROWS:
                raise ValueError(
                    f"X must have at least {_MIN_ROWS} rows for a diagnosis; got {len(X)}."
                )
            seed = self._diagnosis_seed
            self._inquiry = Inquiry(
                self.proxy_, X, y, self.variables_, self._candidates, seed, self._judged_merit()
            )
        return self._inquiry

    def _judged_merit(self) -> Merit | None:
        return None if self._merit is None else self._merit.of_truths()

    def _merit_of(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is judged of true outputs: values, with a penalty for what is violated."""
        return merit_of_rows(outputs, self._merit)

    def _known_checks(
        self, x: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the optimum and other low points of the proxy whose true values are known.

        The first is the optimum; without its own value the others are of no use.
        """
        known = cKDTree(self.variables_.to_unit_cube(self.X_))
        points = np.vstack([x[None], self._candidates])
        distance, row = known.query(self.variables_.to_unit_cube(points))
        used = distance <= _SAME_ROW
        used[1:] &= row[1:] != row[0]
        if not used[0]:
            return points[:0], np.empty(0)
        return points[used], self._merit_of(self.y_[row[used]])

    def _buy_checks(
        self, objective: Callable[..., Any], rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        with self._buying(
            objective, self.X_, self.y_, self.variables_, self.bounds_, 0.0
        ) as purchases:
            return self._merit_of(purchases.buy(rows))

    def _doubt_the_answer(self) -> None:
        """Add the verdict on the answer to the result; warn where it is not believed."""
        if self.n_learned_ < _MIN_ROWS:
            return
        diagnosis = self.diagnose(of="answer")
        result = self.result_
        result.verdict, result.probability = diagnosis.verdict, diagnosis.probability
        result.message = f"{result.message} Verdict: {diagnosis.headline}"
        if diagnosis.verdict == "false":
            warnings.warn(
                f"x_ is not believed to be the minimum: {diagnosis}",
                FalseOptimumWarning,
                stacklevel=4,
            )


def inquiry_of(optimizer: DiagnosingMixin) -> Inquiry:
    """Return the second opinions on a fitted optimizer's proxy, asked once for each fit."""
    return optimizer._inquire()
