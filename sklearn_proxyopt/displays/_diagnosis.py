"""The evidence for and against an optimum on one page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.diagnosis import Diagnosis
from sklearn_proxyopt.displays._base import Display, check_optimizer, despine, pyplot
from sklearn_proxyopt.displays._fidelity import FidelityDisplay
from sklearn_proxyopt.displays._optimum_spread import OptimumSpreadDisplay

__all__ = ["DiagnosisDisplay"]

_N_BARS = 8
_N_PANELS = 4


class DiagnosisDisplay(Display):
    """A diagnosis on one page: the verdict, what decides it, fidelity, and agreement.

    Parameters
    ----------
    diagnosis : Diagnosis
        What `ProxyOptimizer.diagnose` returned.
    fidelity : FidelityDisplay
        Predictions of unseen rows.
    spread : OptimumSpreadDisplay
        Where proxies of half of the rows put the optimum.

    Attributes
    ----------
    axes_ : ndarray of matplotlib.axes.Axes of shape (4,)
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure they are part of.
    """

    def __init__(
        self, diagnosis: Diagnosis, fidelity: FidelityDisplay, spread: OptimumSpreadDisplay
    ) -> None:
        self.diagnosis = diagnosis
        self.fidelity = fidelity
        self.spread = spread

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        objective: Callable[..., Any] | None = None,
        *,
        n_checks: int = 5,
        regret: float | None = None,
        ax: Any = None,
    ) -> Self:
        """Diagnose a fitted optimizer and draw the diagnosis.

        Parameters
        ----------
        estimator : ProxyOptimizer
            Fitted.
        objective : callable, default=None
            The true function, called to check; None spends no evaluation.
        n_checks : int, default=5
            How many times it is called, at most.
        regret : float, default=None
            What is tolerated; see `ProxyOptimizer.diagnose`.
        ax : array of 4 matplotlib.axes.Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        DiagnosisDisplay
            The display, drawn.
        """
        estimator = check_optimizer(estimator)
        diagnosis = estimator.diagnose(objective, n_checks=n_checks, regret=regret)
        fidelity = FidelityDisplay.of(estimator)
        if np.isfinite(diagnosis.truth) and fidelity.truth_at_optimum is None:
            fidelity.truth_at_optimum = diagnosis.truth
        return cls(diagnosis, fidelity, OptimumSpreadDisplay.of(estimator)).plot(ax=ax)

    @property
    def _n_panels(self) -> int:
        return _N_PANELS

    def _new_axes(self) -> Any:
        return pyplot().subplots(2, 2, figsize=(11.0, 8.0), layout="constrained")[1]

    def _draw(self, axes: NDArray[Any]) -> None:
        self._plot_verdict(axes[0])
        self._plot_contributions(axes[1])
        self.fidelity.plot(ax=axes[2])
        self.spread.plot(ax=axes[3])

    def _plot_verdict(self, ax: Any) -> None:
        import textwrap

        probability = self.diagnosis.probability
        ax.barh(0.0, 1.0, height=0.5, color="0.9")
        ax.barh(0.0, probability, height=0.5, color="0.35")
        ax.set(xlim=(0.0, 1.0), ylim=(-6.2, 0.6), yticks=[], xticks=[0.0, 0.2, 0.8, 1.0])
        ax.xaxis.set_ticks_position("top")
        ax.set_title(f"{self.diagnosis.verdict}: probability {probability:.2f}", loc="left")
        text = "\n".join(
            textwrap.fill(reason, 62, subsequent_indent="  ") for reason in self.diagnosis.reasons
        )
        ax.text(0.0, -0.6, text, va="top", fontsize="small")
        ax.spines[["right", "bottom", "left", "top"]].set_visible(False)

    def _plot_contributions(self, ax: Any) -> None:
        contributions = self.diagnosis.contributions
        names = sorted(contributions, key=lambda name: -abs(contributions[name]))[:_N_BARS][::-1]
        values = [contributions[name] for name in names]
        hatches = ["" if value > 0 else "///" for value in values]
        bars = ax.barh([name.replace("_", " ") for name in names], values, color="0.75", ec="black")
        for bar, hatch in zip(bars, hatches, strict=True):
            bar.set_hatch(hatch)
        ax.axvline(0.0, color="black", linewidth=0.8)
        ax.set_xlabel("worse than usual (hatched)  |  better   (log-odds)")
        ax.tick_params("y", labelsize="small")
        despine(ax)
