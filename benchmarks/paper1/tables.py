"""Tables from the records of cells: errors with their intervals, and where their spread is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from paper1.cells import DIMS, FUNCTIONS, SAMPLINGS, Cell

__all__ = ["comparison", "decomposition", "load_cells", "other_searches", "table"]

Records = list[dict[str, Any]]
SEARCHES = ("pso", "ga")
_ROUNDING = 0.005


def load_cells(folder: Path) -> dict[Cell, Records]:
    """Return the records of every cell that has been run."""
    cells = {}
    for path in sorted(folder.glob("*.json")):
        protocol, dim, function, sampling = path.stem.split("-")
        cells[Cell(protocol, int(dim), function, sampling)] = json.loads(path.read_text())
    return cells


def prediction_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval in which one more value falls, by Student's t.

    Distances are not negative, so neither is its lower end.
    """
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    reach = stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return max(values.mean() - reach, 0.0), values.mean() + reach


def errors_of(
    cell: Cell, records: Records, optimizer: str, stage: str = "ends"
) -> NDArray[np.float64]:
    """Return the distances from the optimum, of shape (n_networks, n_runs).

    `stage` says of what: the "ends" of the runs, "refined", "before_descent" or "before_walk".
    """
    mine = [record for record in records if record["optimizer"] == optimizer]
    ends = [record["ends"] if stage == "ends" else [record[stage]] for record in mine]
    return np.linalg.norm(np.array(ends) - cell.problem().x_opt[0], axis=2)


def table(cells: dict[Cell, Records], dim: int) -> pd.DataFrame:
    """Return the rows of one of the paper's tables, for every protocol that has been run."""
    order = {"paper": 0, "corrected": 1, "proxyopt": 2}
    samplings = ("ground_truth", *SAMPLINGS)
    rows = []
    for cell, records in sorted(
        cells.items(),
        key=lambda item: (
            order[item[0].protocol],
            FUNCTIONS.index(item[0].row_name),
            samplings.index(item[0].sampling),
        ),
    ):
        if cell.dim != dim:
            continue
        for optimizer in SEARCHES:
            for refined in (False, True)[: 2 if cell.protocol == "proxyopt" else 1]:
                stage = "refined" if refined else "ends"
                means = errors_of(cell, records, optimizer, stage).mean(axis=1)
                low, high = prediction_interval(means)
                seconds = np.mean([r["seconds"] for r in records if r["optimizer"] == optimizer])
                rows.append(
                    {
                        "protocol": cell.protocol,
                        "dim": dim,
                        "function": cell.row_name,
                        "sampling": cell.sampling,
                        "optimizer": optimizer,
                        "refined": str(refined).lower(),
                        "mean": means.mean(),
                        "std": means.std(ddof=1) if len(means) > 1 else np.nan,
                        "ci_low": low,
                        "ci_high": high,
                        "n_replicates": len(means),
                        "seconds_per_network": (
                            0.0 if cell.sampling == "ground_truth" else round(float(seconds), 1)
                        ),
                    }
                )
    return pd.DataFrame(rows)


def shares_of_variance(errors: NDArray[np.float64]) -> dict[str, float]:
    """Split the variance of errors by where it is from, by the mean squares of nested groups.

    Parameters
    ----------
    errors : ndarray of shape (n_designs, n_networks, n_runs)
        Errors of the runs of a search on each network of each design.

    Returns
    -------
    dict
        Shares of "design", "training" and "search" that sum to one, and the "total" variance.
        Estimates below zero count as zero.
    """
    _, n_networks, n_runs = errors.shape
    by_network, by_design = errors.mean(axis=2), errors.mean(axis=(1, 2))
    search = errors.var(axis=2, ddof=1).mean()
    among_networks = n_runs * by_network.var(axis=1, ddof=1).mean()
    among_designs = n_networks * n_runs * by_design.var(ddof=1)
    parts = {
        "design": max((among_designs - among_networks) / (n_networks * n_runs), 0.0),
        "training": max((among_networks - search) / n_runs, 0.0),
        "search": search,
    }
    total = sum(parts.values())
    shares = {name: part / total if total else 0.0 for name, part in parts.items()}
    return {**shares, "total": total}


