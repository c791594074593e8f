"""The hard instances of Burgers' and the Kuramoto-Sivashinsky equation, and how they are judged."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import hard_instances


def predicted(model, unknowns):
    return model(torch.tensor([unknowns], dtype=torch.float64))[0].numpy()


@pytest.mark.parametrize(
    ("name", "unknowns", "place"),
    [("burgers_pulse", [0.5, 25.0, 3.0], 1), ("kuramoto_sivashinsky", [0.0, 1.0, 5.5], 2)],
)
def test_a_start_that_is_moved_moves_the_end(name, unknowns, place):
    model = hard_instances.INSTANCES[name]
    moved = list(unknowns)
    moved[place] += 8 * model.length / model.n_points
    end, later = predicted(model, unknowns), predicted(model, moved)
    np.testing.assert_allclose(later, np.roll(end, 8), atol=1e-9)


def test_ends_at_the_truth_are_solved_and_ends_elsewhere_are_not():
    trial = hard_instances.Trial(hard_instances.INSTANCES["burgers_pulse"], 0, 4)
    found = trial.descend(np.repeat(trial._truth[:, None], 2, axis=1))
    assert found["starts"] == found["solved"] == 100.0
    blind = np.full((4, 1, 3), [0.0, 2.0, -0.9])
    assert trial.descend(blind)["solved"] < 100.0
