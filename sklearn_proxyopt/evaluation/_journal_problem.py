"""The problem that a journal is of, and what is refused because it is of another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.evaluation._journal_contents import Contents
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.variables._kinds import kind_of

__all__ = ["check_kinds", "check_problem", "kinds_known"]


def check_problem(
    contents: Contents,
    path: Path,
    n_features: int,
    bounds: NDArray[np.float64] | None,
    names: list[str] | None,
    n_outputs: int,
) -> None:
    """Raise an error that names the first difference to the problem that the journal is of.

    Bounds and names are compared where both are known.
    """

    def refuse(known: str, got: str, way: str = "") -> NoReturn:
        raise JournalError(
            f"journal must be of the same problem; {known} in {path}, got {got}. Another problem "
            f"needs a journal of its own.{f' {way}' if way else ''}"
        )

    if contents.n_features != n_features:
        refuse(f"there are {contents.n_features} variables", f"{n_features}")
    known = contents.n_outputs
    if known != n_outputs:
        refuse(f"there {'is 1 output' if known == 1 else f'are {known} outputs'}", f"{n_outputs}")
    for i, name, lower, upper in contents.variables:
        if names and name is not None and name != names[i]:
            refuse(f"variable {i} is {name!r}", repr(names[i]))
        if bounds is not None and lower is not None and (lower, upper) != tuple(bounds[i]):
            label = repr(name) if name else i
            refuse(
                f"the bounds of variable {label} are [{lower}, {upper}]",
                f"[{bounds[i, 0]}, {bounds[i, 1]}]",
                "Its rows serve other bounds too: X, y = Journal(path).rows(), passed as X and y.",
            )


def kinds_known(contents: Contents, path: Path) -> dict[str, Any] | None:
    """Return the note of what the variables are, None where there is none; check that it is one."""
    if "kinds" not in contents.facts:
        return None
    try:
        known: dict[str, Any] = json.loads(contents.facts["kinds"])
        for i in range(contents.n_features):
            kind_of(known, i)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise JournalError(
            f"journal must be undamaged; got {path}: its kinds of variables are none."
        ) from error
    return known


def check_kinds(
    contents: Contents, path: Path, kinds: dict[str, Any], names: list[str] | None
) -> bool:
    """Tell whether the kinds of the variables are to be noted; raise an error if they are others.

    A journal without a note has no entries yet, or has lost it to a repair.
    """
    known = kinds_known(contents, path)
    if known is None:
        return True
    for i in range(contents.n_features):
        one, got = kind_of(known, i), kind_of(kinds, i)
        if one != got:
            if not contents.head.n_rows and not contents.pending:
                return True
            label = repr(names[i]) if names else f"variable {i}"
            raise JournalError(
                f"journal must be of the same problem; {label} is {one} in {path}, got {got}. "
                "Another problem needs a journal of its own."
            )
    return False
