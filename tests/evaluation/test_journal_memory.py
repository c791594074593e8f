"""What is read of a journal that was read before."""

import shutil

import numpy as np
import pytest
from journals import ROWS, edit, total, write
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal, _journal_contents
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.optimizers import MultiStartBFGS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


@pytest.fixture
def verified(monkeypatch):
    """Return the numbers of the rows that are verified from now on."""
    numbers, is_whole = [], _journal_contents.is_whole
    monkeypatch.setattr(
        _journal_contents,
        "is_whole",
        lambda entry, journal: numbers.append(entry.id) or is_whole(entry, journal),
    )
    return numbers


def test_only_rows_that_were_not_read_before_are_read_by_the_next_writer(path, verified):
    write(path)
    journal = Journal(path)
    journal.memory.contents()
    write(path, X=ROWS + 50.0)
    verified.clear()
    with journal.writing(2) as writer:
        assert verified == [7, 8, 9, 10, 11, 12]
        writer.tell(ROWS + 100.0, total(ROWS + 100.0))
        writer.tell(ROWS, total(ROWS))
    assert verified == [7, 8, 9, 10, 11, 12]
    assert len(Journal(path)) == 18


def test_an_optimizer_that_is_asked_and_told_reads_no_row_twice(path, verified):
    write(path)
    opt = ProxyOptimizer(
        bounds=[(0.0, 200.0)] * 2,
        proxy=LinearRegression(),
        optimizer=MultiStartBFGS(2),
        journal=path,
        random_state=0,
    )
    for _ in range(3):
        points = opt.ask(2)
        opt.tell(points, total(points))
    assert verified == [1, 2, 3, 4, 5, 6]
    write(path, X=ROWS + 50.0)
    opt.tell(ROWS + 50.0, total(ROWS + 50.0))
    assert sorted(set(verified)) == list(range(1, 19))
    assert len(Journal(path)) == 18
    np.testing.assert_array_equal(opt.X_, Journal(path).rows()[0])


def test_amendments_that_another_program_wrote_meanwhile_are_known(path):
    write(path)
    journal = Journal(path)
    journal.memory.contents()
    with Journal(path).writing(2) as writer:
        writer.amend(ROWS[:2])
        writer.amend(ROWS[2:3], np.array([7.0]))
    journal.memory.contents()
    np.testing.assert_array_equal(journal.memory.rows("done")[0], Journal(path).rows()[0])
    np.testing.assert_array_equal(journal.memory.rows("done")[1][:, 0], Journal(path).rows()[1])
    np.testing.assert_array_equal(journal.memory.rows("done")[1][0], [7.0])


def test_another_journal_in_the_place_of_the_one_that_was_read_is_read_whole(path, tmp_path):
    write(path)
    journal = Journal(path)
    journal.memory.contents()
    write(tmp_path / "other.sqlite", X=ROWS[:3] + 50.0)
    shutil.copy(tmp_path / "other.sqlite", path)
    journal.memory.contents()
    np.testing.assert_array_equal(journal.memory.rows("done")[0], ROWS[:3] + 50.0)


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE evaluations SET value = 0.0 WHERE id = 8", "row 8 of evaluations does not match"),
        ("DELETE FROM evaluations WHERE id = 7", "row 8 of evaluations does not follow row 6"),
        ("DELETE FROM evaluations WHERE id = 12", "12 rows were written, 11 are there"),
    ],
)
def test_damage_in_what_is_new_is_found(path, statement, row):
    write(path)
    journal = Journal(path)
    journal.memory.contents()
    write(path, X=ROWS + 50.0)
    edit(path, statement)
    with pytest.raises(JournalError, match=row):
        journal.memory.contents()
