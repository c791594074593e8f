"""CMA-ES on the objective, with a local proxy that says which points are worth evaluating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import LinearConstraint, OptimizeResult
from scipy.spatial import cKDTree

from sklearn_proxyopt._strategies import Batches, solve
from sklearn_proxyopt._utils._box import from_unit_cube, to_unit_cube
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt._utils._validation import as_generator, check_integer, check_real
from sklearn_proxyopt.refine._base import BaseRefiner
from sklearn_proxyopt.refine._basins import basins_of, left_undone
from sklearn_proxyopt.refine._codes import Codes
from sklearn_proxyopt.refine._descent import Descent
from sklearn_proxyopt.refine._incumbent import read_incumbent
from sklearn_proxyopt.refine._ledger import Ledger

__all__ = ["SurrogateCMAES", "SurrogateSearch"]

# Evaluations where neither a limit nor a budget is given.
_DEFAULT_N_EVALUATIONS = 200
# A descent whose distribution is this small has found its basin; the lowest of all also gains less
# than this share of the spread of its values within so many samples for each variable, and so many
# generations. Others are looked for then, and the lowest is sharpened at the end, for which this
# share of the evaluations is kept.
_BASIN_FOUND = 2e-3
_GAIN_LEFT, _PATIENCE_LEFT, _N_GENERATIONS_LEFT = 1e-2, 3, 10
_SHARE_FOR_THE_END = 0.15
# A descent around the best point known, with twice the population, is this wide, and is taken to
# need this many times the evaluations of the one before.
_WIDE_STEP, _WIDE_COST = 0.15, 1.5
# Where no descent has come down to the best point known, it is sharpened by one this wide.
_SHARP_STEP = 0.02
# The first restart hops to another basin. It begins at the best of so many samples for each
# variable, and as many more, drawn around the best point known with this standard deviation as a
# share of the box, and is left unless it is the best after so many samples for each variable, or
# about to be if its gains go on shrinking as they did.
_SAMPLES_OF_HOP, _HOP, _PATIENCE_OF_HOP = 2, 0.5, 6
# Where the other restarts look too dear, the lowest descent is sharpened until it has gained less
# than this share of the spread of all values; then more hops follow, as long as they leave enough
# for the end.
_GAIN_OF_SHARPENING = 1e-8
# One that begins elsewhere begins this far from the borders, this wide.
_MARGIN, _ELSEWHERE_STEP = 0.1, 0.2
_N_TRIED = 8
# As long as other codes are untried, a descent makes room for them once it gained less than this
# share of the spread of values within so many samples for each variable.
_GAIN_AMONG_CODES, _PATIENCE_AMONG_CODES = 1e-3, 3
# So often the population is doubled; where many points stand for one sample, large ones draw
# samples that are known.
_MOST_DOUBLINGS, _MOST_DOUBLINGS_OF_ROWS = 10, 3
# One in so many of the evaluations left may go to a minimum of a proxy that is not the best so far.
_LEFT_FOR_A_MISS = 15
# A gain below this share of the spread of values is not worth mentioning.
_NOTHING_LEFT = 1e-3
# Descents in a sample that evaluated nothing end the search.
_N_IDLE_DESCENTS = 5
# Where many points stand for one sample, whole basins can be known; more are tried, all elsewhere.
_N_IDLE_OF_ROWS = 20


class SurrogateCMAES(BaseRefiner):
    """Search the objective by CMA-ES with a local surrogate model.

    CMA-ES [1]_ draws generations of points. A Gaussian process with a quadratic part, learned from
    nearby samples, selects the points worth an evaluation and proposes its own minimum. The better
    it ordered the latest samples, the fewer points are evaluated, as in [2]_. When a descent has
    found its basin, others start: the first at the best of a few samples drawn around it, as in
    basin hopping; then, in turn, around the best point with twice the population, and elsewhere.
    The last evaluations refine the lowest point.

    Parameters
    ----------
    max_evaluations : int, default=None
        Evaluations at most, those of the candidates included. None takes what the budget of
        `ProxyOptimizer.minimize` leaves, and 200 where there is none.
    n_candidates : int, default=5
        How many of the candidates are evaluated at most. Those of a proxy that has learned what a
        search found are evaluated one by one: at most a fifteenth of the evaluations left goes to
        such as are not the best so far.
    population : int, default=None
        Points a generation of the first descent; None for 4 + 3 ln(n_features). At least 4, and
        two batches are always drawn.
    initial_step : float, default=0.25
        Standard deviation of the first generation as a share of the box's width.
    batch_size : int, default=1
        Fewest samples to ask for at once, where they can be evaluated side by side.
    random_state : None, int, RandomState or Generator, default=None
        Draws the generations.

    Attributes
    ----------
    bounds_ : ndarray of shape (n_features, 2)
        The box read by `fit`, if it was called.

    See Also
    --------
    LocalRefinement : One or two descents from where the proxy's minima lie.

    References
    ----------
    .. [1] Hansen, "The CMA Evolution Strategy: A Tutorial", :arxiv:`1604.00772`, 2016.
    .. [2] Hansen, "A Global Surrogate Assisted CMA-ES", GECCO, 2019,
       :doi:`10.1145/3321707.3321842`.

    Examples
    --------
    >>> from sklearn_proxyopt.problems import Rosenbrock
    >>> from sklearn_proxyopt.refine import SurrogateCMAES
    >>> problem = Rosenbrock(n_dims=4)
    >>> search = SurrogateCMAES(max_evaluations=250, random_state=1)
    >>> result = search.refine(problem, [[0.0, 0.0, 0.0, 0.0]], problem.bounds)
    >>> bool(result.fun < 1e-6), result.nfev <= 250
    (True, True)
    """

    begins_before_proxy = True

    def __init__(
        self,
        max_evaluations: int | None = None,
        *,
        n_candidates: int = 5,
        population: int | None = None,
        initial_step: float = 0.25,
        batch_size: int = 1,
        random_state: Any = None,
    ) -> None:
        self.max_evaluations = max_evaluations
        self.n_candidates = n_candidates
        self.population = population
        self.initial_step = initial_step
        self.batch_size = batch_size
        self.random_state = random_state

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        if self.max_evaluations is not None:
            check_integer(self.max_evaluations, "max_evaluations")
        check_integer(self.n_candidates, "n_candidates")
        check_integer(self.batch_size, "batch_size")
        if self.population is not None:
            check_integer(self.population, "population", minimum=4)
        check_real(
            self.initial_step, "initial_step", minimum=0.0, maximum=1.0, include_minimum=False
        )
        as_generator(self.random_state)

    def refine(
        self,
        fun: Callable[[NDArray[np.float64]], NDArray[np.float64]],
        candidates: ArrayLike,
        bounds: ArrayLike | None = None,
        *,
        incumbent: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> OptimizeResult:
        """Search from the candidates.

        Parameters
        ----------
        fun : callable
            The objective, (n, n_features) to (n,), or to (n, 1 + n_constraints) with
            constraints that hold where they are at most 0; NaN where an evaluation fails.
        candidates : array-like of shape (n, n_features)
            Points to evaluate first, the best predicted first.
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box. None takes the one read by `fit`.
        incumbent : tuple of array-like of shape (n_features,) and float, default=None
            The best sample inside the box known so far and its value, or value and constraints.

        Returns
        -------
        scipy.optimize.OptimizeResult
            `x`, `fun` (the lowest seen, the incumbent included), `nfev` (samples asked for), `nit`
            (descents), `success` (whether any value is known), `status` (1 if the evaluations were
            used up, 2 if nothing new was left to evaluate, 3 if no value is known), `message`, and
            `candidate_values`, what the function returned for the candidates evaluated. With
            constraints also `constraints`, those at `x`.
        """
        search = self.begin(bounds)
        if incumbent is not None:
            row, outputs = read_incumbent(incumbent, search.bounds)
            search.note(row[None], outputs[None])
        limit = self.max_evaluations
        search.allow(_DEFAULT_N_EVALUATIONS if limit is None else limit)
        points = np.atleast_2d(np.asarray(candidates, dtype=np.float64))
        result: OptimizeResult = solve(search.refine_from(points), fun)
        return result

    def begin(
        self,
        bounds: ArrayLike | None = None,
        rows_of: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
        is_category: NDArray[np.bool_] | None = None,
        moved_to: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
        | None = None,
        limits: LinearConstraint | None = None,
    ) -> SurrogateSearch:
        """Begin a search that can be told of samples, and goes on where it stopped.

        Parameters
        ----------
        bounds : array-like of shape (n_features, 2) or scipy.optimize.Bounds, default=None
            The box. None takes the one read by `fit`.
        rows_of : callable, default=None
            Takes points of the box and returns the sample that each stands for, NaN where there is
            none; the search then yields samples. None lets every point be a sample.
        is_category : ndarray of bool of shape (n_features,), default=None
            The axes whose points, rounded, are codes without an order. Each descent keeps to the
            codes that it begins with; one begins at every other code of the best point in turn.
        moved_to : callable, default=None
            Takes points of the box and the samples that they stand for, and returns where on the
            box these lie, as where samples were moved to meet constraints. None leaves points where
            they are.
        limits : scipy.optimize.LinearConstraint, default=None
            Linear constraints on points of the box: beyond them lies no sample near the point.
            None knows of none.

        Returns
        -------
        SurrogateSearch
            The search, which has evaluated nothing yet.
        """
        self.check_parameters()
        box = self._resolve_bounds(bounds)
        return SurrogateSearch(self, Ledger(box, rows_of, moved_to, limits), is_category)


class SurrogateSearch:
    """A search that `SurrogateCMAES.begin` has begun.

    Parameters
    ----------
    settings : SurrogateCMAES
        Its parameters.
    ledger : Ledger
        What it knows.
    is_category : ndarray of bool of shape (n_features,), default=None
        The axes of codes.
    """

    def __init__(
        self,
        settings: SurrogateCMAES,
        ledger: Ledger,
        is_category: NDArray[np.bool_] | None = None,
    ) -> None:
        self._settings, self._ledger = settings, ledger
        self._codes: Codes | None = None
        if is_category is not None and is_category.any():
            self._codes = Codes(ledger, np.flatnonzero(is_category))
        self._rng = as_generator(settings.random_state)
        # All descents, and those of them that tried other codes.
        self._descents: list[Descent] = []
        self._visits: list[Descent] = []
        # Those that hops to other basins began.
        self._hops: list[Descent] = []
        # The one that is sharpened, and how many evaluations were used when it began to be.
        self._sharpened: Descent | None = None
        self._n_before_sharpening = 0
        # The candidates that were evaluated, in the unit cube.
        self._candidates = self._ledger.points[:0]
        self._current: Descent | None = None
        self._end = self._n_idle = 0

    @property
    def bounds(self) -> NDArray[np.float64]:
        """The box."""
        return self._ledger.bounds

    @property
    def n_left(self) -> int:
        """How many of the evaluations allowed are left."""
        return self._end - self._ledger.n_evaluations

    def note(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take evaluated samples into account, in the user's units.

        One that is better than all before begins a descent, if there is any.
        """
        before = self._ledger.lowest
        self._ledger.note(X, y)
        if self._descents and self._ledger.lowest < before:
            self._begin_descent(self._ledger.lowest_point, _WIDE_STEP, self._population())

    def expect(self, X: NDArray[np.float64], points: NDArray[np.float64]) -> None:
        """Take samples for pending: what is asked of them now may be answered later, by `settle`.

        Parameters
        ----------
        X : ndarray of shape (n_pending, n_features)
            All samples whose evaluation has begun, by whomever.
        points : ndarray of shape (n_pending, n_axes)
            The points of the box that they are found at.
        """
        self._ledger.expect(X, points)

    def settle(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Take the outputs of samples that were pending, NaN where they failed."""
        self._ledger.settle(X, y)

    def withdraw(self, X: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Forget samples whose results will never come; tell which of them were pending."""
        return self._ledger.withdraw(X)

    def allow(self, n_evaluations: int) -> None:
        """Allow this many more evaluations in all."""
        self._end = self._ledger.limit = self._ledger.n_evaluations + n_evaluations

    def explore(self, n_evaluations: int | None = None) -> Batches:
        """Search until nothing new is found to evaluate, or no evaluation is left of those allowed.

        With a number of evaluations, the search stops after that many, and may be gone on with.
        Yields the samples to evaluate, and is sent their outputs.
        """
        if n_evaluations is not None:
            self._ledger.limit = min(self._ledger.n_evaluations + n_evaluations, self._end)
        try:
            self._n_idle = 0
            while self._n_idle < (_N_IDLE_DESCENTS if self._ledger.is_plain else _N_IDLE_OF_ROWS):
                before = self._ledger.n_evaluations
                descent = yield from self._choose()
                yield from self._descend(descent)
                self._n_idle = 0 if self._ledger.n_evaluations > before else self._n_idle + 1
        except StopRun:
            pass
        finally:
            self._ledger.limit = self._end

    def refine_from(self, candidates: NDArray[np.float64]) -> Batches:
        """Evaluate candidates, then search; return what was found, as `refine` does."""
        yield from self._consider(candidates)
        yield from self.explore()
        result = self.result()
        result.message = f"{result.message} {self.left_undone(self._ledger.spread)}".rstrip()
        return result

    def _consider(self, candidates: NDArray[np.float64]) -> Batches:
        """Evaluate points, the most promising first; go on from a new best one.

        Once a search has begun they are evaluated one by one, until some were not the best so far:
        where a proxy has just been wrong its other minima gain little.
        """
        ledger, settings = self._ledger, self._settings
        units = np.clip(to_unit_cube(candidates, ledger.bounds), 0.0, 1.0)
        units = units[: min(settings.n_candidates, self.n_left)]
        n_at_once = 1 if self._descents and settings.batch_size == 1 else len(units)
        before, self._candidates = ledger.lowest, units[:0]
        n_misses = -(-self.n_left // _LEFT_FOR_A_MISS)
        for start in range(0, len(units), max(n_at_once, 1)):
            lowest, some = ledger.lowest, units[start : start + n_at_once]
            self._candidates = units[: start + n_at_once]
            outputs = yield from ledger.evaluate(some, self._follow_late)
            is_miss = ledger.value_of(outputs).min() >= lowest
            n_misses -= bool(is_miss and not ledger.are_pending(some).any())
            if not n_misses:
                break
        values = ledger.value_of(ledger.outputs_of(self._candidates))
        if self._descents and len(values) and values.min() < before:
            place = int(np.argmin(values))
            self._follow(self._candidates[place], ledger.outputs_of(self._candidates)[place])

    def _follow_late(self, point: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        """Go on from a candidate that was pending, if it turns out to be the best."""
        if self._descents and self._ledger.value_of(outputs[None])[0] < self._ledger.lowest:
            self._follow(point, outputs)

    def _follow(self, point: NDArray[np.float64], outputs: NDArray[np.float64]) -> None:
        """Go on from the best point known: the present descent, if it might have drawn it."""
        if self._current is not None and self._current.might_draw(point):
            self._current.claim(point[None], outputs[None])
        else:
            self._begin_descent(point, _WIDE_STEP, self._population())

    def result(self) -> OptimizeResult:
        """Return what was found."""
        ledger = self._ledger
        is_known = len(ledger.values) > 0
        best = ledger.outputs[ledger.best] if is_known else np.array(np.inf)
        is_spent = ledger.n_evaluations >= self._end
        status = 3 if not is_known else 1 if is_spent else 2
        messages = {
            1: f"Refinement used all of its {ledger.n_evaluations} evaluations.",
            2: f"Refinement ended after {ledger.n_evaluations} evaluations: nothing new was left.",
            3: "Every candidate failed.",
        }
        return OptimizeResult(
            x=from_unit_cube(ledger.points[ledger.best], ledger.bounds) if is_known else None,
            fun=float(np.ravel(best)[0]),
            **({"constraints": best[1:]} if best.ndim else {}),
            nfev=ledger.n_evaluations,
            nit=len(self._descents),
            success=is_known,
            status=status,
            message=messages[status],
            candidate_values=ledger.outputs_of(self._candidates),
        )

    def left_undone(
        self, spread: float, shown: Callable[[float], float] = lambda value: value
    ) -> str:
        """Return in words what more evaluations could gain, "" where that is not known.

        Parameters
        ----------
        spread : float
            That of the values; small shares of it are not worth mentioning.
        shown : callable, optional
            Takes a value and returns it as the user knows it.
        """
        ledger = self._ledger
        if ledger.merit is not None:
            # Prices of constraints are no values of the user.
            return ""
        n_last = ledger.n_evaluations - self._n_before_sharpening if self._sharpened else 0
        return left_undone(basins_of(self._descents), n_last, _NOTHING_LEFT * spread, shown)

    def _choose(self) -> Batches:
        """Return the descent that goes on or begins."""
        ledger = self._ledger
        if self._current is not None:
            return self._current
        if not self._descents:
            middle = np.full(len(ledger.bounds), 0.5)
            best = ledger.lowest_point if len(ledger.values) else middle
            first = self._begin_descent(best, self._settings.initial_step, self._population())
            first.look_around(ledger.points, ledger.outputs)
            return first
        best_descent = min(self._descents, key=lambda one: one.lowest)
        if self._codes is not None:
            other = self._other_codes()
            if other is not None:
                self._visits.append(self._begin_descent(other, _ELSEWHERE_STEP, self._population()))
                return self._visits[-1]
            if not best_descent.has_ended and best_descent.size >= _BASIN_FOUND:
                # It has made room for other codes before it had found its basin.
                return best_descent
        is_hop = not self._hops and self._may_hop
        others = [*self._visits, *self._hops]
        restarts = [one for one in self._descents[1:] if one not in others]
        n_restarts = len(restarts)
        is_wide = n_restarts % 2 == 0 and (ledger.is_plain or not self._n_idle)
        earlier = [one.n_evaluated for one in restarts[not is_wide :: 2]]
        cost = (earlier or [self._descents[0].n_evaluated])[-1] * (_WIDE_COST if is_wide else 1.0)
        if is_hop:
            cost = self._cost_of_hop
        if self.n_left - self._reserve() < cost:
            if ledger.lowest < best_descent.lowest:
                best_descent = self._begin_descent(
                    ledger.lowest_point, _SHARP_STEP, self._population()
                )
                best_descent.claim(ledger.points, ledger.outputs)
            if self._can_afford_hop and self._is_sharp(best_descent):
                is_hop = True
            elif not best_descent.has_ended:
                return self._sharpen(best_descent)
        if is_hop:
            return (yield from self._hop())
        if is_wide and len(ledger.values):
            most = _MOST_DOUBLINGS if ledger.is_plain else _MOST_DOUBLINGS_OF_ROWS
            population = self._population() * 2 ** min(n_restarts // 2 + 1, most)
            return self._begin_descent(ledger.lowest_point, _WIDE_STEP, population)
        return self._begin_descent(self._elsewhere(), _ELSEWHERE_STEP, 2 * self._population())

    def _sharpen(self, descent: Descent) -> Descent:
        """Let a descent have all evaluations that are left."""
        if self._sharpened is None:
            self._n_before_sharpening = self._ledger.n_evaluations
        self._sharpened = descent
        return descent

    def _hop(self) -> Batches:
        """Begin a descent at the best of samples drawn around the best one known."""
        ledger, self._sharpened = self._ledger, None
        shape = (_SAMPLES_OF_HOP * (len(ledger.bounds) + 1), len(ledger.bounds))
        points = ledger.lowest_point + _HOP * self._rng.standard_normal(shape)
        points = np.clip(points, 0.0, 1.0)
        outputs = yield from ledger.evaluate(points)
        best = [np.argmin(ledger.value_of(outputs))]
        hopped = self._begin_descent(points[best][0], _ELSEWHERE_STEP, self._population())
        hopped.look_around(points[best], outputs[best])
        self._hops.append(hopped)
        return hopped

    @property
    def _may_hop(self) -> bool:
        return self._ledger.is_plain and len(self._ledger.values) > 0

    @property
    def _cost_of_hop(self) -> int:
        return _PATIENCE_OF_HOP * len(self._ledger.bounds)

    @property
    def _can_afford_hop(self) -> bool:
        return self._may_hop and self.n_left - self._reserve() >= self._cost_of_hop

    def _is_sharp(self, descent: Descent) -> bool:
        """Whether a descent has come down to the last digits that matter."""
        least = _GAIN_OF_SHARPENING * self._ledger.spread
        gains_less = descent.has_gained_less(least, _PATIENCE_LEFT, _N_GENERATIONS_LEFT)
        return descent.has_ended or gains_less

    def _other_codes(self) -> NDArray[np.float64] | None:
        """Return where a descent should begin with other codes, None if nowhere."""
        if self._codes is None or not len(self._ledger.points) or self._is_late():
            return None
        return self._codes.untried()

    def _elsewhere(self) -> NDArray[np.float64]:
        """Return a point that lies farther from all samples known than a few others do."""
        size = (_N_TRIED, len(self._ledger.bounds))
        tried = self._rng.uniform(_MARGIN, 1.0 - _MARGIN, size)
        taken = np.vstack([self._ledger.points, self._ledger.pending])
        if not len(taken):
            return tried[0]
        distances = cKDTree(taken).query(tried)[0]
        return np.asarray(tried[np.argmax(distances)])

    def _population(self) -> int:
        settings = self._settings
        default = 4 + int(3 * np.log(len(self._ledger.bounds)))
        return max(settings.population or default, 2 * settings.batch_size)

    def _begin_descent(
        self, mean: NDArray[np.float64], step_size: float, population: int
    ) -> Descent:
        self._ledger.weigh()
        if self._codes is not None:
            mean = self._codes.settle(mean)
        descent = Descent(
            self._ledger, mean, step_size, population, self._settings.batch_size, self._codes
        )
        self._descents.append(descent)
        self._current = descent
        return descent

    def _descend(self, descent: Descent) -> Batches:
        """Let a descent go on until it ends, or another one should."""
        self._current = descent
        # A candidate that was pending may begin another one meanwhile.
        while self._current is descent and not self._makes_room(descent):
            yield from descent.step(self._rng)
        if self._current is descent:
            self._current = None

    def _makes_room(self, descent: Descent) -> bool:
        """Tell whether a descent has ended, or others should be looked for."""
        if descent.has_ended:
            return True
        if not descent.n_evaluated:
            return False
        if descent is self._sharpened:
            return self._can_afford_hop and self._is_sharp(descent)
        if self._other_codes() is not None and descent.has_gained_less(
            _GAIN_AMONG_CODES * self._ledger.spread, _PATIENCE_AMONG_CODES
        ):
            return True
        if not self._is_best(descent):
            is_vain = descent in self._hops and descent.n_evaluated > self._cost_of_hop
            if is_vain and descent.lowest - descent.gain_left >= self._lowest_of_descents:
                return True
            return self._is_late() or descent.size < _BASIN_FOUND
        return descent.size < _BASIN_FOUND and descent.has_gained_less(
            _GAIN_LEFT * descent.spread, _PATIENCE_LEFT, _N_GENERATIONS_LEFT
        )

    def _reserve(self) -> float:
        return _SHARE_FOR_THE_END * self._end

    def _is_late(self) -> bool:
        return self.n_left <= self._reserve()

    def _is_best(self, descent: Descent) -> bool:
        return descent.lowest <= self._lowest_of_descents

    @property
    def _lowest_of_descents(self) -> float:
        return min(one.lowest for one in self._descents)
