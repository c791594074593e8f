"""Gaussian processes of many samples by way of a few: inducing points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._covariances import Covariance
from sklearn_proxyopt.proxies._kernel._kriging import factorized

__all__ = ["InducedKriging", "choose_inducing"]

# The noise ratios that are tried, beside the one learned on a sample.
_NOISES = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_JITTER = 1e-14
# What is left of the values is taken for rounding below this share of their squares.
_ROUNDING = 1e-15
_ROWS_PER_BLOCK = 4096
# This share of the inducing points lies among the lowest values, those of the first quantile here.
_SHARE_LOW, _LOW = 0.25, 0.2


def choose_inducing(values: Tensor, n_inducing: int, generator: torch.Generator) -> Tensor:
    """Return which samples become inducing points, some of them among the lowest.

    Parameters
    ----------
    values : Tensor of shape (n,)
        Values of the samples.
    n_inducing : int
        Number of inducing points, fewer than samples.
    generator : torch.Generator
        Draws them.

    Returns
    -------
    Tensor of shape (n_inducing,)
        Places, in ascending order.
    """
    order = torch.randperm(len(values), generator=generator, device="cpu")
    n_lowest = max(int(_LOW * len(values)), 1)
    is_low = torch.zeros(len(values), dtype=torch.bool, device="cpu")
    is_low[values.cpu().argsort(stable=True)[:n_lowest]] = True
    low = order[is_low[order]][: int(_SHARE_LOW * n_inducing)]
    is_low[:] = False
    is_low[low] = True
    others = order[~is_low[order]][: n_inducing - len(low)]
    return torch.cat([low, others]).sort().values.to(values.device)


@dataclass(frozen=True)
class InducedKriging:
    """A process in the span of its covariances with inducing points, fitted to all samples.

    It is the posterior mean of Titsias (2009); the noise is chosen by generalised
    cross-validation (Golub, Heath and Wahba 1979), since it has to account also for what the
    inducing points leave.

    Attributes
    ----------
    covariance : Covariance
        What the process varies with.
    settings : Tensor of shape (n_parameters + 1,)
        Its parameters and the logarithm of the noise ratio.
    rows : Tensor of shape (n_inducing, n_features)
        The inducing points.
    weights : Tensor of shape (n_inducing,)
        The weight of the covariance with each.
    mean_weights : Tensor of shape (n_functions,)
        The weights of the functions of the mean.
    variance : float
        Variance of the process.
    errors, spreads : Tensor of shape (n,)
        Each value less its prediction from the other samples, and the standard deviation of that.
    root : Tensor of shape (n_inducing, n_inducing)
        Cholesky factor of the covariances of the inducing points.
    posterior_root : Tensor of shape (n_weights, n_weights)
        Cholesky factor of the precision of all weights, in units of the noise.
    """

    covariance: Covariance
    settings: Tensor
    rows: Tensor
    weights: Tensor
    mean_weights: Tensor
    variance: float
    errors: Tensor
    spreads: Tensor
    root: Tensor
    posterior_root: Tensor

    @property
    def noise_variance(self) -> float:
        """Variance of the noise of weight one, and of what inducing points leave."""
        return self.variance * float(self.settings[-1].exp())

    @classmethod
    def fitted(
        cls,
        covariance: Covariance,
        settings: Tensor,
        inducing: Tensor,
        known: tuple[Tensor, Tensor, Tensor],
        basis: nn.Module,
    ) -> InducedKriging:
        """Fit all samples with given settings.

        Parameters
        ----------
        covariance : Covariance
            What the process varies with.
        settings : Tensor of shape (n_parameters + 1,)
            Its parameters and the logarithm of the noise ratio.
        inducing : Tensor of shape (n_inducing, n_features)
            The inducing points.
        known : tuple of Tensor
            Samples (n, n_features), values (n,) and weights (n,).
        basis : torch.nn.Module
            The functions of the mean.

        Returns
        -------
        InducedKriging
            The fit.
        """
        rows, values, weight = known
        features = _Features(covariance, settings[:-1], inducing, basis)
        gram, moment = features.normal_equations(rows, values, weight)
        square = float((weight * values.square()).sum())
        noises = (*_NOISES, max(float(settings[-1].exp()), _NOISES[0]))
        fits = [
            _Ridge.fitted(gram, moment, square, noise, features.n_mean, len(rows))
            for noise in noises
        ]
        best = min(fits, key=lambda fit: fit.score)
        variance = best.noise_variance / best.noise
        leverage, unexplained = features.leverages(rows, best.root)
        left = (1.0 - weight * leverage).clamp_min(1e-6)
        own = best.noise_variance / (weight * left) + variance * unexplained
        n_mean = features.n_mean
        back = torch.linalg.solve_triangular(
            features.root.T, best.weights[n_mean:, None], upper=True
        )
        return cls(
            covariance,
            torch.cat([settings[:-1], settings.new_tensor([best.noise]).log()]),
            inducing,
            back[:, 0],
            best.weights[:n_mean],
            variance,
            features.residual(best.weights, rows, values) / left,
            own.sqrt(),
            features.root,
            best.root,
        )


class _Features:
    """The functions of the mean, and covariances with inducing points, whitened by their own."""

    def __init__(
        self, covariance: Covariance, parameters: Tensor, inducing: Tensor, basis: nn.Module
    ) -> None:
        self._covariance, self._parameters = covariance, parameters
        self._inducing, self._basis = inducing, basis
        matrix = covariance.between(parameters, inducing, inducing)
        self.root = factorized(matrix, _JITTER)
        self.n_mean = basis(inducing[:1]).shape[1]

    def at(self, x: Tensor) -> Tensor:
        """Return the features (n, n_weights)."""
        cross = self._covariance.between(self._parameters, self._inducing, x)
        white = torch.linalg.solve_triangular(self.root, cross, upper=False)
        return torch.cat([self._basis(x), white.T], dim=1)

    def normal_equations(
        self, rows: Tensor, values: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add up over blocks of samples."""
        gram, moment = rows.new_zeros(()), rows.new_zeros(())
        for x, y, w in _blocks(rows, values, weight):
            features = self.at(x)
            weighted = (features * w[:, None]).T
            gram, moment = gram + weighted @ features, moment + weighted @ y
        return gram, moment

    def residual(self, weights: Tensor, rows: Tensor, values: Tensor) -> Tensor:
        """Return values less their predictions."""
        return torch.cat([y - self.at(x) @ weights for x, y in _blocks(rows, values)])

    def leverages(self, rows: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
        """Return how much each sample predicts itself, and the variance that no weight explains."""
        leverages, unexplained = [], []
        for (x,) in _blocks(rows):
            features = self.at(x)
            white = torch.linalg.solve_triangular(root, features.T, upper=False)
            leverages.append(white.square().sum(dim=0))
            explained = features[:, self.n_mean :].square().sum(dim=1)
            unexplained.append((1.0 - explained).clamp_min(0.0))
        return torch.cat(leverages), torch.cat(unexplained)


@dataclass(frozen=True)
class _Ridge:
    """A ridge regression on features, of which those of the mean are not drawn to zero."""

    noise: float
    root: Tensor
    weights: Tensor
    noise_variance: float
    score: float

    @classmethod
    def fitted(
        cls, gram: Tensor, moment: Tensor, square: float, noise: float, n_mean: int, n_rows: int
    ) -> _Ridge:
        """Solve normal equations; `square` is the sum of the squared values."""
        penalty = torch.full_like(moment, noise)
        penalty[:n_mean] = 0.0
        root = factorized(gram + penalty.diag(), _JITTER * float(gram.diagonal().mean()))
        weights = torch.cholesky_solve(moment[:, None], root)[:, 0]
        drawn = float((penalty * weights.square()).sum())
        error = max(square - 2.0 * float(weights @ moment) + float(weights @ gram @ weights), 0.0)
        error = max(error, _ROUNDING * square)
        shrunk = float((penalty * torch.cholesky_inverse(root).diagonal()).sum())
        n_left = max(n_rows - len(moment) + shrunk, _ROUNDING * n_rows)
        score = error / n_left**2
        noise_variance = max((error + drawn) / max(n_rows - n_mean, 1), 1e-24)
        return cls(noise, root, weights, noise_variance, score)


def _blocks(*tensors: Tensor) -> zip[tuple[Tensor, ...]]:
    return zip(*(tensor.split(_ROWS_PER_BLOCK) for tensor in tensors), strict=True)
