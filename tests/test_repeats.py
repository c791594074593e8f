"""Repeats of a setting are evaluations of their own, and one setting."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.model_selection import cross_validate

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.evaluation import EvaluationRecord, Evaluator, Journal
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[0.0, 4.0], [10.0, 50.0]])


def bowl(X):
    X = np.asarray(X)
    return (X[:, 0] - 1.3) ** 2 + ((X[:, 1] - 20.0) / 20.0) ** 2


class Noisy:
    """A bowl with noise, other noise in every call."""

    def __init__(self, seed=0, std=0.5):
        self.rng, self.std, self.asked = np.random.default_rng(seed), std, []

    def __call__(self, X):
        self.asked.extend(map(tuple, X))
        return bowl(X) + self.std * self.rng.standard_normal(len(X))


def optimizer(**params):
    settings = {
        "proxy": GaussianProcessRegressor(alpha=0.1, normalize_y=True),
        "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
        "noise_std": None,
        "verdict": False,
        "vectorized": True,
        "random_state": 0,
    }
    return ProxyOptimizer(**{**settings, **params})


def by_setting(X, y):
    settings, place = np.unique(X, axis=0, return_inverse=True)
    place = place.ravel()
    means = [y[place == i].mean() for i in range(len(settings))]
    return settings, np.array(means), np.bincount(place)


@pytest.mark.parametrize("refiner", ["auto", None])
def test_every_setting_is_evaluated_so_often_and_the_answer_is_the_lowest_mean(refiner):
    fun = Noisy()
    opt = optimizer(n_repeats=3, refiner=refiner, budget=40)
    result = opt.minimize(fun, BOX)
    settings, means, counts = by_setting(opt.X_, opt.y_)
    assert set(counts) == {3}
    assert len(fun.asked) == result.nfev == len(opt.X_) == opt.n_evaluations_
    assert len(fun.asked) <= 40
    assert result.fun == pytest.approx(means.min(), rel=1e-12)
    np.testing.assert_array_equal(result.x, settings[means.argmin()])


def test_the_best_row_of_a_table_with_repeats_is_the_one_of_the_lowest_mean():
    X = np.repeat(SobolSampler(12, random_state=0).sample(BOX), 3, axis=0)
    y = bowl(X)
    y[30:33] = -9.0, 10.0, 10.0
    opt = optimizer().fit(X, y)
    settings, means, _ = by_setting(X, y)
    assert opt.fun_best_row_ == pytest.approx(means.min(), rel=1e-12)
    np.testing.assert_array_equal(opt.x_best_row_, settings[means.argmin()])
    assert opt.n_learned_ == 36


def test_given_repeats_are_not_evaluated_again_and_missing_ones_are():
    sampler = SobolSampler(8, random_state=0)
    design = sampler.sample(BOX)
    given = np.vstack([np.repeat(design[:2], 3, axis=0), design[2:3]])
    fun = Noisy()
    opt = optimizer(sampler=sampler, refiner=None, n_repeats=2)
    opt.minimize(fun, BOX, X=given, y=Noisy(1)(given))
    asked = [sum(tuple(x) == one for one in fun.asked) for x in design]
    assert asked == [0, 0, 1, 2, 2, 2, 2, 2]


def test_repeats_told_at_once_are_kept_and_told_again_they_are_the_same(tmp_path):
    path = tmp_path / "runs.sqlite"
    X = np.repeat(SobolSampler(4, random_state=0).sample(BOX), 3, axis=0)
    y = np.tile([1.0, 1.0, 2.0], 4)
    opt = optimizer(bounds=BOX, journal=path)
    for _ in range(2):
        opt.tell(X, y)
        np.testing.assert_array_equal(opt.y_, y)
    opt.tell(X[:1], [3.0])
    assert len(opt.y_) == 13
    frame = Journal(path).to_frame()
    assert frame["repeat"].tolist() == [0, 1, 2] * 4 + [3]
    again = optimizer(bounds=BOX, journal=path)
    again.ask(1)
    np.testing.assert_array_equal(again.y_, opt.y_)


def test_a_number_of_repeats_is_kept_to_where_values_have_noise():
    opt = optimizer(n_repeats=3, budget=60, noise_std="auto")
    result = opt.minimize(Noisy(), BOX)
    assert result.fun_std > 0.0
    assert set(by_setting(opt.X_, opt.y_)[2]) == {3}


def test_repeats_of_two_labels_tell_the_noise():
    rng = np.random.default_rng(0)

    def fun(sample):
        return (sample["s"] == "u") + 0.5 * rng.standard_normal()

    opt = ProxyOptimizer(sampler=SobolSampler(2), n_repeats=5, verdict=False, random_state=0)
    result = opt.minimize(fun, {"s": ["u", "v"]}, budget=12)
    scatter = np.sqrt(np.mean([opt.y_[opt.X_[:, 0] == code].var(ddof=1) for code in (0, 1)]))
    assert opt.noise_std_ == pytest.approx(scatter)
    assert opt.noise_std_ / np.sqrt(5) < result.fun_std < opt.noise_std_


def test_clones_and_folds_share_repeats_in_order():
    fun = Noisy()
    opt = optimizer(objective=fun, bounds=BOX, sampler=SobolSampler(8, random_state=0), n_repeats=3)
    X = SobolSampler(16, random_state=1).sample(BOX)
    first = opt.fit(X, bowl(X))
    assert len(fun.asked) == 24
    other = clone(opt).fit(X, bowl(X))
    cross_validate(opt, X, bowl(X), cv=3)
    assert len(fun.asked) == 24
    np.testing.assert_array_equal(other.y_, first.y_)
    more = clone(opt).set_params(n_repeats=4).fit(X, bowl(X))
    assert len(fun.asked) == 32
    np.testing.assert_array_equal(more.y_[np.arange(32) % 4 < 3], first.y_)


def test_a_run_that_was_killed_goes_on_with_the_repeats_of_its_journal(tmp_path):
    path = tmp_path / "runs.sqlite"
    settings = {"n_repeats": 3, "budget": 45, "journal": path}

    class Killed(Noisy):
        def __call__(self, X):
            if len(self.asked) > 20:
                raise KeyboardInterrupt
            return super().__call__(X)

    with pytest.raises(KeyboardInterrupt):
        optimizer(**settings).minimize(Killed(), BOX)
    fun = Noisy(1)
    before = len(Journal(path))
    opt = optimizer(**settings)
    opt.minimize(fun, BOX)
    frame = Journal(path).to_frame()
    assert len(frame) == before + len(fun.asked) == len(opt.X_)
    assert set(frame["repeat"]) == {0, 1, 2}
    assert Journal(path).check() == []


def test_a_failed_repeat_leaves_the_mean_of_the_others():
    class Failing(Noisy):
        def __call__(self, X):
            y = super().__call__(X)
            y[:: len(y) // 2 or 1] = np.nan
            return y

    opt = optimizer(n_repeats=2, on_error="drop", sampler=SobolSampler(8), refiner=None)
    with pytest.warns(UserWarning, match="evaluations failed"):
        result = opt.minimize(Failing(), BOX)
    assert len(opt.X_failed_) >= 2
    _, means, _ = by_setting(opt.X_, opt.y_)
    assert result.fun == pytest.approx(means.min(), rel=1e-12)


def test_an_exact_function_gives_the_same_answer_with_repeats():
    one = optimizer(budget=24).minimize(bowl, BOX)
    repeated = optimizer(budget=48, n_repeats=2).minimize(bowl, BOX)
    assert repeated.nfev == 2 * one.nfev
    assert repeated.fun == bowl(repeated.x[None])[0]
    np.testing.assert_allclose([repeated.fun, one.fun], 0.0, atol=1e-4)


def test_a_front_of_values_that_count_as_exact_is_that_of_their_means():
    rng = np.random.default_rng(0)

    def two(X):
        clean = np.column_stack([bowl(X), bowl(X - [1.0, 10.0])])
        return clean + 0.1 * rng.standard_normal(clean.shape)

    opt = ParetoOptimizer(
        n_repeats=2, budget=40, n_rounds=1, noise_std=None, vectorized=True, random_state=0
    )
    result = opt.minimize(two, BOX)
    settings, place = np.unique(opt.X_, axis=0, return_inverse=True)
    place = place.ravel()
    means = np.array([opt.y_[place == i].mean(axis=0) for i in range(len(settings))])
    assert set(np.bincount(place)) == {2}
    for x, f in zip(result.X, result.F, strict=True):
        np.testing.assert_allclose(f, means[(settings == x).all(axis=1)][0], rtol=1e-12)


@pytest.mark.parametrize("wrong", [0, 1.5, None])
def test_a_wrong_number_of_repeats_is_refused(wrong):
    with pytest.raises(ValueError, match="n_repeats must be an integer"):
        optimizer(n_repeats=wrong).minimize(bowl, BOX)


def test_an_evaluator_knows_repeats_by_their_number():
    fun = Noisy()
    evaluate = Evaluator(fun, vectorized=True)
    X = SobolSampler(4, random_state=0).sample(BOX)
    first = evaluate(X)
    second = evaluate(X, repeats=np.ones(4, dtype=int))
    assert (first != second).all()
    np.testing.assert_array_equal(evaluate(X), first)
    np.testing.assert_array_equal(evaluate(X, repeats=np.ones(4, dtype=int)), second)
    assert evaluate.n_calls == 8


def test_a_record_keeps_the_values_of_repeats_apart():
    record, x = EvaluationRecord(), np.array([1.0, 2.0])
    record.add(x, 3.0)
    record.add(x, 4.0, repeat=1)
    assert (record.get(x), record.get(x, 1), record.get(x, 2)) == (3.0, 4.0, None)
    np.testing.assert_array_equal(record.rows(2)[1], [3.0, 4.0])
