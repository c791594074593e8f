"""How well proxies stand in for functions that nobody has tuned them to.

Writes docs/results/proxies/cells.csv, a row for each proxy, function, number of rows and repeat,
and from it summary.csv and ranks.png. Results that the file holds are not computed again, so that a
run may be ended and started anew. With ``--set development`` the functions are those that may be
looked at while a proxy is changed, and the files go into the folder ``development`` beside.
BoTorch and SMT take part where they are installed.

The cells: all nine regressors on `REPORTING` and `FURTHER`, 24 functions and four simulators, with
50, 200 and 1,000 rows, the first repeat before others. A process that has not learned after 300 s
of a processor counts as the mean and the spread of its rows. So far there are three repeats with
50 rows, and the first with 200.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import signal
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from further_functions import FURTHER
from proxy_functions import DEVELOPMENT, REPORTING
from scipy.interpolate import RBFInterpolator
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_proxyopt import NeuralProxyRegressor
from sklearn_proxyopt.benchmark import Comparison, ComparisonDisplay, compare_regressors
from sklearn_proxyopt.proxies import ProxyRegressor

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "proxies"
MEASURES = ("error", "error_low", "regret", "guarded_regret")
MOST_SECONDS = 300.0


class _TimeIsUp(BaseException):
    """What no library catches."""


def _within_limit(learn: Callable[[], object]) -> bool:
    """Learn for so many seconds of the processor at most, and tell whether they were enough."""

    def stop(*_: object) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    try:
        learn()
    except _TimeIsUp:
        return False
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    return True


class Process(RegressorMixin, BaseEstimator):
    """A Gaussian process of another package; mean and spread of its rows where it takes too long.

    A subclass owes what it learns, and both moments of its predictions.
    """

    def fit(self, X: Any, y: Any) -> Process:
        """Learn rows."""
        X, y = np.asarray(X), np.asarray(y)
        self._usual = y.mean(), y.std()
        self._is_in_time = _within_limit(lambda: self._learn(X, y))
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict rows."""
        X = np.ascontiguousarray(X)
        if not self._is_in_time:
            mean, deviation = (np.full(len(X), one) for one in self._usual)
            return (mean, deviation) if return_std else mean
        mean = self._mean(X)
        return (mean, self._deviation(X)) if return_std else mean

    def _learn(self, X: Any, y: Any) -> None:
        raise NotImplementedError

    def _mean(self, X: Any) -> Any:
        raise NotImplementedError

    def _deviation(self, X: Any) -> Any:
        raise NotImplementedError


class Kriging(Process):
    """A Gaussian process of scikit-learn with a lengthscale for each variable, one restart."""

    def _learn(self, X: Any, y: Any) -> None:
        self._scaler = StandardScaler().fit(X)
        kernel = ConstantKernel() * Matern(np.ones(X.shape[1]), nu=2.5) + WhiteKernel(
            1e-6, (1e-10, 10)
        )
        self._process = GaussianProcessRegressor(
            kernel, normalize_y=True, n_restarts_optimizer=1, random_state=0
        ).fit(self._scaler.transform(X), y)

    def _mean(self, X: Any) -> Any:
        return self._process.predict(self._scaler.transform(X))

    def _deviation(self, X: Any) -> Any:
        return self._process.predict(self._scaler.transform(X), return_std=True)[1]


class SingleTask(Process):
    """BoTorch's SingleTaskGP as it comes."""

    def _learn(self, X: Any, y: Any) -> None:
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Normalize, Standardize
        from gpytorch.mlls import ExactMarginalLogLikelihood

        rows, values = torch.from_numpy(X), torch.from_numpy(y)[:, None]
        self._model = SingleTaskGP(
            rows,
            values,
            input_transform=Normalize(rows.shape[1]),
            outcome_transform=Standardize(1),
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(self._model.likelihood, self._model))

    def _posterior(self, X: Any) -> Any:
        import torch

        with torch.no_grad():
            posterior = self._model.posterior(torch.from_numpy(X), True)
            return posterior.mean[:, 0].numpy(), posterior.variance[:, 0].sqrt().numpy()

    def _mean(self, X: Any) -> Any:
        return self._posterior(X)[0]

    def _deviation(self, X: Any) -> Any:
        return self._posterior(X)[1]


class Krg(Process):
    """SMT's KRG as it comes."""

    def _learn(self, X: Any, y: Any) -> None:
        from smt.surrogate_models import KRG

        self._model = KRG(print_global=False)
        self._model.set_training_values(X, y)
        self._model.train()

    def _mean(self, X: Any) -> Any:
        return self._model.predict_values(X)[:, 0]

    def _deviation(self, X: Any) -> Any:
        return np.sqrt(np.maximum(self._model.predict_variances(X)[:, 0], 0.0))


