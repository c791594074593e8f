"""The recipes of the page on clusters, run by workers of this machine."""

import functools
import re
import textwrap
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "cluster.rst"
BLOCKS = [
    textwrap.dedent(block)
    for block in re.findall(
        r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text(encoding="utf-8"), re.M
    )
]


def block_with(text):
    """Return the one block of the page that holds a text."""
    (block,) = [one for one in BLOCKS if text in one]
    return block


def run(*texts):
    """Run the first block of the page, then others, as one program."""
    names = {"__name__": "__main__"}
    for block in [BLOCKS[0], *map(block_with, texts)]:
        exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_jobs_that_stay(monkeypatch):
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    from dask_jobqueue.local import LocalCluster

    def of_this_machine(*, cores, memory, walltime, queue):
        return LocalCluster(cores=cores, memory=memory, scheduler_options={"dashboard": False})

    monkeypatch.setattr(dask_jobqueue, "SLURMCluster", of_this_machine)
    assert run("SLURMCluster")["result"].fun < 1e-3


@pytest.mark.slow
def test_a_job_for_each_row(monkeypatch):
    submitit = pytest.importorskip("submitit")
    local = functools.partial(submitit.AutoExecutor, cluster="local")
    monkeypatch.setattr(submitit, "AutoExecutor", local)
    result = run("AutoExecutor")["result"]
    assert result.nfev == 24
    assert len(list(Path("jobs").glob("*_result.pkl"))) == 24


@pytest.mark.slow
def test_an_external_program():
    result = run("CommandObjective")["result"]
    assert result.fun < 0.2
    assert result.n_failed == 0


@pytest.mark.slow
def test_a_study_is_spread_over_a_cluster():
    pytest.importorskip("distributed")
    assert run("CommandObjective", "GridSearchCV")["search"].best_estimator_.x_.shape == (2,)


def test_every_block_is_run_by_a_test():
    tested = [BLOCKS[0], *map(block_with, ["SLURMCluster(", "AutoExecutor", "CommandObjective"])]
    assert [*tested, block_with("GridSearchCV")] == BLOCKS
