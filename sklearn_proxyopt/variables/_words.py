"""What each variable may be, in words."""

from __future__ import annotations

from collections.abc import Iterator

from sklearn_proxyopt._utils._words import some_of
from sklearn_proxyopt.variables._domains import Domain, Integer
from sklearn_proxyopt.variables._kinds import Kinds

__all__ = ["rows_in_words"]

_WORDS = {
    "Real": "number",
    "Integer": "integer",
    "Categorical": "category",
    "Ordinal": "ordered category",
    "Periodic": "circle",
}
# Labels that are listed.
_MOST_LABELS = 12


def rows_in_words(kinds: Kinds) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each variable, its kind, and what it may be."""
    for name, one in zip(kinds.shown_names, kinds.domains, strict=True):
        yield name, "fixed" if one.is_fixed else _WORDS[type(one).__name__], _range_of(one)


def _range_of(one: Domain) -> str:
    """Return what a variable may be."""
    labels = getattr(one, "labels", None)
    if labels is not None:
        return some_of([str(label) for label in labels], _MOST_LABELS)
    if one.is_fixed:
        return f"{one.low:g}"
    return f"{one.low:g} to {one.high:g}" + "".join(_notes(one))


def _notes(one: Domain) -> Iterator[str]:
    """Yield what there is to say of a scale."""
    step, decimals = getattr(one, "step", None), getattr(one, "decimals", None)
    if getattr(one, "log", False):
        yield ", log scale"
    if step is not None and not (isinstance(one, Integer) and step == 1):
        yield f", in steps of {step:g}"
    if decimals is not None:
        yield f", {decimals} decimals"
