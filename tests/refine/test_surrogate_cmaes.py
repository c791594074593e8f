"""The search of the truth by CMA-ES and a local proxy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from spies import Spy

from sklearn_proxyopt._strategies import solve
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.problems import Ellipsoid, Rastrigin, Rosenbrock, StyblinskiTang
from sklearn_proxyopt.refine import SurrogateCMAES
from sklearn_proxyopt.refine._codes import Codes
from sklearn_proxyopt.refine._descent import Descent
from sklearn_proxyopt.refine._ledger import Ledger
from sklearn_proxyopt.refine._local_process import LocalProcess, Settings
from sklearn_proxyopt.refine._search_distribution import SearchDistribution

BOX = np.array([[-2.0, 2.0]] * 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_turned_ellipsoid_is_solved_within_forty_evaluations_a_variable(seed):
    problem = Ellipsoid(n_dims=5).rotated_and_shifted(random_state=seed)
    search = SurrogateCMAES(max_evaluations=200, random_state=seed)
    result = search.refine(problem, [problem.bounds.mean(axis=1)], problem.bounds)
    spread = np.median(problem(np.random.default_rng(0).uniform(*problem.bounds.T, (500, 5))))
    assert result.fun - problem.f_opt < 1e-8 * spread


@pytest.mark.parametrize("n_features", [2, 4])
def test_a_narrow_valley_that_is_no_quadratic_is_followed_to_its_end(n_features):
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    center = rng.uniform(-1.0, 1.0, n_features)

    def fun(X):
        Z = np.abs((X - center) @ turn.T)
        return Z[:, 0] ** 2 + 1e4 * (Z[:, 1:] ** 1.5).sum(axis=1)

    search = SurrogateCMAES(max_evaluations=150 * n_features)
    start, box = [[0.0] * n_features], [[-2.0, 2.0]] * n_features
    ends = [
        clone(search).set_params(random_state=seed).refine(fun, start, box).fun for seed in range(7)
    ]
    # One in fifteen loses its way, or gets to the end late; which one hangs on the last digits.
    assert np.sort(ends)[4] < 1e-4


def test_a_minimum_in_a_corner_is_found():
    direction = np.array([1.0, -2.0, 0.5])
    result = SurrogateCMAES(max_evaluations=60, random_state=0).refine(
        lambda X: X @ direction, [[0.0, 0.0, 0.0]], BOX
    )
    assert_allclose(result.x, [-2.0, 2.0, -2.0])


def test_a_better_basin_than_the_candidate_s_is_found():
    problem = StyblinskiTang(n_dims=2)
    false = np.array([[2.7, 2.7]])
    search = SurrogateCMAES(max_evaluations=300, initial_step=0.02)
    ends = [
        clone(search).set_params(random_state=seed).refine(problem, false, problem.bounds).fun
        for seed in range(5)
    ]
    assert np.median(ends) < problem(false)[0] - 10.0


def test_where_basins_are_many_and_wide_a_search_does_not_stay_in_the_first():
    def waves(X):
        return (np.square(X - 0.6) + 0.3 - 0.3 * np.cos(5.0 * np.pi * (X - 0.6))).sum(axis=1)

    def lowest(seed):
        search = SurrogateCMAES(max_evaluations=180, random_state=seed)
        return search.refine(waves, np.full((1, 6), 0.2), [(0.0, 1.0)] * 6).fun

    # Where it begins, all variables lie one wave away, which costs 0.16 each.
    assert np.median([lowest(seed) for seed in range(5)]) < 0.7


def test_no_more_rows_are_asked_for_than_allowed_and_none_twice():
    asked = []

    def fun(X):
        asked.extend(map(tuple, X))
        return Rosenbrock(n_dims=3)(X)

    result = SurrogateCMAES(max_evaluations=97, random_state=1).refine(fun, [[0.0] * 3], BOX)
    assert len(asked) == len(set(asked)) == result.nfev == 97
    assert (np.abs(asked) <= 2.0).all()


def test_without_a_limit_two_hundred_rows_are_asked_for():
    problem = Rastrigin(2)
    result = SurrogateCMAES(random_state=0).refine(problem, [[1.0, 1.0]], problem.bounds)
    assert result.nfev == 200


def test_a_search_goes_on_where_it_stopped():
    problem = Rosenbrock(n_dims=3)
    whole = SurrogateCMAES(max_evaluations=120, random_state=0)
    at_once = whole.refine(problem, [[0.0] * 3], BOX)
    search = SurrogateCMAES(random_state=0).begin(BOX)
    search.allow(120)
    solve(search.explore(60), problem)
    half = search.result()
    assert half.nfev == 60
    solve(search.refine_from(np.zeros((1, 3))), problem)
    assert search.result().nfev == at_once.nfev == 120
    assert search.result().fun < half.fun


@pytest.mark.parametrize(("n_left", "n_evaluated"), [(15, 3), (30, 5), (31, 6)])
def test_of_few_evaluations_few_go_to_candidates_that_are_not_the_best(n_left, n_evaluated):
    def bowl(X):
        return np.square(X).sum(axis=1)

    search = SurrogateCMAES(n_candidates=9, random_state=0).begin(BOX)
    search.allow(30 + n_left)
    solve(search.explore(30), bowl)
    best, far = search.result().x, BOX[:, 1]
    candidates = np.vstack([best / 2, best / 4, far, best / 8, 0.9 * far, 0.8 * far])
    solve(search.refine_from(candidates), bowl)
    found = search.result().candidate_values
    np.testing.assert_allclose(found, bowl(candidates[:n_evaluated]))


def test_hops_follow_where_other_restarts_look_too_dear():
    def bowl(X):
        return np.square(X - 0.1).sum(axis=1)

    search = SurrogateCMAES(random_state=0).begin(BOX)
    search.allow(300)
    solve(search.explore(60), bowl)
    search._descents[0].n_evaluated = 1000
    solve(search.explore(), bowl)
    assert len(search._hops) > 2


@pytest.mark.parametrize(("share", "n_more"), [(0.5, 0), (-1.0, 1)])
def test_a_descent_goes_on_at_a_better_candidate_nearby_and_another_begins_far_away(share, n_more):
    def valley(X):
        return np.minimum(np.square(X - 1.0).sum(axis=1), np.square(X + 1.0).sum(axis=1) - 0.1)

    search = SurrogateCMAES(random_state=0).begin(BOX)
    search.note(np.full((1, 3), 0.9), valley(np.full((1, 3), 0.9)))
    search.allow(32)
    solve(search.explore(30), valley)
    before, best = search.result().nit, search.result().x
    candidate = 1.0 + share * (best - 1.0) if share > 0.0 else np.full(3, -1.0)
    solve(search.refine_from(candidate[None]), valley)
    assert search.result().nit == before + n_more


def test_candidates_without_a_search_before_are_evaluated_together():
    rounds = []

    def bowl(X):
        rounds.append(len(X))
        return np.square(X).sum(axis=1)

    SurrogateCMAES(max_evaluations=20, random_state=0).refine(bowl, [[1.5] * 3, [1.0] * 3], BOX)
    assert rounds[0] == 2


def test_the_same_seed_gives_the_same_rows_and_another_one_others():
    problem, box = Rosenbrock(n_dims=3), BOX
    results = [
        SurrogateCMAES(max_evaluations=50, random_state=seed).refine(problem, [[0.0] * 3], box)
        for seed in (0, 0, 1)
    ]
    assert_allclose(results[0].x, results[1].x, rtol=0, atol=0)
    assert np.abs(results[0].x - results[2].x).max() > 0


def test_batches_hold_as_many_rows_as_asked_for_where_a_generation_has_them():
    sizes = []

    def fun(X):
        sizes.append(len(X))
        return Rosenbrock(n_dims=3)(X)

    search = SurrogateCMAES(max_evaluations=100, batch_size=4, random_state=0)
    search.refine(fun, np.zeros((4, 3)), BOX)
    assert np.mean(np.array(sizes[:-1]) >= 4) > 0.8


def test_the_answer_is_never_above_the_incumbent():
    result = SurrogateCMAES(max_evaluations=5, random_state=0).refine(
        lambda X: np.square(X).sum(axis=1), [[1.0] * 3], BOX, incumbent=([0.1, 0.0, 0.0], 0.01)
    )
    assert result.fun <= 0.01


def test_failures_on_one_side_do_not_keep_it_from_the_minimum():
    def fun(X):
        values = np.square(X - 0.5).sum(axis=1)
        return np.where(X[:, 0] < 0.0, np.nan, values)

    result = SurrogateCMAES(max_evaluations=150, random_state=0).refine(fun, [[0.2] * 3], BOX)
    assert result.fun < 1e-6


def test_where_everything_fails_it_says_so():
    result = SurrogateCMAES(max_evaluations=30, random_state=0).refine(
        lambda X: np.full(len(X), np.nan), [[0.0] * 3], BOX
    )
    assert not result.success
    assert result.status == 3
    assert result.x is None


def test_a_constant_function_uses_up_its_evaluations_and_ends():
    result = SurrogateCMAES(max_evaluations=60, random_state=0).refine(
        lambda X: np.ones(len(X)), [[0.0] * 3], BOX
    )
    assert result.fun == 1.0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_evaluations": 0}, "max_evaluations must be an integer of at least 1"),
        ({"population": 3}, "population must be an integer of at least 4"),
        ({"initial_step": 0.0}, "initial_step must be a finite number"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"n_candidates": 0}, "n_candidates must be an integer of at least 1"),
        ({"random_state": "x"}, "random_state must be None"),
    ],
)
def test_a_wrong_parameter_is_named_before_anything_is_evaluated(parameters, message):
    def fun(X):
        raise AssertionError("evaluated")

    with pytest.raises(ValueError, match=message):
        SurrogateCMAES(**parameters).refine(fun, [[0.0] * 3], BOX)


def test_the_local_process_learns_a_quadratic_exactly():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((4, 4))
    Z, new = rng.standard_normal((40, 4)), rng.standard_normal((20, 4))

    def quadratic(rows):
        return np.square(rows @ matrix).sum(axis=1) + rows[:, 0]

    process = LocalProcess(Z, quadratic(Z), Settings())
    assert_allclose(process.predict(new), quadratic(new), atol=0.02 * quadratic(Z).std())


def test_a_sum_over_variables_is_learned_from_fewer_rows_than_a_quadratic_has_coefficients():
    rng = np.random.default_rng(0)
    Z, new = rng.standard_normal((30, 10)), rng.standard_normal((20, 10))

    def bowl(rows):
        return np.square(rows - 0.3).sum(axis=1)

    process = LocalProcess(Z, bowl(Z), Settings(along_variables=True))
    assert_allclose(process.predict(new), bowl(new), atol=0.01 * bowl(Z).std())


@pytest.mark.parametrize("crossing", [0, 2])
@pytest.mark.parametrize("roughness", [0, 4])
@pytest.mark.parametrize("warp", [0, 1, 2])
def test_the_gradient_of_the_local_process_is_that_of_what_it_predicts(roughness, warp, crossing):
    rng = np.random.default_rng(1)
    Z = rng.standard_normal((30, 3))
    settings = Settings(roughness=roughness, warp=warp, crossing=crossing)
    process = LocalProcess(Z, np.square(Z).sum(axis=1), settings, chooses=False)
    z, step = rng.standard_normal(3), 1e-4
    _, gradient = process.warped_and_gradient(z)
    differences = [
        (
            process.warped_and_gradient(z + step * axis)[0]
            - process.warped_and_gradient(z - step * axis)[0]
        )
        / (2 * step)
        for axis in np.eye(3)
    ]
    assert_allclose(gradient, differences, rtol=1e-4, atol=1e-6)


def test_predictions_grow_with_the_warped_value():
    rng = np.random.default_rng(2)
    Z = rng.standard_normal((30, 2))
    process = LocalProcess(Z, np.exp(Z[:, 0]), Settings(warp=2), chooses=False)
    new = rng.standard_normal((200, 2)) * 3
    warped = [process.warped_and_gradient(z)[0] for z in new]
    assert (np.diff(process.predict(new)[np.argsort(warped)]) >= -1e-9).all()


def test_the_distribution_takes_the_shape_of_a_valley():
    rng = np.random.default_rng(0)
    distribution = SearchDistribution(np.array([0.3, 0.7]), 0.2, 8)
    for _ in range(60):
        points = distribution.sample(rng)
        values = (points[:, 0] - 0.5) ** 2 + 1e4 * (points[:, 1] - 0.5) ** 2
        distribution.update(points[np.argsort(values)])
    assert_allclose(distribution.mean, 0.5, atol=0.02)
    assert distribution.deviations[0] > 20 * distribution.deviations[1]


def test_white_points_of_the_distribution_are_standard_normal():
    rng = np.random.default_rng(0)
    distribution = SearchDistribution(np.full(3, 0.5), 0.01, 2000)
    white = distribution.whiten(distribution.sample(rng))
    assert_allclose(white.mean(axis=0), 0.0, atol=0.1)
    assert_allclose(np.cov(white.T), np.eye(3), atol=0.12)


def of_sum(X):
    return X.sum(axis=1)


def test_a_ledger_evaluates_what_it_can_before_it_says_that_no_more_is_left():
    ledger = Ledger(np.array([[0.0, 2.0]]))
    ledger.limit = 2
    with pytest.raises(StopRun):
        solve(ledger.evaluate(np.array([[0.1], [0.2], [0.3]])), of_sum)
    assert_allclose(ledger.values, [0.2, 0.4])
    assert_allclose(solve(ledger.evaluate(np.array([[0.2]])), of_sum), [0.4])


def n_evaluated_to_the_end(fun, limit):
    ledger = Ledger(BOX)
    ledger.limit = limit
    descent, rng = Descent(ledger, np.full(3, 0.5), 0.2, 7, 1), np.random.default_rng(0)
    while not descent.has_ended:
        solve(descent.step(rng), fun)
    return descent.n_evaluated


def test_a_descent_without_a_gain_ends():
    assert n_evaluated_to_the_end(lambda X: np.ones(len(X)), limit=10_000) < 300


def test_a_descent_all_of_whose_rows_fail_takes_no_value_of_others_for_its_own():
    def fun(X):
        return np.where(X[:, 0] > 0.0, np.nan, X.sum(axis=1))

    ledger = Ledger(BOX)
    ledger.limit = 100
    known = np.array([[-1.0, -1.0, 0.0], [-0.5, -0.5, 0.0]])
    ledger.note(known, known.sum(axis=1))
    descent = Descent(ledger, np.array([0.9, 0.5, 0.5]), 0.01, 6, 1)
    solve(descent.step(np.random.default_rng(0)), fun)
    assert descent.n_evaluated == len(ledger.failed) == 6
    assert descent.lowest == np.inf


def test_a_descent_all_of_whose_rows_fail_ends():
    assert n_evaluated_to_the_end(lambda X: np.full(len(X), np.nan), limit=100) < 60


def test_what_is_known_to_be_lower_than_any_descent_is_sharpened_at_the_end():
    needle, box, n_near = np.array([1.3, 1.3]), [[-2.0, 2.0]] * 2, []

    def fun(X):
        asked.extend(X)
        far = np.abs(X - needle).max(axis=1)
        return np.where(far < 1e-12, -5.0, (X**2).sum(axis=1))

    for seed in range(4):
        asked = []
        result = SurrogateCMAES(max_evaluations=150, random_state=seed).refine(fun, [needle], box)
        assert result.fun == -5.0
        near = np.abs(np.array(asked) - needle).max(axis=1) < 0.1
        n_near.append(near[-100:].sum())
    assert np.mean(n_near) >= 6


def test_a_descent_owns_its_lowest_row_whatever_a_violation_costs():
    def fun(X):
        violated = [1.0 - X[:, 0] * X[:, 1], np.abs(X[:, 0] - X[:, 1]) - 0.05]
        return np.column_stack([X.sum(axis=1), *violated])

    search = SurrogateCMAES(random_state=0).begin([[-2.0, 2.0]] * 2)
    search.allow(120)
    search.note(np.zeros((1, 2)), fun(np.zeros((1, 2))))
    for _ in range(40):
        solve(search.explore(3), fun)
        owned = min(one.lowest for one in search._descents)
        bought = search._ledger.values[1:].min()
        assert owned == bought
    assert search.result().fun < 2.01


@pytest.mark.parametrize("value", [[0.0], [[0.0]]])
def test_an_incumbent_whose_value_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="incumbent must be a row and its value"):
        SurrogateCMAES(random_state=0).refine(
            lambda X: X.sum(axis=1), [[1.0] * 3], BOX, incumbent=([0.0] * 3, value)
        )


@pytest.mark.parametrize("outputs", [np.zeros((5, 1)), np.zeros(4), np.zeros((5, 2, 2)), 0.0])
def test_outputs_of_a_wrong_shape_are_refused(outputs):
    with pytest.raises(ValueError, match=r"fun must return values of shape \(5,\), or \(5, 1 \+ "):
        SurrogateCMAES(random_state=0).refine(
            lambda X: outputs, np.arange(15).reshape(5, 3) / 10, BOX
        )


def test_an_incumbent_without_the_constraints_of_the_function_is_refused():
    with pytest.raises(ValueError, match=r"fun must return outputs of shape \(1,\), like those"):
        SurrogateCMAES(random_state=0).refine(
            lambda X: X[:, :2], [[1.0] * 3], BOX, incumbent=([0.0] * 3, 0.0)
        )


def test_a_basin_found_makes_room_for_other_descents():
    problem = Rastrigin(n_dims=3).rotated_and_shifted(random_state=0)
    n_descents, n_evaluated_by_first = [], []
    for seed in range(4):
        search = SurrogateCMAES(random_state=seed).begin(problem.bounds)
        search.allow(300)
        solve(search.refine_from(problem.bounds.mean(axis=1)[None]), problem)
        n_descents.append(search.result().nit)
        n_evaluated_by_first.append(search._descents[0].n_evaluated)
    assert np.mean(n_descents) > 1.5
    assert np.mean(n_evaluated_by_first) < 225


def test_rows_that_nothing_tells_apart_are_predicted_by_what_is_usual():
    Z = np.full((6, 2), 1e12)
    process = LocalProcess(Z, np.arange(6.0), Settings())
    assert np.isfinite(process.predict(np.zeros((1, 2)))).all()


# Codes without an order.


CODES = np.array([[-3.0, 3.0], [-3.0, 3.0], [-0.5, 2.5]])


def rows_of_codes(points):
    rows = points.copy()
    rows[:, 2] = np.rint(rows[:, 2])
    return rows


def bowls(rows):
    """A bowl for each code: the widest one is the highest, the lowest one lies aside."""
    middles = np.array([[0.0, 0.0], [2.0, -2.0], [-2.0, 1.0]])
    codes = rows[:, 2].astype(int)
    steepness = np.array([0.5, 4.0, 2.0])[codes]
    away = np.square(rows[:, :2] - middles[codes]).sum(axis=1)
    return steepness * away + np.array([1.0, 0.0, 0.5])[codes]


@pytest.mark.parametrize("seed", range(4))
def test_every_code_is_tried_on_the_truth(seed):
    settings = SurrogateCMAES(random_state=seed)
    search = settings.begin(CODES, rows_of_codes, np.array([False, False, True]))
    # All that is known speaks for the wrong code.
    known = np.array([[0.1, 0.0, 0.0], [0.5, 0.5, 0.0], [-1.0, 0.0, 0.0], [2.0, 2.0, 1.0]])
    search.note(known, bowls(known))
    search.allow(120)
    solve(search.explore(), bowls)
    result = search.result()
    assert result.fun < 1e-6
    assert_allclose(np.rint(result.x[2]), 1.0)


def test_a_descent_keeps_to_its_codes_and_learns_from_rows_of_the_same():
    ledger = Ledger(CODES, rows_of_codes)
    known = np.array([[x, y, code] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for code in range(3)])
    ledger.note(known, bowls(known))
    ledger.limit = 40
    codes = Codes(ledger, np.array([2]))
    start = codes.settle((np.array([0.0, 0.0, 2.2]) - CODES[:, 0]) / np.ptp(CODES, axis=1))
    descent = Descent(ledger, start, 0.2, 6, 1, codes)
    rng = np.random.default_rng(0)
    for _ in range(4):
        solve(descent.step(rng), bowls)
    bought = rows_of_codes(CODES[:, 0] + ledger.points[12:] * np.ptp(CODES, axis=1))
    assert len(bought) > 4
    assert (bought[:, 2] == 2.0).all()
    assert descent.lowest < 1.0


def test_a_proxy_is_trusted_by_the_rows_of_its_own_codes():
    ledger = Ledger(CODES, rows_of_codes)
    rng = np.random.default_rng(0)
    own, others = (
        np.column_stack([rng.uniform(-3.0, 3.0, (20, 2)), np.full(20, c)]) for c in (1, 2)
    )
    ledger.note(own, bowls(own))
    ledger.note(others, -bowls(own))
    codes = Codes(ledger, np.array([2]))
    start = codes.settle((own[0] - CODES[:, 0]) / np.ptp(CODES, axis=1))
    descent = Descent(ledger, start, 0.2, 6, 1, codes)
    assert descent._agrees(descent._learn(), 6)


def test_the_other_codes_come_the_most_promising_first_and_once_each():
    ledger = Ledger(CODES, rows_of_codes)
    known = np.array([[0.0, 0.0, 0.0], [-1.8, 1.0, 2.0], [-2.0, 2.0, 1.0]])
    ledger.note(known, bowls(known))
    codes = Codes(ledger, np.array([2]))

    def row(point):
        return rows_of_codes((CODES[:, 0] + point * np.ptp(CODES, axis=1))[None])[0]

    lowest = ledger.points[np.argmin(ledger.values)]
    codes.settle(lowest)
    first = codes.untried()
    codes.settle(first)
    second = codes.untried()
    codes.settle(second)
    assert_allclose([row(first)[2], row(second)[2]], [0.0, 1.0])
    assert_allclose(row(first)[:2], row(lowest)[:2])
    assert codes.untried() is None


def test_a_space_of_few_rows_is_searched_until_nothing_new_is_left():
    def rows_of(points):
        return np.rint(points)

    box = np.array([[-2.5, 2.5], [-2.5, 2.5], [-0.5, 2.5]])
    search = SurrogateCMAES(random_state=0).begin(box, rows_of, np.array([False, False, True]))
    search.allow(500)
    solve(search.explore(), bowls)
    result = search.result()
    assert result.nfev <= 75
    assert result.status == 2
    grid = np.stack(np.meshgrid(*[np.arange(-2.0, 3.0)] * 2, [0, 1, 2]), axis=-1).reshape(-1, 3)
    assert result.fun == bowls(grid).min()


@pytest.mark.parametrize("row", [[0.3, 0.7], [0.7, 1.1], [0.7, np.nan], [0.7]])
def test_an_incumbent_outside_the_box_is_refused_before_any_evaluation(row):
    spy = Spy(lambda X: X.sum(axis=1))
    with pytest.raises(ValueError, match="incumbent must be a row inside bounds"):
        SurrogateCMAES(random_state=0).refine(
            spy, [[0.6, 0.6]], [[0.5, 1.0]] * 2, incumbent=(row, 0.0)
        )
    assert not len(spy.rows)


def test_a_candidate_that_is_a_row_known_already_costs_no_evaluation():
    box, asked = np.array([[20.0, 120.0], [1.0, 10.0]]), []

    def value(X):
        return np.square((X - [80.0, 4.0]) / [10.0, 1.0]).sum(axis=1)

    def fun(X):
        asked.extend(map(tuple, X))
        return value(X)

    search = SurrogateCMAES(random_state=0).begin(box)
    search.allow(20)
    solve(search.explore(12), fun)
    rows = np.array(asked)
    best = rows[value(rows).argmin()]
    units = np.nextafter((best - box[:, 0]) / np.ptp(box, axis=1), 1.0)
    solve(search.refine_from(np.array([best, box[:, 0] + np.ptp(box, axis=1) * units])), fun)
    assert len(set(asked)) == len(asked) == 20
