"""The published study, rebuilt in benchmarks/paper1."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import OptimizeResult
from sklearn.base import clone

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from paper1.cells import Cell, FirstFourRastrigin, cells_of
from paper1.figures import side_by_side
from paper1.networks import PublishedProxy, StackedReLU, train_together
from paper1.protocols import PROTOCOLS, run_cell, run_ground_truth
from paper1.searches import PublishedGenetic, PublishedSwarm, ThenDescent
from paper1.shelf import Shelf, ShelvedProxy
from paper1.smoother import AveragedFunction, ThenWalk
from paper1.tables import (
    comparison,
    decomposition,
    load_cells,
    other_searches,
    prediction_interval,
    shares_of_variance,
    table,
)

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.optimizers import GeneticAlgorithm

COLUMNS = [
    "protocol",
    "dim",
    "function",
    "sampling",
    "optimizer",
    "refined",
    "mean",
    "std",
    "ci_low",
    "ci_high",
    "n_replicates",
    "seconds_per_network",
]


def generators(n):
    return [torch.Generator().manual_seed(seed) for seed in range(n)]


def rows(n, seed):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n, 2))
    return X, np.sin(4.0 * X[:, 0]) + X[:, 1] ** 2


def small_proxy(seed=0, **parameters):
    return PublishedProxy((6, 5), max_epochs=4, random_state=seed, **parameters)


@pytest.mark.parametrize("relu_output", [False, True])
def test_written_out_gradients_are_those_of_autograd(relu_output):
    networks = StackedReLU([3, 6, 4, 1], relu_output, generators(3))
    networks.prepare(8)
    draw = torch.Generator().manual_seed(9)
    X = torch.randn(3, 8, 3, dtype=torch.float64, generator=draw)
    y = torch.randn(3, 8, 1, dtype=torch.float64, generator=draw)
    networks.forward(X)
    networks.backward(y, loss_scale=7.0)

    weights = networks.weights.clone().requires_grad_()
    hidden, start = X, 0
    for layer, (n_in, n_out) in enumerate([(4, 6), (7, 4), (5, 1)]):
        size = 3 * n_in * n_out
        matrix = weights[start : start + size].view(3, n_in, n_out)
        hidden = torch.baddbmm(matrix[:, -1:], hidden, matrix[:, :-1])
        hidden = hidden.relu() if layer < 2 or relu_output else hidden
        start += size
    (7.0 * ((hidden - y) ** 2).mean(dim=(1, 2)).sum()).backward()
    torch.testing.assert_close(networks.gradients, weights.grad)
    torch.testing.assert_close(networks.predict(X), hidden.detach()[:, :, 0])


def test_training_takes_the_steps_of_torch():
    X, y = rows(100, 0)
    proxy = small_proxy(4).fit(X, y)

    (generator,) = generators(5)[4:]
    split = torch.randperm(100, generator=generator)
    start = StackedReLU([2, 6, 5, 1], False, [generator]).layers_of(0)
    module = torch.nn.Sequential(
        *[torch.nn.Linear(2, 6), torch.nn.ReLU(), torch.nn.Linear(6, 5), torch.nn.ReLU()],
        torch.nn.Linear(5, 1),
    ).double()
    with torch.no_grad():
        for layer, matrix in zip(module[::2], start, strict=True):
            layer.weight.copy_(torch.tensor(matrix[:-1].T))
            layer.bias.copy_(torch.tensor(matrix[-1]))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    X, y = torch.tensor(X)[split], torch.tensor(y)[split, None]
    losses = []
    for _ in range(4):
        for batch in torch.randperm(80, generator=generator).split(8):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(module(X[batch]), y[batch]).backward()
            optimizer.step()
        # Of 20 rows held out the last 4 make no full batch.
        losses.append(torch.nn.functional.mse_loss(module(X[80:96]), y[80:96]).item())
    assert proxy.held_out_loss_ == pytest.approx(min(losses), rel=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_network_does_not_depend_on_those_trained_with_it(dtype):
    proxies = [small_proxy(seed, dtype=dtype) for seed in range(3)]
    data = [rows(80, seed) for seed in range(3)]
    train_together(proxies, data)
    alone = small_proxy(2, dtype=dtype).fit(*data[2])
    X = rows(20, 9)[0]
    np.testing.assert_allclose(alone.predict(X), proxies[2].predict(X), rtol=1e-3, atol=1e-4)
    assert np.abs(alone.predict(X) - proxies[1].predict(X)).max() > 0.01


def test_training_may_end_once_the_held_out_loss_was_lowest_long_ago():
    X = np.random.default_rng(0).random((50, 2))
    y = np.random.default_rng(1).normal(size=50)
    parameters = {"max_epochs": 200, "learning_rate": 0.05, "random_state": 1}
    epochs = []
    patient = PublishedProxy((20, 20), patience=20, **parameters)
    train_together([patient], [(X, y)], epochs.append)
    assert len(epochs) == patient.best_epoch_ + 20 < 200
    parameters["max_epochs"] = len(epochs)
    whole = PublishedProxy((20, 20), **parameters).fit(X, y)
    np.testing.assert_array_equal(whole.predict(X), patient.predict(X))


def test_predictions_are_in_the_units_of_the_targets():
    X, y = rows(200, 0)
    plain = small_proxy().fit(X, y)
    scaled = small_proxy(target_scale=1000.0).fit(X, 1000.0 * y)
    np.testing.assert_allclose(scaled.predict(X), 1000.0 * plain.predict(X), rtol=1e-9)


def test_the_schedule_rises_and_falls():
    from paper1.networks import _rates

    rates = list(_rates(small_proxy(schedule="one-cycle", learning_rate=0.01), 25))
    assert len(rates) == 100
    assert max(rates) == pytest.approx(0.01, rel=1e-2)
    assert np.argmax(rates) == pytest.approx(30, abs=1)
    assert rates[0] < 0.001
    assert rates[-1] < 0.0001


def bowl(X):
    return ((X - 0.3) ** 2).sum(axis=1)


BOX = [[-1.0, 1.0], [-2.0, 1.0]]


@pytest.mark.parametrize("search", [PublishedSwarm, PublishedGenetic])
def test_published_searches_come_near_the_minimum_of_a_bowl(search):
    result = search(n_restarts=3, random_state=0).minimize(bowl, BOX)
    assert result.x_restarts.shape == (3, 2)
    assert np.abs(result.x_restarts - 0.3).max() < 0.1
    np.testing.assert_allclose(bowl(result.x_restarts), result.fun_restarts)


@pytest.mark.parametrize("search", [PublishedSwarm, PublishedGenetic])
def test_published_searches_repeat_by_their_seed(search):
    parameters = {
        "n_restarts": 2,
        "n_iterations" if search is PublishedSwarm else "n_generations": 5,
    }
    first, second, other = (
        search(**parameters, random_state=seed).minimize(bowl, BOX).x_restarts for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_the_published_genetic_algorithm_looks_for_zero_not_for_the_minimum():
    result = PublishedGenetic(random_state=0).minimize(lambda X: X[:, 0], [[-1.0, 1.0]])
    assert np.abs(result.x_restarts).max() < 0.1


def test_the_published_swarm_stays_in_the_box_and_the_genetic_algorithm_does_not():
    def slope(X):
        return 10.0 + X.sum(axis=1)

    swarm = PublishedSwarm(2, n_iterations=50, random_state=0).minimize(slope, BOX)
    genetic = PublishedGenetic(2, random_state=0).minimize(slope, BOX)
    assert (swarm.x_restarts >= np.array(BOX)[:, 0]).all()
    assert (genetic.x_restarts < np.array(BOX)[:, 0]).any()


class Valley:
    """Rosenbrock's function of two variables with its gradient."""

    def __call__(self, X):
        return self.value_and_grad(X)[0]

    def value_and_grad(self, X):
        x, y = X.T
        slope = np.stack([2 * (x - 1) - 400 * x * (y - x**2), 200 * (y - x**2)], axis=1)
        return (x - 1) ** 2 + 100 * (y - x**2) ** 2, slope


