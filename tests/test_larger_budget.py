"""A run goes on from the journal of one with a smaller budget."""

import numpy as np
import pytest
from joblib import parallel_config

from sklearn_proxyopt import ParetoOptimizer, ProxyOptimizer

BOX = [(-2.0, 2.0), (-1.0, 3.0)]


def bowl(x):
    return float(((np.asarray(x) - 0.3) ** 2).sum())


def fails_at_times(x):
    return np.nan if x[0] > 1.5 else bowl(x)


class Interrupted:
    """A function that counts its calls and fails at one of them."""

    def __init__(self, at=None, fun=bowl):
        self.n_calls, self.at, self.fun = 0, at, fun

    def __call__(self, x):
        self.n_calls += 1
        if self.n_calls == self.at:
            raise KeyboardInterrupt
        return self.fun(x)


def going_on(path, **params):
    settings = {"proxy": "gp", "verdict": False, "random_state": 0, "on_error": "drop"}
    return ProxyOptimizer(journal=path, **{**settings, **params})


@pytest.mark.filterwarnings("ignore::sklearn_proxyopt.exceptions.FailedEvaluationWarning")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("fun", [bowl, fails_at_times])
def test_a_larger_budget_goes_on_where_the_journal_ends(tmp_path, fun, n_jobs):
    counted, path = Interrupted(fun=fun), tmp_path / "runs.sqlite"
    for budget in (12, 20, 20, 31):
        with parallel_config(backend="threading"):
            opt = going_on(path, n_jobs=n_jobs)
            result = opt.minimize(counted, BOX, budget=budget)
        assert counted.n_calls == opt.n_evaluations_ == len(opt.X_) + len(opt.X_failed_) == budget
    assert "20 of 31 evaluations were known before" in result.message


def test_what_was_begun_with_a_larger_budget_and_stopped_goes_on_as_if_it_had_not(tmp_path):
    found = []
    for at in (None, 27):
        path, fun = tmp_path / f"{at}.sqlite", Interrupted(at)
        going_on(path).minimize(fun, BOX, budget=20)
        if at:
            with pytest.raises(KeyboardInterrupt):
                going_on(path).minimize(fun, BOX, budget=34)
            fun.n_calls, fun.at = fun.n_calls - 1, None
        opt = going_on(path)
        opt.minimize(fun, BOX, budget=34)
        assert fun.n_calls == 34
        found.append(opt)
    np.testing.assert_array_equal(found[0].X_, found[1].X_)
    assert found[0].fun_ == found[1].fun_


def test_a_front_goes_on_with_a_larger_budget(tmp_path):
    fun = Interrupted(fun=lambda x: (float(x[0] ** 2), float((x[0] - 1.0) ** 2 + x[1] ** 2)))
    for budget in (12, 20):
        opt = ParetoOptimizer(journal=tmp_path / "runs.sqlite", proxy="gp", random_state=0)
        opt.minimize(fun, BOX, budget=budget)
        assert fun.n_calls == len(opt.X_) == budget


def test_a_budget_that_a_journal_has_spent_leaves_its_best(tmp_path):
    path, fun = tmp_path / "runs.sqlite", Interrupted()
    first = going_on(path).minimize(fun, BOX, budget=12)
    X = np.random.default_rng(0).uniform(-2.0, 2.0, (10, 2))
    going_on(path, bounds=BOX).tell(X, [1.0 + bowl(x) for x in X])
    opt = going_on(path)
    result = opt.minimize(fun, BOX, budget=15)
    assert (fun.n_calls, result.nfev, len(opt.X_)) == (12, 0, 22)
    assert result.fun == first.fun
