"""What an optimizer knows, in a file of plain arrays that can run no code."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sklearn_proxyopt._utils._distances import READING

__all__ = [
    "check_kinds",
    "part_of",
    "read_arrays",
    "read_state",
    "reason_of",
    "under",
    "write_state",
]

FORMAT = "sklearn_proxyopt state"
VERSION = 5
# A file with more is neither written nor read: bytes of its arrays, characters of its facts.
MOST_BYTES = 2**30
MOST_CHARACTERS = 2**24
# Of arrays beyond this size, compression makes no less than this share.
_FREE_BYTES = 2**26
_SMALLEST_SHARE = 1 / 100
# Nor less than this share of any array.
_SMALLEST_DEFLATED = 1 / 1032
_MOST_MEMBERS = 10_000
_MOST_DIRECTORY_BYTES = 2**20
_MOST_DIMENSIONS = 4
# The record at the end of a zip file, where there is neither a comment nor a record for huge files.
_END_SIZE, _END, _HUGE_END = 22, b"PK\x05\x06", b"PK\x06\x07"
# How much of a zip file may be packed in ways that take memory of their own.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

_TABLES = ("X", "X_failed", "X_pending")
_NAMES = re.compile(
    r"X|y|X_failed|X_pending|bounds|x|x_proxy|candidates|(result|report|merit|state)\.\w+|"
    r"(proxy|ladder)\.(center|half_width|scale|coefficients|sharp_coefficients|mask|member_rows|"
    r"network_share|ratio|calibration|(weights|drawn)_\d+|kernel_\w+)|solver_\d+\.\w+"
)
_KINDS_OF_NUMBERS = "biuf"

Arrays = dict[str, NDArray[Any]]


def write_state(path: str | os.PathLike[str], arrays: Arrays, facts: dict[str, Any]) -> None:
    """Write arrays and facts; the file is there whole or not at all.

    Raises
    ------
    ValueError
        If `read_state` would refuse the file.
    OSError
        If the file cannot be written; it is as it was before.
    """
    declared = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
    text = json.dumps({"format": FORMAT, "version": VERSION, "arrays": declared, **facts})
    _check_limits(arrays, text)
    members = {"facts": np.array(text), "checksum": np.array(_checksum(text, arrays)), **arrays}
    target = Path(os.path.realpath(path))
    partial = target.with_name(f"{target.name}.{uuid4().hex[:8]}.part")
    try:
        with partial.open("xb") as file:
            np.savez_compressed(file, **members)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(target.parent)


def read_state(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]]:
    """Read what an optimizer knows, or raise an error that says why the file does not hold it."""
    arrays, facts = read_arrays(path, "ProxyOptimizer.save")
    _check_tables(path, arrays, facts)
    _check_facts(path, facts)
    _check_answer(path, arrays, facts)
    return arrays, facts


def read_arrays(path: str | os.PathLike[str], writer: str) -> tuple[Arrays, dict[str, Any]]:
    """Read what `write_state` wrote, or raise an error that says why the file is none of these.

    Reading takes no more memory than the file says that it needs, and that has a limit.

    Parameters
    ----------
    path : str or path-like
        The file.
    writer : str
        The method that writes such files, to be named in errors.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays, none of which is known to fit another.
    facts : dict of str to object
        The facts.
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path must be a path; got {path!r}.")
    if not Path(path).is_file():
        raise ValueError(f"path must be an existing file; got {path}.")
    with _undamaged(path, writer), open(path, "rb") as file:
        _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            members = _members(archive)
            text = _text(archive, members, "facts", MOST_CHARACTERS)
            facts = json.loads(text)
    _check_format(path, facts, writer)
    with _undamaged(path, writer), zipfile.ZipFile(path) as archive:
        arrays = _declared_arrays(archive, _members(archive), facts, Path(path).stat().st_size)
        if _text(archive, members, "checksum", 64) != _checksum(text, arrays):
            raise ValueError("its content does not match its checksum")
    return arrays, facts


@contextmanager
def _undamaged(path: str | os.PathLike[str], writer: str) -> Iterator[None]:
    """Let every error of a damaged file be one of one kind, which names it."""
    try:
        yield
    except Exception as error:
        # What a damaged file makes of its readers is beyond counting.
        raise ValueError(
            f"path must be a file that {writer} wrote, undamaged; got {path}: {reason_of(error)}"
        ) from error


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
    except (AttributeError, IndexError, KeyError, TypeError) as error:
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


def _check_limits(arrays: Arrays, text: str) -> None:
    """Raise an error unless `read_state` would read a file of these arrays and facts."""
    for name, array in arrays.items():
        if not _NAMES.fullmatch(name) or array.dtype.kind not in _KINDS_OF_NUMBERS:
            raise ValueError(f"save must write known arrays of numbers; got {name}, {array.dtype}.")
    n_bytes = sum(array.nbytes for array in arrays.values())
    if n_bytes > MOST_BYTES or len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"save must write at most {MOST_BYTES} bytes of arrays and {MOST_CHARACTERS} "
            f"characters of facts; got {n_bytes} and {len(text)}."
        )


