"""A journal that was damaged or edited, and what is saved of it."""

import hashlib
import re
import sqlite3
from collections import Counter

import numpy as np
import pytest
from journals import ROWS, edit, total, write

from sklearn_proxyopt.evaluation import Evaluator, Journal
from sklearn_proxyopt.evaluation._journal_format import Entry, checksum
from sklearn_proxyopt.evaluation._journal_tables import insert, reseal
from sklearn_proxyopt.exceptions import JournalError

BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


def test_a_changed_row_is_named(path):
    write(path)
    edit(path, "UPDATE evaluations SET value = 0.0 WHERE id = 4")
    for read in (Journal(path).rows, Journal(path).__len__, Journal(path).to_frame):
        with pytest.raises(
            JournalError, match=r"undamaged; got .*row 4 of evaluations does not ma"
        ):
            read()
    with pytest.raises(JournalError, match="row 4 of evaluations does not match its checksum"):
        write(path)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "DELETE FROM evaluations WHERE id = 3",
            "row 4 of evaluations does not follow row 2: rows",
        ),
        (
            "DELETE FROM evaluations WHERE id = 6",
            "table evaluations .* 6 rows were written, 5 are there, those after row 5 are missing",
        ),
        (
            "UPDATE evaluations SET id = 9 WHERE id = 2",
            "row 3 .* does not follow row 1: rows after",
        ),
        ("UPDATE variables SET name = 'a'", "the table variables does not match its checksum"),
        ("DELETE FROM facts WHERE name = 'kinds'", "the table facts does not match its checksum"),
        ("DELETE FROM seals", "the table journal does not match"),
        (
            "UPDATE evaluations SET value = x'00' WHERE id = 2",
            "row 2 of evaluations does not match",
        ),
        (
            "INSERT INTO pending VALUES (1, 0, 0, '', '', '')",
            "table pending .* 0 rows were .* 1 are",
        ),
    ],
)
def test_what_another_tool_has_changed_is_found(path, statement, finding):
    write(path)
    edit(path, statement)
    assert re.search(finding, "\n".join(Journal(path).check()))
    with pytest.raises(JournalError, match="journal must be undamaged"):
        write(path)


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        (
            "CREATE TRIGGER t AFTER INSERT ON evaluations BEGIN DELETE FROM evaluations; END",
            "t is none of its tables",
        ),
        ("CREATE VIEW v AS SELECT * FROM evaluations", "v is none of its tables"),
        ("CREATE TABLE notes (text TEXT)", "notes is none of its tables"),
        ("DROP TABLE pending", "the table pending is missing"),
        ("DROP TABLE evaluations", "the table evaluations is missing"),
        (
            "ALTER TABLE evaluations RENAME COLUMN x0 TO x7",
            "the table evaluations lacks the column x0 and has the foreign column x7",
        ),
        ("ALTER TABLE evaluations DROP COLUMN x1", "the table evaluations lacks the column x1"),
        ("ALTER TABLE facts ADD COLUMN note", "the table facts has the foreign column note"),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'lower REAL',"
            " 'lower TEXT'); PRAGMA writable_schema = RESET",
            "the table variables has another type in the column lower",
        ),
        (
            "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, "
            "'asked TEXT NOT NULL', 'asked TEXT'); PRAGMA writable_schema = RESET",
            "the table pending was made by another statement",
        ),
    ],
)
def test_a_journal_with_other_tables_is_refused_by_what_is_wrong_with_them(
    path, statement, difference
):
    write(path)
    edit(path, *statement.split("; ") if "writable" in statement else [statement])
    with pytest.raises(
        JournalError, match="must have the tables of a journal and nothing else"
    ) as raised:
        len(Journal(path))
    assert str(raised.value).endswith(f"{path}: {difference}.")


def test_tables_without_any_input_are_refused_by_name(path):
    write(path)
    edit(
        path,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET sql = replace(sql, 'x0 REAL NOT NULL, x1 REAL NOT NULL, ', '')",
        "PRAGMA writable_schema = RESET",
    )
    with pytest.raises(JournalError, match="the table evaluations was made by another statement"):
        len(Journal(path))


def test_a_file_that_was_cut_is_refused_by_what_is_missing(path):
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[:-5000])
    with pytest.raises(JournalError, match="the file was cut, its last 5000 bytes are missing"):
        len(Journal(path))


@pytest.mark.parametrize("statement", ["VACUUM", "ANALYZE"])
def test_a_journal_that_was_tidied_up_is_still_one(path, statement):
    write(path)
    edit(path, statement)
    assert write(path, X=np.vstack([ROWS, ROWS + 50.0]))[1] == 6


def test_a_row_that_was_evaluated_outside_the_bounds_is_found(path):
    with Journal(path).writing(2, [[0.0, 5.0], [0.0, 20.0]] * np.ones(1)) as writer:
        Evaluator(total, journal=writer, vectorized=True)(ROWS[:4])
        writer.tell(ROWS[4:], total(ROWS[4:]))
    assert Journal(path).check() == [
        "row 4 was evaluated outside the bounds: x0 is 6.0, not from 0.0 to 5.0"
    ]


# Copies and repairs.


