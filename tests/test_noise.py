"""Values with noise: the answer is an estimate, not the luckiest row."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.ensemble import RandomForestRegressor

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt._run._known_noise import with_doubt
from sklearn_proxyopt._run._noise import ByOthers, NoiseWatch, Repeat
from sklearn_proxyopt._run._stopping import StoppingCriteria
from sklearn_proxyopt._utils._dataset import Dataset
from sklearn_proxyopt._utils._stopping import StopRun
from sklearn_proxyopt.infill import ExpectedImprovement, Knowledge
from sklearn_proxyopt.optimizers import MultiStartBFGS
from sklearn_proxyopt.proxies import KernelProxyRegressor
from sklearn_proxyopt.samplers import LatinHypercubeSampler
from sklearn_proxyopt.variables import Integer

BOX = np.tile([-2.0, 3.0], (2, 1))


def bowl(X):
    """Return values from 0, which span about 20 and are never below 0."""
    return (np.square(np.asarray(X, dtype=np.float64) - 0.4)).sum(axis=1)


class Noisy:
    def __init__(self, std, seed=0, fun=bowl):
        self.rng, self.std, self.fun, self.n_calls = np.random.default_rng(seed), std, fun, 0

    def __call__(self, X):
        self.n_calls += len(X)
        return self.fun(X) + self.std * self.rng.standard_normal(len(X))


def optimizer(**params):
    quick = MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64)
    settings = {"optimizer": quick, "verdict": False, "vectorized": True, "random_state": 0}
    return ProxyOptimizer(**{**settings, **params})


@pytest.fixture(scope="module")
def noisy_runs():
    """Return runs on a bowl in four variables; nothing says that there is noise."""
    box = np.tile([-2.0, 3.0], (4, 1))
    runs = []
    for seed in range(3):
        opt = optimizer(random_state=seed)
        runs.append((opt, opt.minimize(Noisy(1.0, seed), box, budget=50)))
    return runs


def test_with_noise_the_answer_is_an_estimate_and_not_the_luckiest_row(noisy_runs):
    for opt, result in noisy_runs:
        assert result.nfev == 50
        assert result.fun > result.fun_lowest == opt.y_.min()
        np.testing.assert_array_equal(result.x_lowest, opt.X_[opt.y_.argmin()])
        assert (result.x == opt.X_).all(axis=1).any()
        assert opt.fun_ == result.fun
        assert result.interval.mean() == pytest.approx(result.fun)
        assert "estimated from noisy values" in str(result)
    truth = np.array([bowl(result.x[None])[0] for _, result in noisy_runs])
    lucky = np.array([bowl(result.x_lowest[None])[0] for _, result in noisy_runs])
    assert np.median(truth) < 0.5
    assert np.median(truth) < np.median(lucky)


def test_the_interval_tells_how_far_off_the_estimate_is(noisy_runs):
    scores = [(bowl(result.x[None])[0] - result.fun) / result.fun_std for _, result in noisy_runs]
    assert np.abs(scores).max() < 4.0
    assert all(0.0 < result.fun_std < 1.0 for _, result in noisy_runs)


def test_noise_is_found_by_a_repeat_and_its_size_is_told(noisy_runs):
    found = [opt.noise_std_ for opt, _ in noisy_runs]
    assert np.median(found) == pytest.approx(1.0, rel=0.5)
    for opt, _ in noisy_runs:
        assert len(np.unique(opt.X_, axis=0)) < len(opt.X_)


def test_the_highest_is_sought_in_the_users_sign():
    opt = optimizer(noise_std=1.0)
    result = opt.maximize(Noisy(1.0, fun=lambda X: -bowl(X)), BOX, budget=30)
    assert result.fun < result.fun_lowest == opt.y_.max()
    assert result.fun_std > 0.0
    assert bowl(result.x[None])[0] < 1.0


def ripples(X):
    return bowl(X) + np.cos(12.0 * np.asarray(X)).sum(axis=1)


@pytest.mark.parametrize("fun", [bowl, ripples])
def test_an_exact_function_is_answered_to_the_bit(fun):
    results = [
        optimizer(noise_std=noise_std).minimize(fun, BOX, budget=40) for noise_std in ("auto", None)
    ]
    for result in results:
        assert result.fun == result.fun_lowest == fun(result.x[None])[0]
        assert result.fun_std == 0.0
    if fun is bowl:
        assert results[0].fun == results[1].fun
        np.testing.assert_array_equal(results[0].x, results[1].x)


def steep(X):
    """Return values from 0 that span decades, with most of the box far above the best decile."""
    Z = 2.0 * (np.asarray(X) - 0.4)
    line = 0.5 * Z @ np.arange(1, Z.shape[1] + 1)
    return np.square(Z).sum(axis=1) + line**2 + line**4


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.WildValuesWarning")
def test_noise_that_no_fit_suspects_is_found_too():
    for seed in range(2):
        fun = Noisy(0.5, seed, steep)
        result = optimizer(random_state=seed).minimize(fun, np.tile(BOX[0], (4, 1)), budget=24)
        assert result.fun_std > 0.0
        assert result.nfev == fun.n_calls == 24


@pytest.mark.parametrize(
    ("space", "budget"), [({"kind": ["good", "bad"]}, 12), ({"n": Integer(0, 8)}, 30)]
)
def test_noise_is_looked_for_where_few_settings_are_soon_used_up(space, budget):
    fun = Noisy(0.3, fun=lambda X: np.asarray(X, dtype=np.float64)[:, 0])
    opt = optimizer(proxy="gp", input_format="array")
    result = opt.minimize(fun, space, budget=budget)
    assert fun.n_calls == result.nfev == budget
    assert result.fun_std > 0.0
    assert result.x[0] <= 1.0


def test_of_few_settings_without_noise_none_is_evaluated_twice_but_the_best():
    fun = Noisy(0.0, fun=lambda X: np.square(np.asarray(X, dtype=np.float64)[:, 0] - 2.0))
    optimizer(proxy="gp").minimize(fun, [Integer(0, 5)], budget=30)
    assert fun.n_calls in (6, 7)


@pytest.mark.parametrize("fun", [steep, ripples])
def test_to_find_no_noise_takes_one_evaluation_at_most(fun):
    opt = optimizer()
    result = opt.minimize(fun, BOX, budget=40)
    assert result.fun_std == 0.0
    assert len(opt.X_) - len(np.unique(opt.X_, axis=0)) == 1


def test_noise_could_hide_unless_the_best_value_is_predicted_narrowly():
    data = Dataset.of(np.zeros((3, 1)), np.array([0.0, 4.0, 8.0]))
    for mean, std, expected in [(0.0, 0.0, True), (1e-3, 1e-3, True), (0.0, 0.1, False)]:
        others = ByOthers(np.array([0.0]), np.array([mean]), np.array([std]))
        assert others.is_narrow(data) is expected
    assert not ByOthers(np.array([0.0]), np.array([-0.1]), np.array([0.0])).is_narrow(data)


def test_noise_that_is_known_needs_no_repeat_to_be_believed():
    fun = Noisy(0.5)
    opt = optimizer(noise_std=0.5)
    result = opt.minimize(fun, BOX, budget=24)
    assert opt.noise_std_ == 0.5
    assert result.fun_std > 0.0
    assert fun.n_calls == 24


def test_stated_noise_is_searched_as_exact_values_are_at_first():
    rows = []
    for noise_std in (0.5, None):
        opt = optimizer(noise_std=noise_std)
        opt.minimize(Noisy(0.5), BOX, budget=20)
        rows.append(opt.X_)
    # A design of six samples, and half of the other evaluations.
    np.testing.assert_array_equal(rows[0][:13], rows[1][:13])
    assert (rows[0][13:] != rows[1][13:]).any(axis=1).all()


def test_a_lucky_value_reaches_no_target():
    opt = optimizer(noise_std=1.0)
    result = opt.minimize(Noisy(1.0), BOX, budget=40, target=-0.7)
    assert result.fun_lowest < -0.7 < 0.0 <= bowl(result.x[None])[0]
    assert result.nfev == 40


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_a_target_is_repeated_before_noise_is_known(seed):
    opt = optimizer(random_state=seed)
    result = opt.minimize(Noisy(1.0, seed), BOX, budget=24, target=-0.5)
    assert result.fun_lowest < -0.5
    assert len(np.unique(opt.X_, axis=0)) < len(opt.X_)
    assert result.fun > result.fun_lowest


def test_a_target_of_an_exact_function_takes_one_repeat_at_most():
    calls = {}
    for noise_std in ("auto", None):
        fun = Noisy(0.0, fun=ripples)
        opt = optimizer(noise_std=noise_std)
        result = opt.minimize(fun, BOX, budget=50, target=-1.5)
        assert result.message.startswith("The target of -1.5 was reached after")
        assert result.fun == fun.fun(result.x[None])[0] <= -1.5
        calls[noise_std] = fun.n_calls
    assert calls["auto"] - calls[None] in (0, 1)


def test_an_estimate_reaches_a_target():
    opt = optimizer(noise_std=0.3)
    result = opt.minimize(Noisy(0.3), BOX, budget=60, target=0.5)
    assert "target of 0.5 was reached" in result.message
    assert result.nfev < 60
    assert result.fun < 0.6


def test_an_estimate_that_may_be_too_low_reaches_no_target():
    stopping = StoppingCriteria(target=0.0)
    stopping.begin(np.array([3.0]))
    stopping.estimate(-1.0, 0.5)
    assert not stopping.reaches_target
    stopping.count(5, np.array([-2.0]))
    with pytest.raises(StopRun, match="was reached after 5 evaluations"):
        stopping.estimate(-0.5, -0.1)


def test_patience_counts_evaluations_that_improve_no_estimate():
    stopping = StoppingCriteria(patience=10)
    stopping.begin(np.array([3.0]))
    stopping.read_estimates()
    # Nothing was estimated that could have been improved.
    stopping.count(20, np.array([2.0]))
    stopping.estimate(1.0, 1.5)
    stopping.count(6, np.array([0.1]))
    stopping.estimate(0.9, 1.2)
    stopping.count(6, np.array([0.0]))
    stopping.estimate(0.95, 1.1)
    with pytest.raises(StopRun, match="no gain within 12 evaluations"):
        stopping.count(6, np.array([-1.0]))


def test_repeats_in_a_table_say_that_values_have_noise():
    X = LatinHypercubeSampler(10, random_state=0).sample(BOX)
    X = np.repeat(X, 2, axis=0)
    fun = Noisy(0.5)
    result = optimizer().minimize(fun, BOX, X=X, y=fun(X), budget=8)
    assert result.fun_std > 0.0
    exact = optimizer().minimize(bowl, BOX, X=X, y=bowl(X), budget=8)
    assert exact.fun_std == 0.0


def test_a_proxy_that_knows_nothing_of_noise_leaves_the_estimates_to_one_that_does():
    opt = optimizer(proxy=RandomForestRegressor(20), noise_std=0.5)
    result = opt.minimize(Noisy(0.5), BOX, budget=24)
    assert result.fun_std > 0.0
    assert not hasattr(opt, "noise_std_")


def test_integers_are_repeated_where_there_is_nothing_new():
    space = [Integer(0, 3), Integer(0, 3)]
    opt = optimizer(noise_std=1.0)
    result = opt.minimize(Noisy(1.0, fun=lambda X: bowl(X / 2.0)), space, budget=40)
    assert result.nfev == 40
    assert len(np.unique(opt.X_, axis=0)) <= 16
    np.testing.assert_array_less(np.abs(result.x - 0.8), 1.5)


def test_the_noise_is_handed_to_the_proxy():
    X = LatinHypercubeSampler(30, random_state=0).sample(BOX)
    for noise_std, expected in ((0.3, 0.3), (None, 0.0)):
        opt = optimizer(noise_std=noise_std, proxy=KernelProxyRegressor()).fit(X, bowl(X))
        assert opt.noise_std_ == opt.proxy_.noise_std_ == expected
        assert opt.proxy.noise_std == "auto"
    kept = optimizer(proxy=KernelProxyRegressor(noise_std=0.2)).fit(X, bowl(X))
    assert kept.noise_std_ == 0.2


def test_a_front_hands_the_noise_of_each_output_to_its_proxy():
    X = LatinHypercubeSampler(30, random_state=0).sample(BOX)
    y = np.column_stack([bowl(X), bowl(X - 1.0)])
    opt = ParetoOptimizer(noise_std=[0.1, 0.2], random_state=0).fit(X, y)
    np.testing.assert_array_equal(opt.noise_std_, [0.1, 0.2])


def test_a_saved_answer_keeps_its_interval(tmp_path):
    opt = optimizer(noise_std=0.5)
    result = opt.minimize(Noisy(0.5), BOX, budget=24)
    opt.save(tmp_path / "run")
    again = optimizer(noise_std=0.5).load(tmp_path / "run")
    assert (again.fun_, again.result_.fun_std) == (result.fun, result.fun_std)
    assert again.noise_std_ == opt.noise_std_
    np.testing.assert_array_equal(again.result_.x_lowest, result.x_lowest)


def test_a_wrong_noise_is_refused():
    with pytest.raises(ValueError, match='noise_std must be "auto", None, or a non-negative'):
        optimizer(noise_std=-1.0).minimize(bowl, BOX, budget=20)


@pytest.mark.parametrize(
    ("opt", "message"),
    [
        (ProxyOptimizer(noise_std=[0.1, 0.2]), r"a non-negative number; got \[0.1, 0.2\]"),
        (ProxyOptimizer(noise_std=True), "a non-negative number; got True"),
        (ProxyOptimizer(noise_std=[[0.1]]), r"a non-negative number; got \[\[0.1\]\]"),
        (ProxyOptimizer(noise_std=[0.1], n_constraints=1), "each of 2 outputs; got"),
        (ParetoOptimizer(noise_std=[0.1]), "or one for each of 2 outputs; got"),
        (ParetoOptimizer(noise_std=[True, False]), "or one for each of 2 outputs; got"),
    ],
)
def test_noise_of_another_number_of_outputs_is_refused_before_any_evaluation(opt, message):
    calls = []
    with pytest.raises(ValueError, match=f"noise_std must be .*{message}"):
        opt.minimize(calls.append, BOX, budget=20)
    assert not calls


def test_a_run_that_was_killed_goes_on_to_the_same_answer(tmp_path):
    def fun(X):
        # Noise that depends on how often a row was seen, as a run that goes on needs it.
        values = []
        for x in X:
            seen[x.tobytes()] = seen.get(x.tobytes(), 0) + 1
            seed = [*np.frombuffer(x.tobytes(), dtype=np.uint32), seen[x.tobytes()]]
            values.append(bowl(x[None])[0] + np.random.default_rng(seed).standard_normal())
        return np.array(values)

    def killed(X):
        if sum(seen.values()) > 20:
            raise KeyboardInterrupt
        return fun(X)

    seen = {}
    settings = {"noise_std": 1.0, "budget": 30}
    whole = optimizer(**settings).minimize(fun, BOX)
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        optimizer(journal=tmp_path / "runs.sqlite", **settings).minimize(killed, BOX)
    result = optimizer(journal=tmp_path / "runs.sqlite", **settings).minimize(fun, BOX)
    np.testing.assert_array_equal(result.x, whole.x)
    assert result.fun == whole.fun


@pytest.mark.parametrize(
    ("noise_std", "expected"), [("auto", False), (None, False), (0.0, False), (0.1, True)]
)
def test_what_the_user_says_of_noise_is_believed(noise_std, expected):
    assert NoiseWatch(noise_std).is_noisy is expected


@pytest.mark.parametrize(
    ("repeats", "is_noisy", "is_open"),
    [
        ([1.0], False, False),
        ([1.0 + 1e-9], False, True),
        ([1.0 + 1e-9, 1.0], False, False),
        ([1.0 + 1e-9, 1.5], True, False),
        ([1.5], True, False),
    ],
)
def test_repeats_that_agree_say_that_values_are_exact(repeats, is_noisy, is_open):
    watch = NoiseWatch("auto")
    X = np.array([0.0, 1.0, 2.0, *np.ones(len(repeats))])[:, None]
    watch.settle(Dataset.of(X, np.array([0.0, 1.0, 4.0, *repeats])))
    assert (watch.is_noisy, watch.is_open) == (is_noisy, is_open)


@pytest.mark.parametrize(("off", "is_noisy"), [([1e-12, 0.0], False), ([1e-12, 0.3], True)])
def test_a_repeat_that_agrees_but_not_to_the_bit_is_repeated(off, is_noisy):
    watch, asked, off = NoiseWatch("auto"), [], iter(off)
    X = np.array([[0.0], [1.0], [2.0]])
    data = Dataset.of(X, X[:, 0])
    repeat = Repeat(watch, lambda known: known.X[[1]])
    while len(points := repeat.propose(1, data, X[:0])):
        asked.append(points)
        y = points[:, 0] + next(off)
        data = Dataset.of(np.vstack([data.X, points]), np.append(data.y, y))
        repeat.observe(points, y)
    np.testing.assert_array_equal(asked, [X[[1]], X[[1]]])
    assert (watch.is_noisy, watch.is_open) == (is_noisy, False)


def test_no_estimate_is_surer_than_a_mean_of_half_of_the_values():
    data = Dataset.of(np.zeros((50, 1)), np.zeros((50, 2)))
    stds = with_doubt([[0.0, 0.3], [1.0, 0.0]], [2.0, 0.0], data)
    np.testing.assert_allclose(stds, [[0.4, 0.3], [np.sqrt(1.16), 0.0]])


def test_infill_improves_on_what_the_proxy_says_and_not_on_the_luckiest_row():
    X = np.repeat(LatinHypercubeSampler(15, random_state=0).sample(BOX), 2, axis=0)
    y = Noisy(1.0)(X)
    proxy = KernelProxyRegressor(noise_std=1.0, random_state=0).fit(X, y)
    parts = {"proxy": proxy, "optimizer": None, "X": X, "y": y, "bounds": BOX, "minima": X[:1]}
    rest = {"taken": X, "rng": None, "learn": None, "doubts": None}
    exact, noisy = Knowledge(**parts, **rest), Knowledge(**parts, **rest, noise_std=1.0)
    assert exact.lowest == y.min()
    assert noisy.lowest == proxy.predict(X).min() > y.min()
    np.testing.assert_array_equal(noisy.best, X[np.argmin(proxy.predict(X))])
    # An evaluation is worth nothing where noise is all that would be learned.
    drowned = Knowledge(**parts, **rest, noise_std=1e9)
    assert ExpectedImprovement().gains(X, noisy).max() > 0.0
    assert ExpectedImprovement().gains(X, drowned).max() == pytest.approx(0.0, abs=1e-6)


def noisy_cost(x):
    """Return the bowl of one row with noise that nobody can tell beforehand."""
    return float(bowl(np.asarray(x)[None])[0] + np.random.default_rng().standard_normal())


@pytest.mark.parametrize("noise_std", ["auto", 1.0])
def test_noisy_values_are_evaluated_side_by_side(noise_std):
    opt = optimizer(vectorized=False, n_jobs=2, noise_std=noise_std)
    with parallel_config(backend="threading"):
        result = opt.minimize(noisy_cost, BOX, budget=40)
    assert result.nfev == len(opt.X_) == 40
    assert result.fun_std > 0.0