def test_a_descent_takes_the_end_of_a_search_to_the_bottom_of_the_valley():
    short = GeneticAlgorithm(20, 5, random_state=0)
    search = ThenDescent(short)
    result = search.minimize(Valley(), [[-2.0, 2.0], [-2.0, 2.0]])
    np.testing.assert_allclose(result.x, 1.0, atol=1e-4)
    np.testing.assert_allclose(result.x_candidates[0], result.x)
    before = short.minimize(Valley(), [[-2.0, 2.0], [-2.0, 2.0]])
    np.testing.assert_array_equal(search.x_search_, before.x)
    assert Valley()(before.x[None]) > 1e-3


class Ripples:
    """A bowl with waves of period 1 whose lowest point is (0.7, 0.7), with its gradient."""

    def __call__(self, X):
        return self.value_and_grad(X)[0]

    def value_and_grad(self, X):
        Z = X - 0.7
        values = (Z**2 - np.cos(2 * np.pi * Z)).sum(axis=1)
        return values, 2 * Z + 2 * np.pi * np.sin(2 * np.pi * Z)


WIDE = np.array([[-5.0, 5.0], [-5.0, 5.0]])


def test_an_average_over_noise_is_that_of_many_draws_and_has_its_gradient():
    average = AveragedFunction(Ripples(), WIDE, 0.05, n_points=4096)
    X = np.array([[1.0, -2.0], [4.9, -4.9]])
    noise = 0.5 * np.random.default_rng(0).standard_normal((200_000, 1, 2))
    # What leaves the box comes back as from a mirror.
    drawn = X + noise
    drawn = np.where(drawn > 5.0, 10.0 - drawn, np.where(drawn < -5.0, -10.0 - drawn, drawn))
    expected = Ripples()(drawn.reshape(-1, 2)).reshape(-1, 2).mean(axis=0)
    values, gradients = average.value_and_grad(X)
    np.testing.assert_allclose(values, expected, atol=0.05)
    for variable in range(2):
        step = 1e-5 * np.eye(2)[variable]
        slope = (average(X + step) - average(X - step)) / 2e-5
        np.testing.assert_allclose(gradients[:, variable], slope, atol=1e-5)


