"""The problems: rotated and shifted functions of BBOB, and two simulators."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BBOB", "DIMS", "SIMULATORS", "Problem", "make_problem"]

# Two of each group: separable, moderately and ill conditioned, multimodal with and without a
# structure over the whole box. Fixed before the first run.
BBOB = ("f1", "f3", "f6", "f8", "f10", "f12", "f15", "f17", "f21", "f24")
DIMS = (2, 5, 10, 20)
# With their numbers of variables.
SIMULATORS = {"heat_pump": 6, "ignition": 6}


@dataclass(frozen=True)
class Problem:
    """A function to be minimised.

    Parameters
    ----------
    fun : callable
        Takes a point of shape (dim,) and returns a value, NaN where a run fails.
    bounds : ndarray of shape (dim, 2)
        The box.
    f_opt : float or None
        The lowest value there is; None where nobody knows.
    failure_value : float
        What solvers that know no failures are told of a failed run: about the highest value of
        those that succeed.
    """

    fun: Callable[[NDArray[np.float64]], float]
    bounds: NDArray[np.float64]
    f_opt: float | None
    failure_value: float = 0.0


def make_problem(name: str, dim: int, seed: int) -> Problem:
    """Return a problem; the seed sets shift and rotation of those that have any."""
    if name == "heat_pump":
        return _heat_pump()
    if name == "ignition":
        from peers.ignition import BOUNDS, loss

        return Problem(loss, BOUNDS, None, failure_value=3.0)
    import cocoex

    bbob = cocoex.BareProblem("bbob", int(name[1:]), dim, seed + 1)
    return Problem(bbob, np.array([[-5.0, 5.0]] * dim), float(bbob.best_value()))


def _heat_pump() -> Problem:
    example = _load(Path(__file__).parents[2] / "examples" / "heat_pump.py")

    def loss(x: NDArray[np.float64]) -> float:
        try:
            return float(example.loss(x))
        except ValueError:  # no such state of the refrigerant
            return np.nan

    return Problem(loss, example.BOUNDS, None, failure_value=80.0)


def _load(path: Path) -> Any:

    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
