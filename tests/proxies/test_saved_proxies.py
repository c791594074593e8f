import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor

X = pd.DataFrame(np.random.default_rng(0).random((80, 2)), columns=["a", "b"])
Y = np.sin(5 * X["a"]) + X["b"] ** 2
NETWORK = NeuralProxyRegressor((8,), max_epochs=4)
PROXIES = {
    "neural": NeuralProxyRegressor((8,), n_members=2, max_epochs=4, random_state=0),
    "bootstrap": NeuralProxyRegressor((8,), n_members=2, bootstrap=True, max_epochs=2),
    "single precision": NeuralProxyRegressor((8,), max_epochs=4, dtype="float32", trend="additive"),
    "kernel": KernelProxyRegressor(random_state=0),
    "both": ProxyRegressor(network=NETWORK, min_network_rows=50, random_state=0),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "proxy.npz"


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_a_loaded_proxy_predicts_to_the_last_bit(proxy, path):
    proxy.fit(X, Y).save(path)
    loaded = type(proxy)().load(path)
    np.testing.assert_array_equal(loaded.predict(X), proxy.predict(X))
    for one, other in zip(loaded.value_and_grad(X), proxy.value_and_grad(X), strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded.feature_names_in_.tolist() == ["a", "b"]


EXPORTED = {
    **PROXIES,
    "cubic, along axes": NeuralProxyRegressor((8,), max_epochs=2, trend="cubic", features="axes"),
    "module of one's own": NeuralProxyRegressor(module=torch.nn.Linear, max_epochs=2),
    "two targets": NeuralProxyRegressor((8,), max_epochs=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXPORTED)
def test_an_exported_program_predicts_as_the_proxy_does(kind, path):
    proxy = EXPORTED[kind].fit(X, np.column_stack([Y, -Y]) if kind == "two targets" else Y)
    rows = torch.tensor(X.to_numpy())
    # torch 2.6 wants to know a limit.
    shapes = ({0: torch.export.Dim("n_rows", max=1_000_000)},)
    program = torch.export.export(proxy.torch_module(), (rows[:5],), dynamic_shapes=shapes)
    torch.export.save(program, path.with_suffix(".pt2"))
    loaded = torch.export.load(path.with_suffix(".pt2")).module()
    found = loaded(rows).detach().numpy().reshape(len(X), -1)
    np.testing.assert_allclose(found, proxy.predict(X).reshape(len(X), -1), rtol=1e-12)


def test_parameters_hold_for_later_fits_and_nothing_of_an_earlier_one_is_left(path):
    PROXIES["neural"].fit(X, Y).save(path)
    proxy = PROXIES["bootstrap"].fit(X, Y)
    assert not hasattr(proxy.load(path), "member_rows_")
    assert proxy.bootstrap is True
    assert hasattr(proxy.fit(X, Y), "member_rows_")


def test_a_proxy_that_is_not_fitted_cannot_be_saved(path):
    with pytest.raises(NotFittedError):
        NeuralProxyRegressor().save(path)


def test_a_module_of_ones_own_is_code_that_no_file_holds(path):
    proxy = NeuralProxyRegressor(module=torch.nn.Linear, max_epochs=1).fit(X, Y)
    with pytest.raises(ValueError, match="module must be None for a proxy in a file"):
        proxy.save(path)
    assert not path.exists()


def refused(path, message):
    proxy = PROXIES["neural"].fit(X, Y)
    before = proxy.predict(X)
    with pytest.raises(ValueError, match=message):
        proxy.load(path)
    np.testing.assert_array_equal(proxy.predict(X), before)


def test_a_file_of_another_class_is_refused(path):
    PROXIES["kernel"].fit(X, Y).save(path)
    refused(path, "path must be of a NeuralProxyRegressor; got .* of 'KernelProxyRegressor'")


def test_the_file_of_an_optimizer_is_refused(path):
    optimizer = ProxyOptimizer(proxy=NETWORK, bounds=[[0, 1], [0, 1]], random_state=0)
    optimizer.fit(X, Y).save(path)
    refused(path, "path must be of a NeuralProxyRegressor; got .* of 'ProxyOptimizer'")


def test_a_damaged_file_is_refused(path):
    PROXIES["neural"].fit(X, Y).save(path)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path, r"path must be a file that NeuralProxyRegressor\.save wrote, undamaged")


def test_arrays_that_do_not_fit_together_are_refused(path, monkeypatch):
    proxy = PROXIES["neural"].fit(X, Y)
    monkeypatch.setattr(proxy, "n_features_in_", 3)
    proxy.save(path)
    refused(path, "path must be a file whose arrays fit together")


def test_an_optimizer_refuses_the_file_of_a_proxy(path):
    PROXIES["neural"].fit(X, Y).save(path)
    optimizer = ProxyOptimizer(proxy=NETWORK, bounds=[[0, 1], [0, 1]])
    with pytest.raises(ValueError, match="path must be"):
        optimizer.load(path)