def test_noise_wipes_out_ripples_and_leaves_the_bowl():
    average = AveragedFunction(Ripples(), WIDE, 0.1, n_points=1024)
    line = np.column_stack([np.linspace(-1.3, 2.7, 41), np.full(41, 0.7)])
    bowl = (line[:, 0] - 0.7) ** 2
    assert np.abs(average(line) - average(line[20:21]) - bowl).max() < 0.1
    assert np.abs(Ripples()(line) - Ripples()(line[20:21]) - bowl).max() > 1.9


class Stuck:
    """A search that ends three ripples away, at the only point that it knows."""

    def check_parameters(self):
        pass

    def minimize(self, fun, bounds, x0=None):
        x = np.array([3.6, 0.7])
        return OptimizeResult(x=x, fun=float(fun(x[None])[0]), success=True, message="")


def test_a_walk_from_smoother_proxies_leaves_the_ripple_where_a_search_ended():
    search = ThenWalk(Stuck())
    result = search.minimize(Ripples(), WIDE, x0=np.array([[-2.0, 3.0], [4.0, 4.0]]))
    np.testing.assert_allclose(result.x, 0.7, atol=1e-4)
    np.testing.assert_array_equal(search.x_before_walk_, [3.6, 0.7])
    # The answer, where the search ended, and the minima of six smoother functions.
    assert len(result.x_candidates) == 9
    np.testing.assert_array_equal(result.x_candidates[0], result.x)
    np.testing.assert_allclose(Ripples()(result.x_candidates), result.fun_candidates)


class Doubted(Ripples):
    """The same with a hole in the ripple where the search ends, and an error on rows held out."""

    def __init__(self, depth, error):
        self.depth, self.error_ = depth, error
        self.proxy = self

    def value_and_grad(self, X):
        values, slopes = super().value_and_grad(X)
        apart = X - [3.6, 0.7]
        hole = self.depth * np.exp(-50 * np.square(apart).sum(axis=1))
        return values - hole, slopes + 100 * hole[:, None] * apart


@pytest.mark.parametrize(("error", "believes_hole"), [(0.1, True), (1.0, False)])
def test_a_hole_is_the_answer_where_it_is_deeper_than_the_proxy_errs(error, believes_hole):
    proxy = Doubted(10.0, error)
    result = ThenWalk(Stuck()).minimize(proxy, WIDE, x0=np.array([[-2.0, 3.0], [4.0, 4.0]]))
    gap = proxy(np.array([[0.7, 0.7]]))[0] - proxy(np.array([[3.6, 0.7]]))[0]
    assert 0.3 < gap < 2.7
    assert result.x[0] == pytest.approx(3.6 if believes_hole else 0.7, abs=1e-3)


