"""What an optimizer knows, to a file and back."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._proxy_search._failure_model import learn_failure_risk
from sklearn_proxyopt._proxy_search._model import ProxyModel
from sklearn_proxyopt._proxy_search._penalty import Merit
from sklearn_proxyopt._run._learning import proxy_of, search_of
from sklearn_proxyopt._run._result import RunResult
from sklearn_proxyopt._run._settings import AskingSettings
from sklearn_proxyopt._run._space_spec import SpaceSpec
from sklearn_proxyopt._run._state import FittedState, ModelState
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._goal import Goal, check_directions
from sklearn_proxyopt._utils._state_file import (
    Arrays,
    check_kinds,
    part_of,
    read_state,
    reason_of,
    under,
    write_state,
)
from sklearn_proxyopt._utils._validation import check_bounds, check_width
from sklearn_proxyopt.proxies._saving import can_be_stored, kind_of, put_together, take_apart
from sklearn_proxyopt.variables import Variables
from sklearn_proxyopt.variables._kinds import Kinds, kinds_of_facts

__all__ = ["Saved", "read_knowledge", "write_knowledge"]

Facts = dict[str, Any]

_PLAIN = (bool, int, float, str)
# The arrays of a state that have names of their own in the file; the others are under "state".
_OWN_ARRAYS = ("x", "x_proxy", "candidates")


def state_to_file(state: FittedState, n_features: int, nothing: NDArray[np.float64]) -> Any:
    """Return the arrays and facts by which a file tells of a state.

    Parameters
    ----------
    state : FittedState
        The state.
    n_features : int
        Number of variables.
    nothing : ndarray of shape (0,) or (0, n_outputs)
        The values of no samples.

    Returns
    -------
    arrays : dict of str to ndarray
        The samples, the box, and the arrays of the answer.
    facts : dict of str to object
        What JSON can hold.
    """
    none = np.empty((0, n_features))
    data = Dataset(none, nothing, none) if state.data is None else state.data
    y = state.goal.turned(data.y)
    arrays: Arrays = {"X": data.X, "y": y, "X_failed": data.X_failed}
    facts: Facts = {"keeps_box": state.keeps_box, "directions": list(state.goal.directions)}
    if state.bounds is not None:
        arrays["bounds"] = state.bounds
    if isinstance(state, ModelState) and state.result is not None:
        answer, facts["answer"] = _answer_to_file(state)
        parts, texts = _proxies_to_file(state)
        arrays |= answer | parts
        facts |= texts
    return arrays, facts


def _answer_to_file(state: ModelState) -> tuple[Arrays, Facts]:
    """Return the fields of a state that a file holds as they are, and the result."""
    kept = {name: state.shown(name) for name in state.saved_fields()}
    fields, facts = _arrays_and_facts(kept)
    arrays = {name: fields.pop(name) for name in _OWN_ARRAYS} | under("state", fields)
    result, facts["result"] = _arrays_and_facts(state.result or {})
    report, _ = _arrays_and_facts(state.smoothing_report or {})
    arrays |= under("result", result) | under("report", report)
    if state.merit is not None:
        arrays |= under("merit", vars(state.merit))
    return arrays, facts | {"knows_risk": state.failure_risk is not None}


def _proxies_to_file(state: ModelState) -> tuple[Arrays, Facts]:
    arrays: Arrays = {}
    facts: Facts = {}
    for part, proxy in (("proxy", state.proxy), ("ladder", state.ladder)):
        if state.variables.is_continuous_box and can_be_stored(proxy):
            own, facts[part] = take_apart(proxy)
            arrays |= under(part, own)
    return arrays, facts


def restore_state(
    optimizer: AskingSettings,
    kind: type[ModelState],
    arrays: Arrays,
    facts: Facts,
    space: Variables,
) -> ModelState | None:
    """Return the state that a file tells of, None where it has no answer.

    The proxy is None where the file does not hold it: it has to learn again.
    """
    answer = facts.get("answer")
    if answer is None:
        return None
    goal = goal_in(facts)
    data = Dataset(arrays["X"], goal.turned(arrays["y"]), arrays["X_failed"])
    kept = _kept_fields(kind, arrays, answer, goal)
    if not 2 <= kept["n_learned"] <= len(data):
        raise ValueError(f"the proxy must have learned from 2 to {len(data)} rows")
    learned = data.first(kept["n_learned"], kept["n_failed_learned"])
    starts, best = space.best_rows(learned.X, learned.y)
    result = RunResult(part_of(arrays, "result") | answer["result"])
    if space.names is not None:
        result.x_named = space.named(arrays["x"])
    state = kind(
        **kept,
        data=data,
        bounds=space.bounds,
        variables=space,
        keeps_box=facts["keeps_box"],
        goal=goal,
        best_outputs=best,
        x_best_row=starts[0].copy(),
        fun_best_row=float(np.ravel(best)[0]),
        proxy=None,
        optimizer=None,
        search=result,
        result=result,
    )
    return _with_proxies(state, optimizer, arrays, facts) if "proxy" in facts else state


def goal_in(facts: Facts) -> Goal:
    """Return what the optimizer sought that wrote a file."""
    directions = facts["directions"]
    check_directions(directions, None)
    return Goal.of(directions)


def _kept_fields(kind: type[ModelState], arrays: Arrays, answer: Facts, goal: Goal) -> Facts:
    """Return the fields that a file holds as they are, each of the kind that it has to have."""
    fields: Facts = {name: arrays[name] for name in _OWN_ARRAYS}
    fields |= part_of(arrays, "state") | answer
    kept = {name: fields[name] for name in kind.saved_fields() if name in fields}
    for name in ("n_learned", "n_failed_learned", "n_evaluations"):
        kept[name] = int(answer[name])
    kept["seeds"] = {str(name): int(seed) for name, seed in answer["seeds"].items()}
    for name in ("fun", "fun_proxy"):
        kept[name] = goal.value(float(answer[name]))
    kept["usual"] = goal.turned(kept["usual"])
    if not (kept["usual"].ndim == 1 and kept["usual"].size):
        raise ValueError("usual values must be a row of numbers")
    return kept


def _with_proxies(
    state: ModelState, optimizer: AskingSettings, arrays: Arrays, facts: Facts
) -> ModelState:
    """Return the state with proxy, optimizer and all that goes with them, without training."""
    report = part_of(arrays, "report")
    levels = report["noise"][:-1] if "noise" in report else None
    proxy, kind = proxy_of(optimizer), kind_of(facts["proxy"])
    if not isinstance(proxy, kind):
        proxy = kind()
    model = ProxyModel(proxy, search_of(optimizer), state.seeds, levels, goal=state.goal)
    n_outputs, n_features = int(np.prod(state.data.y.shape[1:])), facts["n_features"]
    proxy = put_together(model.learner, part_of(arrays, "proxy"), facts["proxy"], n_features)
    if proxy.n_outputs_ != n_outputs:
        raise ValueError(f"the proxy must have {n_outputs} outputs")
    state = replace(
        state, proxy=proxy, optimizer=model.optimizer, merit=_merit_of(arrays, n_outputs)
    )
    if model.smoothed is not None:
        if "ladder" in facts:
            own = part_of(arrays, "ladder")
            ladder = put_together(model.smoothed.ladder, own, facts["ladder"], n_features)
        else:
            ladder = proxy.smoothed(model.smoothed.levels)
        state = replace(state, ladder=ladder, smoothing_report=report)
    if facts["answer"]["knows_risk"]:
        learned, seed = state.learned, state.seeds["optimizer"]
        risk = learn_failure_risk(learned.X, learned.X_failed, state.bounds, seed)
        state = replace(state, failure_risk=risk)
    return state


def _merit_of(arrays: Arrays, n_outputs: int) -> Merit | None:
    if n_outputs == 1:
        return None
    merit = Merit(**part_of(arrays, "merit"))
    if any(table.shape != (n_outputs - 1,) for table in vars(merit).values()):
        raise ValueError(f"the merit must have {n_outputs - 1} prices")
    return merit


def _arrays_and_facts(values: dict[str, Any]) -> tuple[Arrays, Facts]:
    """Return the arrays of a dictionary, and what JSON can hold; what is neither is left out."""
    arrays: Arrays = {}
    facts: Facts = {}
    for name, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, np.ndarray) and plain.dtype.kind in "biuf":
            arrays[name] = plain
        elif plain is None or isinstance(plain, _PLAIN) or _is_plain_part(plain):
            facts[name] = plain
    return arrays, facts


def _is_plain_part(value: Any) -> bool:
    """Tell whether a dict or a list has nothing that JSON gives back as something else."""
    parts = list(value.values()) if isinstance(value, dict) else value
    return isinstance(parts, list) and all(isinstance(one, _PLAIN) for one in parts)


@dataclass(frozen=True)
class Saved:
    """What a file tells of.

    Parameters
    ----------
    data : Dataset
        The samples.
    pending : ndarray of shape (n_pending, n_features)
        The pending points.
    asked : list of list
        What leads to the run again that points were asked of.
    space : Variables or None
        The variables inside the box, if there is one.
    kinds : Kinds
        What each variable may be, and its name.
    keeps_box : bool
        Whether the box was given to `minimize`.
    n_outputs : int
        How many numbers a value is.
    goal : Goal
        What was sought; values are to be minimized.
    state : ModelState or None
        The answer, if there is one; its proxy is None where the file does not hold it.
    """

    data: Dataset
    pending: NDArray[np.float64]
    asked: list[list[Any]]
    space: Variables | None
    kinds: Kinds
    keeps_box: bool
    n_outputs: int
    goal: Goal
    state: ModelState | None

    @property
    def n_features(self) -> int:
        """Number of variables."""
        return self.data.X.shape[1]

    @property
    def has_proxy(self) -> bool:
        """Whether the proxy need not learn again."""
        return self.state is not None and self.state.proxy is not None


def write_knowledge(optimizer: AskingSettings, path: str | PathLike[str]) -> None:
    """Write what an optimizer knows into a file."""
    state, pending = optimizer._known, optimizer._pending
    tables = [] if state.data is None else [state.data.X]
    tables += [] if state.bounds is None else [state.bounds.T]
    tables += [] if pending is None else [pending.points]
    if not tables:
        raise ValueError("save must come after samples were told or asked for; got none.")
    n_features = tables[-1].shape[1]
    arrays, facts = state_to_file(state, n_features, Dataset.empty(0, optimizer._n_outputs).y)
    arrays["X_pending"] = np.empty((0, n_features)) if pending is None else pending.points
    names = optimizer._names_seen
    about: Facts = {
        "asked": [] if pending is None else pending.asked,
        "class": optimizer._saved_class,
        "n_constraints": int(optimizer.n_constraints),
        "n_features": n_features,
        "names": None if names is None else [str(name) for name in names],
        "kinds": optimizer._spec.kinds(n_features).facts(),
    }
    write_state(path, arrays, about | facts)


def read_knowledge(optimizer: AskingSettings, path: str | PathLike[str]) -> Saved:
    """Read what an optimizer of these parameters has written, or raise an error; change nothing."""
    arrays, facts = read_state(path)
    n_features = facts["n_features"]
    if optimizer.bounds is not None:
        check_width(optimizer.bounds, n_features)
    kinds = _kinds_of_file(arrays, facts, path)
    spec = replace(SpaceSpec.of(optimizer, optimizer.bounds), seen=kinds, names=kinds.names)
    check_kinds(spec.kinds(n_features), facts, path)
    n_outputs = _check_outputs(optimizer, arrays["y"], facts, path)
    try:
        goal = goal_in(facts)
        box = check_bounds(arrays["bounds"], allow_equal=True) if "bounds" in arrays else None
        state = None
        kind = optimizer._state_class
        if issubclass(kind, ModelState) and box is not None:
            state = restore_state(optimizer, kind, arrays, facts, spec.inside(box))
    except Exception as error:
        raise ValueError(
            f"path must be a file whose arrays fit together; got {path}: {reason_of(error)}."
        ) from error
    if optimizer.direction is not None and optimizer._goal != goal:
        raise ValueError(
            f"path must be a file of direction={optimizer.direction!r}; got {path}, of "
            f"{', '.join(goal.directions)}."
        )
    return Saved(
        data=Dataset(arrays["X"], goal.turned(arrays["y"]), arrays["X_failed"]),
        pending=arrays["X_pending"],
        asked=_asked_in(facts, path),
        space=None if box is None else spec.inside(box),
        kinds=kinds,
        keeps_box=facts["keeps_box"] and box is not None,
        n_outputs=n_outputs,
        goal=goal,
        state=state,
    )


def _asked_in(facts: Facts, path: str | PathLike[str]) -> list[list[Any]]:
    """Return what leads to the run again that points were asked of."""
    asked = facts.get("asked", [])
    if not (isinstance(asked, list) and all(_is_asked(one) for one in asked)):
        raise ValueError(f"path must be a file whose facts fit together; got {path}.")
    return asked


def _is_asked(one: Any) -> bool:
    """Tell whether this is what `PendingPoints.asked` has of a call: three counts, and points."""
    return (
        isinstance(one, list)
        and len(one) >= 3
        and all(type(n) is int and n >= 0 for n in one[:3])
        and all(isinstance(x, list) and all(type(n) is float for n in x) for x in one[3:])
    )


def _kinds_of_file(arrays: Arrays, facts: Facts, path: str | PathLike[str]) -> Kinds:
    """Return the variables that a file tells of, in its box or that of its samples."""
    rows = np.vstack([arrays[name] for name in ("X", "X_failed", "X_pending")])
    box = arrays.get("bounds")
    if box is None:
        box = np.column_stack([rows.min(axis=0), rows.max(axis=0)])
    names = None if facts["names"] is None else tuple(facts["names"])
    try:
        return kinds_of_facts(facts.get("kinds", {"whole": [], "categories": {}}), box, names)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path must be a file whose facts fit together; got {path}.") from error


def _check_outputs(
    optimizer: AskingSettings, y: NDArray[np.float64], facts: Facts, path: str | PathLike[str]
) -> int:
    """Return the number of outputs of a file, or raise an error that its values are others."""
    own = optimizer._saved_class
    written_by = facts.get("class", own)
    if written_by != own:
        raise ValueError(
            f"path must be a file that {own}.save wrote; got {path}, which is of a {written_by}."
        )
    n_outputs = int(np.prod(y.shape[1:]))
    # The optimizer stays as it was until the file is known to be in order.
    settled = copy.copy(optimizer)
    settled._settle_outputs(n_outputs)
    width = Dataset.empty(0, settled._n_outputs).y.shape[1:]
    if y.shape[1:] != width:
        raise ValueError(
            f"path must be a file of {int(np.prod(width))} outputs; got {path} of {n_outputs}."
        )
    n_constraints = facts.get("n_constraints", optimizer.n_constraints)
    if n_constraints != optimizer.n_constraints:
        raise ValueError(
            f"path must be a file of {optimizer.n_constraints} constraints; got {path} of "
            f"{n_constraints}."
        )
    return n_outputs
