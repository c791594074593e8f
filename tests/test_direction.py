"""To maximise is to minimise with the other sign, and everything shown is in the user's own."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.evaluation import Journal
from sklearn_proxyopt.infill import ExpectedImprovement, ProxyMinima, TrustRegion
from sklearn_proxyopt.model_selection import optimum_error_scorer, regret_scorer
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.samplers import SobolSampler

BOX = np.array([[-1.0, 1.0], [-1.0, 1.0]])


def bowl(X):
    return ((X - 0.3) ** 2).sum(axis=1) + 0.1 * np.cos(9.0 * X[:, 0])


def hill(X):
    return -bowl(X)


def constrained(X):
    return np.column_stack([bowl(X), 0.2 - X[:, 0]])


def constrained_hill(X):
    return np.column_stack([hill(X), 0.2 - X[:, 0]])


def failing(X):
    return np.where(X[:, 1] > 0.8, np.nan, bowl(X))


def failing_hill(X):
    return -failing(X)


def smooth_process():
    """A proxy that learns negated values to the same bits, negated."""
    return GaussianProcessRegressor(RBF(0.5), optimizer=None, alpha=1e-6, normalize_y=True)


def optimizer(**params):
    return ProxyOptimizer(
        **{
            "proxy": smooth_process(),
            "optimizer": MultiStartBFGS(8, 20, n_rounds=2, n_candidates=64),
            "sampler": SobolSampler(24),
            "vectorized": True,
            "random_state": 0,
            **params,
        }
    )


@pytest.mark.parametrize(
    ("low", "high", "params", "options"),
    [
        (bowl, hill, {}, {}),
        (bowl, hill, {"sampler": None}, {"budget": 40}),
        (bowl, hill, {"sampler": None, "budget": 40}, {"patience": 25}),
        (bowl, hill, {"infill": ExpectedImprovement(3, n_rounds=2), "refiner": None}, {}),
        (bowl, hill, {"infill": TrustRegion(3, n_rounds=2), "refiner": None}, {}),
        (failing, failing_hill, {"on_error": "learn", "infill": ProxyMinima(3)}, {}),
        (constrained, constrained_hill, {"n_constraints": 1, "sampler": None}, {"budget": 40}),
        (constrained, constrained_hill, {"n_constraints": 1, "refiner": None}, {}),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_to_maximize_is_to_minimize_what_has_the_other_sign(low, high, params, options):
    one, other = optimizer(**params), optimizer(**params)
    lowest, highest = one.minimize(low, BOX, **options), other.maximize(high, BOX, **options)
    np.testing.assert_array_equal(other.X_, one.X_)
    values = one.y_ if one.y_.ndim == 1 else one.y_ * [-1.0, 1.0]
    np.testing.assert_array_equal(other.y_, -values if one.y_.ndim == 1 else values)
    for name in ("x", "x_proxy", "nfev", "n_failed"):
        np.testing.assert_array_equal(highest[name], lowest[name])
    for name in ("fun", "fun_proxy", "true_at_proxy"):
        assert highest[name] == pytest.approx(-lowest[name], nan_ok=True)
    for name in ("constraints", "constraints_proxy"):
        np.testing.assert_allclose(highest.get(name, 0.0), lowest.get(name, 0.0))
    for name in ("fun_", "fun_proxy_", "fun_best_row_"):
        assert getattr(other, name) == pytest.approx(-getattr(one, name))
    assert highest.verdict == lowest.verdict
    assert highest.probability == pytest.approx(lowest.probability)
    assert other.fun_ == pytest.approx(np.ravel(high(other.x_[None]))[0])


def test_the_best_row_of_a_table_to_be_maximized_is_the_highest():
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    opt = optimizer(sampler=None, direction="maximize").fit(X, hill(X))
    assert opt.fun_best_row_ == hill(X).max()
    np.testing.assert_array_equal(opt.y_, hill(X))
    np.testing.assert_allclose(opt.predict(X), hill(X), atol=1e-2)
    assert opt.score(X, hill(X)) > 0.99
    assert opt.fun_proxy_ == opt.result_.fun == opt.result_.fun_proxy
    assert opt.fun_proxy_ == pytest.approx(opt.predict(opt.x_proxy_[None])[0])
    # What the proxy has learned is what the user has.
    np.testing.assert_allclose(opt.proxy_.predict(X), hill(X), atol=1e-2)
    assert (opt.result_.fun_candidates <= opt.fun_proxy_ + 1e-9).all()


def test_a_yield_may_be_learned_by_its_logarithm():
    proxy = TransformedTargetRegressor(smooth_process(), func=np.log, inverse_func=np.exp)
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    opt = optimizer(sampler=None, proxy=proxy, direction="maximize").fit(X, np.exp(hill(X)))
    assert opt.fun_proxy_ > 0.9 * np.exp(hill(X)).max()


def test_the_diagnosis_speaks_of_a_maximum():
    one, other = optimizer(), optimizer(direction="maximize")
    one.minimize(bowl, BOX)
    other.maximize(hill, BOX)
    low, high = one.diagnose(), other.diagnose()
    assert high.promise == pytest.approx(-low.promise)
    assert high.truth == pytest.approx(-low.truth)
    assert high.band == pytest.approx((-low.band[1], -low.band[0]))
    assert high.probability == pytest.approx(low.probability)
    assert high.direction == "maximize"
    assert "a higher value by more than" in high.headline
    turned = {"lower": "higher", "above": "below", "minima": "maxima", "minimum": "maximum"}
    words = set(" ".join(high.reasons).split())
    assert not words & {"minima", "minimum", "lowest"}
    for mine, theirs in zip(low.reasons, high.reasons, strict=True):
        for word, other_word in turned.items():
            assert (word in mine.split()) == (other_word in theirs.split())
    checked = other.diagnose(hill, n_checks=3)
    np.testing.assert_array_equal(checked.y_checks, hill(checked.X_checks))


def test_a_network_and_its_ladder_are_searched_for_a_maximum():
    proxy = NeuralProxyRegressor((16,), n_members=2, max_epochs=200)
    opt = optimizer(proxy=proxy, smoothing=[0.2, 0.1], direction="maximize", verdict=False)
    result = opt.maximize(hill, BOX)
    assert result.fun > hill(np.array([[0.35, 0.3]]))[0] - 0.05
    assert opt.fun_proxy_ == pytest.approx(opt.predict(opt.x_proxy_[None])[0], rel=1e-6)
    assert opt.smoothing_report_["promise"][-1] == pytest.approx(opt.fun_proxy_, abs=1e-3)
    # A smooth maximum keeps to the high values: to predict too little is what counts.
    assert opt.ladder_.over_prediction_penalty == 0.1
    learned = opt.X_[: opt.n_learned_]
    assert opt.ladder_.predict_members(learned)[0].mean() > opt.y_[: opt.n_learned_].mean()


def test_points_asked_for_are_where_the_proxy_is_high():
    X = SobolSampler(32, random_state=0).sample(BOX)
    opt = optimizer(sampler=None, bounds=BOX, direction="maximize")
    opt.tell(X, hill(X))
    (x,) = opt.ask(1)
    assert hill(x[None])[0] > np.quantile(hill(X), 0.95)
    opt.tell(x[None], hill(x[None]))
    assert opt.y_[-1] == hill(x[None])[0]


def test_a_target_and_the_callbacks_are_in_the_sign_of_the_function():
    result = optimizer(sampler=None).maximize(hill, BOX, budget=100, target=-0.2)
    assert result.fun >= -0.2
    assert result.nfev < 60
    assert "target of -0.2 was reached" in result.message


def test_journal_and_file_hold_the_values_of_the_user(tmp_path):
    journal, path = tmp_path / "runs.sqlite", tmp_path / "state.npz"
    opt = optimizer(direction="maximize", journal=journal, verdict=False)
    opt.maximize(hill, BOX)
    X, y = Journal(journal).rows()
    np.testing.assert_array_equal(y.ravel(), hill(X))
    again = optimizer(direction="maximize", journal=journal, verdict=False)
    assert again.maximize(hill, BOX).nfev == 0
    np.testing.assert_array_equal(again.y_, opt.y_)
    opt.save(path)
    loaded = optimizer(direction="maximize").load(path)
    assert loaded.fun_ == opt.fun_
    assert loaded.fun_proxy_ == opt.fun_proxy_
    np.testing.assert_array_equal(loaded.y_, opt.y_)
    assert optimizer().load(path).fun_best_row_ == opt.fun_best_row_
    with pytest.raises(ValueError, match="path must be a file of direction='minimize'"):
        optimizer(direction="minimize").load(path)


def test_a_method_that_contradicts_the_parameter_names_the_other():
    with pytest.raises(ValueError, match=r"direction must be None or 'minimize' .* Call maximize"):
        optimizer(direction="maximize").minimize(hill, BOX)
    with pytest.raises(ValueError, match=r"direction must be None or 'maximize' .* Call minimize"):
        optimizer(direction="minimize").maximize(hill, BOX)
    with pytest.raises(ValueError, match="direction must be None, 'minimize' or 'maximize'; got"):
        optimizer(direction="up").minimize(hill, BOX)
    with pytest.raises(ValueError, match="direction must be None, 'minimize' or 'maximize'; got"):
        optimizer(direction=["minimize", "maximize"]).minimize(hill, BOX)


def test_rows_told_are_not_taken_for_another_direction():
    X = SobolSampler(16, random_state=0).sample(BOX)
    opt = optimizer(sampler=None, bounds=BOX).tell(X, bowl(X)).set_params(direction="maximize")
    with pytest.raises(ValueError, match="direction must be as it was when samples were told"):
        opt.ask(1)
    with pytest.raises(ValueError, match="direction must be as it was when samples were told"):
        opt.tell(X, bowl(X))
    assert opt.fit(X, bowl(X)).fun_best_row_ == bowl(X).max()


def test_scorers_follow_the_direction_through_searches_and_pipelines():
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (60, 2))
    maximizer = optimizer(sampler=None, direction="maximize")
    scores = [
        GridSearchCV(one, {"verdict": [True]}, scoring=regret_scorer(), cv=2).fit(X, y).best_score_
        for one, y in ((maximizer, hill(X)), (optimizer(sampler=None), bowl(X)))
    ]
    assert scores[0] == pytest.approx(scores[1])
    pipeline = make_pipeline(FunctionTransformer(), maximizer).fit(X, hill(X))
    picked = pipeline.predict(X).argmax()
    assert regret_scorer()(pipeline, X, hill(X)) == hill(X)[picked] - hill(X).max()

    class Hill:
        x_opt, f_opt = np.array([[0.3, 0.3]]), 1.2

        def __call__(self, X):
            return 1.0 + hill(X)

    assert optimum_error_scorer(Hill(), of="fun")(pipeline, X) < 0.0


def schaffer(X):
    return np.column_stack([X[:, 0] ** 2, (X[:, 0] - 2.0) ** 2])


def mixed_schaffer(X):
    return schaffer(X) * [1.0, -1.0]


def front(**params):
    settings = {
        "proxy": smooth_process(),
        "optimizer": NSGA2(16, 16),
        "sampler": SobolSampler(16),
        "n_rounds": 2,
        "vectorized": True,
        "random_state": 0,
    }
    return ParetoOptimizer(**{**settings, **params})


def test_a_front_may_have_one_objective_to_maximize():
    box = [[-4.0, 4.0]]
    plain = front(budget=30)
    mixed = front(budget=30, direction=["minimize", "maximize"], reference=[16.0, -36.0])
    one, other = plain.minimize(schaffer, box), mixed.minimize(mixed_schaffer, box)
    np.testing.assert_array_equal(other.X, one.X)
    assert other.nfev == one.nfev == 30
    signs = np.array([1.0, -1.0])
    for name in ("F", "F_proxy", "F_promised", "F_verified"):
        np.testing.assert_allclose(other[name], one[name] * signs)
    np.testing.assert_allclose(other.reference, [16.0, -36.0])
    np.testing.assert_allclose(mixed.y_, plain.y_ * signs)
    np.testing.assert_allclose(mixed.predict(mixed.X_), plain.predict(mixed.X_) * signs)
    fitted = front(sampler=None, direction=["minimize", "maximize"]).fit(mixed.X_, mixed.y_)
    assert (fitted.F_front_[:, 1] < 0.1).all()
    assert fitted.F_front_[:, 1].max() > -0.5


def test_a_front_to_be_maximized_and_its_hypervolume():
    box = [[-4.0, 4.0]]
    lowest = front(reference=[4.0, 4.0]).minimize(schaffer, box, budget=30)
    highest = front(reference=[-4.0, -4.0]).maximize(lambda X: -schaffer(X), box, budget=30)
    assert highest.hypervolume == pytest.approx(lowest.hypervolume)
    np.testing.assert_allclose(highest.F, -lowest.F)


def test_words_for_objectives_are_as_many_as_these():
    with pytest.raises(ValueError, match="direction must be one word for each of the 2 objectives"):
        front(direction=["minimize"] * 3, n_objectives=2).minimize(schaffer, [[-4.0, 4.0]])
    with pytest.raises(ValueError, match="Call minimize, which follows it"):
        front(direction=["minimize", "maximize"]).maximize(schaffer, [[-4.0, 4.0]])
    with pytest.raises(ValueError, match="direction must be None, 'minimize' or 'maximize'"):
        front(direction="both").minimize(schaffer, [[-4.0, 4.0]])


def test_a_front_ends_at_its_target_its_patience_and_its_time():
    box, reference = [[-4.0, 4.0]], [4.0, 4.0]
    whole = front(reference=reference).minimize(schaffer, box, budget=60)
    target = 0.9 * whole.hypervolume
    reached = front(reference=reference).minimize(schaffer, box, budget=60, target=target)
    assert reached.hypervolume >= target
    assert reached.nfev < whole.nfev
    assert "target" in reached.message
    level = front().minimize(np.zeros_like, [[-4.0, 4.0]] * 2, budget=60, patience=3)
    assert "no gain within" in level.message
    assert level.nfev == 31
    late = front().minimize(schaffer, box, max_seconds=1e-6)
    assert late.nfev <= 16
    assert "seconds is over" in late.message
    with pytest.raises(ValueError, match="reference must be given with a target"):
        front().minimize(schaffer, box, target=1.0)


def test_half_of_a_budget_is_the_design_of_a_front():
    opt = front(sampler=None)
    result = opt.minimize(schaffer, [[-4.0, 4.0]], budget=24)
    assert result.nfev_design == 12
    assert result.nfev <= 24
