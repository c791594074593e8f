"""Results hang on the seed alone, and leave nothing of the process moved."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.model_selection import cross_validate
from work import ROWS, WORK, bowl, generators, with_dropout, work

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._utils._global_random import BorrowedStream
from sklearn_proxyopt._utils._torch_modes import matrix_precision, plain_torch

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


def by_dask(names):
    """Do pieces of work in four threads of one worker of dask."""
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 1, "threads_per_worker": N_THREADS, "dashboard_address": None}
    with (
        distributed.LocalCluster(processes=False, **settings) as cluster,
        distributed.Client(cluster) as client,
    ):
        return client.gather([client.submit(work, name, pure=False) for name in names])


def by_processes(method):
    def do(names):
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            return list(pool.map(work, names))

    return do


PLACES = {"dask": by_dask, "fork": by_processes("fork"), "spawn": by_processes("spawn")}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_what_is_done_elsewhere_is_the_same(place):
    if place == "fork" and not hasattr(os, "fork"):
        pytest.skip("needs a system that forks")
    names = ["proxy", "module with dropout", "supervised", "genetic"]
    before = generators(), torch.get_num_threads()
    for name, found in zip(names, PLACES[place](names), strict=True):
        np.testing.assert_array_equal(found, expected(name))
    # dask itself draws from Python's.
    assert (generators()[1:], torch.get_num_threads()) == (before[0][1:], before[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_process_that_is_forked_while_a_generator_is_lent_finds_its_own():
    before = generators()
    stream = BorrowedStream(np.random.default_rng(0), torch.device("cpu"))
    is_lent, is_over = threading.Event(), threading.Event()

    def borrow():
        with stream.borrowed():
            torch.rand(1)
            is_lent.set()
            is_over.wait(0.2)

    thread = threading.Thread(target=borrow)
    thread.start()
    is_lent.wait(60)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        # Python seeds its own anew in every forked process.
        assert pool.submit(generators).result()[1:] == before[1:]
    thread.join()


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


@contextmanager
def rounded_products():
    torch.set_float32_matmul_precision("medium")
    try:
        yield
        # The switch is the user's, as it was found.
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


SWITCHES = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu"),
    "deterministic": deterministic,
    "rounded products": rounded_products,
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


def test_a_precision_waits_for_those_who_compute_with_another():
    seen, has_begun, may_end = [], threading.Event(), threading.Event()

    def compute(dtype):
        with plain_torch(), matrix_precision(dtype):
            seen.append(torch.get_float32_matmul_precision())
            has_begun.set()
            may_end.wait(60)

    threads = [threading.Thread(target=compute, args=(one,)) for one in ("float64", "tf32")]
    with rounded_products():
        threads[0].start()
        has_begun.wait(60)
        threads[1].start()
        threads[1].join(0.1)
        assert seen == ["highest"]
        may_end.set()
        for thread in threads:
            thread.join(60)
    assert seen == ["highest", "high"]


def own_precision():
    with plain_torch(), matrix_precision("tf32"):
        inside = torch.get_float32_matmul_precision()
    return inside, torch.get_float32_matmul_precision()


def test_a_process_forked_amid_a_precision_has_one_of_its_own():
    fork = multiprocessing.get_context("fork")
    with rounded_products(), plain_torch(), ProcessPoolExecutor(1, fork) as pool:
        # The forked thread is within the block, and stays there.
        assert pool.submit(own_precision).result(60) == ("high", "highest")
