"""Models and textbook functions on which nothing in the package was tuned, for one comparison.

`UNSEEN` holds sixteen small models of engineering and science and sixteen functions of textbooks,
turned and shifted where they are sums over variables, in 2 to 10 variables of the unit cube.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from proxy_functions import Boxed, Rows, _between, _turned

__all__ = ["UNSEEN"]


def _penalized(cost: Rows, *excesses: Rows) -> Rows:
    """Return the logarithm of a cost, raised by how far limits are exceeded."""
    return np.log(cost) + 2.0 * sum(np.log1p(np.maximum(excess, 0.0)) for excess in excesses)


def _flood(Q, K, roughness, upstream, dike, bank, length, width):
    """Cost of a dike and of what overflows it."""
    depth = (Q / (width * K * roughness * np.sqrt(upstream / length))) ** 0.6
    over = bank + depth - dike - 4.0
    return np.log1p(np.exp(over)) + 0.05 * dike + 0.002 * width


def _column(b, D, h, P1, P2, P3, E, F0):
    """Cost of a steel column less a share of its reserve."""
    load = P1 + P2 + P3
    buckling = np.pi**2 * E * b * D * h**2 / (2 * 7500.0**2)
    bending = F0 * buckling / (b * D * h * np.maximum(buckling - load, 0.05 * buckling))
    return load * (1 / (2 * b * D) + bending) / 400.0 + b * D / 2000.0 + 5 * h / 4000.0


def _speed_reducer(x1, x2, x3, x4, x5, x6, x7):
    cost = 0.7854 * x1 * x2**2 * (3.3333 * x3**2 + 14.9334 * x3 - 43.0934)
    cost = cost - 1.508 * x1 * (x6**2 + x7**2) + 7.4777 * (x6**3 + x7**3)
    cost = cost + 0.7854 * (x4 * x6**2 + x5 * x7**2)
    first = np.sqrt((745 * x4 / (x2 * x3)) ** 2 + 16.9e6) / (110 * x6**3)
    second = np.sqrt((745 * x5 / (x2 * x3)) ** 2 + 157.5e6) / (85 * x7**3)
    limits = (27 / (x1 * x2**2 * x3), 397.5 / (x1 * x2**2 * x3**2), first, second)
    shafts = (1.93 * x4**3 / (x2 * x3 * x6**4), 1.93 * x5**3 / (x2 * x3 * x7**4))
    sizes = (5 * x2 / x1, x1 / (12 * x2), (1.5 * x6 + 1.9) / x4, (1.1 * x7 + 1.9) / x5)
    return _penalized(cost, *(limit - 1 for limit in (*limits, *shafts, *sizes)))


def _vessel(shell, head, radius, length):
    cost = 0.6224 * shell * radius * length + 1.7781 * head * radius**2
    cost = cost + 3.1661 * shell**2 * length + 19.84 * shell**2 * radius
    volume = np.pi * radius**2 * (length + 4 * radius / 3)
    return _penalized(
        cost, 0.0193 * radius / shell - 1, 0.00954 * radius / head - 1, 1296000 / volume - 1
    )


def _two_bars(area, height, thickness, load):
    """Weight of a truss of two bars, with limits on stress and buckling."""
    length = np.hypot(750.0, height)
    stress = load * length / (2 * height * area)
    buckling = np.pi**2 * 2e5 * (area**2 / 100 + thickness**2 * area) / (8 * length**2)
    return _penalized(area * length * (1 + thickness / 50), stress / 250 - 1, load / buckling - 1)


def _exchanger(shell, tube, n_tubes, length, baffles):
    """Yearly cost of a heat exchanger: surface, pumping on both sides, and heat not recovered."""
    surface = np.pi * tube * n_tubes * length
    inside = 1.0 / (n_tubes * tube**2)
    outside = baffles / (shell * length)
    transfer = 1.0 / (1.0 / (900 * inside**0.8 / tube**0.2) + 1.0 / (700 * outside**0.6))
    recovered = 1.0 - np.exp(-transfer * surface / 4000)
    pumping = inside**2 * length / tube + 4 * outside**2 * baffles
    return 0.3 * surface**0.8 + 0.02 * pumping + 60.0 * (1.0 - recovered)


def _filter(r1, r2, c1, c2, gain):
    """Misfit of the response of an active low-pass filter with one wanted, in decibels."""
    w = 2j * np.pi * np.logspace(2, 5, 40)
    r1, r2, c1, c2 = (10.0 ** v[:, None] for v in (r1, r2, c1, c2))
    gain = gain[:, None]
    damping = c2 * (r1 + r2) + r1 * c1 * (1 - gain)
    response = gain / (1 + w * damping + w**2 * r1 * r2 * c1 * c2)
    wanted = 1.5 / (1 + w / 2e4 + (w / 2e4) ** 2)
    return np.sqrt(np.square(20 * np.log10(np.abs(response / wanted))).mean(axis=1))


def _antenna(U):
    """Highest side lobe of a symmetric array of twenty elements, by place, in decibels."""
    places = np.cumsum(0.3 + 0.5 * U, axis=1)
    sines = np.linspace(0.09, 1.0, 200)
    field = np.cos(2 * np.pi * places[:, :, None] * sines).mean(axis=1)
    return 20 * np.log10(np.abs(field).max(axis=1) + 1e-12)


def _diode(current, saturation, series, shunt, ideality):
    """Misfit of the curve of a solar cell, its diode equation solved by fixed points."""
    volts = np.linspace(0, 0.58, 25)

    def curve(photo, saturated, r, s, n):
        amperes = np.full((len(photo), len(volts)), 0.5)
        for _ in range(60):
            across = volts + amperes * r
            dark = saturated * np.expm1(np.minimum(across / (n * 0.0257), 40.0))
            amperes = 0.7 * amperes + 0.3 * np.clip(photo - dark - across / s, -1.0, 2.0)
        return amperes

    given = [np.array([[v]]) for v in (0.76, 10**-6.5, 0.036, 54.0, 1.48)]
    columns = [v[:, None] for v in (current, 10.0**saturation, series, shunt, ideality)]
    return np.log10(np.square(curve(*columns) - curve(*given)).mean(axis=1) + 1e-9)


def _doses(k_a, k_e, k_12, k_21, volume):
    """Misfit of the concentrations of a drug in two compartments after a dose."""
    times = np.array([0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 18, 24])
    gut, blood, tissue = np.ones_like(k_a), np.zeros_like(k_a), np.zeros_like(k_a)
    misfit, dt, seen = np.zeros_like(k_a), 0.05, 0
    for step in range(1, 481):
        absorbed = k_a * gut
        exchanged = k_12 * blood - k_21 * tissue
        blood, tissue = blood + dt * (absorbed - k_e * blood - exchanged), tissue + dt * exchanged
        gut = gut - dt * absorbed
        if step * dt >= times[seen] - 1e-9:
            record = 12 * (np.exp(-0.25 * times[seen]) - np.exp(-1.4 * times[seen])) + 0.5
            misfit += np.log(np.maximum(100 * blood / volume, 1e-3) / record) ** 2
            seen += 1
    return np.sqrt(misfit / seen)


def _enzyme(v_max, k_m, k_i, cooperation):
    """Misfit of the speeds of an enzyme that is inhibited by its own substrate."""
    s = np.logspace(-1, 2, 20)
    record = 9.0 * s**1.3 / (4.0**1.3 + s**1.3 + s**2.6 / 30.0)
    v, k, i, n = (c[:, None] for c in (v_max, k_m, k_i, cooperation))
    speed = v * s**n / (k**n + s**n + s ** (2 * n) / i)
    return np.sqrt(np.square(speed - record).mean(axis=1))


def _spill(mass, diffusion, place, time):
    """Misfit of concentrations downstream of two spills with those on record."""

    def record(m, d, where, when):
        total = 0.0
        for x in (0.5, 1.0, 1.5, 2.0, 2.5):
            for t in (40.0, 50.0, 60.0):
                c = m / np.sqrt(4 * np.pi * d * t) * np.exp(-(x**2) / (4 * d * t))
                later = np.maximum(t - when, 1e-3)
                away = np.exp(-((x - where) ** 2) / (4 * d * later))
                c = c + (t > when) * m / np.sqrt(4 * np.pi * d * later) * away
                total = total + (c - _SPILLED.setdefault((x, t), float(np.ravel(c)[0]))) ** 2
        return total

    if not _SPILLED:
        record(np.array([10.0]), 0.07, 1.505, 30.1525)
    return np.log1p(record(mass, diffusion, place, time))


_SPILLED: dict[tuple[float, float], float] = {}


def _morse(U):
    """Energy of six atoms in a plane; the first three coordinates are fixed."""
    atoms = np.zeros((len(U), 6, 2))
    atoms[:, 1:, 0] = -2 + 4 * U[:, :5]
    atoms[:, 2:, 1] = -2 + 4 * U[:, 5:9]
    i, j = np.triu_indices(6, 1)
    away = np.sqrt(np.square(atoms[:, i] - atoms[:, j]).sum(axis=2))
    return (np.square(1 - np.exp(-3 * (np.minimum(away, 3) - 1))) - 1).clip(max=50).sum(axis=1)


def _battery(thickness, porosity, particle, rate, width):
    """Minus the energy density of a cell at a rate, by a lumped loss of voltage."""
    capacity = 500 * thickness * (1 - porosity)
    current = rate * capacity / 1000
    ohmic = current * thickness / (8.0 * porosity**1.5)
    diffusing = 0.02 * rate * particle**2 / (1 + 0.1 * thickness)
    used = 1 / (1 + np.exp(8 * (diffusing + 0.8 * ohmic - 0.6)))
    mass = 0.4 + thickness * (2.5 - 1.4 * porosity) + 0.3 * width
    return -capacity * used * (3.7 - ohmic - 0.1 * np.log1p(current / width)) / (100 * mass)


def _oscillator(mass, damping, stiffness, cubic):
    """Misfit of the motion of a mass on a spring that stiffens with one on record."""
    x, v, misfit, dt = np.ones_like(mass), np.zeros_like(mass), np.zeros_like(mass), 0.02
    for step in range(1, 401):
        v = v - dt * (damping * v + stiffness * x + cubic * x**3) / mass
        x = x + dt * v
        if step % 20 == 0:
            misfit += (x - np.exp(-0.15 * step * dt) * np.cos(1.9 * step * dt)) ** 2
    return np.sqrt(misfit / 20)


def _chimney(diameter, height, insulation, speed, excess):
    """Cost of a chimney: draught, heat lost and material."""
    loss = 1 - np.exp(-height * diameter / (speed * diameter**2 * (1 + 20 * insulation)))
    draught = 3.4 * height * (1 - 0.7 * loss) - 0.02 * height * speed**2 / diameter - speed**2
    material = height * diameter * (1 + 6 * insulation) / 40
    carried = speed * diameter**2 / (1 + excess)
    return material + 0.3 * excess + np.logaddexp(0, (12 - draught) / 4) + (carried - 3) ** 2


def _beale(x):
    a, b = x.T
    return np.log1p(sum((c - a + a * b**k) ** 2 for k, c in enumerate((1.5, 2.25, 2.625), 1)))


def _bohachevsky(x):
    a, b = x[:, :-1], x[:, 1:]
    waves = 0.3 * np.cos(3 * np.pi * a) + 0.4 * np.cos(4 * np.pi * b)
    return (a**2 + 2 * b**2 + 0.7 - waves).sum(axis=1)


def _trid(x):
    return ((x - 1) ** 2).sum(axis=1) - (x[:, 1:] * x[:, :-1]).sum(axis=1)


def _perm(x):
    i = np.arange(1, x.shape[1] + 1)
    return np.log1p(sum((((i**k + 0.5) * ((x / i) ** k - 1)).sum(1)) ** 2 for k in i))


def _power_sum(x):
    wanted = (8, 18, 44, 114)
    return np.log1p(sum(((x**k).sum(1) - b) ** 2 for k, b in enumerate(wanted, 1)))


_SHEKEL = np.array(
    [[4, 1, 8, 6, 3, 2, 5, 8, 6, 7], [4, 1, 8, 6, 7, 9, 3, 1, 2, 3.6]] * 2, dtype=float
).T
_SHEKEL_DEPTHS = 0.1 * np.array([1, 2, 2, 4, 4, 6, 3, 7, 5, 5])


def _shekel(x):
    away = np.square(x[:, None] - _SHEKEL).sum(axis=2)
    return -(1 / (away + _SHEKEL_DEPTHS)).sum(axis=1)


def _salomon(x):
    r = np.sqrt((x**2).sum(axis=1))
    return 1 - np.cos(2 * np.pi * r) + 0.1 * r


def _alpine(x):
    return np.abs(x * np.sin(x) + 0.1 * x).sum(axis=1)


def _qing(x):
    return np.log1p(((x**2 - np.arange(1, x.shape[1] + 1)) ** 2).sum(axis=1))


def _brown(x):
    a, b = x[:, :-1] ** 2, x[:, 1:] ** 2
    return (a ** (b + 1) + b ** (a + 1)).sum(axis=1)


def _exponential(x):
    return -np.exp(-0.5 * (x**2).sum(axis=1))


def _absolute(x):
    """Schwefel's problem 2.22."""
    return np.abs(x).sum(axis=1) + np.abs(x).prod(axis=1)