class Spline(RegressorMixin, BaseEstimator):
    """The cubic radial basis functions of SciPy on scaled rows."""

    def fit(self, X: Any, y: Any) -> Spline:
        """Learn rows."""
        self._scaler = StandardScaler().fit(X)
        self._spline = RBFInterpolator(self._scaler.transform(X), y, kernel="cubic")
        return self

    def predict(self, X: Any) -> Any:
        """Predict rows."""
        return self._spline(self._scaler.transform(X))


def regressors() -> dict[str, Any]:
    """Return what is compared."""
    found = {
        "ProxyRegressor": ProxyRegressor(),
        "NeuralProxyRegressor": NeuralProxyRegressor(),
        "GP, Matern (scikit-learn)": Kriging(),
        "RBF, cubic (SciPy)": Spline(),
        "extra trees": ExtraTreesRegressor(),
        "boosted trees": HistGradientBoostingRegressor(),
        "MLP (scikit-learn)": make_pipeline(
            StandardScaler(),
            MLPRegressor(hidden_layer_sizes=(64, 64), solver="lbfgs", max_iter=1000),
        ),
    }
    others = {"botorch": ("SingleTaskGP (BoTorch)", SingleTask()), "smt": ("KRG (SMT)", Krg())}
    for package, (name, regressor) in others.items():
        if importlib.util.find_spec(package) is not None:
            found[name] = regressor
    return found


def complete(result: Comparison) -> Comparison:
    """Leave out, at each number of rows, regressors that lack a comparison that others have."""
    numbers = Counter((cell["n_rows"], cell["regressor"]) for cell in result.cells)
    most = {
        n_rows: max(n for (rows, _), n in numbers.items() if rows == n_rows)
        for n_rows, _ in numbers
    }
    return Comparison(
        [c for c in result.cells if numbers[c["n_rows"], c["regressor"]] == most[c["n_rows"]]]
    )


def write_summary(result: Comparison, folder: Path) -> None:
    """Write what a page shows: a row for each regressor and number of rows."""
    ranks = {measure: result.mean_ranks(measure) for measure in MEASURES}
    intervals = {measure: result.rank_intervals(measure) for measure in ("error", "regret")}
    medians = {measure: result.medians(measure) for measure in MEASURES}
    worse = result.share_worse_than_best_row()
    inside, at_minimum = result.coverage(), result.coverage(at_minimum=True)
    header = [
        "rows",
        "proxy",
        "error: mean rank",
        "error: interval of the rank",
        "median",
        "lowest tenth: mean rank",
        "regret: mean rank",
        "regret: interval of the rank",
        "median of the regret",
        "guarded: mean rank",
        "worse than the best row",
        "90 % interval holds",
        "at its minimum",
    ]
    with open(folder / "summary.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for key in sorted(medians["error"], key=lambda key: (key[1], ranks["error"][key])):
            writer.writerow(
                [
                    key[1],
                    key[0],
                    f"{ranks['error'][key]:.2f}",
                    _ends(intervals["error"][key]),
                    f"{medians['error'][key]:.2g}",
                    f"{ranks['error_low'][key]:.2f}",
                    f"{ranks['regret'][key]:.2f}",
                    _ends(intervals["regret"][key]),
                    f"{medians['regret'][key]:.2g}",
                    f"{ranks['guarded_regret'][key]:.2f}",
                    f"{100 * worse[key]:.0f} %",
                    *(_share(one[key]) for one in (inside, at_minimum)),
                ]
            )


def _ends(interval: tuple[float, float]) -> str:
    return "{:.1f} to {:.1f}".format(*interval)


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{100 * value:.0f} %"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=["reporting", "development"], default="reporting")
    parser.add_argument("--rows", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", nargs="+", help="names of some of the regressors")
    options = parser.parse_args()
    is_report = options.set == "reporting"
    folder = RESULTS if is_report else RESULTS / "development"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {
        name: one
        for name, one in regressors().items()
        if options.only in (None, []) or name in options.only
    }
    warnings.simplefilter("ignore")
    result = compare_regressors(
        chosen,
        REPORTING | FURTHER if is_report else DEVELOPMENT,
        n_rows=options.rows,
        n_repeats=options.repeats,
        path=folder / "cells.csv",
        random_state=20261128,
    )
    result = complete(result)
    write_summary(result, folder)
    figure = ComparisonDisplay.from_comparison(result).figure_
    figure.savefig(folder / "ranks.png", dpi=150)


if __name__ == "__main__":
    main()
