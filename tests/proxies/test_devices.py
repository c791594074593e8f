"""Where a proxy is trained, searched and kept: what a GPU does is what the CPU does."""

import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._utils import _crossovers
from sklearn_proxyopt.exceptions import DeviceNotFoundWarning
from sklearn_proxyopt.proxies import _device, _losses, _member_rows, _net, _predicting
from sklearn_proxyopt.proxies._device import inverse_device, training_device
from sklearn_proxyopt.proxies._network import ACTIVATIONS, DenseNetworks
from sklearn_proxyopt.proxies._products import (
    SharedProduct,
    SquaredErrors,
    WaveConstants,
    stacked_outputs,
)
from sklearn_proxyopt.proxies._recipe import Features
from sklearn_proxyopt.proxies._static_steps import _SlicedAdam, _Table

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def wave(n_rows=300):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (n_rows, 3))
    return X, np.sin(4.0 * X[:, 0] * X[:, 1]) + np.abs(X[:, 2])


def quick(**options):
    settings = {"max_epochs": 12, "trend": "linear", "random_state": 0} | options
    return NeuralProxyRegressor((16, 16), **settings)


SETTINGS = {
    "one": {},
    "a last batch of one row": {"batch_size": 269, "n_members": 2},
    "members": {"n_members": 3},
    "own rows": {"n_members": 2, "bootstrap": True, "validation_fraction": 0.0},
    "penalty": {"over_prediction_penalty": 3.0, "schedule": "cosine"},
    "full batches": {"batch_size": 90, "features": None},
    "a choice of trends": {"trend": "auto"},
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_steps_that_the_host_does_not_follow_are_those_of_the_loop(monkeypatch, options):
    X, y = wave()
    loop = quick(**options).fit(X, y)
    monkeypatch.setattr(_net, "takes_static_steps", lambda net: True)
    static = quick(**options).fit(X, y)
    np.testing.assert_allclose(static.predict_members(X), loop.predict_members(X), rtol=1e-9)
    for own, other in zip(static.history_, loop.history_, strict=True):
        names = {"train_loss", "valid_loss"}
        assert own.keys() & names == other.keys() & names
        for name in own.keys() & names:
            assert own[name] == pytest.approx(other[name], rel=1e-9)


@pytest.mark.parametrize("penalty", [None, 3.0])
def test_losses_in_few_passes_are_the_losses(penalty):
    generator = torch.Generator().manual_seed(0)
    outputs, target = torch.randn(2, 3, 20, 2, dtype=torch.float64, generator=generator)
    weight = torch.rand(3, 20, dtype=torch.float64, generator=generator)
    penalties = None if penalty is None else torch.full((3, 1, 1), penalty, dtype=torch.float64)
    outputs.requires_grad_()
    own = SquaredErrors.apply(outputs, target, weight, penalties)
    plain = _losses.member_losses(outputs, target, weight, penalties)
    torch.testing.assert_close(own, plain)
    factors = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    gradients = [torch.autograd.grad((factors * one).sum(), outputs)[0] for one in (own, plain)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("n_inputs", [2, 5])
def test_rows_are_found_with_ones_targets_and_weights(n_inputs):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(20, n_inputs, dtype=torch.float64, generator=generator)
    targets = torch.randn(1, 20, 1, dtype=torch.float64, generator=generator)
    weight = torch.rand(20, dtype=torch.float64, generator=generator)
    known = _member_rows.MemberRows(rows, targets, weight, torch.arange(20)[None])
    which = torch.tensor([[3, 4], [5, 3]])
    X, (y, own_weight) = _Table(known)[which]
    plain, (expected, expected_weight) = known[which]
    torch.testing.assert_close(X, torch.cat([plain, torch.ones_like(plain[:, :, :1])], dim=2))
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(own_weight, expected_weight)


def test_a_net_is_written_once():
    net = quick().fit(*wave()).net_
    read = pickle.loads(pickle.dumps(net))
    assert read.module is read.module_


def test_adam_on_slices_is_adam():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 50, generator=generator, dtype=torch.float64)
    targets = torch.randn(3, 50, generator=generator, dtype=torch.float64)
    ends = []
    for slices in (0, 4):
        weights = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([weights], lr=0.1, fused=True)
        for n_steps in (3, slices, 10 - slices):
            # The steps in the middle are taken on slices, and the last go on from there.
            sliced = _SlicedAdam(optimizer, torch.tensor(0.1)) if n_steps == slices else None
            for _ in range(n_steps):
                optimizer.zero_grad()
                (weights - targets).square().sum().backward()
                (sliced or optimizer).step()
            if sliced is not None:
                sliced.finish()
        ends.append(weights.detach())
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


class BatchCounter(Callback):
    n_batches = 0

    def on_batch_end(self, net, **kwargs):
        self.n_batches += 1


def test_a_callback_that_follows_batches_hears_of_each(monkeypatch):
    monkeypatch.setattr(_net, "takes_static_steps", lambda net: True)
    X, y = wave()
    counter = BatchCounter()
    quick(callbacks=[counter], max_epochs=2, batch_size=90).fit(X, y)
    assert counter.n_batches == 2 * (3 + 1)


def test_a_fit_goes_on_after_steps_that_the_host_does_not_follow(monkeypatch):
    X, y = wave()
    loop = quick(warm_start=True).fit(X, y).fit(X, y)
    monkeypatch.setattr(_net, "takes_static_steps", lambda net: True)
    static = quick(warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_allclose(static.predict(X), loop.predict(X), rtol=1e-9)


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("n_rows", [1, 7, 100, 512])
def test_a_gradient_in_shares_is_the_gradient(n_rows, has_bias):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    x, matrix, weight = draw(3, n_rows, 5), draw(3, 5, 4), draw(3, n_rows, 4)
    leaves = [x.requires_grad_(), matrix.requires_grad_()]
    bias = None
    if has_bias:
        bias = draw(3, 1, 4).requires_grad_()
        leaves.append(bias)
    shared = SharedProduct.apply(bias, x, matrix)
    plain = torch.bmm(x, matrix) + (0.0 if bias is None else bias)
    torch.testing.assert_close(shared, plain)
    own, expected = (torch.autograd.grad((weight * y).sum(), leaves) for y in (shared, plain))
    torch.testing.assert_close(own, expected)


NETWORKS = {
    "random": {},
    "axes": {"features": "axes"},
    "as drawn": {"learn_frequencies": False},
    "none": {"features": None},
    "no layers": {"layers": ()},
    "linear": {"layers": (), "features": None},
    "two targets": {"n_outputs": 2},
}


@pytest.mark.parametrize("n_rows", [1, 20])
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_networks_in_the_form_for_a_gpu_are_the_same_networks(options, n_rows):
    settings = {"features": "random", "learn_frequencies": True, "layers": (8, 6), "n_outputs": 1}
    settings |= options
    torch.manual_seed(0)
    mask = Features(settings["features"], 3.0).mask(2, 10)
    networks = DenseNetworks(
        2,
        settings["n_outputs"],
        settings["layers"],
        "silu",
        torch.full((3,), 3.0),
        mask,
        settings["learn_frequencies"],
        generator=torch.Generator(),
    ).double()
    torch.nn.init.normal_(networks.weights)
    x = torch.randn(3, n_rows, 2, dtype=torch.float64)
    matrices = networks.matrices()
    wave = networks.drawn
    if mask.shape[1] and wave is None:
        wave = matrices.pop()
    constants = WaveConstants.of(networks.mask)
    with_ones = torch.cat([x, torch.ones_like(x[:, :, :1])], dim=2)
    own = stacked_outputs(with_ones, list(matrices), wave, constants, ACTIVATIONS["silu"])
    plain = networks(x)
    torch.testing.assert_close(own, plain)
    own = stacked_outputs(x, matrices, wave, constants, ACTIVATIONS["silu"])
    torch.testing.assert_close(own, plain)
    gradients = [torch.autograd.grad(y.square().sum(), networks.weights)[0] for y in (own, plain)]
    torch.testing.assert_close(*gradients)


@pytest.fixture
def with_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("with_a_gpu")
def test_auto_takes_a_gpu_for_work_that_is_large():
    assert training_device("auto", torch.float64, 1e9, 2000).type == "cuda"
    assert _crossovers.search_device(1e10, torch.float64, False).type == "cuda"
    assert _crossovers.prediction_device(1e12, torch.float64, False).type == "cuda"
    assert inverse_device("auto", True, 100_000_000).type == "cuda"


@pytest.mark.usefixtures("with_a_gpu")
def test_auto_takes_the_cpu_for_work_that_is_small():
    assert training_device("auto", torch.float64, 1e5, 2000).type == "cpu"
    assert training_device("auto", torch.float64, 1e9, 1).type == "cpu"
    assert _crossovers.search_device(1e4, torch.float64, True).type == "cpu"
    assert _crossovers.prediction_device(1e6, torch.float64, True).type == "cpu"
    assert inverse_device("auto", True, 100).type == "cpu"
    # What a simulator of the user holds may lie on the CPU.
    assert inverse_device("auto", False, 100_000_000).type == "cpu"


@pytest.mark.usefixtures("with_a_gpu")
def test_a_proxy_that_was_on_a_gpu_returns_there_for_less_work():
    for choose, work in (
        (_crossovers.search_device, 1e8),
        (_crossovers.prediction_device, 1e9),
    ):
        assert choose(work, torch.float64, False).type == "cpu"
        assert choose(work, torch.float64, True).type == "cuda"


def test_auto_is_the_cpu_where_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training_device("auto", torch.float64, 1e12, 10_000).type == "cpu"


def test_the_work_of_a_fit_grows_with_members_batches_and_widths(monkeypatch):
    work = []
    monkeypatch.setattr(
        _device, "training_device", lambda device, dtype, *sizes: work.append(sizes) or "cpu"
    )
    X, y = wave()
    quick(max_epochs=1, batch_size=50, features=None).fit(X, y)
    quick(max_epochs=1, batch_size=100, features=None, n_members=3).fit(X, y)
    (one, n_steps), (more, fewer) = work
    assert one == 50 * (4 * 16 + 17 * 16 + 17)
    assert (n_steps, fewer, more / one) == (6, 3, 6)


def test_the_precision_of_a_gpu_changes_nothing_on_a_cpu():
    X, y = wave()
    single, short = (quick(dtype=dtype).fit(X, y).predict(X) for dtype in ("float32", "tf32"))
    np.testing.assert_array_equal(single, short)
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_prediction_copies_nothing_of_the_proxy(monkeypatch):
    X, y = wave()
    proxy = quick().fit(X, y)
    expected = proxy.predict(X)

    def refuse(*args):
        raise AssertionError("copied")

    monkeypatch.setattr(_predicting.copy, "deepcopy", refuse)
    np.testing.assert_array_equal(proxy.predict(X), expected)


def small_memory(monkeypatch, proxy, n_rows):
    own = proxy._module.members

    def members(rows):
        if len(rows) > n_rows:
            raise torch.OutOfMemoryError("too small")
        return own(rows)

    monkeypatch.setattr(proxy._module, "members", members)


def test_a_prediction_beyond_the_memory_is_made_in_smaller_batches(monkeypatch):
    X, y = wave()
    proxy = quick(n_members=2).fit(X, y)
    values, gradients = proxy.value_and_grad(X)
    members = proxy.predict_members(X)
    small_memory(monkeypatch, proxy, 40)
    np.testing.assert_allclose(proxy.predict_members(X), members, rtol=1e-12)
    small = proxy.value_and_grad(X)
    np.testing.assert_allclose(small[0], values, rtol=1e-12)
    np.testing.assert_allclose(small[1], gradients, rtol=1e-9)


def test_a_row_beyond_the_memory_is_an_error(monkeypatch):
    X, y = wave()
    proxy = quick().fit(X, y)
    small_memory(monkeypatch, proxy, 0)
    with pytest.raises(torch.OutOfMemoryError):
        proxy.predict(X)


def test_a_training_beyond_the_memory_names_the_remedy(monkeypatch):
    def train(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(_net.ProxyNet, "train", train)
    with pytest.raises(MemoryError, match=r"batch_size must be small enough .* Halve batch_size"):
        quick().fit(*wave())


def test_what_was_made_on_a_gpu_is_loaded_where_there_is_none():
    X, y = wave()
    proxy = quick().fit(X, y)
    expected = proxy.predict(X)
    proxy.device_ = "cuda:99"
    written = pickle.dumps(proxy)
    with pytest.warns(DeviceNotFoundWarning, match="'cuda:99', which torch does not find here"):
        loaded = pickle.loads(written)
    assert loaded.device_ == "cpu"
    np.testing.assert_array_equal(loaded.predict(X), expected)


def test_what_was_trained_on_a_gpu_is_trained_on_where_there_is_none():
    X, y = wave()
    proxy = quick(warm_start=True).fit(X, y)
    proxy.trained_on_ = "cuda:99"
    loaded = pickle.loads(pickle.dumps(proxy))
    expected = clone(proxy).set_params(random_state=0).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(loaded.fit(X, y).predict(X), expected.predict(X))


def test_a_proxy_moves_in_place_and_stays():
    X, y = wave()
    proxy = quick().fit(X, y)
    assert proxy.torch_module().may_move
    assert proxy.to("cpu") is proxy
    assert not proxy.torch_module().may_move
    with pytest.raises(ValueError, match="device must be one that torch finds here"):
        proxy.to("cuda:99")


@pytest.mark.cuda
@needs_cuda
class TestOnCuda:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
    def test_recorded_steps_are_those_of_the_loop(self, monkeypatch, options, dtype):
        X, y = wave()
        recorded = quick(device="cuda", dtype=dtype, max_epochs=4, **options).fit(X, y)
        monkeypatch.setattr(_net, "takes_static_steps", lambda net: False)
        loop = quick(device="cuda", dtype=dtype, max_epochs=4, **options).fit(X, y)
        np.testing.assert_allclose(recorded.predict(X), loop.predict(X), atol=2e-3)
        losses = [[row["train_loss"] for row in one.history_] for one in (recorded, loop)]
        np.testing.assert_allclose(*losses, rtol=1e-2)

    def test_a_fit_learns_as_much_as_on_the_cpu(self):
        X, y = wave(1000)
        scores = [
            quick(device=device, max_epochs=60, features="random", spread=4.0).fit(X, y).score(X, y)
            for device in ("cpu", "cuda")
        ]
        assert min(scores) > 0.99

    @pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
    def test_the_same_seed_gives_the_same_bits(self, options):
        X, y = wave()
        one, other = (quick(device="cuda", **options).fit(X, y).predict(X) for _ in range(2))
        np.testing.assert_array_equal(one, other)

    def test_noise_on_the_rows_is_new_at_every_step(self):
        X, y = wave()
        proxy = quick(device="cuda", input_noise=0.2).fit(X, y)
        losses = [row["train_loss"] for row in proxy.history_]
        assert len(set(losses)) == len(losses)

    def test_predictions_are_those_of_the_cpu(self):
        X, y = wave()
        proxy = quick(device="cuda", n_members=3).fit(X, y)
        values, gradients = proxy.value_and_grad(X)
        members = proxy.predict_members(X)
        proxy.to("cpu")
        np.testing.assert_allclose(proxy.predict_members(X), members, rtol=1e-9)
        np.testing.assert_allclose(proxy.value_and_grad(X)[0], values, rtol=1e-9)
        np.testing.assert_allclose(proxy.value_and_grad(X)[1], gradients, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("writer", [pickle, joblib])
    def test_a_pickle_is_read_where_there_is_no_gpu(self, tmp_path, writer):
        X, y = wave()
        proxy = quick(device="cuda").fit(X, y)
        path = tmp_path / "proxy"
        with path.open("wb") as file:
            writer.dump(proxy, file)
        np.save(tmp_path / "X.npy", X)
        program = (
            f"import {writer.__name__} as writer, sys, warnings, numpy as np\n"
            "warnings.simplefilter('always')\n"
            "with open(sys.argv[1] + '/proxy', 'rb') as file: proxy = writer.load(file)\n"
            "X = np.load(sys.argv[1] + '/X.npy')\n"
            "np.save(sys.argv[1] + '/y.npy', proxy.predict(X))\n"
            "print(proxy.device_)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            capture_output=True,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["cpu"]
        assert "DeviceNotFoundWarning" in done.stderr
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), proxy.predict(X), rtol=1e-9)

    def test_a_pickle_returns_to_its_gpu_and_one_of_the_cpu_moves_there(self):
        X, y = wave()
        there = pickle.loads(pickle.dumps(quick(device="cuda").fit(X, y)))
        assert (there.device_, str(there.torch_module().center.device)[:4]) == ("cuda", "cuda")
        here = quick(device="cpu").fit(X, y)
        expected = here.predict(X)
        moved = pickle.loads(pickle.dumps(here)).to("cuda")
        np.testing.assert_allclose(moved.predict(X), expected, rtol=1e-9)

    def test_a_large_fit_of_auto_is_trained_there_and_asked_here(self, monkeypatch):
        monkeypatch.setattr(_crossovers, "_PRODUCTS_A_STEP", 1.0)
        monkeypatch.setattr(_crossovers, "_PRODUCTS_OF_A_FIT", 1.0)
        X, y = wave()
        proxy = quick().fit(X, y)
        assert (proxy.trained_on_, proxy.device_) == ("cuda", "cpu")
        few = proxy.predict(X)
        monkeypatch.setattr(_crossovers, "_PRODUCTS_OF_A_PREDICTION_THERE", 1.0)
        np.testing.assert_allclose(proxy.predict(X), few, rtol=1e-9)

    def test_shorter_factors_of_products_learn_too(self):
        X, y = wave(1000)
        assert quick(device="cuda", dtype="tf32", max_epochs=60).fit(X, y).score(X, y) > 0.98

    def test_a_step_of_lbfgs_and_a_module_of_the_user_run_there(self):
        X, y = wave()
        plain = quick(device="cuda").fit(X, y)
        polished = quick(device="cuda", n_lbfgs_iterations=5).fit(X, y)
        assert polished.score(X, y) > plain.score(X, y)

        def own(n_inputs, n_outputs):
            return torch.nn.Sequential(
                torch.nn.Linear(n_inputs, 16), torch.nn.SiLU(), torch.nn.Linear(16, n_outputs)
            )

        assert np.isfinite(quick(device="cuda", module=own).fit(X, y).predict(X)).all()