def test_the_error_of_a_shelved_neural_proxy_is_that_on_rows_held_out(tmp_path):
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (400, 2))
    y = 50.0 * np.abs(X).sum(axis=1)
    proxy = NeuralProxyRegressor(max_epochs=20, random_state=0)
    shelved = ShelvedProxy(proxy, Shelf(tmp_path)).fit(X, y)
    new = np.random.default_rng(1).uniform(-1.0, 1.0, (2000, 2))
    error = np.sqrt(np.mean((shelved.predict(new) - 50.0 * np.abs(new).sum(axis=1)) ** 2))
    assert 0.4 < shelved.error_ / error < 2.5


def test_the_published_function_of_ten_variables_looks_at_four():
    X = np.zeros((1, 10))
    X[0, 4:] = 3.3
    assert FirstFourRastrigin(10)(X) == 0.0
    X[0, 3] = 1.0
    assert FirstFourRastrigin(10)(X) == pytest.approx(1.0)


def test_the_faulty_function_is_the_papers_alone():
    names = {
        protocol: {cell.function for cell in cells_of(protocol) if cell.dim == 10}
        for protocol in PROTOCOLS
    }
    assert names["paper"] == {"rosenbrock", "rastrigin_first_four", "ackley"}
    assert names["corrected"] == names["proxyopt"] == {"rosenbrock", "rastrigin", "ackley"}
    asked = {cell.function for cell in cells_of("paper", true_rastrigin=True)}
    assert asked == {"rosenbrock", "rastrigin", "ackley"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_has_the_27_cells_and_their_numbers_of_rows(protocol):
    cells = list(cells_of(protocol))
    assert len(set(cells)) == 27
    for cell in cells:
        n_samples = 2_500 if cell.sampling == "sparse" else 10_000
        assert cell.sampler(0).n_samples == n_samples


def test_the_published_gaussian_design_leaves_the_box_and_the_corrected_one_does_not():
    for protocol, leaves in (("paper", True), ("corrected", False)):
        cell = Cell(protocol, 10, "rosenbrock", "gaussian")
        bounds = cell.problem().bounds
        design = cell.sampler(0).sample(bounds)
        assert (np.abs(design) > bounds[0, 1]).any() == leaves


class Counted(PublishedProxy):
    n_fits = 0

    def fit(self, X, y):
        Counted.n_fits += 1
        return super().fit(X, y)


def test_a_shelved_proxy_is_trained_once_for_the_same_rows(tmp_path):
    X, y = rows(80, 0)
    proxy = Counted((4,), max_epochs=1, random_state=3)
    Counted.n_fits = 0
    first, second = (ShelvedProxy(proxy, Shelf(tmp_path)).fit(X, y) for _ in range(2))
    assert Counted.n_fits == 1
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    ShelvedProxy(proxy, Shelf(tmp_path)).fit(X, y + 1.0)
    ShelvedProxy(proxy.set_params(random_state=4), Shelf(tmp_path)).fit(X, y)
    assert Counted.n_fits == 3


def test_a_proxy_that_an_earlier_version_left_is_trained_anew(tmp_path):
    X, y = rows(80, 0)
    proxy = NeuralProxyRegressor(max_epochs=1, random_state=0)
    left = clone(proxy).fit(X, y)
    del left._trend
    Shelf(tmp_path).put(left, X, y)
    shelved = ShelvedProxy(proxy, Shelf(tmp_path)).fit(X, y)
    assert shelved.predict(X).shape == (80,)


def test_a_prediction_interval_holds_nineteen_of_twenty_further_values():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(4000):
        *known, further = rng.normal(10.0, 1.0, 5)
        low, high = prediction_interval(np.array(known))
        inside += low <= further <= high
    assert inside / 4000 == pytest.approx(0.95, abs=0.015)


def test_a_prediction_interval_of_distances_does_not_begin_below_zero():
    assert prediction_interval(np.array([0.1, 2.0, 0.2]))[0] == 0.0


@pytest.mark.parametrize("source", ["design", "training", "search"])
def test_variance_is_found_where_it_comes_from(source):
    rng = np.random.default_rng(0)
    spread = {name: 1.0 if name == source else 0.01 for name in ("design", "training", "search")}
    errors = (
        spread["design"] * rng.normal(size=(40, 1, 1))
        + spread["training"] * rng.normal(size=(40, 3, 1))
        + spread["search"] * rng.normal(size=(40, 3, 4))
    )
    shares = shares_of_variance(errors)
    assert shares[source] > 0.9
    assert shares["design"] + shares["training"] + shares["search"] == pytest.approx(1.0)
    assert shares["total"] == pytest.approx(1.0, rel=0.5)


@pytest.fixture(scope="module")
def small_study(tmp_path_factory):
    """The records of three small cells, under all protocols, and the shelf that they filled."""
    folder = tmp_path_factory.mktemp("study")

    def make_proxy(cell, seed):
        return PublishedProxy((4,), max_epochs=1, batch_size=64, random_state=seed)

    records = {}
    for name, n_networks in (("paper", 1), ("corrected", 2), ("proxyopt", 1)):
        protocol = dataclasses.replace(
            PROTOCOLS[name],
            make_proxy=make_proxy,
            n_designs=2,
            n_networks=n_networks,
            optimizers={
                "pso": PublishedSwarm(2, n_iterations=5, random_state=0),
                "ga": PublishedGenetic(2, n_generations=5, random_state=0),
            },
        )
        cell = Cell(name, 2, "ackley", "sparse")
        records[cell] = run_cell(cell, protocol, Shelf(folder))
    truth = Cell("paper", 2, "ackley", "ground_truth")
    records[truth] = run_ground_truth(truth, PROTOCOLS["paper"])
    return records


def test_a_table_has_a_row_for_each_search_and_the_columns_that_were_promised(small_study):
    frame = table(small_study, 2)
    assert list(frame.columns) == COLUMNS
    # Two searches each; those of this package before and after refinement.
    assert frame["protocol"].value_counts().to_dict() == {"paper": 4, "corrected": 2, "proxyopt": 4}
    assert (frame["ci_low"] <= frame["mean"]).all()
    assert (frame["mean"] <= frame["ci_high"]).all()
    assert frame.loc[frame["protocol"] == "corrected", "n_replicates"].eq(4).all()


def test_the_mean_of_a_table_is_that_of_all_runs(small_study):
    cell = Cell("corrected", 2, "ackley", "sparse")
    ends = np.vstack([r["ends"] for r in small_study[cell] if r["optimizer"] == "pso"])
    frame = table(small_study, 2).set_index(["protocol", "sampling", "optimizer", "refined"])
    mean = frame.loc[("corrected", "sparse", "pso", "false"), "mean"]
    assert mean == pytest.approx(np.linalg.norm(ends, axis=1).mean())


def test_refinement_stays_within_its_calls_and_leads_nearer(small_study):
    for record in small_study[Cell("proxyopt", 2, "ackley", "sparse")]:
        assert 0 < record["n_calls"] <= 120
        before = np.linalg.norm(record["ends"], axis=1).min()
        assert np.linalg.norm(record["refined"]) <= before + 1e-9


def test_errors_are_split_at_the_lowest_point_that_any_search_found(small_study):
    frame = decomposition(small_study)
    assert list(frame["optimizer"]) == ["pso", "ga"]
    # The triangle inequality, and one proxy for both searches.
    assert (frame["error"] <= frame["proxy_error"] + frame["search_error"] + 1e-12).all()
    assert frame["proxy_error"].nunique() == 1
    shares = frame[["design_percent", "training_percent", "search_percent"]].sum(axis=1)
    np.testing.assert_allclose(shares, 100.0)


def test_the_comparison_says_whether_the_papers_mean_lies_inside(small_study):
    published = pd.DataFrame(
        {
            "dim": [2],
            "function": ["ackley"],
            "sampling": ["sparse"],
            "pso_mean": [1e6],
            "ga_mean": [table(small_study, 2).query("protocol == 'paper'")["mean"].iloc[-1]],
        }
    )
    compared = comparison(table(small_study, 2), published).set_index("optimizer")
    assert not compared.loc["pso", "inside"]
    assert compared.loc["ga", "inside"]


def test_a_table_of_one_protocol_alone_is_shown_too(small_study):
    corrected = {cell: r for cell, r in small_study.items() if cell.protocol == "corrected"}
    published = pd.DataFrame(
        {
            "dim": [2],
            "function": ["ackley"],
            "sampling": ["sparse"],
            "pso_mean": 1.0,
            "ga_mean": 2.0,
        }
    )
    compared = comparison(table(corrected, 2), published)
    shown = side_by_side(compared.merge(other_searches(corrected), how="left"))
    assert shown["paper"].tolist() == ["1.00", "2.00"]
    assert shown["its code"].tolist() == ["", ""]
    assert (shown["corrected"] != "").all()


def test_cells_are_read_back_from_their_files(small_study, tmp_path):
    import json

    for cell, records in small_study.items():
        (tmp_path / f"{cell.name}.json").write_text(json.dumps(records))
    assert load_cells(tmp_path) == small_study
