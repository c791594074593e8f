"""The flow beside PhiFlow, an independent implementation; install the extra `crosscheck`."""

import numpy as np
import pytest
import torch

from sklearn_proxyopt.problems.physics import NavierStokes

phi = pytest.importorskip("phi.torch.flow")

N = 16


def to_phiflow(u, v):
    """Return the flow of inner faces as a staggered grid between closed walls."""
    faces = [
        phi.math.tensor(np.asarray(part), phi.batch("problem"), phi.spatial("x,y"))
        for part in (u[:, 1:-1], v[:, :, 1:-1])
    ]
    box = phi.Box(x=100, y=100)
    return phi.StaggeredGrid(phi.math.stack(faces, phi.dual(vector="x,y")), 0, box, x=N, y=N)


def from_phiflow(grid):
    return [grid.vector[axis].values.numpy("problem,x,y") for axis in "xy"]


def project(grid):
    exact = phi.Solve("CG", 1e-9, 1e-9, max_iterations=5000)
    return phi.fluid.make_incompressible(grid, (), exact)[0]


@pytest.fixture(autouse=True)
def double_precision():
    with phi.math.precision(64):
        yield


def test_a_step_away_from_the_walls_is_that_of_phiflow():
    # Walls differ: PhiFlow's hold the flow beside them back. The flow begins at rest there.
    model = NavierStokes(N, n_steps=1, time_step=4.0, obstacles=())
    stream = np.zeros((2, N + 1, N + 1))
    stream[:, 5:-5, 5:-5] = np.random.default_rng(1).standard_normal((2, N - 9, N - 9))
    u, v = np.diff(stream, axis=2), -np.diff(stream, axis=1)
    theirs = from_phiflow(
        project(phi.advect.semi_lagrangian(to_phiflow(u, v), to_phiflow(u, v), 4.0))
    )
    mine_u, mine_v = model.evolve(torch.tensor(u), torch.tensor(v))
    assert np.abs(theirs[0] - u[:, 1:-1]).max() > 0.1
    np.testing.assert_allclose(theirs[0], mine_u[:, 1:-1], atol=1e-7)
    np.testing.assert_allclose(theirs[1], mine_v[:, :, 1:-1], atol=1e-7)
