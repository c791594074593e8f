"""The trend: the part of a proxy that is linear in known functions, fitted in closed form.

Networks learn slowly what a few hundred known functions hold exactly: a polynomial, or a sum of
functions of one variable each. Such a trend is the mean function of universal kriging and the
linear part of a generalised additive model; here it stands beside the network, which learns the
remainder. Leave-one-out errors tell which trends may help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import combinations_with_replacement
from math import comb

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt.proxies._spacing import rows_that_tell

__all__ = [
    "TREND_NAMES",
    "AdditiveBasis",
    "PolynomialBasis",
    "Trend",
    "candidate_trends",
    "trends_for",
]

TREND_NAMES = ("constant", "linear", "quadratic", "cubic", "quartic", "additive")

# Leave-one-out errors are taken in single precision on three samples a function, within these
# limits, and bases have at most this many functions: all keep the choice below a second.
_ROWS_A_FUNCTION = 3
_MIN_ROWS_FOR_CHOICE, _MAX_ROWS_FOR_CHOICE = 1000, 4000
_MAX_FUNCTIONS = 1500
_MAX_FREQUENCIES = 64
_ROWS_PER_BLOCK = 8192
_RIDGES = {torch.float64: 1e-10, torch.float32: 1e-6}
# Up to the quadratic, a richer basis must lower the leave-one-out error by this share.
_MINIMUM_GAIN = 0.05
# Beyond the quadratic, one that lowers it to this share wins outright. One that gains less may
# still harm, since the network must unlearn what it got wrong: training decides.
_CLEAR_GAIN = 0.1
# With an error below this share, larger bases need not be tried.
_NEARLY_ALL = 0.01
_SIMPLE = TREND_NAMES[:3]


class PolynomialBasis(nn.Module):
    """Products of Legendre polynomials up to a total degree, on [-1, 1]^d.

    Parameters
    ----------
    n_features : int
        Number of variables.
    degree : int
        The total degree.
    """

    columns: Tensor

    def __init__(self, n_features: int, degree: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.degree = degree
        # Each function is a product of `degree` columns of the table [1, P_1(x), ..., P_k(x)],
        # filled up with the leading column of ones.
        functions = []
        for total in range(degree + 1):
            for variables in combinations_with_replacement(range(n_features), total):
                orders = [(j, variables.count(j)) for j in sorted(set(variables))]
                factors = [1 + (order - 1) * n_features + j for j, order in orders]
                functions.append(factors + [0] * (max(degree, 1) - len(factors)))
        columns = torch.tensor(functions, dtype=torch.long, device="cpu")
        self.register_buffer("columns", columns)

    @staticmethod
    def count(n_features: int, degree: int) -> int:
        """Return the number of functions."""
        return comb(n_features + degree, degree)

    def forward(self, x: Tensor) -> Tensor:
        """Return the functions at samples of `x`, of shape (n, n_functions)."""
        legendre = [torch.ones_like(x), x]
        for k in range(1, self.degree):
            legendre.append(((2 * k + 1) * x * legendre[k] - k * legendre[k - 1]) / (k + 1))
        table = torch.cat([torch.ones_like(x[:, :1]), *legendre[1 : self.degree + 1]], dim=1)
        product = table[:, self.columns[:, 0]]
        for place in range(1, self.columns.shape[1]):
            product = product * table[:, self.columns[:, place]]
        return product

    def smoothed(self, coefficients: Tensor, noise: float) -> Tensor:
        """Return the coefficients of a combination's mean under Gaussian noise on each variable.

        Parameters
        ----------
        coefficients : Tensor of shape (n_functions, n_outputs)
            The combination.
        noise : float
            Standard deviation of the noise.

        Returns
        -------
        Tensor of shape (n_functions, n_outputs)
            The mean, which is again a combination of these functions.
        """
        means = _legendre_means(self.degree, noise)
        factors = [tuple(sorted(f for f in row if f)) for row in self.columns.tolist()]
        place = {key: index for index, key in enumerate(factors)}
        smoothed = torch.zeros_like(coefficients)
        for index, key in enumerate(factors):
            terms: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
            for factor in key:
                order, variable = divmod(factor - 1, self.n_features)
                lower = [
                    (1 + (k - 1) * self.n_features + variable if k else 0, means[order + 1, k])
                    for k in range(order + 2)
                ]
                terms = [
                    ((*known, new) if new else known, weight * share)
                    for known, weight in terms
                    for new, share in lower
                    if share
                ]
            for known, weight in terms:
                smoothed[place[tuple(sorted(known))]] += weight * coefficients[index]
        return smoothed


def _legendre_means(degree: int, noise: float) -> NDArray[np.float64]:
    """Return how the mean of each Legendre polynomial under noise is made of them all.

    Row k holds the coefficients of the mean of P_k(x + noise e), with e standard normal, from E[(x
    + noise e)^n] = sum over even m of (n choose m) (m - 1)!! noise^m x^(n - m).
    """
    means = np.zeros((degree + 1, degree + 1))
    for k in range(degree + 1):
        powers = np.zeros(k + 1)
        for n, weight in enumerate(legendre.leg2poly([0.0] * k + [1.0])):
            for m in range(0, n + 1, 2):
                moment = float(np.prod(np.arange(m - 1, 0, -2))) * noise**m
                powers[n - m] += weight * comb(n, m) * moment
        means[k, : k + 1] = legendre.poly2leg(powers)
    return means


class AdditiveBasis(nn.Module):
    """Cosines of each variable by itself, beside a low-degree polynomial of all of them.

    The cosines of frequencies 1/2, 1, 3/2, ... per width of the box span the functions of one
    variable on an interval.

    Parameters
    ----------
    n_features : int
        Number of variables.
    n_frequencies : int
        Number of cosines for each variable.
    degree : int
        Degree of the polynomial.
    """

    frequencies: Tensor

    def __init__(self, n_features: int, n_frequencies: int, degree: int) -> None:
        super().__init__()
        self.polynomial = PolynomialBasis(n_features, degree)
        count = torch.arange(1, n_frequencies + 1, dtype=torch.float64, device="cpu")
        self.register_buffer("frequencies", torch.pi / 2 * count)

    def forward(self, x: Tensor) -> Tensor:
        """Return the functions at samples of `x`, of shape (n, n_functions)."""
        cosines = torch.cos((x[:, :, None] + 1) * self.frequencies.to(x.dtype))
        return torch.cat([self.polynomial(x), cosines.flatten(1)], dim=1)

    def smoothed(self, coefficients: Tensor, noise: float) -> Tensor:
        """Return the coefficients of a combination's mean under Gaussian noise on each variable.

        Parameters
        ----------
        coefficients : Tensor of shape (n_functions, n_outputs)
            The combination.
        noise : float
            Standard deviation of the noise.

        Returns
        -------
        Tensor of shape (n_functions, n_outputs)
            The mean, in which a cosine of frequency w is left with exp(-(noise w)^2 / 2).
        """
        n_polynomials = len(self.polynomial.columns)
        left = torch.exp(-0.5 * (noise * self.frequencies).square())
        n_features = self.polynomial.n_features
        return torch.cat(
            [
                self.polynomial.smoothed(coefficients[:n_polynomials], noise),
                left.repeat(n_features)[:, None] * coefficients[n_polynomials:],
            ]
        )


class Trend(nn.Module):
    """A basis with its fitted coefficients.

    Parameters
    ----------
    name : str
        What the basis is called.
    basis : torch.nn.Module
        Maps (n, n_features) to (n, n_functions).
    coefficients : Tensor of shape (1 or n_members, n_functions, n_outputs)
        The weights of the functions, those of each member or for all.
    """

    coefficients: Tensor

    def __init__(self, name: str, basis: nn.Module, coefficients: Tensor) -> None:
        super().__init__()
        self.name = name
        self.basis = basis
        self.register_buffer("coefficients", coefficients)

    def forward(self, x: Tensor) -> Tensor:
        """Return the trend (1 or n_members, n, n_outputs) at samples (n, n_features) or own."""
        functions = self.basis(x.reshape(-1, x.shape[-1]))
        return functions.reshape(*x.shape[:-1], -1) @ self.coefficients


def _candidates(n_features: int, n_rows: int) -> list[tuple[str, Callable[[], nn.Module]]]:
    """List the bases that the number of samples can carry, the simplest first."""
    limit = min(n_rows // 2, _MAX_FUNCTIONS)
    bases: list[tuple[str, Callable[[], nn.Module]]] = []
    for degree, name in enumerate(TREND_NAMES[:5]):
        if degree == 0 or PolynomialBasis.count(n_features, degree) <= limit:
            bases.append((name, partial(PolynomialBasis, n_features, degree)))
    for degree in (2, 1):
        spare = min(limit, n_rows // 3) - PolynomialBasis.count(n_features, degree)
        n_frequencies = min(spare // n_features, _MAX_FREQUENCIES)
        if n_frequencies >= 4:
            bases.append(("additive", partial(AdditiveBasis, n_features, n_frequencies, degree)))
            break
    return bases


def trends_for(n_features: int, n_rows: int) -> list[str]:
    """Name the trends that so many samples can carry."""
    return [name for name, _ in _candidates(n_features, n_rows)]


def _gram(basis: nn.Module, x: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Add up the normal equations over blocks of samples."""
    gram, moment = x.new_zeros(()), x.new_zeros(())
    for block in torch.arange(len(x), device=x.device).split(_ROWS_PER_BLOCK):
        functions = basis(x[block])
        weighted = functions * weight[block, None]
        gram = gram + weighted.T @ functions
        moment = moment + weighted.T @ y[block]
    ridge = _RIDGES[gram.dtype] * gram.diagonal().mean()
    return gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), moment


