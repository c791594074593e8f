"""Metadata goes through both optimizers by scikit-learn's rules.

A miniature of scikit-learn's own tests of its meta-estimators.
"""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, mean_squared_error
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.metadata_routing import MetadataRouter

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer, ProxyOptimizer
from sklearn_proxyopt.model_selection import optimum_error_scorer, regret_scorer
from sklearn_proxyopt.optimizers import NSGA2, MultiStartBFGS
from sklearn_proxyopt.problems import Rosenbrock
from sklearn_proxyopt.proxies import KernelProxyRegressor, ProxyRegressor
from sklearn_proxyopt.samplers import SobolSampler

N_ROWS = 60
X = np.random.default_rng(0).uniform(0.0, 1.0, (N_ROWS, 2))
ONE = ((X - 0.4) ** 2).sum(axis=1)
TWO = np.column_stack([ONE, ((X - 0.7) ** 2).sum(axis=1)])
WEIGHT = np.random.default_rng(1).uniform(0.5, 2.0, N_ROWS)
METADATA = np.arange(N_ROWS)


class Consuming(RegressorMixin, BaseEstimator):
    """Learns a plane and writes down, where clones share it, which metadata came."""

    def __init__(self, registry=None):
        self.registry = registry

    def __sklearn_clone__(self):
        twin = BaseEstimator.__sklearn_clone__(Consuming())
        twin.registry = self.registry
        if hasattr(self, "_metadata_request"):
            twin._metadata_request = self._metadata_request
        return twin

    def fit(self, X, y, sample_weight="default", metadata="default"):
        self.registry.append(
            {"method": "fit", "X": X, "sample_weight": sample_weight, "metadata": metadata}
        )
        self.plane_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X, sample_weight="default", metadata="default"):
        self.registry.append(
            {"method": "predict", "X": X, "sample_weight": sample_weight, "metadata": metadata}
        )
        return self.plane_.predict(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def one_minimum(proxy, **params):
    return ProxyOptimizer(
        proxy=proxy,
        optimizer=MultiStartBFGS(4, n_rounds=1),
        random_state=0,
        vectorized=True,
        **params,
    )


def a_front(proxy, **params):
    return ParetoOptimizer(
        proxy=proxy, optimizer=NSGA2(8, 2), random_state=0, vectorized=True, **params
    )


BOTH = pytest.mark.parametrize(
    ("make", "y"), [(one_minimum, ONE), (a_front, TWO)], ids=["ProxyOptimizer", "ParetoOptimizer"]
)
EITHER = pytest.mark.parametrize("method", ["fit", "predict"])
GIVEN = {"sample_weight": WEIGHT, "metadata": METADATA}


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def registry():
    return []


def records(registry, method):
    return [one for one in registry if one["method"] == method]


def call(optimizer, method, y, **metadata):
    if method == "fit":
        return optimizer.fit(X, y, **metadata)
    return optimizer.fit(X, y).predict(X, **metadata)


@BOTH
def test_the_optimizers_are_routers(routing, make, y):
    router = make(Consuming([])).get_metadata_routing()
    assert isinstance(router, MetadataRouter)
    assert router.consumes("fit", ["sample_weight", "metadata"]) == set()
    asked = make(Consuming([]).set_fit_request(metadata=True)).get_metadata_routing()
    assert asked.consumes("fit", ["sample_weight", "metadata"]) == {"metadata"}


@BOTH
@EITHER
@pytest.mark.parametrize("name", ["sample_weight", "metadata"])
def test_metadata_that_the_proxy_has_no_word_on_is_refused(
    routing, registry, make, y, method, name
):
    message = rf"\[{name}\] are passed but are not explicitly set as requested or not requested"
    with pytest.raises(UnsetMetadataPassedError, match=message) as raised:
        call(make(Consuming(registry)), method, y, **{name: GIVEN[name]})
    assert f"Consuming.{method}" in str(raised.value)


@BOTH
@EITHER
@pytest.mark.parametrize("name", ["sample_weight", "metadata"])
def test_metadata_that_the_proxy_requests_arrives(routing, registry, make, y, method, name):
    proxy = Consuming(registry)
    getattr(proxy, f"set_{method}_request")(**{name: True})
    call(make(proxy), method, y, **{name: GIVEN[name]})
    (record,) = [one for one in records(registry, method) if not isinstance(one[name], str)]
    np.testing.assert_array_equal(record[name], GIVEN[name])
    np.testing.assert_array_equal(record["X"], X)


@BOTH
@EITHER
def test_metadata_that_the_proxy_declines_stays_away(routing, registry, make, y, method):
    proxy = Consuming(registry)
    getattr(proxy, f"set_{method}_request")(sample_weight=False, metadata=True)
    with pytest.raises(TypeError, match="got unexpected argument"):
        call(make(proxy), method, y, sample_weight=WEIGHT)
    registry.clear()
    call(make(proxy), method, y, metadata=METADATA)
    assert all(isinstance(one["sample_weight"], str) for one in registry)


@BOTH
def test_metadata_under_another_name_arrives(routing, registry, make, y):
    proxy = Consuming(registry).set_fit_request(sample_weight="precision")
    make(proxy).fit(X, y, precision=WEIGHT)
    np.testing.assert_array_equal(records(registry, "fit")[0]["sample_weight"], WEIGHT)


@BOTH
def test_metadata_that_nobody_takes_is_refused(routing, make, y):
    with pytest.raises(TypeError, match="got unexpected argument"):
        make(KNeighborsRegressor()).fit(X, y, sample_weight=WEIGHT)
    with pytest.raises(TypeError, match="got unexpected argument"):
        make(Consuming([])).fit(X, y, weights=WEIGHT)


@BOTH
def test_a_proxy_that_takes_no_metadata_works(routing, make, y):
    assert make(KNeighborsRegressor()).fit(X, y).predict(X).shape == y.shape


@BOTH
def test_clones_keep_the_requests(routing, registry, make, y):
    proxy = Consuming(registry).set_fit_request(sample_weight=True)
    clone(make(proxy)).fit(X, y, sample_weight=WEIGHT)
    np.testing.assert_array_equal(records(registry, "fit")[0]["sample_weight"], WEIGHT)


@BOTH
def test_weights_that_are_requested_are_fitted_and_scored_with_in_cross_validation(
    routing, registry, make, y
):
    scored = []

    def error(y_true, y_pred, sample_weight=None):
        scored.append(sample_weight)
        return mean_squared_error(y_true, y_pred, sample_weight=sample_weight)

    cross_validate(
        make(Consuming(registry).set_fit_request(sample_weight=True)),
        X,
        y,
        cv=KFold(3),
        params={"sample_weight": WEIGHT},
        scoring=make_scorer(error).set_score_request(sample_weight=True),
        error_score="raise",
    )
    folds = list(KFold(3).split(X))
    fitted = [one["sample_weight"] for one in records(registry, "fit")]
    for (train, test), at_fit, at_score in zip(folds, fitted, scored, strict=True):
        np.testing.assert_array_equal(at_fit, WEIGHT[train])
        np.testing.assert_array_equal(at_score, WEIGHT[test])


@BOTH
def test_weights_without_a_request_end_a_cross_validation(routing, registry, make, y):
    scorer = make_scorer(mean_squared_error).set_score_request(sample_weight=True)
    opt = make(Consuming(registry))
    with pytest.raises(ValueError, match=r"(?s)All the 5 fits failed.*UnsetMetadataPassedError"):
        cross_validate(opt, X, y, params={"sample_weight": WEIGHT}, scoring=scorer)
    assert registry == []


@BOTH
def test_an_optimizer_requests_weights_for_its_own_score(routing, make, y):
    opt = make(KNeighborsRegressor()).set_score_request(sample_weight=True)
    scores = cross_validate(
        opt, X, y, cv=KFold(3), params={"sample_weight": WEIGHT}, error_score="raise"
    )
    expected = [
        clone(opt).fit(X[train], y[train]).score(X[test], y[test], sample_weight=WEIGHT[test])
        for train, test in KFold(3).split(X)
    ]
    np.testing.assert_allclose(scores["test_score"], expected)


@BOTH
def test_groups_reach_the_splitter_and_weights_the_proxy_of_a_grid_search(
    routing, registry, make, y
):
    groups = np.repeat(np.arange(6), 10)
    opt = make(Consuming(registry).set_fit_request(sample_weight=True))
    opt.set_score_request(sample_weight=False)
    search = GridSearchCV(opt, {"random_state": [1]}, cv=GroupKFold(2), error_score="raise")
    search.fit(X, y, sample_weight=WEIGHT, groups=groups)
    sizes = [len(one["sample_weight"]) for one in records(registry, "fit")]
    assert sizes == [30, 30, 60]


@BOTH
def test_weights_go_through_a_pipeline(routing, registry, make, y):
    opt = make(Consuming(registry).set_fit_request(sample_weight=True))
    opt.set_score_request(sample_weight=False)
    make_pipeline(MinMaxScaler(), opt).fit(X, y, sample_weight=WEIGHT)
    np.testing.assert_array_equal(records(registry, "fit")[0]["sample_weight"], WEIGHT)


@BOTH
def test_weights_go_through_a_proxy_that_wraps_another(routing, registry, make, y):
    inner = Consuming(registry).set_fit_request(sample_weight=True)
    wrapped = TransformedTargetRegressor(inner, transformer=MinMaxScaler())
    make(wrapped).fit(X, y, sample_weight=WEIGHT)
    np.testing.assert_array_equal(records(registry, "fit")[0]["sample_weight"], WEIGHT)


@BOTH
@pytest.mark.parametrize("enabled", [True, False])
def test_a_sampler_picks_the_metadata_of_the_rows_that_it_picks(registry, make, y, enabled):
    with config_context(enable_metadata_routing=enabled):
        proxy = Consuming(registry)
        if enabled:
            proxy.set_fit_request(sample_weight=True, metadata=True)
        make(proxy, sampler=SobolSampler(16)).fit(
            X, y, sample_weight=WEIGHT.tolist(), metadata="as a whole"
        )
    (record,) = records(registry, "fit")
    rows = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in record["X"]]
    assert len(rows) == 16
    np.testing.assert_array_equal(record["sample_weight"], WEIGHT[rows])
    assert record["metadata"] == "as a whole"


