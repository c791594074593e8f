"""Kill a run at random moments, start it again, and see whether anything was lost or paid twice.

Each attempt is a process of its own that uses a journal, and is killed by SIGKILL: every other one
after a random time, the others while a random evaluation runs or is written down. After each kill
the one file of the journal is copied by itself: the copy must have every row that a run was told is
on disk. When an attempt gets to its end, its answer is compared with that of a run nobody killed,
and a new journal is begun, until all kills are spent, of each kind of run in turn and as many of
each. A table keeps what was found of each kind until the last run that came to its end, so that the
benchmark itself can be killed and started again. Needs a system that forks.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from scipy.optimize import LinearConstraint

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.evaluation import Evaluator, Journal
from sklearn_proxyopt.evaluation._journal_writer import JournalWriter
from sklearn_proxyopt.exceptions import FailedEvaluationWarning, FalseOptimumWarning, JournalError
from sklearn_proxyopt.infill import ProxyMinima
from sklearn_proxyopt.optimizers import NSGA2
from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer

PROBLEM = Rosenbrock(n_dims=2)


class Simulator:
    """A function of one row that takes its time, fails at some rows, and notes each call."""

    def __init__(self, calls: Path, seconds: float, n_outputs: int = 1) -> None:
        self.calls = calls
        self.seconds = seconds
        self.n_outputs = n_outputs

    def __call__(self, x: np.ndarray) -> Any:
        with self.calls.open("a") as file:
            file.write(key_of(x) + "\n")
        time.sleep(self.seconds)
        if x[0] > 1.8:
            raise ArithmeticError("no state")
        value = float(PROBLEM(x[None])[0])
        return value if self.n_outputs == 1 else [value, x[0] - 1.0][: self.n_outputs]


def key_of(x: np.ndarray) -> str:
    return json.dumps((np.asarray(x) + 0.0).tolist())


def proxy_run(simulator: Simulator, journal: Path, n_samples: int, **params: Any) -> dict:
    """Minimise, and return the answer."""
    budget, bounds = params.pop("budget", None), params.pop("bounds", PROBLEM.bounds)
    defaults = {
        "sampler": SobolSampler(n_samples),
        "proxy": NeuralProxyRegressor((16,), max_epochs=5),
        "refiner": LocalRefinement(max_evaluations=n_samples // 2),
        "vectorized": False,
        "on_error": "drop",
        "journal": journal,
        "verdict": False,
        "random_state": 0,
    }
    optimizer = ProxyOptimizer(**{**defaults, **params})
    result = optimizer.minimize(simulator, bounds, budget=budget)
    rows = np.column_stack([optimizer.X_, optimizer.y_])
    return {"x": result.x.tolist(), "fun": result.fun, "rows": sorted(rows.tolist())}


def eight_pending(
    simulator: Simulator, journal: Path, n_samples: int, order: str, executor: Any = None
) -> dict:
    """Minimise by eight workers, each of which gets the next row as soon as it is free.

    They are threads where there is no executor.
    """
    optimizer = ProxyOptimizer(
        proxy=NeuralProxyRegressor((16,), max_epochs=5),
        vectorized=False,
        on_error="drop",
        n_jobs=8,
        journal=journal,
        verdict=False,
        random_state=0,
    )
    with joblib.parallel_config(backend="threading"):
        result = optimizer.minimize(
            simulator, PROBLEM.bounds, budget=4 * n_samples, order=order, executor=executor
        )
    n_rows = len(optimizer.X_) + len(optimizer.X_failed_)
    if order == "results":
        # Which rows these are depends on how long each takes.
        return {"rows": n_rows}
    return {"x": result.x.tolist(), "fun": result.fun, "rows": optimizer.X_.tolist()}


def eight_processes(simulator: Simulator, journal: Path, n_samples: int, order: str) -> dict:
    """Minimise by eight worker processes, which are killed together with the run."""
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("fork")) as executor:
        return eight_pending(simulator, journal, n_samples, order, executor)


def evaluations_alone(simulator: Simulator, journal: Path, n_samples: int) -> dict:
    """Evaluate a design and learn nothing, so that kills meet evaluations and commits."""
    X = SobolSampler(4 * n_samples, random_state=0).sample(PROBLEM.bounds)
    with Journal(journal).writing(2, PROBLEM.bounds) as writer:
        evaluate = Evaluator(simulator, vectorized=False, on_error="drop", journal=writer)
        writer.read_into(evaluate.record)
        evaluate(X)
    return {"rows": [key_of(x) for x in Journal(journal).rows()[0]]}


def pareto_run(simulator: Simulator, journal: Path, n_samples: int) -> dict:
    simulator.n_outputs = 2
    optimizer = ParetoOptimizer(
        sampler=SobolSampler(n_samples),
        proxy=NeuralProxyRegressor((16,), max_epochs=5),
        optimizer=NSGA2(16, 8),
        budget=n_samples + n_samples // 2,
        n_rounds=2,
        vectorized=False,
        on_error="drop",
        journal=journal,
        random_state=0,
    )
    optimizer.minimize(simulator, PROBLEM.bounds)
    return {"front": optimizer.X_front_.tolist()}


def ask_tell_run(simulator: Simulator, journal: Path, n_samples: int) -> dict:
    """Ask and tell in batches of four; points that were asked for before a kill come first."""
    evaluate = Evaluator(simulator, vectorized=False, on_error="drop")
    optimizer = ProxyOptimizer(
        bounds=PROBLEM.bounds,
        sampler=SobolSampler(8),
        proxy=NeuralProxyRegressor((16,), max_epochs=5),
        on_error="drop",
        journal=journal,
        random_state=0,
    )
    points = Journal(journal).pending_points() if journal.exists() else np.empty((0, 2))
    n_told = len(Journal(journal)) if journal.exists() else 0
    while n_told < n_samples:
        points = points if len(points) else optimizer.ask(4)
        optimizer.tell(points, evaluate(points))
        n_told, points = n_told + len(points), points[:0]
    return {"rows": sorted(map(key_of, Journal(journal).rows()[0]))}


RUNS: dict[str, Callable[[Simulator, Path, int], dict]] = {
    "evaluations alone": evaluations_alone,
    "design and refinement": proxy_run,
    "budget": lambda *given: proxy_run(*given, sampler=None, refiner="auto", budget=2 * given[2]),
    "eight pending rows": lambda *given: eight_pending(*given, "seed"),
    "eight pending rows, used as they come": lambda *given: eight_pending(*given, "results"),
    "eight worker processes": lambda *given: eight_processes(*given, "seed"),
    "eight worker processes, used as they come": lambda *given: eight_processes(*given, "results"),
    "two workers": lambda *given: proxy_run(*given, n_jobs=2),
    "learned failures": lambda *given: proxy_run(*given, on_error="learn"),
    "constraints": lambda *given: proxy_run(
        *given,
        bounds=[Integer(-2, 2), (-2.0, 2.0)],
        constraints=LinearConstraint([[1.0, 1.0]], ub=2.5),
    ),
    "a constraint of the function": lambda simulator, *given: proxy_run(
        with_outputs(simulator, 2), *given, n_constraints=1
    ),
    "categories": lambda *given: proxy_run(*given, **CATEGORIES),
    "infill": lambda *given: proxy_run(*given, infill=ProxyMinima(4, n_rounds=3)),
    "ask and tell": ask_tell_run,
    "Pareto": pareto_run,
}
CATEGORIES: dict[str, Any] = {
    "bounds": {"kind": ["a", "b", "c"], "x": (-2.0, 2.0)},
    "input_format": "array",
}


def with_outputs(simulator: Simulator, n_outputs: int) -> Simulator:
    simulator.n_outputs = n_outputs
    return simulator


def note_what_is_on_disk(path: Path) -> None:
    """Let each writer of this process note the rows that it has been told are on disk."""
    append = JournalWriter._append

    def noted(writer: JournalWriter, rows: Any) -> None:
        rows = list(rows)
        append(writer, rows)
        with path.open("a") as file:
            file.writelines(f"{key_of(row[1])}\n" for row in rows)

    JournalWriter._append = noted  # type: ignore[method-assign]


class Moment(NamedTuple):
    """When a process is killed: so many seconds after it has begun so many evaluations."""

    n_calls: int
    seconds: float

    def wait(self, calls: Path, process: int) -> None:
        """Wait for the moment, or for the end of the process."""
        while len(lines(calls)) < self.n_calls and not has_ended(process):
            time.sleep(0.001)
        time.sleep(self.seconds)


def has_ended(process: int) -> bool:
    """Tell whether a child has come to its end, which is left to be asked for."""
    ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return ended is not None


def attempt(folder: Path, kind: str, seconds: float, n_samples: int, kill: Moment | None) -> bool:
    """Run in a process of its own, killed at a moment; tell whether it came to its end."""
    (folder / "calls.txt").write_text("")
    process = os.fork()
    if not process:
        status = 1
        try:
            os.setpgid(0, 0)
            note_what_is_on_disk(folder / "reported.txt")
            simulator = Simulator(folder / "calls.txt", seconds)
            answer = RUNS[kind](simulator, folder / "runs.sqlite", n_samples)
            (folder / "answer.json").write_text(json.dumps(answer))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if kill is not None:
        kill.wait(folder / "calls.txt", process)
        # The workers, too.
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
    status = os.waitpid(process, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise SystemExit(f"An attempt of {kind} ended by itself with status {status}.")
    return status == 0


def rows_in(path: Path) -> list[str]:
    """Return every row of a journal, in the order in which they were evaluated."""
    if not path.exists() or not path.stat().st_size:
        return []
    return [key_of(entry.x) for entry in Journal(path)._contents().entries]


def rows_in_copy(folder: Path, counts: Counter) -> list[str]:
    """Return what a copy of the one file has, after a repair if it caught a commit half way."""
    copies = Path(tempfile.mkdtemp(dir=folder))
    try:
        copy = copies / "runs.sqlite"
        if (folder / "runs.sqlite").exists():
            shutil.copyfile(folder / "runs.sqlite", copy)
        try:
            return rows_in(copy)
        except JournalError as error:
            print(f"A copy needs a repair: {error}", flush=True)
            counts["copies that needed a repair"] += 1
            Journal(copy).repair(copies / "repaired.sqlite")
            return rows_in(copies / "repaired.sqlite")
    finally:
        shutil.rmtree(copies)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def kill_and_look(folder: Path, kind: str, options: Any, moment: Moment, counts: Counter) -> bool:
    """Make an attempt, count what it has lost or done twice, and tell whether it ended."""
    known = rows_in(folder / "runs.sqlite")
    is_done = attempt(folder, kind, options.seconds, options.samples, moment)
    calls, reported = lines(folder / "calls.txt"), set(lines(folder / "reported.txt"))
    alone = rows_in_copy(folder, counts)
    found = rows_in(folder / "runs.sqlite")
    counts["kills"] += not is_done
    counts["rows paid twice"] += len(set(calls) & set(known)) + len(found) - len(set(found))
    counts["rows lost"] += len((set(known) | reported) - set(found))
    counts["rows that a copy of the one file lacks"] += len(reported - set(alone))
    counts["in flight when killed, and so begun again"] += len(set(calls) - set(found))
    return is_done


FAULTS = ("rows paid twice", "rows lost", "rows that a copy of the one file lacks", "other answers")
# What the table shows, under the names of the counts.
HEADERS = {
    "kills": "kills",
    "runs brought to their end": "runs compared",
    "rows lost": "rows lost",
    "rows paid twice": "rows evaluated twice",
    "rows that a copy of the one file lacks": "rows missing in a copy of the one file",
    "copies that needed a repair": "copies that needed a repair",
    "other answers": "other answers",
}


def shares(n_kills: int, n_kinds: int) -> list[int]:
    """Return how many kills each kind gets, as evenly as whole numbers go."""
    ends = [index * n_kills // n_kinds for index in range(n_kinds + 1)]
    return [end - start for start, end in pairwise(ends)]


def read_table(path: Path | None) -> dict[str, Counter]:
    """Return what a table has of each kind."""
    if path is None or not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["kind of run"]: Counter({name: int(row[head]) for name, head in HEADERS.items()})
        for row in rows
    }


def write_table(found: dict[str, Counter], path: Path) -> None:
    """Write what was found of each kind, and in all."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind of run", *HEADERS.values()])
        for kind, counts in found.items():
            writer.writerow([kind, *(counts[name] for name in HEADERS)])


