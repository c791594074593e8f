"""Results hang on the seed alone, and leave nothing of the process moved."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import cross_validate
from work import ROWS, WORK, bowl, generators, with_dropout, work

from sklearn_proxyopt import NeuralProxyRegressor

every_work = pytest.mark.parametrize("name", WORK)
N_THREADS = 4


@cache
def expected(name):
    return work(name)


@every_work
def test_the_global_generators_have_no_part_in_it(name):
    before = generators()
    expected.cache_clear()
    expected(name)
    assert generators() == before
    np.random.random(3)
    torch.rand(3)
    np.testing.assert_array_equal(work(name), expected(name))


def at_once(name):
    """Do the same in some threads, all of which begin together."""
    barrier = threading.Barrier(N_THREADS, timeout=60)

    def begin(_):
        barrier.wait()
        return work(name)

    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(begin, range(N_THREADS)))


@every_work
def test_threads_that_do_the_same_at_once_find_the_same(name):
    before = generators(), torch.get_num_threads()
    for found in at_once(name):
        np.testing.assert_array_equal(found, expected(name))
    assert (generators(), torch.get_num_threads()) == before


@pytest.mark.parametrize("params", [{}, {"module": with_dropout}], ids=["ours", "own"])
def test_cross_validation_in_threads_is_that_in_a_row(params):
    proxy = NeuralProxyRegressor((8,), max_epochs=5, random_state=0, **params)
    serial = cross_validate(proxy, ROWS, bowl(ROWS), cv=4)["test_score"]
    with parallel_config(backend="threading"):
        threaded = cross_validate(proxy, ROWS, bowl(ROWS), cv=4, n_jobs=2)["test_score"]
    np.testing.assert_array_equal(threaded, serial)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


SWITCHES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu"),
    "deterministic": deterministic,
}
# A module of the user is made in the type that is the user's default.
IS_OWN = [name for name in WORK if "dropout" in name or "skorch" in name]
SWITCHED = [
    (name, switch)
    for name in WORK
    for switch in SWITCHES
    if name not in IS_OWN or switch not in ("float64", "bfloat16")
]


@pytest.mark.parametrize(("name", "switch"), SWITCHED)
def test_no_switch_of_torch_changes_a_bit(name, switch):
    with SWITCHES[switch]():
        found = work(name)
    np.testing.assert_array_equal(found, expected(name))
