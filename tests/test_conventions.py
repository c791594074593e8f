"""What holds for every public estimator, found from the `__init__` that lists it."""

from __future__ import annotations

import inspect
import os
import pickle
import random
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from discovery import public_estimators, public_modules
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from spies import Spy

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.infill import Knowledge
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler

ESTIMATORS = public_estimators()
BOX = np.array([[3.0, 4.0], [-100.0, -99.0]])
MIDDLE = BOX.mean(axis=1)

# With these an answer takes a second at most; those that an estimator does not have are left out.
QUICK = {
    "vectorized": True,
    "n_samples": 16,
    "n_points": 4,
    "n_iterations": 10,
    "n_generations": 5,
    "n_rounds": 1,
    "n_candidates": 32,
    "population_size": 16,
    "max_evaluations": 20,
    "max_epochs": 3,
    "n_pairs": 16,
    "verdict": False,
    "sampler": SobolSampler(16),
    "proxy": NeuralProxyRegressor((8,), max_epochs=3),
}


def name_of(estimator):
    return type(estimator).__name__


def owning(*methods):
    """Parametrize over the estimators that have one of some methods."""
    found = [
        one for one in ESTIMATORS if any(callable(getattr(one, name, None)) for name in methods)
    ]
    return pytest.mark.parametrize("estimator", found, ids=name_of)


def bowl(X):
    return ((X - MIDDLE) ** 2).sum(axis=1)


def two_bowls(X):
    return np.column_stack([bowl(X), bowl(X + 0.3)])


@cache
def ensemble():
    rows = SobolSampler(32, random_state=0).sample(BOX)
    proxy = NeuralProxyRegressor((8,), n_members=2, max_epochs=5, random_state=0)
    return proxy.fit(rows, bowl(rows)), rows


def knowledge(seed):
    proxy, rows = ensemble()
    optimizer = MultiStartBFGS(4, 5, n_rounds=1, n_candidates=32, random_state=0)
    return Knowledge(
        proxy=proxy,
        optimizer=optimizer,
        X=rows,
        y=bowl(rows),
        bounds=BOX,
        minima=rows[:3] + 0.01 * (MIDDLE - rows[:3]),
        taken=rows,
        rng=np.random.default_rng(seed),
        learn=lambda chosen, bounds: (proxy, rows[chosen][:2]),
        doubts=lambda: rows[4:6] + 0.01 * (MIDDLE - rows[4:6]),
    )


def quick(estimator, seed):
    """Return a copy that answers soon, with a seed if it takes one."""
    wanted = {**QUICK, "random_state": seed}
    if name_of(estimator) == "ParetoOptimizer":
        wanted["optimizer"] = NSGA2(8, 3)
    has = estimator.get_params(deep=False)
    return clone(estimator).set_params(**{name: wanted[name] for name in wanted if name in has})


def answer(estimator, seed, bounds=BOX):
    """Return points that an estimator came to, and the rows that it asked a function for."""
    one = quick(estimator, seed)
    if hasattr(one, "sample"):
        points = one.sample(bounds)
        return points, points
    if hasattr(one, "propose"):
        points = one.propose(knowledge(seed))
        return points, points
    several = name_of(one) == "ParetoOptimizer"
    if hasattr(one, "minimize"):
        several |= "n_constraints" in inspect.signature(one.minimize).parameters
        spy = Spy(two_bowls if several else bowl)
        result = one.minimize(spy, bounds)
        return result.X if several else result.x, np.array(spy.rows)
    if callable(getattr(one, "refine", None)):
        spy = Spy(bowl)
        return one.refine(spy, [MIDDLE - 0.2], bounds).x, np.array(spy.rows)
    X = SobolSampler(30, random_state=0).sample([[-1.0, 1.0]] * 2)
    return one.fit(X, X[:, 0]).predict(X), None


def global_states():
    kind, keys, *others = np.random.get_state()
    return repr((kind, keys.tolist(), others)), random.getstate(), torch.get_rng_state().tolist()


