"""The components that an optimizer is put together from."""

from __future__ import annotations

import warnings
from inspect import Parameter, signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_proxyopt._run._short_names import resolved
from sklearn_proxyopt._utils._global_random import preserved
from sklearn_proxyopt._utils._seeding import seeded
from sklearn_proxyopt._utils._warning import warn_user
from sklearn_proxyopt.exceptions import ConstantWarning, RefittedProxyWarning, RowsOutsideWarning
from sklearn_proxyopt.variables import Variables

__all__ = [
    "check_components",
    "check_infill",
    "check_optimizer",
    "check_refiner",
    "check_that_outputs_are_borne",
    "warn_of_fitted",
    "warn_of_rows_outside",
]

# What each part owes.
_METHODS = {
    "sampler": ("sample", "select"),
    "proxy": ("fit", "predict"),
    "optimizer": ("minimize",),
    "refiner": ("refine",),
}
# The parts whose own parameters are looked at, wherever they lie inside one another.
_PARTS = (*_METHODS, "infill")
# Rows and variables of the table on which a proxy is tried that does not say what it bears.
_N_TRIED = (20, 3)
# Fewer samples may agree by chance.
_LEAST_TO_VARY = 5


def check_components(estimator: Any) -> None:
    """Raise an error that names the first part that is none, or a parameter that it refuses.

    All parts are asked, wherever they lie inside one another.
    """
    for name, methods in _METHODS.items():
        part = getattr(estimator, name, None)
        if part is None or (isinstance(part, str) and (name != "refiner" or part == "auto")):
            continue
        missing = [method for method in methods if not hasattr(part, method)]
        if isinstance(part, type):
            raise ValueError(
                f"{name} must be an instance with the methods {', '.join(methods)}; got the class "
                f"{part.__name__}. Call it: {part.__name__}()."
            )
        if missing:
            raise ValueError(
                f"{name} must be an instance with the methods {', '.join(methods)}; got {part!r}."
            )
    _check_that_it_is_a_regressor(getattr(estimator, "proxy", None))
    for name, part in estimator.get_params(deep=True).items():
        if isinstance(part, type):
            continue
        if hasattr(part, "check_parameters"):
            part.check_parameters()
        whose = name.split("__")[0]
        if whose in _PARTS and hasattr(part, "_parameter_constraints"):
            _check_own_parameters(part, whose)


def check_optimizer(optimizer: Any, *, finds_front: bool) -> None:
    """Raise an error unless an optimizer finds a front, or the minimum of one value."""
    if optimizer is None:
        return
    optimizer = resolved("optimizer", optimizer)
    arguments = signature(optimizer.minimize).parameters
    if any(one.kind is Parameter.VAR_KEYWORD for one in arguments.values()):
        return
    if finds_front and "n_constraints" not in arguments:
        raise ValueError(
            "optimizer must find a front, by a method minimize that takes n_constraints, as an "
            f"NSGA2 does; got {optimizer!r}."
        )
    if not finds_front and "n_constraints" in arguments:
        raise ValueError(
            f"optimizer must find the minimum of one value; got {optimizer!r}. ParetoOptimizer "
            "finds fronts."
        )


def check_refiner(refiner: Any, n_constraints: int) -> None:
    """Raise an error that names the refiner if there are constraints and it knows nothing of any.

    One that does not say is believed to.
    """
    if n_constraints and not getattr(refiner, "handles_constraints", True):
        raise ValueError(
            "refiner must be one with method='COBYQA', or a SurrogateCMAES, with n_constraints="
            f"{n_constraints}; got {refiner!r}."
        )


def check_infill(infill: Any, proxy: Any) -> None:
    """Raise an error unless an infill strategy is one, and can work with the proxy."""
    if infill is None:
        return
    if isinstance(infill, type):
        raise ValueError(
            "infill must be None or a strategy with the method propose; got the class "
            f"{infill.__name__}. Call it: {infill.__name__}()."
        )
    if not hasattr(infill, "propose"):
        raise ValueError(
            f"infill must be None or a strategy with the method propose; got {infill!r}."
        )
    infill.check_proxy(proxy)