def _leave_one_out_error(basis: nn.Module, x: Tensor, y: Tensor, weight: Tensor) -> float:
    """Return the root mean square of the errors at samples left out, from one fit.

    The error of sample i is e_i / (1 - h_ii), with e the residual of the full fit and h_ii the
    leverage (Allen 1974, the PRESS statistic).
    """
    gram, moment = _gram(basis, x, y, weight)
    factor = torch.linalg.cholesky(gram)
    functions = basis(x)
    residual = y - functions @ torch.cholesky_solve(moment, factor)
    whitened = torch.linalg.solve_triangular(factor, functions.T, upper=False)
    leverage = weight * whitened.square().sum(dim=0)
    error = residual / (1.0 - leverage).clamp_min(1e-6)[:, None]
    return float((weight[:, None] * error.square()).mean().sqrt())


def _promising(
    x: Tensor, y: Tensor, weight: Tensor, names: Iterable[str], generator: torch.Generator
) -> list[str]:
    """Name the basis that leave-one-out errors favor, after a simpler one if in question."""
    rows = torch.randperm(len(x), generator=generator, device="cpu")[:_MAX_ROWS_FOR_CHOICE]
    rows = rows.to(x.device)
    scale = y.std(dim=0, correction=0).clamp_min(torch.finfo(y.dtype).tiny)
    y = ((y[rows] - y.mean(dim=0)) / scale).float()
    x, weight = x[rows].float(), weight[rows].float()
    candidates = _candidates(x.shape[1], len(x))
    bases = [(name, make().to(x.device)) for name, make in candidates if name in names]
    sizes = {name: basis(x[:1]).shape[1] for name, basis in bases}

    def error_of(name: str, basis: nn.Module) -> float:
        n_rows = max(_ROWS_A_FUNCTION * sizes[name], _MIN_ROWS_FOR_CHOICE)
        try:
            return _leave_one_out_error(basis, x[:n_rows], y[:n_rows], weight[:n_rows])
        except torch.linalg.LinAlgError:
            return float("inf")

    errors = {name: error_of(name, basis) for name, basis in bases if name in _SIMPLE}
    simple = "constant"
    for name in errors:
        if errors[name] < (1.0 - _MINIMUM_GAIN) * errors[simple]:
            simple = name
    best, lowest = simple, errors[simple]
    rich = [(name, basis) for name, basis in bases if name not in _SIMPLE]
    for name, basis in sorted(rich, key=lambda one: sizes[one[0]]):
        error = error_of(name, basis)
        if error < (1.0 - _MINIMUM_GAIN) * lowest:
            best, lowest = name, error
        if lowest < _NEARLY_ALL * errors[simple]:
            break
    if best == simple or lowest < _CLEAR_GAIN * errors[simple]:
        return [best]
    return [simple, best]


