"""What matters, how far one may move, and what to expect, against closed forms and brute force."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import LinearConstraint
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.inspection import importances, near_optimal, what_if
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer, Periodic, Real, Variables


def ishigami(X):
    return np.sin(X[:, 0]) + 7 * np.sin(X[:, 1]) ** 2 + 0.1 * X[:, 2] ** 4 * np.sin(X[:, 0])


def borehole(X):
    radius, reach, upper, upper_head, lower, lower_head, length, flow = X.T
    ratio = np.log(reach / radius)
    resistance = 1 + 2 * length * upper / (ratio * radius**2 * flow) + upper / lower
    return 2 * np.pi * upper * (upper_head - lower_head) / (ratio * resistance)


def mixed(X):
    x, turns, kind = X.T
    offset = np.array([0.0, 0.03, 1.0])[kind.astype(int)]
    return (np.log10(x) - 1.0) ** 2 + (turns - 4.0) ** 2 / 45.0 + offset


SQUARE = [(-np.pi, np.pi)] * 3
WELL = [
    *((0.05, 0.15), (100, 50000), (63070, 115600), (990, 1110)),
    *((63.1, 116), (700, 820), (1120, 1680), (9855, 12045)),
]
MIXED = {"x": Real(1, 1000, log=True), "turns": Integer(0, 10), "kind": ["a", "b", "c"]}


def fitted(fun, bounds, n_samples, **params):
    """Learn a function of rows from a design in its own axes."""
    space = Variables(bounds)
    cube = SobolSampler(n_samples, random_state=0).sample([[0.0, 1.0]] * space.n_axes)
    X = space.from_unit_cube(cube)
    rows = X if space.names is None else space.to_frame(X)
    return ProxyOptimizer(**{"bounds": bounds, "random_state": 0, **params}).fit(rows, fun(X))


def shares_of_ishigami():
    own = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2
    together = 0.01 * np.pi**8 * (1 / 18 - 1 / 50)
    total = own + 49 / 8 + together
    first = np.array([own, 49 / 8, 0.0]) / total
    return first, first + np.array([together, 0.0, together]) / total


def shares_by_brute_force(fun, bounds, n=2**15):
    """Sobol indices by the estimators of Jansen, on independent points."""
    space, rng = Variables(bounds), np.random.default_rng(7)
    A, B = rng.random((2, n, space.n_axes))
    of_A, of_B = (fun(space.from_unit_cube(points)) for points in (A, B))
    variance = np.concatenate([of_A, of_B]).var()
    first, total = [], []
    for axis in range(space.n_axes):
        mixture = A.copy()
        mixture[:, axis] = B[:, axis]
        values = fun(space.from_unit_cube(mixture))
        first.append(1.0 - np.square(of_B - values).mean() / 2.0 / variance)
        total.append(np.square(of_A - values).mean() / 2.0 / variance)
    return np.array(first), np.array(total)


@pytest.mark.parametrize(
    ("fun", "bounds", "n_samples", "wanted", "accuracy"),
    [
        (ishigami, SQUARE, 300, shares_of_ishigami, 1e-9),
        # The brute force has an error of its own.
        (borehole, WELL, 200, lambda: shares_by_brute_force(borehole, WELL), 0.01),
        (mixed, MIXED, 150, lambda: shares_by_brute_force(mixed, MIXED), 0.01),
    ],
    ids=["Ishigami", "Borehole", "mixed"],
)
def test_known_shares_lie_in_narrow_intervals(fun, bounds, n_samples, wanted, accuracy):
    found = importances(fitted(fun, bounds, n_samples))
    pairs = zip((found.first_order_interval, found.total_order_interval), wanted(), strict=True)
    for interval, share in pairs:
        assert (np.ptp(interval, axis=1) <= 0.1).all()
        assert (interval[:, 0] - accuracy <= share).all()
        assert (share <= interval[:, 1] + accuracy).all()


def test_the_table_of_importances_begins_with_what_matters_most():
    opt = fitted(mixed, MIXED, 150, proxy="gp")
    frame = importances(opt, n_samples=256).to_frame()
    assert frame["variable"].tolist() == ["x", "kind", "turns"]
    assert frame["total"].is_monotonic_decreasing


def test_the_change_beside_the_optimum_is_that_of_the_function():
    def fun(X):
        return X[:, 0] ** 2 + 4.0 * X[:, 1] ** 2 + np.array([0.0, 0.5])[X[:, 2].astype(int)]

    bounds = [(-1.0, 1.0), (-1.0, 1.0), ["a", "b"]]
    found = importances(fun, bounds, n_samples=64, step=0.1)
    np.testing.assert_allclose(found.local_change, [0.04, 0.16, 0.5], atol=1e-6)
    found = importances(lambda X: -fun(X), bounds, direction="maximize", n_samples=64, step=0.1)
    np.testing.assert_allclose(found.local_change, [0.04, 0.16, 0.5], atol=1e-6)


def test_an_integer_leaves_the_optimum_by_one_at_least():
    found = importances(lambda X: (X[:, 0] - 4.0) ** 2, [Integer(0, 20)], n_samples=64, step=0.01)
    np.testing.assert_allclose(found.local_change, [1.0])


def test_what_is_fixed_or_does_nothing_has_no_share():
    found = importances(lambda X: X[:, 1] + 0.0 * X[:, 0], [(0, 1), (0, 1), 3.0], n_samples=64)
    np.testing.assert_allclose(found.total_order, [0.0, 1.0, 0.0], atol=0.05)
    assert found.local_change[2] == 0.0


def test_a_constant_model_has_no_shares():
    found = importances(lambda X: np.ones(len(X)), [(0, 1)] * 2, n_samples=64)
    np.testing.assert_array_equal(found.total_order, [0.0, 0.0])
    np.testing.assert_array_equal(found.first_order_interval, np.zeros((2, 2)))


def test_what_a_model_misses_widens_the_intervals():
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (80, 2))
    noise = np.random.default_rng(1).standard_normal(80)
    opt = ProxyOptimizer(proxy=LinearRegression(), random_state=0).fit(X, X[:, 0] + noise)
    found = importances(opt, n_samples=256)
    assert found.unexplained > 0.3
    assert np.ptp(found.total_order_interval, axis=1).min() > 0.3


# Settings as good as the best.

H = np.array([[3.0, 1.2, 0.4], [1.2, 1.0, 0.2], [0.4, 0.2, 0.3]])
CENTER = np.array([0.2, -0.1, 0.1])


def bowl(X):
    return np.einsum("ni,ij,nj->n", X - CENTER, H, X - CENTER)


def rosenbrock(X):
    return 100.0 * (X[:, 1] - X[:, 0] ** 2) ** 2 + (1.0 - X[:, 0]) ** 2


def two_pits(X):
    near = (np.square(X - [-0.5, 0.2]) * [1, 4]).sum(axis=1)
    return np.minimum(near, 0.05 + (np.square(X - [0.5, -0.4]) * [9, 1]).sum(axis=1))


def ends_of_bowl(within):
    half = np.sqrt(within * np.diag(np.linalg.inv(H)))
    return CENTER - half, CENTER + half


def ends_on_grid(fun, bounds, within):
    axes = [np.linspace(low, high, 1001) for low, high in bounds]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    good = points[fun(points) <= within]
    return good.min(axis=0), good.max(axis=0)


def ends_of_mixed(within):
    reach = np.sqrt(within)
    turns = np.floor(np.sqrt(45.0 * within))
    return np.array([10 ** (1 - reach), 4 - turns, 0]), np.array([10 ** (1 + reach), 4 + turns, 1])


@pytest.mark.parametrize(
    ("fun", "bounds", "n_samples", "within", "wanted"),
    [
        (bowl, [(-1, 1)] * 3, 120, 0.05, ends_of_bowl),
        (rosenbrock, [(-2, 2), (-1, 3)], 150, 0.2, None),
        (two_pits, [(-1, 1)] * 2, 200, 0.1, None),
        (mixed, MIXED, 150, 0.1, ends_of_mixed),
    ],
    ids=["bowl", "valley", "two pits", "mixed"],
)
def test_the_true_ranges_are_held_and_no_wider(fun, bounds, n_samples, within, wanted):
    near = near_optimal(fitted(fun, bounds, n_samples), within)
    low, high = wanted(within) if wanted else ends_on_grid(fun, bounds, within)
    held = np.minimum(high, near.upper) - np.maximum(low, near.lower)
    assert (held >= 0.95 * (high - low)).all()
    assert (near.upper - near.lower <= 1.3 * (high - low)).all()
    assert (near.values <= fun(near.optimum[None]) + 1.5 * within).all()


@pytest.mark.parametrize("n_features", [1, 8])
def test_ranges_are_found_in_few_and_in_many_variables(n_features):
    A = np.random.default_rng(0).normal(size=(n_features, n_features))
    matrix = A @ A.T + 0.3 * np.eye(n_features)
    near = near_optimal(
        lambda X: np.einsum("ni,ij,nj->n", X, matrix, X), 0.05, bounds=[(-1, 1)] * n_features
    )
    half = np.sqrt(0.05 * np.diag(np.linalg.inv(matrix)))
    ratio = np.ptp([near.lower, near.upper], axis=0) / 2.0 / half
    assert (ratio > 0.93).all()
    assert (ratio < 1.001).all()


def test_the_flattest_direction_is_the_longest_axis_of_a_bowl():
    near = near_optimal(bowl, 0.05, bounds=[(-1, 1)] * 3)
    longest = np.linalg.eigh(H)[1][:, 0]
    assert abs(near.direction @ longest) > 0.98
    assert (bowl(near.ends) <= 0.05 + 1e-6).all()
    assert abs(np.diff(near.ends, axis=0) @ near.direction) > np.ptp(near.samples, axis=0).max()


def test_labels_and_ranges_stand_in_a_table():
    near = near_optimal(lambda X: mixed(X.assign(kind=codes(X)).to_numpy(float)), 0.1, bounds=MIXED)
    assert near.labels("kind") == ["a", "b"]
    frame = near.to_frame().set_index("variable")
    assert frame.loc["kind", "lowest"] == "a, b"
    assert frame.loc["turns", ["optimum", "lowest", "highest"]].tolist() == [4, 2, 6]
    assert frame.loc["kind", "flattest"] == 0.0


def codes(frame):
    return frame["kind"].map({"a": 0, "b": 1, "c": 2}).astype(float)


def test_high_values_are_near_optimal_where_they_are_sought():
    near = near_optimal(lambda X: 3.0 - X[:, 0] ** 2, 0.25, bounds=[(-2, 2)], direction="maximize")
    np.testing.assert_allclose([near.lower[0], near.upper[0]], [-0.5, 0.5], atol=0.01)
    assert (near.values >= 2.75 - 1e-9).all()


def test_near_optimal_settings_meet_the_constraints():
    above = LinearConstraint([[1.0, 1.0]], lb=0.5)
    X = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    opt = ProxyOptimizer(bounds=[(-1, 1)] * 2, constraints=above, proxy="gp", random_state=0).fit(
        X, np.square(X).sum(axis=1)
    )
    near = near_optimal(opt, 0.1)
    assert (near.samples.sum(axis=1) >= 0.5).all()
    assert near.lower.min() > -0.1


def test_learned_constraints_hold_for_near_optimal_settings():
    X = np.random.default_rng(0).uniform(-1, 1, (80, 2))
    y = np.column_stack([np.square(X).sum(axis=1), 0.5 - X.sum(axis=1)])
    opt = ProxyOptimizer(
        bounds=[(-1, 1)] * 2, n_constraints=1, proxy=GaussianProcessRegressor(), random_state=0
    ).fit(X, y)
    near = near_optimal(opt, 0.1)
    assert (near.samples.sum(axis=1) >= 0.49).all()


def test_a_variable_on_a_circle_may_be_near_optimal_across_the_seam():
    near = near_optimal(
        lambda X: 1.0 - np.cos(np.radians(X[:, 0])), 0.01, bounds=[Periodic(0, 360)]
    )
    angles = near.samples[:, 0]
    assert ((angles < 10.0) | (angles > 350.0)).all()


def test_without_a_tolerance_the_uncertainty_of_the_model_counts():
    opt = fitted(bowl, [(-1, 1)] * 3, 60, proxy="gp")
    assert 0.0 < near_optimal(opt).within < 0.2
    with pytest.raises(ValueError, match="within must be given, in units of the values"):
        near_optimal(bowl, bounds=[(-1, 1)] * 3)


# What to expect.


def test_what_is_not_set_stays_at_the_optimum():
    opt = fitted(mixed, MIXED, 150, proxy="gp")
    frame = what_if(opt, {"kind": ["a", "c"]})
    assert frame["kind"].tolist() == ["a", "c"]
    assert frame["turns"].tolist() == [opt.x_named_["turns"]] * 2
    assert frame["x"].tolist() == [opt.x_named_["x"]] * 2
    np.testing.assert_allclose(frame["difference"], [0.0, 1.0], atol=0.05)
    assert (frame["lower"] <= frame["predicted"]).all()
    assert (frame["predicted"] <= frame["upper"]).all()


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame({"turns": [2, 5], "x": [10.0, 20.0], "kind": ["b", "b"]}),
        [{"x": 10.0, "turns": 2, "kind": "b"}, {"x": 20.0, "turns": 5, "kind": "b"}],
        {"x": [10.0, 20.0], "turns": (2, 5), "kind": "b"},
    ],
)
def test_settings_come_in_several_forms(rows):
    opt = fitted(mixed, MIXED, 100, proxy="gp")
    frame = what_if(opt, rows)
    assert frame[["x", "turns", "kind"]].values.tolist() == [[10.0, 2, "b"], [20.0, 5, "b"]]
    np.testing.assert_array_equal(frame["predicted"], opt.predict(frame[["x", "turns", "kind"]]))


def test_settings_of_variables_without_names_are_arrays():
    opt = fitted(bowl, [(-1, 1)] * 3, 60, proxy="gp")
    frame = what_if(opt, [[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    assert frame["inside"].tolist() == [True, False]
    np.testing.assert_array_equal(frame["predicted"], opt.predict(np.array([[0, 0, 0], [5, 0, 0]])))
    assert what_if(opt, {"x1": 0.5})["x1"].tolist() == [0.5]


@pytest.mark.parametrize(
    "proxy",
    ["gp", NeuralProxyRegressor((8,), max_epochs=3), LinearRegression()],
    ids=["of its own", "of a network alone", "by halves of the samples"],
)
def test_an_optimizer_tells_intervals_with_any_proxy(proxy):
    frame = what_if(fitted(bowl, [(-1, 1)] * 3, 40, proxy=proxy), {"x0": [0.0, 0.9]})
    assert (frame["lower"] < frame["upper"]).all()


def test_a_model_without_uncertainty_tells_no_interval():
    frame = what_if(lambda X: X.sum(axis=1), [[0.5, 0.5]], bounds=[(0, 1)] * 2)
    assert frame["predicted"].tolist() == [1.0]
    assert frame[["lower", "upper"]].isna().all(axis=None)


def test_every_output_is_expected_with_its_interval_around_one_optimum():
    X = np.random.default_rng(0).uniform(0, 1, (30, 2))
    y = np.column_stack([np.square(X - 0.3).sum(axis=1), 0.5 - X[:, 0]])
    y += 0.02 * np.random.default_rng(1).standard_normal(y.shape)
    opt = ProxyOptimizer(bounds=[(0, 1)] * 2, n_constraints=1, proxy="gp", random_state=0).fit(X, y)
    frame = what_if(opt, {"x0": [0.2, 0.9]})
    names = ("predicted", "lower", "upper", "difference")
    columns = [f"{name}_{output}" for output in (0, 1) for name in names]
    assert frame.columns.tolist() == ["x0", "x1", *columns, "inside"]
    assert frame["x1"].tolist() == [opt.x_proxy_[1]] * 2
    assert frame["inside"].tolist() == [False, True]
    for output in (0, 1):
        alone = what_if(opt, {"x0": [0.2, 0.9]}, output=output)
        for name in names:
            np.testing.assert_array_equal(frame[f"{name}_{output}"], alone[name])
        assert (frame[f"lower_{output}"] < frame[f"predicted_{output}"]).all()
        assert (frame[f"predicted_{output}"] < frame[f"upper_{output}"]).all()


def test_a_fitted_regressor_is_inspected_inside_bounds():
    X = np.random.default_rng(0).uniform(-1, 1, (60, 3))
    model = GaussianProcessRegressor().fit(X, bowl(X))
    bounds = [(-1, 1)] * 3
    near = near_optimal(model, 0.05, bounds=bounds)
    np.testing.assert_allclose(near.upper, ends_of_bowl(0.05)[1], atol=0.02)
    assert importances(model, bounds, n_samples=256).total_order.argmax() == 0
    frame = what_if(model, [[0.0] * 3], bounds=bounds)
    assert frame["predicted"][0] == model.predict([[0.0] * 3])[0]


def test_a_front_is_inspected_by_one_of_its_objectives():
    X = np.random.default_rng(0).uniform(0, 1, (40, 2))
    y = np.column_stack([X[:, 0], 1.0 - X[:, 1]])
    opt = ParetoOptimizer(
        bounds=[(0, 1)] * 2,
        proxy=LinearRegression(),
        optimizer=NSGA2(16, 10),
        direction=["minimize", "maximize"],
        random_state=0,
    ).fit(X, y)
    for output in (0, 1):
        found = importances(opt, output=output, n_samples=64)
        np.testing.assert_allclose(found.total_order[output], 1.0, atol=0.05)
        assert what_if(opt, {"x0": 0.5, "x1": 0.25}, output=output)["predicted"].round(6).tolist()
    with pytest.raises(ValueError, match="output must be below 2"):
        importances(opt, output=2)
    with pytest.raises(ValueError, match="estimator must have a single objective"):
        near_optimal(opt, 0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda opt: importances(opt, n_samples=100), "n_samples must be a power of 2"),
        (lambda opt: importances(opt, step=0.0), r"step must be a finite number in \(0"),
        (lambda opt: importances(bowl), "bounds must be given for a regressor"),
        (lambda opt: importances(opt, [(0, 1)]), "bounds must be None for an optimizer"),
        (lambda opt: near_optimal(opt, -1.0), "within must be a finite number"),
        (lambda opt: near_optimal(opt, 1.0, n_samples=1), "n_samples must be an integer"),
        (lambda opt: what_if(opt, {"speed": 1.0}), "rows must name variables among x0, x1, x2"),
        (lambda opt: what_if(opt, {"x0": [1.0, 2.0], "x1": [0.0]}), "as many values of each vari"),
        (lambda opt: what_if(opt, {"x0": []}), "rows must hold at least one row; got none"),
        (lambda opt: what_if(opt, []), r"rows must be a dict, .* with at least one row; got \[\]"),
        (lambda opt: what_if(opt, 3.0), "rows must be a dict, .* with at least one row; got 3.0"),
        (lambda opt: what_if(opt, {"x0": np.nan}), "rows must hold finite numbers; got NaN in row"),
        (lambda opt: what_if(opt, {"x0": 1.0}, level=1.5), "level must be a finite number"),
        (lambda opt: what_if(bowl, [[1.0]], bounds=[(0, 1)] * 3), "rows must have a column for"),
        (lambda opt: near_optimal(opt, 0.1).labels(0), "name must be a category; got 0"),
    ],
)
def test_a_mistake_is_named(call, message):
    opt = ProxyOptimizer(
        bounds=[(-1, 1)] * 3, proxy=LinearRegression(), optimizer=MultiStartBFGS(2), random_state=0
    ).fit(np.random.default_rng(0).uniform(-1, 1, (20, 3)), np.arange(20.0))
    with pytest.raises(ValueError, match=message):
        call(opt)


def test_what_is_not_fitted_is_refused():
    for call in (importances, near_optimal, lambda opt: what_if(opt, {"x0": 1.0})):
        with pytest.raises(NotFittedError):
            call(ProxyOptimizer())