def _axes(x):
    """A bowl of axes 1 to 10."""
    return (np.arange(1, x.shape[1] + 1) * x**2).sum(axis=1)


def _penalized_sine(x):
    w = 1 + (x + 1) / 4
    inner = (w[:, :-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:, 1:]) ** 2)
    return 10 * np.sin(np.pi * w[:, 0]) ** 2 + inner.sum(1) + (w[:, -1] - 1) ** 2


def _cosine_mixture(x):
    return (x**2).sum(axis=1) - 0.1 * np.cos(5 * np.pi * x).sum(axis=1)


def _whitley(x):
    y = 100 * (x[:, :, None] ** 2 - x[:, None]) ** 2 + (1 - x[:, None]) ** 2
    return np.log1p((y**2 / 4000 - np.cos(y) + 1).sum(axis=(1, 2)))


MODELS: dict[str, Boxed] = {
    "flood, 8": _between(
        _flood, [500, 15, 0.5, 1, 1, 48, 4990, 150], [3000, 60, 1.5, 8, 9, 52, 5010, 450]
    ),
    "steel column, 8": _between(
        _column,
        [200, 10, 100, 4e5, 4e5, 4e5, 19e4, 10],
        [400, 30, 500, 6e5, 8e5, 8e5, 23e4, 50],
    ),
    "speed reducer, 7": _between(
        _speed_reducer, [2.6, 0.7, 17, 7.3, 7.3, 2.9, 5], [3.6, 0.8, 28, 8.3, 8.3, 3.9, 5.5]
    ),
    "pressure vessel, 4": _between(_vessel, [0.1, 0.1, 10, 10], [5, 5, 100, 240]),
    "two bars, 4": _between(_two_bars, [100, 250, 1, 3e4], [2000, 2500, 40, 9e4]),
    "heat exchanger, 5": _between(_exchanger, [0.3, 0.01, 20, 1, 2], [1.5, 0.05, 300, 8, 30]),
    "filter, 5": _between(_filter, [2, 2, -9, -9, 1], [5, 5, -6, -6, 2.5]),
    "antenna, 10": Boxed(_antenna, 10),
    "solar cell, 5": _between(_diode, [0.6, -8, 0.01, 20, 1], [0.9, -5, 0.08, 150, 2]),
    "two compartments, 5": _between(_doses, [0.2, 0.05, 0.05, 0.05, 2], [4, 1, 1, 1, 30]),
    "enzyme, 4": _between(_enzyme, [2, 0.5, 2, 0.7], [20, 20, 80, 2.5]),
    "spill, 4": _between(_spill, [7, 0.02, 0.01, 30.01], [13, 0.12, 3, 30.295]),
    "atoms, 9": Boxed(_morse, 9),
    "battery, 5": _between(_battery, [0.3, 0.15, 0.3, 0.5, 0.5], [4, 0.7, 5, 5, 3]),
    "oscillator, 4": _between(_oscillator, [0.5, 0.05, 0.5, -0.5], [3, 1.5, 10, 4]),
    "chimney, 5": _between(_chimney, [0.3, 5, 0.01, 1, 0.05], [3, 40, 0.3, 12, 1]),
}


