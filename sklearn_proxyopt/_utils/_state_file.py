"""What an optimizer knows, in a file of plain arrays that can run no code."""

from __future__ import annotations

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

__all__ = ["check_kinds", "part_of", "read_state", "reason_of", "under", "write_state"]

FORMAT = "sklearn_proxyopt state"
# 1 had rows, failures, pending points and the box; 2 has the answer and the proxy too; 3 tells of
# what class the optimizer was, and how many constraints its function returned.
VERSIONS = (1, 2, 3)
# Compression cannot make less of an array than this share.
_SMALLEST_SHARE = 1 / 1032
_TABLES = ("X", "X_failed", "X_pending")
_HEADS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

Arrays = dict[str, NDArray[Any]]


def write_state(path: str | os.PathLike[str], arrays: Arrays, facts: dict[str, Any]) -> None:
    """Write arrays and facts; the file is there whole or not at all."""
    target = Path(path)
    text = json.dumps({"format": FORMAT, "version": VERSIONS[-1], **facts})
    partial = target.with_name(f"{target.name}.part")
    with partial.open("wb") as file:
        np.savez_compressed(file, facts=np.array(text), **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)


def read_state(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_state` wrote, or raise an error that says why the file is none of these."""
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path must be a path; got {path!r}.")
    if not Path(path).is_file():
        raise ValueError(f"path must be an existing file; got {path}.")
    try:
        arrays = read_arrays(path)
        facts = json.loads(str(arrays.pop("facts")))
    except Exception as error:
        # What a damaged file makes of its readers is beyond counting.
        raise ValueError(
            f"path must be a file that ProxyOptimizer.save wrote, undamaged; got {path}: "
            f"{reason_of(error)}"
        ) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(f"path must be a file that ProxyOptimizer.save wrote; got {path}.")
    version = facts.get("version")
    if version not in VERSIONS or isinstance(version, bool):
        newer = isinstance(version, int) and version > VERSIONS[-1]
        by_whom = ", which a newer sklearn_proxyopt wrote" if newer else ""
        raise ValueError(
            f"path must have a format of version 1 to {VERSIONS[-1]}; got {path} of version "
            f"{version!r}{by_whom}."
        )
    _check_tables(path, arrays, facts)
    _check_facts(path, facts)
    return arrays, facts


def read_arrays(path: str | os.PathLike[str]) -> Arrays:
    """Read arrays of plain numbers and text, none of which is larger than what the file has."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _check_size(archive, member)
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = npy.read_array(
                    file, allow_pickle=False
                )
    return arrays


def reason_of(error: Exception) -> str:
    """Say what went wrong, with the kind of error where its text does not tell."""
    return str(error) if type(error) in (ValueError, zipfile.BadZipFile) else repr(error)


def check_kinds(kinds: Any, facts: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Raise an error that names the first difference to the variables of a file."""
    saved, names = facts.get("kinds", {"whole": [], "categories": {}}), facts["names"]
    if names is not None and kinds.names is not None and list(kinds.names) != names:
        raise ValueError(
            f"path must be of the same variables; those in {path} are {names}, got "
            f"{list(kinds.names)}."
        )
    try:
        difference = kinds.difference(saved)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"path must be a file whose facts fit together; got {path}.") from error
    if difference:
        raise ValueError(f"path must be of the same variables; {path} differs: {difference}.")


def under(name: str, arrays: Arrays) -> Arrays:
    """Return arrays under names that begin with that of the part they belong to."""
    return {f"{name}.{key}": array for key, array in arrays.items()}


def part_of(arrays: Arrays, name: str) -> Arrays:
    """Return the arrays of a part, under their own names."""
    start = f"{name}."
    return {key[len(start) :]: array for key, array in arrays.items() if key.startswith(start)}


def _check_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raise an error unless an array is as large as its head says, and can be in the file."""
    if member.compress_size < _SMALLEST_SHARE * member.file_size - 1.0:
        raise ValueError(f"{member.filename} cannot have {member.file_size} bytes")
    with archive.open(member) as file:
        read_head = _HEADS.get(npy.read_magic(file))
        if read_head is None:
            raise ValueError(f"{member.filename} is of an unknown format")
        shape, _, dtype = read_head(file)
        size = math.prod(shape) * dtype.itemsize
        if size != member.file_size - file.tell() and not dtype.hasobject:
            raise ValueError(
                f"{member.filename} does not have the {size} bytes of its shape {shape}"
            )


def _check_facts(path: str | os.PathLike[str], facts: dict[str, Any]) -> None:
    """Raise an error unless the facts that every file has are of their kinds."""
    names = facts.get("names", False)
    is_known = facts["version"] < 3 or (
        isinstance(facts.get("class"), str) and type(facts.get("n_constraints")) is int
    )
    are_names = names is None or (
        isinstance(names, list)
        and len(names) == facts["n_features"]
        and all(isinstance(name, str) for name in names)
    )
    if not (is_known and are_names and isinstance(facts.get("keeps_box"), bool)):
        raise ValueError(f"path must be a file whose facts fit together; got {path}.")


def _check_tables(path: str | os.PathLike[str], arrays: Arrays, facts: dict[str, Any]) -> None:
    """Raise an error unless the arrays that every file has fit together."""
    n_features = facts.get("n_features")
    own = {name: array for name, array in arrays.items() if "." not in name}
    is_whole = (
        type(n_features) is int
        and n_features > 0
        and {*_TABLES, "y"} <= set(own)
        and all(array.dtype == np.float64 for array in own.values())
        and all(own[name].shape[1:] == (n_features,) for name in _TABLES)
        and own["y"].ndim in (1, 2)
        and own["y"].shape[:1] == own["X"].shape[:1]
        and all(np.isfinite(array).all() for array in own.values())
        and (
            own["bounds"].shape == (n_features, 2) if "bounds" in own else not len(own["X_pending"])
        )
        and all(own[name].shape == (n_features,) for name in ("x", "x_proxy") if name in own)
        and ("candidates" not in own or own["candidates"].shape[1:] == (n_features,))
    )
    if not is_whole:
        raise ValueError(f"path must be a file whose arrays fit together; got {path}.")
