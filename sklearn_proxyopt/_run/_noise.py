"""Values with noise: whether there is any, where to evaluate then, and what the values are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from itertools import count
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._proxy_search._front import FrontSearch
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt._proxy_search._model import ProxyModel
from sklearn_proxyopt._proxy_search._penalty import noise_of_outputs
from sklearn_proxyopt._run._infill_state import InfillState, rows_at_axes
from sklearn_proxyopt._run._known_noise import (
    has_noise,
    is_stated_noisy,
    repeats_differ,
    with_doubt,
)
from sklearn_proxyopt._run._learning import learn_risk, proxy_of, search_of, takes_noise
from sklearn_proxyopt._run._run import PaidRun, Run
from sklearn_proxyopt._run._settings import SearchSettings, Settings
from sklearn_proxyopt._run._state import DEVIATIONS_IN_INTERVAL
from sklearn_proxyopt._strategies import Batches, LateResults, Routine
from sklearn_proxyopt._utils._dataset import Dataset, is_among, means_of_repeats, occurrences
from sklearn_proxyopt._utils._feasibility import best_first, probability_kept
from sklearn_proxyopt.infill import ExpectedImprovement, Knowledge
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.proxies import KernelProxyRegressor
from sklearn_proxyopt.variables import Variables

__all__ = [
    "ByOthers",
    "Estimates",
    "NoiseWatch",
    "NoisyRounds",
    "Repeat",
    "WatchedSearch",
    "estimates_of",
    "known_noise",
    "noise_model",
    "noise_proxy",
]

# Noise is looked for once there are so many samples beyond the design. It cannot hide where others,
# so many at most, predict the best value within this share of how far it lies from a usual one.
_LEAST_SEARCHED = 8
_N_OTHERS, _SHARE_HIDDEN = 200, 1e-3
# Rounds of a search of noisy values, the share of them at the end that look at the proxy's minima
# alone, and evaluations where there is no budget.
_N_ROUNDS, _SHARE_OF_MINIMA, _DEFAULT_N_EVALUATIONS = 20, 0.25, 50
_SHORT_SEARCH = MultiStartBFGS(32, 30, n_rounds=2, n_candidates=1024, tolerance=1e-3)
# In every so many rounds the setting of the lowest estimate is evaluated once more.
_REPEATS_EVERY = 4


class NoiseWatch:
    """Finds out whether values have noise.

    A number states it. "auto" compares repeats. Without repeats, values are exact if the other
    samples predict the best one so narrowly that noise could not hide; else a repeat decides.

    Parameters
    ----------
    noise_std : "auto", None, float or array-like of shape (n_outputs,)
        What the user says.

    Attributes
    ----------
    is_noisy : bool
        Whether values have noise, in one of several outputs at least, as far as it is known.
    is_open : bool
        Whether that may still be found out.
    """

    def __init__(self, noise_std: Any) -> None:
        self.is_open = isinstance(noise_std, str)
        self.is_noisy = is_stated_noisy(noise_std)
        # How many samples there have to be to look at them; none are enough once it has looked.
        self._n_to_look = np.inf

    def begin(self, data: Dataset) -> None:
        """Take note of samples that were not chosen by their values."""
        self._n_to_look = len(data) + _LEAST_SEARCHED
        self.settle(data)

    def settle(self, data: Dataset) -> None:
        """Let repeats tell, where there are any."""
        if not self.is_open:
            return
        differ = repeats_differ(data)
        if differ is not None:
            self.is_open, self.is_noisy = False, differ

    def suspects(self, data: Dataset, model: ProxyModel, is_last: bool = False) -> bool:
        """Look once at the samples; tell whether noise may hide, which a repeat would tell.

        There have to be some that were searched, unless it is the last time to look.
        """
        has_looked = np.isinf(self._n_to_look)
        if not self.is_open or has_looked or (len(data) < self._n_to_look and not is_last):
            return False
        self._n_to_look = np.inf
        others = ByOthers.of(model, data)
        return others is None or not others.is_narrow(data)

    def doubts(self, proxy: Any) -> bool:
        """Tell whether nothing but a fitted proxy says that there is noise."""
        return self.is_open and bool(np.any(getattr(proxy, "noise_std_", 0.0)))


def known_noise(optimizer: Settings, data: Dataset, proxy: Any) -> float:
    """Return the standard deviation of the noise of a value by a fitted proxy.

    It is 0 unless it is certain that there is noise.
    """
    is_noisy = has_noise(optimizer.noise_std, data)
    return float(np.ravel(getattr(proxy, "noise_std_", 0.0))[0]) if is_noisy else 0.0


def noise_proxy(optimizer: Settings) -> Any:
    """Return what learns values with noise: the proxy, or Gaussian processes if it cannot."""
    proxy = proxy_of(optimizer)
    if takes_noise(proxy) and "return_std" in signature(proxy.predict).parameters:
        return proxy
    return KernelProxyRegressor(noise_std=optimizer.noise_std)


def noise_model(optimizer: SearchSettings, run: Run) -> ProxyModel:
    """Return what learns values with noise, and what searches it.

    A search that nobody chose is a short one: noise hides more than a longer one would find.
    """
    proxy = noise_proxy(optimizer)
    search = _SHORT_SEARCH if optimizer.optimizer is None else search_of(optimizer)
    return ProxyModel(proxy, search, run.seeds, None, run.space, run.goal, is_noisy=True)


class WatchedSearch(Routine):
    """A search of the objective that ends as soon as a pending repeat tells of noise.

    Parameters
    ----------
    batches : generator
        The search.
    watch : NoiseWatch
        Finds out.
    late : LateResults, default=None
        As of `Routine`.
    """

    def __init__(
        self, batches: Batches, watch: NoiseWatch, late: LateResults | None = None
    ) -> None:
        super().__init__(late=late)
        self._search, self._watch = batches, watch

    def _run(self) -> Batches:
        try:
            points = next(self._search)
            while True:
                outputs = yield points
                self._watch.settle(self.known)
                if self._watch.is_noisy:
                    return None
                points = self._search.send(outputs)
        except StopIteration as end:
            return end.value
        finally:
            self._search.close()


def best_setting(data: Dataset) -> NDArray[np.float64]:
    """Return the setting with the lowest mean value, a feasible one first, (1, n_features)."""
    X, y = means_of_repeats(data.X, data.y)
    return X[best_first(y)[:1]]


class Repeat(Routine):
    """Evaluate a setting once more, and let the repeat tell whether there is noise.

    If it leaves that open, there is a second one.

    Parameters
    ----------
    watch : NoiseWatch
        Is told.
    setting_of : callable, default=best_setting
        Returns the setting of a `Dataset`, of shape (1, n_features).
    late : LateResults, default=None
        As of `Routine`: others go on meanwhile.
    """

    repeats_known = True
    n_rows = 2

    def __init__(
        self,
        watch: NoiseWatch,
        setting_of: Callable[[Dataset], NDArray[np.float64]] = best_setting,
        late: LateResults | None = None,
    ) -> None:
        super().__init__(late=late)
        self._watch, self._setting_of = watch, setting_of

    def _run(self) -> Batches:
        setting = self._setting_of(self.known)
        yield setting
        self._watch.settle(self.known)
        if self._watch.is_open and occurrences(self.known.X).any():
            yield setting
            self._watch.settle(self.known)


@dataclass(frozen=True)
class ByOthers:
    """What the other samples predict for the best setting.

    Parameters
    ----------
    measured : ndarray of shape (n_outputs,)
        Its outputs, values to be minimized.
    mean, std : ndarray of shape (n_outputs,)
        What is predicted, and its standard deviations.
    """

    measured: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(
        cls, model: ProxyModel, data: Dataset, names: NDArray[np.object_] | None = None
    ) -> Self | None:
        """Let a model learn the others, those nearby; None where they are fewer than variables."""
        data = data.by_setting
        place = best_first(data.y)[0]
        widths = np.ptp(data.X, axis=0)
        away = (data.X - data.X[place]) / np.where(widths > 0.0, widths, 1.0)
        others = np.argsort(np.square(away).sum(axis=1), kind="stable")[1 : 1 + _N_OTHERS]
        if len(others) <= data.X.shape[1]:
            return None
        model.fit(data.X[others], data.y[others], names)
        function = RegressorFunction(model.proxy)
        features = model.features(data.X[[place]])
        mean, std = map(np.ravel, function.predict(features, return_std=True))
        return cls(np.ravel(data.y[place]), mean, std)

    @property
    def highest(self) -> float:
        """The upper end of the 90 % interval of the value; infinity if a constraint is missed."""
        if (self.mean[1:] > 0.0).any():
            return np.inf
        return float(self.mean[0] + DEVIATIONS_IN_INTERVAL * self.std[0])

    def is_narrow(self, data: Dataset) -> bool:
        """Tell whether each output is predicted so well that noise could not hide."""
        usual = np.abs(np.median(data.y, axis=0) - self.measured)
        off = np.abs(self.mean - self.measured) + DEVIATIONS_IN_INTERVAL * self.std
        return bool((off <= _SHARE_HIDDEN * usual).all())


class NoisyRounds(Routine):
    """Rounds in which a proxy learns noisy values and proposes where to evaluate.

    New settings are those of the highest expected improvement on the lowest mean of the proxy. An
    evaluated one is repeated if its expected improvement is higher. The one of the lowest mean is
    repeated now and then, unless the number of repeats is fixed; at the end the proxy's minima are
    evaluated.

    Parameters
    ----------
    run : PaidRun
        The run.
    optimizer : SearchSettings
        Its parameters hold.
    late : LateResults, default=None
        As of `Routine`: no round waits for the results of the one before.
    """

    repeats_known = True

    def __init__(
        self, run: PaidRun, optimizer: SearchSettings, late: LateResults | None = None
    ) -> None:
        super().__init__(late=late)
        self._of_run, self._optimizer = run, optimizer
        n_left = run.oracle.n_left
        self.n_rows = int(n_left) if np.isfinite(n_left) else _DEFAULT_N_EVALUATIONS
        self._size = max(1, -(-self.n_rows // _N_ROUNDS))
        self._repeats = run.oracle.n_repeats == 1

    def _run(self) -> Batches:
        rng = np.random.default_rng(self._of_run.seeds["infill"])
        model = noise_model(self._optimizer, self._of_run)
        n_left = self.n_rows
        for n_round in count():
            size = min(self._size, n_left)
            if size < 1:
                return
            state = self._learned(model, rng)
            known = state.knowledge_of_feasible(self.pending)
            self._of_run.oracle.stopping.estimate(*state.lowest_estimate)
            if n_left <= _SHARE_OF_MINIMA * self.n_rows + 1.0:
                first = known.minima[:1]
            elif self._repeats and n_round % _REPEATS_EVERY == 0:
                first = known.best[None]
            else:
                first = known.X[:0]
            points = np.vstack([first, _promising(known, size, self._repeats)])
            rows = rows_at_axes(self._of_run.space, points)
            rows = rows[~is_among(rows, self.pending)][:size]
            if not (len(rows) or len(self.pending)):
                return
            yield rows
            n_left -= len(rows)

    def _learned(self, model: ProxyModel, rng: np.random.Generator) -> InfillState:
        """Let the model learn all samples; return what is known."""
        run, space, known = self._of_run, self._of_run.space, self.known
        model.fit(known.X, known.y, run.names)
        risk = learn_risk(self._optimizer, known, space, run.seeds)
        noise = known_noise(self._optimizer, known, model.learner)
        return InfillState(model, known, space, run.names, rng, risk, noise)


def _promising(known: Knowledge, n_points: int, repeats: bool) -> NDArray[np.float64]:
    """Return points of a high expected improvement, with repeats a known one if that has more."""
    improvement = ExpectedImprovement(n_points)
    points = improvement.propose(known)
    if not repeats:
        return points
    again = improvement.gains(known.X, known)
    if known.pending is not None:
        again[is_among(known.X, known.pending)] = 0.0
    best = int(np.argmax(again))
    if len(points) < n_points:
        return np.vstack([points, known.X[[best]]])
    if again[best] > improvement.gains(points[-1:], known)[0]:
        points[-1] = known.X[best]
    return points


@dataclass
class Estimates:
    """What the values of the evaluated settings are, up to noise.

    Parameters
    ----------
    X : ndarray of shape (n_settings, n_features)
        The settings that may be the answer.
    mean, std : ndarray of shape (n_settings,) or (n_settings, n_outputs)
        Their outputs, values to be minimized, and the standard deviations of these.
    """

    X: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @property
    def best(self) -> int:
        """The place of the lowest value, of those that are feasible as estimated if any is."""
        return int(best_first(self.mean)[0])

    def probability_feasible(self, n_values: int = 1) -> NDArray[np.float64]:
        """Return with what probability each setting is feasible; constraints come after values."""
        return probability_kept(self.mean[:, n_values:], self.std[:, n_values:])


def estimates_of(
    model: ProxyModel | FrontSearch,
    data: Dataset,
    space: Variables,
    names: NDArray[np.object_] | None,
) -> Estimates:
    """Estimate the outputs of the evaluated settings by a model that learns all samples."""
    model.fit(data.X, data.y, names)
    settings = data.by_setting
    X, _ = space.rows_that_count(settings.X, settings.y)
    function = RegressorFunction(model.proxy)
    mean, std = function.predict(space.features(X), return_std=True)
    shape = (len(X), *data.y.shape[1:])
    std = with_doubt(np.reshape(std, shape), noise_of_outputs(model.learner, data.y), data)
    return Estimates(X, np.reshape(mean, shape), std)
