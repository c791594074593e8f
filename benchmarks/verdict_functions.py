"""Functions with known minima on which verdicts are learned, and others on which they are tried.

`LEARNED` and `UNSEEN` are families by name. A family makes a function of a number of variables and
a seed; those of `UNSEEN`, simulators among them, are never learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from proxy_functions import DEVELOPMENT, REPORTING, Boxed
from scipy.stats import qmc, special_ortho_group

from sklearn_proxyopt.problems import (
    Ackley,
    Ellipsoid,
    GaussianPits,
    GramacyLee,
    Griewank,
    Levy,
    Rastrigin,
    RippledBowl,
    Rosenbrock,
    StyblinskiTang,
)

__all__ = ["LEARNED", "SIMULATORS", "UNSEEN", "Function"]

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Function:
    """A function with a known minimum.

    Parameters
    ----------
    call : callable
        Maps rows (n, n_features) to values (n,).
    bounds : ndarray of shape (n_features, 2)
        The search space.
    f_opt : float
        The lowest value in it.
    x_opt : ndarray of shape (n_features,) or None
        A point of that value, where it is known.
    """

    call: Callable[[Rows], Rows]
    bounds: Rows
    f_opt: float
    x_opt: Rows | None = None

    def __call__(self, X: Rows) -> Rows:
        """Return the values of rows."""
        return np.asarray(self.call(np.asarray(X, dtype=np.float64)), dtype=np.float64)


def _searched(call: Callable[[Rows], Rows], bounds: Rows, n: int = 14) -> float:
    """Return the lowest value of points all over the box, its corners, and ever nearer to them."""
    d, rng = len(bounds), np.random.default_rng(0)
    low, width = bounds[:, 0], np.ptp(bounds, axis=1)
    points = qmc.Sobol(d, rng=rng).random_base2(n)
    if d <= 10:
        corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * d), axis=-1).reshape(-1, d)
        points = np.vstack([points, corners])
    values = np.asarray(call(low + points * width))
    for reach in np.geomspace(0.2, 1e-7, 60):
        best = np.argsort(values, kind="stable")[:40]
        points, values = points[best], values[best]
        steps = reach * rng.standard_normal((10, *points.shape))
        steps *= rng.random(steps.shape) < max(2.0 / d, 0.4)
        tried = np.clip(points + steps, 0.0, 1.0).reshape(-1, d)
        points = np.vstack([points, tried])
        values = np.append(values, call(low + tried * width))
    return float(values.min())


def _of_problem(kind: type, n_dims: int, seed: int) -> Function:
    """Return a problem of the package, turned and shifted in two of three cases."""
    rng = np.random.default_rng(seed)
    more = {}
    if kind is Rosenbrock:
        n_dims = max(n_dims, 2)
    elif kind is GaussianPits:
        more = {"random_state": seed}
    elif kind is RippledBowl:
        height, n_ripples = 10.0 ** rng.uniform(-1.5, 0.8), rng.uniform(3.0, 15.0)
        more = {"random_state": seed, "height": height, "n_ripples": n_ripples}
    problem = kind(n_dims, **more)
    if n_dims > 1 and rng.random() < 0.67:
        problem = problem.rotated_and_shifted(seed)
    return Function(problem, problem.bounds, float(problem.f_opt), np.atleast_2d(problem.x_opt)[0])


def _around(shape: Callable[[Rows], Rows], half: float, n_dims: int, seed: int) -> Function:
    """Return a function whose minimum, 0, is at the origin: turned and shifted."""
    rng = np.random.default_rng(seed)
    turn = np.eye(n_dims)
    if n_dims > 1 and rng.random() < 0.67:
        turn = special_ortho_group.rvs(n_dims, random_state=rng)
    shift = rng.uniform(-0.8, 0.8, n_dims) * half
    bounds = np.tile([-half, half], (n_dims, 1))
    return Function(lambda X: shape((X - shift) @ turn.T), bounds, 0.0, shift)


def _conditions(n_dims: int, power: float) -> Rows:
    return 10.0 ** (power * np.arange(n_dims) / max(n_dims - 1, 1))


def _cut_bowl(n_dims: int, seed: int) -> Function:
    """Return a bowl whose middle lies beyond the bounds of some variables."""
    rng = np.random.default_rng(seed)
    middle, weights = rng.uniform(-1.6, 1.6, n_dims), _conditions(n_dims, rng.uniform(0.0, 2.0))
    power = rng.uniform(1.2, 3.0)

    def bowl(X: Rows) -> Rows:
        return (np.abs(X - middle) ** power @ weights) / n_dims

    x_opt = np.clip(middle, -1.0, 1.0)
    bounds = np.tile([-1.0, 1.0], (n_dims, 1))
    return Function(bowl, bounds, float(bowl(x_opt[None])[0]), x_opt)


def _slope(n_dims: int, seed: int) -> Function:
    """Return a bent slope whose minimum is a corner."""
    rng = np.random.default_rng(seed)
    steep = rng.uniform(0.2, 2.0, n_dims) * rng.choice([-1.0, 1.0], n_dims)
    bend = rng.uniform(0.0, 1.5)

    def slope(X: Rows) -> Rows:
        z = X @ steep / np.sqrt(n_dims)
        return z + bend * (np.exp(z) - 1.0)

    x_opt = -np.sign(steep)
    bounds = np.tile([-1.0, 1.0], (n_dims, 1))
    return Function(slope, bounds, float(slope(x_opt[None])[0]), x_opt)


def _waves(n_dims: int, seed: int) -> Function:
    """Return a sum of random waves, a draw of a Gaussian process."""
    rng = np.random.default_rng(seed)
    n_dims = min(n_dims, 5)
    scale = rng.uniform(1.5, 5.0) / np.sqrt(n_dims)
    frequency = rng.standard_normal((60, n_dims)) * scale * rng.uniform(0.3, 1.0, n_dims)
    phase = rng.uniform(0.0, 2.0 * np.pi, 60)

    def waves(X: Rows) -> Rows:
        return np.cos(X @ frequency.T + phase).sum(axis=1) / np.sqrt(30.0)

    bounds = np.tile([-1.0, 1.0], (n_dims, 1))
    return Function(waves, bounds, _searched(waves, bounds, 12))


def _michalewicz(X: Rows) -> Rows:
    i = np.arange(1, X.shape[1] + 1)
    return -(np.sin(X) * np.sin(i * X**2 / np.pi) ** 6).sum(axis=1)


def _schwefel(X: Rows) -> Rows:
    return 418.982887272434 * X.shape[1] - (X * np.sin(np.sqrt(np.abs(X)))).sum(axis=1)


def _schwefel_of(n_dims: int, seed: int) -> Function:
    n_dims = min(n_dims, 4)
    bounds = np.tile([-500.0, 500.0], (n_dims, 1))
    return Function(_schwefel, bounds, 0.0, np.full(n_dims, 420.968746))


def _zakharov(z: Rows) -> Rows:
    total = (0.5 * np.arange(1, z.shape[1] + 1) * z).sum(axis=1)
    return np.square(z).sum(axis=1) + total**2 + total**4


def _powers(z: Rows) -> Rows:
    """Different powers, as f14 of BBOB."""
    exponents = 2.0 + 4.0 * np.arange(z.shape[1]) / max(z.shape[1] - 1, 1)
    return np.sqrt((np.abs(z) ** exponents).sum(axis=1))


def _ridge(z: Rows) -> Rows:
    """A sharp ridge, as f13 of BBOB."""
    return z[:, 0] ** 2 + 10.0 * np.sqrt(np.square(z[:, 1:]).sum(axis=1) + 1e-12)


def _sector(z: Rows) -> Rows:
    """An attractive sector, as f6 of BBOB."""
    return np.square(np.where(z > 0.0, 10.0 * z, z)).sum(axis=1) ** 0.9


def _cigar(z: Rows) -> Rows:
    """A bent cigar, as f12 of BBOB, of a milder condition."""
    bent = np.where(z > 0.0, np.abs(z) ** 1.2, z)
    return bent[:, 0] ** 2 + 100.0 * np.square(bent[:, 1:]).sum(axis=1)


def _weierstrass(z: Rows) -> Rows:
    """Rugged at every scale, like f16 of BBOB: Weierstrass."""
    k = np.arange(6)
    waves = np.cos(2.0 * np.pi * 3.0**k * (z[:, :, None] + 0.5)) * 0.5**k
    least = (0.5**k * np.cos(np.pi * 3.0**k)).sum()
    return (waves.sum(axis=2) - least).mean(axis=1) + 0.02 * np.square(z).sum(axis=1)


def _branin(X: Rows) -> Rows:
    a, b = 15.0 * X[:, 0] - 5.0, 15.0 * X[:, 1]
    level = (b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6) ** 2
    return level + 10 * (1 - 1 / (8 * np.pi)) * np.cos(a) + 10


def _goldstein_price(X: Rows) -> Rows:
    a, b = (4.0 * X - 2.0).T
    one = 19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2
    two = 18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2
    return np.log((1 + (a + b + 1) ** 2 * one) * (30 + (2 * a - 3 * b) ** 2 * two))


def _piston(U: Rows) -> Rows:
    low = np.array([30, 0.005, 0.002, 1000, 90000, 290, 340.0])
    high = np.array([60, 0.020, 0.010, 5000, 110000, 296, 360.0])
    M, S, V0, k, P0, Ta, T0 = (low + U * (high - low)).T
    A = P0 * S + 19.62 * M - k * V0 / S
    V = S / (2 * k) * (np.sqrt(A**2 + 4 * k * P0 * V0 * Ta / T0) - A)
    return 2 * np.pi * np.sqrt(M / (k + S**2 * P0 * V0 * Ta / (T0 * V**2)))


def _reactor(U: Rows) -> Rows:
    """Minus the yield of B in a batch A -> B -> C that is heated in three steps."""
    temperature, hours = 300.0 + 100.0 * U[:, :3], 0.2 + 3.0 * U[:, 3:]
    a, b = np.ones(len(U)), np.zeros(len(U))
    for stage in range(3):
        k1 = 4.0e3 * np.exp(-2500.0 / temperature[:, stage])
        k2 = 6.2e5 * np.exp(-5000.0 / temperature[:, stage])
        dt = hours[:, 0] / 3.0 / 60.0
        for _ in range(60):
            used, lost = k1 * a**2, k2 * b
            a, b = a + dt * -used, b + dt * (used - lost)
    return -b


def _damper(U: Rows) -> Rows:
    """The highest amplitude of a machine on a spring with a tuned absorber."""
    mass, tuning, damping, base = (
        0.02 + 0.2 * U[:, 0],
        0.6 + 0.7 * U[:, 1],
        0.005 + 0.4 * U[:, 2],
        0.002 + 0.03 * U[:, 3],
    )
    r = np.linspace(0.5, 1.6, 240)[:, None]
    spring = tuning**2 - r**2 + 2j * damping * tuning * r
    whole = 1.0 - r**2 + 2j * base * r
    move = spring / (spring * whole - mass * r**2 * (tuning**2 + 2j * damping * tuning * r))
    return np.log(np.abs(move).max(axis=0)) + 1.5 * mass


def _controller(U: Rows) -> Rows:
    """The cost of the step response of a lagging plant under a PID controller."""
    kp, ki, kd = 0.2 + 8.0 * U[:, 0], 4.0 * U[:, 1], 3.0 * U[:, 2]
    x1, x2, total, before = (np.zeros(len(U)) for _ in range(4))
    cost, dt = np.zeros(len(U)), 0.02
    for step in range(400):
        error = 1.0 - x2
        total = total + dt * error
        drive = np.clip(kp * error + ki * total - kd * (x2 - before) / dt, -5.0, 5.0)
        before = x2
        x1, x2 = x1 + dt * (drive - x1), x2 + dt * (x1 - x2) / 0.5
        cost += dt * (np.abs(error) * step * dt + 0.02 * drive**2)
    return np.log(cost)


def _epidemic(U: Rows) -> Rows:
    """The misfit of a curve of infections with one on record."""
    rate, stay = 0.1 + 0.9 * U[:, 0], 2.0 + 12.0 * U[:, 1]
    first, mixing = 10.0 ** (-5.0 + 3.0 * U[:, 2]), 0.6 + 0.4 * U[:, 3]
    s, i = 1.0 - first, first
    misfit = np.zeros(len(U))
    for day in range(1, 101):
        new = rate * s * i**mixing
        s, i = s - new, i + new - i / stay
        if day % 10 == 0:
            seen = 0.12 * np.exp(-(((day - 52.0) / 16.0) ** 2))
            misfit += (np.clip(i, 0.0, 1.0) - seen) ** 2
    return np.sqrt(misfit)


@cache
def _lowest(name: str, sign: float) -> float:
    one = _BOXED[name]
    call = partial(_signed, one, sign)
    return _searched(call, np.asarray(one.bounds, dtype=np.float64))


def _signed(one: Callable[[Rows], Rows], sign: float, X: Rows) -> Rows:
    return sign * np.asarray(one(X))


def _boxed(name: str, n_dims: int, seed: int) -> Function:
    """Return a model of fixed variables, whose maximum is sought in one of three cases."""
    one, sign = _BOXED[name], -1.0 if seed % 3 == 0 else 1.0
    bounds = np.asarray(one.bounds, dtype=np.float64)
    return Function(partial(_signed, one, sign), bounds, _lowest(name, sign))


_OWN = {
    "Branin": Boxed(_branin, 2),
    "Goldstein-Price": Boxed(_goldstein_price, 2),
    "Michalewicz": Boxed(lambda U: _michalewicz(np.pi * U), 2),
    "piston": Boxed(_piston, 7),
    "batch reactor": Boxed(_reactor, 4),
    "tuned absorber": Boxed(_damper, 4),
    "controller": Boxed(_controller, 3),
    "epidemic": Boxed(_epidemic, 4),
}
_BOXED = {
    **{name.rsplit(",", 1)[0]: one for name, one in (DEVELOPMENT | REPORTING).items()},
    **_OWN,
}

_PROBLEMS = [Ackley, Ellipsoid, GaussianPits, Griewank, Levy]
_PROBLEMS += [Rastrigin, RippledBowl, Rosenbrock, StyblinskiTang]
_LEARNED_BOXED = ["camel, turned", "OTL circuit", "Friedman", "robot arm", "piston"]
_LEARNED_BOXED += ["Michalewicz", "controller", "epidemic"]
LEARNED: dict[str, Callable[[int, int], Function]] = {
    **{kind.__name__: partial(_of_problem, kind) for kind in _PROBLEMS},
    "cut bowl": _cut_bowl,
    "slope": _slope,
    "waves": _waves,
    "Schwefel": _schwefel_of,
    "Zakharov": partial(_around, _zakharov, 4.0),
    "bent cigar": partial(_around, _cigar, 5.0),
    **{name: partial(_boxed, name) for name in _LEARNED_BOXED},
}
SIMULATORS = ("predator and prey", "thrown ball", "batch reactor", "tuned absorber")
_UNSEEN_BOXED = ["Branin", "Goldstein-Price", "Currin", "Lim", "Schaffer F7, turned"]
_UNSEEN_BOXED += ["Dixon-Price, turned", "beam", "Hartmann", "borehole", "wing", *SIMULATORS]
UNSEEN: dict[str, Callable[[int, int], Function]] = {
    "different powers": partial(_around, _powers, 4.0),
    "sharp ridge": partial(_around, _ridge, 5.0),
    "attractive sector": partial(_around, _sector, 5.0),
    "Weierstrass": partial(_around, _weierstrass, 1.0),
    "Gramacy-Lee": lambda n_dims, seed: Function(
        GramacyLee(), GramacyLee().bounds, float(GramacyLee().f_opt)
    ),
    **{name: partial(_boxed, name) for name in _UNSEEN_BOXED},
}
