import io
import json
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._utils._state_file import MOST_BYTES, read_state, write_state
from sklearn_proxyopt.optimizers import NSGA2, DifferentialEvolution, MultiStartBFGS
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.proxies._saving import kind_of, put_together, take_apart
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


def bowl(X):
    return (X[:, 0] - 0.5) ** 2 + ((X[:, 1] - 20.0) / 25.0) ** 2 + 3.0


def quick(**params):
    params = {
        "bounds": BOX,
        "sampler": SobolSampler(16),
        "proxy": LinearRegression(),
        "optimizer": DifferentialEvolution(10, 5),
        "on_error": "drop",
        "vectorized": True,
        "random_state": 0,
        **params,
    }
    return ProxyOptimizer(**params)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.npz"


def test_a_loaded_optimizer_goes_on_as_the_saved_one(path):
    params = {"proxy": NeuralProxyRegressor((16,), max_epochs=5), "optimizer": MultiStartBFGS(8)}
    opt = quick(**params)
    points = opt.ask(24)
    opt.tell(points[:20], np.where(np.arange(20) < 3, np.nan, bowl(points[:20])))
    opt.save(path)
    loaded = quick(**params).load(path)
    for name in ("X_", "y_", "X_failed_", "X_pending_", "bounds_", "x_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(opt, name))
    np.testing.assert_array_equal(loaded.predict(points), opt.predict(points))
    np.testing.assert_array_equal(loaded.ask(6), opt.ask(6))


def test_points_asked_for_are_saved_before_anything_is_told(path):
    opt = quick()
    points = opt.ask(5)
    opt.save(path)
    loaded = quick().load(path)
    np.testing.assert_array_equal(loaded.X_pending_, points)
    np.testing.assert_array_equal(loaded.ask(3), opt.ask(3))


def test_a_box_that_was_no_parameter_is_kept(path):
    opt = quick(bounds=None)
    opt.minimize(bowl, BOX)
    opt.save(path)
    loaded = quick(bounds=None).load(path)
    np.testing.assert_array_equal(loaded.bounds_, BOX)
    np.testing.assert_array_equal(loaded.tell([[0.0, 90.0]], [9.0]).bounds_, BOX)


@pytest.mark.filterwarnings("error")
def test_names_are_kept(path):
    X = SobolSampler(16, random_state=0).sample(BOX)
    frame = pd.DataFrame(X, columns=["speed", "angle"])
    columns = ColumnTransformer([("both", "passthrough", ["angle", "speed"])])
    params = {"proxy": make_pipeline(columns, LinearRegression())}
    quick(**params).tell(frame, bowl(X)).save(path)
    assert quick(**params).load(path).predict(frame).shape == (16,)


def test_an_optimizer_that_knows_nothing_has_nothing_to_save(path):
    with pytest.raises(ValueError, match="save must come after samples were told or asked for"):
        quick().save(path)
    assert not path.exists()


NEURAL = {"proxy": NeuralProxyRegressor((8,), max_epochs=4), "optimizer": MultiStartBFGS(8)}


def never_learns(monkeypatch):
    def fit(*args, **kwargs):
        pytest.fail("a proxy was trained")

    for kind in (KernelProxyRegressor, NeuralProxyRegressor, ProxyRegressor):
        monkeypatch.setattr(kind, "fit", fit)


KINDS = {
    "plain": {},
    "additive, features that are learned": {"trend": "additive", "features": "random"},
    "features as drawn, along axes": {"features": "axes", "learn_frequencies": False},
    "single precision": {"dtype": "float32"},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "members in two groups": {"n_members": 3, "batch_size": 20, "bootstrap": True},
    "a smoothed trend": {"n_members": 2, "input_noise": [0.1, 0.05], "trend": "quadratic"},
    "polished": {"n_lbfgs_iterations": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_neural_proxy_is_restored_to_the_last_bit_without_training(path, monkeypatch, kind):
    params = {"hidden_layer_sizes": (8, 6), "max_epochs": 4, **KINDS[kind]}
    if "two groups" in kind:
        monkeypatch.setattr("sklearn_proxyopt.proxies._net._ROWS_A_GROUP", 40)
    proxy = NeuralProxyRegressor(**params)
    X = SobolSampler(120, random_state=0).sample(BOX)
    opt = quick(proxy=proxy, optimizer=MultiStartBFGS(8), sampler=None).fit(X, bowl(X))
    opt.save(path)
    if "two groups" in kind:
        assert len(opt.proxy_.net_.module_.groups) == 2
    never_learns(monkeypatch)
    loaded = quick(sampler=None, random_state=7).load(path)
    np.testing.assert_array_equal(loaded.predict(X), opt.predict(X))
    members = loaded.proxy_.predict_members(X), opt.proxy_.predict_members(X)
    np.testing.assert_array_equal(*members)
    for asked in ({}, {"member": len(members[0]) - 1}):
        ours, theirs = (one.proxy_.value_and_grad(X, **asked) for one in (loaded, opt))
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    for name in ("trend_", "features_", "spread_", "n_outputs_", "n_iter_"):
        assert getattr(loaded.proxy_, name) == getattr(opt.proxy_, name)
    assert loaded.proxy_.history_[-1]["train_loss"] == opt.proxy_.history_[-1]["train_loss"]


def small_network():
    return NeuralProxyRegressor((8,), max_epochs=4)


PROCESSES = {
    "by default": None,
    "of warped values": KernelProxyRegressor(trend="constant"),
    "of inducing points": KernelProxyRegressor(max_exact_rows=60, n_inducing=30),
    "within bounds, in single precision": KernelProxyRegressor(y_bounds=(0, None), dtype="float32"),
    "beside a network": ProxyRegressor(min_network_rows=60, network=small_network()),
}


@pytest.mark.parametrize("kind", PROCESSES)
def test_processes_are_restored_to_the_last_bit_without_learning(path, monkeypatch, kind):
    monkeypatch.setattr(
        "sklearn_proxyopt.proxies._blend.stack_weights", lambda *_: np.array([0.4, 0.6])
    )
    X = SobolSampler(120, random_state=0).sample(BOX)
    params = {"proxy": PROCESSES[kind], "optimizer": MultiStartBFGS(8), "sampler": None}
    frame = pd.DataFrame(X, columns=["speed", "angle"])
    opt = quick(**params).fit(frame, np.exp(bowl(X) / 3000.0))
    opt.save(path)
    never_learns(monkeypatch)
    loaded = quick(sampler=None, random_state=7).load(path)
    assert type(loaded.proxy_) is type(opt.proxy_)
    asked = [one.proxy_.predict(frame, return_std=True) for one in (loaded, opt)]
    asked += [one.proxy_.value_and_grad(frame, n_std=1.0) for one in (loaded, opt)]
    np.testing.assert_array_equal(asked[0], asked[1])
    np.testing.assert_array_equal(asked[2][1], asked[3][1])
    assert list(loaded.proxy_.feature_names_in_) == ["speed", "angle"]
    for name in ("network_share_", "processes_"):
        if hasattr(opt.proxy_, name):
            assert getattr(loaded.proxy_, name) == getattr(opt.proxy_, name)


def test_processes_of_several_targets_are_restored(path, monkeypatch):
    X = SobolSampler(60, random_state=0).sample(BOX)
    y = np.column_stack([bowl(X), X[:, 0] - 10.0])
    opt = quick(proxy=None, optimizer=MultiStartBFGS(8), sampler=None, n_constraints=1).fit(X, y)
    opt.save(path)
    never_learns(monkeypatch)
    loaded = quick(proxy=None, sampler=None, n_constraints=1).load(path)
    np.testing.assert_array_equal(loaded.proxy_.predict(X), opt.proxy_.predict(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(kind="forest"), "a known kind, not 'forest'"),
        (lambda facts: facts["kernel"]["stacks"][0]["processes"].pop(), "a name for each process"),
        (lambda facts: facts["kernel"]["limits"].pop(), "limits for each output"),
        (lambda facts: facts["kernel"]["limits"].__setitem__(0, [1, 0, 1]), "limits in order"),
        (lambda facts: first_process(facts).update(covariance="cubic"), "known covariances"),
        (
            lambda facts: first_process(facts).update(degree=4),
            "an array kernel_0_0_mean_weights that",
        ),
        (lambda facts: first_process(facts)["warp_numbers"].pop(), "the numbers of a warp"),
    ],
)
def test_processes_that_do_not_fit_together_are_refused(path, change, message):
    X = SobolSampler(40, random_state=0).sample(BOX)
    proxy = ProxyRegressor(random_state=0).fit(X, bowl(X))
    arrays, facts = take_apart(proxy)
    change(facts)
    with pytest.raises(ValueError, match=f"the proxy must have {message}"):
        put_together(kind_of(facts)(), arrays, facts, 2)


def first_process(facts):
    return facts["kernel"]["stacks"][0]["processes"][0]


def test_the_answer_of_minimize_is_restored(path, monkeypatch):
    opt = quick(**NEURAL, bounds=None)
    result = opt.minimize(bowl, BOX)
    opt.save(path)
    never_learns(monkeypatch)
    loaded = quick(bounds=None).load(path)
    for name in ("x_", "x_proxy_", "X_", "y_", "bounds_", "x_best_row_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(opt, name))
    for name in ("fun_", "fun_proxy_", "n_learned_", "fun_best_row_"):
        assert getattr(loaded, name) == getattr(opt, name)
    assert set(loaded.result_) == set(result)
    for name in ("fun", "nfev", "message", "success", "verdict", "probability", "true_at_proxy"):
        assert loaded.result_[name] == result[name]


def test_another_regressor_is_learned_again_and_the_answer_kept(path):
    opt = quick(bounds=None)
    opt.minimize(bowl, BOX)
    opt.save(path)
    loaded = quick(bounds=None).load(path)
    np.testing.assert_array_equal(loaded.predict(opt.X_), opt.predict(opt.X_))
    np.testing.assert_array_equal(loaded.x_, opt.x_)
    assert (loaded.fun_, loaded.n_learned_) == (opt.fun_, opt.n_learned_)
    assert len(loaded.X_) > loaded.n_learned_


def test_a_network_of_ones_own_is_learned_again(path):
    proxy = NeuralProxyRegressor(module=torch.nn.Linear, max_epochs=3)
    X = SobolSampler(20, random_state=0).sample(BOX)
    params = {"proxy": proxy, "optimizer": MultiStartBFGS(8), "sampler": None}
    opt = quick(**params).fit(X, bowl(X))
    opt.save(path)
    with np.load(path) as file:
        assert not [name for name in file.files if name.startswith("proxy.")]
    np.testing.assert_array_equal(quick(**params).load(path).predict(X), opt.predict(X))


def with_a_constraint(X):
    return np.column_stack([bowl(X), 1.0 - X[:, 0]])


def test_constraints_are_restored_without_training(path, monkeypatch):
    params = {**NEURAL, "n_constraints": 1, "sampler": SobolSampler(40)}
    opt = quick(**params)
    result = opt.minimize(with_a_constraint, BOX)
    opt.save(path)
    never_learns(monkeypatch)
    loaded = quick(**params).load(path)
    np.testing.assert_array_equal(loaded.predict(opt.X_), opt.predict(opt.X_))
    np.testing.assert_array_equal(loaded.result_.constraints, result.constraints)
    for name, table in vars(opt._known.merit).items():
        np.testing.assert_array_equal(vars(loaded._known.merit)[name], table)


def test_the_answer_within_a_budget_is_restored(path, monkeypatch):
    opt = quick(**NEURAL, bounds=None)
    opt.minimize(bowl, BOX, budget=40)
    opt.save(path)
    never_learns(monkeypatch)
    loaded = quick(**NEURAL, bounds=None).load(path)
    np.testing.assert_array_equal(loaded.predict(opt.X_), opt.predict(opt.X_))
    np.testing.assert_array_equal(loaded.x_, opt.x_)
    assert loaded.result_.message == opt.result_.message
    np.testing.assert_array_equal(loaded._known.usual, opt._known.usual)


def test_a_ladder_and_its_report_are_restored(path, monkeypatch):
    X = SobolSampler(40, random_state=0).sample(BOX)
    params = {**NEURAL, "sampler": None, "smoothing": [0.2, 0.1]}
    opt = quick(**params).fit(X, bowl(X))
    opt.save(path)
    never_learns(monkeypatch)
    loaded = quick(**params).load(path)
    np.testing.assert_array_equal(loaded.ladder_.predict_members(X), opt.ladder_.predict_members(X))
    for name, values in opt.smoothing_report_.items():
        np.testing.assert_array_equal(loaded.smoothing_report_[name], values)


def test_the_risk_of_failures_is_known_again(path):
    X = SobolSampler(64, random_state=0).sample(BOX)
    y = np.where(X[:, 0] > 1.0, np.nan, bowl(X))
    opt = quick(**NEURAL, on_error="learn").tell(X, y)
    assert opt.failure_risk_ is not None
    opt.save(path)
    loaded = quick(**NEURAL, on_error="learn").load(path)
    np.testing.assert_array_equal(loaded.failure_risk_(X), opt.failure_risk_(X))


def test_what_comes_after_a_load_is_what_would_have_come_without(path):
    X = SobolSampler(32, random_state=0).sample(BOX)
    opt = quick(**NEURAL).tell(X[:24], bowl(X[:24]))
    opt.save(path)
    loaded = quick(**NEURAL).load(path)
    assert loaded.diagnose().probability == opt.diagnose().probability
    opt.tell(X[24:], bowl(X[24:]))
    loaded.tell(X[24:], bowl(X[24:]))
    np.testing.assert_array_equal(loaded.predict(X), opt.predict(X))
    np.testing.assert_array_equal(loaded.x_, opt.x_)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_file_of_an_older_version_is_refused_by_it(path, version):
    facts = {"format": "sklearn_proxyopt state", "version": version, "n_features": 2}
    np.savez_compressed(path, facts=np.array(json.dumps(facts)), X=BOX)
    with pytest.raises(ValueError, match=f"of version 5; got .* of version {version}, .* older"):
        quick().load(path)


def two_outputs(X):
    return np.column_stack([bowl(X), X[:, 0]])


def pareto(**params):
    params = {"bounds": BOX, "proxy": LinearRegression(), "optimizer": NSGA2(8, 4), **params}
    return ParetoOptimizer(vectorized=True, **params, sampler=SobolSampler(16), random_state=0)


def test_a_file_of_another_class_is_refused_and_leaves_the_optimizer_as_it_was(path):
    X = SobolSampler(16, random_state=0).sample(BOX)
    front = pareto().tell(X, two_outputs(X))
    front.save(path)
    with pytest.raises(ValueError, match=r"that ProxyOptimizer.save wrote; got .* of a ParetoOpt"):
        quick(n_constraints=1).load(path)
    quick(n_constraints=2).tell(X, np.column_stack([two_outputs(X), X])[:, :3]).save(path)
    with pytest.raises(ValueError, match=r"that ParetoOptimizer.save wrote; got .* of a ProxyOpt"):
        front.load(path)
    assert front.n_objectives_ == front.y_.shape[1] == 2


def test_as_many_outputs_with_other_constraints_are_refused(path):
    X = SobolSampler(16, random_state=0).sample(BOX)
    pareto(n_constraints=1).tell(X, np.column_stack([two_outputs(X), X[:, 1]])).save(path)
    with pytest.raises(ValueError, match=r"path must be a file of 0 constraints; got .* of 1"):
        pareto().load(path)


def test_the_number_of_objectives_comes_from_the_file(path):
    X = SobolSampler(16, random_state=0).sample(BOX)
    opt = pareto().tell(X, np.column_stack([two_outputs(X), X[:, 1]]))
    opt.save(path)
    loaded = pareto().load(path)
    assert loaded.n_objectives_ == 3
    np.testing.assert_array_equal(loaded.F_front_, opt.F_front_)
    with pytest.raises(ValueError, match=r"path must be a file of 2 outputs; got .* of 3"):
        pareto(n_objectives=2).load(path)


def test_the_number_of_objectives_comes_from_the_journal(tmp_path):
    X = SobolSampler(16, random_state=0).sample(BOX)
    Y = np.column_stack([two_outputs(X), X[:, 1]])
    params = {"journal": tmp_path / "runs.sqlite"}
    pareto(**params).tell(X[:12], Y[:12])
    again = pareto(**params).tell(X[12:], Y[12:])
    assert again.n_objectives_ == 3
    np.testing.assert_array_equal(again.y_, Y)


def saved(path, params=None, **changes):
    """Save a state, with arrays or facts replaced; a callable changes what it is given.

    The file is signed again, as a stranger could.
    """
    X = SobolSampler(16, random_state=0).sample(BOX)
    quick(**(params or {})).tell(X, bowl(X)).save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "checksum"}
    facts = json.loads(str(arrays.pop("facts"))) | changes.pop("facts", {})
    del facts["arrays"]
    for part in ("proxy", "answer"):
        if part in facts and part in changes:
            facts[part] |= changes.pop(part)
    changes = {
        name.replace("__", "."): value(arrays[name.replace("__", ".")])
        if callable(value)
        else value
        for name, value in changes.items()
    }
    write_state(path, arrays | changes, facts)


def smuggled_into(path, **others):
    """Put other members into a file, or in the place of some that it has."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **(arrays | others))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"proxy__weights_0": lambda w: np.full_like(w, np.nan)}, "finite numbers in weights_0"),
        ({"proxy__weights_0": lambda w: w[:, :-1]}, "an array weights_0 that fits the others"),
        ({"proxy__weights_0": lambda w: w.astype(np.int64)}, "numbers in weights_0, not int64"),
        ({"proxy__weights_0": lambda w: w.astype(np.float32)}, "networks of one type"),
        ({"proxy__coefficients": lambda c: c[:, 1:]}, "an array coefficients that fits"),
        ({"proxy__scale": lambda s: s[0]}, "an array scale that fits the others"),
        ({"proxy__half_width": lambda h: 0 * h}, "half_width above 0"),
        ({"proxy__center": np.zeros(3)}, "an array center that fits the others"),
        ({"proxy": {"hidden_layer_sizes": [10**9]}}, "an array weights_0 that fits the others"),
        ({"proxy": {"hidden_layer_sizes": [-8]}}, "hidden_layer_sizes of at least 1, not -8"),
        ({"proxy": {"activation": "eval"}}, "a known activation"),
        ({"proxy": {"trend": "cosmic"}}, "a known trend"),
        ({"proxy": {"degree": 10**9}}, "a known degree"),
        ({"proxy": {"n_groups": 2}}, "the array weights_1"),
        ({"proxy": {"n_outputs": None}}, "n_outputs of at least 1, not None"),
        ({"proxy": {"names": ["a"]}}, "a name for each variable"),
        ({"proxy": {"history": 3}}, "not iterable"),
        ({"answer": {"n_learned": 10**9}}, "must have learned from 2 to 16 rows"),
        ({"answer": {"seeds": {}}}, "KeyError"),
        ({"state__usual": np.empty(0)}, "usual values must be a row of numbers"),
        ({"x": np.zeros(5)}, ""),
    ],
)
def test_a_proxy_that_does_not_fit_together_is_refused_with_its_reason(path, changes, reason):
    saved(path, NEURAL, **changes)
    with pytest.raises(
        ValueError, match=f"path must be a file whose arrays fit together.*{reason}"
    ):
        quick(**NEURAL).load(path)


class Bomb:
    """An object whose unpickling leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (self.mark.touch, ())


@pytest.mark.parametrize(
    "name", ["X", "facts", "checksum", "proxy.weights_0", "result.x", "smuggled"]
)
def test_no_object_of_a_stranger_is_unpickled(path, tmp_path, name):
    mark = tmp_path / "mark"
    saved(path, NEURAL)
    smuggled_into(path, **{name: np.array([Bomb(mark)], dtype=object)})
    with pytest.raises(ValueError, match=r"path must be .* allow_pickle=False"):
        quick(**NEURAL).load(path)
    assert not mark.exists()


def test_a_file_that_is_refused_leaves_the_optimizer_as_it_was(path):
    saved(path, NEURAL, proxy__weights_0=lambda w: np.full_like(w, np.nan))
    X = SobolSampler(16, random_state=1).sample(BOX)
    opt = quick().tell(X, bowl(X))
    before = opt.predict(X)
    with pytest.raises(ValueError, match="path must be"):
        opt.load(path)
    np.testing.assert_array_equal(opt.predict(X), before)
    np.testing.assert_array_equal(opt.X_, X)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"speed,angle"), "that ProxyOptimizer.save wrote"),
        (lambda path: path.write_bytes(pickle.dumps([1, 2])), "that ProxyOptimizer.save wrote"),
        (lambda path: np.savez(path, X=BOX), "that ProxyOptimizer.save wrote"),
        (lambda path: saved(path, facts={"format": "other"}), "that ProxyOptimizer.save wrote"),
        (
            lambda path: saved(path, facts={"version": 9}),
            "of version 5; got .* of version 9, whi",
        ),
        (lambda path: saved(path, facts={"version": "2"}), "of version 5; got .* of version '2'"),
        (lambda path: saved(path, facts={"version": None}), "of version 5; got .* version None"),
        (lambda path: saved(path, y=np.zeros(3)), "whose arrays fit together"),
        (lambda path: saved(path, X=np.full((16, 2), np.nan)), "whose arrays fit together"),
        (lambda path: None, "an existing file"),
    ],
)
def test_a_file_that_is_damaged_or_foreign_is_refused(path, damage, message):
    damage(path)
    with pytest.raises(ValueError, match=f"path must .*{message}"):
        quick().load(path)


