"""The table of what a GPU gains."""

import csv
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

before = torch.get_num_threads()
import gpu  # noqa: E402

torch.set_num_threads(before)


def test_a_call_is_timed_on_each_device_that_is_asked_for():
    row = gpu.measure(gpu.fit_call(40, 2, max_epochs=1), ("cpu", "auto"))
    assert row["call"] == "fit 40 x 2, max_epochs=1"
    assert row["auto_gain"] == pytest.approx(row["cpu"] / row["auto"], abs=0.01)
    assert "cuda" not in row
    assert row["chosen"] == "cpu"


def test_a_step_is_given_as_a_share_of_matrix_products():
    rates = {"float32": 2.0, "float64": 1.0}
    row = gpu.step_row(2, 8, "float32", "cpu", rates, n_steps=1)
    assert row["share"] == pytest.approx(100 * row["tflops"] / 2.0, abs=0.06)


def test_calls_that_no_time_is_left_for_are_left_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", "--seconds=0", f"--output={tmp_path}"])
    gpu.main()
    torch.set_num_threads(before)
    assert "out of time" in capsys.readouterr().out


def test_the_table_has_headers_in_words(tmp_path):
    gpu.write_table([{"call": "a fit", "cpu": 1.5}], gpu.HEADERS, tmp_path / "calls.csv")
    with (tmp_path / "calls.csv").open(newline="") as file:
        header, values = csv.reader(file)
    assert header == list(gpu.HEADERS.values())
    assert dict(zip(header, values, strict=True))["two cores (s)"] == "1.5"


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("calls", gpu.HEADERS),
        ("steps", gpu.STEP_HEADERS),
        ("precision", gpu.PRECISION_HEADERS),
    ],
)
def test_the_tables_of_the_page_are_those_that_would_be_written(name, headers):
    table = Path(__file__).parents[2] / f"docs/results/gpu/{name}.csv"
    with table.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == list(headers.values())
    assert {len(row) for row in rows} == {len(header)}
