"""The variables of a problem, each with its name and what it may be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.variables._domains import (
    Categorical,
    Domain,
    Integer,
    Ordinal,
    Periodic,
    Real,
)

__all__ = ["Kinds", "kind_of", "kinds_of_facts"]

# Labels that JSON gives back as they were.
_PLAIN = (str, bool, int, float, type(None))
_FOR_FRACTIONS = " A pair (low, high) in bounds is a number that may have a fraction."


@dataclass(frozen=True)
class Kinds:
    """Some variables: what each may be, and its name.

    Parameters
    ----------
    domains : tuple of Domain
        What each may be.
    names : tuple of str or None
        Their names, where they have any.
    """

    domains: tuple[Domain, ...]
    names: tuple[str, ...] | None = None

    @classmethod
    def plain(cls, n_features: int, names: tuple[str, ...] | None = None) -> Self:
        """Return plain numbers, whose bounds are not known yet."""
        return cls((Real(0.0, 1.0),) * n_features, names)

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def shown_names(self) -> tuple[str, ...]:
        """Their names, x0, x1, ... where they have none."""
        return self.names or tuple(f"x{place}" for place in range(len(self)))

    @cached_property
    def box(self) -> NDArray[np.float64]:
        """The bounds, of shape (n_features, 2)."""
        return np.array([(one.low, one.high) for one in self.domains], dtype=np.float64)

    @cached_property
    def is_fixed(self) -> NDArray[np.bool_]:
        """Which have one value only."""
        return np.array([one.is_fixed for one in self.domains])

    @cached_property
    def is_whole(self) -> NDArray[np.bool_]:
        """Which are integers."""
        return np.array([one.is_whole for one in self.domains])

    @cached_property
    def is_log(self) -> NDArray[np.bool_]:
        """Which are log-scaled, and not fixed."""
        return np.array([one.log and not one.is_fixed for one in self.domains])

    @cached_property
    def is_periodic(self) -> NDArray[np.bool_]:
        """Which lie on a circle."""
        return np.array([one.is_periodic for one in self.domains])

    @cached_property
    def is_category(self) -> NDArray[np.bool_]:
        """Which are categories of more than one label, without an order."""
        return np.array([one.is_category and not one.is_fixed for one in self.domains])

    @cached_property
    def steps(self) -> NDArray[np.float64]:
        """How far apart the values of each lie, 0 where they lie dense."""
        return np.array([_step_of(one) for one in self.domains])

    @cached_property
    def tolerances(self) -> NDArray[np.float64]:
        """How far off a number may be and still be the one asked for; 0 where it is exact."""
        decimals = [one.decimals for one in self.domains]
        return np.array([0.0 if digits is None else 0.5 * 10.0**-digits for digits in decimals])

    @property
    def levels(self) -> dict[int, tuple[Any, ...]]:
        """The labels of those that have any, by their place."""
        pairs = [(place, one.labels) for place, one in enumerate(self.domains)]
        return {place: labels for place, labels in pairs if labels is not None}

    def stated(self) -> dict[str, Domain] | list[Domain]:
        """Return the variables as a user states them."""
        if self.names is None:
            return list(self.domains)
        return dict(zip(self.names, self.domains, strict=True))

    def within(self, box: NDArray[np.float64]) -> Kinds:
        """Return the same variables inside other bounds; labels and circles stay whole."""
        domains = [
            one if one.labels is not None or one.is_periodic else _within(one, low, high)
            for one, (low, high) in zip(self.domains, box.tolist(), strict=True)
        ]
        return replace(self, domains=tuple(domains))

    def label(self, place: int) -> str:
        """Return what an error calls a variable."""
        return f"variable {place}" if self.names is None else repr(self.names[place])

    def facts(self) -> dict[str, Any]:
        """Return, as plain data, what decides about the meaning of samples, and of bounds."""
        facts: dict[str, Any] = {"whole": np.flatnonzero(self.is_whole).tolist(), "categories": {}}
        for place, labels in self.levels.items():
            facts["categories"][str(place)] = [
                label if isinstance(label, _PLAIN) else str(label) for label in labels
            ]
        ordered = [place for place in self.levels if isinstance(self.domains[place], Ordinal)]
        extra = {
            "ordered": ordered,
            "periodic": {
                str(place): [float(one.low), float(one.high)]
                for place, one in enumerate(self.domains)
                if one.is_periodic
            },
            "log": [place for place, one in enumerate(self.domains) if one.log],
            "steps": {
                str(place): float(one.step)
                for place, one in enumerate(self.domains)
                if one.step is not None and not (one.is_whole and one.step == 1)
            },
            "decimals": {
                str(place): one.decimals
                for place, one in enumerate(self.domains)
                if one.decimals is not None
            },
        }
        return facts | {name: value for name, value in extra.items() if value}

    def difference(self, facts: dict[str, Any]) -> str:
        """Say which variable is of another kind in facts known from elsewhere; "" if none is."""
        own = self.facts()
        for place in range(len(self)):
            known, got = (kind_of(one, place) for one in (facts, own))
            if known != got:
                return f"{self.label(place)} is {known} there, got {got}"
        return ""

    def check_rows(self, X: NDArray[np.float64]) -> None:
        """Raise an error unless samples hold integers, codes and positive values where they must.

        They may lie outside the bounds and miss the constraints.
        """
        for place, one in enumerate(self.domains):
            column = X[:, place]
            owed: list[tuple[str, NDArray[np.bool_]]] = []
            if one.labels is not None:
                n_labels = len(one.labels)
                codes = f"codes from 0 to {n_labels - 1} of the labels of"
                owed.append((codes, ~np.isin(column, np.arange(n_labels))))
            # A reading between steps counts as the nearest of them.
            if one.is_whole and one.step == 1:
                owed.append(("integers in", np.rint(column) != column))
            if one.log:
                owed.append(("values above 0 in the log-scaled", column <= 0.0))
            for what, bad in owed:
                if bad.any():
                    remedy = _FOR_FRACTIONS if what == "integers in" else ""
                    raise ValueError(
                        f"X must hold {what} {self.label(place)}; got {column[bad][0]}.{remedy}"
                    )


def kind_of(facts: dict[str, Any], place: int) -> str:
    """Return what facts say of a variable."""
    labels = facts["categories"].get(str(place))
    if labels is not None:
        labels = [str(label) for label in labels]
        is_ordered = place in facts.get("ordered", ())
        return f"ordered, {labels}" if is_ordered else f"a category of {labels}"
    kind = "an integer" if place in facts["whole"] else "continuous"
    period = facts.get("periodic", {}).get(str(place))
    kind = kind if period is None else f"periodic from {period[0]:g} to {period[1]:g}"
    step = facts.get("steps", {}).get(str(place))
    return kind if step is None else f"{kind} in steps of {step:g}"


def kinds_of_facts(
    facts: dict[str, Any], box: NDArray[np.float64], names: tuple[str, ...] | None
) -> Kinds:
    """Return the variables that facts tell of, within bounds."""
    domains = tuple(
        _domain_of(facts, place, low, high) for place, (low, high) in enumerate(box.tolist())
    )
    return Kinds(domains, names)


def _domain_of(facts: dict[str, Any], place: int, low: float, high: float) -> Domain:
    labels = facts["categories"].get(str(place))
    if labels is not None:
        kind = Ordinal if place in facts.get("ordered", ()) else Categorical
        return kind(labels)
    log = place in facts.get("log", ())
    step, decimals = (facts.get(name, {}).get(str(place)) for name in ("steps", "decimals"))
    if place in facts["whole"]:
        return Integer(round(low), round(high), 1 if step is None else round(step), log)
    period = facts.get("periodic", {}).get(str(place))
    if period is not None:
        return Periodic(float(period[0]), float(period[1]), decimals)
    return Real(low, high, log, step, decimals)


def _step_of(domain: Domain) -> float:
    if domain.is_fixed:
        return 0.0
    return 1.0 if domain.labels is not None else float(domain.step or 0.0)


def _within(domain: Domain, low: float, high: float) -> Domain:
    if domain.is_whole:
        return replace(domain, low=int(np.ceil(low)), high=int(np.floor(high)))  # type: ignore[type-var]
    return replace(domain, low=low, high=high)  # type: ignore[type-var]
