import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt.optimizers import GeneticAlgorithm, MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.proxies._member_rows import MemberBatches, MemberRows
from sklearn_proxyopt.proxies._net import n_groups_for
from sklearn_proxyopt.proxies._network import ACTIVATIONS

quick = partial(
    NeuralProxyRegressor,
    hidden_layer_sizes=(16, 16),
    n_members=3,
    max_epochs=20,
    batch_size=32,
    random_state=0,
)
# The same rows in another batch may be summed in another order.
ROUNDING = {"rtol": 1e-8, "atol": 1e-10}


def wave(n_rows=300, seed=0):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (n_rows, 2))
    return X, np.sin(3 * X[:, 0]) * np.exp(X[:, 1])


@pytest.fixture(scope="module")
def fitted():
    X, y = wave()
    return quick(features="random", spread=3.0).fit(X, y), X


def test_the_prediction_is_the_mean_of_the_members_and_the_spread_their_standard_deviation(fitted):
    proxy, X = fitted
    members = proxy.predict_members(X)
    assert members.shape == (3, 300)
    mean, std = proxy.predict(X, return_std=True)
    np.testing.assert_allclose(mean, members.mean(axis=0))
    np.testing.assert_allclose(std, members.std(axis=0, ddof=1))
    np.testing.assert_array_equal(mean, proxy.predict(X))


def test_members_differ(fitted):
    proxy, X = fitted
    members = proxy.predict_members(X)
    assert all(np.abs(members[i] - members[j]).max() > 1e-3 for i, j in [(0, 1), (0, 2), (1, 2)])


def test_the_spread_is_larger_far_from_the_rows(fitted):
    proxy, X = fitted
    near = proxy.predict(X, return_std=True)[1].mean()
    far = proxy.predict(X + 3.0, return_std=True)[1].mean()
    assert far > 5 * near


@pytest.mark.parametrize("of", [{"member": 1}, {"n_std": 2.0}, {"n_std": -1.0}, {}], ids=repr)
def test_value_and_gradient_are_those_of_mean_member_or_bound(fitted, of):
    proxy, X = fitted
    points, step = X[:10], 1e-6
    members = proxy.predict_members(points)
    expected = members.mean(axis=0) - of.get("n_std", 0.0) * members.std(axis=0, ddof=1)
    if "member" in of:
        expected = members[of["member"]]
    value, gradient = proxy.value_and_grad(points, **of)
    np.testing.assert_allclose(value, expected, **ROUNDING)
    for j in range(2):
        moved = step * np.eye(2)[j]
        ahead, behind = (proxy.value_and_grad(points + s * moved, **of)[0] for s in (1, -1))
        np.testing.assert_allclose(gradient[:, j], (ahead - behind) / (2 * step), rtol=1e-3)


def test_members_answer_rows_of_their_own_together_as_alone(fitted):
    proxy, X = fitted
    rows = torch.tensor(X[:30]).view(3, 10, 2)
    with torch.no_grad():
        together = proxy.torch_module().members(rows)[:, :, 0].numpy()
    for k in range(3):
        alone = proxy.predict_members(X[10 * k : 10 * k + 10])[k]
        np.testing.assert_allclose(together[k], alone, **ROUNDING)


