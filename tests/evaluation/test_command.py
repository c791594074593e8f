"""External programs as the function to be optimized."""

import os
import pickle
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.evaluation import CommandObjective
from sklearn_proxyopt.exceptions import FailedEvaluationWarning, SetUpError

SOLVER = """
import sys
numbers = dict(line.split("=") for line in open("input.txt") if "=" in line)
x, y = float(numbers["x"]), float(numbers["y"])
if x < -1:
    sys.exit("no convergence")
open("out.csv", "w").write(f"{(x - 1) ** 2 + (y - 2) ** 2},{x + y}\\n")
"""


@pytest.fixture
def template(tmp_path):
    folder = tmp_path / "template"
    (folder / "deep").mkdir(parents=True)
    (folder / "solver.py").write_text(SOLVER)
    (folder / "input.txt").write_text("x={{x}}\ny={{ y:.3f }}\n")
    (folder / "deep" / "mesh.bin").write_bytes(b"\xff\x00{{x}}")
    return folder


def solver(template, **options):
    return CommandObjective([sys.executable, "solver.py"], template=template, **options)


def test_values_are_filled_in_and_numbers_are_read(template, tmp_path):
    fun = solver(template, output="out.csv", folder=tmp_path / "runs", keep="all")
    np.testing.assert_allclose(fun({"x": 1 / 3, "y": 2.00049}), [4 / 9, 2 + 1 / 3], rtol=1e-12)
    (run,) = (tmp_path / "runs").iterdir()
    assert (run / "input.txt").read_text() == f"x={1 / 3}\ny=2.000\n"
    assert (run / "deep" / "mesh.bin").read_bytes() == b"\xff\x00{{x}}"


def test_a_function_reads_what_is_in_the_folder(template):
    fun = solver(template, output=lambda folder: (folder / "out.csv").read_text().split(",")[0])
    assert fun({"x": 1.0, "y": 0.0}) == 4.0


def test_without_an_output_the_program_says_the_number():
    fun = CommandObjective([sys.executable, "-c", "print({{a}} * {{b:.1f}})"], names=["a", "b"])
    assert fun(np.array([3.0, 0.26])) == pytest.approx(0.9)
    assert pickle.loads(pickle.dumps(fun))(np.array([2.0, 0.5])) == 1.0


@pytest.mark.parametrize(("keep", "kept"), [("failed", [1, 0]), ("all", [1, 1]), ("none", [0, 0])])
def test_folders_are_kept_as_told(template, tmp_path, keep, kept):
    fun = solver(template, output="out.csv", folder=tmp_path / "runs", keep=keep)
    with pytest.raises(RuntimeError, match=r"ended with status 1 in .*: no convergence"):
        fun({"x": -2.0, "y": 0.0})
    assert len(list((tmp_path / "runs").iterdir())) == kept[0]
    fun({"x": 2.0, "y": 0.0})
    assert len(list((tmp_path / "runs").iterdir())) == sum(kept)


def test_a_program_that_hangs_is_killed_with_what_it_has_started():
    child = "import time; time.sleep({{x0}})"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{child}'])"
    fun = CommandObjective([sys.executable, "-c", code], timeout=0.5)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"took longer than 0\.5 s"):
        fun(np.array([60.0]))
    assert time.monotonic() - began < 30.0


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no groups of processes")
@pytest.mark.parametrize("begin", ["", "setsid "], ids=["group", "session"])
def test_what_a_program_leaves_running_does_not_outlive_the_timeout(tmp_path, begin):
    # A session of its own is nobody's to kill, but is not waited for.
    code = f"{begin}sh -c 'echo $$ > pid; exec sleep {{{{seconds}}}}' & echo 1.0"
    fun = CommandObjective(["sh", "-c", code], folder=tmp_path, timeout=1.0)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"took longer than 1\.0 s"):
        fun({"seconds": 60})
    assert time.monotonic() - began < 15.0
    (file,) = tmp_path.glob("*/pid")
    pid = int(file.read_text())
    if begin:
        os.kill(pid, signal.SIGKILL)
    assert not is_running(pid)


