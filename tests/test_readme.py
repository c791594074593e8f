"""The commands, the code and the figures of README.md."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def rows_of(table):
    with (ROOT / "docs" / "results" / table).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_are_two_commands():
    assert [len(block.splitlines()) for block in fenced_blocks("bash")] == [1, 1]


@pytest.mark.parametrize("command", fenced_blocks("bash"))
def test_a_command_installs_under_the_constraints(command):
    assert "pip install -c constraints.txt" in command


@pytest.mark.parametrize("block", fenced_blocks("python"), ids=["maximize", "table", "grid_search"])
def test_the_code_runs_as_printed(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})


def test_it_is_read_in_ten_minutes():
    assert len(README.splitlines()) <= 120


def test_the_ranks_are_those_of_the_comparison():
    rows = [
        row for row in rows_of("peers/ranks.csv") if (row["dim"], row["budget"]) == ("10", "200")
    ]
    assert len(rows) == 8  # the tools that it speaks of
    ours, second = sorted(rows, key=lambda row: float(row["mean_rank"]))[:2]
    assert (ours["solver"], second["solver"]) == ("proxy_optimizer", "turbo_1")
    assert f"mean rank {ours['mean_rank']} of eight tools" in README
    assert f"TuRBO-1, has {second['mean_rank']}" in README


def test_the_errors_are_those_of_the_comparison_of_surrogates():
    rows = {row["proxy"]: row for row in rows_of("proxies/summary.csv") if row["rows"] == "200"}
    ours, theirs = rows["ProxyRegressor"], rows["GP, Matern (scikit-learn)"]
    assert f"{float(ours['median']):.3f} standard deviations" in README
    assert f"scikit-learn has {theirs['median']}" in README


def test_the_areas_under_the_curve_are_those_of_the_calibration():
    rows = {(row["verdict from"], row["cases"]): row for row in rows_of("verdicts/auc.csv")}
    auc = rows["checks", "all"]
    assert f"an AUC of {float(auc['AUC']):.2f} for" in README
    assert f"has {float(auc['AUC of R2']):.2f} (`docs/user_guide/diagnosis.rst`)" in README


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)]+)\)|`(docs/[^`]+)`", README))))
def test_what_it_points_to_is_there(path):
    assert (ROOT / "".join(path)).exists()
