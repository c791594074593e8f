import io
import os

import numpy as np
import pytest

from sklearn_proxyopt.callbacks import InverseProgress, _line
from sklearn_proxyopt.inverse import (
    DirectInverse,
    InverseProblem,
    LandscapeInverse,
    NeuralAdjointInverse,
    ReparameterizedInverse,
    SupervisedInverse,
)
from sklearn_proxyopt.problems.physics import BilliardShot

SHOT = InverseProblem(BilliardShot())
X, _ = BilliardShot().sample(12, random_state=0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def wide_and_live(monkeypatch):
    """Let a terminal be wide, and show every picture of the line."""
    size = os.terminal_size((200, 24))
    monkeypatch.setattr(_line.shutil, "get_terminal_size", lambda: size)
    monkeypatch.setattr(_line, "_SHORT", -1.0)


def pictures(solver):
    """Return every picture of the line that a fit draws."""
    file = Terminal()
    solver.set_callbacks(InverseProgress(file)).fit(X)
    return file.getvalue().split("\r")[1:]


def numbers(shown, phase):
    """Return how much of a phase each picture says is done, and of how much."""
    parts = [one.split(phase)[1].split()[0] for one in shown if phase in one]
    return np.array([[int(n.replace(",", "")) for n in one.split("/")] for one in parts])


def test_descents_are_counted_over_all_batches():
    shown = pictures(DirectInverse(SHOT, batch_size=5))
    done = numbers(shown, "descending")
    assert (done[:, 1] == 12).all()
    assert (np.diff(done[:, 0]) >= 0).all()
    assert done[-1, 0] == 12
    # The first batch ends before the second begins.
    assert 5 in done[:, 0]
    assert shown[-1].startswith("[################] descending  12/12 descents  ")
    simulations = [int(one.split("  ")[2].split()[0].replace(",", "")) for one in shown]
    assert simulations[0] > 0
    assert (np.diff(simulations) >= 0).all()
    assert shown[-1].endswith("\n")
    assert not any("\n" in one for one in shown[:-1])


@pytest.mark.parametrize(
    "solver",
    [
        ReparameterizedInverse(SHOT, n_iterations=8, random_state=0),
        SupervisedInverse(SHOT, n_iterations=8, random_state=0),
        NeuralAdjointInverse(SHOT, n_iterations=8, random_state=0),
        LandscapeInverse(
            SHOT, n_pairs=64, input_noise=0.1, n_starts=2, n_iterations=8, random_state=0
        ),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_a_training_shows_its_steps_and_then_the_descents(solver):
    shown = pictures(solver)
    training = numbers(shown, "training")
    assert training.tolist() == [[n, 8] for n in range(1, 9)]
    assert numbers(shown, "descending")[-1].tolist() == [12, 12]
    assert "training" not in shown[-1]
    assert "left" in shown[0]


def test_several_networks_are_one_training():
    shown = pictures(ReparameterizedInverse(SHOT, n_iterations=4, n_networks=3, random_state=0))
    assert numbers(shown, "training").tolist() == [[n, 12] for n in range(1, 13)]


def test_the_time_left_is_that_of_the_phase(monkeypatch):
    """Of a training that took a hundred seconds nothing reaches the descents after it."""
    clock = iter(np.arange(0.0, 1e6, 10.0))
    monkeypatch.setattr(_line.time, "monotonic", lambda: next(clock))
    file = Terminal()
    line = _line.ProgressLine(file, lambda: ["here"], lambda: 0.5)
    for _ in range(9):
        line.show()
    line.begin_part()
    line.show()
    assert file.getvalue().split("\r")[-1].endswith("0:01:50  0:00:10 left")


def test_a_file_gets_whole_lines_and_few_of_them():
    file = io.StringIO()
    DirectInverse(SHOT).set_callbacks(InverseProgress(file)).fit(X)
    lines = file.getvalue().splitlines()
    assert "\r" not in file.getvalue()
    assert len(lines) == 2
    assert "12/12 descents" in lines[-1]


def test_what_cannot_be_written_to_is_refused():
    with pytest.raises(ValueError, match="file must be a file object"):
        InverseProgress("here")
