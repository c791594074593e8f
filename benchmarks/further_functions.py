"""Thirteen further functions and two simulators that proxies are compared on, looked at once.

With `REPORTING` of `proxy_functions.py` they are 24 functions and four simulators, in 1 to 20
variables. Polynomials and sums of sines are turned: four of the 24.
"""

from __future__ import annotations

import numpy as np
from proxy_functions import Boxed, Rows, _between, _turned

__all__ = ["FURTHER"]


def _forrester(U):
    return (6 * U[:, 0] - 2) ** 2 * np.sin(12 * U[:, 0] - 4)


def _franke(U):
    a, b = 9 * U.T
    hills = 0.75 * np.exp(-((a - 2) ** 2 + (b - 2) ** 2) / 4)
    hills = hills + 0.75 * np.exp(-((a + 1) ** 2) / 49 - (b + 1) / 10)
    hills = hills + 0.5 * np.exp(-((a - 7) ** 2 + (b - 3) ** 2) / 4)
    return hills - 0.2 * np.exp(-((a - 4) ** 2) - (b - 7) ** 2)


def _bukin(a, b):
    return 100 * np.sqrt(np.abs(b - 0.01 * a**2)) + 0.01 * np.abs(a + 10)


def _drop_wave(x):
    square = (x**2).sum(1)
    return -(1 + np.cos(12 * np.sqrt(square))) / (0.5 * square + 2)


def _dette_pepelyshev(U):
    a, b, c = U.T
    bend = 4 * (a - 2 + 8 * b - 8 * b**2) ** 2 + (3 - 4 * b) ** 2
    return bend + 16 * np.sqrt(c + 1) * (2 * c - 1) ** 2


def _ishigami(x):
    a, b, c = x.T
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def _spill(mass, rate, place, time):
    """Misfit of concentrations in a channel after two spills with those of a spill on record."""

    def concentration(mass, rate, place, time, s, t):
        def spread(s, t, mass):
            return mass / np.sqrt(4 * np.pi * rate * t) * np.exp(-(s**2) / (4 * rate * t))

        later = np.maximum(t - time, 1e-9)
        return spread(s, t, mass) + np.where(t > time, spread(s - place, later, mass), 0.0)

    misfit = np.zeros_like(mass)
    for s in (0.0, 1.0, 2.5):
        for t in (10.0, 20.0, 30.0, 40.0, 50.0, 60.0):
            wanted = concentration(10.0, 0.07, 1.505, 30.1525, s, t)
            misfit += (concentration(mass, rate, place, time, s, t) - wanted) ** 2
    return np.sqrt(misfit)


def _absorber(mass, tuning, damping, own, load):
    """Mean amplitude, in decibels, of a machine with an absorber over three frequencies."""
    total = np.zeros_like(mass)
    for g in (0.85, 1.0, 1.15):
        away = tuning**2 - g**2
        stiff = away * (1 + load - g**2) - mass * tuning**2 * g**2 - 4 * own * damping * tuning * g
        loss = 2 * damping * tuning * g * (1 + load - g**2 - mass * g**2) + 2 * own * g * away
        above = np.hypot(away, 2 * damping * tuning * g)
        total += 20 * np.log10(above / np.hypot(stiff, loss))
    return total / 3


def _product_peak(U):
    place = np.array([0.3, 0.7, 0.45, 0.2, 0.6, 0.85])
    return -(1 / (1 + (2.5 * (U - place)) ** 2)).prod(1)


def _flood(Q, Ks, Zv, Zm, Hd, Cb, L, B):
    """Yearly cost of a dyke beside a river, with that of floods."""
    height = (Q / (B * Ks * np.sqrt((Zm - Zv) / L))) ** 0.6
    over = Zv + height - Hd - Cb
    damage = np.where(over > 0, 1.0, 0.2 + 0.8 * (1 - np.exp(-1000 / over**4)))
    return damage + np.maximum(Hd, 8) / 20


def _column(Fs, P1, P2, P3, B, D, H, F0, E):
    P = P1 + P2 + P3
    buckling = np.pi**2 * E * B * D * H**2 / (2 * 7500.0**2)
    return P * (1 / (2 * B * D) + F0 / (B * D * H) * buckling / (buckling - P)) - Fs


