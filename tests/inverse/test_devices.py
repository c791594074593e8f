"""Inverse problems on a GPU: solved as on the CPU, and carried to machines without one."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from sklearn_proxyopt._utils._constants import Constants
from sklearn_proxyopt.exceptions import DeviceNotFoundWarning
from sklearn_proxyopt.inverse import (
    ConvNet,
    DirectInverse,
    InverseProblem,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import (
    BilliardShot,
    Burgers,
    KuramotoSivashinsky,
    NavierStokes,
    WavePacket,
)

MODELS = {
    "ks": KuramotoSivashinsky(n_points=32, n_steps=8),
    "burgers": Burgers(n_points=32, n_steps=4),
    "wave": WavePacket(),
    "flow": NavierStokes(n_cells=20, n_steps=4),
    "billiards": BilliardShot(),
}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_tensors_of_a_device_stay_behind_when_arrays_travel():
    constants = Constants(np.arange(3.0), np.eye(2))
    first, second = constants.on(torch.device("cpu"), torch.float32)
    assert constants.on(torch.device("cpu"), torch.float32)[0] is first
    assert (first.dtype, second.shape) == (torch.float32, (2, 2))
    travelled = pickle.loads(pickle.dumps(constants))
    assert travelled._tensors == {}
    torch.testing.assert_close(travelled.on(torch.device("cpu"), torch.float32)[0], first)


def test_steps_by_matrices_are_those_by_modes():
    model = KuramotoSivashinsky()
    X, unknowns = model.sample(5, random_state=0)
    start = torch.tensor(X[:, -model.n_points :])
    unknowns = torch.tensor(unknowns).requires_grad_()
    by_modes = model._simulate_by_modes(unknowns, start)
    by_matrices = model._simulate_by_matrices(unknowns, start)
    torch.testing.assert_close(by_matrices, by_modes, rtol=1e-9, atol=1e-9)
    slopes = [torch.autograd.grad(u.square().sum(), unknowns)[0] for u in (by_modes, by_matrices)]
    torch.testing.assert_close(*slopes, rtol=1e-7, atol=1e-7)


def test_only_simulators_that_say_so_are_recorded():
    assert InverseProblem(MODELS["ks"]).is_static
    assert not InverseProblem(MODELS["billiards"]).is_static
    assert not InverseProblem(lambda x: x, [[0.0, 1.0]]).is_static
    own_loss = InverseProblem(MODELS["ks"], loss=lambda one, other: (one - other).flatten(1).sum(1))
    assert not own_loss.is_static


def test_a_solver_of_a_gpu_is_loaded_where_there_is_none():
    model = MODELS["billiards"]
    X, _ = model.sample(5, random_state=0)
    solver = SupervisedInverse(InverseProblem(model), n_iterations=2, random_state=0).fit(X)
    expected = solver.predict(X)
    solver.device_ = "cuda:99"
    with pytest.warns(DeviceNotFoundWarning, match="'cuda:99', which torch does not find here"):
        loaded = pickle.loads(pickle.dumps(solver))
    assert loaded.device_ == "cpu"
    np.testing.assert_array_equal(loaded.predict(X), expected)


@pytest.mark.cuda
@needs_cuda
class TestOnCuda:
    @pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
    def test_problems_are_solved_as_on_the_cpu(self, model):
        X, _ = model.sample(12, random_state=0)
        here, there = (
            DirectInverse(InverseProblem(model), device=device).fit(X) for device in ("cpu", "cuda")
        )
        np.testing.assert_allclose(there.loss_, here.loss_, rtol=1e-3, atol=1e-8)

    @pytest.mark.parametrize("network", [None, ConvNet((4, 4))], ids=["dense", "conv"])
    def test_a_network_over_all_problems_learns_as_on_the_cpu(self, network):
        model = MODELS["ks"]
        X, _ = model.sample(12, random_state=0)
        here, there = (
            ReparameterizedInverse(
                InverseProblem(model),
                network=network,
                n_iterations=30,
                refine=None,
                device=device,
                random_state=0,
            ).fit(X)
            for device in ("cpu", "cuda")
        )
        np.testing.assert_allclose(there.history_[:10], here.history_[:10], rtol=1e-3)
        assert there.n_forward_calls_ == here.n_forward_calls_

    def test_a_solver_is_read_where_there_is_no_gpu(self, tmp_path):
        model = MODELS["billiards"]
        X, _ = model.sample(5, random_state=0)
        solver = SupervisedInverse(
            InverseProblem(model), n_iterations=20, device="cuda", random_state=0
        ).fit(X)
        (tmp_path / "solver").write_bytes(pickle.dumps(solver))
        np.save(tmp_path / "X.npy", X)
        program = (
            "import pickle, sys, numpy as np\n"
            "with open(sys.argv[1] + '/solver', 'rb') as file: solver = pickle.load(file)\n"
            "np.save(sys.argv[1] + '/y.npy', solver.predict(np.load(sys.argv[1] + '/X.npy')))\n"
        )
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            check=True,
        )
        np.testing.assert_allclose(np.load(tmp_path / "y.npy"), solver.predict(X), atol=1e-4)
