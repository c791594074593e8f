import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import LinearConstraint
from scipy.spatial.distance import cdist
from sklearn.callback import ProgressBar
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVR
from spies import Spy

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.exceptions import EvaluationError, FailedEvaluationWarning, JournalError
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS, hypervolume, nondominated
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer, Real

BOX = np.array([[0.0, 1.0]] * 3)
SCHAFFER_BOX = [[-10.0, 10.0]]


def schaffer(X):
    """Its front: x between 0 and 2, where the square roots of the objectives add up to 2."""
    return np.column_stack([X[:, 0] ** 2, (X[:, 0] - 2.0) ** 2])


def zdt1(X):
    g = 1.0 + 9.0 * X[:, 1:].mean(axis=1)
    return np.column_stack([X[:, 0], g * (1.0 - np.sqrt(X[:, 0] / g))])


def zdt2(X):
    g = 1.0 + 9.0 * X[:, 1:].mean(axis=1)
    return np.column_stack([X[:, 0], g * (1.0 - (X[:, 0] / g) ** 2)])


def zdt3(X):
    g = 1.0 + 9.0 * X[:, 1:].mean(axis=1)
    f = X[:, 0]
    return np.column_stack([f, g - np.sqrt(f * g) - f * np.sin(10.0 * np.pi * f)])


def dtlz2(X):
    g = ((X[:, 2:] - 0.5) ** 2).sum(axis=1)
    a, b = np.pi / 2.0 * X[:, :2].T
    return (1.0 + g)[:, None] * np.column_stack(
        [np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)]
    )


def constrained(X):
    """Two distances from the corners of a diagonal, of which the middle is forbidden."""
    x, y = X[:, :2].T
    return np.column_stack(
        [x**2 + y**2, (x - 1.0) ** 2 + (y - 1.0) ** 2, 0.04 - (x - 0.5) ** 2 - (y - 0.5) ** 2]
    )


def quick(**params):
    params = {
        "sampler": SobolSampler(32),
        "proxy": NeuralProxyRegressor(max_epochs=30),
        "optimizer": NSGA2(20, 20),
        "budget": 44,
        "n_rounds": 2,
        "vectorized": True,
        "random_state": 0,
        **params,
    }
    return ParetoOptimizer(**params)


@pytest.mark.parametrize(
    ("fun", "reachable"),
    # The volume of the whole front below (1.1, 1.1).
    [(zdt1, 1.21 - 1.0 / 3.0), (zdt2, 1.21 - 2.0 / 3.0), (zdt3, 1.3289)],
)
def test_the_fronts_of_the_zdt_problems_are_found(fun, reachable):
    opt = ParetoOptimizer(
        sampler=SobolSampler(128),
        optimizer=NSGA2(60, 60),
        budget=188,
        n_rounds=3,
        reference=[1.1, 1.1],
        random_state=0,
        vectorized=True,
    )
    result = opt.minimize(fun, BOX)
    assert result.nfev == 188
    assert 0.96 * reachable < result.hypervolume <= reachable
    assert (result.X[:, 1:] < 0.05).mean() > 0.7


def test_the_front_of_three_objectives_is_found():
    opt = ParetoOptimizer(
        n_objectives=3,
        sampler=SobolSampler(64),
        optimizer=NSGA2(60, 60),
        budget=124,
        n_rounds=2,
        random_state=0,
        vectorized=True,
    )
    result = opt.minimize(dtlz2, [[0.0, 1.0]] * 4)
    radius = np.linalg.norm(result.F, axis=1)
    assert (radius < 1.05).mean() > 0.7
    assert result.F.max(axis=0).min() > 0.9


def test_what_is_promised_and_what_is_true_are_kept_apart():
    fun = Spy(schaffer)
    opt = quick()
    result = opt.minimize(fun, SCHAFFER_BOX)
    np.testing.assert_allclose(result.F, schaffer(result.X), rtol=1e-9)
    np.testing.assert_allclose(result.F_verified, schaffer(result.X_verified), rtol=1e-9)
    np.testing.assert_allclose(result.F_proxy, opt.predict(result.X_proxy))
    assert result.F_promised.shape == result.F_verified.shape == (12, 2)
    assert result.nfev == len(fun.rows) == len(np.unique(fun.rows)) == 44
    assert (result.nfev_design, result.nit, result.n_failed) == (32, 2, 0)
    assert opt.n_learned_ == 38
    np.testing.assert_array_equal(opt.X_front_, result.X)
    np.testing.assert_array_equal(opt.F_front_proxy_, result.F_proxy)


