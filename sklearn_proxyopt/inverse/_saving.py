"""Fitted inverse solvers as plain arrays and facts, and back."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sklearn_proxyopt._utils._state_file import (
    part_of,
    read_arrays,
    reason_of,
    under,
    write_state,
)

__all__ = ["read_solvers", "write_solvers"]

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]

# What a fit may leave, by its kind.
_ARRAYS = (
    *("solutions_", "loss_", "failed_", "converged_", "estimates_", "estimate_loss_"),
    *("reduced_chi2_", "history_", "levels_", "_candidates", "_starts"),
)
_COUNTS = ("n_iter_", "n_forward_calls_", "_has_gaps")
_NETWORKS = ("network_", "surrogate_")
_REPORT = "smoothing_report_"


def write_solvers(path: str | PathLike[str], owner: Any, solvers: Sequence[Any]) -> None:
    """Write a fitted solver, which is made of some others or is the only one."""
    arrays: Arrays = {}
    parts = []
    for index, solver in enumerate(solvers):
        own, facts = take_apart(solver)
        arrays |= under(f"solver_{index}", own)
        parts.append(facts)
    names = getattr(owner, "feature_names_in_", None)
    facts = {
        "class": type(owner).__name__,
        "n_features": owner.n_features_in_,
        "names": None if names is None else [str(name) for name in names],
        "solvers": parts,
    }
    write_state(path, arrays, facts)


def read_solvers(
    path: str | PathLike[str], reader: Any, owner: Any, solvers: Sequence[Any]
) -> None:
    """Read what `write_solvers` wrote into solvers that are not fitted, for one who asks for it."""
    name = type(reader).__name__
    arrays, facts = read_arrays(path, f"{name}.save")
    if facts.get("class") != name:
        raise ValueError(f"path must be of a {name}; got {path} of {facts.get('class')!r}.")
    try:
        n_columns, names = int(facts["n_features"]), facts["names"]
        for index, (solver, own) in enumerate(zip(solvers, facts["solvers"], strict=True)):
            put_together(solver, part_of(arrays, f"solver_{index}"), own, n_columns)
            solver.n_features_in_ = n_columns
        owner.n_features_in_ = n_columns
        if names is not None:
            owner.feature_names_in_ = np.array([str(one) for one in names], dtype=object)
    except Exception as error:
        raise ValueError(
            f"path must be a file that fits the parameters of the solver; got {path}: "
            f"{reason_of(error)}"
        ) from error


def take_apart(solver: Any) -> tuple[Arrays, Facts]:
    """Return the arrays of a fitted solver, and the facts that JSON can hold."""
    own = vars(solver)
    arrays = {name: own[name] for name in _ARRAYS if name in own}
    facts: Facts = {"class": type(solver).__name__, "networks": {}, "report": []}
    facts["counts"] = {name: int(own[name]) for name in _COUNTS if name in own}
    for name in _NETWORKS:
        if name in own:
            states = own[name].state_dict()
            facts["networks"][name] = list(states)
            values = (tensor.detach().cpu().numpy() for tensor in states.values())
            arrays |= {f"{name}{index}": value for index, value in enumerate(values)}
    if _REPORT in own:
        facts["report"] = list(own[_REPORT])
        arrays |= {f"{_REPORT}{name}": np.asarray(one) for name, one in own[_REPORT].items()}
    return arrays, facts


def put_together(solver: Any, arrays: Arrays, facts: Facts, n_columns: int) -> None:
    """Make a solver the one that was taken apart; its problem and networks are its parameters'.

    Parameters
    ----------
    solver : BaseInverse
        Not fitted.
    arrays, facts : dict
        What `take_apart` returned, or what a stranger made of it.
    n_columns : int
        The number of columns of X.

    Raises
    ------
    ValueError
        If they do not fit together, with the reason.
    """
    if facts["class"] != type(solver).__name__:
        raise ValueError(f"a {facts['class']!r} is no {type(solver).__name__}")
    n_problems = len(arrays["solutions_"])
    solver._settle(n_problems, n_columns)
    shapes = {"solutions_": (n_problems, solver.problem_.n_unknowns), "loss_": (n_problems,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, not {arrays[name].shape}")
    kept = {name: arrays[name] for name in _ARRAYS if name in arrays}
    counts = {name: int(facts["counts"][name]) for name in _COUNTS if name in facts["counts"]}
    for name, value in (kept | counts).items():
        setattr(solver, name, value)
    if facts["report"]:
        report = {str(name): arrays[f"{_REPORT}{name}"] for name in facts["report"]}
        setattr(solver, _REPORT, report)
    for name, module in solver._untrained(n_columns).items():
        _fill(module, name, arrays, facts["networks"].get(name))
        setattr(solver, name, module.to(solver.device_))


def _fill(module: nn.Module, name: str, arrays: Arrays, saved: Any) -> None:
    """Give a network the numbers of a file, which must be of its shapes and types."""
    states = module.state_dict()
    found = [arrays.get(f"{name}{index}") for index in range(len(states))]
    kinds = [(key, tensor.numpy().dtype, tuple(tensor.shape)) for key, tensor in states.items()]
    saved_kinds = [
        (key, one.dtype, one.shape)
        for key, one in zip(saved or [], found, strict=False)
        if one is not None
    ]
    if kinds != saved_kinds or len(saved) != len(kinds):
        raise ValueError("its network is not one that the parameters make")
    numbers = (torch.from_numpy(np.array(one)) for one in found)
    module.load_state_dict(dict(zip(states, numbers, strict=True)))
    module.eval()
