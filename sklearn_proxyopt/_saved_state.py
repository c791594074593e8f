"""What an optimizer knows, in a file of plain arrays that can run no code."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["check_kinds", "read_state", "write_state"]

FORMAT = "sklearn_proxyopt state"
VERSION = 1
_TABLES = ("X", "X_failed", "X_pending")


def write_state(
    path: str | os.PathLike[str], arrays: dict[str, NDArray[np.float64]], facts: dict[str, Any]
) -> None:
    """Write arrays and facts; the file is there whole or not at all."""
    target = Path(path)
    text = json.dumps({"format": FORMAT, "version": VERSION, **facts})
    partial = target.with_name(f"{target.name}.part")
    with partial.open("wb") as file:
        np.savez_compressed(file, facts=np.array(text), **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, target)


def read_state(
    path: str | os.PathLike[str],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    """Read what `write_state` wrote, or raise an error that says why the file is none of these."""
    if not Path(path).is_file():
        raise ValueError(f"path must be an existing file; got {path}.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(
            f"path must be a file that ProxyOptimizer.save wrote, undamaged; got {path}: {error}"
        ) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(f"path must be a file that ProxyOptimizer.save wrote; got {path}.")
    if facts["version"] > VERSION:
        raise ValueError(
            f"path must have a format up to version {VERSION}; got {path} of version "
            f"{facts['version']}, which a newer sklearn_proxyopt wrote."
        )
    _check_tables(path, arrays, facts)
    return arrays, facts


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


def _check_tables(
    path: str | os.PathLike[str], arrays: dict[str, NDArray[Any]], facts: dict[str, Any]
) -> None:
    """Raise an error unless the arrays fit together."""
    n_features = facts.get("n_features")
    is_whole = (
        isinstance(n_features, int)
        and {*_TABLES, "y"} <= set(arrays)
        and all(array.dtype == np.float64 for array in arrays.values())
        and all(arrays[name].shape[1:] == (n_features,) for name in _TABLES)
        and arrays["y"].ndim in (1, 2)
        and arrays["y"].shape[:1] == arrays["X"].shape[:1]
        and all(np.isfinite(array).all() for array in arrays.values())
        and ("bounds" not in arrays or arrays["bounds"].shape == (n_features, 2))
    )
    if not is_whole:
        raise ValueError(f"path must be a file whose arrays fit together; got {path}.")
