"""Functions and small simulators that proxies are compared on, in two sets kept apart.

`DEVELOPMENT` may be looked at as often as one likes while a proxy is changed; `REPORTING` is looked
at once. Turned functions are turned and shifted by a generator whose seed is their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import special_ortho_group

from sklearn_proxyopt.problems import GaussianPits, GramacyLee

__all__ = ["DEVELOPMENT", "REPORTING", "Boxed"]

Rows = NDArray[np.float64]
_SEED = 20261128


class Boxed:
    """A function of the unit cube as one with bounds.

    Parameters
    ----------
    function : callable
        Maps rows (n, n_features) of the unit cube to values (n,).
    n_features : int
        Number of variables.
    """

    def __init__(self, function: Callable[[Rows], Rows], n_features: int) -> None:
        self.function = function
        self.bounds = np.tile([0.0, 1.0], (n_features, 1))

    def __call__(self, X: Any) -> Rows:
        """Return the values of rows."""
        return self.function(np.asarray(X, dtype=np.float64))


def _between(function: Callable[..., Rows], lower: list[float], upper: list[float]) -> Boxed:
    """Return a function of several columns on a box, stretched to the unit cube."""
    low, high = np.array(lower), np.array(upper)
    return Boxed(lambda U: function(*(low + U * (high - low)).T), len(low))


def _turned(function: Callable[[Rows], Rows], n_features: int, half: float, place: int) -> Boxed:
    """Return a function of [-half, half]^d, turned and shifted, on the unit cube."""
    rng = np.random.default_rng([_SEED, place])
    frame = special_ortho_group.rvs(n_features, random_state=rng)
    shift = rng.uniform(-0.4, 0.4, n_features) * half
    return Boxed(lambda U: function(((2.0 * U - 1.0) * half - shift) @ frame.T), n_features)


def _wing(S, W, A, sweep, q, taper, t, N, D, p):
    turn = np.cos(np.deg2rad(sweep))
    planform = 0.036 * S**0.758 * W**0.0035 * (A / turn**2) ** 0.6 * q**0.006 * taper**0.04
    return planform * (100 * t / turn) ** -0.3 * (N * D) ** 0.49 + S * p


def _borehole(r, R, Tu, Hu, Tl, Hl, L, K):
    g = np.log(R / r)
    return -2 * np.pi * Tu * (Hu - Hl) / (g * (1 + 2 * L * Tu / (g * r * r * K) + Tu / Tl))


def _beam(E, X, Y, length, w, t):
    return 4 * length**3 / (E * w * t) * np.hypot(Y / t**2, X / w**2)


def _otl(b1, b2, f, c1, c2, B):
    V, own = 12 * b2 / (b1 + b2), B * (c2 + 9)
    return (V + 0.74) * own / (own + f) + 11.35 * f / (own + f) + 0.74 * f * own / ((own + f) * c1)


def _robot(U):
    angles, lengths = np.cumsum(2 * np.pi * U[:, :4], axis=1), U[:, 4:]
    return np.hypot((lengths * np.cos(angles)).sum(1), (lengths * np.sin(angles)).sum(1))


def _friedman(U):
    first = 10 * np.sin(np.pi * U[:, 0] * U[:, 1])
    return first + 20 * (U[:, 2] - 0.5) ** 2 + 10 * U[:, 3] + 5 * U[:, 4]


def _currin(U):
    a, b = U.T
    rise = 1 - np.exp(-0.5 / np.maximum(b, 1e-9))
    return (
        rise * (2300 * a**3 + 1900 * a**2 + 2092 * a + 60) / (100 * a**3 + 500 * a**2 + 4 * a + 20)
    )


def _lim(U):
    a, b = U.T
    return ((30 + 5 * a * np.sin(5 * a)) * (4 + np.exp(-5 * b)) - 100) / 6


_HARTMANN = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def _hartmann(U):
    away = (_HARTMANN_A * (U[:, None] - _HARTMANN_P) ** 2).sum(axis=2)
    return -(_HARTMANN * np.exp(-away)).sum(axis=1)


def _dixon_price(x):
    i = np.arange(2, x.shape[1] + 1)
    return (x[:, 0] - 1) ** 2 + (i * (2 * x[:, 1:] ** 2 - x[:, :-1]) ** 2).sum(1)


def _rosenbrock(x):
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(1)


def _schaffer(x):
    s = np.hypot(x[:, 1:], x[:, :-1])
    return (np.sqrt(s) * (1 + np.sin(50 * s**0.2) ** 2)).mean(1) ** 2


def _camel(x):
    a, b = x.T
    return (4 - 2.1 * a**2 + a**4 / 3) * a**2 + a * b + (4 * b**2 - 4) * b**2


def _zakharov(x):
    total = (0.5 * np.arange(1, x.shape[1] + 1) * x).sum(1)
    return (x**2).sum(1) + total**2 + total**4


def _ackley(x):
    bowl = -20 * np.exp(-0.2 * np.sqrt((x**2).mean(1)))
    return bowl - np.exp(np.cos(2 * np.pi * x).mean(1))


def _griewank(x):
    return (x**2).sum(1) / 40 - np.cos(x / np.sqrt(np.arange(1, x.shape[1] + 1))).prod(1)


def _predators(birth, hunt, growth, death):
    """Misfit of the populations of a predator and its prey with those of a year on record."""
    prey, predator = np.ones_like(birth), np.full_like(birth, 0.5)
    misfit, dt = np.zeros_like(birth), 0.02
    for step in range(1, 501):
        for part in (0.5, 1.0):
            half_prey = prey + part * dt * prey * (birth - hunt * predator)
            predator, prey = predator + part * dt * predator * (growth * prey - death), half_prey
        if step % 50 == 0:
            t = step * dt * 1.5
            misfit += (prey - 1.2 - 0.6 * np.sin(t)) ** 2 + (predator - 0.9 - 0.4 * np.cos(t)) ** 2
    return np.log1p(misfit)


def _throw(speed, angle, drag, wind, spin):
    """How far a ball that is thrown lands from a mark."""
    x, height = np.zeros_like(speed), np.full_like(speed, 1.5)
    u, v, dt = speed * np.cos(angle), speed * np.sin(angle), 0.01
    landed = np.full_like(speed, np.nan)
    for _ in range(800):
        relative = u - wind
        fast = np.hypot(relative, v)
        u = u + dt * (-drag * fast * relative - spin * v)
        v = v + dt * (-9.81 - drag * fast * v + spin * relative)
        before, x, height = height, x + dt * u, height + dt * v
        crossed = (height <= 0) & (before > 0) & np.isnan(landed)
        landed = np.where(crossed, x - dt * u * height / (height - before), landed)
    return np.abs(np.where(np.isnan(landed), x, landed) - 25.0)


DEVELOPMENT = {
    "camel, turned, 2": _turned(_camel, 2, 1.8, 0),
    "OTL circuit, 6": _between(_otl, [50, 25, 0.5, 1.2, 0.25, 50], [150, 70, 3, 2.5, 1.2, 300]),
    "Friedman, 5": Boxed(_friedman, 5),
    "robot arm, 8": Boxed(_robot, 8),
    "Zakharov, turned, 4": _turned(_zakharov, 4, 4.0, 1),
    "Ackley, turned, 3": _turned(_ackley, 3, 3.0, 2),
    "Griewank, turned, 3": _turned(_griewank, 3, 8.0, 3),
}

REPORTING = {
    "Gramacy-Lee, 1": GramacyLee(),
    "Currin, 2": Boxed(_currin, 2),
    "Lim, 2": Boxed(_lim, 2),
    "Schaffer F7, turned, 3": _turned(_schaffer, 3, 50.0, 4),
    "Gaussian pits, 4": GaussianPits(4),
    "Rosenbrock, turned, 4": _turned(_rosenbrock, 4, 2.0, 5),
    "predator and prey, 4": _between(_predators, [0.5, 0.5, 0.3, 0.3], [2, 2, 1.5, 1.5]),
    "Dixon-Price, turned, 5": _turned(_dixon_price, 5, 3.0, 6),
    "thrown ball, 5": _between(_throw, [10, 0.2, 0, -5, -0.5], [25, 1.3, 0.03, 5, 0.5]),
    "beam, 6": _between(_beam, [2e7, 300, 700, 80, 1.5, 1.5], [4e7, 700, 1300, 120, 4, 4]),
    "Hartmann, 6": Boxed(_hartmann, 6),
    "borehole, 8": _between(
        _borehole,
        [0.05, 100, 63070, 990, 63.1, 700, 1120, 9855],
        [0.15, 50000, 115600, 1110, 116, 820, 1680, 12045],
    ),
    "wing, 10": _between(
        _wing,
        [150, 220, 6, -10, 16, 0.5, 0.08, 2.5, 1700, 0.025],
        [200, 300, 10, 10, 45, 1, 0.18, 6, 2500, 0.08],
    ),
}
