"""Base classes: a hook that a subclass leaves out or misspells is named when one is made."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from discovery import bases, hooks_of, public_classes
from sklearn.base import BaseEstimator, clone

from sklearn_proxyopt.infill import BaseInfill
from sklearn_proxyopt.inverse import BaseInverse
from sklearn_proxyopt.optimizers import BaseOptimizer
from sklearn_proxyopt.problems import Problem
from sklearn_proxyopt.problems.physics import ForwardModel
from sklearn_proxyopt.refine import BaseRefiner
from sklearn_proxyopt.samplers import BaseSampler, UnitCubeSampler

BASES = bases()
each_hook = pytest.mark.parametrize(
    ("base", "hook"),
    [(base, hook) for base in BASES for hook in hooks_of(base)],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)


def all_hooks(base):
    """Return a method for every hook that a subclass of a base must write."""

    def hook(self, *args, **kwargs):
        raise NotImplementedError

    names = {name for one in base.__mro__ for name in hooks_of(one)}
    return {
        name: hook for name in names if getattr(getattr(base, name), "__isabstractmethod__", False)
    }


def test_the_bases_that_users_extend_are_found():
    bases_of_users = {
        BaseInfill, BaseInverse, BaseOptimizer, BaseRefiner, BaseSampler, ForwardModel, Problem,
        UnitCubeSampler,
    }  # fmt: skip
    assert bases_of_users <= set(BASES)
    assert {kind for kind in public_classes() if inspect.isabstract(kind)} == bases_of_users


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_a_base_itself_cannot_be_made(base):
    with pytest.raises(TypeError, match=f"abstract class {base.__name__} "):
        base()


@each_hook
def test_a_hook_left_out_is_refused_by_its_name(base, hook):
    written = all_hooks(base)
    del written[hook]
    with pytest.raises(TypeError, match=rf"abstract class Incomplete .*\b{hook}\b"):
        type(base)("Incomplete", (base,), written)()


@each_hook
def test_a_hook_misspelt_is_refused_by_its_name(base, hook):
    written = all_hooks(base)
    written[f"{hook}s"] = written.pop(hook)
    with pytest.raises(TypeError, match=rf"abstract class Misspelt .*\b{hook}\b"):
        type(base)("Misspelt", (base,), written)()


class Complete(UnitCubeSampler):
    def __init__(self, n_samples=10, random_state=None):
        self.n_samples = n_samples
        self.random_state = random_state

    def _sample_unit(self, n_samples, n_features, rng):
        return rng.random((n_samples, n_features))


@pytest.mark.parametrize("base", BASES, ids=lambda base: base.__name__)
def test_a_subclass_with_all_hooks_is_no_longer_abstract(base):
    assert not inspect.isabstract(type(base)("Whole", (base,), all_hooks(base)))


@pytest.mark.parametrize(
    "copied", [clone, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_complete_subclass_is_copied_like_any_estimator(copied):
    twin = copied(Complete(n_samples=3))
    assert isinstance(twin, BaseEstimator)
    assert twin.sample([[0.0, 1.0]]).shape == (3, 1)
