import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cma")
pytest.importorskip("optuna")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import other_tools

BOUNDS = [[-1.0, 1.0], [2.0, 4.0]]


def hill(point):
    if point[0] > 0.9:
        raise ValueError("no such state")
    return -((point[0] - 0.5) ** 2) - (point[1] - 3.0) ** 2


@pytest.mark.parametrize("name", other_tools.OTHER_TOOLS)
def test_a_tool_spends_its_runs_and_no_more(name):
    recorder = other_tools.Recorder(hill, BOUNDS, 40)
    values = other_tools.values_found(name, recorder, 0)
    assert values.shape == (40,)
    assert np.nanmax(values) > -0.1


def test_a_failed_run_is_the_worst_that_was_seen():
    recorder = other_tools.Recorder(hill, BOUNDS, 3)
    assert recorder.loss([1.0, 0.5]) == 100.0
    assert recorder.loss([0.25, 0.5]) == pytest.approx(1.0)
    assert recorder.loss([1.0, 0.5]) == pytest.approx(1.0)
    np.testing.assert_array_equal(np.isnan(recorder.values), [True, False, True])
    with pytest.raises(other_tools.RunsSpentError):
        recorder.loss([0.5, 0.5])
