"""The table of how fast a fitted proxy is searched."""

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from search import HEADERS, write_table

TABLE = Path(__file__).parents[2] / "docs/results/performance/search.csv"


def test_the_table_has_headers_in_words_and_values_of_five_digits(tmp_path):
    row = dict.fromkeys(HEADERS, 1.5) | {"network": "paper", "swarms_value": -2.3789403992683926}
    write_table([row], tmp_path / "search.csv")
    with (tmp_path / "search.csv").open(newline="") as file:
        header, values = csv.reader(file)
    assert header == list(HEADERS.values())
    assert not any("_" in word for word in header)
    assert values[header.index("lowest by swarms")] == "-2.3789"


def test_the_table_of_the_page_is_one_that_would_be_written():
    with TABLE.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(HEADERS.values())
    for name in ("lowest by pyswarms", "lowest by swarms", "lowest by BFGS"):
        shown = [row[header.index(name)] for row in rows]
        assert shown == [f"{float(value):.5g}" for value in shown]
