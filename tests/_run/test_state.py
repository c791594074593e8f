"""What an optimizer knows as one value."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._run import _persistence
from sklearn_proxyopt._run._state import ModelState
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler

BOX = [[-1.0, 1.0], [-1.0, 1.0]]
X = SobolSampler(24, random_state=0).sample(BOX)


def bowl(X):
    return (X**2).sum(axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class RicherState(ModelState):
    """A state with attributes that nothing else names."""

    temperature: float = 0.0
    profile: np.ndarray = field(default_factory=lambda: np.arange(3.0))


class RicherOptimizer(ProxyOptimizer):
    """Learns one attribute more of each kind."""

    _state_class = RicherState

    def _learn(self, run, data, **fit_params):
        state = super()._learn(run, data, **fit_params)
        profile = np.array([data.y.min(), data.y.max()])
        return RicherState(**vars(state), temperature=float(data.y.mean()), profile=profile)


def optimizer(kind=RicherOptimizer, **changes):
    parameters = {
        "proxy": NeuralProxyRegressor((8,), max_epochs=5),
        "optimizer": MultiStartBFGS(8, 20, n_rounds=1, n_candidates=64),
        "random_state": 0,
    }
    return kind(**(parameters | changes))


def test_a_new_attribute_is_published_by_itself():
    opt = optimizer().fit(X, bowl(X))
    assert opt.temperature_ == bowl(X).mean()
    assert_array_equal(opt.profile_, [bowl(X).min(), bowl(X).max()])


def test_a_new_attribute_is_saved_and_read_by_itself(tmp_path):
    opt = optimizer().fit(X, bowl(X))
    opt.save(tmp_path / "state.npz")
    loaded = optimizer().load(tmp_path / "state.npz")
    assert loaded.temperature_ == opt.temperature_
    assert_array_equal(loaded.profile_, opt.profile_)
    assert_array_equal(loaded.predict(X), opt.predict(X))


def test_a_new_attribute_is_forgotten_by_itself():
    opt = optimizer().fit(X, bowl(X))

    def broken(X):
        raise RuntimeError

    with pytest.raises(Exception, match="objective raised"):
        opt.minimize(broken, BOX)
    assert not hasattr(opt, "temperature_")
    assert not hasattr(opt, "profile_")


@pytest.mark.parametrize("kind", [ProxyOptimizer, ParetoOptimizer])
def test_a_fitted_optimizer_has_few_private_attributes(kind):
    def two(X):
        return np.column_stack([bowl(X), bowl(X - 0.5)])

    is_front = kind is ParetoOptimizer
    opt = optimizer(kind, bounds=BOX, **({"optimizer": NSGA2(12, 5)} if is_front else {}))
    asked = opt.ask(12)
    opt.tell(asked, two(asked) if is_front else bowl(asked))
    opt.ask(2)
    own = {name for name in vars(opt) if name.startswith("_") and "callback" not in name}
    assert len(own) <= 4, own


def test_evidence_is_collected_once_and_not_pickled():
    opt = optimizer(ProxyOptimizer).fit(X, bowl(X))
    before = len(pickle.dumps(opt))
    opt.diagnose()
    assert opt._known.evidence is opt._known.evidence
    assert len(pickle.dumps(opt)) == before


def test_a_file_holds_what_is_learned_and_not_what_it_is_made_of():
    saved = set(ModelState.saved_fields())
    assert {"x", "fun", "x_proxy", "candidates", "seeds"} <= saved
    assert not saved & {"proxy", "optimizer", "data", "variables", "result"}


def test_a_state_is_replaced_and_never_changed():
    state = optimizer(ProxyOptimizer).fit(X, bowl(X))._known
    with pytest.raises(AttributeError):
        state.fun = 1.0
    assert replace(state, fun=1.0).fun == 1.0


def test_only_the_state_is_read_by_a_save(tmp_path):
    opt = optimizer(ProxyOptimizer).fit(X, bowl(X))
    arrays, facts = _persistence.state_to_file(opt._known, 2, np.empty(0))
    assert_array_equal(arrays["x"], opt.x_)
    assert facts["answer"]["fun"] == opt.fun_