def test_a_backup_is_taken_while_the_journal_is_written(path, tmp_path):
    copy = tmp_path / "copy.sqlite"
    seen = []

    def fun(x):
        Journal(path).backup(copy)
        seen.append(len(Journal(copy)))
        return x.sum()

    write(path, fun, vectorized=False)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert write(copy)[1] == 1
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_replaces_no_other_journal(path, tmp_path):
    other = tmp_path / "other.sqlite"
    write(path)
    write(other, X=ROWS + 1.0)
    with pytest.raises(
        JournalError, match=r"path must be a new file or an older copy.*other.sqlite"
    ):
        Journal(path).backup(other)
    edit(path, "DELETE FROM evaluations WHERE id = 2")
    with pytest.raises(JournalError, match="journal must be undamaged"):
        Journal(path).backup(tmp_path / "new.sqlite")
    assert not (tmp_path / "new.sqlite").exists()


def test_a_repair_saves_what_is_whole_and_says_what_is_not(path, tmp_path):
    with Journal(path).writing(2, BOX * 10, ["speed", "angle"]) as writer:
        Evaluator(lambda x: x.sum(), vectorized=False, journal=writer)(ROWS)
        writer.set_pending_points(ROWS[:2])
        assert writer.seed(7) == 7
    edit(
        path,
        "UPDATE evaluations SET value = 0.0 WHERE id = 2",
        "DELETE FROM evaluations WHERE id IN (4, 6)",
        "DELETE FROM pending WHERE id = 1",
    )
    repaired = tmp_path / "repaired.sqlite"
    assert Journal(path).repair(repaired) == [
        "row 2 does not match its checksum",
        "1 rows between row 3 and row 5 are missing",
        "1 rows after row 5 are missing",
        "the table pending: the points asked for",
    ]
    assert Journal(repaired).check() == []
    X, y = Journal(repaired).rows()
    np.testing.assert_array_equal(X, ROWS[[0, 2, 4]])
    np.testing.assert_array_equal(y, total(X))
    assert Journal(repaired).to_frame().index.tolist() == [1, 3, 5]
    assert Journal(repaired).names() == ["speed", "angle"]
    with Journal(repaired).writing(2, BOX * 10) as writer:
        assert writer.seed(9) == 7
        evaluate = Evaluator(total, journal=writer, vectorized=True)
        writer.read_into(evaluate.record)
        evaluate(ROWS)
        assert evaluate.n_calls == 3
    assert Journal(repaired).check() == []


def test_a_repair_overwrites_nothing(path, tmp_path):
    write(path)
    with pytest.raises(JournalError, match="path must be a new file for what is saved"):
        Journal(path).repair(path)


def test_an_undamaged_journal_needs_no_repair(path, tmp_path):
    write(path)
    assert Journal(path).repair(tmp_path / "repaired.sqlite") == []
    assert len(Journal(tmp_path / "repaired.sqlite")) == 6


# What the format has room for.


def test_evaluations_of_the_same_inputs_are_numbered(path):
    with Journal(path).writing(2) as writer:
        writer.tell(ROWS[[0, 0, 1, 0]], np.array([1.0, 2.0, 3.0, np.nan]))
    with Journal(path).writing(2) as writer:
        writer.tell(ROWS[[0, 1]], np.array([4.0, 3.0]))
    assert Journal(path).to_frame().repeat.tolist() == [0, 1, 0, 2, 3]


def amend(path, amended, status, value):
    """Append an amendment as a later version of the package would."""
    with Journal(path).writing(2) as writer:
        n_rows, previous, _ = writer._head
        entry = Entry(
            n_rows + 1, None, 0, (0.0, 1.0), (value,), status, None, None, "2030", None, amended,
            '{"by": "hand"}', previous, "",
        ).signed(writer._journal)  # fmt: skip
        with writer._transaction() as connection:
            insert(connection, "evaluations", [entry.cells])
            reseal(connection, "evaluations", writer._journal, (n_rows + 1, entry.digest))


def test_an_amendment_stands_in_the_place_of_what_it_amends(path):
    write(path)
    amend(path, 1, "done", 100.0)
    amend(path, 7, "done", 200.0)
    X, y = Journal(path).rows()
    np.testing.assert_array_equal(X, ROWS)
    np.testing.assert_array_equal(y, [200.0, *total(ROWS)[1:]])
    assert write(path)[0][0] == 200.0
    amend(path, 8, "forgotten", None)
    np.testing.assert_array_equal(Journal(path).rows()[0], ROWS[1:])
    assert write(path)[1] == 1


def test_points_asked_for_keep_their_time(path):
    for points in (ROWS[:2], ROWS[1:3]):
        with Journal(path).writing(2) as writer:
            writer.set_pending_points(points)
    connection = sqlite3.connect(path)
    times = dict(connection.execute("SELECT x0, asked FROM pending"))
    connection.close()
    assert sorted(times) == [2.0, 4.0]


def test_the_checksum_is_that_of_the_documentation():
    text = '["0123456789abcdef",1,null,1.5,"caf\\u00e9"]'
    expected = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    assert checksum("0123456789abcdef", 1, None, 1.5, "café") == expected


def test_damage_has_one_kind_of_error(path):
    write(path)
    content = path.read_bytes()
    kinds = Counter()
    for end in range(0, len(content), 997):
        path.write_bytes(content[:end] + b"\xff" * 8 + content[end + 8 :])
        try:
            kinds[len(Journal(path))] += 1
        except JournalError:
            kinds["error"] += 1
    assert set(kinds) <= {6, "error"}
