import threading

import pytest
import torch

from sklearn_proxyopt._utils._threads import in_parallel, one_thread, threads_for


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_computes_the_block_and_the_number_is_put_back():
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("block", [one_thread(), threads_for(10), in_parallel(3)])
def test_threads_are_put_back_after_an_error(block):
    with pytest.raises(RuntimeError), block:
        raise RuntimeError
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("n_rows", "expected"), [(10, 1), (100_000, 2)])
def test_the_rows_of_a_batch_alone_say_how_many_threads_share_it(n_rows, expected):
    with threads_for(n_rows):
        assert torch.get_num_threads() == expected
    with one_thread():
        with threads_for(n_rows):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 1


def test_pieces_run_at_once_on_one_thread_each():
    barrier = threading.Barrier(2, timeout=60)

    def piece(index):
        barrier.wait()
        return index, torch.get_num_threads()

    with in_parallel(2) as apply:
        assert apply(piece, range(2)) == [(0, 1), (1, 1)]


def test_pieces_find_their_threads_within_a_block_that_runs_on_one():
    with one_thread(), in_parallel(2) as apply:
        names = apply(lambda piece: threading.current_thread().name, range(2))
    assert threading.current_thread().name not in names


@pytest.mark.parametrize(("n_threads", "n_pieces"), [(1, 8), (2, 1)])
def test_a_single_worker_is_the_calling_thread(n_threads, n_pieces):
    torch.set_num_threads(n_threads)
    with in_parallel(n_pieces) as apply:
        names = apply(lambda piece: threading.current_thread().name, range(n_pieces))
    assert set(names) == {threading.current_thread().name}


def test_an_error_in_a_piece_reaches_the_caller():
    def piece(index):
        raise ValueError(f"piece {index}")

    with pytest.raises(ValueError, match="piece 0"), in_parallel(2) as apply:
        apply(piece, range(2))
