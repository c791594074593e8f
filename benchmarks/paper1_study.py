"""What a proxy does to an optimum: the published study, as it was, corrected, and done better.

    python benchmarks/paper1_study.py table1                       # table2, table3
    python benchmarks/paper1_study.py table1 --protocol proxyopt   # one protocol alone
    python benchmarks/paper1_study.py figure2                      # figure3
    python benchmarks/paper1_study.py robustness                   # elsewhere

Networks and cells are kept in `--cache` and never computed twice: a run that is stopped goes on
where it was. The results are written to `docs/results/paper1/`. On one idle core the
protocols cost about 40 minutes (paper), 31 (corrected) and 20 (proxyopt).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from paper1 import elsewhere, figures, robustness
from paper1.cells import FUNCTIONS, Cell, cells_of
from paper1.networks import PublishedProxy
from paper1.protocols import PROTOCOLS, run_cell, run_ground_truth
from paper1.shelf import Shelf
from paper1.tables import comparison, decomposition, load_cells, other_searches, table
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

RESULTS = Path("docs/results/paper1")
TABLES = {"table1": 2, "table2": 4, "table3": 10}


def work_of(cell: Cell) -> tuple[float, int]:
    """Return about how long a cell takes, in any unit, and the epochs of its networks."""
    protocol = PROTOCOLS[cell.protocol]
    proxies = [proxy for _, _, proxy in protocol.replicates(cell)]
    if not isinstance(proxies[0], PublishedProxy):
        return len(proxies), 1
    n_epochs = proxies[0].max_epochs
    steps = n_epochs * cell.sampler(0).n_samples / proxies[0].batch_size
    return len(proxies) * (1 + 1e-5 * steps), n_epochs


def run(cells: list[Cell], cache: Path) -> None:
    """Run the cells that the cache lacks, under a bar with the time left."""
    shelf = Shelf(cache / "shelf")
    missing = [cell for cell in cells if not _path(cell, cache).exists()]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, speed_estimate_period=1800) as progress:
        done = progress.add_task("cells", total=len(cells), completed=len(cells) - len(missing))
        work = progress.add_task("work", total=sum(work_of(cell)[0] for cell in missing))
        finished = 0.0
        for cell in missing:
            progress.update(done, description=cell.name)
            share, n_epochs = work_of(cell)

            def on_epoch(
                epoch: int, start: float = finished, step: float = share / n_epochs
            ) -> None:
                progress.update(work, completed=start + step * epoch)

            protocol = PROTOCOLS[cell.protocol]
            if cell.sampling == "ground_truth":
                records = run_ground_truth(cell, protocol)
            else:
                records = run_cell(cell, protocol, shelf, on_epoch)
            path = _path(cell, cache)
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            unfinished.write_text(json.dumps(records))
            unfinished.rename(path)
            finished += share
            progress.update(work, completed=finished)
            progress.update(done, advance=1)


def _path(cell: Cell, cache: Path) -> Path:
    return cache / "cells" / f"{cell.name}.json"


def cells_for(dim: int, protocols: list[str], true_rastrigin: bool) -> list[Cell]:
    """Return the cells of a table; that of two variables has searches of the functions too."""
    cells = []
    for protocol in protocols:
        if protocol == "paper" and dim == 2:
            cells += [Cell(protocol, 2, function, "ground_truth") for function in FUNCTIONS]
        cells += [
            cell for cell in cells_of(protocol, true_rastrigin=true_rastrigin) if cell.dim == dim
        ]
    return cells


def write_tables(cache: Path, true_rastrigin: bool) -> None:
    """Write all tables from all cells in the cache."""
    left_out = "rastrigin_first_four" if true_rastrigin else "rastrigin"
    cells = {
        cell: records
        for cell, records in load_cells(cache / "cells").items()
        if (cell.protocol, cell.dim, cell.function) != ("paper", 10, left_out)
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    tables = {name: table(cells, dim) for name, dim in TABLES.items()}
    for name, frame in tables.items():
        _write(frame, f"{name}.csv")
    parts = decomposition(cells)
    if not parts.empty:
        _write(parts, "decomposition.csv")
        figures.draw_decomposition(parts, RESULTS / "decomposition.png")
    published = pd.read_csv(RESULTS / "published.csv")
    compared = comparison(pd.concat(tables.values()), published)
    compared = compared.merge(other_searches(cells), how="left")
    _write(compared, "comparison.csv")
    for name, dim in TABLES.items():
        _write(figures.side_by_side(compared[compared["dim"] == dim]), f"{name}_side_by_side.csv")


def print_cost(name: str) -> None:
    """Print what this run cost, and a network of each protocol."""
    print(f"{time.process_time():.0f} seconds of the processor; a network of {name} took")
    frame = pd.read_csv(RESULTS / f"{name}.csv")
    frame = frame[frame["sampling"] != "ground_truth"]
    seconds = frame.pivot_table("seconds_per_network", ["function", "sampling"], "protocol")
    print(seconds.round(1).to_string())


def _write(frame: Any, name: str) -> None:
    frame.to_csv(RESULTS / name, index=False, float_format="%.4g", lineterminator="\n")


def main() -> None:
    """Run what one table or figure needs and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    others = ["figure2", "figure3", "robustness", "elsewhere", "write"]
    parser.add_argument("what", choices=[*TABLES, *others])
    parser.add_argument("--protocol", choices=[*PROTOCOLS], nargs="+", default=list(PROTOCOLS))
    parser.add_argument(
        "--true-rastrigin",
        action="store_true",
        help="under the paper's protocol, Rastrigin's function of all ten variables instead of "
        "the published one, which sums the first four",
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/paper1"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.what in TABLES:
        run(
            cells_for(TABLES[options.what], options.protocol, options.true_rastrigin), options.cache
        )
    elif options.what == "robustness":
        robustness.run(options.cache / "robustness", RESULTS)
        return
    elif options.what == "elsewhere":
        elsewhere.run(options.cache, RESULTS)
        return
    elif options.what != "write":
        function = {"figure2": "rosenbrock", "figure3": "rastrigin"}[options.what]
        cells = [Cell("paper", 2, function, sampling) for sampling in ("dense", "sparse")]
        run([*cells, Cell("paper", 2, function, "ground_truth")], options.cache)
        figures.draw_landscapes(function, options.cache, RESULTS / f"{options.what}.png")
        return
    write_tables(options.cache, options.true_rastrigin)
    if options.what in TABLES:
        print_cost(options.what)


if __name__ == "__main__":
    main()
