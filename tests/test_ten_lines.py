"""What users write, in ten lines of their own at most."""

import numpy as np
import pandas as pd
import pytest

from sklearn_proxyopt import ProxyOptimizer


@pytest.fixture
def runs(tmp_path):
    """Write a table of 300 runs: five numbers, a solvent, and a yield that 80 degrees raise."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "temperature": rng.uniform(40.0, 120.0, 300),
            "hours": rng.uniform(1.0, 24.0, 300),
            "equivalents": rng.uniform(0.5, 3.0, 300),
            "stirring": rng.integers(100, 800, 300),
            "loading": 10.0 ** rng.uniform(-4.0, -1.0, 300),
            "solvent": rng.choice(["MeCN", "THF", "toluene"], 300),
        }
    )
    best = np.where(table["solvent"] == "THF", 90.0, 70.0)
    table["yield"] = (
        best
        - ((table["temperature"] - 80.0) / 8.0) ** 2
        - (table["hours"] - 12.0) ** 2 / 9.0
        - 5.0 * (table["equivalents"] - 1.5) ** 2
    )
    table.to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


def test_a_table_of_runs_gives_the_best_settings_and_the_next_four(runs):
    table = pd.read_csv(runs)
    opt = ProxyOptimizer(direction="maximize", random_state=0)
    opt.fit(table.drop(columns="yield"), table["yield"])
    best, further = opt.x_named_, opt.ask(4)

    assert best["solvent"] == "THF"
    assert abs(best["temperature"] - 80.0) < 6.0
    assert isinstance(best["stirring"], int)
    assert further["predicted"][0] > table["yield"].quantile(0.9)


def test_a_mixed_space_with_a_fixed_variable_is_maximized_by_a_function_of_a_dict():
    from sklearn_proxyopt.variables import Integer, Periodic, Real

    space = {
        "speed": Real(1e-3, 1e1, log=True),
        "teeth": Integer(8, 40, step=4),
        "angle": Periodic(0, 360),
        "metal": ["steel", "brass"],
        "batch": 7,
    }

    def strength(part):
        assert part["batch"] == 7
        angle = np.cos(np.radians(part["angle"] - 350.0))
        return (
            angle
            - (np.log10(part["speed"]) ** 2 + ((part["teeth"] - 20) / 12) ** 2)
            + (part["metal"] == "brass")
        )

    opt = ProxyOptimizer(vectorized=False, proxy="gp", random_state=0)
    result = opt.maximize(strength, space, budget=60)
    assert result.x_named["metal"] == "brass"
    assert result.x_named["teeth"] == 20
    assert result.x_named["batch"] == 7
    assert result.fun > 1.9


def test_a_front_with_one_objective_to_maximize_and_a_budget():
    from sklearn_proxyopt import ParetoOptimizer

    def cost_and_strength(X):
        return np.column_stack([X["width"] * X["height"], X["width"] ** 0.5 + X["height"]])

    opt = ParetoOptimizer(
        direction=["minimize", "maximize"], proxy="gp", n_rounds=2, random_state=0, vectorized=True
    )
    result = opt.minimize(cost_and_strength, {"width": (1, 4), "height": (1, 3)}, budget=40)
    assert result.nfev <= 40
    assert (np.diff(result.F[:, 0]) >= 0).all()
    assert (np.diff(result.F[:, 1]) >= 0).all()
