import time

import pytest
import torch

from sklearn_proxyopt._utils._threads import paying_threads, threads_for


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("faster", "expected"), [(1, 1), (2, 2)])
def test_the_threads_that_are_faster_are_taken_and_put_back(faster, expected):
    def trial():
        time.sleep(0.001 if torch.get_num_threads() == faster else 0.01)

    with paying_threads(trial) as threads:
        threads.choose()
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


def test_a_trial_is_not_repeated_before_its_time():
    calls = []
    with paying_threads(lambda: calls.append(1)) as threads:
        threads.choose()
        n_calls = len(calls)
        threads.choose()
    assert len(calls) == n_calls


def test_one_thread_needs_no_trial():
    torch.set_num_threads(1)
    with paying_threads(lambda: pytest.fail("tried")) as threads:
        threads.choose()


def test_threads_are_put_back_after_an_error():
    with pytest.raises(RuntimeError), paying_threads(lambda: None):
        raise RuntimeError
    assert torch.get_num_threads() == 2


def test_few_rows_are_computed_on_one_thread():
    with threads_for(10):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
