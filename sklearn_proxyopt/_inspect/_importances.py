"""Which variables matter: in the whole search space, and at the optimum."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import sobol_indices, uniform

from sklearn_proxyopt._inspect._subject import Subject, subject_of
from sklearn_proxyopt._utils._goal import Direction
from sklearn_proxyopt._utils._pandas import pandas_for
from sklearn_proxyopt._utils._types import BoundsLike, RandomStateLike
from sklearn_proxyopt._utils._validation import as_generator, check_integer, check_real

__all__ = ["Importances", "importances"]

_LEVEL, _N_RESAMPLES = 0.95, 200
# Places along each axis at which the value beside the optimum is looked at.
_N_BESIDE = 33


@dataclass(frozen=True)
class Importances:
    """How much each variable matters to the values of a surrogate model.

    Parameters
    ----------
    names : tuple of str
        The variables, in their order.
    first_order : ndarray of shape (n_features,)
        The share of the variance that each explains by itself.
    first_order_interval : ndarray of shape (n_features, 2)
        Where that share lies with a probability of 95 %.
    total_order : ndarray of shape (n_features,)
        The share that would be left if all others were known: its own and what it does together
        with others.
    total_order_interval : ndarray of shape (n_features, 2)
        Where that share lies with a probability of 95 %.
    local_change : ndarray of shape (n_features,)
        How much worse the value gets, at most, where one variable alone leaves the optimum by
        `step`, in units of the values; a category takes any other label.
    unexplained : float
        The share of the variance that the model misses at samples it has not seen, by which the
        intervals are widened; 0 where that is not known.

    Examples
    --------
    >>> from sklearn_proxyopt.inspection import importances
    >>> bounds = [(-1.0, 1.0), (-1.0, 1.0)]
    >>> found = importances(lambda X: 3.0 * X[:, 0] ** 2 + X[:, 1], bounds=bounds, n_samples=64)
    >>> found.names
    ('x0', 'x1')
    >>> bool(found.total_order[0] > found.total_order[1])
    True
    """

    names: tuple[str, ...]
    first_order: NDArray[np.float64]
    first_order_interval: NDArray[np.float64]
    total_order: NDArray[np.float64]
    total_order_interval: NDArray[np.float64]
    local_change: NDArray[np.float64]
    unexplained: float

    def to_frame(self) -> Any:
        """Return the importances as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each variable, the one of the largest total share first.
        """
        frame = pandas_for("to_frame").DataFrame(
            {
                "variable": self.names,
                "total": self.total_order,
                "total_low": self.total_order_interval[:, 0],
                "total_high": self.total_order_interval[:, 1],
                "alone": self.first_order,
                "alone_low": self.first_order_interval[:, 0],
                "alone_high": self.first_order_interval[:, 1],
                "local_change": self.local_change,
            }
        )
        return frame.iloc[np.argsort(-self.total_order, kind="stable")].reset_index(drop=True)


def importances(
    estimator: Any,
    bounds: BoundsLike | None = None,
    *,
    direction: Direction | None = None,
    output: int = 0,
    n_samples: int = 4096,
    step: float = 0.1,
    random_state: RandomStateLike = 0,
) -> Importances:
    """Say how much each variable matters, in the whole search space and at the optimum.

    The shares are Sobol indices [1]_ of the surrogate model, with all variables spread evenly over
    their bounds: on a log scale where they have one, over integers and labels where they are such.
    Known constraints are left aside here, since the indices are defined for variables that vary
    independently.

    Parameters
    ----------
    estimator : ProxyOptimizer, ParetoOptimizer, regressor or callable
        A fitted optimizer; or a fitted regressor, or a function of samples, with `bounds`.
    bounds : array-like of shape (n_features, 2), Bounds, dict or list, default=None
        The variables of a regressor, as of `ProxyOptimizer`. None for an optimizer.
    direction : {"minimize", "maximize"}, default=None
        Which optimum of a regressor `local_change` is about; None minimizes. None for an optimizer.
    output : int, default=0
        Which output is explained, of several objectives and constraints.
    n_samples : int, default=4096
        A power of 2. The model predicts `n_samples` samples for each variable, and twice as many
        more.
    step : float, default=0.1
        How far a variable leaves the optimum for `local_change`, as a share of its range; an
        integer leaves it by one at least.
    random_state : None, int, RandomState or Generator, default=0
        Seeds the sample and the intervals.

    Returns
    -------
    Importances
        Shares with their intervals, and changes at the optimum. A variable that is fixed has 0.

    See Also
    --------
    near_optimal : How far each variable may move.

    References
    ----------
    .. [1] Saltelli, Annoni, Azzini, Campolongo, Ratto and Tarantola, "Variance based sensitivity
       analysis of model output", 2010, :doi:`10.1016/j.cpc.2009.09.018`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.inspection import importances
    >>> X = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 3))
    >>> y = 3.0 * X[:, 0] ** 2 + X[:, 1]
    >>> opt = ProxyOptimizer(proxy="gp", random_state=0).fit(X, y)
    >>> importances(opt).total_order.round(1)
    array([0.7, 0.3, 0. ])
    """
    check_integer(n_samples, "n_samples", minimum=16)
    if n_samples & (n_samples - 1):
        raise ValueError(f"n_samples must be a power of 2, such as 4096; got {n_samples}.")
    check_real(step, "step", minimum=0.0, maximum=1.0, include_minimum=False)
    rng = as_generator(random_state)
    seed = int(rng.integers(2**31 - 1))
    subject = subject_of(estimator, bounds, direction, output, seed)
    shares, low, high = _sobol(subject, n_samples, seed)
    unexplained = subject.unexplained
    ends = np.stack([low - unexplained, high + unexplained], axis=-1).clip(0.0, 1.0)
    first, total = _on_all(subject, shares)
    return Importances(
        names=subject.names,
        first_order=first,
        first_order_interval=_on_all(subject, ends)[0],
        total_order=total,
        total_order_interval=_on_all(subject, ends)[1],
        local_change=_local_change(subject, step),
        unexplained=unexplained,
    )


def _sobol(
    subject: Subject, n_samples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return indices and the ends of their intervals, each of shape (2, n_axes)."""
    variables = subject.variables

    def values(places: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = variables.from_unit_cube(np.atleast_2d(places.T))
        parts = np.array_split(rows, -(-len(rows) // 4096))
        return np.concatenate([subject.values(part) for part in parts])

    rng = np.random.default_rng(seed)
    if variables.n_axes == 1:
        # SciPy takes two variables at least; one explains all there is.
        share = np.full((2, 1), float(np.ptp(values(rng.random((1, n_samples)))) > 0.0))
        return share, share, share
    dists = [uniform()] * variables.n_axes
    with warnings.catch_warnings():
        # Of variables that do nothing, which have no interval.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = sobol_indices(func=values, n=n_samples, dists=dists, rng=rng)
        ends = found.bootstrap(confidence_level=_LEVEL, n_resamples=_N_RESAMPLES)
    shares = np.nan_to_num([found.first_order, found.total_order])
    intervals = [ends.first_order.confidence_interval, ends.total_order.confidence_interval]
    low, high = (np.array([getattr(one, end) for one in intervals]) for end in ("low", "high"))
    return shares, np.where(np.isnan(low), shares, low), np.where(np.isnan(high), shares, high)


def _on_all(subject: Subject, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers of shape (2, n_axes, ...) for all variables, zero for those that are fixed."""
    full = np.zeros((2, subject.variables.n_features, *shares.shape[2:]))
    full[:, subject.variables.searched] = shares
    return full


def _local_change(subject: Subject, step: float) -> NDArray[np.float64]:
    """Return how much worse the value gets, at most, beside the optimum along each variable."""
    variables, change = subject.variables, np.zeros(subject.variables.n_features)
    place = variables.to_unit_cube(subject.optimum[None])[0]
    own = subject.goal.turned(subject.values(subject.optimum[None]))[0]
    for axis, index in enumerate(variables.searched):
        beside = np.tile(place, (_N_BESIDE, 1))
        reach = 1.0 if variables.kinds.is_category[index] else _reach(variables, axis, step)
        low, high = max(place[axis] - reach, 0.0), min(place[axis] + reach, 1.0)
        beside[:, axis] = np.linspace(low, high, _N_BESIDE)
        losses = subject.goal.turned(subject.values(variables.from_unit_cube(beside)))
        change[index] = max(float(losses.max() - own), 0.0)
    return change


def _reach(variables: Any, axis: int, step: float) -> float:
    """Return a step in the unit cube, one cell of an integer at least."""
    index = variables.searched[axis]
    cell = variables.kinds.steps[index] / np.ptp(variables.axes[axis])
    return max(step, 0.0 if variables.kinds.is_log[index] else float(cell))
