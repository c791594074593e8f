import io

import numpy as np
import pytest
from rich.console import Console
from sklearn.callback import ProgressBar
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.callbacks import EvaluationProgress
from sklearn_proxyopt.optimizers import DifferentialEvolution
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[-2.0, 2.0], [0.0, 50.0]])


def bowl(X):
    return (X[:, 0] - 0.5) ** 2 + ((X[:, 1] - 20.0) / 25.0) ** 2 + 3.0


def quick(*callbacks):
    return ProxyOptimizer(
        sampler=SobolSampler(16),
        proxy=LinearRegression(),
        optimizer=DifferentialEvolution(10, 5),
        refiner=LocalRefinement(max_evaluations=6),
        random_state=0,
    ).set_callbacks(*callbacks)


def shown(run):
    """Return what a run draws."""
    console = Console(file=io.StringIO(), width=120)
    run(quick(EvaluationProgress(console)))
    return console.file.getvalue()


def test_the_bar_shows_stages_calls_and_the_best_true_value():
    result = quick().minimize(bowl, BOX)
    text = shown(lambda opt: opt.minimize(bowl, BOX))
    for word in ("design", "16/16", "train", "search", "refine", "6/6"):
        assert word in text
    assert f"{result.nfev} calls, best {result.fun:.6g}" in text


def test_rows_answered_from_the_record_are_steps_and_no_calls():
    def run(opt):
        opt.minimize(bowl, BOX)
        opt.minimize(bowl, BOX)

    assert "16/16 0 calls, best" in " ".join(shown(run).split())


def test_fit_and_tell_show_their_stages():
    X = SobolSampler(32, random_state=0).sample(BOX)
    for run in (lambda opt: opt.fit(X, bowl(X)), lambda opt: opt.tell(X, bowl(X))):
        assert "train" in shown(run)


@pytest.mark.filterwarnings("ignore:The estimator LinearRegression does not support callbacks")
def test_the_bar_of_scikit_learn_counts_the_evaluations_too(capsys):
    quick(ProgressBar()).minimize(bowl, BOX)
    text = capsys.readouterr().out
    assert "design" in text
    assert "100%" in text


def test_without_rich_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    with pytest.raises(
        ImportError, match=r"needs rich; install it by sklearn_proxyopt\[progress\]"
    ):
        EvaluationProgress()
