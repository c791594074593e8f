"""Where evaluations are likely to fail, learned from those that did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import SVC

from sklearn_proxyopt._utils._box import to_unit_cube
from sklearn_proxyopt._utils._threads import one_thread
from sklearn_proxyopt._utils._torch_modes import plain_torch
from sklearn_proxyopt.optimizers._functions import ProxyFunction

if TYPE_CHECKING:
    import torch

    from sklearn_proxyopt.variables import Variables

__all__ = [
    "EncodedRisk",
    "FailureAverse",
    "FailureRisk",
    "learn_failure_risk",
    "risk_in_units",
    "risk_of_features",
]

# Between these probabilities of failure the promise of the proxy gives way to the worst value.
_CARE_BEGINS, _CARE_ENDS = 0.25, 0.75
# With fewer failures than this there is nothing to learn.
_FEWEST = 3
_N_FOLDS = 5


class FailureRisk:
    """The probability that an evaluation fails, smooth over the box.

    A support vector machine divides the samples that failed from those that did not. How far a
    sample lies beyond its border becomes a probability by a logistic curve, which is fitted to
    samples that the machine has not seen: where failures strike at random it is flat, and nothing
    is avoided.

    Parameters
    ----------
    machine : SVC
        Fitted on samples of the unit cube.
    curve : LogisticRegression
        Fitted on what the machine said of samples held out.
    bounds : ndarray of shape (n_features, 2)
        The box.
    """

    def __init__(
        self, machine: SVC, curve: LogisticRegression, bounds: NDArray[np.float64]
    ) -> None:
        self._machine = machine
        self._bounds = bounds
        # Never downhill into failures, whatever few samples say.
        self._slope = max(float(curve.coef_[0, 0]), 0.0)
        self._offset = float(curve.intercept_[0])

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of failure of each sample."""
        border = self._machine.decision_function(to_unit_cube(X, self._bounds))
        return 1.0 / (1.0 + np.exp(-(self._slope * border + self._offset)))

    def caution(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 0 where a sample may be trusted to succeed, 1 where it is best avoided."""
        return np.clip((self(X) - _CARE_BEGINS) / (_CARE_ENDS - _CARE_BEGINS), 0.0, 1.0)

    @plain_torch()
    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the caution of each sample and its gradient."""
        import torch

        rows = torch.tensor(X, dtype=torch.float64, device="cpu", requires_grad=True)
        with one_thread():
            caution = self.torch_module()(rows)
            (gradient,) = torch.autograd.grad(caution.sum(), rows)
        return caution.detach().numpy(), gradient.numpy()

    @plain_torch()
    def torch_module(self) -> torch.nn.Module:
        """Return the caution as a differentiable module, (n, n_features) to (n,)."""
        import torch

        machine, slope, offset = self._machine, self._slope, self._offset
        bounds = self._bounds
        plain: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}

        class Caution(torch.nn.Module):
            lower: torch.Tensor
            width: torch.Tensor
            centers: torch.Tensor
            weights: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                self.register_buffer("lower", torch.tensor(bounds[:, 0], **plain))
                self.register_buffer("width", torch.tensor(np.ptp(bounds, axis=1), **plain))
                self.register_buffer("centers", torch.tensor(machine.support_vectors_, **plain))
                self.register_buffer("weights", torch.tensor(machine.dual_coef_[0], **plain))

            def forward(self, X: torch.Tensor) -> torch.Tensor:
                units = (X - self.lower) / self.width
                squared = (units[:, None, :] - self.centers).square().sum(dim=2)
                border = torch.exp(-machine.gamma * squared) @ self.weights + machine.intercept_[0]
                probability = torch.sigmoid(slope * border + offset)
                care = (probability - _CARE_BEGINS) / (_CARE_ENDS - _CARE_BEGINS)
                return care.clip(0.0, 1.0)

        return Caution()


class EncodedRisk:
    """The probability that an evaluation fails, of samples in the user's units.

    Parameters
    ----------
    risk : FailureRisk
        The same of features.
    variables : Variables
        Makes features of samples.
    """

    def __init__(self, risk: FailureRisk, variables: Variables) -> None:
        self._risk, self._variables = risk, variables

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of failure of each sample."""
        return self._risk(self._variables.features(X))

    def caution(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return 0 where a sample may be trusted to succeed, 1 where it is best avoided."""
        return self._risk.caution(self._variables.features(X))


def risk_of_features(
    X: NDArray[np.float64], failed: NDArray[np.float64], variables: Variables, seed: int
) -> FailureRisk | None:
    """Learn where evaluations fail, for variables of any kind, as a function of features."""
    return learn_failure_risk(
        variables.features(X), variables.features(failed), variables.feature_bounds, seed
    )


def risk_in_units(
    risk: FailureRisk | None, variables: Variables
) -> FailureRisk | EncodedRisk | None:
    """Return a risk of features as one of samples in the user's units."""
    return risk if risk is None or variables.is_continuous_box else EncodedRisk(risk, variables)


def learn_failure_risk(
    X: NDArray[np.float64], failed: NDArray[np.float64], bounds: NDArray[np.float64], seed: int
) -> FailureRisk | None:
    """Learn where evaluations fail from successes and failures; None if there are too few."""
    n_folds = min(_N_FOLDS, len(X), len(failed))
    if len(failed) < _FEWEST or n_folds < 2:
        return None
    units = to_unit_cube(np.vstack([X, failed]), bounds)
    has_failed = np.repeat([0, 1], [len(X), len(failed)])
    machine = SVC(C=10.0, gamma=1.0 / float(units.shape[1] * units.var()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    border = cross_val_predict(
        machine, units, has_failed, cv=folds, method="decision_function", n_jobs=1
    )
    curve = LogisticRegression().fit(border[:, None], has_failed)
    return FailureRisk(machine.fit(units, has_failed), curve, bounds)


class FailureAverse(ProxyFunction):
    """A proxy's function that gives way to the worst known value where evaluations fail.

    Parameters
    ----------
    function : ProxyFunction
        The proxy.
    risk : FailureRisk
        Where evaluations fail.
    worst : float
        The worst value known.
    """

    def __init__(self, function: ProxyFunction, risk: FailureRisk, worst: float) -> None:
        self._function = function
        self._risk = risk
        self._worst = worst
        self.has_gradient, self.has_module = function.has_gradient, function.has_module

    def __call__(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of shape (n,)."""
        value = self._function(X)
        return value + self._risk.caution(X) * (self._worst - value)

    def value_and_grad(
        self, X: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return values of shape (n,) and gradients of shape (n, n_features)."""
        value, gradient = self._function.value_and_grad(X)
        caution, slope = self._risk.value_and_grad(X)
        value, caution = value[:, None], caution[:, None]
        mixed = value + caution * (self._worst - value)
        return mixed[:, 0], (1.0 - caution) * gradient + slope * (self._worst - value)

    @plain_torch()
    def torch_module(self) -> torch.nn.Module:
        """Return the function as a module."""
        import torch

        proxy, worst = self._function.torch_module(), self._worst
        first = next(proxy.buffers())
        caution = self._risk.torch_module().to(first.device, first.dtype)

        class Cautious(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.proxy = proxy
                self.caution = caution

            def forward(self, X: torch.Tensor) -> torch.Tensor:
                value = self.proxy(X)[:, :1]
                return value + self.caution(X)[:, None] * (worst - value)

        return Cautious()