def main() -> None:
    """Spend the kills and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--samples", type=int, default=32, help="rows of the design")
    parser.add_argument("--seconds", type=float, default=0.005, help="time of one evaluation")
    parser.add_argument("--kinds", nargs="*", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="a table of what was found")
    options = parser.parse_args()
    warnings.simplefilter("ignore", FailedEvaluationWarning)
    warnings.simplefilter("ignore", FalseOptimumWarning)
    found = read_table(options.output)
    for kind, n_kills in zip(options.kinds, shares(options.kills, len(options.kinds)), strict=True):
        counts = found.setdefault(kind, Counter({fault: 0 for fault in FAULTS}))
        draw = random.Random(f"{options.seed} {kind} {counts['kills']}")
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as top:
            for _ in kill(Path(top), kind, n_kills, options, draw, counts):
                listed = ", ".join(f"{what} {count}" for what, count in counts.items())
                print(f"{kind}: {listed} ({time.perf_counter() - start:.0f} s)", flush=True)
                if options.output is not None:
                    write_table(found, options.output)
    total = sum(found.values(), Counter())
    listed = ", ".join(
        f"{what} {total[what]}" for what in dict.fromkeys(("kills", *FAULTS, *total))
    )
    print(f"all: {listed}.")
    if any(total[fault] for fault in FAULTS):
        raise SystemExit(1)


def kill(
    top: Path, kind: str, n_kills: int, options: Any, draw: random.Random, counts: Counter
) -> Iterator[None]:
    """Spend the kills of one kind of run; stop after each run that came to its end."""
    if counts["kills"] >= n_kills:
        return
    clean = top / "clean"
    clean.mkdir()
    start = time.perf_counter()
    attempt(clean, kind, options.seconds, options.samples, None)
    duration = time.perf_counter() - start
    n_calls = len(lines(clean / "calls.txt"))
    while counts["kills"] < n_kills:
        folder = top / f"run{counts['runs brought to their end']}"
        folder.mkdir(exist_ok=True)
        n_left = max(n_calls - len(rows_in(folder / "runs.sqlite")), 1)
        in_evaluation = Moment(draw.randint(1, n_left), draw.uniform(0.0, 3.0 * options.seconds))
        moment = in_evaluation if counts["kills"] % 2 else Moment(0, draw.uniform(0.0, duration))
        is_done = kill_and_look(folder, kind, options, moment, counts)
        if is_done or counts["kills"] == n_kills:
            if not is_done:
                attempt(folder, kind, options.seconds, options.samples, None)
            counts["runs brought to their end"] += 1
            wanted, answer = (path / "answer.json" for path in (clean, folder))
            counts["other answers"] += answer.read_text() != wanted.read_text()
            yield


if __name__ == "__main__":
    main()