def _corner_peak(U):
    return -((1 + U @ (2.0 / np.arange(1, U.shape[1] + 1))) ** -3.0)


def _welch(x):
    x = x.T
    total = 5 * x[11] / (1.5 + x[0]) + 5 * (x[3] - x[19]) ** 2 + x[4] + 40 * x[18] ** 3 - 5 * x[18]
    total = total + 0.05 * x[1] + 0.08 * x[2] - 0.03 * x[5] + 0.03 * x[6] - 0.09 * x[8]
    total = total - 0.01 * x[9] - 0.07 * x[10] + 0.25 * x[12] ** 2 - 0.04 * x[13] + 0.06 * x[14]
    return total - 0.01 * x[16] - 0.03 * x[17]


def _plate(heat, coolant, transfer, conductivity, wait, thick):
    """How far a plate that is heated from one side and cooled is from an even temperature."""
    n, n_steps, time = 8, 1200, 60.0
    step, dx = time / n_steps, thick / n
    warmth = np.full((n, len(heat)), 20.0)
    # Kilojoule, centimetres and seconds; the capacity of a cubic centimetre is 4 J / K.
    for number in range(n_steps):
        flow = conductivity * np.diff(warmth, axis=0) / dx
        is_on = 1 / (1 + np.exp((number * step - wait) / 1.0))
        change = np.zeros_like(warmth)
        change[:-1] += flow
        change[1:] -= flow
        change[0] += heat * is_on
        change[-1] -= transfer * (warmth[-1] - coolant)
        warmth = warmth + step * change / (4.0 * dx)
    return np.sqrt(np.square(warmth - 80.0).mean(0)) + 0.5 * np.ptp(warmth, axis=0)


def _crane(U: Rows) -> Rows:
    """How far a load on a crane is from its place, and still swings, after twelve pushes."""
    place, speed, angle, turn = np.zeros((4, len(U)))
    dt, effort = 0.02, np.zeros(len(U))
    for push in (3.0 * (2.0 * U - 1.0)).T:
        for _ in range(15):
            speed = speed + dt * (push - 0.2 * speed)
            place = place + dt * speed
            turn = turn - dt * (9.81 * np.sin(angle) + push * np.cos(angle) + 0.05 * turn) / 1.5
            angle = angle + dt * turn
        effort = effort + 0.3 * push**2
    load = place + 1.5 * np.sin(angle)
    return np.hypot(load - 3.0, speed) + np.abs(turn) + 2.0 * np.abs(angle) + 0.02 * effort


FURTHER = {
    "Forrester, 1": Boxed(_forrester, 1),
    "Franke, 2": Boxed(_franke, 2),
    "Bukin, 2": _between(_bukin, [-15, -3], [-5, 3]),
    "drop wave, turned, 2": _turned(_drop_wave, 2, 2.0, 7),
    "Dette-Pepelyshev, 3": Boxed(_dette_pepelyshev, 3),
    "Ishigami, turned, 3": _turned(_ishigami, 3, 2.5, 8),
    "spill, 4": _between(_spill, [7, 0.02, 0.01, 30.01], [13, 0.12, 3, 30.295]),
    "absorber, 5": _between(_absorber, [0.02, 0.7, 0.01, 0, -0.1], [0.3, 1.3, 0.4, 0.1, 0.2]),
    "product peak, 6": Boxed(_product_peak, 6),
    "heated plate, 6": _between(_plate, [5, 0, 0.01, 0.05, 5, 1], [30, 60, 0.3, 0.4, 60, 4]),
    "flood, 8": _between(
        _flood,
        [500, 15, 49, 54, 7, 55, 4990, 295],
        [3000, 45, 51, 56, 9, 56, 5010, 305],
    ),
    "steel column, 9": _between(
        _column,
        [320, 4e5, 4e5, 4e5, 250, 15, 250, 10, 1.6e5],
        [480, 6e5, 7e5, 7e5, 400, 30, 500, 50, 2.4e5],
    ),
    "corner peak, 12": Boxed(_corner_peak, 12),
    "crane, 12": Boxed(_crane, 12),
    "Welch, turned, 20": _turned(_welch, 20, 0.5, 9),
}