@parametrize_with_checks([one for one in ESTIMATORS if hasattr(one, "fit")])
def test_every_estimator_follows_the_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("copied", [clone, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_every_estimator_is_copied_with_its_parameters(estimator, copied):
    twin = copied(estimator)
    assert type(twin) is type(estimator)
    assert repr(twin.get_params()) == repr(estimator.get_params())
    assert vars(twin).keys() == twin.get_params(deep=False).keys()


@owning("sample", "propose", "minimize", "refine", "predict")
def test_the_same_seed_gives_the_same_answer_and_touches_no_global_generator(estimator):
    before = global_states()
    first, second = (answer(estimator, 3)[0] for _ in range(2))
    assert global_states() == before
    np.testing.assert_array_equal(first, second)


@owning("sample", "propose", "minimize", "refine")
def test_no_row_outside_the_box_is_drawn_or_asked_for(estimator):
    points, rows = answer(estimator, 0)
    assert len(rows)
    for some in (np.atleast_2d(points), rows):
        assert ((some >= BOX[:, 0]) & (some <= BOX[:, 1])).all()


@pytest.mark.parametrize("bounds", [[[1.0, 0.0], [0.0, 1.0]], [[0.0, np.nan], [0.0, 1.0]]])
@owning("sample", "minimize", "refine")
def test_bounds_that_are_no_box_are_refused_by_name(estimator, bounds):
    with pytest.raises(ValueError, match="bounds must"):
        answer(estimator, 0, bounds)


def test_every_module_with_a_public_name_is_looked_into():
    names = {module.__name__.removeprefix("sklearn_proxyopt.") for module in public_modules()}
    assert {"samplers", "optimizers", "infill", "inverse", "problems.physics"} <= names
    assert {"SubsetSampler", "NSGA2", "TrustRegion", "ProxyOptimizer"} <= set(
        map(name_of, ESTIMATORS)
    )


# Samplers that are added to the package, and the conventions that they break.
ADDED = {
    "AddedSampler": set(),
    "AddedSamplerThatSetsMoreThanItsParameters": {
        "test_every_estimator_follows_the_conventions_of_scikit_learn",
        "test_every_estimator_is_copied_with_its_parameters",
    },
    "AddedSamplerWithoutASeed": {
        "test_the_same_seed_gives_the_same_answer_and_touches_no_global_generator"
    },
    "AddedSamplerThatLeavesTheBox": {"test_no_row_outside_the_box_is_drawn_or_asked_for"},
}
PLUGIN = """
import numpy as np

from sklearn_proxyopt import samplers


class AddedSampler(samplers.UnitCubeSampler):
    def __init__(self, n_samples=10, random_state=None):
        self.n_samples = n_samples
        self.random_state = random_state

    def _sample_unit(self, n_samples, n_features, rng):
        return rng.random((n_samples, n_features))


class AddedSamplerThatSetsMoreThanItsParameters(AddedSampler):
    def __init__(self, n_samples=10, random_state=None):
        super().__init__(n_samples, random_state)
        self.n_drawn = 0


class AddedSamplerWithoutASeed(AddedSampler):
    def _sample_unit(self, n_samples, n_features, rng):
        return np.random.random((n_samples, n_features))


class AddedSamplerThatLeavesTheBox(AddedSampler):
    def _sample_box(self, n_samples, bounds, rng):
        return 2.0 * super()._sample_box(n_samples, bounds, rng)


for kind in list(vars().values()):
    if getattr(kind, "__name__", "").startswith("Added"):
        setattr(samplers, kind.__name__, kind)
        samplers.__all__.append(kind.__name__)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Run this file in a fresh interpreter for the samplers that are added there."""
    directory, tests = tmp_path_factory.mktemp("added"), Path(__file__)
    (directory / "added.py").write_text(PLUGIN, encoding="utf-8")
    chosen = ["-k", "AddedSampler and not outcomes", "-p", "added", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", *chosen, str(tests)],
        cwd=tests.parents[1],
        env={**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{tests.parents[1]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(PASSED|FAILED) \S*::(\w+)\[(\w+)", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize("name", ADDED)
def test_outcomes_of_an_estimator_added_to_an_init(outcomes, name):
    own = [(result, test) for result, test, estimator in outcomes if estimator == name]
    assert {test for _, test in own} == {
        "test_every_estimator_follows_the_conventions_of_scikit_learn",
        "test_every_estimator_is_copied_with_its_parameters",
        "test_the_same_seed_gives_the_same_answer_and_touches_no_global_generator",
        "test_no_row_outside_the_box_is_drawn_or_asked_for",
        "test_bounds_that_are_no_box_are_refused_by_name",
    }
    assert {test for result, test in own if result == "FAILED"} == ADDED[name]