@pytest.fixture
def on_threads():
    """Call a function under several numbers of torch threads; return what it gives each time."""
    before = torch.get_num_threads()

    def call(function):
        results = []
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            results.append(function())
            assert torch.get_num_threads() == n_threads
        return results

    yield call
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_groups", [1, 3])
def test_the_number_of_threads_changes_no_bit(monkeypatch, on_threads, n_groups):
    X, y = wave()
    # Wide enough for torch to share a layer among its threads.
    proxy = quick(hidden_layer_sizes=(128, 129), max_epochs=3, n_lbfgs_iterations=2, batch_size=96)
    monkeypatch.setattr("sklearn_proxyopt.proxies._net._ROWS_A_GROUP", 3 * 96 // n_groups)
    one, *others = on_threads(lambda: proxy.fit(X, y).predict_members(X))
    assert len(proxy.net_.module_.groups) == n_groups
    for other in others:
        np.testing.assert_array_equal(other, one)


OPTIMIZERS = [
    MultiStartBFGS(40, 5, n_rounds=1, n_candidates=1024, random_state=0),
    ParticleSwarm(300, 5, random_state=0),
    ParticleSwarm(100, 5, n_restarts=3, random_state=0),
    GeneticAlgorithm(300, 5, random_state=0),
]


@pytest.mark.parametrize("ask", ["predict_members", "value_and_grad", *OPTIMIZERS], ids=str)
def test_the_number_of_threads_changes_no_bit_of_an_answer(on_threads, ask):
    X, y = wave()
    proxy = quick(hidden_layer_sizes=(30, 31), max_epochs=2).fit(X, y)

    def answer():
        if isinstance(ask, str):
            return getattr(proxy, ask)(wave(9001, seed=1)[0])
        return ask.minimize(RegressorFunction(proxy), [(-1, 1)] * 2).x_candidates

    one, *others = on_threads(answer)
    for other in others:
        for ours, theirs in zip(other, one, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_networks_are_trained_asked_and_searched_on_one_thread(monkeypatch, on_threads):
    seen = set()

    def silu(x):
        seen.add(torch.get_num_threads())
        return torch.nn.functional.silu(x)

    def everything():
        X, y = wave()
        proxy = quick(max_epochs=1, n_lbfgs_iterations=1).fit(X, y)
        proxy.predict(X)
        proxy.value_and_grad(X)
        for optimizer in OPTIMIZERS:
            optimizer.minimize(RegressorFunction(proxy), [(-1, 1)] * 2)

    monkeypatch.setitem(ACTIVATIONS, "silu", silu)
    on_threads(everything)
    assert seen == {1}


def test_a_member_is_trained_as_it_would_be_in_a_stack_of_one():
    X, y = wave()
    alone = quick(n_members=1, trend="constant", features=None, patience=None)
    losses = {}
    for n_members in (1, 8):
        proxy = clone(alone).set_params(n_members=n_members, max_epochs=60).fit(X, y)
        losses[n_members] = np.mean((proxy.predict_members(X) - y) ** 2, axis=1)
    # The stack neither helps nor hinders a member: its errors scatter around that of one alone.
    assert losses[8].min() / 3 < losses[1][0] < 3 * losses[8].max()


def test_the_mean_of_members_errs_less_than_a_member():
    X, y = wave(400)
    noisy = y + 0.3 * np.random.default_rng(1).standard_normal(400)
    X_new, y_new = wave(1000, seed=2)
    proxy = quick(n_members=10, trend="constant", features=None).fit(X, noisy)
    errors = np.square(proxy.predict_members(X_new) - y_new).mean(axis=1)
    assert np.square(proxy.predict(X_new) - y_new).mean() < errors.mean()


def test_each_member_of_a_bootstrap_has_rows_and_a_trend_of_its_own():
    X, y = wave()
    proxy = quick(trend="quadratic", bootstrap=True, max_epochs=1).fit(X, y)
    trends = proxy._recipe.trend.coefficients[:, :, 0].numpy()
    assert trends.shape == (3, 6)
    assert np.abs(trends[0] - trends[1]).max() > 1e-3
    lone = proxy.value_and_grad(X, member=2)[0]
    np.testing.assert_allclose(lone, proxy.predict_members(X)[2], **ROUNDING)


def test_two_members_share_out_the_rows_in_halves_and_the_next_two_do_so_anew():
    X, y = wave()
    proxy = quick(n_members=5, bootstrap="halves", max_epochs=1, validation_fraction=0.0).fit(X, y)
    first, second, third, fourth, fifth = map(set, proxy.member_rows_)
    assert first | second == third | fourth == set(range(300))
    assert len(first) == len(second) == len(fifth) == 150
    assert first not in (third, fourth)


def test_rows_without_weight_are_in_no_half():
    X, y = wave()
    weight = np.arange(300) % 3
    proxy = quick(n_members=2, bootstrap="halves", max_epochs=1).fit(X, y, weight)
    assert (weight[proxy.member_rows_] > 0).all()


def test_several_targets_have_members_too():
    X, y = wave()
    proxy = quick().fit(X, np.column_stack([y, -y]))
    assert proxy.predict_members(X).shape == (3, 300, 2)
    assert proxy.predict(X, return_std=True)[1].shape == (300, 2)


class Line(torch.nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.line = torch.nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.line(x)


def test_modules_of_the_user_are_members_too():
    X, y = wave()
    proxy = quick(module=Line, trend="constant", max_epochs=3).fit(X, y)
    assert proxy.predict_members(X).shape == (3, 300)
    assert len({id(group.module) for group in proxy.net_.module_.groups}) == 3


def test_a_pickled_ensemble_predicts_the_same(fitted):
    proxy, X = fitted
    again = pickle.loads(pickle.dumps(proxy))
    np.testing.assert_array_equal(again.predict_members(X), proxy.predict_members(X))


class HeldOutLosses(Callback):
    def on_train_begin(self, net, X=None, **kwargs):
        self.each_epoch, self.held_out = [], net.train_split(X)[1]

    def on_epoch_end(self, net, **kwargs):
        self.each_epoch.append(net.member_losses_)

    def on_train_end(self, net, **kwargs):
        (batch,) = net.get_iterator(self.held_out, training=False)
        self.at_the_end = net.validation_step(batch)["loss"]


def test_each_member_keeps_its_own_best_weights():
    X, y = wave(200)
    noisy = y + np.random.default_rng(0).standard_normal(200)
    watch = HeldOutLosses()
    quick(max_epochs=200, patience=None, callbacks=[watch]).fit(X, noisy)
    losses = torch.stack(watch.each_epoch)
    assert len(set(losses.argmin(dim=0).tolist())) > 1
    torch.testing.assert_close(watch.at_the_end, losses.min(dim=0).values)


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("batch_size", [32, 200])
def test_a_last_stage_of_lbfgs_lowers_the_loss_of_every_member(monkeypatch, bootstrap, batch_size):
    # With the larger batches each member is a group of its own.
    monkeypatch.setattr("sklearn_proxyopt.proxies._net._ROWS_A_GROUP", 200)
    X, y = wave(200)
    make = partial(
        quick, validation_fraction=0.0, bootstrap=bootstrap, batch_size=batch_size, features=None
    )
    before, after = (
        np.square(make(n_lbfgs_iterations=n).fit(X, y).predict_members(X) - y).mean(axis=1)
        for n in (0, 100)
    )
    assert (after < 0.3 * before).all()


def test_a_last_stage_of_lbfgs_keeps_the_weights_of_the_lowest_held_out_loss():
    X, y = wave(200)
    noisy = y + np.random.default_rng(0).standard_normal(200)
    watch = HeldOutLosses()
    proxy = quick(max_epochs=5, n_lbfgs_iterations=100, callbacks=[watch], features=None)
    proxy.fit(X, noisy)
    (batch,) = proxy.net_.get_iterator(watch.held_out, training=False)
    assert (proxy.net_.validation_step(batch)["loss"] <= watch.at_the_end + 1e-12).all()


def test_lbfgs_is_not_for_a_module_of_the_user():
    X, y = wave(60)
    with pytest.raises(ValueError, match="n_lbfgs_iterations must be 0 with a module of your own"):
        quick(module=Line, n_lbfgs_iterations=5).fit(X, y)


def test_the_number_of_groups_depends_on_sizes_alone():
    assert n_groups_for(10, 8, "cpu") == n_groups_for(10, 64, "cpu") == 1
    assert n_groups_for(10, 10_000, "cpu") == 10
    assert n_groups_for(10, 10_000, "cuda") == 1


def test_each_member_sees_every_row_once_an_epoch_in_its_own_order():
    rows = torch.arange(50.0)[:, None]
    dataset = MemberRows(rows, rows[None], torch.ones(50), torch.arange(50)[None])
    batches = list(MemberBatches(dataset, 8, n_members=2))
    assert [X.shape for X, _ in batches] == [(2, 8, 1)] * 6 + [(2, 2, 1)]
    seen = torch.cat([X for X, _ in batches], dim=1)[:, :, 0]
    assert torch.equal(seen.sort(dim=1).values, rows[:, 0].expand(2, -1))
    assert not torch.equal(seen[0], seen[1])
    assert all(torch.equal(X, y) for X, (y, _) in batches)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, X: p.predict(X, return_std=True), "n_members must be at least 2 for return_std"),
        (lambda p, X: p.value_and_grad(X, n_std=1.0), "n_members must be at least 2 for n_std=1.0"),
        (lambda p, X: p.value_and_grad(X, n_std="2"), "n_std must be a finite number"),
        (lambda p, X: p.value_and_grad(X, member=1), "member must be an integer from 0 to 0"),
    ],
)
def test_what_one_member_cannot_give_is_refused(call, message):
    X, y = wave(60)
    proxy = quick(n_members=1, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=message):
        call(proxy, X)