def test_the_front_is_that_of_all_rows_in_the_order_of_the_first_objective():
    opt = quick()
    result = opt.minimize(schaffer, SCHAFFER_BOX)
    front = opt.y_[nondominated(opt.y_)]
    np.testing.assert_array_equal(result.F, front[np.argsort(front[:, 0])])
    assert result.hypervolume == pytest.approx(hypervolume(opt.y_, result.reference), rel=1e-9)
    np.testing.assert_array_equal(result.reference, opt.y_[:32].max(axis=0))


def test_rows_already_paid_for_are_enough():
    X = SobolSampler(64, random_state=0).sample(BOX)
    opt = quick(sampler=None, bounds=BOX).fit(X, zdt1(X))
    np.testing.assert_allclose(opt.F_front_, opt.predict(opt.X_front_))
    assert opt.score(X, zdt1(X)) > 0.9
    assert opt.n_objectives_ == 2


def test_rows_given_to_minimize_are_learned_and_no_design_is_bought():
    X = SobolSampler(64, random_state=0).sample(BOX)
    fun = Spy(zdt1)
    result = quick(sampler=None).minimize(fun, BOX, X=X, y=zdt1(X))
    assert len(fun.rows) == result.nfev == 40
    assert result.nfev_design == 0


def test_with_objective_and_sampler_fit_learns_the_design():
    X = np.random.default_rng(0).random((10, 3))
    opt = quick(objective=zdt1, bounds=BOX, budget=None).fit(X, zdt1(X))
    assert opt.X_.shape == (32, 3)


@pytest.mark.parametrize("proxy", [GaussianProcessRegressor(), RandomForestRegressor(10)])
def test_any_regressor_of_several_targets_is_a_proxy(proxy):
    result = quick(proxy=proxy).minimize(schaffer, SCHAFFER_BOX)
    assert np.isfinite(result.F_promised).all()
    assert len(result.F) > 5


def test_constraints_are_kept_by_every_point_of_the_front():
    opt = quick(n_constraints=1, budget=62, proxy=None, optimizer=NSGA2(40, 60))
    result = opt.minimize(constrained, BOX)
    assert result.success
    assert (result.constraints <= 0.0).all()
    assert result.constraints.shape == (len(result.X), 1)
    np.testing.assert_allclose(result.F, constrained(result.X)[:, :2], rtol=1e-9)
    # The arc around the forbidden disk belongs to the front.
    distance = np.linalg.norm(result.X[:, :2] - 0.5, axis=1)
    assert ((distance >= 0.2) & (distance < 0.23)).sum() > 3


def test_where_nothing_is_feasible_the_least_violation_is_said_to_be_so():
    def infeasible(X):
        return np.column_stack([zdt1(X), 1.0 + X[:, 0]])

    result = quick(n_constraints=1).minimize(infeasible, BOX)
    assert not result.success
    assert result.message.startswith("No feasible point was found")
    assert result.X.shape == (1, 3)
    assert result.hypervolume == 0.0


@pytest.mark.parametrize("n_rounds", [1, 4])
def test_where_nothing_is_feasible_all_of_a_budget_looks_for_it(n_rounds):
    def infeasible(X):
        return np.column_stack([X[:, 0], X[:, 1], 1.0 + X[:, 0]])

    opt = quick(n_constraints=1, n_rounds=n_rounds, proxy=LinearRegression())
    result = opt.minimize(infeasible, [[0, 1], [0, 1]])
    assert (result.nfev, result.nit, result.success) == (44, n_rounds, False)
    assert result.message.endswith("violation.")
    is_far = (opt.to_frame()["stage"] == "far").to_numpy()
    assert is_far.sum() >= 4
    assert cdist(opt.X_[is_far], opt.X_[~is_far]).min() > 0.05


def test_exploring_finds_a_feasible_region_that_no_proxy_predicts():
    def small(X):
        is_feasible = np.linalg.norm(X - [0.93, 0.45], axis=1) < 0.08
        return np.column_stack([X[:, 0], -X[:, 0], np.where(is_feasible, -1.0, 1.0 + X[:, 0])])

    opt = quick(n_constraints=1, n_rounds=6, proxy=LinearRegression(), budget=120)
    result = opt.minimize(small, [[0, 1], [0, 1]])
    assert not (opt.y_[:32, 2] <= 0.0).any()
    assert result.success


