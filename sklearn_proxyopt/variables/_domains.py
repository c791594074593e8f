"""What one variable may be: a number, an integer, a label, or a place on a circle."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real

__all__ = ["Categorical", "Domain", "Integer", "Ordinal", "Periodic", "Real"]


class Domain:
    """What one variable may be; samples hold a number for it, from `low` to `high`.

    Attributes
    ----------
    low, high : float
        The lowest and the highest number.
    labels : tuple or None
        The labels, where the numbers are their codes 0, 1, ...
    log : bool
        Whether it is designed, learned and searched on a logarithmic axis.
    step : float or None
        How far apart the numbers lie that are allowed, counted from `low`; None for all of them.
    decimals : int or None
        To how many decimals a number is known that comes back from an experiment.
    is_whole : bool
        Whether its numbers are integers.
    is_category : bool
        Whether its labels have no order.
    is_periodic : bool
        Whether `low` and `high` are the same setting.
    """

    low: float
    high: float
    labels: tuple[Any, ...] | None = None
    log: bool = False
    step: float | None = None
    decimals: int | None = None
    is_whole = is_category = is_periodic = False

    @property
    def is_fixed(self) -> bool:
        """Whether there is but one value."""
        return self.low == self.high

    def value(self, number: float) -> Any:
        """Return what a number of a sample stands for.

        Parameters
        ----------
        number : float
            A number of a sample.

        Returns
        -------
        float, int or label
            The value.
        """
        if self.labels is not None:
            return self.labels[round(float(number))]
        return round(float(number)) if self.is_whole else float(number)

    def values(self, numbers: NDArray[np.float64]) -> Any:
        """Return what numbers of rows stand for, as a column of a table.

        Parameters
        ----------
        numbers : ndarray of shape (n,)
            The numbers of some samples.

        Returns
        -------
        ndarray or list
            A float, an int or a label for each.
        """
        if self.labels is None and not self.is_whole:
            return numbers.copy()
        return [self.value(number) for number in numbers]


@dataclass(frozen=True)
class Real(Domain):
    """A number between two bounds.

    Parameters
    ----------
    low : float
        The lower bound.
    high : float
        The upper bound; equal to `low` for a variable that is fixed.
    log : bool, default=False
        Whether ratios matter, not differences: it is sampled, learned and searched on a logarithmic
        axis. `low` must be above 0.
    step : float, default=None
        Distance between possible settings, counted from `low`. A reported sample counts as the
        nearest setting. None for any number.
    decimals : int, default=None
        Number of decimals to which the number is measured or typed when you report a result. A
        reported sample is the one that was asked for if it differs by no more than half of the last
        decimal. None for a number that you report as it was given.

    Examples
    --------
    >>> from sklearn_proxyopt.variables import Real, Variables
    >>> variables = Variables({"dose": Real(1e-4, 1e-1, log=True), "pH": Real(2, 12, step=0.5)})
    >>> variables.snap([[0.2, 7.3]])
    array([[0.1, 7.5]])
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    decimals: int | None = None

    def __post_init__(self) -> None:
        _check_ends(self)
        _check_log(self)
        if self.step is not None:
            check_real(self.step, "step", minimum=0.0, include_minimum=False)
        _check_decimals(self)


@dataclass(frozen=True)
class Integer(Domain):
    """An integer between two bounds, which belong to it.

    Parameters
    ----------
    low : int
        The lowest number.
    high : int
        The highest number; equal to `low` for a variable that is fixed.
    step : int, default=1
        Distance between allowed numbers, counted from `low`.
    log : bool, default=False
        Whether it is sampled, learned and searched on a logarithmic axis; `low` must be above 0.

    Examples
    --------
    >>> from sklearn_proxyopt.variables import Integer, Variables
    >>> Variables({"stirrer": Integer(100, 800, step=50)}).snap([[333.0]])
    array([[350.]])
    """

    low: int
    high: int
    step: int = 1
    log: bool = False
    is_whole = True

    def __post_init__(self) -> None:
        _check_ends(self)
        _check_log(self)
        if not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError(f"low and high of an Integer must be integers; got {self!r}.")
        check_integer(self.step, "step")