@BOTH
@EITHER
def test_without_routing_everything_goes_to_the_proxy(registry, make, y, method):
    call(make(Consuming(registry)), method, y, sample_weight=WEIGHT, metadata=METADATA)
    record = next(one for one in records(registry, method) if not isinstance(one["metadata"], str))
    np.testing.assert_array_equal(record["sample_weight"], WEIGHT)
    np.testing.assert_array_equal(record["metadata"], METADATA)
    with pytest.raises(TypeError, match="sample_weight"):
        make(KNeighborsRegressor()).fit(X, y, sample_weight=WEIGHT)


@BOTH
@pytest.mark.parametrize("proxy", [None, "neural", "gp"])
def test_a_proxy_that_nobody_passed_in_requests_weights(routing, make, y, proxy):
    router = make(proxy).get_metadata_routing()
    assert router.consumes("fit", ["sample_weight"]) == {"sample_weight"}


def test_weights_change_what_a_proxy_by_name_learns(routing):
    y = ONE + np.where(X[:, 0] < 0.5, 0.3, -0.3)
    lopsided = np.where(X[:, 0] < 0.5, 100.0, 0.01)
    plain, weighed = (
        one_minimum("neural").fit(X, y, **metadata)
        for metadata in ({}, {"sample_weight": lopsided})
    )
    assert (plain.predict(X) != weighed.predict(X)).any()


