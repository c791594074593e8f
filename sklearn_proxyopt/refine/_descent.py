"""One descent of CMA-ES, whose generations are judged by a local proxy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import kendalltau

from sklearn_proxyopt._strategies import Batches
from sklearn_proxyopt._utils._dataset import succeeded
from sklearn_proxyopt._utils._distances import SAME_POINT, smallest
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.refine._codes import Codes
from sklearn_proxyopt.refine._ledger import Ledger, spread_of
from sklearn_proxyopt.refine._local_model import LocalModel, most_samples
from sklearn_proxyopt.refine._local_process import Settings
from sklearn_proxyopt.refine._search_distribution import SearchDistribution
from sklearn_proxyopt.refine._trust_region import TrustRegion

__all__ = ["Descent"]

# The proxy learns no samples farther out than this many standard deviations, but always a few.
_REACH = 6.0
# What lies within this many standard deviations of the mean might have been drawn.
_NEARLY_DRAWN = 2.0
# The proxy's minimum is evaluated if it lies within this many standard deviations of the mean, and
# again, up to a number of times in a generation, while this share of the predicted gain comes true.
_RADIUS = 0.75
# Constraints that bind make the distribution narrow before its time. The way to the minimum is then
# as long as predictions hold: it grows and shrinks by this factor, up to so many times the radius.
_FARTHER, _FARTHEST = 2.0, 32.0
_N_LEAPS = 3
_SHARE_KEPT = 0.5
# The proxy may order a generation if it orders the latest samples as the objective does, by
# Kendall's tau.
_AGREEMENT = 0.85
_FEWEST_COMPARED = 15
# A descent has ended when its distribution is smaller or more elongated than this, or when within
# this many evaluations for each variable, and this many generations, the gain was below this share
# of the spread of the values learned last. In a narrow valley the distribution turns into its
# direction first, which takes generations without gain.
_SMALLEST_SIZE, _LARGEST_ELONGATION = 1e-9, 1e8
_PATIENCE, _N_GENERATIONS, _LEAST_GAIN = 10, 10, 1e-10
# What may still be gained follows from what so many samples for each variable gained, and as many
# before them.
_LATEST = 2
# So many generations without a new sample end it too; fewer where many points stand for one sample.
_N_IDLE, _N_IDLE_OF_ROWS = 20, 5
# The proxy's minimum is not evaluated within this many standard deviations of a pending point: what
# that gives may move it.
_CLEARANCE = 0.5
# Generations and steps in the trust region are compared by what each gained within the latest so
# many samples for each variable; the one without a sample among them is tried.
# Where the region's predictions do not come true, it gets this share of the samples at most: in a
# curved valley steps gain a little each time, and the distribution would never turn. Steps without
# any gain double the samples until the next one, up to so many times the window.
_WINDOW, _SHARE, _LONGEST_WAIT = 4, 0.125, 8
# How often a point that lies next to one that failed is drawn again.
_N_REDRAWS = 10
# How often the way to the proxy's minimum is halved where that lies next to a failure.
_N_HALVINGS = 4
# Of more samples than this, the nearest are found in two steps.
_MANY = 1000


class _Generation:
    """The points of a generation.

    Parameters
    ----------
    points : ndarray of shape (n, n_features)
        The points.

    Attributes
    ----------
    values : ndarray of shape (n,)
        What counts as their values; NaN where that is not known.
    is_asked : ndarray of bool of shape (n,)
        Which of them were asked for; those without a value are pending.
    """

    def __init__(self, points: NDArray[np.float64]) -> None:
        self.points = points
        self.values = np.full(len(points), np.nan)
        self.is_asked = np.zeros(len(points), dtype=bool)


class Descent:
    """A search distribution and the samples evaluated by its leave.

    A generation is drawn; the local proxy's minimum takes the place of the point that it thinks
    worst of; the best ones by its judgement are evaluated until it orders the latest samples as the
    objective does; then the distribution moves, by measured values where they are known and by the
    proxy's where not.

    Parameters
    ----------
    ledger : Ledger
        Where samples are evaluated; what it knows is learned from.
    mean : ndarray of shape (n_features,)
        Where the descent begins.
    step_size : float
        How wide its distribution is at the beginning.
    population : int
        Points a generation.
    batch_size : int
        Fewest samples to evaluate at once.
    codes : Codes, default=None
        The codes of categories, if there are any: the descent keeps to those of its mean, and
        learns from samples of the same only.

    Attributes
    ----------
    n_evaluated : int
        How many samples it evaluated.
    """

    def __init__(
        self,
        ledger: Ledger,
        mean: NDArray[np.float64],
        step_size: float,
        population: int,
        batch_size: int,
        codes: Codes | None = None,
    ) -> None:
        self._ledger, self._batch_size = ledger, batch_size
        self._codes = codes
        is_fixed = None if codes is None else codes.is_code
        self._distribution = SearchDistribution(mean, step_size, population, is_fixed)
        self._settings: list[Settings] = []
        # How far below 0 constraints are kept, the same for all at first.
        self._margin, self._radius = np.zeros(1), _RADIUS
        self._rows = np.empty(0, dtype=np.intp)
        self._n_last = 1
        self._model: LocalModel | None = None
        self.n_evaluated = 0
        self._own: list[NDArray[np.float64]] = []
        self._own_points: list[NDArray[np.float64]] = []
        self._seen: list[NDArray[np.float64]] = []
        self._seen_points: list[NDArray[np.float64]] = []
        self._region = TrustRegion(ledger, step_size, is_fixed) if batch_size == 1 else None
        # Of each step whether it was one in the region, the samples that it took, and its gain.
        self._credit: list[tuple[bool, int, float]] = []
        # Steps in the region in a row that gained nothing while not trusted, and samples since.
        self._n_vain_steps = self._n_samples_since = 0
        # How many samples it had evaluated after each generation, and the best outputs; and the
        # same after each step.
        self._history: list[tuple[int, NDArray[np.float64] | None]] = []
        self._steps: list[tuple[int, NDArray[np.float64] | None]] = []

    @property
    def lowest(self) -> float:
        """The lowest value it evaluated or claimed."""
        return self._value_of(self._best)

    @property
    def _best(self) -> NDArray[np.float64] | None:
        """The outputs of that sample, None if all failed. Prices of constraints may change it."""
        if not self._own:
            return None
        own = np.concatenate(self._own)
        return np.asarray(own[np.argmin(self._ledger.value_of(own))])

    def look_around(self, points: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        """Let the trust region begin at the best of samples that others have evaluated."""
        values = self._ledger.value_of(outputs)
        if np.isfinite(values).any():
            lowest = [np.argmin(values)]
            self._seen, self._seen_points = [outputs[lowest]], [points[lowest]]

    @property
    def center(self) -> tuple[NDArray[np.float64], float] | None:
        """The best sample to search around and its value, None if there is none."""
        outputs = [*self._own, *self._seen]
        if not outputs:
            return None
        values = self._ledger.value_of(np.concatenate(outputs))
        points = np.concatenate([*self._own_points, *self._seen_points])
        return points[np.argmin(values)], float(values.min())

    def _value_of(self, outputs: NDArray[np.float64] | None) -> float:
        return np.inf if outputs is None else float(self._ledger.value_of(outputs[None])[0])

    @property
    def size(self) -> float:
        """The largest standard deviation of its distribution."""
        return self._distribution.size

    def might_draw(self, point: NDArray[np.float64]) -> bool:
        """Whether a point lies where its distribution nearly draws."""
        white = self._distribution.whiten(point[None])[0]
        return bool(white @ white <= _NEARLY_DRAWN**2 * len(white))

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be expected."""
        distribution = self._distribution
        if distribution.size < _SMALLEST_SIZE or distribution.elongation > _LARGEST_ELONGATION:
            return True
        n_idle = _N_IDLE if self._ledger.is_plain else _N_IDLE_OF_ROWS
        if len(self._history) > n_idle and self._history[-n_idle][0] == self.n_evaluated:
            return True
        return self.has_gained_less(_LEAST_GAIN * self.spread, _PATIENCE, _N_GENERATIONS)

    @property
    def spread(self) -> float:
        """How far the values of the samples that it learned last lie above the lowest of them."""
        if not len(self._rows):
            return self._ledger.spread
        return spread_of(self._ledger.values[self._rows])

    @property
    def tells_gains(self) -> bool:
        """Whether its gains tell what is left: after two evaluations a variable."""
        return self.n_evaluated >= 2 * self._ledger.points.shape[1]

    @property
    def gain_left(self) -> float:
        """How much further it may get, if gains go on shrinking as they did among the latest."""
        n_window = min(_LATEST * self._ledger.points.shape[1], self.n_evaluated // 2)
        first, middle = (self._lowest_after(self.n_evaluated - k * n_window) for k in (2, 1))
        before, last = first - middle, middle - self.lowest
        if not last > 0.0 or not np.isfinite(last):
            return 0.0
        share = min(last / before, 0.5) if before > 0.0 else 0.5
        return last * share / (1.0 - share)

    def _lowest_after(self, n_evaluated: int) -> float:
        """Return the lowest value after so many samples, or the first known after that."""
        values = [(count, self._value_of(best)) for count, best in self._steps]
        known = [(count, value) for count, value in values if np.isfinite(value)]
        early = [value for count, value in known if count <= n_evaluated]
        return early[-1] if early else known[0][1] if known else np.nan

    def has_gained_less(self, least: float, patience: int, n_generations: int = 0) -> bool:
        """Whether it gained no more within so many samples a variable and so many generations."""
        n_rows = patience * self._ledger.points.shape[1]
        lowest = self.lowest
        if np.isinf(lowest):
            # Whatever it evaluated has failed: samples alone count.
            n_generations = 0
        history = self._history[: max(0, len(self._history) - n_generations)]
        earlier = [best for count, best in history if count <= self.n_evaluated - n_rows]
        if not earlier or np.isinf(lowest):
            return bool(earlier)
        return self._value_of(earlier[-1]) - lowest <= least

    def step(self, rng: np.random.Generator) -> Batches:
        """Live one generation or step: yield the points to evaluate, receive their outputs."""
        center, n_before = self.center, self.n_evaluated
        is_in_region = False
        if center is not None and self._prefers_region():
            is_in_region = True
            yield from self._step_in_region(*center)
        else:
            yield from self._live(rng, center)
        gain = 0.0 if center is None else max(center[1] - self.lowest, 0.0)
        # A step without a sample counts as one, or no generation would ever follow it.
        n_new = max(self.n_evaluated - n_before, int(is_in_region))
        self._credit.append((is_in_region, n_new, gain))
        self._steps.append((self.n_evaluated, self._best))
        if is_in_region:
            assert self._region is not None
            is_vain = gain <= 0.0 and not self._region.is_trusted
            self._n_vain_steps = self._n_vain_steps + 1 if is_vain else 0
            self._n_samples_since = 0
        else:
            self._n_samples_since += n_new
            self._history.append((self.n_evaluated, self._best))
        self._ledger.press()

    def _prefers_region(self) -> bool:
        """Tell whether a step in the trust region is worth more than a generation."""
        if self._region is None or self._region.has_converged:
            return False
        if self._is_kin().sum() < self._ledger.points.shape[1] + 2:
            return False
        n_latest = _WINDOW * self._ledger.points.shape[1]
        spent, gained = {True: 0, False: 0}, {True: 0.0, False: 0.0}
        for is_in_region, n_rows, gain in reversed(self._credit):
            spent[is_in_region] += n_rows
            gained[is_in_region] += gain
            if spent[True] + spent[False] >= n_latest:
                break
        if not spent[True]:
            n_windows = min(2**self._n_vain_steps // 2, _LONGEST_WAIT)
            return self._n_samples_since >= n_windows * n_latest
        if not spent[False]:
            return False
        if spent[True] > _SHARE * n_latest and not self._region.is_trusted:
            return False
        return gained[True] * spent[False] > gained[False] * spent[True]

    def _step_in_region(self, center: NDArray[np.float64], value: float) -> Batches:
        """Evaluate a point of the trust region around a sample of some value."""
        assert self._region is not None
        step = self._region.next(center, self._is_kin())
        if step is None or self._is_near_pending(step.point):
            return
        generation = _Generation(self._away_from_failures(step.point, center)[None])
        outputs = yield from self._evaluate(generation, np.zeros(1, dtype=np.intp))
        if outputs is not None:
            self._region.learn(step, value - generation.values[0])

    def _live(
        self, rng: np.random.Generator, center: tuple[NDArray[np.float64], float] | None
    ) -> Batches:
        """Live one generation."""
        generation = _Generation(self._sample(rng))
        if center is not None and center[1] == self.lowest and self._region_has_gained:
            generation.points[-1] = center[0]
        if self._is_kin().sum() < generation.points.shape[1] + 2:
            yield from self._evaluate(generation, np.arange(len(generation.points)))
        else:
            self._model = yield from self._leap(generation, self._learn(chooses=True))
            yield from self._evaluate_the_promising(generation, self._model)
        self._distribution.update(generation.points[self._order(generation)])

    @property
    def _region_has_gained(self) -> bool:
        """Whether the trust region has gained since the latest generation."""
        for is_in_region, _, gain in reversed(self._credit):
            if not is_in_region or gain > 0.0:
                return is_in_region
        return False

    def _sample(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw a generation; a point next to one that failed is drawn again."""
        points = self._distribution.sample(rng)
        for _ in range(_N_REDRAWS if len(self._ledger.failed) else 0):
            fails = self._ledger.is_near_failure(points, self._distribution.whitening())
            if not fails.any():
                break
            points[fails] = self._distribution.sample(rng)[fails]
        return points

    def _evaluate(self, generation: _Generation, places: NDArray[np.intp]) -> Batches:
        """Evaluate points of a generation; return the outputs of the last, None if pending."""
        ledger, points = self._ledger, generation.points[places]
        n_asked, n_known = ledger.n_evaluations, len(ledger.outputs)
        try:
            outputs = yield from ledger.evaluate(points, self._claim_late)
        except StopRun:
            # Some were evaluated.
            self.claim(ledger.points[n_known:], ledger.outputs[n_known:])
            raise
        finally:
            self.n_evaluated += ledger.n_evaluations - n_asked
        self.claim(ledger.placed(points), outputs)
        is_pending = ledger.are_pending(points)
        generation.is_asked[places] = True
        generation.values[places] = np.where(is_pending, np.nan, ledger.value_of(outputs))
        return None if is_pending[-1] else outputs[-1]

    def _claim_late(self, point: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        self.claim(point[None], outputs[None])

    def claim(self, points: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        """Take samples for its own: the lowest that it knows is what it must get below."""
        good = succeeded(outputs)
        if not good.any():
            return
        points, outputs = points[good], outputs[good]
        if self._ledger.merit is None:
            # What is not the lowest never will be.
            outputs = np.concatenate([*self._own, outputs])
            points = np.concatenate([*self._own_points, points])
            self._own, self._own_points = [], []
            lowest = [np.argmin(outputs)]
            points, outputs = points[lowest], outputs[lowest]
        self._own.append(outputs)
        self._own_points.append(points)

    def _is_kin(self) -> NDArray[np.bool_]:
        """Tell which samples known have the codes of this descent."""
        if self._codes is None:
            return np.ones(len(self._ledger.points), dtype=bool)
        return self._codes.are_those_of(self._distribution.mean, self._ledger.points)

    def _learn(self, chooses: bool = False) -> LocalModel:
        """Learn the samples nearest to the distribution."""
        n_features = self._ledger.points.shape[1]
        white = self._distribution.whiten(self._ledger.points)
        kin = np.flatnonzero(self._is_kin())
        near = kin[_shortest(white[kin], most_samples(n_features))]
        distances = np.square(white[near]).sum(axis=1)
        within = distances <= _REACH**2 * n_features
        within[: 2 * n_features + 1] = True
        self._rows = near[within & np.isfinite(distances)]
        outputs = self._ledger.outputs[self._rows]
        model = LocalModel(white[self._rows], outputs, self._ledger.merit, self._settings, chooses)
        self._settings = model.settings
        return model

    def _predict(self, model: LocalModel, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the proxy predicts, infinity where the nearest sample failed."""
        distribution = self._distribution
        predicted = model.predict(distribution.whiten(points))
        fails = self._ledger.is_near_failure(points, distribution.whitening())
        return np.where(fails, np.inf, predicted)

    def _leap(self, generation: _Generation, model: LocalModel) -> Batches:
        """Evaluate the proxy's minimum for the worst point, again while predictions hold.

        Return the proxy as it is then.
        """
        order = np.argsort(self._predict(model, generation.points), kind="stable")
        for worst in order[::-1][:_N_LEAPS]:
            if generation.is_asked[worst]:
                # Bought for the sake of a full batch.
                break
            start, before = self._start_of_leap(model)
            point = self._away_from_failures(self._minimum(model, start), start)
            with np.errstate(invalid="ignore"):
                # Both may be infinite, next to failures.
                predicted_gain = before - self._predict(model, point[None])[0]
            if not np.isfinite(predicted_gain) or self._ledger.is_known(point, SAME_POINT):
                break
            if self._is_near_pending(point):
                break
            generation.points[worst] = point
            others = order[~generation.is_asked[order] & (order != worst)][: self._batch_size - 1]
            outputs = yield from self._evaluate(generation, np.append(others, worst))
            if outputs is None:
                break
            gain = before - generation.values[worst]
            is_kept = predicted_gain > 0.0 and gain >= _SHARE_KEPT * predicted_gain
            if self._ledger.merit is not None:
                self._learn_from_leap(model, point, outputs, is_kept)
            model = self._learn()
            if not is_kept:
                break
        return model

    def _start_of_leap(self, model: LocalModel) -> tuple[NDArray[np.float64], float]:
        """Return where the way to the proxy's minimum begins, and the value there."""
        # The lowest sample of all would lead every descent into the same basin.
        center, mean = self.center, self._distribution.mean
        if center is not None:
            return center
        return mean, float(self._predict(model, mean[None])[0])

    def _is_near_pending(self, point: NDArray[np.float64]) -> bool:
        """Tell whether a point lies next to one that is pending."""
        white = self._distribution.whiten(np.vstack([point, self._ledger.pending]))
        return bool((np.square(white[1:] - white[0]).sum(axis=1) < _CLEARANCE**2).any())

    def _learn_from_leap(
        self,
        model: LocalModel,
        point: NDArray[np.float64],
        outputs: NDArray[np.float64],
        is_kept: bool,
    ) -> None:
        """Keep as far from constraints as they were mistaken, and go as far as predictions hold."""
        if np.isfinite(outputs).all():
            predicted = model.outputs(self._distribution.whiten(point[None]))[0]
            self._margin = np.abs(outputs - predicted)[1:]
        factor = _FARTHER if is_kept else 1.0 / _FARTHER
        self._radius = float(np.clip(factor * self._radius, _RADIUS, _FARTHEST * _RADIUS))

    def _away_from_failures(
        self, point: NDArray[np.float64], start: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the point, or one on the way to it that does not lie next to a failure."""
        whitening = self._distribution.whitening()
        for _ in range(_N_HALVINGS):
            if not self._ledger.is_near_failure(point[None], whitening)[0]:
                break
            point = (point + start) / 2.0
        return point

    def _minimum(self, model: LocalModel, start: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the proxy's minimum near the mean, inside the cube."""
        distribution = self._distribution
        # One standard deviation of a variable is one unit of the search.
        unit = np.maximum(distribution.deviations, 1e-300)
        half = self._radius * unit
        lower = np.minimum(np.maximum(0.0, distribution.mean - half), start)
        upper = np.maximum(np.minimum(1.0, distribution.mean + half), start)
        step = model.minimum(
            distribution.whiten(start[None])[0],
            unit[:, None] * distribution.whitening(),
            np.column_stack([(lower - start) / unit, (upper - start) / unit]),
            self._margin,
            self._ledger.limits_of_steps(start, unit),
        )
        return np.asarray(np.clip(start + step * unit, 0.0, 1.0))

    def _evaluate_the_promising(self, generation: _Generation, model: LocalModel) -> Batches:
        """Evaluate points, the best by the proxy's judgement first, until that can be trusted."""
        n_asked = int(generation.is_asked.sum())
        n_next = max(1, -(-self._n_last // 2) - 1)
        while True:
            order = np.argsort(self._predict(model, generation.points), kind="stable")
            evaluated = order[~generation.is_asked[order]][: max(n_next, self._batch_size)]
            if not len(evaluated):
                break
            yield from self._evaluate(generation, evaluated)
            n_asked += len(evaluated)
            self._model = model = self._learn()
            if n_asked == len(generation.points) or self._agrees(model, n_asked):
                break
            n_next = -(-n_asked // 2)
        self._n_last = n_asked

    def _agrees(self, model: LocalModel, n_known: int) -> bool:
        """Tell whether the proxy orders the latest samples as the objective does."""
        n_compared = max(
            _FEWEST_COMPARED, min(int(1.2 * n_known), int(0.75 * self._distribution.population))
        )
        latest = np.flatnonzero(self._is_kin())[-n_compared:]
        predicted = model.predict(self._distribution.whiten(self._ledger.points[latest]))
        return bool(kendalltau(predicted, self._ledger.values[latest]).statistic >= _AGREEMENT)

    def _order(self, generation: _Generation) -> NDArray[np.intp]:
        """Return the order of a generation, the best point first."""
        values = generation.values
        unknown = np.isnan(values)
        if unknown.any():
            predicted = self._guess(generation.points)
            values = np.where(unknown, predicted, values)
            # A prediction below all that was evaluated counts as the best that was.
            excess = values[~unknown].min(initial=np.inf) - values.min()
            if 0 < excess < np.inf:
                values = np.where(unknown, predicted + excess, values)
        return np.argsort(values, kind="stable")

    def _guess(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the proxy predicts; before there is one, values of the nearest samples."""
        if self._model is not None:
            return self._predict(self._model, points)
        if not len(self._ledger.points):
            return np.zeros(len(points))
        return self._ledger.values[cKDTree(self._ledger.points).query(points)[1]]


def _shortest(vectors: NDArray[np.float64], n: int) -> NDArray[np.intp]:
    """Return the places of the shortest vectors in order, of equal ones the first."""
    places = np.arange(len(vectors))
    if len(vectors) > max(n, _MANY):
        # Rounded otherwise, and much faster for many.
        rough = np.einsum("ij,ij->i", vectors, vectors)
        places = np.flatnonzero(rough <= (1.0 + 1e-9) * np.partition(rough, n - 1)[n - 1])
    return places[smallest(np.square(vectors[places]).sum(axis=1), n)]
