"""
A false optimum, and its repair
===============================

A surrogate model (proxy) that has seen too few samples of a rugged function invents minima. Here
the function is Rastrigin's, rotated and shifted: about a hundred basins, of which one is the
deepest. The proxy learns from 256 samples, two or three for each basin.
"""

# %%
# A flexible network that must fit every sample, with none held out, makes up what lies between
# them. It may predict less than the lowest value that exists. `minimize` shows the prediction and
# the measured value apart.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.problems import Rastrigin
from sklearn_proxyopt.refine import LocalRefinement
from sklearn_proxyopt.samplers import SobolSampler

problem = Rastrigin(n_dims=2).rotated_and_shifted(random_state=13)
optimizer = ProxyOptimizer(
    sampler=SobolSampler(n_samples=256),
    proxy=NeuralProxyRegressor(
        trend="quadratic", features="random", spread=8.0, validation_fraction=0.0
    ),
    refiner=LocalRefinement(max_evaluations=200),
    random_state=0,
    vectorized=True,
)
result = optimizer.minimize(problem, problem.bounds)

print(f"predicted by the proxy  {result.fun_proxy:8.3f}")
print(f"measured there          {result.true_at_proxy:8.3f}")
print(f"best of the 256 samples {optimizer.fun_best_row_:8.3f}")
print(f"after refinement        {result.fun:8.3f}")
print(f"lowest there is         {problem.f_opt:8.3f}")

# %%
# Refinement evaluates the lowest points of the proxy first, finds the prediction wrong, and
# descends on the function from the best known point, within 200 evaluations. The picture shows the
# function and the proxy in the same levels of gray.

(x_low, x_high), (y_low, y_high) = problem.bounds
x_grid, y_grid = np.meshgrid(np.linspace(x_low, x_high, 200), np.linspace(y_low, y_high, 200))
points = np.column_stack([x_grid.ravel(), y_grid.ravel()])
panels = {"the function": problem(points), "the proxy": optimizer.predict(points)}
levels = np.linspace(0.0, 80.0, 17)

figure, axes = plt.subplots(1, 2, figsize=(10, 5.2), sharex=True, sharey=True, layout="constrained")
for ax, (title, values) in zip(axes, panels.items(), strict=True):
    filled = ax.contourf(
        x_grid, y_grid, values.reshape(x_grid.shape), levels, cmap="gray", extend="both"
    )
    for marker, size, (x, y), label in [
        ("X", 14, result.x_proxy, "where the proxy points"),
        ("*", 20, result.x, "after refinement"),
    ]:
        style = {"markerfacecolor": "white", "markeredgecolor": "black", "markeredgewidth": 1.5}
        ax.plot(x, y, marker, markersize=size, label=label, linestyle="none", **style)
    ax.set(title=title, xlabel="$x_1$", aspect="equal")
axes[0].set_ylabel("$x_2$")
rows = optimizer.X_[:256]
axes[1].plot(rows[:, 0], rows[:, 1], "k.", markersize=3, label="samples it learned from")
figure.colorbar(filled, ax=axes, label="value (lower is better)", shrink=0.85)
figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %%
# Two lessons. First, do not trust a prediction: look at `true_at_proxy` before you build anything
# at `x_proxy`. Second, more samples correct a false optimum: near it, which is what refinement
# does, or everywhere. This case was chosen among seventeen for its clear picture: refinement only
# descends, and in all but two of them it ended in a basin next to the right one. With four times
# the samples, the default proxy finds the right basin by itself.

more = ProxyOptimizer(
    sampler=SobolSampler(n_samples=1024), refiner=None, random_state=0, vectorized=True
)
answer = more.minimize(problem, problem.bounds)
distance = np.linalg.norm(answer.x_proxy - problem.x_opt[0])
print(f"with 1,024 samples the proxy points to within {distance:.3f} of the optimum")
