"""What others reach with the same budget of true evaluations.

    python benchmarks/peers.py run                                # all runs, in their order
    python benchmarks/peers.py run --dim 10 --solver cma_es       # some of them
    python benchmarks/peers.py table --dim 10 --budget 1000       # mean ranks of what is there
    python benchmarks/peers.py report                             # docs/results/peers/

Each run is kept in a file under `--cache` and never repeated: a program that was stopped goes on
where it was. A run that failed is kept with its reason; `run --again` repeats those. Needs the
packages of the extra `peers`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from peers.problems import BBOB, DIMS
from peers.queue import N_SEEDS, SIMULATORS, cells_of, work_through
from peers.ranks import mean_ranks, summary
from peers.solvers import BUDGETS, SOLVERS

RESULTS = Path("docs/results/peers")


def main() -> None:
    """Run, print a table, or write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".cache/peers"))
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run what the cache lacks")
    run.add_argument("--problem", nargs="+", choices=[*BBOB, *SIMULATORS])
    run.add_argument("--dim", nargs="+", type=int)
    run.add_argument("--solver", nargs="+", choices=SOLVERS)
    run.add_argument("--budget", nargs="+", type=int, choices=BUDGETS)
    run.add_argument("--seed", nargs="+", type=int, choices=range(N_SEEDS))
    run.add_argument("--limit", type=float, default=300.0, help="processor seconds of a run")
    run.add_argument("--again", action="store_true", help="repeat runs that failed")
    table = commands.add_parser("table", help="print mean ranks of what the cache holds")
    table.add_argument("--dim", type=int, choices=DIMS)
    table.add_argument("--budget", type=int, choices=BUDGETS, required=True)
    table.add_argument("--solver", nargs="+", choices=SOLVERS)
    commands.add_parser("report", help="write the summary, the tables and the figures")
    options = parser.parse_args()
    if options.command == "run":
        wanted = ("problem", "dim", "solver", "budget", "seed")
        cells = cells_of({name: getattr(options, name) for name in wanted})
        work_through(cells, options.cache, options.limit, options.again)
    elif options.command == "table":
        rows = summary(options.cache)
        print(mean_ranks(rows, options.dim, options.budget, options.solver).to_string())
    else:
        from peers.report import write_report

        write_report(options.cache, RESULTS)


if __name__ == "__main__":
    main()
