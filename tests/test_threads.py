import multiprocessing
import sys
import threading

import pytest
import torch

from sklearn_proxyopt._utils._threads import all_threads, in_parallel, one_thread, threads_for


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


def test_threads_that_compute_at_once_leave_the_number_of_each_as_it_was():
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    found = []

    def first():
        with one_thread():
            first_is_in.set()
            second_is_in.wait(60)
        first_is_out.set()

    def second():
        first_is_in.wait(60)
        for block in (threads_for(100_000), all_threads()):
            with block:
                found.append(torch.get_num_threads())
        with one_thread():
            second_is_in.set()
            first_is_out.wait(60)
        found.append(torch.get_num_threads())

    run_at_once(first, second)
    run_at_once(lambda: found.append(torch.get_num_threads()))
    assert found == [2, 2, 2, 2]


def test_a_forked_process_knows_how_many_threads_it_has():
    with one_thread():
        process = multiprocessing.get_context("fork").Process(target=leave_one_thread_as_it_is)
        process.start()
        process.join(60)
    assert process.exitcode == 0


def leave_one_thread_as_it_is():
    def in_a_thread():
        torch.set_num_threads(1)
        with one_thread():
            pass
        found.append(torch.get_num_threads())

    found = []
    run_at_once(in_a_thread)
    sys.exit(found != [1])


def run_at_once(*functions):
    threads = [threading.Thread(target=one) for one in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


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