def _placed(shape: Callable[[Rows], Rows], n_features: int, half: float, place: int) -> Boxed:
    """Return a textbook function, turned and shifted like no other one."""
    return _turned(shape, n_features, half, 100 + place)


UNSEEN: dict[str, Boxed] = {
    **MODELS,
    "Beale, turned, 2": _placed(_beale, 2, 4.0, 0),
    "Bohachevsky, turned, 3": _placed(_bohachevsky, 3, 3.0, 1),
    "Trid, turned, 6": _placed(_trid, 6, 20.0, 2),
    "Perm, 4": _between(lambda *x: _perm(np.stack(x, axis=1)), [-4] * 4, [4] * 4),
    "power sum, 4": _between(lambda *x: _power_sum(np.stack(x, axis=1)), [0] * 4, [4] * 4),
    "Shekel, 4": _between(lambda *x: _shekel(np.stack(x, axis=1)), [0] * 4, [10] * 4),
    "Salomon, turned, 5": _placed(_salomon, 5, 10.0, 3),
    "Alpine, turned, 6": _placed(_alpine, 6, 8.0, 4),
    "Qing, turned, 5": _placed(_qing, 5, 5.0, 5),
    "Brown, turned, 6": _placed(_brown, 6, 1.5, 6),
    "exponential, turned, 8": _placed(_exponential, 8, 1.0, 7),
    "Schwefel 2.22, turned, 5": _placed(_absolute, 5, 8.0, 8),
    "bowl of axes, turned, 10": _placed(_axes, 10, 5.0, 9),
    "penalized sine, turned, 7": _placed(_penalized_sine, 7, 10.0, 10),
    "cosine mixture, turned, 4": _placed(_cosine_mixture, 4, 1.0, 11),
    "Whitley, turned, 3": _placed(_whitley, 3, 3.0, 12),
}