def rewritten(path, change):
    """Write a file again with other bytes for some of its members."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (contents | change).items():
            archive.writestr(name, content)


def head_of(shape):
    file = io.BytesIO()
    head = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    return file.getvalue() + bytes(64)


@pytest.mark.parametrize(
    ("member", "content", "reason"),
    [
        ("X.npy", head_of((10**9, 2)), r"X.npy does not have the 16000000000 bytes"),
        ("X.npy", head_of((10**30, 2)), "X.npy does not have"),
        ("X.npy", head_of((-1, 2)), "X.npy does not have"),
        ("X.npy", b"\x93NUMPY\x03\x00" + bytes(40), "X.npy is of an unknown format"),
        ("X.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, ""),
        ("X.npy", bytes(10**7), "magic string"),
        ("facts.npy", b"speed,angle", "magic string"),
    ],
    ids=["huge", "beyond numbers", "negative", "format", "nested", "bomb", "text"],
)
def test_an_array_that_is_not_what_its_head_says_is_refused_with_the_reason(
    path, member, content, reason
):
    saved(path)
    rewritten(path, {member: content})
    with pytest.raises(
        ValueError, match=f"path must be a file that .* undamaged; got .*: .*{reason}"
    ):
        quick().load(path)


@pytest.mark.parametrize(("offset", "value"), [(10, 77), (8, 1)], ids=["method", "encrypted"])
def test_a_member_that_cannot_be_unpacked_is_refused(path, offset, value):
    saved(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] |= value
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"path must be a file that .* undamaged; got"):
        quick().load(path)


def test_a_size_that_no_compression_leads_to_is_refused_before_memory_is_taken(path):
    saved(path)
    rewritten(path, {})
    content = bytearray(path.read_bytes())
    size = content.index(b"PK\x01\x02") + 24
    content[size : size + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"path must be a file .* cannot have 2147483648 bytes"):
        quick().load(path)


def test_a_single_array_is_no_state(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"path must be a file that .* undamaged; got .* zip file"):
        quick().load(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 10_000, "", "{"])
def test_facts_that_are_no_facts_are_refused(path, text):
    saved(path)
    smuggled_into(path, facts=np.array(text))
    with pytest.raises(ValueError, match=r"path must be a file that ProxyOptimizer.save wrote"):
        quick().load(path)


@pytest.mark.parametrize("name", ["class", "n_constraints", "names", "keeps_box"])
@pytest.mark.parametrize("value", [7.5, [1], "missing"])
def test_a_fact_of_another_kind_is_refused(path, name, value):
    saved(path, facts={name: value})
    with pytest.raises(ValueError, match="path must be a file"):
        quick().load(path)


@pytest.mark.parametrize("path", [None, 5])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match=f"path must be a path; got {path}"):
        quick().load(path)


def test_arrays_that_compress_as_well_as_can_be_are_read(path):
    saved(path, X_failed=np.zeros((500_000, 2)))
    assert len(read_state(path)[0]["X_failed"]) == 500_000


def test_a_file_cut_short_is_refused(path):
    saved(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"path must be a file that ProxyOptimizer.save wrote"):
        quick().load(path)


def test_a_flipped_bit_is_noticed(path):
    saved(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"X.npy") + 150] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="path must be"):
        quick().load(path)


def test_a_file_of_another_number_of_variables_is_refused(path):
    saved(path)
    with pytest.raises(ValueError, match="bounds must have one row for each of the 2 variables"):
        quick(bounds=[[0.0, 1.0]] * 3).load(path)


def test_a_number_of_constraints_of_numpy_is_saved(tmp_path):
    X = SobolSampler(16, random_state=0).sample([[0.0, 1.0]] * 2)
    y = np.column_stack([X.sum(axis=1), X[:, 0] - 0.5])
    opt = quick(n_constraints=np.int64(1)).fit(X, y)
    opt.save(tmp_path / "saved.npz")
    again = quick(n_constraints=1).load(tmp_path / "saved.npz")
    np.testing.assert_array_equal(again.x_, opt.x_)


# What a stranger can make of a file that is signed as ours are.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": {"fun": float("nan")}}, "whose answer has a value; got .* with fun nan"),
        ({"answer": {"fun": float("-inf")}}, "whose answer has a value; got .* with fun -inf"),
        ({"answer": {"fun": None}}, "whose answer has a value; got .* with fun None"),
        ({"answer": {"fun_proxy": "low"}}, "whose answer has a value; got .* fun_proxy 'low'"),
        ({"facts": {"answer": []}}, "whose facts fit together"),
        ({"x": np.array([0.0, 51.0])}, "whose answer lies in its box"),
        ({"x_proxy": np.array([-2.1, 0.0])}, "whose answer lies in its box"),
        ({"candidates": np.array([[0.0, 0.0], [0.0, -1.0]])}, "whose answer lies in its box"),
    ],
)
def test_an_answer_that_cannot_be_one_is_refused(path, changes, message):
    saved(path, NEURAL, **changes)
    with pytest.raises(ValueError, match=f"path must be a file {message}"):
        quick(**NEURAL).load(path)


def test_many_variables_that_nothing_bears_out_are_refused(path):
    n_features = 10**9
    none = np.empty((0, n_features))
    arrays = {"X": none, "X_failed": none, "X_pending": none, "y": np.empty(0)}
    facts = {"n_features": n_features, "names": None, "keeps_box": False, "n_constraints": 0}
    write_state(path, arrays, facts | {"class": "ProxyOptimizer"})
    with pytest.raises(ValueError, match="path must be a file whose arrays fit together"):
        quick(bounds=None).load(path)


def peak_of(function):
    tracemalloc.start()
    try:
        function()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def refused(path, message):
    with pytest.raises(ValueError, match=f"path must be a file that .* undamaged; .*{message}"):
        read_state(path)


def test_a_member_that_nobody_asked_for_is_refused_unread(path):
    saved(path)
    smuggled_into(path, smuggled=np.zeros(10**6))
    peak = peak_of(lambda: refused(path, "smuggled is declared as None"))
    assert peak < 10**6


def test_a_small_file_of_large_arrays_is_refused_unread(path):
    saved(path, X_failed=np.zeros((5 * 10**6, 2)))
    assert path.stat().st_size < 10**5
    peak = peak_of(lambda: refused(path, "bytes, more than the .* that are read"))
    assert peak < 10**7


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_packed_in_another_way_is_refused(path, method):
    saved(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    refused(path, "is compressed in an unknown way")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(path):
    saved(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("X.npy", archive.read("X.npy"))
    refused(path, "members have .* different names")


def test_a_directory_of_many_members_is_refused_unread(path):
    saved(path)
    with zipfile.ZipFile(path, "a") as archive:
        for index in range(5_000):
            archive.writestr(f"{index:0200}", b"")
    peak = peak_of(lambda: refused(path, "its directory has more than 1048576 bytes"))
    assert peak < 10**6


def test_what_does_not_match_the_checksum_is_refused(path):
    saved(path)
    with np.load(path) as file:
        y = file["y"]
    smuggled_into(path, y=y + 1.0)
    refused(path, "its content does not match its checksum")


def test_more_than_is_read_is_not_written(path):
    table = np.broadcast_to(0.0, (MOST_BYTES // 8, 2))
    with pytest.raises(ValueError, match="save must write at most 1073741824 bytes of arrays"):
        write_state(path, {"X": table}, {})
    with pytest.raises(ValueError, match="save must write known arrays of numbers; got other"):
        write_state(path, {"other": BOX}, {})
    assert not path.exists()


# The file itself.


def test_a_save_that_fails_leaves_the_file_as_it_was_and_nothing_beside_it(path, monkeypatch):
    saved(path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*state.npz'"):
        quick().tell(BOX.T, [1.0, 2.0]).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_save_through_a_link_replaces_the_file_and_keeps_the_link(path, tmp_path):
    saved(path)
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    X = SobolSampler(8, random_state=3).sample(BOX)
    quick().tell(X, bowl(X)).save(link)
    assert link.is_symlink()
    np.testing.assert_array_equal(quick().load(path).X_, X)
