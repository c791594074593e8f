"""Which values are changed before they are learned, chosen by errors at samples left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.exceptions import WildValuesWarning
from sklearn_proxyopt.proxies._kernel._learning import (
    Plan,
    learn_stack,
    predicted_left_out,
    targets_of,
)
from sklearn_proxyopt.proxies._kernel._preparing import PreparedRows, merged
from sklearn_proxyopt.proxies._kernel._wild import AS_THEY_ARE, Taming, n_decades, tamings_for
from sklearn_proxyopt.proxies._noise_std import GivenNoise

__all__ = ["Tamer", "tamed"]

# Errors at samples left out must fall to this share of those of values as they are.
_LEAST_GAIN = 0.9
# Samples by which tamings are compared.
_N_TRIED = 500


@dataclass(frozen=True)
class Tamer:
    """Learns the samples of one target.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        The samples.
    y : ndarray of shape (n,)
        Their values.
    noise : GivenNoise
        What was given of their noise.
    plan : Plan
        How processes are learned.
    device : torch.device
        Where.
    seed : int
        Draws the subsets.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    noise: GivenNoise
    plan: Plan
    device: torch.device
    seed: int

    def part(self, which: NDArray[np.intp]) -> Tamer:
        """Return some of the samples."""
        noise = replace(self.noise, weight=self.noise.weight[which])
        return replace(self, X=self.X[which], y=self.y[which], noise=noise)

    def sample(self) -> Tamer:
        """Return as many samples as tamings are compared by, all of them if they are no more."""
        order = np.random.default_rng(self.seed).permutation(len(self.X))
        return self.part(np.sort(order[:_N_TRIED]))

    def chosen(self, tamings: list[Taming]) -> Taming:
        """Return the taming of the lowest errors at samples left out, if any is worth it."""
        if self.noise.std is not None and self.noise.std.any():
            # Noise is known in the units of the values.
            tamings = [one for one in tamings if one.kind != "logarithm"]
        if not tamings:
            return AS_THEY_ARE
        # What is usual is the same for all.
        sample, usual = self.sample(), tamings[0]
        plain = sample._error(AS_THEY_ARE, usual)
        errors = [sample._error(one, usual) for one in tamings]
        best = int(np.argmin(errors))
        return tamings[best] if errors[best] < _LEAST_GAIN * plain else AS_THEY_ARE

    def learned(self, taming: Taming) -> NDArray[np.float64]:
        """Return what is learned in place of the values."""
        if taming.kind != "scattered":
            return taming.learned(self.y, self.y)
        is_usual = taming.are_usual(self.y)
        predicted = self.y.copy()
        predicted[~is_usual] = self.part(np.flatnonzero(is_usual)).sample()._at(self.X[~is_usual])
        return taming.learned(self.y, predicted)

    def _at(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the samples predict elsewhere."""
        prepared = self._prepared(self.y)
        (target,) = targets_of(prepared, self.noise, self.device)
        stack = learn_stack(target, self.plan, self._generator())
        rows = torch.from_numpy((X - prepared.center) / prepared.half_width).to(self.device)
        values: NDArray[np.float64] = stack(rows).cpu().numpy()
        return prepared.level[0] + prepared.spread[0] * values

    def _error(self, taming: Taming, usual: Taming) -> float:
        """Return how far predictions of samples left out are off, as shares of the usual values."""
        prepared = self._prepared(self.learned(taming))
        (target,) = targets_of(prepared, self.noise, self.device)
        left_out = predicted_left_out(target, self.plan, self._generator()).cpu().numpy()
        predicted = prepared.level[0] + prepared.spread[0] * left_out
        true = merged(self.X, self.y[:, None], self.noise.weight)[1][0]
        usual_values = self.y[usual.are_usual(self.y)]
        off = _ranks(taming, usual_values, predicted) - _ranks(AS_THEY_ARE, usual_values, true)
        return float(np.abs(off).mean())

    def _prepared(self, y: NDArray[np.float64]) -> PreparedRows:
        return PreparedRows.of(self.X, y[:, None], self.noise.weight)

    def _generator(self) -> torch.Generator:
        return torch.Generator(device="cpu").manual_seed(self.seed)


def _ranks(
    taming: Taming, usual: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return which share of usual values lies below others, as they are learned."""
    ordered = np.sort(taming.learned(usual, usual))
    return np.interp(values, ordered, np.linspace(0.0, 1.0, len(ordered)))


def tamed(tamer: Tamer) -> tuple[NDArray[np.float64], Taming]:
    """Return what is learned in place of the values of a target, with a warning if that differs."""
    tamings = tamings_for(tamer.X, tamer.y)
    if not tamings:
        return tamer.y, AS_THEY_ARE
    taming = tamer.chosen(tamings)
    is_span = taming.kind == "logarithm" or tamings[0].kind == "logarithm"
    text = _of_span(n_decades(tamer.y), taming) if is_span else _of_outliers(tamings[0], taming)
    warn_user(text, WildValuesWarning)
    return tamer.learned(taming), taming


def _of_outliers(usual: Taming, taming: Taming) -> str:
    how = {
        "": "they are learned as they are, since that predicts rows left out as well",
        "limited": "they are learned as little more than these",
        "scattered": "they are learned as what the others say there",
    }
    return (
        f"y holds values far from all others, which are from {usual.low:.6g} to {usual.high:.6g}; "
        f"{how[taming.kind]}. If they stand for failures, give NaN in their place and "
        "on_error='learn'; if they are mistakes, take them back by forget or "
        "tell(..., replace=True)."
    )


def _of_span(decades: float, taming: Taming) -> str:
    how = "their logarithm is learned" if taming.kind else "they are learned as they are"
    return (
        f"y spans {decades:.0f} decades; {how}. Give the logarithm as the value, or a proxy that "
        "takes it, sklearn.compose.TransformedTargetRegressor(proxy, func=np.log, "
        "inverse_func=np.exp)."
    )