def decomposition(cells: dict[Cell, Records]) -> pd.DataFrame:
    """Return where the error of each corrected cell, and its spread, come from.

    A proxy's own minimum is the lowest point inside the box that any search of it found. The
    proxy error is its distance from the true optimum, the search error that of a run's end from
    it.
    """
    rows = []
    for cell, records in cells.items():
        if cell.protocol != "corrected":
            continue
        problem = cell.problem()
        lower, upper = problem.bounds.T
        by_network: dict[tuple[int, int], Records] = {}
        for record in records:
            by_network.setdefault((record["design"], record["network"]), []).append(record)
        minima = {}
        for key, own in by_network.items():
            ends = np.vstack([record["ends"] for record in own])
            promises = np.concatenate([record["promises"] for record in own])
            inside = ((ends >= lower) & (ends <= upper)).all(axis=1)
            minima[key] = ends[np.argmin(np.where(inside, promises, np.inf))]
        for optimizer in SEARCHES:
            mine = [record for record in records if record["optimizer"] == optimizer]
            ends = np.array([record["ends"] for record in mine])
            own_minima = np.array([minima[r["design"], r["network"]] for r in mine])
            errors = np.linalg.norm(ends - problem.x_opt[0], axis=2)
            n_designs = len({record["design"] for record in mine})
            shares = shares_of_variance(errors.reshape(n_designs, -1, errors.shape[1]))
            rows.append(
                {
                    "dim": cell.dim,
                    "function": cell.function,
                    "sampling": cell.sampling,
                    "optimizer": optimizer,
                    "error": errors.mean(),
                    "proxy_error": np.linalg.norm(own_minima - problem.x_opt[0], axis=1).mean(),
                    "search_error": np.linalg.norm(ends - own_minima[:, None], axis=2).mean(),
                    "std": shares["total"] ** 0.5,
                    "design_percent": 100 * shares["design"],
                    "training_percent": 100 * shares["training"],
                    "search_percent": 100 * shares["search"],
                    "r2": np.mean([record["fidelity"] for record in mine]),
                }
            )
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    keys = [frame["dim"], frame["function"].map(FUNCTIONS.index)]
    keys += [frame["sampling"].map(SAMPLINGS.index), frame["optimizer"].map(SEARCHES.index)]
    return frame.iloc[np.lexsort(keys[::-1])]


def other_searches(cells: dict[Cell, Records]) -> pd.DataFrame:
    """Return more errors on the default proxies.

    Those of PSO and GA before the descent ("alone") and before the walk ("descended"), and those of
    `MultiStartBFGS`, the package's default search ("default_search").
    """
    rows = [
        {
            "dim": cell.dim,
            "function": cell.function,
            "sampling": cell.sampling,
            "optimizer": optimizer,
            "alone": errors_of(cell, records, optimizer, "before_descent").mean(),
            "descended": errors_of(cell, records, optimizer, "before_walk").mean(),
            "default_search": errors_of(cell, records, "bfgs").mean(),
        }
        for cell, records in cells.items()
        for optimizer in SEARCHES
        if cell.protocol == "proxyopt"
    ]
    names = ["dim", "function", "sampling", "optimizer", "alone", "descended", "default_search"]
    return pd.DataFrame(rows, columns=names)


def comparison(tables: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return paper, code, corrected and ours side by side, a row for each entry.

    The paper prints two digits; an interval that holds what may have been rounded to them holds
    its mean.
    """
    rows = []
    for dim in DIMS:
        for function in FUNCTIONS:
            for sampling in ("ground_truth", *SAMPLINGS):
                for optimizer in SEARCHES:
                    mine = tables[
                        (tables["dim"] == dim)
                        & (tables["function"] == function)
                        & (tables["sampling"] == sampling)
                        & (tables["optimizer"] == optimizer)
                    ]
                    theirs = published[
                        (published["dim"] == dim)
                        & (published["function"] == function)
                        & (published["sampling"] == sampling)
                    ]
                    if mine.empty or theirs.empty:
                        continue
                    value = float(theirs[f"{optimizer}_mean"].iloc[0])
                    row: dict[str, Any] = {
                        "dim": dim,
                        "function": function,
                        "sampling": sampling,
                        "optimizer": optimizer,
                        "paper": value,
                        "code": np.nan,
                        "code_low": np.nan,
                        "code_high": np.nan,
                    }
                    for name, protocol, refined in (
                        ("code", "paper", "false"),
                        ("corrected", "corrected", "false"),
                        ("proxyopt", "proxyopt", "false"),
                        ("refined", "proxyopt", "true"),
                    ):
                        entry = mine[(mine["protocol"] == protocol) & (mine["refined"] == refined)]
                        row[name] = np.nan if entry.empty else entry["mean"].iloc[0]
                        if name == "code" and not entry.empty:
                            low, high = entry["ci_low"].iloc[0], entry["ci_high"].iloc[0]
                            row["code_low"], row["code_high"] = low, high
                            row["inside"] = bool(low - _ROUNDING <= value <= high + _ROUNDING)
                    rows.append(row)
    return pd.DataFrame(rows)
