import sys
from pathlib import Path

import numpy as np
import pytest

CoolProp = pytest.importorskip("CoolProp")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import heat_pump  # noqa: E402

COMFORTABLE = np.array([-6.8, 44.9, 5.5, 6.0, 0.27, 0.8])
X = np.array([-6.0, 44.0, 5.5, 5.8, 0.29, 0.4])


def test_energy_is_conserved():
    cycle = heat_pump.simulate(X)
    np.testing.assert_allclose(cycle.heat_out, cycle.heat_in + cycle.shaft_power, rtol=1e-12)


def test_the_performance_stays_below_carnots():
    rng = np.random.default_rng(0)
    checked = 0
    for x in rng.uniform(heat_pump.BOUNDS[:, 0], heat_pump.BOUNDS[:, 1], (100, 6)):
        try:
            cycle = heat_pump.simulate(x)
        except ValueError:
            continue
        checked += 1
        carnot = (x[1] + 273.15) / (x[1] - x[0])
        assert cycle.heat_out / cycle.shaft_power < carnot
    assert checked > 50


def test_the_enthalpies_are_those_of_the_high_level_interface():
    from CoolProp.CoolProp import PropsSI

    low = PropsSI("P", "T", X[0] + 273.15, "Q", 1, "R32")
    high = PropsSI("P", "T", X[1] + 273.15, "Q", 1, "R32")
    h1 = PropsSI("H", "P", low, "T", X[0] + X[2] + 273.15, "R32")
    s1 = PropsSI("S", "P", low, "T", X[0] + X[2] + 273.15, "R32")
    isentropic = PropsSI("H", "P", high, "S", s1, "R32") - h1
    h3 = PropsSI("H", "P", high, "T", X[1] - X[3] + 273.15, "R32")
    efficiency = 0.76 - 0.02 * (high / low - 3.0) ** 2 / 3.0
    reference = np.array([h1, h1 + isentropic / efficiency, h3, h3])
    differences = np.diff(heat_pump.simulate(X).enthalpies)
    np.testing.assert_allclose(differences, np.diff(reference), rtol=1e-6, atol=1e-3)


def test_a_point_within_all_limits_has_no_penalty():
    cycle = heat_pump.simulate(COMFORTABLE)
    assert max(cycle.excess.values()) < 0
    assert cycle.penalty == 0.0
    assert 2.0 < cycle.cop < 4.5


def test_each_kelvin_beyond_a_limit_costs_the_same():
    def penalty(superheat):
        return heat_pump.simulate(np.where(np.arange(6) == 2, superheat, COMFORTABLE)).penalty

    np.testing.assert_allclose(penalty(2.0) - penalty(3.0), 0.3, rtol=0.01)


def test_there_is_no_condensation_above_the_critical_temperature():
    x = X.copy()
    x[1] = 80.0
    with pytest.raises(ValueError, match="QT_flash"):
        heat_pump.loss(x)