def _checksum(text: str, arrays: Arrays) -> str:
    """Return the checksum of all that a file holds."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def _check_directory(file: IO[bytes]) -> None:
    """Raise an error unless the directory of a zip file is of a modest size, as ours are."""
    n_bytes = file.seek(0, io.SEEK_END)
    file.seek(max(0, n_bytes - _END_SIZE - 20))
    huge, end = file.read(20), file.read()
    if n_bytes < _END_SIZE + 20 or not end.startswith(_END):
        raise ValueError("it does not end as a zip file without a comment")
    size = int.from_bytes(end[12:16], "little")
    if huge.startswith(_HUGE_END) or size > _MOST_DIRECTORY_BYTES:
        raise ValueError(f"its directory has more than {_MOST_DIRECTORY_BYTES} bytes")
    file.seek(0)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members by the names of what they hold, each of which is there once."""
    found = archive.infolist()
    members = {member.filename.removesuffix(".npy"): member for member in found}
    if len(members) < len(found) or len(found) > _MOST_MEMBERS:
        raise ValueError(f"its {len(found)} members have {len(members)} different names")
    for member in found:
        if member.compress_type not in _PACKED:
            raise ValueError(f"{member.filename} is compressed in an unknown way")
        if member.compress_size < _SMALLEST_DEFLATED * member.file_size - 1.0:
            raise ValueError(f"{member.filename} cannot have {member.file_size} bytes")
    return members


def _text(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str, most: int
) -> str:
    """Return a member that is a text of at most so many characters."""
    if name not in members:
        raise ValueError(f"it has no {name}")
    shape, dtype = _head(archive, members[name])
    if shape != () or dtype.kind != "U" or dtype.itemsize > most * np.dtype("U1").itemsize:
        raise ValueError(f"{name} must be a text of at most {most} characters, not {dtype}{shape}")
    with archive.open(members[name]) as file:
        return str(npy.read_array(file, allow_pickle=False))


def _head(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array that is as large as its head says."""
    with archive.open(member) as file:
        if npy.read_magic(file) != (1, 0):
            raise ValueError(f"{member.filename} is of an unknown format")
        shape, _, dtype = npy.read_array_header_1_0(file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds objects, which need allow_pickle=False")
        size = math.prod(shape) * dtype.itemsize
        if size != member.file_size - file.tell():
            raise ValueError(
                f"{member.filename} does not have the {size} bytes of its shape {shape}"
            )
    return shape, dtype


def _declared_arrays(
    archive: zipfile.ZipFile,
    members: dict[str, zipfile.ZipInfo],
    facts: dict[str, Any],
    n_file_bytes: int,
) -> Arrays:
    """Return the arrays that the facts declare; a file that has others is refused unread."""
    declared = {name: (tuple(shape), kind) for name, (kind, shape) in facts["arrays"].items()}
    heads = {
        name: _head(archive, member)
        for name, member in members.items()
        if name not in ("facts", "checksum")
    }
    for name in {*declared, *heads}:
        found = heads.get(name)
        if found is None or declared.get(name) != (found[0], found[1].str):
            raise ValueError(f"{name} is declared as {declared.get(name)}, and is {found}")
        if not _NAMES.fullmatch(name) or found[1].kind not in _KINDS_OF_NUMBERS:
            raise ValueError(f"{name} is no known array of numbers")
        if len(found[0]) > _MOST_DIMENSIONS:
            raise ValueError(f"{name} has {len(found[0])} dimensions")
    n_bytes = sum(math.prod(shape) * dtype.itemsize for shape, dtype in heads.values())
    most = min(MOST_BYTES, _FREE_BYTES + n_file_bytes / _SMALLEST_SHARE)
    if n_bytes > most:
        raise ValueError(f"its arrays have {n_bytes} bytes, more than the {most:.0f} that are read")
    arrays = {}
    for name in heads:
        with archive.open(members[name]) as file:
            arrays[name] = npy.read_array(file, allow_pickle=False)
    return arrays


def _check_format(path: str | os.PathLike[str], facts: Any, writer: str) -> None:
    """Raise an error unless the facts are those of a file of the version that is read."""
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise ValueError(f"path must be a file that {writer} wrote; got {path}.")
    version = facts.get("version")
    if type(version) is not int or version != VERSION:
        by_whom = ""
        if type(version) is int:
            age = "a newer" if version > VERSION else "an older"
            by_whom = f", which {age} sklearn_proxyopt wrote"
        raise ValueError(
            f"path must have a format of version {VERSION}; got {path} of version "
            f"{version!r}{by_whom}."
        )


def _check_facts(path: str | os.PathLike[str], facts: dict[str, Any]) -> None:
    """Raise an error unless the facts that every file has are of their kinds."""
    names = facts.get("names", False)
    are_names = names is None or (
        isinstance(names, list)
        and len(names) == facts["n_features"]
        and all(isinstance(name, str) for name in names)
    )
    is_known = isinstance(facts.get("class"), str) and type(facts.get("n_constraints")) is int
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
        # A number of variables that no sample and no bound bears out would cost memory for nothing.
        and any(own[name].size for name in (*_TABLES, "bounds") if name in own)
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


def _check_answer(path: str | os.PathLike[str], arrays: Arrays, facts: dict[str, Any]) -> None:
    """Raise an error if an answer has no value, or lies outside the box."""
    answer = facts.get("answer")
    if answer is None:
        return
    points = [arrays[name] for name in ("x", "x_proxy", "candidates") if name in arrays]
    if not isinstance(answer, dict) or "bounds" not in arrays or len(points) < 3:
        raise ValueError(f"path must be a file whose facts fit together; got {path}.")
    for name in ("fun", "fun_proxy"):
        value = answer.get(name)
        if not isinstance(value, float) or not math.isfinite(value):
            raise ValueError(
                f"path must be a file whose answer has a value; got {path} with {name} {value!r}."
            )
    lower, upper = arrays["bounds"].T
    # A sample that was done may be the answer, and lie outside by the digits it was written with.
    margin = READING * (upper - lower)
    X = np.vstack(points)
    if not ((lower - margin <= X) & (upper + margin >= X)).all():
        raise ValueError(f"path must be a file whose answer lies in its box; got {path}.")


def _sync_folder(folder: Path) -> None:
    """Let the new name of a file be on disk too, where folders can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
