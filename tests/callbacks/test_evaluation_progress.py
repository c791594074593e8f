import builtins
import io
import os

import numpy as np
import pytest
from sklearn.callback import ProgressBar
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.callbacks import EvaluationProgress, _line
from sklearn_proxyopt.optimizers import DifferentialEvolution
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


def bowl(X):
    return (X[:, 0] - 0.5) ** 2 + ((X[:, 1] - 20.0) / 25.0) ** 2 + 3.0


def quick(*callbacks, **params):
    return ProxyOptimizer(
        **{
            "sampler": SobolSampler(16),
            "proxy": LinearRegression(),
            "optimizer": DifferentialEvolution(10, 5),
            "refiner": LocalRefinement(max_evaluations=6),
            "verdict": False,
            "vectorized": True,
            "random_state": 0,
            **params,
        }
    ).set_callbacks(*callbacks)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def wide_and_live(monkeypatch):
    """Let a terminal be wide, and show every picture of the line."""
    size = os.terminal_size((200, 24))
    monkeypatch.setattr(_line.shutil, "get_terminal_size", lambda: size)
    monkeypatch.setattr(_line, "_SHORT", -1.0)


def pictures(run, file=None, **params):
    """Return every picture of the line that a run draws."""
    file = file or Terminal()
    run(quick(EvaluationProgress(file), **params))
    return file.getvalue().split("\r")[1:]


def test_one_line_has_the_phase_the_whole_budget_the_best_and_the_time():
    opt = quick()
    result = opt.minimize(bowl, BOX, budget=22)
    shown = pictures(lambda opt: opt.minimize(bowl, BOX, budget=22))
    assert not any("\n" in one for one in shown[:-1])
    assert shown[-1].endswith("\n")
    phases = dict.fromkeys(
        word
        for one in shown
        for word in ("initial design", "learning", "searching", "refining")
        if word in one
    )
    assert list(phases) == ["initial design", "learning", "searching", "refining"]
    at = int(np.flatnonzero(opt.y_ == result.fun)[0]) + 1
    assert f"22/22 runs  best {result.fun:.6g} (run {at})" in shown[-1]
    assert shown[-1].startswith("[################] ")
    assert "left" in shown[-1]


def test_of_a_maximum_the_highest_value_is_the_best():
    shown = pictures(lambda opt: opt.maximize(lambda X: -bowl(X), BOX, budget=22))
    highest = quick().maximize(lambda X: -bowl(X), BOX, budget=22).fun
    assert f"best {highest:.6g} (run" in shown[-1]


def test_without_a_budget_there_is_neither_a_bar_nor_a_time_left():
    shown = pictures(lambda opt: opt.minimize(bowl, BOX))
    assert "22 runs" in shown[-1]
    assert "left" not in shown[-1]
    assert "[" not in shown[-1]


def test_failures_are_counted():
    def fails(X):
        return np.where(X[:, 0] > 1.0, np.nan, bowl(X))

    opt = quick(on_error="drop")
    with pytest.warns(match="failed"):
        opt.minimize(fails, BOX)
    with pytest.warns(match="failed"):
        shown = pictures(lambda opt: opt.minimize(fails, BOX), on_error="drop")
    assert f"  {len(opt.X_failed_)} failed" in shown[-1]


def test_samples_from_the_record_count_as_in_the_budget():
    def run(opt):
        opt.minimize(bowl, BOX, budget=22)
        opt.minimize(bowl, BOX, budget=22)

    shown = pictures(run)
    assert sum("22/22 runs" in one and one.endswith("\n") for one in shown) == 2


def test_fit_and_tell_show_their_phases():
    X = SobolSampler(32, random_state=0).sample(BOX)
    for run in (lambda opt: opt.fit(X, bowl(X)), lambda opt: opt.tell(X, bowl(X)).x_):
        assert any("learning the model" in one for one in pictures(run))


def test_a_line_is_no_wider_than_the_terminal(monkeypatch):
    size = os.terminal_size((40, 24))
    monkeypatch.setattr(_line.shutil, "get_terminal_size", lambda: size)
    shown = pictures(lambda opt: opt.minimize(bowl, BOX, budget=22))
    assert max(len(one.rstrip("\n")) for one in shown) == 39


def test_a_shorter_line_leaves_nothing_of_a_longer_one():
    shown = pictures(lambda opt: opt.minimize(bowl, BOX))
    lengths = [len(one.rstrip("\n")) for one in shown]
    texts = [len(one.rstrip()) for one in shown]
    assert all(now >= before for now, before in zip(lengths[1:], texts[:-1], strict=True))


def test_a_file_gets_whole_lines_and_few_of_them():
    file = io.StringIO()
    quick(EvaluationProgress(file)).minimize(bowl, BOX, budget=22)
    lines = file.getvalue().splitlines()
    assert "\r" not in file.getvalue()
    assert len(lines) == 2
    assert "22/22 runs" in lines[-1]


def test_a_notebook_gets_one_line_without_any_package(monkeypatch):
    class OutStream(io.StringIO):
        """As that of a notebook's kernel, which is no terminal."""

    OutStream.__module__ = "ipykernel.iostream"
    real = builtins.__import__

    def without(name, *args, **kwargs):
        assert name.partition(".")[0] not in ("rich", "ipywidgets", "IPython", "tqdm")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    shown = pictures(lambda opt: opt.minimize(bowl, BOX, budget=22), OutStream())
    assert sum("\n" in one for one in shown) == 1


def test_what_is_no_file_is_refused():
    with pytest.raises(ValueError, match="file must be a file object or None; got 'here'"):
        EvaluationProgress("here")


@pytest.mark.filterwarnings("ignore:The estimator LinearRegression does not support callbacks")
def test_the_bar_of_scikit_learn_counts_the_evaluations_too(capsys):
    quick(ProgressBar()).minimize(bowl, BOX)
    text = capsys.readouterr().out
    assert "design" in text
    assert "100%" in text
