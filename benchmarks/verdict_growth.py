"""What more samples do to a verdict: the study of `n_to_settle`, part of `verdicts.py`.

A table is learned again with ever more samples until its optimum is credible. A run goes on with as
many evaluations again, twice, whatever its verdict; from that follows what it is worth to end a run
as soon as its answer is credible. Half of the functions are of families that no verdict is learned
from. Values are exact.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from verdict_functions import LEARNED, UNSEEN, Function

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.samplers import SobolSampler

__all__ = ["draw_growth", "make_growth", "settling_rows", "stopping_rows"]

N_DIMS = (1, 2, 2, 3, 3, 4, 5)
N_ROWS, MULTIPLES, MOST_ROWS = (15, 25, 40, 60), (1.0, 1.5, 2.25, 3.4, 5.0), 220
# Evaluations of a run, one part after another.
PARTS = (30, 30, 60)
KEPT = ("gain_elsewhere", "left_in_draws", "left_in_opinions")

Stage = dict[str, Any]


def draw_growth(index: int) -> dict[str, Any]:
    """Draw a table or a run by its number."""
    rng, is_unseen = np.random.default_rng(index), index % 4 >= 2
    families = list(UNSEEN) if is_unseen else list(LEARNED)
    return {
        "index": index,
        "is_run": bool(index % 2),
        "is_unseen": is_unseen,
        "family": families[(index // 4) % len(families)],
        "n_dims": int(rng.choice(N_DIMS)),
        "n_rows": int(rng.choice(N_ROWS)),
    }


def _stage(optimizer: ProxyOptimizer, function: Function) -> Stage:
    """Return what is said of an optimum, and how far it truly is from the best value."""
    found = optimizer.diagnose()
    return {
        "n": len(optimizer.X_),
        "verdict": found.verdict,
        "probability": found.probability,
        "n_to_settle": found.n_to_settle,
        "gap": float(function(found.x[None])[0] - function.f_opt),
        "regret": found.regret,
        **{name: found.evidence[name] for name in KEPT},
    }


def _of_table(function: Function, n_rows: int, seed: int) -> Iterator[Stage]:
    """Yield what is said with ever more samples, until the optimum is credible."""
    for multiple in MULTIPLES:
        n = int(n_rows * multiple)
        if n > MOST_ROWS:
            return
        X = SobolSampler(n, random_state=seed).sample(function.bounds)
        stage = _stage(_optimizer(function).fit(X, function(X)), function)
        yield stage
        if stage["verdict"] == "credible":
            return


def _of_run(function: Function) -> Iterator[Stage]:
    """Yield what is said after each part of a run."""
    optimizer, known = _optimizer(function), {}
    for part in PARTS:
        optimizer.minimize(function, budget=part, **known)
        known = {"X": optimizer.X_, "y": optimizer.y_}
        yield _stage(optimizer, function)


def _optimizer(function: Function) -> ProxyOptimizer:
    return ProxyOptimizer(bounds=function.bounds, vectorized=True, verdict=False, random_state=0)


def make_growth(index: int, folder: Path) -> None:
    """Follow a table or a run, unless its file is there."""
    path, drawn = folder / f"{index:05d}.json", draw_growth(index)
    if path.exists():
        return
    makers = UNSEEN if drawn["is_unseen"] else LEARNED
    function = makers[drawn["family"]](drawn["n_dims"], index)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        if drawn["is_run"]:
            stages = list(_of_run(function))
        else:
            stages = list(_of_table(function, drawn["n_rows"], index))
    part = path.with_suffix(".part")
    part.write_text(json.dumps({**drawn, "stages": stages}), encoding="utf-8")
    part.rename(path)


def settling_rows(grown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how often a verdict was settled with the evaluations that it asked for."""
    kinds = {"tables": False, "runs": True}
    return [
        {"optima of": kind, **_settled([one["stages"] for one in grown if one["is_run"] == is_run])}
        for kind, is_run in kinds.items()
    ]


def _settled(followed: list[list[Stage]]) -> dict[str, Any]:
    doubtful = [stages for stages in followed if stages[0]["verdict"] != "credible"]
    told = [stages for stages in doubtful if _is_followed(stages)]
    settled = [stages for stages in told if _n_more(stages) <= stages[0]["n_to_settle"]]
    ratios = [stages[0]["n_to_settle"] / _n_more(stages) for stages in settled]
    return {
        "not credible": len(doubtful),
        "number within what was tried": len(told),
        "credible with it": len(settled),
        "of these right": sum(_is_right(_credible(stages)[0]) for stages in settled),
        "number divided by what would do, median": _median(ratios),
    }


def _credible(stages: list[Stage]) -> list[Stage]:
    return [stage for stage in stages if stage["verdict"] == "credible"]


def _is_followed(stages: list[Stage]) -> bool:
    """Tell whether as many samples were tried as the first verdict asked for, or fewer did."""
    wanted = stages[0]["n_to_settle"]
    if wanted is None:
        return False
    return bool(_credible(stages)) or stages[-1]["n"] - stages[0]["n"] >= wanted


def _n_more(stages: list[Stage]) -> float:
    """Return with how many more samples the optimum was credible; infinite if it never was."""
    return float(min((one["n"] - stages[0]["n"] for one in _credible(stages)), default=np.inf))


def _is_right(stage: Stage) -> bool:
    return bool(stage["gap"] <= stage["regret"])


def stopping_rows(grown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what ends of a run are worth: evaluations spent, and how many answers are right.

    Right is what lies within the tolerance of the end of the whole run.
    """
    runs = [one["stages"] for one in grown if one["is_run"]]
    ends: dict[str, Callable[[Stage], bool]] = {
        "after the first part": lambda stage: True,
        "when the answer is credible": lambda stage: stage["verdict"] == "credible",
        "when the expected improvement is below the tolerance": lambda stage: (
            stage["gain_elsewhere"] <= 1.0
        ),
        "when drawn functions gain less than the tolerance": lambda stage: (
            stage["left_in_draws"] <= 1.0
        ),
        "when all is spent": lambda stage: False,
    }
    return [{"the run ends": name, **_worth(runs, is_end)} for name, is_end in ends.items()]


def _worth(runs: list[list[Stage]], is_end: Callable[[Stage], bool]) -> dict[str, Any]:
    ended = [next((one for one in run if is_end(one)), run[-1]) for run in runs]
    pairs = list(zip(ended, runs, strict=True))
    return {
        "n": len(runs),
        "evaluations, mean": round(float(np.mean([one["n"] for one in ended])), 1),
        "right, %": _percent([one["gap"] <= run[-1]["regret"] for one, run in pairs]),
        "missed a gain, %": _percent(
            [one["gap"] - run[-1]["gap"] > one["regret"] for one, run in pairs]
        ),
    }


def _median(values: list[float]) -> Any:
    return round(float(np.median(values)), 1) if values else ""


def _percent(flags: list[bool]) -> Any:
    return round(100.0 * float(np.mean(flags)), 1) if flags else ""