def test_what_a_run_has_left_of_its_budget_is_said():
    opt = quick(sampler=None, budget=40, proxy=LinearRegression(), vectorized=False)
    result = opt.minimize(lambda x: (x[0], x[1]), [Integer(0, 4), Integer(0, 4)])
    assert result.nfev < 40
    assert result.message.endswith(f"{40 - result.nfev} evaluations of the budget are left.")


def test_failed_rows_are_left_out_and_counted():
    def fails_on_the_right(X):
        F = zdt1(X)
        F[X[:, 1] > 0.7, 0] = np.nan
        return F

    opt = quick(on_error="learn")
    with pytest.warns(FailedEvaluationWarning):
        result = opt.minimize(fails_on_the_right, BOX)
    assert result.n_failed == len(opt.X_failed_) > 5
    assert np.isfinite(result.F).all()
    assert opt.failure_risk_ is not None
    with pytest.raises(EvaluationError, match=r"objective returned nan in output 0"):
        quick().minimize(fails_on_the_right, BOX)


def test_functions_of_one_row_have_several_objectives():
    result = quick(vectorized=False).minimize(lambda x: schaffer(x[None])[0], SCHAFFER_BOX)
    np.testing.assert_allclose(result.F, schaffer(result.X), rtol=1e-9)


def test_the_same_seed_gives_the_same_front_on_one_job_and_two():
    one = quick().minimize(zdt1, BOX, n_pending=2)
    two = quick(n_jobs=2).minimize(zdt1, BOX)
    np.testing.assert_array_equal(one.X, two.X)


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(tmp_path):
    whole = quick().minimize(zdt1, BOX)

    class Breaks(Spy):
        def __call__(self, X):
            if len(self.rows) > 35:
                raise KeyboardInterrupt
            return super().__call__(X)

    broken, rest = Breaks(zdt1), Spy(zdt1)
    with pytest.raises(KeyboardInterrupt):
        quick(journal=tmp_path / "runs.sqlite").minimize(broken, BOX)
    result = quick(journal=tmp_path / "runs.sqlite").minimize(rest, BOX)
    np.testing.assert_array_equal(result.X, whole.X)
    assert len(broken.rows) + len(rest.rows) == whole.nfev
    assert len(Journal(tmp_path / "runs.sqlite")) == whole.nfev
    with pytest.raises(JournalError, match=r"there are 2 outputs in .*, got 3"):
        quick(journal=tmp_path / "runs.sqlite", n_objectives=3).minimize(dtlz2, BOX)


