"""What to expect at settings of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._inspect._subject import Subject, subject_of
from sklearn_proxyopt._utils._goal import Direction
from sklearn_proxyopt._utils._pandas import add_notes, numbered, pandas_for
from sklearn_proxyopt._utils._types import BoundsLike
from sklearn_proxyopt._utils._validation import check_real
from sklearn_proxyopt.variables._frames import is_frame

__all__ = ["what_if"]


def what_if(
    estimator: Any,
    rows: Any,
    *,
    bounds: BoundsLike | None = None,
    direction: Direction | None = None,
    output: int | None = None,
    level: float = 0.9,
) -> Any:
    """Predict the values of settings, with intervals; what is not set stays at the optimum.

    Parameters
    ----------
    estimator : ProxyOptimizer, ParetoOptimizer, regressor or callable
        A fitted optimizer; or a fitted regressor, or a function of samples, with `bounds`.
    rows : dict, list of dict, DataFrame or array-like of shape (n_samples, n_features)
        The settings. A dict or a table may name some of the variables only, each with a value or
        with a list of values, labels for categories; all others are at the optimum.
    bounds : array-like of shape (n_features, 2), Bounds, dict or list, default=None
        The variables of a regressor, as of `ProxyOptimizer`. None for an optimizer.
    direction : {"minimize", "maximize"}, default=None
        Which optimum of a regressor is meant; None minimizes. None for an optimizer.
    output : int, default=None
        Which output is predicted, of several objectives and constraints; None for all. What is not
        set stays at its optimum, with None at that of the first.
    level : float, default=0.9
        The probability with which the interval holds the value.

    Returns
    -------
    pandas.DataFrame
        The settings; `predicted`, `lower` and `upper` (NaN if the model has no uncertainty);
        `difference`, by how much the prediction differs from that at the optimum; and `inside`,
        whether the settings lie inside the bounds and meet the constraints. Where several outputs
        are predicted, these are `predicted_0`, `lower_0`, ..., `predicted_1`, ....

    Raises
    ------
    ValueError
        If a variable, a label or a number of columns does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_proxyopt import ProxyOptimizer
    >>> from sklearn_proxyopt.inspection import what_if
    >>> X = pd.DataFrame(np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2)), columns=["a", "b"])
    >>> opt = ProxyOptimizer(proxy="gp", random_state=0).fit(X, X["a"] ** 2 + X["b"] ** 2)
    >>> what_if(opt, {"a": [0.0, 0.5]})["predicted"].round(2).tolist()
    [0.0, 0.25]
    """
    check_real(level, "level", minimum=0.0, maximum=1.0, include_minimum=False)
    subject = subject_of(estimator, bounds, direction, 0 if output is None else output)
    X = _read(subject, rows)
    frame = subject.variables.to_frame(X)
    outputs = range(subject.n_outputs) if output is None else (output,)
    notes: dict[str, Any] = {}
    for place in outputs:
        one = subject_of(estimator, bounds, direction, place)
        for name, column in _expected(one, X, subject.optimum, level).items():
            notes[numbered(name, place, len(outputs))] = column
    add_notes(frame, notes | {"inside": subject.is_allowed(X)})
    return frame


def _expected(
    subject: Subject, X: NDArray[np.float64], optimum: NDArray[np.float64], level: float
) -> dict[str, NDArray[np.float64]]:
    """Return what is expected of one output."""
    values, interval = subject.values(X), subject.intervals(X, level)
    ends = np.full((len(X), 2), np.nan) if interval is None else interval
    difference = values - subject.values(optimum[None])
    return {
        "predicted": values,
        "lower": ends[:, 0],
        "upper": ends[:, 1],
        "difference": difference,
    }


def _read(subject: Subject, rows: Any) -> NDArray[np.float64]:
    """Return settings as plain numbers, or raise an error that calls them by their argument."""
    try:
        return subject.rows(_completed(subject, rows))
    except ValueError as error:
        text = str(error)
        if text.startswith("X must"):
            raise ValueError(f"rows{text[1:]}") from error
        raise


def _completed(subject: Subject, rows: Any) -> Any:
    """Return settings with a column for each variable, in their order."""
    pd = pandas_for("what_if")
    if isinstance(rows, Mapping):
        lengths = {name: len(values) for name, values in rows.items() if np.ndim(values)}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"rows must have as many values of each variable, or one; got {lengths}."
            )
        is_one = all(np.ndim(value) == 0 for value in rows.values())
        rows = pd.DataFrame(dict(rows), index=[0] if is_one else None)
    elif isinstance(rows, list) and rows and all(isinstance(row, Mapping) for row in rows):
        rows = pd.DataFrame(rows)
    elif not is_frame(rows):
        if not np.size(rows) or not np.ndim(rows):
            raise ValueError(
                "rows must be a dict, a list of dicts, a table or an array with at least one row; "
                f"got {rows!r}."
            )
        return np.atleast_2d(rows)
    frame = pd.DataFrame(rows)
    if not len(frame):
        raise ValueError("rows must hold at least one row; got none.")
    unknown = [name for name in frame.columns if name not in subject.names]
    if unknown:
        raise ValueError(
            f"rows must name variables among {', '.join(subject.names)}; got {unknown[0]!r}."
        )
    best = subject.variables.to_frame(subject.optimum[None])
    columns = {
        name: frame[name] if name in frame else [best[name].iloc[0]] * len(frame)
        for name in subject.names
    }
    filled = pd.DataFrame(columns)
    return filled if subject.variables.names else filled.to_numpy(dtype=np.float64)