def candidate_trends(
    name: str, x: Tensor, y: Tensor, weight: Tensor, generator: torch.Generator
) -> list[Trend]:
    """Fit the trends to choose from, by weighted least squares.

    Parameters
    ----------
    name : str
        One of `TREND_NAMES`, or "auto" for those that leave-one-out errors leave in question, those
        of samples that lie apart where a search has crowded most of them.
    x : Tensor of shape (n, n_features)
        Samples scaled to [-1, 1].
    y : Tensor of shape (n, n_outputs)
        Targets.
    weight : Tensor of shape (1 or n_members, n)
        Weights with mean one, those of each member or for all.
    generator : torch.Generator
        Draws the samples on which the errors are taken.

    Returns
    -------
    list of Trend
        One or two fitted trends, the simpler first.

    Raises
    ------
    ValueError
        If the named basis has more functions than the samples can carry.
    """
    telling = slice(None)
    if name == "auto":
        telling = torch.from_numpy(rows_that_tell(x.cpu().numpy())).to(x.device)
    # A member knows only the samples that were drawn for it.
    n_rows = int((weight[:, telling] > 0).sum(dim=1).min())
    available = dict(_candidates(x.shape[1], n_rows))
    if name != "auto" and name not in available:
        listed = ", ".join(repr(known) for known in available)
        raise ValueError(
            f"trend must be one that the {n_rows} training rows of {x.shape[1]} variables can "
            f"carry ({listed}); got {name!r}."
        )
    names = [name]
    if name == "auto":
        known = (x[telling], y[telling], weight[:, telling].mean(dim=0))
        names = _promising(*known, available, generator)
    trends = []
    for chosen in names:
        basis = available[chosen]().to(x.device)
        fits = [_fitted(basis, x, y, member) for member in weight]
        trends.append(Trend(chosen, basis, torch.stack(fits)))
    return trends


def _fitted(basis: nn.Module, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """Return the coefficients of the weighted least squares fit."""
    # The ridge must not pull at the level of the targets, however high that is.
    level = (weight[:, None] * y).sum(dim=0) / weight.sum()
    gram, moment = _gram(basis, x, y - level, weight)
    coefficients = torch.linalg.solve(gram, moment)
    # The first function of every basis is the constant.
    coefficients[0] += level
    return coefficients
