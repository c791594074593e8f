"""Regressors compared as proxies: many problems, numbers of samples and repeats."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.benchmark._cells import FIELDS, function_sample, measured, table_sample

__all__ = ["Comparison", "compare_regressors"]

_MEASURES = ("error", "error_low", "regret", "guarded_regret", "interval_score", "fit_seconds")
_PLACE = ("problem", "n_rows", "repeat", "regressor")
_TEXTS, _COUNTS = ("problem", "regressor"), ("n_features", "n_rows", "repeat")
# Errors below this share of the spread count as equal.
_FLOOR = 1e-3

Cell = dict[str, Any]


def compare_regressors(
    regressors: Mapping[str, Any],
    problems: Mapping[str, Any],
    *,
    n_rows: int | Sequence[int] = (50, 200),
    n_repeats: int = 3,
    path: str | PathLike[str] | None = None,
    random_state: int = 0,
) -> Comparison:
    """Fit regressors to the same samples of problems, and measure how well they replace them.

    Of a function a regressor learns a Latin hypercube and is judged on 2,000 samples drawn
    uniformly; its minimum is searched by a `MultiStartBFGS`, the same for all. Of a table it learns
    rows drawn at random and is judged on the others; its minimum is the sample that it predicts
    lowest.

    Parameters
    ----------
    regressors : mapping of str to regressor
        What is compared, under the names that are shown.
    problems : mapping of str to callable or tuple
        Functions of samples (n, n_features) with the attribute `bounds`, as those of
        `sklearn_proxyopt.problems` are, or tables ``(X, y)``.
    n_rows : int or sequence of int, default=(50, 200)
        How many samples are learned.
    n_repeats : int, default=3
        How often each is repeated, with other samples.
    path : str or path-like, default=None
        A CSV file to which each result is appended. Results that it holds are not computed again.
    random_state : int, default=0
        Draws samples, and seeds regressors that have no seed of their own.

    Returns
    -------
    Comparison
        All results.

    Raises
    ------
    ValueError
        If a parameter is out of its limits, or a function is not finite inside its bounds.

    See Also
    --------
    Comparison : The results.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from sklearn_proxyopt.benchmark import compare_regressors
    >>> from sklearn_proxyopt.problems import Levy
    >>> result = compare_regressors(
    ...     {"line": Ridge(), "neighbors": KNeighborsRegressor()},
    ...     {"Levy, turned": Levy(2).rotated_and_shifted(0)},
    ...     n_rows=40,
    ...     n_repeats=2,
    ... )
    >>> len(result.cells)
    4
    >>> sorted(result.mean_ranks("error"))
    [('line', 40), ('neighbors', 40)]
    """
    check_integer(n_repeats, "n_repeats")
    check_integer(random_state, "random_state", minimum=0)
    numbers = [check_integer(number, "n_rows", minimum=3) for number in np.ravel(n_rows).tolist()]
    _check_problems(problems, max(numbers))
    known = Comparison.from_csv(path).cells if path is not None and Path(path).exists() else []
    done = {_key(cell) for cell in known}
    cells = list(known)
    for place in _places(problems, numbers, n_repeats):
        missing = [name for name in regressors if (*place, name) not in done]
        if not missing:
            continue
        sample, seed = _sample(problems[place[0]], place, random_state)
        for name in missing:
            about = dict(zip(_PLACE, (*place, name), strict=True))
            about |= measured(regressors[name], sample, seed)
            cells.append({field: about[field] for field in FIELDS})
            if path is not None:
                _append(path, cells[-1])
    return Comparison(cells)


def _places(
    problems: Iterable[str], numbers: Sequence[int], n_repeats: int
) -> Iterator[tuple[str, int, int]]:
    for repeat in range(n_repeats):
        for number in numbers:
            for problem in problems:
                yield problem, number, repeat


def _sample(problem: Any, place: tuple[str, int, int], random_state: int) -> tuple[Any, int]:
    """Draw the samples of one comparison, the same whatever else is compared."""
    name, n_rows, repeat = place
    rng = np.random.default_rng([random_state, zlib.crc32(name.encode()), n_rows, repeat])
    draw = table_sample if isinstance(problem, tuple) else function_sample
    return draw(problem, n_rows, rng), int(rng.integers(2**31 - 1))


def _check_problems(problems: Mapping[str, Any], most_rows: int) -> None:
    for name, problem in problems.items():
        if isinstance(problem, tuple):
            if len(problem) != 2 or len(problem[0]) <= most_rows:
                raise ValueError(
                    f"problems must hold tables (X, y) of more than {most_rows} rows, some to "
                    f"judge by; got {name!r}."
                )
        elif not callable(problem) or not hasattr(problem, "bounds"):
            raise ValueError(
                f"problems must be functions with bounds or tables (X, y); got {name!r}: "
                f"{problem!r}."
            )


@dataclass(frozen=True)
class Comparison:
    """How well regressors predict functions and tables, and how good their optima are.

    Parameters
    ----------
    cells : list of dict
        A dictionary for each regressor, problem, number of samples and repeat. Its entries are
        `problem`, `n_features`, `n_rows`, `repeat`, `regressor`; `error` and `error_low`, the root
        mean square error at new samples and at the lowest tenth of them, in standard deviations of
        the values; `coverage` and `covered_at_minimum`, which share of the values lies in the 90 %
        interval, and whether that at the minimum does; `interval_score`, the mean score of Gneiting
        and Raftery (2007) in standard deviations; `predicted_at_minimum` and `value_at_minimum`;
        `best_row`, the lowest value learned; `lowest_known` and `median`; `fit_seconds` and
        `predict_seconds`. What a regressor does not provide is NaN.

    See Also
    --------
    compare_regressors : Makes one.
    ComparisonDisplay : Draws it.

    References
    ----------
    .. [1] Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", 2007,
       :doi:`10.1198/016214506000001437`.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.neighbors import KNeighborsRegressor
    >>> from sklearn_proxyopt.benchmark import compare_regressors
    >>> from sklearn_proxyopt.problems import Levy
    >>> result = compare_regressors(
    ...     {"line": Ridge(), "neighbors": KNeighborsRegressor()},
    ...     {"Levy": Levy(2)},
    ...     n_rows=(20, 40),
    ...     n_repeats=1,
    ... )
    >>> result.regressors
    ['line', 'neighbors']
    >>> sorted(result.medians("error"))
    [('line', 20), ('line', 40), ('neighbors', 20), ('neighbors', 40)]
    """

    cells: list[Cell]

    @classmethod
    def from_csv(cls, path: str | PathLike[str]) -> Self:
        """Read what `to_csv` or a run with a path wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Comparison
            The results.
        """
        with open(path, newline="") as file:
            cells = [_read(cell) for cell in csv.DictReader(file)]
        return cls(cells)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write all results into a file, one a line.

        Parameters
        ----------
        path : str or path-like
            The file; one that is there is replaced.
        """
        Path(path).unlink(missing_ok=True)
        for cell in self.cells:
            _append(path, cell)

    @property
    def regressors(self) -> list[str]:
        """The names of the regressors, in the order in which they came."""
        return list(dict.fromkeys(cell["regressor"] for cell in self.cells))

    def values(self, measure: str) -> dict[tuple[str, int, int], dict[str, float]]:
        """Return a measure of every regressor for every problem, number of samples and repeat.

        Parameters
        ----------
        measure : str
            "error", "error_low", "interval_score", "fit_seconds"; "regret", how far the value at
            the minimum lies above the lowest that is known, as a share of how far the median does;
            or "guarded_regret", that of the best sample learned where it is lower than the value at
            the minimum.

        Returns
        -------
        dict
            For each problem, number of samples and repeat, the value of each regressor.
        """
        check_option(measure, "measure", _MEASURES)
        lowest: dict[str, float] = {}
        for cell in self.cells:
            ends = (cell["lowest_known"], cell["value_at_minimum"], cell["best_row"])
            lowest[cell["problem"]] = min(lowest.get(cell["problem"], np.inf), *ends)
        places: dict[tuple[str, int, int], dict[str, float]] = {}
        for cell in self.cells:
            place = (cell["problem"], cell["n_rows"], cell["repeat"])
            value = _value(cell, measure, lowest[cell["problem"]])
            places.setdefault(place, {})[cell["regressor"]] = value
        return places

    def mean_ranks(self, measure: str) -> dict[tuple[str, int], float]:
        """Return the mean rank of each regressor at each number of samples, 1 the best.

        Only comparisons for which every regressor that was compared with as many samples has the
        measure count. Errors and regrets below a thousandth are equal.

        Parameters
        ----------
        measure : str
            As of `values`.

        Returns
        -------
        dict
            The mean rank under the regressor's name and the number of samples.
        """
        return {
            (name, n_rows): float(rank)
            for n_rows, (names, groups) in self._ranks(measure).items()
            for name, rank in zip(names, np.vstack([*groups.values()]).mean(axis=0), strict=True)
        }

    def rank_intervals(
        self, measure: str, *, level: float = 0.9, n_draws: int = 2000, random_state: int = 0
    ) -> dict[tuple[str, int], tuple[float, float]]:
        """Return bootstrap intervals of the mean ranks, over problems.

        Problems are drawn with replacement, each with all its repeats: the intervals say how far
        the ranks depend on which problems were chosen.

        Parameters
        ----------
        measure : str
            As of `values`.
        level : float, default=0.9
            Which share of the draws an interval holds.
        n_draws : int, default=2000
            How often problems are drawn.
        random_state : int, default=0
            Draws them.

        Returns
        -------
        dict
            Lower and upper end under the regressor's name and the number of samples.
        """
        check_real(level, "level", minimum=0.0, maximum=1.0, include_minimum=False)
        check_integer(n_draws, "n_draws")
        check_integer(random_state, "random_state", minimum=0)
        ends, intervals = [(1.0 - level) / 2.0, (1.0 + level) / 2.0], {}
        for n_rows, (names, groups) in self._ranks(measure).items():
            sums = np.array([ranks.sum(axis=0) for ranks in groups.values()])
            sizes = np.array([len(ranks) for ranks in groups.values()])
            rng = np.random.default_rng(random_state)
            drawn = rng.integers(len(sizes), size=(n_draws, len(sizes)))
            means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
            for name, (low, high) in zip(names, np.quantile(means, ends, axis=0).T, strict=True):
                intervals[name, n_rows] = (float(low), float(high))
        return intervals

    def _telling(self, measure: str) -> dict[int, list[str]]:
        """Name the regressors that tell a measure, for each number of samples."""
        telling = [name for name in self.regressors if self._tells(name, measure)]
        known = {(cell["n_rows"], cell["regressor"]) for cell in self.cells}
        numbers = sorted({n_rows for n_rows, _ in known})
        return {n: [name for name in telling if (n, name) in known] for n in numbers}

    def _ranks(self, measure: str) -> dict[int, tuple[list[str], dict[str, NDArray[np.float64]]]]:
        """Return names and ranks (n_repeats, n_names) of problems, by number of samples."""
        ranks: dict[int, dict[str, list[NDArray[np.float64]]]] = {}
        names = self._telling(measure)
        for (problem, n_rows, _), values in self.values(measure).items():
            if all(name in values for name in names[n_rows]):
                row = np.array([values[name] for name in names[n_rows]])
                floored = row if measure == "fit_seconds" else np.maximum(row, _FLOOR)
                ranks.setdefault(n_rows, {}).setdefault(problem, []).append(rankdata(floored))
        return {
            n_rows: (names[n_rows], {problem: np.array(rows) for problem, rows in groups.items()})
            for n_rows, groups in sorted(ranks.items())
        }

    def medians(self, measure: str) -> dict[tuple[str, int], float]:
        """Return the median of a measure for each regressor and number of samples.

        Parameters
        ----------
        measure : str
            As of `values`.

        Returns
        -------
        dict
            The median under the regressor's name and the number of samples.
        """
        groups: dict[tuple[str, int], list[float]] = {}
        for (_, n_rows, _), values in self.values(measure).items():
            for name, value in values.items():
                groups.setdefault((name, n_rows), []).append(value)
        return {key: float(np.median(group)) for key, group in groups.items()}

    def coverage(self, at_minimum: bool = False) -> dict[tuple[str, int], float]:
        """Return which share of the values the 90 % intervals hold, NaN where there are none.

        Parameters
        ----------
        at_minimum : bool, default=False
            Whether at the regressor's own minimum, and not at new samples.

        Returns
        -------
        dict
            The share under the regressor's name and the number of samples.
        """
        name = "covered_at_minimum" if at_minimum else "coverage"
        groups: dict[tuple[str, int], list[float]] = {}
        for cell in self.cells:
            groups.setdefault((cell["regressor"], cell["n_rows"]), []).append(cell[name])
        return {key: float(np.mean(group)) for key, group in groups.items()}

    def share_worse_than_best_row(self) -> dict[tuple[str, int], float]:
        """Return how often the value at the minimum is higher than that of the best sample learned.

        Returns
        -------
        dict
            The share under the regressor's name and the number of samples.
        """
        groups: dict[tuple[str, int], list[bool]] = {}
        for cell in self.cells:
            is_worse = cell["value_at_minimum"] > cell["best_row"]
            groups.setdefault((cell["regressor"], cell["n_rows"]), []).append(is_worse)
        return {key: float(np.mean(group)) for key, group in groups.items()}

    def _tells(self, name: str, measure: str) -> bool:
        if measure != "interval_score":
            return True
        return all(np.isfinite(c[measure]) for c in self.cells if c["regressor"] == name)


def _value(cell: Cell, measure: str, lowest: float) -> float:
    if measure not in ("regret", "guarded_regret"):
        return float(cell[measure])
    reached = cell["value_at_minimum"]
    if measure == "guarded_regret":
        reached = min(reached, cell["best_row"])
    return float((reached - lowest) / max(cell["median"] - lowest, np.finfo(float).tiny))


def _key(cell: Cell) -> tuple[Any, ...]:
    return tuple(cell[name] for name in _PLACE)


def _read(cell: dict[str, str]) -> Cell:
    return {
        name: text if name in _TEXTS else int(text) if name in _COUNTS else float(text)
        for name, text in cell.items()
    }


def _append(path: str | PathLike[str], cell: Cell) -> None:
    is_new = not Path(path).exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerow(cell)
