"""Rows and values in any container, without a warning, give numpy arrays and the same numbers."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.inverse import DirectInverse
from sklearn_proxyopt.proxies import KernelProxyRegressor

pytestmark = pytest.mark.filterwarnings("error")
NAMES = ["a", "b"]
X = np.random.default_rng(0).random((30, 2))
Y = X.sum(axis=1)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def mapped(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def frame(dtype=None):
    return pd.DataFrame(X, columns=NAMES, dtype=dtype), pd.Series(Y, dtype=dtype)


def of_polars():
    pl = pytest.importorskip("polars")
    return pl.DataFrame(X, schema=NAMES), pl.Series(Y)


def of_arrow():
    pa = pytest.importorskip("pyarrow")
    return pa.table(dict(zip(NAMES, X.T, strict=True))), pa.chunked_array([Y])


def frame_of_arrow():
    pytest.importorskip("pyarrow")
    return frame("double[pyarrow]")


CONTAINERS = {
    "lists": lambda path: (X.tolist(), Y.tolist()),
    "pandas": lambda path: frame(),
    "extension types": lambda path: frame("Float64"),
    "extension types of arrow": lambda path: frame_of_arrow(),
    "polars": lambda path: of_polars(),
    "arrow": lambda path: of_arrow(),
    "read-only": lambda path: (read_only(X), read_only(Y)),
    "mapped": lambda path: (mapped(X, path / "X.npy"), mapped(Y, path / "y.npy")),
    "tensors": lambda path: (torch.tensor(X), torch.tensor(Y)),
    "backwards": lambda path: (X[::-1].copy()[::-1], Y[::-1].copy()[::-1]),
}
ESTIMATORS = {
    "neural": NeuralProxyRegressor((4,), max_epochs=2, random_state=0),
    "kernel": KernelProxyRegressor(random_state=0),
    "optimizer": ProxyOptimizer(
        proxy=NeuralProxyRegressor((4,), max_epochs=2),
        bounds=[[0, 1], [0, 1]],
        verdict=False,
        random_state=0,
    ),
}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
def test_rows_in_any_container_are_learned_alike(estimator, container, tmp_path):
    rows, values = container(tmp_path)
    found = estimator.fit(rows, values).predict(rows)
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, estimator.fit(X, Y).predict(X))


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_problems_in_any_container_are_solved_alike(container, tmp_path):
    found = DirectInverse().fit(container(tmp_path)[0]).solutions_
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, DirectInverse().fit(X).solutions_)