def check_that_outputs_are_borne(proxy: Any, n_outputs: int) -> None:
    """Raise an error unless a proxy learns several targets.

    The tags of some that do say that they do not, so that their word is put to the test.
    """
    if proxy is None or n_outputs < 2 or not hasattr(proxy, "__sklearn_tags__"):
        return
    tried = proxy
    while isinstance(tried, GridSearchCV | RandomizedSearchCV):
        # Its own tags say nothing, and one fit is tried sooner than all of its candidates.
        tried = tried.estimator
    if get_tags(tried).target_tags.multi_output or _learns(tried, 2) or not _learns(tried, 1):
        return
    raise ValueError(
        f"proxy must bear {n_outputs} targets, those of all outputs; got {proxy!r}, which bears "
        "one. MultiOutputRegressor of scikit-learn fits one regressor for each."
    )


def _check_that_it_is_a_regressor(proxy: Any) -> None:
    if not hasattr(proxy, "__sklearn_tags__"):
        return
    kind = get_tags(proxy).estimator_type
    if kind not in (None, "regressor"):
        raise ValueError(f"proxy must be a regressor; got {proxy!r}, a {kind}.")


def _check_own_parameters(part: Any, whose: str) -> None:
    """Raise an error that names the part if it is one of scikit-learn's with a wrong parameter."""
    try:
        part._validate_params()
    except ValueError as error:
        raise ValueError(f"{whose} must have valid parameters; got {part!r}: {error}") from error


def _learns(proxy: Any, n_targets: int) -> bool:
    """Tell whether a clone of a proxy learns a small table; no global generator is touched."""
    import torch

    rng = np.random.default_rng(0)
    X = rng.random(_N_TRIED)
    y = X[:, :n_targets] if n_targets > 1 else X[:, 0]
    try:
        with preserved(torch.device("cpu")), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predicted = seeded(proxy, 0).fit(X, y).predict(X)
    except Exception:
        return False
    return np.shape(predicted) == y.shape


def warn_of_fitted(proxy: Any) -> None:
    """Warn that a proxy which is fitted already will be fitted anew."""
    if not isinstance(proxy, BaseEstimator) or isinstance(proxy, FrozenEstimator):
        return
    if not get_tags(proxy).requires_fit:
        return
    try:
        check_is_fitted(proxy)
    except NotFittedError:
        return
    warn_user(
        f"proxy is fitted already, and a copy of it is fitted anew: {proxy!r}. To search it as it "
        "is, call minimize_model, or pass sklearn.frozen.FrozenEstimator(proxy).",
        RefittedProxyWarning,
    )


def warn_of_constants(
    X: NDArray[np.float64], y: NDArray[np.float64], is_fixed: NDArray[np.bool_]
) -> None:
    """Warn of samples in which the value, or a variable that is not fixed, is always the same."""
    if len(X) < _LEAST_TO_VARY:
        return
    if not np.ptp(y, axis=0).any():
        warn_user(
            f"y is the same, {np.ravel(y)[0]:.6g}, in all {len(X)} samples, so no settings are "
            "better than others. Does the objective use its inputs, or is it the wrong column?",
            ConstantWarning,
        )
    for place in np.flatnonzero((np.ptp(X, axis=0) == 0.0) & ~is_fixed):
        warn_user(
            f"X is the same, {X[0, place]:.6g}, in variable {place} of all {len(X)} samples, so "
            "nothing is learned of it. Leave it out, fix it in bounds, or vary it.",
            ConstantWarning,
        )


def warn_of_rows_outside(X: NDArray[np.float64], space: Variables) -> None:
    """Warn of samples that were done and lie outside the bounds or miss the constraints."""
    counts = space.counts(X)
    if counts.all():
        return
    where = "bounds" if space.constraints is None else "bounds and constraints"
    warn_user(
        f"{where} hold {int(counts.sum())} of {len(X)} samples; the others are learned from, and "
        f"cannot be the answer. {space.nearest_miss(X[~counts])} Behind transformers of a "
        "Pipeline, bounds are in the units of the transformed samples.",
        RowsOutsideWarning,
    )
