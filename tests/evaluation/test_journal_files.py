"""Rare ways to lose what a journal has: texts, the file itself, other writers, full disks."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from journals import ROWS, edit, total, write
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.evaluation import Evaluator, Journal
from sklearn_proxyopt.evaluation import _journal_writer as writer_module
from sklearn_proxyopt.exceptions import JournalError
from sklearn_proxyopt.optimizers import DifferentialEvolution
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

ROOT = Path(__file__).parents[2]
BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])
LATIN_1 = os.fsdecode(b"caf\xe9")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.sqlite"


def killed(code):
    """Run code in a process that ends by SIGKILL."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport os; os.kill(os.getpid(), 9)"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


# Texts.


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_an_error_whose_text_is_not_utf_8_is_kept_in_the_journal(path):
    def fun(x):
        if x[0] == 4.0:
            raise OSError(f"no such file: {LATIN_1}\0")
        return x.sum()

    write(path, fun, vectorized=False, on_error="drop")
    assert Journal(path).to_frame().error[3] == "raised OSError: no such file: caf\\udce9\\x00"
    assert write(path, fun, vectorized=False, on_error="drop")[1] == 0


def test_a_name_that_is_not_utf_8_is_the_same_name_again(path):
    for _ in range(2):
        with Journal(path).writing(1, names=[LATIN_1]):
            pass
    assert Journal(path).names() == ["caf\\udce9"]
    with pytest.raises(JournalError, match="variable 0 is"), Journal(path).writing(1, names=["a"]):
        pass


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
def test_the_text_of_an_error_has_a_limit(path):
    def fun(x):
        raise ArithmeticError("no state " * 100_000)

    write(path, fun, vectorized=False, on_error="drop", X=ROWS[:1])
    assert len(Journal(path).to_frame().error[1]) < 11_000


# One complete file.


def test_one_file_has_every_row_after_each_commit(path, tmp_path):
    seen = []

    def fun(x):
        shutil.copyfile(path, tmp_path / "copy.sqlite")
        seen.append(len(Journal(tmp_path / "copy.sqlite")))
        return x.sum()

    write(path, fun, vectorized=False)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "copy.sqlite",
        "runs.sqlite",
        "runs.sqlite.lock",
    ]


def test_after_a_kill_one_file_has_every_row(path, tmp_path):
    killed(
        "import numpy as np\nfrom sklearn_proxyopt.evaluation import Evaluator, Journal\n"
        f"context = Journal({str(path)!r}).writing(2)\nwriter = context.__enter__()\n"
        "Evaluator(np.sum, journal=writer)(np.arange(12.0).reshape(6, 2))"
    )
    shutil.copyfile(path, tmp_path / "copy.sqlite")
    assert len(Journal(tmp_path / "copy.sqlite")) == 6


def half_written(path):
    """Leave a journal of six rows as a run does that is killed within a commit."""
    write(path)
    killed(
        f"import sqlite3\nc = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 2')\nc.execute('BEGIN')\n"
        "c.execute('DELETE FROM evaluations')\n"
        "c.execute('INSERT INTO facts VALUES (1, hex(zeroblob(100000)))')"
    )
    assert Path(f"{path}-journal").stat().st_size


@pytest.mark.parametrize("follow", [lambda path: len(Journal(path)), lambda path: write(path)[1]])
def test_what_a_kill_left_half_written_is_undone(path, follow):
    half_written(path)
    assert follow(path) in (6, 0)
    assert not Path(f"{path}-journal").exists()
    np.testing.assert_array_equal(Journal(path).rows()[0], ROWS)


def test_a_half_written_file_without_the_one_beside_it_is_refused(path):
    half_written(path)
    Path(f"{path}-journal").unlink()
    with pytest.raises(JournalError, match="journal must be"):
        len(Journal(path))
    with pytest.raises(JournalError, match="journal must be"):
        write(path)


