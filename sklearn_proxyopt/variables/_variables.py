"""The variables of a problem: what is a valid sample, and the boxes in which it is searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import LinearConstraint
from scipy.stats import qmc

from sklearn_proxyopt._utils._dataset import is_among, lowest_rows
from sklearn_proxyopt._utils._html import card, table
from sklearn_proxyopt._utils._pandas import pandas_for
from sklearn_proxyopt.variables._constraints import Constraints
from sklearn_proxyopt.variables._features import Features
from sklearn_proxyopt.variables._reading import read_bounds
from sklearn_proxyopt.variables._repair import Repair
from sklearn_proxyopt.variables._words import rows_in_words

__all__ = ["Variables"]

_N_SAMPLE = 256
# Discrete spaces of up to so many settings are counted out.
_MOST_COUNTED = 100_000
# Samples looked at together: of many, the first tell most often.
_BLOCK = 1000


class Variables(Features):
    """The variables of a problem: what each may be, and the constraints between them.

    A sample in the user's units holds plain numbers: the value of a number, and of a label its code
    0, 1, ... `ProxyOptimizer` makes this object from its bounds and keeps it as `variables_`; you
    can also use it alone, to make samples valid.

    Samplers, optimizers and refiners work on the *axes*, a box with an axis for each variable that
    is not fixed: the logarithm of a log-scaled one, a cell of one step around each integer and
    each code, one period of a circle. A proxy learns *features*: the axes, but for a circle its
    sine and cosine and for a category an indicator for each of its labels.

    Parameters
    ----------
    bounds : array-like of shape (n_features, 2), scipy.optimize.Bounds, dict or list
        What each variable may be: a pair (low, high), one of the kinds of this module, a list of
        labels, or a single value for a variable that is fixed. A dict has them by name.
    constraints : LinearConstraint, NonlinearConstraint or sequence of them, default=()
        What samples must meet, by functions of one sample that are cheap and known. Their
        `keep_feasible` is taken to be True.

    Attributes
    ----------
    bounds : ndarray of shape (n_features, 2)
        The box, in the user's units; of labels, the first and the last code.
    kinds : Kinds
        What each variable may be.
    axes : ndarray of shape (n_axes, 2)
        The box of the axes.
    is_continuous_box : bool
        Whether every sample of the box is valid and the axes are the user's units.

    Examples
    --------
    >>> from scipy.optimize import LinearConstraint
    >>> from sklearn_proxyopt.variables import Integer, Variables
    >>> variables = Variables(
    ...     {"pressure": (0, 10), "stages": Integer(1, 8), "fluid": ["R32", "R290", "R1234yf"]},
    ...     constraints=LinearConstraint([[1, 1, 0]], ub=12),
    ... )
    >>> row = variables.snap([[9.5, 3.3, 1.2]])
    >>> row.round(6)
    array([[9., 3., 1.]])
    >>> variables.is_feasible(row)
    array([ True])
    >>> {name: str(value) for name, value in variables.named(row[0].round(6)).items()}
    {'pressure': '9.0', 'stages': '3', 'fluid': 'R290'}
    """

    def __init__(self, bounds: Any, *, constraints: Any = ()) -> None:
        super().__init__(read_bounds(bounds))
        empty = isinstance(constraints, (list, tuple)) and not len(constraints)
        self.constraints = None
        if not (empty or constraints is None):
            sampler = qmc.Halton(self.n_axes, rng=np.random.default_rng(0))
            self.constraints = Constraints(
                constraints, self.from_unit_cube(sampler.random(_N_SAMPLE))
            )
        is_other = self.is_discrete | self.kinds.is_log | self.kinds.is_periodic
        has_kinds = bool(is_other.any())
        self.is_continuous_box = not has_kinds and self.constraints is None

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the variables, where they have any."""
        return self.kinds.names

    @property
    def limits_on_axes(self) -> LinearConstraint | None:
        """The linear inequalities on points of the axes, None where there are none.

        Left out are those of a variable whose axis is logarithmic, a circle or one of categories.
        """
        if self.constraints is None:
            return None
        kinds, matrix = self.kinds, self.constraints.matrix
        is_bent = kinds.is_log | kinds.is_periodic | kinds.is_category
        is_equation = self.constraints.is_equation[: len(matrix)]
        held = np.flatnonzero(~is_equation & (matrix[:, is_bent] == 0.0).all(axis=1))
        if not len(held):
            return None
        lower, upper = self.constraints.targets
        slopes = matrix[np.ix_(held, self.searched)]
        is_fixed = np.setdiff1d(np.arange(self.n_features), self.searched)
        constant = matrix[np.ix_(held, is_fixed)] @ self.bounds[is_fixed, 0]
        return LinearConstraint(slopes, lower[held] - constant, upper[held] - constant)

    def is_feasible(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which samples are valid and meet the constraints.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of bool of shape (n,)
            Whether each lies inside the bounds, holds integers, steps and codes where it must, and
            meets every constraint: an equation to 1e-8 of what its values span within the bounds,
            an inequality exactly.
        """
        X = self.wrapped(np.asarray(X, dtype=np.float64))
        feasible: NDArray[np.bool_] = (self.valid(X) == X).all(axis=1)
        if self.constraints is not None and feasible.any():
            feasible[feasible] = self.constraints.are_met(X[feasible])
        return feasible

    def all_settings(self) -> NDArray[np.float64] | None:
        """Return every setting that is valid and meets the constraints, where they can be counted.

        Returns
        -------
        ndarray of shape (n_settings, n_features) or None
            The settings; None where values of a variable lie dense, or where there are more than
            100,000 settings before constraints.
        """
        rows = self._combinations()
        return None if rows is None else rows[self.is_feasible(rows)]

    def _combinations(self) -> NDArray[np.float64] | None:
        """Return every valid sample, constraints aside, where they can be counted."""
        values = self.all_values(_MOST_COUNTED)
        if values is None:
            return None
        return np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(values))

    def n_exhausted(self, X: NDArray[np.float64]) -> int:
        """Return how many settings there are, if all of them are known.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            The samples that are known.

        Returns
        -------
        int
            The number of settings, 0 where another one is left.
        """
        rows = self._combinations()
        if rows is None:
            return 0
        is_known = is_among(rows, X)
        # Constraints may be expensive functions: one further setting is enough.
        if any(self.is_feasible(block).any() for block in _blocks(rows[~is_known])):
            return 0
        return int(self.is_feasible(rows[is_known]).sum())

    def counts(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Tell which evaluated samples count as valid and feasible.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Samples that were evaluated, in the user's units.

        Returns
        -------
        ndarray of bool of shape (n,)
            Whether each is feasible, or may be the rounded form of a sample that is: each number
            may be off by half of the last digit it was written with, at least by 1e-6 of the width
            of its bounds and at most by 0.5 %.
        """
        X = np.asarray(X, dtype=np.float64)
        counts = self.is_feasible(X)
        counts[~counts] = (self.misses(X[~counts]) == 0.0).all(axis=1)
        return counts

    def any_counts(self, X: ArrayLike) -> bool:
        """Tell whether any of some evaluated samples counts as valid and feasible.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Samples that were evaluated, in the user's units.

        Returns
        -------
        bool
            Whether there is one that `counts`. Of many samples, no more are looked at than it
            takes.
        """
        return any(self.counts(block).any() for block in _blocks(np.asarray(X, dtype=np.float64)))

    def misses(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much evaluated samples miss each bound and each constraint.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features + n_constraints)
            In widths of the bounds, and in what the values of each constraint span within them; 0
            where a sample meets it up to the digits that it was written with.
        """
        X, reach = self.wrapped(X), self.reach(X)
        off = np.abs(self.valid(X) - X)
        missed = np.where(off <= reach, 0.0, off / self._widths)
        if self.constraints is None:
            return missed
        is_free = ~self.is_discrete
        return np.hstack([missed, self.constraints.misses(X, reach, self.bounds, is_free)])

    def nearest_miss(self, X: NDArray[np.float64]) -> str:
        """Describe what the nearest of some samples misses.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples that do not count, in the user's units.

        Returns
        -------
        str
            A sentence.
        """
        misses = self.misses(X)
        nearest = misses[misses.max(axis=1).argmin()]
        place = int(nearest.argmax())
        if place < self.n_features:
            what = f"the bounds of {self.kinds.label(place)} by {nearest[place]:.2g} of their width"
        else:
            what = f"a constraint by {nearest[place]:.2g} of what its values span"
        return f"The nearest that is left out misses {what}."

    def snap(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the nearest valid samples that meet the constraints.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        ndarray of shape (n, n_features)
            Valid samples. One that was feasible stays as it is. Where no feasible sample was found
            near one, it is valid but not feasible, as `is_feasible` tells.
        """
        valid = self.valid(np.asarray(X, dtype=np.float64))
        return valid if self.constraints is None else Repair(self, self.constraints).repaired(valid)

    def best_rows(
        self, X: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Any]:
        """Return the samples that count and have the lowest values, and the lowest value.

        Where values come with constraints, samples that keep those come first.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.
        y : ndarray of shape (n,) or (n, 1 + n_constraints)
            Their values.

        Returns
        -------
        rows : ndarray of shape (n_best, n_features)
            The best first, ten at most.
        value : float or ndarray of shape (1 + n_constraints,)
            The value of the best.
        """
        return lowest_rows(*self.rows_that_count(X, y))

    def rows_that_count(
        self, X: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the samples that count as valid and feasible, and their values.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.
        y : ndarray of shape (n,) or (n, n_outputs)
            Their values.

        Returns
        -------
        X : ndarray of shape (n_kept, n_features)
            The samples kept, at least one.
        y : ndarray of shape (n_kept,) or (n_kept, n_outputs)
            Their values.

        Raises
        ------
        ValueError
            If there is none.
        """
        counts = self.counts(X)
        if not counts.any():
            n_features = self.n_features
            if not (self.misses(X)[:, :n_features] == 0.0).all(axis=1).any():
                raise ValueError(
                    "bounds must hold at least one of the samples, in the same units; got none "
                    f"inside. {self.nearest_miss(X)}"
                )
            raise ValueError(
                "constraints must be met by at least one of the samples; got none that meets them. "
                f"{self.nearest_miss(X)}"
            )
        return X[counts], y[counts]

    def named(self, x: NDArray[np.float64]) -> dict[str, Any]:
        """Return a sample under the names of its variables, with labels for codes.

        Parameters
        ----------
        x : ndarray of shape (n_features,)
            A sample, in the user's units.

        Returns
        -------
        dict
            A float, an int or a label for each variable, under its name, or x0, x1, ...
        """
        values = zip(self.kinds.shown_names, self.kinds.domains, x, strict=True)
        return {name: one.value(number) for name, one, number in values}

    def to_frame(self, X: NDArray[np.float64]) -> Any:
        """Return samples as a DataFrame, with labels for codes.

        Parameters
        ----------
        X : ndarray of shape (n, n_features)
            Samples, in the user's units.

        Returns
        -------
        pandas.DataFrame
            Floats, integers and labels under the names of the variables, or x0, x1, ...

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pd = pandas_for("to_frame")
        columns = np.asarray(X, dtype=np.float64).T
        return pd.DataFrame(
            {
                name: one.values(column)
                for name, one, column in zip(
                    self.kinds.shown_names, self.kinds.domains, columns, strict=True
                )
            }
        )

    def _repr_html_(self) -> str:
        rows = [*rows_in_words(self.kinds)]
        constraints = "" if self.constraints is None else "<p>with constraints between them</p>"
        return card(table(rows, ("variable", "kind", "may be")), constraints)


def _blocks(X: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield samples, so many at once."""
    for start in range(0, len(X), _BLOCK):
        yield X[start : start + _BLOCK]