def test_a_member_has_no_spread(fitted):
    proxy, X = fitted
    with pytest.raises(ValueError, match=r"n_std must be 0 with member=1; got 1\.0"):
        proxy.value_and_grad(X, member=1, n_std=1.0)


def test_a_warm_start_with_another_number_of_members_is_refused():
    X, y = wave(60)
    proxy = quick(warm_start=True, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="n_members must be the 3 of the fit"):
        proxy.set_params(n_members=4).fit(X, y)


@pytest.mark.parametrize("features", ["random", "axes"])
def test_frequencies_are_learned_unless_they_are_to_stay(features):
    X, y = wave()
    make = partial(quick, features=features, spread=4.0, trend="constant", n_members=1)
    sizes = {
        learned: make(learn_frequencies=learned).fit(X, y).net_.module_.groups[0].weights.shape[1]
        for learned in (True, False)
    }
    # Two frequencies and a phase a feature.
    assert sizes[True] - sizes[False] == 3 * 128


def test_features_along_the_axes_learn_a_product_of_waves():
    X, _ = wave(2000)
    y = np.sin(12 * X[:, 0]) * np.sin(12 * X[:, 1])
    X_new, _ = wave(500, seed=1)
    y_new = np.sin(12 * X_new[:, 0]) * np.sin(12 * X_new[:, 1])
    proxy = NeuralProxyRegressor(features="axes", max_epochs=80, random_state=0).fit(X, y)
    assert proxy.features_ == "axes"
    assert proxy.score(X_new, y_new) > 0.99