@pytest.mark.parametrize("has_rows", [True, False])
def test_a_file_in_write_ahead_mode_is_refused_without_the_file_that_has_its_rows(
    path, tmp_path, has_rows
):
    if has_rows:
        write(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA user_version = 3")
    shutil.copyfile(path, tmp_path / "alone.sqlite")
    connection.close()
    for _ in range(2):
        with pytest.raises(JournalError, match=r"alone.sqlite-wal, which may have rows of it"):
            write(tmp_path / "alone.sqlite")
        with pytest.raises(JournalError, match=r"alone.sqlite-wal, which may have rows of it"):
            len(Journal(tmp_path / "alone.sqlite"))


def test_a_file_in_write_ahead_mode_is_taken_back_from_it(path, tmp_path):
    write(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("DROP TABLE t")
    for end in ("", "-wal"):
        shutil.copyfile(f"{path}{end}", tmp_path / f"copy.sqlite{end}")
    connection.close()
    write(tmp_path / "copy.sqlite", X=ROWS + 100.0)
    assert not (tmp_path / "copy.sqlite-wal").exists()
    assert len(Journal(tmp_path / "copy.sqlite")) == 12


def test_an_empty_file_is_no_new_journal_where_a_file_beside_it_has_rows(path):
    Path(f"{path}-wal").write_bytes(b"rows")
    with pytest.raises(JournalError, match=r"got no .* beside .*-wal, which has rows"):
        write(path)
    assert not path.exists()


def test_a_database_without_tables_is_no_new_journal(path):
    edit(path, "CREATE TABLE t (a)", "DROP TABLE t")
    with pytest.raises(JournalError, match="a database without tables, whose rows may be in a"):
        write(path)


@pytest.mark.parametrize("version", [1, 2])
def test_a_journal_of_an_older_format_is_refused_by_its_version(path, version):
    write(path)
    edit(path, f"PRAGMA user_version = {version}")
    for use in (lambda: len(Journal(path)), lambda: write(path), Journal(path).check):
        with pytest.raises(JournalError, match=rf"version 3; got .* of version {version}, .*older"):
            use()


# The file, watched.


def deleted(path):
    path.unlink()


def replaced(path):
    shutil.copyfile(path, f"{path}.other")
    os.replace(f"{path}.other", path)


def cut(path):
    os.truncate(path, 4096)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (deleted, "was deleted or moved"),
        (replaced, "was replaced by another file"),
        (cut, r"was cut from \d+ to 4096 bytes"),
    ],
)
def test_a_file_that_is_taken_away_ends_the_run_by_the_next_write(path, harm, reason):
    def fun(x):
        if x[0] == 6.0:
            harm(path)
        return x.sum()

    evaluate = Evaluator(fun, vectorized=False)
    with (
        pytest.raises(JournalError, match=f"runs.sqlite {reason}") as caught,
        Journal(path).writing(2) as evaluate.journal,
    ):
        evaluate(ROWS)
    assert len(evaluate.record) == 4
    if harm is cut:
        assert "Not in it: [6.0, 7.0] gave 13.0." in str(caught.value)
        return
    assert f"All of its rows are in {path}.rescued." in str(caught.value)
    np.testing.assert_array_equal(Journal(f"{path}.rescued").rows()[0], ROWS[:4])


def test_a_file_that_is_deleted_after_the_last_write_is_noticed_at_the_end(path):
    context = Journal(path).writing(2)
    Evaluator(total, journal=context.__enter__(), vectorized=True)(ROWS)
    path.unlink()
    with pytest.raises(JournalError, match=r"was deleted.*All of its rows are in .*\.rescued"):
        context.__exit__(None, None, None)
    assert len(Journal(f"{path}.rescued")) == 6


def test_an_optimizer_keeps_what_it_evaluated_when_the_journal_is_gone(path):
    def fun(X):
        if path.exists():
            path.unlink()
        return total(X)

    opt = ProxyOptimizer(
        sampler=SobolSampler(16),
        proxy=LinearRegression(),
        optimizer=DifferentialEvolution(10, 5),
        refiner=LocalRefinement(max_evaluations=4),
        journal=path,
        random_state=0,
        vectorized=True,
    )
    with pytest.raises(JournalError, match="was deleted"):
        opt.minimize(fun, BOX)
    np.testing.assert_array_equal(opt.y_, total(opt.X_))
    assert len(opt.X_) == len(Journal(f"{path}.rescued")) == 16


def test_a_row_that_another_program_writes_ends_the_run(path):
    def fun(x):
        if x[0] == 6.0:
            edit(
                path,
                "UPDATE seals SET n_rows = n_rows + 1 WHERE name = 'evaluations'",
            )
        return x.sum()

    with pytest.raises(JournalError, match=r"not be changed by another program.*13\.0"):
        write(path, fun, vectorized=False)


def test_rows_in_flight_are_kept_when_the_journal_fails(path):
    def fun(x):
        if x[0] == 0.0:
            os.truncate(path, 4096)
        return x.sum()

    evaluate = Evaluator(fun, vectorized=False, n_jobs=2)
    with pytest.raises(JournalError, match="was cut"), Journal(path).writing(2) as evaluate.journal:
        evaluate(ROWS)
    assert len(evaluate.record) == evaluate.n_calls >= 2


# One writer, whatever the name.


def test_a_second_writer_through_a_link_is_refused(path, tmp_path):
    link = tmp_path / "link.sqlite"
    link.symlink_to(path)
    for first, second in ((path, link), (link, path)):
        with (
            Journal(first).writing(2),
            pytest.raises(JournalError, match="another thread of this process is writing"),
            Journal(second).writing(2),
        ):
            pass