def is_running(pid):
    """Tell whether a process runs that nobody has waited for yet."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def test_what_a_program_leaves_running_without_a_timeout_goes_on(tmp_path):
    code = "sh -c 'sleep 0.5; echo done > {{name}}' > /dev/null 2>&1 & echo 1.0"
    fun = CommandObjective(["sh", "-c", code], folder=tmp_path, keep="all", timeout=30.0)
    assert fun({"name": "late"}) == 1.0
    began = time.monotonic()
    while not list(tmp_path.glob("*/late")) and time.monotonic() - began < 30.0:
        time.sleep(0.05)
    assert list(tmp_path.glob("*/late"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_texts_keep_their_bytes_in_any_encoding(tmp_path, encoding):
    folder = tmp_path / "template"
    folder.mkdir()
    deck = "# Größe in µm\r\n{{größe}}\r\n{{a:.1f}}\n{{material}}\r"
    (folder / "deck.inp").write_bytes(deck.encode(encoding))
    code = "open('out', 'w').write('1.0')"
    fun = CommandObjective(
        [sys.executable, "-c", code], template=folder, output="out", folder=tmp_path, keep="all"
    )
    fun({"größe": 2.5, "a": 1.0, "material": "Stähle"})
    (run,) = tmp_path.glob("run-*")
    expected = "# Größe in µm\r\n2.5\r\n1.0\nStähle\r"
    assert (run / "deck.inp").read_bytes() == expected.encode(encoding)


def test_a_value_that_the_encoding_of_a_text_lacks_is_named(tmp_path):
    folder = tmp_path / "template"
    folder.mkdir()
    (folder / "deck.inp").write_bytes("# Größe\n{{a}}".encode("latin-1"))
    fun = CommandObjective([sys.executable, "-c", "print(1)"], template=folder)
    with pytest.raises(ValueError, match=r"deck\.inp must be in UTF-8 to take .*'Ω'"):
        fun({"a": "Ω"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"command": []}, r"command must be a program and texts; got \[\]"),
        ({"command": [3]}, r"command must be a program and texts; got \[3\]"),
        ({"command": "no_such_program_here {{x}}"}, r"'no_such_program_here', which is not found"),
        ({"command": sys.executable, "template": "nowhere"}, r"template must be a folder; got"),
        ({"command": sys.executable, "keep": "some"}, r"keep must be one of .*; got 'some'"),
        ({"command": sys.executable, "timeout": 0}, r"timeout must be .*; got 0"),
    ],
)
def test_what_cannot_be_run_is_named_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        CommandObjective(**arguments)


@pytest.mark.parametrize(
    ("code", "options", "message"),
    [
        ("print('ready')", {}, r"must leave numbers in its standard output; got 'ready'"),
        ("pass", {"output": "out.csv"}, r"must leave a file out\.csv; got none"),
    ],
)
def test_what_cannot_be_read_is_named(code, options, message):
    fun = CommandObjective([sys.executable, "-c", code + " # {{x0}}"], **options)
    with pytest.raises(RuntimeError, match=message):
        fun(np.array([1.0]))


def test_every_variable_has_its_place(template):
    with pytest.raises(ValueError, match=r"variables \['x', 'z'\], .*; got \['x', 'y'\]"):
        solver(template)({"x": 1.0, "z": 2.0})


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x={{x}}", {}, "must ask for the variables ['x', 'y'], each as {{name}}; got ['x']."),
        ("x={{x}} y={{y:d}}", {}, "must ask for y in a format of its values; got {{y:d}} for"),
        ("x={{x}} y={{y}}", {"names": ["x"]}, "names must hold a name for each of the 2 variables"),
    ],
)
@pytest.mark.parametrize("on_error", ["drop", "learn"])
def test_a_wrong_template_ends_a_run_at_once(template, text, options, message, on_error):
    (template / "input.txt").write_text(text)
    form = {"input_format": "array"} if options else {}
    optimizer = ProxyOptimizer(
        solver(template, **options), {"x": (0.0, 1.0), "y": (0.0, 1.0)}, on_error=on_error, **form
    )
    with pytest.raises(SetUpError, match=re.escape(message)):
        optimizer.minimize(budget=20)
    assert len(optimizer.X_failed_) == 0


def test_an_optimizer_runs_a_program_by_name_side_by_side(template, tmp_path):
    optimizer = ProxyOptimizer(
        solver(template, output=first_number, folder=tmp_path / "runs"),
        {"x": (-2.0, 3.0), "y": (0.0, 4.0)},
        input_format="named",
        vectorized=False,
        on_error="learn",
        n_jobs=2,
        proxy=NeuralProxyRegressor((8,), max_epochs=5),
        verdict=False,
        random_state=0,
    )
    with parallel_config(backend="threading"), pytest.warns(FailedEvaluationWarning):
        result = optimizer.minimize(budget=24)
    assert result.fun < 0.2
    # The folders of the runs that failed are there to be looked at.
    assert len(list((tmp_path / "runs").iterdir())) == result.n_failed > 0


def first_number(folder):
    return (folder / "out.csv").read_text().split(",")[0]
