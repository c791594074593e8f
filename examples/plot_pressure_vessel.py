"""
A pressure vessel: whole numbers, a material and known constraints
==================================================================

A tank for 30 m³ of compressed air is to be as cheap as can be. Its plates come in whole
millimetres, its steel in three grades, and three rules must hold whatever it costs: the shell and
the heads must bear the pressure, the tank must hold the volume, and it must fit on a lorry. The
rules are cheap formulas and known; what a tank costs is asked from the workshop, and each quote
counts.
"""

# %%
# The workshop answers to names: one tank is a dict with a label for its steel. Here a formula
# stands in for it, with what is paid for plates, for welds and for forming the heads.

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import LinearConstraint, NonlinearConstraint, differential_evolution

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler
from sklearn_proxyopt.variables import Integer, Real

STEELS = ["P235", "P355", "P460"]
PRICE = {"P235": 1.05, "P355": 1.30, "P460": 1.95}  # euro/kg
WELDING = {"P235": 1.0, "P355": 1.15, "P460": 1.8}  # effort compared with the first
STRESS = np.array([147.0, 222.0, 288.0])  # allowed, in MPa, by the place in STEELS


def quote(tank):
    """Return the price of a tank in euro."""
    radius, length = tank["radius"], tank["length"]  # m
    shell, head = tank["shell"], tank["head"]  # mm
    steel = 7.85 * (2 * np.pi * radius * length * shell + 4 * np.pi * radius**2 * head)  # kg
    seams = length * shell**1.6 + 4 * np.pi * radius * head**1.6
    forming = 1500.0 * radius**2 * (1 + 0.02 * head)
    return PRICE[tank["steel"]] * steel + 9.0 * WELDING[tank["steel"]] * seams + forming


# %%
# The rules take a row of numbers, in which the steel is its place among the labels. Both
# thicknesses are those that the pressure of 3 MPa asks for; the volume is that of a cylinder
# between half-spheres; the length over all is linear.

PRESSURE = 3.0
tank = {
    "steel": STEELS,
    "shell": Integer(4, 40),
    "head": Integer(4, 40),
    "radius": (0.4, 2.0),
    "length": Real(1.0, 20.0, log=True),
}


def spare(x):
    """Return spare thickness of shell and heads in mm, and spare volume in m³."""
    stress, (shell, head, radius, length) = STRESS[int(x[0])], x[1:]
    return [
        shell - 1000 * PRESSURE * radius / (stress - 0.6 * PRESSURE),
        head - 1000 * PRESSURE * radius / (2 * stress - 0.2 * PRESSURE),
        np.pi * radius**2 * (length + 4 / 3 * radius) - 30.0,
    ]


rules = [
    NonlinearConstraint(spare, 0.0, np.inf),
    LinearConstraint([[0, 0, 0, 2, 1]], -np.inf, 13.0),
]

optimizer = ProxyOptimizer(
    constraints=rules,
    vectorized=False,
    sampler=SobolSampler(120),
    refiner=LocalRefinement(max_evaluations=60),
    random_state=0,
)
result = optimizer.minimize(quote, tank)

for name, value in result.x_named.items():
    print(f"{name:7s} {value if isinstance(value, (str, int)) else round(value, 3)}")
print(f"price   {result.fun:.0f} euro after {result.nfev} quotes")
print(f"        {result.fun_proxy:.0f} promised, {optimizer.fun_best_row_:.0f} best of the design")
print(f"verdict {result.verdict}")

# %%
# Every tank that was ever asked for obeys the rules; a random one hardly ever does, so that the
# design does not wait for luck.

asked = optimizer.X_
tried = optimizer.variables_.from_unit_cube(np.random.default_rng(0).random((20_000, 5)))
print(f"asked for and feasible:  {optimizer.variables_.is_feasible(asked).mean():.0%}")
print(f"random and feasible:     {optimizer.variables_.is_feasible(tried).mean():.1%}")
print(optimizer.variables_.to_frame(asked[:3]).round(2))

# %%
# SciPy's differential evolution knows whole numbers and constraints too. It is given ten times as
# many quotes; tanks that break a rule cost it nothing either.

history = []


def quote_of_row(x):
    history.append(quote(optimizer.variables_.named(x)))
    return history[-1]


n_quotes = 10 * result.nfev
evolution = differential_evolution(
    quote_of_row,
    optimizer.variables_.bounds,
    integrality=[True, True, True, False, False],
    constraints=rules,
    callback=lambda intermediate_result: len(history) >= n_quotes,
    polish=False,
    tol=0,
    rng=0,
)
print(f"differential evolution: {evolution.fun:.0f} euro after {len(history)} quotes")

# %%
# On the left, what the tank may be once steel and plates are chosen: three rules leave a small
# corner, and the cheapest tank sits at its tip, where the volume meets the strength of the shell.
# On the right, the price of the best tank against the number of quotes; the dotted line is the end
# of the design.

x = result.x
radius, length = np.meshgrid(np.linspace(0.872, 0.886, 200), np.linspace(11.0, 11.4, 200))
rows = np.tile(x, (radius.size, 1))
rows[:, 3], rows[:, 4] = radius.ravel(), length.ravel()
allowed = optimizer.variables_.is_feasible(rows).reshape(radius.shape)
prices = optimizer.predict(rows).reshape(radius.shape) / 1000
limits = np.column_stack([[spare(row) for row in rows], 13.0 - 2 * rows[:, 3] - rows[:, 4]])

figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.6), layout="constrained")
left.contourf(radius, length, allowed, levels=[-0.5, 0.5, 1.5], colors=["0.88", "white"])
lines = left.contour(radius, length, prices, levels=8, colors="0.55", linewidths=0.8)
left.clabel(lines, fmt="%.2f k€", fontsize=8)
for place, label, spot in [
    (0, "the shell is strong", (0.8811, 11.32)),
    (2, "it holds 30 m³", (0.8824, 11.105)),
    (3, "it fits on the lorry", (0.8722, 11.235)),
]:
    edge = limits[:, place].reshape(radius.shape)
    left.contour(radius, length, edge, levels=[0.0], colors="black", linewidths=1.6)
    left.text(*spot, label, fontsize=9)
left.plot(*x[3:], "*", color="crimson", markersize=15)
left.set(
    xlabel="radius (m)",
    ylabel="length (m)",
    title=f"{result.x_named['steel']}, {x[1]:.0f} and {x[2]:.0f} mm: allowed where white",
)

right.step(
    np.arange(1, len(optimizer.y_) + 1),
    np.minimum.accumulate(optimizer.y_) / 1000,
    where="post",
    color="crimson",
    label="proxy, then refinement",
)
right.step(
    np.arange(1, len(history) + 1),
    np.minimum.accumulate(history) / 1000,
    where="post",
    color="0.4",
    label="differential evolution",
)
right.axvline(result.nfev_design, color="crimson", linestyle=":", linewidth=1)
right.set(
    xscale="log",
    xlim=(10, None),
    xlabel="quotes",
    ylabel="best price (k€)",
    title="What a quote buys",
)
right.set_ylim(result.fun / 1000 * 0.98, result.fun / 1000 * 1.6)
right.legend()
right.spines[["top", "right"]].set_visible(False)
plt.show()
