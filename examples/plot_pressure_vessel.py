"""
A pressure vessel: integers, a material and known constraints
=============================================================

A tank for 30 m³ of compressed air should be as cheap as possible. Its plates come in whole
millimeters, its steel in three grades, and three rules must hold: the shell and the heads must bear
the pressure, the tank must hold the volume, and it must fit on a truck. The rules are known and
cheap formulas. The price is not: the workshop quotes it, and each quote counts.
"""

# %%
# A tank is a dict with a label for its steel. Here a formula stands for the workshop: the price of
# plates, of welds and of forming the heads.

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
STRESS = np.array([147.0, 222.0, 288.0])  # allowed, in MPa, by the index in STEELS


def quote(tank):
    """Return the price of a tank in euro."""
    radius, length = tank["radius"], tank["length"]  # m
    shell, head = tank["shell"], tank["head"]  # mm
    steel = 7.85 * (2 * np.pi * radius * length * shell + 4 * np.pi * radius**2 * head)  # kg
    seams = length * shell**1.6 + 4 * np.pi * radius * head**1.6
    forming = 1500.0 * radius**2 * (1 + 0.02 * head)
    return PRICE[tank["steel"]] * steel + 9.0 * WELDING[tank["steel"]] * seams + forming


# %%
# The rules take a sample as plain numbers, in which the steel is its index among the labels. Both
# thicknesses must bear the pressure of 3 MPa; the volume is that of a cylinder between
# half-spheres; the total length is linear.

PRESSURE, VOLUME, TRUCK = 3.0, 30.0, 13.0  # MPa, m³, m
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
        np.pi * radius**2 * (length + 4 / 3 * radius) - VOLUME,
    ]


rules = [
    NonlinearConstraint(spare, 0.0, np.inf),
    LinearConstraint([[0, 0, 0, 2, 1]], -np.inf, TRUCK),
]

optimizer = ProxyOptimizer(
    constraints=rules,
    sampler=SobolSampler(120),
    refiner=LocalRefinement(max_evaluations=60),
    random_state=0,
)
result = optimizer.minimize(quote, tank)

for name, value in result.x_named.items():
    print(f"{name:7s} {value if isinstance(value, (str, int)) else round(value, 3)}")
print(f"price   {result.fun:.0f} euro after {result.nfev} quotes")
print(f"        {optimizer.fun_best_row_:.0f} euro was the best of the initial design")
print(f"        {result.fun_proxy:.0f} euro was predicted at the optimum of the proxy")
print(f"verdict {result.verdict}")
assert result.fun < optimizer.fun_best_row_

# %%
# Every tank that was quoted keeps the rules, although few random tanks do.

quoted = optimizer.X_
tried = optimizer.variables_.from_unit_cube(np.random.default_rng(0).random((20_000, 5)))
share = optimizer.variables_.is_feasible(tried).mean()
print(f"quoted and feasible:  {optimizer.variables_.is_feasible(quoted).mean():.0%}")
print(f"random and feasible:  {share:.1%}")
print(optimizer.variables_.to_frame(quoted[:3]).round(2))
assert optimizer.variables_.is_feasible(quoted).all()
assert share < 0.2

# %%
# Differential evolution of SciPy handles integers and constraints too. It gets ten times as many
# quotes; tanks that break a rule cost it nothing.

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
# With steel and plates chosen, which radius and length are allowed? The strength sets the largest
# radius, the volume the shortest tank, the truck the longest. The cheapest tank, the star, sits in
# the corner where the volume meets the strength.

x = result.x
spare_shell, spare_head, spare_volume = spare(x)
assert min(spare_shell, spare_head) < 0.1, "the tank is as wide as its plates allow (mm)"
assert spare_volume < 0.1, "and as short as its volume allows (m³)"


def shortest(radius):
    """Return the length at which a tank just holds the volume."""
    return VOLUME / (np.pi * radius**2) - 4 / 3 * radius


radii = np.linspace(0.4, 2.0, 4001)
strong = np.array([min(spare([*x[:3], radius, 1.0])[:2]) >= 0.0 for radius in radii])
open_radii = radii[strong & (shortest(radii) <= TRUCK - 2 * radii)]
low, high = open_radii.min(), max(open_radii.max(), x[3])
margin = 0.4 * (high - low)
window = np.linspace(low - margin, high + margin, 200)

figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
axes.fill_between(
    window,
    shortest(window),
    TRUCK - 2 * window,
    where=(window <= high) & (shortest(window) <= TRUCK - 2 * window),
    color="#56B4E9",
    alpha=0.4,
    label="allowed",
)
axes.plot(window, shortest(window), "-", color="black", label="holds 30 m³ above")
axes.plot(window, TRUCK - 2 * window, "--", color="black", label="fits on the truck below")
axes.axvline(high, linestyle=":", color="black", linewidth=2, label="bears the pressure left")
axes.plot(x[3], x[4], "*", color="#D55E00", markersize=20, label=f"cheapest: {result.fun:.0f} euro")
axes.set(
    xlim=window[[0, -1]],
    xlabel="radius (m)",
    ylabel="length (m)",
    title=f"{result.x_named['steel']}, shell {x[1]:.0f} mm, heads {x[2]:.0f} mm",
)
axes.legend(fontsize=11)
axes.spines[["top", "right"]].set_visible(False)

# %%
# The price of the best tank against the number of quotes; the dotted line is the end of the initial
# design.

figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
for values, color, line, name in [
    (optimizer.y_, "#D55E00", "-", "sklearn_proxyopt"),
    (history, "0.3", "--", "differential evolution"),
]:
    best = np.minimum.accumulate(values) / 1000
    count = np.arange(1, len(best) + 1)
    axes.step(count, best, line, color=color, linewidth=2, where="post", label=name)
axes.axvline(result.nfev_design, color="#D55E00", linestyle=":", linewidth=1.5)
axes.set(xscale="log", xlim=(10, None), xlabel="quotes", ylabel="best price (1000 euro)")
axes.set_ylim(result.fun / 1000 * 0.98, result.fun / 1000 * 1.6)
axes.legend(fontsize=11)
axes.spines[["top", "right"]].set_visible(False)
plt.show()