@pytest.mark.parametrize("proxy", [NeuralProxyRegressor, KernelProxyRegressor, ProxyRegressor])
def test_our_proxies_can_request_weights(routing, proxy):
    request = proxy().set_fit_request(sample_weight=True).get_metadata_routing()
    assert request.fit.requests["sample_weight"] is True


@pytest.mark.parametrize("proxy", [KernelProxyRegressor, ProxyRegressor])
def test_noise_of_rows_reaches_a_proxy_that_requests_it(routing, proxy):
    # What rows that tell next to nothing say is no longer learned.
    stds = np.where(np.arange(len(X)) % 2, 1e-3, 1e3)
    noisy = ONE + np.random.default_rng(0).standard_normal(len(X)) * ONE.std()
    scores = [
        cross_validate(
            proxy(random_state=0).set_fit_request(noise_std=True), X, noisy, cv=3, params=metadata
        )["test_score"]
        for metadata in ({}, {"noise_std": stds})
    ]
    assert (scores[0] != scores[1]).all()


def test_our_scorers_take_part_where_weights_are_routed(routing, registry):
    proxy = Consuming(registry).set_fit_request(sample_weight=True)
    scores = cross_validate(
        one_minimum(proxy),
        X,
        ONE,
        cv=3,
        params={"sample_weight": WEIGHT},
        scoring={"regret": regret_scorer(), "error": optimum_error_scorer(Rosenbrock(2))},
        error_score="raise",
    )
    assert np.isfinite(scores["test_regret"]).all()
    assert len(records(registry, "fit")) == 3


def test_the_standard_deviation_of_the_proxy_can_be_asked_for():
    opt = one_minimum("gp").fit(X, ONE)
    mean, std = opt.predict(X, return_std=True)
    expected = opt.proxy_.predict(X, return_std=True)
    np.testing.assert_array_equal([mean, std], expected)


def test_the_standard_deviation_of_a_proxy_of_what_is_maximised():
    one = one_minimum("gp", direction="maximize").fit(X, ONE)
    two = a_front("gp", direction=["maximize", "minimize"]).fit(X, TWO)
    for opt in (one, two):
        mean, std = opt.predict(X, return_std=True)
        np.testing.assert_allclose(mean, opt.predict(X), rtol=1e-12)
        assert (std > 0.0).all()
