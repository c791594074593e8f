"""The local process beside the processes of the kernel proxy."""

import numpy as np
import torch

from sklearn_proxyopt.proxies._kernel._covariances import Matern52
from sklearn_proxyopt.refine._local_process import LocalProcess, Settings


def test_the_rough_part_has_the_covariance_of_the_kernel_proxy():
    Z = np.random.default_rng(0).standard_normal((12, 3))
    settings = Settings(roughness=4, length=1)
    process = LocalProcess(Z, np.square(Z).sum(axis=1), settings, chooses=False)
    # Distances are root mean squares over the variables, and this length is 2.
    lengths = torch.full((3,), np.log(2.0 * np.sqrt(3.0)), dtype=torch.float64)
    rows = torch.tensor(Z)
    expected = Matern52(3).between(lengths, rows, rows).numpy()
    np.testing.assert_allclose(process._rough_kernel(settings), expected, atol=1e-12)