def test_a_second_writer_through_a_linked_folder_is_refused(path, tmp_path):
    (tmp_path / "folder").symlink_to(tmp_path)
    code = (
        "from sklearn_proxyopt.evaluation import Journal\n"
        f"with Journal({str(tmp_path / 'folder' / path.name)!r}).writing(2): pass"
    )
    with Journal(path).writing(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert f"process {os.getpid()} on" in done.stderr


def test_a_journal_of_two_hard_links_is_refused(path, tmp_path):
    write(path)
    os.link(path, tmp_path / "other.sqlite")
    with pytest.raises(JournalError, match=r"must have one name; got .*, which has 2 hard links"):
        write(tmp_path / "other.sqlite")
    assert len(Journal(path)) == 6


# Where it cannot be written or read.


def test_a_full_disk_is_an_error_that_has_the_row(path):
    with Journal(path).writing(2) as writer:
        n_pages = path.stat().st_size // 4096
        writer._connection.execute(f"PRAGMA max_page_count = {n_pages}")
        rows = np.arange(2000.0).reshape(1000, 2)
        evaluate = Evaluator(lambda x: x.sum(), vectorized=False, journal=writer)
        with pytest.raises(
            JournalError, match=r"runs.sqlite: database or disk is full.*Not in it"
        ) as (caught):
            evaluate(rows)
    n_kept = len(Journal(path))
    assert 0 < n_kept < 1000
    assert f"{rows[n_kept].tolist()} gave {rows[n_kept].sum()}" in str(caught.value)
    assert len(evaluate.record) == n_kept + 1
    assert write(path, X=rows)[1] == 1000 - n_kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_limit_on_the_size_of_files_is_an_error_that_names_the_journal(path):
    code = (
        "import resource, signal, numpy as np\n"
        "from sklearn_proxyopt.evaluation import Evaluator, Journal\n"
        f"with Journal({str(path)!r}).writing(2) as writer:\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (40960, 40960))\n"
        "    rows = np.ones((999, 2)).cumsum(0)\n"
        "    Evaluator(lambda x: x[0], vectorized=False, journal=writer)(rows)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "JournalError: journal must be a file that can be written to; got" in done.stderr
    n_kept = len(Journal(path))
    assert 0 < n_kept < 999
    assert f"[{n_kept + 1}.0, {n_kept + 1}.0] gave {n_kept + 1}.0" in done.stderr


def as_somebody_else(function):
    """Call a function in a process that may not write to files of this one; return its text."""
    read, write = os.pipe()
    process = os.fork()
    if not process:
        try:
            if not os.getuid():
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            text = str(function())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(process, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        yield Path(name)
        os.chmod(name, stat.S_IRWXU)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
@pytest.mark.parametrize("prepare", [write, half_written])
def test_a_journal_in_a_folder_that_cannot_be_written_to_is_read(folder, prepare):
    path = folder / "runs.sqlite"
    prepare(path)
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    before = path.read_bytes()
    assert as_somebody_else(lambda: len(Journal(path))) == "6"
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_writer_in_a_folder_that_cannot_be_written_to_is_refused_by_the_folder(folder):
    path = folder / "runs.sqlite"
    write(path)
    folder.chmod(0o555)
    text = as_somebody_else(lambda: write(path))
    assert text.startswith("JournalError: journal must be in a folder that can be written to; got")
    assert str(path) in text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_a_journal_that_cannot_be_read_is_refused_with_the_reason(folder):
    path = folder / "runs.sqlite"
    write(path)
    path.chmod(0o600)
    text = as_somebody_else(lambda: len(Journal(path)))
    if os.getuid():
        assert text == "6"
    else:
        assert text == (
            f"JournalError: journal must be a file that can be opened; got {path}: unable to open "
            "database file."
        )


def test_a_folder_is_no_journal(tmp_path):
    for use in (lambda: len(Journal(tmp_path)), lambda: write(tmp_path)):
        with pytest.raises(JournalError, match="journal must be a file; got"):
            use()


def test_a_path_that_no_file_can_have_is_refused():
    with pytest.raises(ValueError, match="journal must be a path or None; got 'a"):
        Journal("a\0b")


@pytest.mark.parametrize("name", ["100 %41?mode=memory#.sqlite", ":memory:", LATIN_1])
def test_a_file_may_have_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(Path(name))
    assert (tmp_path / name).is_file()
    assert len(Journal(name)) == 6


def test_a_clock_that_is_set_back_changes_no_order(path, monkeypatch):
    class Clock:
        times = iter(range(2**31, 0, -86400))

        @classmethod
        def now(cls, zone):
            return datetime.fromtimestamp(next(cls.times), UTC)

    monkeypatch.setattr(writer_module, "datetime", Clock)
    write(path, lambda x: x.sum(), vectorized=False)
    assert Journal(path).check() == []
    np.testing.assert_array_equal(Journal(path).rows()[0], ROWS)
    ended = Journal(path).to_frame().ended.tolist()
    assert ended == sorted(ended, reverse=True)
