import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.optimizers import DifferentialEvolution, MultiStartBFGS
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
    with pytest.raises(ValueError, match="save must come after rows were told or asked for"):
        quick().save(path)
    assert not path.exists()


def saved(path, **changes):
    """Save a state, with arrays or facts replaced."""
    X = SobolSampler(16, random_state=0).sample(BOX)
    quick().tell(X, bowl(X)).save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    facts = {**json.loads(str(arrays["facts"])), **changes.pop("facts", {})}
    np.savez(path, **{**arrays, "facts": np.array(json.dumps(facts)), **changes})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"speed,angle"), "that ProxyOptimizer.save wrote"),
        (lambda path: path.write_bytes(pickle.dumps([1, 2])), "that ProxyOptimizer.save wrote"),
        (lambda path: np.savez(path, X=BOX), "that ProxyOptimizer.save wrote"),
        (lambda path: saved(path, facts={"format": "other"}), "that ProxyOptimizer.save wrote"),
        (lambda path: saved(path, facts={"version": 9}), "up to version 1; got .* of version 9"),
        (lambda path: saved(path, y=np.zeros(3)), "whose arrays fit together"),
        (lambda path: saved(path, X=np.full((16, 2), np.nan)), "whose arrays fit together"),
        (lambda path: saved(path, X=np.array([object()])), "that ProxyOptimizer.save wrote"),
        (lambda path: None, "an existing file"),
    ],
)
def test_a_file_that_is_damaged_or_foreign_is_refused(path, damage, message):
    damage(path)
    with pytest.raises(ValueError, match=f"path must .*{message}"):
        quick().load(path)


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