KILLED_PROGRAM = """
import os, signal, sys
import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn_proxyopt import ParetoOptimizer
from sklearn_proxyopt.optimizers import NSGA2
from sklearn_proxyopt.samplers import SobolSampler

journal, calls, most = sys.argv[1], sys.argv[2], int(sys.argv[3])
n_calls = 0

def schaffer(x):
    global n_calls
    if n_calls == most:
        os.kill(os.getpid(), signal.SIGKILL)
    n_calls += 1
    with open(calls, "a") as file:
        file.write(f"{float(x[0])!r}\\n")
    return [x[0] ** 2, (x[0] - 2.0) ** 2]

optimizer = ParetoOptimizer(
    sampler=SobolSampler(8), proxy=RandomForestRegressor(5), optimizer=NSGA2(8, 5),
    budget=16, n_rounds=2, vectorized=False, journal=journal, random_state=0,
)
print(optimizer.minimize(schaffer, [[-10.0, 10.0]]).X.tolist())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_program_that_is_killed_again_and_again_pays_nothing_twice(tmp_path):
    def run(name, most):
        files = [str(tmp_path / f"{name}.{kind}") for kind in ("sqlite", "calls")]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", KILLED_PROGRAM, *files, str(most)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    whole = run("whole", 99)
    assert whole.returncode == 0, whole.stderr
    for _ in range(10):
        done = run("killed", 4)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == whole.stdout
    whole_calls, calls = [
        (tmp_path / f"{name}.calls").read_text().split() for name in ("whole", "killed")
    ]
    assert calls == whole_calls
    assert len(calls) == 16


def test_experiments_run_elsewhere_are_asked_for_and_told(tmp_path):
    opt = quick(bounds=SCHAFFER_BOX, journal=tmp_path / "runs.sqlite")
    for _ in range(3):
        X = opt.ask(8)
        opt.tell(X, schaffer(X))
    assert len(opt.X_) == 24
    np.testing.assert_allclose(opt.F_front_, opt.predict(opt.X_front_))
    again = quick(bounds=SCHAFFER_BOX, journal=tmp_path / "runs.sqlite")
    np.testing.assert_array_equal(again.ask(2), again.X_pending_)
    np.testing.assert_array_equal(again.F_front_, opt.F_front_)
    opt.save(tmp_path / "state.npz")
    loaded = quick(bounds=SCHAFFER_BOX).load(tmp_path / "state.npz")
    np.testing.assert_array_equal(loaded.F_front_, opt.F_front_)


def test_points_asked_for_lie_on_the_promised_front_first():
    X = SobolSampler(32, random_state=0).sample(BOX)
    opt = quick(bounds=BOX).tell(X, zdt1(X))
    asked = opt.ask(4)
    assert all((np.abs(opt.X_front_proxy_ - x).sum(axis=1) == 0).any() for x in asked[:2])


def test_rows_with_names_are_learned_under_them():
    X = pd.DataFrame(SobolSampler(32, random_state=0).sample(BOX), columns=["a", "b", "c"])
    opt = quick(sampler=None).fit(X, zdt1(X.to_numpy()))
    assert list(opt.proxy_.feature_names_in_) == ["a", "b", "c"]
    assert opt.predict(X).shape == (32, 2)


def test_callbacks_are_told_of_the_stages(capsys):
    pytest.importorskip("rich")
    quick(verbose=1).set_callbacks(ProgressBar()).minimize(zdt1, BOX)
    assert "verifying the front" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_objectives": 0}, "n_objectives must be an integer of at least 1; got 0"),
        ({"n_constraints": -1}, "n_constraints must be an integer of at least 0; got -1"),
        ({"n_rounds": 0}, "n_rounds must be an integer of at least 1; got 0"),
        ({"budget": 3}, "budget must be an integer of at least 4; got 3"),
        ({"optimizer": NSGA2(2)}, "population_size must be an integer of at least 4; got 2"),
        ({"proxy": "net"}, "proxy must be an instance, None, or one of the names 'gp', 'neural'"),
        ({"proxy": GradientBoostingRegressor()}, "proxy must bear 2 targets, those of all outputs"),
        ({"optimizer": MultiStartBFGS()}, "optimizer must find a front, by a method minimize that"),
        ({"on_error": "hope"}, "on_error must be one of"),
        ({"reference": [1.0, 1.0, 1.0]}, "reference must be 2 finite numbers"),
        ({"reference": "far"}, "reference must be 2 finite numbers, one for each obj.*; got 'far'"),
    ],
)
def test_bad_parameters_are_named_before_anything_is_paid_for(params, message):
    fun = Spy(zdt1)
    with pytest.raises(ValueError, match=message):
        quick(**params).minimize(fun, BOX)
    assert fun.rows == []


def test_a_number_of_constraints_that_is_none_is_named_before_the_rows_are_read():
    with pytest.raises(ValueError, match="n_constraints must be an integer of at least 0; got '1'"):
        quick(n_constraints="1").fit(BOX.T, zdt1(BOX.T))


def test_another_number_of_objectives_is_refused():
    with pytest.raises(EvaluationError, match=r"shape \(32, 2\), 2 values .* got shape \(32, 3\)"):
        quick().minimize(dtlz2, BOX)
    with pytest.raises(ValueError, match=r"y must have shape \(n_samples, 3\)"):
        quick(n_objectives=3).fit(BOX.T, zdt1(BOX.T))
    with pytest.raises(ValueError, match="fun must be callable"):
        quick().minimize(None, BOX)
    with pytest.raises(ValueError, match="bounds must be given"):
        quick().minimize(zdt1)
    with pytest.raises(ValueError, match="X and y must be given together"):
        quick().minimize(zdt1, BOX, X=BOX.T)


def test_a_proxy_of_one_target_learns_one_objective():
    X = SobolSampler(32, random_state=0).sample(SCHAFFER_BOX)
    opt = quick(sampler=None, proxy=SVR()).fit(X, schaffer(X)[:, :1])
    assert opt.F_front_.shape[1] == 1


def test_a_proxy_of_one_target_is_refused():
    class OneTarget(LinearRegression):
        def fit(self, X, y):
            return super().fit(X, y[:, 0])

    X = SobolSampler(16).sample(BOX)
    with pytest.raises(ValueError, match="proxy must predict 2 numbers a row"):
        quick(proxy=OneTarget(), sampler=None).fit(X, zdt1(X))


# A beam of one of two materials, with 1 to 6 ribs: weight and bending, within a largest height.
MATERIALS = ["steel", "aluminium"]
BEAM = {
    "bounds": {
        "width": Real(0.1, 4.0, log=True),
        "ribs": Integer(1, 6),
        "material": MATERIALS,
    },
    "constraints": LinearConstraint([[1.0, 1.0, 0.0]], ub=6.0),
}


def beam(frame):
    width, ribs = frame["width"].to_numpy(), frame["ribs"].to_numpy()
    is_steel = (frame["material"] == "steel").to_numpy()
    weight = width * (1.0 + 0.2 * ribs) * np.where(is_steel, 2.5, 1.0)
    return np.column_stack([weight, 1.0 / (width * (0.3 + ribs) * np.where(is_steel, 3.0, 1.0))])


def whole_front_of_the_beam():
    width, ribs = np.meshgrid(np.geomspace(0.1, 4.0, 400), np.arange(1, 7))
    kept = width.ravel() + ribs.ravel() <= 6.0
    rows = {"width": width.ravel()[kept], "ribs": ribs.ravel()[kept]}
    frames = [pd.DataFrame({**rows, "material": name}) for name in MATERIALS]
    return beam(pd.concat(frames))


def test_a_front_of_whole_numbers_categories_and_log_scales_is_found_within_known_constraints():
    asked = []

    def fun(frame):
        asked.append(frame)
        return beam(frame)

    opt = ParetoOptimizer(
        vectorized=True,
        **BEAM,
        sampler=SobolSampler(64),
        budget=124,
        n_rounds=3,
        reference=[4.0, 2.0],
        random_state=0,
    )
    result = opt.minimize(fun)
    frame = pd.concat(asked)
    assert len(frame) == result.nfev
    assert frame["material"].isin(MATERIALS).all()
    assert frame["ribs"].isin(range(1, 7)).all()
    assert (frame["width"] + frame["ribs"] <= 6.0).all()
    assert result.hypervolume > 0.97 * hypervolume(whole_front_of_the_beam(), [4.0, 2.0])
    np.testing.assert_array_equal(beam(opt.variables_.to_frame(result.X)), result.F)
    assert opt.variables_.is_feasible(result.X_proxy).all()
    assert opt.predict(opt.variables_.to_frame(result.X)).shape == result.F.shape


def test_a_front_of_labels_is_learned_from_a_table_and_asked_for(tmp_path):
    frame = pd.DataFrame(
        {
            "width": np.geomspace(0.1, 4.0, 40),
            "ribs": np.arange(40) % 6 + 1,
            "material": np.where(np.arange(40) % 3, "steel", "aluminium"),
        }
    )
    frame = frame[frame["width"] + frame["ribs"] <= 6.0]
    opt = quick(sampler=None, **BEAM).fit(frame, beam(frame))
    assert opt.variables_.is_feasible(opt.X_front_).all()
    assert len(np.unique(opt.X_front_, axis=0)) == len(opt.X_front_)
    points = opt.ask(4)
    assert opt.variables_.is_feasible(opt.X_pending_).all()
    notes = [f"{name}_{i}" for i in range(2) for name in ("predicted", "lower", "upper")]
    assert points.columns.tolist() == [*frame, *notes, "reason"]
    np.testing.assert_array_equal(points.filter(like="predicted"), opt.predict(opt.X_pending_))
    assert points["reason"][0] == "proxy's front"
    opt.tell(points, beam(points))
    assert len(opt.X_pending_) == 0
    opt.save(tmp_path / "front.npz")
    again = quick(sampler=None, **BEAM).load(tmp_path / "front.npz")
    np.testing.assert_array_equal(again.X_front_, opt.X_front_)
    np.testing.assert_array_equal(again.F_front_, opt.F_front_)


def test_a_front_of_whole_numbers_alone_has_each_row_once():
    def fun(X):
        return np.column_stack([X.sum(axis=1), ((X - 5.0) ** 2).sum(axis=1)])

    result = quick().minimize(fun, [Integer(0, 5)] * 2)
    assert (np.rint(result.X) == result.X).all()
    assert len(np.unique(result.X, axis=0)) == len(result.X)
    assert set(map(tuple, result.F)) == {(float(s), -(-((10 - s) ** 2) // 2)) for s in range(11)}


def test_the_variables_of_a_front_are_checked_before_anything_is_paid_for():
    fun = Spy(schaffer)
    with pytest.raises(ValueError, match="bounds must be a pair of numbers for 'fluid'"):
        quick().minimize(fun, {"fluid": None, "flow": (0, 1)})
    with pytest.raises(ValueError, match="input_format must be one of"):
        quick(input_format="yes").minimize(fun, SCHAFFER_BOX)
    assert not fun.rows
