"""
A table of past runs, and a grid search
=======================================

Two jobs without a budget. First, a table is all there is: what are the best settings, can you rely
on them, and which four runs come next? Then several surrogate models compete for the same table,
and the one with the highest R² has the worst optimum.
"""

# %%
# Optimize from a table
# ---------------------
# 300 runs of the heat pump of the quickstart, drawn as a Latin hypercube. Some failed, and their
# value is empty; `on_error="drop"` leaves them out.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from heat_pump import BOUNDS, NAMES, UNITS, simulate
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

from sklearn_proxyopt import ProxyOptimizer

folder = Path(globals().get("__file__", "here")).parent / "data"
runs = pd.read_csv(folder / "heat_pump_runs.csv")
X, y = runs[NAMES], runs["COP less penalties"]
print(f"{len(runs)} runs, {int(y.isna().sum())} of them failed; the best value is {y.max():.3f}")

space = dict(zip(NAMES, BOUNDS.tolist(), strict=True))
optimizer = ProxyOptimizer(bounds=space, direction="maximize", on_error="drop", random_state=0)
optimizer.fit(X, y)
for name, value, unit in zip(NAMES, optimizer.x_, UNITS, strict=True):
    print(f"{name:26}{value:8.3f} {unit}")
print(f"predicted there: {optimizer.fun_:.3f}")

# %%
# The verdict needs no further run. It says whether you can rely on the predicted optimum:

print(optimizer.diagnose())

# %%
# And these are the next four settings to run, with what is predicted there and why each was chosen:

optimizer.ask(4)

# %%
# The simulator is available here, so the prediction can be checked:

cycle = simulate(optimizer.x_)
print(f"predicted {optimizer.fun_:.3f}, measured {cycle.cop - cycle.penalty:.3f}")

# %%
# Choose a surrogate model by its optimum
# ---------------------------------------
# The usual grid search picks the model with the highest R². What counts here is the value that the
# simulator gives at the model's optimum: one run for each candidate and fold. Both are scorers of
# one `GridSearchCV`.


def measured(optimizer, X, y):
    """Return the simulator's value at the optimum of the surrogate model."""
    cycle = simulate(optimizer.x_proxy_)
    return cycle.cop - cycle.penalty


proxies = {
    "random forest": RandomForestRegressor(random_state=0),
    "extra trees": ExtraTreesRegressor(random_state=0),
    "support vectors": make_pipeline(StandardScaler(), SVR(C=100.0)),
    "quadratic polynomial": make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge(1e-3)),
    "cubic polynomial": make_pipeline(StandardScaler(), PolynomialFeatures(3), Ridge(1e-3)),
}
succeeded = y.notna()
search = GridSearchCV(
    ProxyOptimizer(bounds=BOUNDS, direction="maximize", verdict=False, random_state=0),
    {"proxy": list(proxies.values())},
    scoring={"fidelity": "r2", "measured": measured},
    refit="measured",
    cv=3,
)
search.fit(X[succeeded].to_numpy(), y[succeeded].to_numpy())

results = pd.DataFrame(search.cv_results_, index=pd.Index(list(proxies), name="surrogate model"))
results = results[["mean_test_fidelity", "mean_test_measured"]]
results.columns = ["R² on runs not learned", "measured value at its optimum"]
results.sort_values(results.columns[0], ascending=False).round(3)

# %%
# The cubic polynomial predicts best and sends you to the worst settings: R² is an average over the
# whole search space, most of which is far from any optimum, while a search goes where the model is
# most too high. A forest predicts worst and does best here, since it never predicts more than it
# has seen.

fidelity, value = results.to_numpy().T
assert np.argmax(fidelity) == np.argmin(value)

figure, ax = plt.subplots(figsize=(6.5, 4.0), layout="constrained")
ax.plot(fidelity, value, "o", color="#0072b2", ms=9)
for name, x, y_ in zip(results.index, fidelity, value, strict=True):
    ax.annotate(name, (x, y_), xytext=(0, 10), textcoords="offset points", ha="center")
ax.margins(0.2)
ax.set(
    xlabel="R² on runs not learned", ylabel="measured COP less penalties\nat the model's optimum"
)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
