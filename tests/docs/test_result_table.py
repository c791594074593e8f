import sys
from pathlib import Path

import pytest

pytest.importorskip("docutils")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))
import result_table
from docutils.core import publish_doctree
from docutils.parsers.rst import directives

TABLE = """\
tool,rows,seconds_per_fit,share
ours,200,0.12345,88 %
theirs,200,2,95 %
ours,50,0.01,90 %
"""


@pytest.fixture
def page(tmp_path):
    directives.register_directive("result-table", result_table.ResultTable)
    (tmp_path / "speed.csv").write_text(TABLE, encoding="utf-8")

    def parse(*lines):
        text = "\n".join([".. result-table:: speed.csv", *(f"   {line}" for line in lines)])
        return publish_doctree(
            text,
            source_path=str(tmp_path / "page.rst"),
            settings_overrides={"halt_level": 3, "report_level": 5},
        )

    return parse


def cells(document):
    return [
        [entry.astext() for entry in row.findall(lambda node: node.tagname == "entry")]
        for row in document.findall(lambda node: node.tagname == "row")
    ]


def test_it_shows_the_columns_and_rows_that_are_named(page):
    document = page(":where: rows=200", "", "tool: tool", "seconds_per_fit: fit, s")
    assert cells(document) == [["tool", "fit, s"], ["ours", "0.123"], ["theirs", "2"]]


def test_the_winner_of_a_column_is_bold(page):
    options = ":where: rows=200", ":lowest: fit, s", ":highest: covered"
    document = page(*options, "", "tool: tool", "seconds_per_fit: fit, s", "share: covered")
    bold = [node.astext() for node in document.findall(lambda node: node.tagname == "strong")]
    assert bold == ["0.123", "95 %"]


def test_a_column_that_is_not_there_is_an_error(page):
    with pytest.raises(Exception, match=r"no columns \['minutes'\]"):
        page("", "minutes: minutes")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("0.123456", "0.123"),
        ("1234.5", "1,234"),
        ("10000", "10,000"),
        ("65", "65"),
        ("3.0", "3"),
        ("1.025e-07", "1.02e-07"),
        ("88 %", "88 %"),
        ("", ""),
        ("GP (Optuna)", "GP (Optuna)"),
    ],
)
def test_numbers_have_three_digits(cell, text):
    assert result_table.shown(cell) == text
