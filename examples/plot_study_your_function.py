"""
Which design, proxy and search suit your function?
==================================================

How far a proxy leads astray depends on the rows that it learned, on the proxy, and on the search.
The page :ref:`study` asks this of three textbook functions; here is the same study on a function of
your own, as one `GridSearchCV`.
"""

# %%
# The function stands for your simulator: a fermenter with temperature and acidity, two good ways of
# running it, and a cost that is low where the yield is high. It takes many
# samples at once, of shape (n, n_features); `vectorized=True` below says so.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GridSearchCV

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt.optimizers import GeneticAlgorithm, ParticleSwarm
from sklearn_proxyopt.samplers import GridSampler, SobolSampler, UniformSampler

BOX = np.array([[20.0, 45.0], [4.0, 8.0]])


def cost(X):
    temperature, acidity = X.T
    warm = np.exp(-(((temperature - 37.0) / 4.0) ** 2) - ((acidity - 6.8) / 0.7) ** 2)
    cool = np.exp(-(((temperature - 27.0) / 5.0) ** 2) - ((acidity - 5.2) / 0.8) ** 2)
    return 1.0 - warm - 0.9 * cool


# %%
# The rows given to `fit` are used for the fidelity alone: each candidate evaluates its own design,
# so that it is judged by the rows it would have had. Where the optimum is known, as for the
# functions of `sklearn_proxyopt.problems`, `optimum_error_scorer` measures the distance to it. Here
# it is not, and the question is what the function says at the proxy's optimum. The seeds are part
# of the grid: without repetitions a lucky design looks like a good one.


def true_value(estimator, X, y):
    return -float(cost(estimator.x_[None])[0])


proxies = [NeuralProxyRegressor(max_epochs=80), RandomForestRegressor(n_estimators=30)]
samplers = [UniformSampler(150), GridSampler(150), SobolSampler(150)]
optimizers = [ParticleSwarm(n_particles=40), GeneticAlgorithm(40, 40)]
search = GridSearchCV(
    ProxyOptimizer(objective=cost, bounds=BOX, vectorized=True),
    {
        "sampler": samplers,
        "proxy": proxies,
        "optimizer": optimizers,
        "random_state": [0, 1, 2],
    },
    scoring={"fidelity": "r2", "true_value": true_value},
    refit=False,
    cv=[(np.arange(2), np.arange(300))],
)
X = UniformSampler(300, random_state=1).sample(BOX)
search.fit(X, cost(X))

# %%
# A table with a row for each combination, over seeds. Fidelity and optimum need not agree: R²
# speaks of the whole box, the optimum of one place in it. The forest, made of steps, has no better
# minimum than the rows that it learned.

results = pd.DataFrame(search.cv_results_)
for part in ("sampler", "proxy", "optimizer"):
    results[part] = [type(value).__name__ for value in results[f"param_{part}"]]
results["value"] = -results["mean_test_true_value"]
groups = results.groupby(["proxy", "sampler", "optimizer"])
summary = groups.agg(
    fidelity=("mean_test_fidelity", "mean"),
    mean_value=("value", "mean"),
    worst_value=("value", "max"),
)
print(summary.round(4).to_string())

# %%
# The same as a picture: each point is one seed. The lowest value there is comes from a long search
# of the function itself, which an expensive one would not allow; take the best value known then.

best = ParticleSwarm(200, 300, random_state=0).minimize(cost, BOX).fun
figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
for place, (_, rows) in enumerate(groups):
    ax.plot(rows["value"] - best, [place] * len(rows), "o", color="black", alpha=0.6)
ax.set_yticks(range(len(groups)), [", ".join(key) for key in groups.groups])
ax.set_xscale("log")
figure.supxlabel("measured value at the proxy's optimum, above the lowest there is")
plt.show()

# %%
# What is left after the choice is improved by a few evaluations: `minimize` goes on from the
# proxy's best points, and never returns less than the best row.

chosen = ProxyOptimizer(
    sampler=SobolSampler(150), proxy=proxies[0], random_state=0, vectorized=True
)
result = chosen.minimize(cost, BOX)
print(f"at the proxy's optimum {result.true_at_proxy:.5f}")
print(f"after refinement       {result.fun:.5f}, {result.nfev - result.nfev_design} calls later")
print(f"lowest there is        {best:.5f}")
