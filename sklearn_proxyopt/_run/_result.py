"""What a run returns, and its six lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from sklearn_proxyopt._utils._html import card, table
from sklearn_proxyopt._utils._words import some_of
from sklearn_proxyopt.diagnosis._wording import chance_in_words, check_in_words

__all__ = ["RunResult"]

# Settings named in a line, and characters of one.
_MOST_SETTINGS, _MOST_CHARACTERS = 8, 87


class RunResult(OptimizeResult):
    """The result of a run: every field under its name, and six lines where it is printed.

    Examples
    --------
    >>> from sklearn_proxyopt._run._result import RunResult
    >>> print(RunResult(x=[0.5, 2.0], fun=-1.25, fun_proxy=-1.25, measured=False))
    Best value   -1.25, predicted; not measured yet
    Settings     x0 0.5, x1 2
    Interval     not told by this surrogate model
    Verdict      none; call optimizer.diagnose()
    Model        the optimum is the surrogate model's
    Next         measure these settings, and tell the value by optimizer.tell.
    """

    def __str__(self) -> str:
        return "\n".join(f"{name:<13}{text}" for name, text in self._lines())

    def _repr_html_(self) -> str:
        return card(table(self._lines()))

    def _lines(self) -> Iterator[tuple[str, str]]:
        return self._of_front() if "F" in self else self._of_optimum()

    def _of_optimum(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of one optimum."""
        yield "Best value", f"{self.fun:.6g}, {self._origin()}"
        yield "Settings", _settings(self.get("x_named") or _numbered(self.x))
        yield "Interval", self._interval()
        yield "Verdict", self.verdict_in_words
        yield "Model", self._model()
        yield "Next", self._next()

    def _origin(self) -> str:
        if not self.get("measured", True):
            return "predicted; not measured yet"
        n_failed = self.get("n_failed", 0)
        is_noisy = np.any(self.get("F_std" if "F" in self else "fun_std", 0.0))
        how = "estimated from noisy values" if is_noisy else "measured"
        runs = f"{self.nfev} new runs" + (f", {n_failed} failed" if n_failed else "")
        return f"{how}{self._feasibility()}; {runs}"

    def _feasibility(self) -> str:
        """Return with what probability one optimum is feasible, if that is not sure."""
        chance = np.ravel(self.get("probability_feasible", 1.0))
        is_sure = len(chance) > 1 or chance[0] in (0.0, 1.0)
        return "" if is_sure else f", feasible with {chance[0]:.0%}"

    def _interval(self) -> str:
        if "interval" in self:
            low, high = self.interval
            return f"{low:.6g} to {high:.6g} with a probability of 90 %"
        is_measured = self.get("measured", True)
        return "none; the value is measured" if is_measured else "not told by this surrogate model"

    @property
    def verdict_in_words(self) -> str:
        """The verdict with its chance and what is tolerated."""
        if self.get("verdict") is None:
            return f"none; {self.get('no_verdict', 'call optimizer.diagnose()')}"
        share = f"{self.verdict} ({chance_in_words(self.probability)})"
        return f"{share}: within {self.regret:.3g} of the best value" if "regret" in self else share

    def _model(self) -> str:
        if not self.get("measured", True):
            return "the optimum is the surrogate model's"
        check = self.model_check(self.get("regret", np.nan))
        if check:
            return _cut(f"optimum checked: {check}")
        return f"predicted {self.fun_proxy:.6g} at its own optimum, not measured there"

    def model_check(self, tolerated: float) -> str:
        """Return what was predicted and measured at the model's optimum; "" if nothing was.

        Parameters
        ----------
        tolerated : float
            By how much the two may differ, NaN where that is not known.
        """
        measured = self.get("true_at_proxy", np.nan)
        if not np.isfinite(measured):
            return ""
        missed = float(np.max(self.get("constraints_at_proxy", [0.0])))
        return check_in_words(self.fun_proxy, measured, tolerated, missed)

    def _next(self) -> str:
        if not self.get("feasible", True):
            return "a larger budget: no settings are known that meet all constraints."
        if not self.get("measured", True):
            return "measure these settings, and tell the value by optimizer.tell."
        if "no_verdict" in self:
            return "a larger budget: samples are too few for a verdict."
        steps = self.get("next_steps", ())
        return _cut(f"{steps[0]}.") if len(steps) else "optimizer.diagnose() judges the optimum."

    def _of_front(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of a front."""
        F = np.atleast_2d(self.F)
        yield "Front", f"{len(F)} points, {self._origin()}"
        ranges = [f"{low:.4g} to {high:.4g}" for low, high in zip(F.min(0), F.max(0), strict=True)]
        yield "Objectives", "; ".join(ranges)
        hypervolume = self.get("hypervolume")
        yield "Hypervolume", "not measured" if hypervolume is None else f"{hypervolume:.6g}"
        predicted = len(self.get("F_proxy", ()))
        yield "Model", f"predicts a front of {predicted} points"
        yield "Ended", _cut(str(self.get("message", "")))
        is_measured = self.get("measured", True)
        yield (
            "Next",
            (
                "optimizer.X_front_ has the settings, optimizer.F_front_ their values."
                if is_measured
                else "measure points of optimizer.X_front_, and tell the values by optimizer.tell."
            ),
        )


def _cut(text: str) -> str:
    """Return a text that fits into a line."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 4].rstrip()} ..."


def _numbered(x: Any) -> dict[str, Any]:
    return {f"x{place}": value for place, value in enumerate(np.ravel(x))}


def _settings(named: dict[str, Any]) -> str:
    """Return settings as a line."""
    return some_of([f"{name} {_text(value)}" for name, value in named.items()], _MOST_SETTINGS)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
