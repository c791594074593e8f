"""How far one may move: the settings that are as good as the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._inspect._level_set import extremes, level_set
from sklearn_proxyopt._inspect._subject import Subject, subject_of
from sklearn_proxyopt._utils._goal import Direction
from sklearn_proxyopt._utils._pandas import pandas_for
from sklearn_proxyopt._utils._types import BoundsLike, RandomStateLike
from sklearn_proxyopt._utils._validation import as_generator, check_integer, check_real
from sklearn_proxyopt.diagnosis._diagnosis import SHARE_TOLERATED
from sklearn_proxyopt.variables import Variables

__all__ = ["NearOptimal", "near_optimal"]

_ONE_SIGMA = 0.6827
# What is tolerated at least where all values are the same, as a share of them.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class NearOptimal:
    """The settings that a surrogate model says are as good as the best.

    Parameters
    ----------
    within : float
        How much worse than at the optimum a value may be, in units of the values.
    optimum : ndarray of shape (n_features,)
        The optimum.
    lower : ndarray of shape (n_features,)
        The lowest value of each variable among these settings; of a category its lowest code.
    upper : ndarray of shape (n_features,)
        The highest.
    samples : ndarray of shape (n_samples, n_features)
        Such settings, spread over all of them.
    values : ndarray of shape (n_samples,)
        What the model predicts there.
    direction : ndarray of shape (n_features,)
        The flattest direction: in it one can go farthest without losing more than `within`. Its
        components are in widths of the bounds (on a log scale where there is one), of length 1;
        0 for a category and a fixed variable.
    ends : ndarray of shape (2, n_features)
        Two of the settings, far apart in the flattest direction.
    share : float
        About how much of the search space these settings fill.
    variables : Variables
        Names and kinds of the variables.

    Examples
    --------
    >>> from sklearn_proxyopt.inspection import near_optimal
    >>> bounds = [(-1.0, 1.0), (-1.0, 1.0)]
    >>> found = near_optimal(lambda X: (X**2).sum(axis=1), within=0.25, bounds=bounds)
    >>> found.upper.round(1)
    array([0.5, 0.5])
    """

    within: float
    optimum: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    samples: NDArray[np.float64]
    values: NDArray[np.float64]
    direction: NDArray[np.float64]
    ends: NDArray[np.float64]
    share: float
    variables: Variables

    def labels(self, name: int | str) -> list[Any]:
        """Return the labels that a category takes among these settings.

        Parameters
        ----------
        name : int or str
            The variable, by index or name.

        Returns
        -------
        list
            Labels, in the order of their codes.
        """
        names = list(self.variables.names or ())
        place = names.index(name) if isinstance(name, str) and name in names else name
        known = self.variables.kinds.levels
        if place not in known:
            raise ValueError(f"name must be a category; got {name!r}.")
        assert isinstance(place, int)
        return [known[place][int(code)] for code in np.unique(self.samples[:, place])]

    def to_frame(self) -> Any:
        """Return the ranges as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each variable: the optimum, the lowest and the highest value (of a category
            its labels, as a text), the share of the bounds between them, and its part in the
            flattest direction.
        """
        frame = self.variables.to_frame(np.vstack([self.optimum, self.lower, self.upper]))
        width = np.ptp(self.variables.bounds, axis=1)
        share = np.divide(self.upper - self.lower, width, out=np.zeros(len(width)), where=width > 0)
        rows = []
        for place, name in enumerate(frame.columns):
            best, low, high = frame[name]
            if self.variables.kinds.is_category[place]:
                low = high = ", ".join(map(str, self.labels(place)))
            rows.append((name, best, low, high, share[place], self.direction[place]))
        columns = ["variable", "optimum", "lowest", "highest", "share", "flattest"]
        return pandas_for("to_frame").DataFrame(rows, columns=columns)


def near_optimal(
    estimator: Any,
    within: float | None = None,
    *,
    bounds: BoundsLike | None = None,
    direction: Direction | None = None,
    n_samples: int = 512,
    random_state: RandomStateLike = 0,
) -> NearOptimal:
    """Find all settings that are as good as the best, to within a tolerance.

    The answer is the surrogate model's: how far each variable may move while the others are
    adapted, examples of such settings, and the direction in which it matters least.

    Parameters
    ----------
    estimator : ProxyOptimizer, regressor or callable
        A fitted optimizer; or a fitted regressor, or a function of samples, with `bounds`.
    within : float, default=None
        How much worse than at the optimum a value may be, in units of the values. None takes what
        the model cannot tell apart: its standard deviation at the optimum, and at least 2 % of
        what lies between a usual value and the best one.
    bounds : array-like of shape (n_features, 2), Bounds, dict or list, default=None
        The variables of a regressor, as of `ProxyOptimizer`. None for an optimizer.
    direction : {"minimize", "maximize"}, default=None
        Which optimum of a regressor is meant; None minimizes. None for an optimizer.
    n_samples : int, default=512
        How many such settings to return, at most.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the search.

    Returns
    -------
    NearOptimal
        Ranges, samples and the flattest direction.

    See Also
    --------
    importances : Which variables matter.

    Notes
    -----
    Levels sink from the whole space to the tolerance, and samples are moved within each by
    differences between others; so all regions that hold a noticeable share of the space are
    found, connected or not. A range goes from the lowest to the highest value over all of them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.inspection import near_optimal
    >>> X = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    >>> y = X[:, 0] ** 2 + 0.04 * X[:, 1] ** 2
    >>> opt = ProxyOptimizer(proxy="gp", random_state=0).fit(X, y)
    >>> near = near_optimal(opt, within=0.01)
    >>> near.upper.round(1)
    array([0.1, 0.5])
    >>> abs(near.direction).round(1)
    array([0., 1.])
    """
    if within is not None:
        check_real(within, "within", minimum=0.0, include_minimum=False)
    check_integer(n_samples, "n_samples", minimum=2)
    rng = as_generator(random_state)
    generator = np.random.default_rng(int(rng.integers(2**31 - 1)))
    if hasattr(estimator, "n_objectives"):
        raise ValueError(
            "estimator must have a single objective; got a ParetoOptimizer, whose front is "
            "X_front_."
        )
    subject = subject_of(estimator, bounds, direction, seed=int(generator.integers(2**31 - 1)))
    tolerated = _tolerated(subject) if within is None else float(within)
    variables = subject.variables

    def losses(places: NDArray[np.float64]) -> NDArray[np.float64]:
        return subject.losses(variables.from_unit_cube(places))

    optimum = subject.optimum
    known = variables.to_unit_cube(optimum[None])
    limit = float(losses(known)[0]) + tolerated
    places, share = level_set(losses, variables.n_axes, known, limit, generator)
    ends = extremes(losses, places, limit, generator)
    everything = np.vstack([known, ends.reshape(-1, variables.n_axes), places])
    rows = variables.from_unit_cube(everything)
    lower, upper = rows.min(axis=0), rows.max(axis=0)
    axis, far = _flattest(variables, everything)
    chosen = generator.permutation(len(places))[:n_samples]
    samples = variables.from_unit_cube(places[chosen])
    return NearOptimal(
        within=tolerated,
        optimum=optimum,
        lower=lower,
        upper=upper,
        samples=samples,
        values=subject.values(samples),
        direction=axis,
        ends=rows[far],
        share=share,
        variables=variables,
    )


def _tolerated(subject: Subject) -> float:
    """Return what the model cannot tell apart."""
    at_optimum = subject.optimum[None]
    interval = subject.intervals(at_optimum, _ONE_SIGMA)
    deviation = 0.0 if interval is None else 0.5 * float(np.ptp(interval))
    share = SHARE_TOLERATED * np.nan_to_num(subject.spread)
    tolerated = max(deviation, float(share))
    if subject.spread == 0.0:
        # All values are the same.
        tolerated = max(tolerated, _ROUNDING * max(1.0, abs(float(subject.values(at_optimum)[0]))))
    if not tolerated > 0.0:
        raise ValueError(
            "within must be given, in units of the values, for a model that does not tell its "
            "uncertainty; got None."
        )
    return tolerated


def _flattest(
    variables: Variables, places: NDArray[np.float64]
) -> tuple[NDArray[np.float64], list[int]]:
    """Return the direction in which points spread most, and which of them lie farthest apart."""
    direction = np.zeros(variables.n_features)
    numbers = ~variables.is_category_axis
    if not numbers.any():
        return direction, [0, 0]
    centered = places[:, numbers] - places[:, numbers].mean(axis=0)
    own = np.linalg.svd(centered, full_matrices=False)[2][0]
    # Its largest component points up.
    own = own * np.sign(own[np.argmax(np.abs(own))])
    direction[variables.searched[numbers]] = own
    along = centered @ own
    return direction, [int(np.argmin(along)), int(np.argmax(along))]
