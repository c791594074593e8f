"""
Two goals of a heat sink, and a limit
=====================================

A finned block of aluminium under a fan: the better it cools, the more power the fan takes. No
design is best, but some are beaten by none. We look for them with few runs of a model that stands
in for an expensive simulation, and keep to a limit of mass on the way.
"""

# %%
# The model is a textbook one: fins of some efficiency, laminar flow between them, air that heats up
# as it passes. It returns two goals and one constraint, which holds where it is at most 0.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import PowerTransformer

from sklearn_proxyopt import NeuralProxyRegressor, ParetoOptimizer
from sklearn_proxyopt.optimizers import NSGA2, hypervolume
from sklearn_proxyopt.samplers import SobolSampler

SIDE, BASE = 0.1, 0.005  # m, a square of 100 mm, 5 mm thick
AIR = {"density": 1.16, "heat": 1007.0, "conductivity": 0.026, "viscosity": 1.6e-5, "Pr": 0.71}
ALUMINIUM = {"density": 2700.0, "conductivity": 200.0}
MOST_MASS = 0.5  # kg


def heat_sink(X):
    """Thermal resistance in K/W, fan power in W, and mass above its limit in kg."""
    height, thickness, gap = X[:, :3].T / 1000.0
    speed = X[:, 3]
    n_fins = SIDE / (gap + thickness)
    channel = gap * height * n_fins
    diameter = 2.0 * gap * height / (gap + height)
    reynolds = speed * diameter / AIR["viscosity"]
    graetz = diameter / SIDE * reynolds * AIR["Pr"]
    nusselt = 7.54 + 0.03 * graetz / (1.0 + 0.016 * graetz ** (2.0 / 3.0))
    transfer = nusselt * AIR["conductivity"] / diameter
    depth = height * np.sqrt(2.0 * transfer / (ALUMINIUM["conductivity"] * thickness))
    area = n_fins * SIDE * (2.0 * height * np.tanh(depth) / depth + gap)
    warming = 1.0 / (2.0 * AIR["density"] * AIR["heat"] * speed * channel)
    friction = 4.0 * 24.0 / reynolds * SIDE / diameter + 1.5
    drop = friction * AIR["density"] * speed**2 / 2.0
    mass = ALUMINIUM["density"] * SIDE * (n_fins * thickness * height + SIDE * BASE)
    return np.column_stack(
        [1.0 / (transfer * area) + warming, drop * speed * channel / 0.3, mass - MOST_MASS]
    )


names = ["fin height (mm)", "fin thickness (mm)", "gap (mm)", "air speed (m/s)"]
bounds = [[10.0, 60.0], [0.5, 3.0], [1.0, 8.0], [0.5, 8.0]]

# %%
# Fan power spans decades. A transformer around the proxy lets it learn values that are spread more
# evenly; the front stays in watts.

optimizer = ParetoOptimizer(
    n_constraints=1,
    sampler=SobolSampler(96),
    proxy=TransformedTargetRegressor(NeuralProxyRegressor(), transformer=PowerTransformer()),
    budget=180,
    n_rounds=3,
    random_state=0,
    vectorized=True,
)
result = optimizer.minimize(heat_sink, bounds)
print(result.message, f"{result.nfev} runs of the model.")
print(f"heaviest design of the front: {MOST_MASS + result.constraints.max():.4f} kg")

# %%
# What the same number of runs gives without a proxy
# --------------------------------------------------
# NSGA-II alone spends them on the model itself.

alone = NSGA2(20, 9, random_state=0).minimize(heat_sink, bounds, n_constraints=1)
for name, front in (("proxy", result), ("NSGA-II alone", alone)):
    volume = hypervolume(np.log10(front.F), np.log10([2.0, 20.0]))
    print(f"{name}: {front.nfev} runs, hypervolume {volume:.3f} in decades")

# %%
# The front, and the designs along it
# -----------------------------------
# Every point of the front is a run of the model. Along it the fins stand closer and the air gets
# faster; height is used up to where the mass allows no more.

fig, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
design = optimizer.y_[: result.nfev_design]
left.plot(*design[design[:, 2] <= 0.0, :2].T, ".", color="0.75", label="design")
left.plot(*alone.F.T, "s", color="#E69F00", markersize=4, fillstyle="none", label="NSGA-II alone")
left.plot(*result.F.T, "o", color="#0072B2", markersize=4, label="front, each point verified")
left.set(xscale="log", yscale="log", xlim=(None, 2.0), xlabel="thermal resistance (K/W)")
left.set(ylabel="fan power (W)", title="What can be had")
left.legend(frameon=False)

lower, upper = np.array(bounds).T
shown = result.F[:, 0] < 0.4
colors = ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]
for index, (name, color, marker) in enumerate(zip(names, colors, "osD^", strict=True)):
    share = (result.X[shown, index] - lower[index]) / (upper[index] - lower[index])
    style = {"color": color, "marker": marker, "markersize": 4, "linewidth": 0.8}
    right.plot(result.F[shown, 0], share, label=name, **style)
right.set(xscale="log", xlabel="thermal resistance (K/W)", ylabel="share of the range")
right.set(title="The designs of the front", ylim=(-0.05, 1.35))
right.legend(frameon=False, ncols=2, loc="upper center")
plt.show()

# %%
# Predicted and measured
# ----------------------
# Each verified point had a prediction. The median error says how good the front of the proxy alone
# would have been, and what each round taught it.

error = np.abs(result.F_promised / result.F_verified - 1.0)
for n_round, part in enumerate(np.array_split(error, result.nit), start=1):
    of_resistance, of_power = np.median(part, axis=0)
    print(
        f"round {n_round}: predictions are off by {of_resistance:.0%} of the thermal resistance "
        f"and {of_power:.0%} of the fan power"
    )