@dataclass(frozen=True)
class Categorical(Domain):
    """One of several labels without an order.

    A sample holds the code of a label, its index 0, 1, ... among `labels`; a proxy learns an
    indicator for each.

    Parameters
    ----------
    labels : sequence of hashable
        The labels, such as str, bool or numbers; a single one for a variable that is fixed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.variables import Categorical, Variables
    >>> Variables({"solvent": Categorical(["THF", "MeCN"])}).named(np.array([1.0]))
    {'solvent': 'MeCN'}
    """

    labels: tuple[Any, ...]
    low: float = field(default=0.0, init=False, repr=False, compare=False)
    high: float = field(init=False, repr=False, compare=False)
    is_category = True

    def __post_init__(self) -> None:
        _keep_labels(self)


@dataclass(frozen=True)
class Ordinal(Domain):
    """One of several labels in an order, such as grades or sizes that are in stock.

    A sample holds the code of a label, its index 0, 1, ... among `labels`. The codes are searched
    like integers, and a proxy learns them on one axis.

    Parameters
    ----------
    labels : sequence of hashable
        The labels from the first to the last; a single one for a variable that is fixed.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.variables import Ordinal, Variables
    >>> Variables({"diameter": Ordinal([0.8, 1.0, 1.6])}).named(np.array([2.0]))
    {'diameter': 1.6}
    """

    labels: tuple[Any, ...]
    low: float = field(default=0.0, init=False, repr=False, compare=False)
    high: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _keep_labels(self)


@dataclass(frozen=True)
class Periodic(Domain):
    """A number on a circle, such as an angle or a time of day.

    A proxy learns its sine and cosine, and a search may go on from one end to the other.

    Parameters
    ----------
    low : float
        Where a period begins.
    high : float
        Where it ends: the same setting as `low`. Samples hold numbers from `low` to below `high`;
        other numbers are wrapped into this period.
    decimals : int, default=None
        Number of decimals to which the number is measured or typed when you report a result, as of
        a `Real`.

    Examples
    --------
    >>> from sklearn_proxyopt.variables import Periodic, Variables
    >>> Variables({"angle": Periodic(0, 360)}).snap([[360.0], [-10.0]])
    array([[  0.],
           [350.]])
    """

    low: float
    high: float
    decimals: int | None = None
    is_periodic = True

    def __post_init__(self) -> None:
        _check_ends(self)
        _check_decimals(self)
        if self.is_fixed:
            raise ValueError(f"high of a Periodic must lie above low; got {self!r}.")


def _check_ends(domain: Domain) -> None:
    kind = type(domain).__name__
    for name in ("low", "high"):
        check_real(_as_number(getattr(domain, name)), f"{name} of {_article(kind)} {kind}")
    if domain.low > domain.high:
        raise ValueError(
            f"high of {_article(kind)} {kind} must not lie below low; got {domain!r}, the reversed "
            "pair."
        )
    if domain.high / 2.0 - domain.low / 2.0 > np.finfo(np.float64).max / 2.0:
        raise ValueError(
            f"low and high of {_article(kind)} {kind} must lie less than "
            f"{np.finfo(np.float64).max:.1e} apart; got {domain!r}."
        )


def _check_log(domain: Domain) -> None:
    check_option(domain.log, "log", (True, False))
    if domain.log and domain.low <= 0.0:
        raise ValueError(f"low must lie above 0 with log=True; got {domain!r}.")


def _check_decimals(domain: Domain) -> None:
    if domain.decimals is not None:
        check_integer(domain.decimals, "decimals", minimum=0, maximum=15)


def _as_number(value: Any) -> Any:
    """Return an integer of any size as a float, and all else as it is."""
    return float(value) if isinstance(value, Integral) and not isinstance(value, bool) else value


def _article(kind: str) -> str:
    return "an" if kind[0] in "IO" else "a"


def _keep_labels(domain: Categorical | Ordinal) -> None:
    """Keep labels as a tuple, or raise an error that says what is wrong with them."""
    given: Any = domain.labels
    is_listed = isinstance(given, Iterable) and not isinstance(given, str)
    labels = tuple(given) if is_listed else ()
    kind = type(domain).__name__
    if not all(isinstance(label, Hashable) for label in labels):
        raise ValueError(
            f"labels of {_article(kind)} {kind} must be hashable, such as str or numbers; got "
            f"{given!r}."
        )
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(
            f"labels of {_article(kind)} {kind} must be a list of different labels; got {given!r}."
        )
    object.__setattr__(domain, "labels", labels)
    object.__setattr__(domain, "high", float(len(labels) - 1))
