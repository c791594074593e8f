"""Optimizers in files: `save` and `load`."""

from __future__ import annotations

import copy
import os
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult
from sklearn.callback import with_callbacks

from sklearn_proxyopt._proxy_search._failure_model import learn_failure_risk
from sklearn_proxyopt._proxy_search._model import LearnedProxy
from sklearn_proxyopt._proxy_search._penalty import Merit
from sklearn_proxyopt._run._progress import Stages
from sklearn_proxyopt._utils._dataset import with_failures
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
from sklearn_proxyopt.proxies import NeuralProxyRegressor
from sklearn_proxyopt.proxies._stored import can_be_stored, put_together, take_apart
from sklearn_proxyopt.variables import Variables

__all__ = ["SavingAnswersMixin", "SavingMixin"]

_NUMBERS = (bool, int, float, str)


class SavingMixin:
    """The methods `save` and `load` of an optimizer that learns its proxy again.

    The class owes `check_parameters`, `_no_values`, the name of what it saves itself as in
    `_saved_class`, and what an `AskTellMixin` and a `SpaceMixin`
    have.
    """

    _saved_class: str
    bounds: Any
    n_constraints: int
    bounds_: NDArray[np.float64]
    X_pending_: NDArray[np.float64]
    feature_names_in_: NDArray[np.object_]
    n_features_in_: int
    feature_names: Any
    check_parameters: Any
    _kinds: Any
    _space: Any
    _no_values: Any
    _begin_anew: Any
    _open_questions: Any
    _settle_outputs: Any
    _take_in: Any

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what is known into a file that can run no code.

        The file holds plain arrays, and text in JSON: rows, values, failures, pending points and
        the box. A `ProxyOptimizer` adds its answer, with the numbers and texts of `result_`, and a
        `NeuralProxyRegressor` with all that it needs to predict. Other proxies, networks of a
        module of your own, and proxies of whole numbers, categories, log scales or known
        constraints are learned again by `load`. Parameters are not in the file: they are in the
        program.

        Parameters
        ----------
        path : str or path-like
            The file; one that is there is replaced.
        """
        known = ("X_", "X_failed_", "X_pending_", "bounds_")
        present = [getattr(self, name) for name in known if hasattr(self, name)]
        if not present:
            raise ValueError("save must come after rows were told or asked for; got none.")
        n_features = len(self.bounds_) if hasattr(self, "bounds_") else present[0].shape[1]
        none = np.empty((0, n_features))
        arrays = {name: getattr(self, f"{name}_", none) for name in ("X", "X_failed", "X_pending")}
        arrays["y"] = getattr(self, "y_", self._no_values())
        if hasattr(self, "bounds_"):
            arrays["bounds"] = self.bounds_
        names = getattr(self, "feature_names_in_", None)
        facts: dict[str, Any] = {
            "class": self._saved_class,
            "n_constraints": int(self.n_constraints),
            "n_features": n_features,
            "names": None if names is None else [str(name) for name in names],
            "keeps_box": getattr(self, "_keeps_box", False),
            "kinds": self._kinds(n_features).facts(),
        }
        answer, texts = self._answer_to_keep()
        write_state(path, arrays | answer, facts | texts)

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Go on from a file that `save` wrote.

        The answer is the saved one where the file has one. A `NeuralProxyRegressor` in the file
        predicts to the last bit as it did, without training and whatever the parameters of this
        optimizer are; these hold for what comes after. Any other proxy is learned again, and is as
        it was with the parameters of the optimizer that wrote the file.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        self
            The optimizer, fitted if at least two rows were told.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind, class or number of constraints, or of a format
            that is not known. The optimizer stays as it was.
        """
        self.check_parameters()
        arrays, facts = read_state(path)
        if self.bounds is not None:
            check_width(self.bounds, facts["n_features"])
        names = facts["names"] if self.feature_names is None else None
        check_kinds(self._kinds(facts["n_features"], names), facts, path)
        n_outputs = self._check_outputs(arrays["y"], facts, path)
        try:
            box = check_bounds(arrays["bounds"]) if "bounds" in arrays else None
            fitted = self._fitted_state(arrays, facts)
        except Exception as error:
            raise ValueError(
                f"path must be a file whose arrays fit together; got {path}: {reason_of(error)}."
            ) from error
        self._settle_outputs(n_outputs)
        self._begin_anew(keeps_box=facts["keeps_box"] and box is not None)
        self.__dict__.pop("feature_names_in_", None)
        if facts["names"] is not None:
            self.feature_names_in_ = np.array(facts["names"], dtype=object)
        self.n_features_in_ = facts["n_features"]
        if box is not None:
            self.bounds_ = box
        if "proxy_" not in fitted:
            self._learn_again(arrays, fitted)
        vars(self).update(fitted)
        if "proxy_" in fitted:
            self.variables_ = self._space(self.bounds_)
        if len(arrays["X_pending"]):
            self._open_questions().pending = arrays["X_pending"]
            self.X_pending_ = arrays["X_pending"]
        return self

    def _check_outputs(
        self, y: NDArray[np.float64], facts: dict[str, Any], path: str | os.PathLike[str]
    ) -> int:
        """Return the number of outputs of a file, or raise an error that its values are others."""
        written_by = facts.get("class", self._saved_class)
        if written_by != self._saved_class:
            raise ValueError(
                f"path must be a file that {self._saved_class}.save wrote; got {path}, which is of "
                f"a {written_by}."
            )
        known = y.shape[1:]
        n_outputs = int(np.prod(known))
        # The optimizer stays as it was until the file is known to be in order.
        settled = copy.copy(self)
        settled._settle_outputs(n_outputs)
        width = settled._no_values().shape[1:]
        if known != width:
            raise ValueError(
                f"path must be a file of {int(np.prod(width))} outputs; got {path} of {n_outputs}."
            )
        n_constraints = facts.get("n_constraints", self.n_constraints)
        if n_constraints != self.n_constraints:
            raise ValueError(
                f"path must be a file of {self.n_constraints} constraints; got {path} of "
                f"{n_constraints}."
            )
        return n_outputs

    def _answer_to_keep(self) -> tuple[Arrays, dict[str, Any]]:
        """Return arrays and facts of the answer for the file."""
        return {}, {}

    def _fitted_state(self, arrays: Arrays, facts: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes that a file gives a fitted optimizer; none if it has no answer."""
        return {}

    def _learn_again(self, arrays: Arrays, fitted: dict[str, Any]) -> None:
        """Learn the rows of the file, if there are any."""
        if len(arrays["X"]) + len(arrays["X_failed"]):
            self._take_in(*with_failures(arrays["X"], arrays["y"], arrays["X_failed"]))


class SavingAnswersMixin(SavingMixin):
    """The methods `save` and `load` of an optimizer whose answer and proxy are in the file too.

    The class owes `_new_optimizer` and `_learn`, which sets `_seeds` and `_n_failed_learned`.
    """

    proxy: Any
    integrality: Any
    categories: Any
    log_scale: Any
    constraints: Any
    variables_: Variables
    x_: NDArray[np.float64]
    fun_: float
    x_proxy_: NDArray[np.float64]
    fun_proxy_: float
    n_learned_: int
    proxy_: Any
    result_: OptimizeResult
    _candidates: NDArray[np.float64]
    _merit: Merit | None
    _typical: float
    _seeds: dict[str, int]
    _n_failed_learned: int
    _new_optimizer: Any
    _learn: Any

    def _answer_to_keep(self) -> tuple[Arrays, dict[str, Any]]:
        if not hasattr(self, "proxy_"):
            return {}, {}
        result, texts = _plain(self.result_)
        report, _ = _plain(getattr(self, "smoothing_report_", {}))
        arrays: Arrays = {"x": self.x_, "x_proxy": self.x_proxy_, "candidates": self._candidates}
        arrays |= under("result", result) | under("report", report)
        if self._merit is not None:
            arrays |= under("merit", vars(self._merit))
        facts: dict[str, Any] = {
            "answer": {
                "fun": float(self.fun_),
                "fun_proxy": float(self.fun_proxy_),
                "n_learned": self.n_learned_,
                "n_failed_learned": self._n_failed_learned,
                "knows_risk": getattr(self, "failure_risk_", None) is not None,
                "typical": self._typical,
                "seeds": self._seeds,
                "result": texts,
            }
        }
        for part, proxy in (("proxy", self.proxy_), ("ladder", getattr(self, "ladder_", None))):
            if self.variables_.is_plain and can_be_stored(proxy):
                own, facts[part] = take_apart(proxy)
                arrays |= under(part, own)
        return arrays, facts

    def _fitted_state(self, arrays: Arrays, facts: dict[str, Any]) -> dict[str, Any]:
        answer = facts.get("answer")
        if answer is None:
            return {}
        X, y, n_learned = arrays["X"], arrays["y"], int(answer["n_learned"])
        if not 2 <= n_learned <= len(X):
            raise ValueError(f"the proxy must have learned from 2 to {len(X)} rows")
        seeds = {str(name): int(seed) for name, seed in answer["seeds"].items()}
        box = check_bounds(arrays["bounds"])
        space = self._space_in(box, facts)
        starts, best = space.best_rows(X[:n_learned], y[:n_learned])
        result = OptimizeResult(part_of(arrays, "result") | answer["result"])
        if facts["names"] is not None:
            result.x_named = space.named(arrays["x"])
        state: dict[str, Any] = {
            "X_": X,
            "y_": y,
            "X_failed_": arrays["X_failed"],
            "bounds_": box,
            "n_learned_": n_learned,
            "_n_failed_learned": int(answer["n_failed_learned"]),
            "_seeds": seeds,
            "_diagnosis_seed": seeds["diagnosis"],
            "_inquiry": None,
            "_typical": float(answer["typical"]),
            "_best_outputs": best,
            "x_best_row_": starts[0].copy(),
            "fun_best_row_": float(np.ravel(best)[0]),
            "x_": arrays["x"],
            "fun_": float(answer["fun"]),
            "x_proxy_": arrays["x_proxy"],
            "fun_proxy_": float(answer["fun_proxy"]),
            "_candidates": arrays["candidates"],
            "result_": result,
        }
        if "proxy" in facts:
            state |= self._restored(arrays, facts, state)
        return state

    def _space_in(self, box: NDArray[np.float64], facts: dict[str, Any]) -> Variables:
        """Return the variables of a file."""
        return Variables(
            box,
            names=facts["names"] if self.feature_names is None else self.feature_names,
            integrality=self.integrality,
            categories=self.categories,
            log_scale=self.log_scale,
            constraints=self.constraints,
        )

    def _restored(
        self, arrays: Arrays, facts: dict[str, Any], state: dict[str, Any]
    ) -> dict[str, Any]:
        """Return proxy, optimizer and all that goes with them, without training."""
        report, seeds = part_of(arrays, "report"), state["_seeds"]
        learned = self._unlearned(seeds, report["noise"][:-1] if "ladder" in facts else None)
        unfitted = {"proxy": learned.proxy}
        found: dict[str, Any] = {"optimizer_": learned.optimizer, "failure_risk_": None}
        if learned.smoothed is not None:
            unfitted["ladder"] = learned.smoothed.ladder
            found["smoothing_report_"] = report
        for part, proxy in unfitted.items():
            own = part_of(arrays, part)
            found[f"{part}_"] = put_together(proxy, own, facts[part], facts["n_features"])
        n_outputs = int(np.prod(arrays["y"].shape[1:]))
        if found["proxy_"].n_outputs_ != n_outputs:
            raise ValueError(f"the proxy must have {n_outputs} outputs")
        found["_merit"] = None
        if n_outputs > 1:
            found["_merit"] = Merit(**part_of(arrays, "merit"))
            if any(table.shape != (n_outputs - 1,) for table in vars(found["_merit"]).values()):
                raise ValueError(f"the merit must have {n_outputs - 1} prices")
        if facts["answer"]["knows_risk"]:
            n_rows, n_failed = state["n_learned_"], state["_n_failed_learned"]
            failed = arrays["X_failed"][:n_failed]
            found["failure_risk_"] = learn_failure_risk(
                arrays["X"][:n_rows], failed, state["bounds_"], seeds["optimizer"]
            )
        return found

    def _unlearned(self, seeds: dict[str, int], levels: Any) -> LearnedProxy:
        """Return proxies to be given their numbers, and the optimizer that searches them."""
        is_neural = isinstance(self.proxy, NeuralProxyRegressor)
        return LearnedProxy(
            self.proxy if is_neural else NeuralProxyRegressor(),
            self._new_optimizer(),
            seeds,
            levels,
        )

    @with_callbacks
    def _learn_again(self, arrays: Arrays, fitted: dict[str, Any]) -> None:
        """Learn the rows that the saved proxy had learned."""
        if not fitted:
            super()._learn_again(arrays, fitted)
            return
        n_rows, n_failed = fitted["n_learned_"], fitted["_n_failed_learned"]
        self._learn(
            arrays["X"][:n_rows],
            arrays["y"][:n_rows],
            arrays["X_failed"][:n_failed],
            self._space(fitted["bounds_"]),
            fitted["_seeds"],
            Stages(self, 2),
        )


def _plain(values: Any) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays, and the numbers and texts, of a dictionary; what is neither is left."""
    arrays: Arrays = {}
    facts: dict[str, Any] = {}
    for name, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, _NUMBERS) or plain is None:
            facts[name] = plain
        elif isinstance(plain, np.ndarray) and plain.dtype.kind in "biuf":
            arrays[name] = plain
    return arrays, facts
