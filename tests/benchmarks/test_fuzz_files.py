"""What the fuzzers find: nothing, with fixed seeds and in seconds."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from fuzz_files import GOOD_ENDS, fuzz_arguments, fuzz_journals, fuzz_saves


@pytest.mark.parametrize(
    ("fuzz", "expected"),
    [
        (lambda: fuzz_journals(60, seed=3, n_rows=60), {"error that names a row", "harmless"}),
        (lambda: fuzz_saves(30, seed=2), {"refused", "loaded"}),
        (lambda: fuzz_arguments(300, seed=1), {"refused by name", "accepted"}),
    ],
    ids=["journals", "saves", "arguments"],
)
def test_random_harm_comes_to_no_bad_end(fuzz, expected):
    ends = fuzz()
    assert expected <= set(ends) <= GOOD_ENDS, ends
