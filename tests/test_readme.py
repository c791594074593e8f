"""The commands and the code of README.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def fenced_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_there_are_two_commands():
    assert [len(block.splitlines()) for block in fenced_blocks("bash")] == [1, 1]


@pytest.mark.parametrize("command", fenced_blocks("bash"))
def test_a_command_installs_under_the_constraints(command):
    assert "pip install -c constraints.txt" in command


@pytest.mark.parametrize(
    "block", fenced_blocks("python"), ids=["minimize", "budget", "fit", "grid_search"]
)
def test_the_code_runs_as_printed(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
