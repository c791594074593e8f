"""Make the verdict: draw optima whose truth is known, learn to judge them, and try it on others.

    python benchmarks/verdicts.py

draws cases and keeps in `--cache` what `diagnose` knows of each (`cases`), follows what more
samples do to a verdict (`growth`), learns from the families in `LEARNED` of `verdict_functions.py`
and writes what that is worth on those in `UNSEEN` (`report`): the tables and the picture of the
page "Can you trust the answer?", and a small set of cases that the tests watch. It may be stopped
and goes on; `--steps` does a part. `--weights` says where the learned weights go; without it they
are tried and not kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from verdict_cases import FIRST_LARGE, make_case
from verdict_growth import make_growth, settling_rows, stopping_rows
from verdict_model import IS_BALANCED, PENALTIES, SIGNS_OF, Cases, learned, stored
from verdict_tables import auc_rows, band_rows, draw, family_rows, watched_rows, write

from sklearn_proxyopt.diagnosis._credibility import MODES, credibility_model

STEPS = ("cases", "growth", "report")


def main() -> None:
    """Do the steps that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--n-cases", type=int, default=1000)
    parser.add_argument("--n-large", type=int, default=80, help="cases of large tables")
    parser.add_argument("--n-growth", type=int, default=200)
    parser.add_argument("--max-rows", type=float, default=np.inf, help="put off larger cases")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".cache/verdicts"))
    parser.add_argument("--output", type=Path, default=Path("docs/results/verdicts"))
    parser.add_argument("--watched", type=Path, default=Path("tests/diagnosis/verdict_cases.csv"))
    parser.add_argument("--weights", type=Path, default=None)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    if "cases" in options.steps:
        make_cases(options)
    if "growth" in options.steps:
        make_growths(options)
    if "report" in options.steps:
        report(options)


def make_cases(options: argparse.Namespace) -> None:
    """Draw the cases, large tables last."""
    numbers = [*range(options.first, options.n_cases)]
    numbers += range(FIRST_LARGE, FIRST_LARGE + options.n_large)
    Parallel(options.n_jobs)(
        delayed(make_case)(number, options.cache, options.max_rows) for number in numbers
    )


def make_growths(options: argparse.Namespace) -> None:
    """Follow tables and runs."""
    folder = options.cache / "growth"
    folder.mkdir(exist_ok=True)
    Parallel(options.n_jobs)(
        delayed(make_growth)(number, folder) for number in range(options.n_growth)
    )


def report(options: argparse.Namespace) -> None:
    """Learn, try on families never learned from, and write."""
    paths = sorted(options.cache.glob("?????.npz"))
    if not paths:
        raise SystemExit(f"--cache must hold cases, made by --steps cases; got {options.cache}.")
    cases = {mode: Cases(paths, mode) for mode in MODES}
    models = {
        mode: learned(
            cases[mode],
            ~cases[mode].is_unseen,
            SIGNS_OF[mode],
            PENALTIES[mode],
            IS_BALANCED[mode],
        )
        for mode in MODES
    }
    probabilities = {
        mode: np.array([models[mode].probability(one) for one in cases[mode].numbers])
        for mode in MODES
    }
    grown = [json.loads(path.read_text()) for path in sorted(options.cache.glob("growth/*.json"))]
    tables = {
        "auc": auc_rows(cases, probabilities),
        "families": family_rows(cases, probabilities),
        "bands": band_rows(cases["rows"]),
        **({"settling": settling_rows(grown), "stopping": stopping_rows(grown)} if grown else {}),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        write(options.output / f"{name}.csv", rows)
        print(*rows, sep="\n")
    write(options.watched, watched_rows(cases))
    draw(options.output / "verdicts.png", cases, probabilities)
    if options.weights is not None:
        kept = {mode: stored(model) for mode, model in models.items()}
        options.weights.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        credibility_model.cache_clear()


if __name__ == "__main__":
    main()
