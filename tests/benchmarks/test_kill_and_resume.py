"""The table of kills that the documentation shows."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from kill_and_resume import FAULTS, RUNS, read_table, shares, write_table  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")


def test_the_table_of_the_page_is_one_that_the_benchmark_writes(tmp_path):
    table = ROOT / "docs/results/kills.csv"
    found = read_table(table)
    write_table(found, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == table.read_text()
    assert set(found) <= set(RUNS)
    assert not any(counts[fault] for counts in found.values() for fault in FAULTS)


@pytest.mark.parametrize(("n_kills", "n_kinds"), [(200, 11), (4, 3), (3, 5)])
def test_kills_are_shared_evenly_among_the_kinds(n_kills, n_kinds):
    found = shares(n_kills, n_kinds)
    assert sum(found) == n_kills
    assert max(found) - min(found) <= 1
