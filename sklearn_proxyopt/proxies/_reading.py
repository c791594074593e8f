"""Checks of what a file says of a proxy, and what is made of it by more than one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

__all__ = ["count", "count_functions", "expect", "expect_array", "facts_of_basis", "read_basis"]


def expect(is_so: bool, what: str) -> None:
    """Raise an error that says what a proxy must have, unless it is so."""
    if not is_so:
        raise ValueError(f"the proxy must have {what}")


def expect_array(
    arrays: dict[str, NDArray[Any]], name: str, shape: tuple[Any, ...], dtype: Any = None
) -> None:
    """Check that an array is there, finite and of a shape; None takes any length, a set some."""
    expect(name in arrays, f"the array {name}")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        wanted is None or length in (wanted if isinstance(wanted, set) else {wanted})
        for length, wanted in zip(array.shape, shape, strict=True)
    )
    expect(fits, f"an array {name} that fits the others, which shape {array.shape} does not")
    types = (np.float32, np.float64) if dtype is None else (dtype,)
    expect(array.dtype in types, f"numbers in {name}, not {array.dtype}")
    expect(bool(np.isfinite(array).all()), f"finite numbers in {name}")


def count(value: Any, name: str, least: int = 1) -> int:
    """Return a number that counts something, or raise an error that names it."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= least
    expect(is_count, f"{name} of at least {least}, not {value!r}")
    return int(value)


def facts_of_basis(name: str, basis: Any) -> dict[str, Any]:
    """Return what tells a basis of this name from others."""
    return {
        "trend": name,
        "degree": getattr(basis, "polynomial", basis).degree,
        "n_cosines": len(getattr(basis, "frequencies", ())),
    }


def count_functions(facts: dict[str, Any], n_features: int) -> int:
    """Return how many functions the basis has that facts tell of.

    It is built after the array of its coefficients is known to be as large: a file must not say by
    itself how much memory it takes.
    """
    from sklearn_proxyopt.proxies._trend import TREND_NAMES, PolynomialBasis

    degree = count(facts["degree"], "degree", least=0)
    n_cosines = count(facts["n_cosines"], "n_cosines", least=0)
    expect(facts["trend"] in TREND_NAMES, "a known trend")
    expect(degree < len(TREND_NAMES), "a known degree")
    is_additive = facts["trend"] == "additive"
    expect(is_additive or n_cosines == 0, "cosines only in an additive trend")
    return PolynomialBasis.count(n_features, degree) + n_features * n_cosines


def read_basis(facts: dict[str, Any], n_features: int) -> nn.Module:
    """Build the basis that facts tell of."""
    from sklearn_proxyopt.proxies._trend import AdditiveBasis, PolynomialBasis

    if facts["trend"] == "additive":
        return AdditiveBasis(n_features, facts["n_cosines"], facts["degree"])
    return PolynomialBasis(n_features, facts["degree"])
