"""The variables as the bounds of an optimizer and the samples it has seen state them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._types import Constraint
from sklearn_proxyopt.variables import NamedFunction, Variables
from sklearn_proxyopt.variables._domains import Domain
from sklearn_proxyopt.variables._kinds import Kinds
from sklearn_proxyopt.variables._reading import read_bounds

__all__ = ["SpaceSpec", "calls_by_names", "of_plain_rows"]


@dataclass(frozen=True)
class SpaceSpec:
    """The variables: what bounds state of them, what samples have shown, and known constraints.

    Parameters
    ----------
    stated : Kinds or None
        What bounds state; None where there are none.
    seen : Kinds or None
        What the columns of a table, a file or a journal have told; None where nothing has.
    names : tuple of str or None
        The names that samples had.
    constraints : sequence of constraints
        Known constraints, as of SciPy.
    """

    stated: Kinds | None
    seen: Kinds | None
    names: tuple[str, ...] | None
    constraints: Constraint | Sequence[Constraint]

    @classmethod
    def of(cls, optimizer: Any, bounds: Any) -> Self:
        """Return what bounds and the samples of an optimizer state of the variables."""
        stated = None if bounds is None else read_bounds(bounds)
        return cls.with_kinds(optimizer, stated)

    @classmethod
    def in_force(cls, optimizer: Any) -> Self:
        """Return what holds between runs: bounds given to `minimize`, or those of the parameter."""
        state = optimizer._known
        if state.keeps_box and state.variables is not None:
            return cls.with_kinds(optimizer, state.variables.kinds)
        return cls.of(optimizer, optimizer.bounds)

    @classmethod
    def with_kinds(cls, optimizer: Any, stated: Kinds | None) -> Self:
        """Return variables that are stated, and what the samples of an optimizer have shown."""
        names = getattr(optimizer, "feature_names_in_", None)
        known = None if names is None else tuple(str(name) for name in names)
        return cls(stated, optimizer._kinds_seen, known, optimizer.constraints)

    def kinds(self, n_features: int) -> Kinds:
        """Return so many variables, as they are stated or else seen."""
        known = self.seen if self.stated is None else self.stated
        if known is None:
            return Kinds.plain(n_features, self.names)
        if len(known) != n_features:
            raise ValueError(
                f"bounds must have one row for each of the {n_features} variables; got "
                f"{len(known)} rows."
            )
        if self.stated is not None and self.stated.names is None:
            return self._with_labels_seen(self.stated)
        return known if known.names is not None else replace(known, names=self.names)

    def variables(self, X: NDArray[np.float64] | None = None) -> Variables:
        """Return the variables inside the bounds, or where there are none in the box of samples."""
        if X is None:
            assert self.stated is not None
            return self._variables(self.kinds(len(self.stated)))
        kinds = self.kinds(X.shape[1])
        if self.stated is None:
            kinds = kinds.within(np.column_stack([X.min(axis=0), X.max(axis=0)]))
        return self._variables(kinds)

    def inside(self, box: NDArray[np.float64]) -> Variables:
        """Return the variables inside a box that is known."""
        return self._variables(self.kinds(len(box)).within(box))

    @property
    def stated_names(self) -> tuple[str, ...] | None:
        """The names that bounds give the variables."""
        return None if self.stated is None else self.stated.names

    @property
    def names_known(self) -> tuple[str, ...] | None:
        """The names that bounds give the variables, or else those that samples had."""
        return self.names if self.stated_names is None else self.stated_names

    def _variables(self, kinds: Kinds) -> Variables:
        return Variables(kinds.stated(), constraints=self.constraints)

    def _with_labels_seen(self, stated: Kinds) -> Kinds:
        """Return variables without names under those seen, with the labels of their columns."""
        domains = stated.domains
        if self.seen is not None:
            pairs = enumerate(zip(domains, self.seen.domains, strict=True))
            domains = tuple(
                _with_labels(one, seen, self.seen.label(place)) for place, (one, seen) in pairs
            )
        return Kinds(domains, self.names)


def _with_labels(stated: Domain, seen: Domain, label: str) -> Domain:
    """Return what is stated of a variable, or the labels seen where that is a plain pair."""
    if seen.labels is None or stated.labels is not None:
        return stated
    codes = (seen.low, seen.high)
    if (stated.low, stated.high) != codes:
        raise ValueError(
            f"bounds must be {codes} for the codes of the labels {list(seen.labels)} of {label}, "
            f"or a dict that states labels; got {(stated.low, stated.high)}."
        )
    return seen


def calls_by_names(input_format: str, space: Variables) -> bool:
    """Tell whether the objective takes samples by the names of the variables."""
    return input_format == "named" or (input_format == "auto" and space.names is not None)


def of_plain_rows(
    objective: Callable[..., Any], space: Variables, *, input_format: str, vectorized: bool
) -> Callable[..., Any]:
    """Return the objective as a function of plain samples."""
    is_named = calls_by_names(input_format, space)
    return NamedFunction(objective, space, vectorized) if is_named else objective
