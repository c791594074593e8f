"""
What a run tells: tables, pictures and a report
===============================================

After an optimization people ask what was tried, which setting matters, how far they may move,
whether the answer can be trusted and what to do next. This example runs a simulated reactor and
answers each question by one line.
"""

# sphinx_gallery_thumbnail_number = 8

# %%
# The reactor has a temperature in degrees Celsius, a catalyst load on a log scale, a number of
# stages and a solvent. Above 110 degrees runs fail. Four runs go on side by side.

import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.displays import (
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    ImportanceDisplay,
    LandscapeDisplay,
    NearOptimalDisplay,
    OptimumSpreadDisplay,
    ParallelCoordinatesDisplay,
    TimelineDisplay,
)
from sklearn_proxyopt.exceptions import FailedEvaluationWarning
from sklearn_proxyopt.inspection import report
from sklearn_proxyopt.variables import Integer, Real

SPACE = {
    "temperature": (40.0, 120.0),
    "catalyst": Real(0.1, 10.0, log=True),
    "stages": Integer(1, 8),
    "solvent": ["MeCN", "THF", "toluene"],
}
BY_SOLVENT = {"MeCN": 0.3, "THF": 0.0, "toluene": 1.5}


def waste(run):
    """Kilograms of waste per kilogram of product."""
    time.sleep(0.02 + 0.005 * run["stages"])
    if run["temperature"] > 110.0:
        raise ArithmeticError("the reactor ran away")
    warm = ((run["temperature"] - 85.0) / 20.0) ** 2
    load = (np.log10(run["catalyst"]) - 0.01 * (run["temperature"] - 85.0)) ** 2
    return 2.0 + warm + load + 0.01 * (run["stages"] - 5) ** 2 + BY_SOLVENT[run["solvent"]]


optimizer = ProxyOptimizer(bounds=SPACE, on_error="drop", random_state=0)
with ThreadPoolExecutor(4) as workers, warnings.catch_warnings():
    warnings.simplefilter("ignore", FailedEvaluationWarning)
    result = optimizer.minimize(waste, budget=60, n_pending=4, executor=workers)

# %%
# The answer
# ----------
# A result is printed in six lines; in a notebook it is a card.

print(result)

# %%
# Every run is in a table, also those that failed. `lower` and `upper` are what the surrogate model
# expects at each.

table = optimizer.to_frame()
table.head(4)

# %%
# Can it be trusted?
# ------------------
# The verdict has a chance, facts for and against, and what to do next.

DiagnosisDisplay.from_estimator(optimizer)
plt.show()

# %%
# Models refitted on half of the data predict the other half, and find the optimum again.

FidelityDisplay.from_estimator(optimizer)
OptimumSpreadDisplay.from_estimator(optimizer)
plt.show()

# %%
# What was tried?
# ---------------
# Each trial is a path through its settings to its value.

ParallelCoordinatesDisplay.from_estimator(optimizer)
plt.show()

# %%
# How the best value came down, in each phase of the run.

ConvergenceDisplay.from_estimator(optimizer)
plt.show()

# %%
# When each run went on, and on which worker. The gaps are the time in which the models learned,
# which is long beside runs of 40 milliseconds.

TimelineDisplay.from_estimator(optimizer)
plt.show()

# %%
# What matters, and how far may it move?
# --------------------------------------
# Along each variable, through the optimum:

LandscapeDisplay.from_estimator(optimizer)
plt.show()

# %%
# The solvent matters most at the optimum, the temperature in the whole search space.

ImportanceDisplay.from_estimator(optimizer, random_state=0)
plt.show()

# %%
# All settings that waste at most 0.1 more than the best:

NearOptimalDisplay.from_estimator(optimizer, within=0.1)
plt.show()

# %%
# Several methods in one picture, each with two seeds:

rivals = {
    name: [
        ProxyOptimizer(
            bounds=[(-1.0, 1.0)] * 3, proxy=proxy, budget=40, random_state=seed, vectorized=True
        )
        for seed in (0, 1)
    ]
    for name, proxy in {"default": None, "gp": "gp"}.items()
}
for runs in rivals.values():
    for one in runs:
        one.minimize(lambda X: ((X - 0.3) ** 4).sum(axis=1) + 0.1 * (X[:, 0] * X[:, 1]) ** 2)
ConvergenceDisplay.from_estimators(rivals)
plt.show()

# %%
# A report for others
# -------------------
# One file of HTML, which needs no network and no script: verdict, settings, ranges, the best runs
# and pictures, in light and dark.

path = report(optimizer, Path(tempfile.mkdtemp()) / "reactor.html", within=0.1)
print(f"{path.name} has {path.stat().st_size / 1000:.0f} kB")

# %%
# What the texts above say holds here:

from sklearn_proxyopt.inspection import importances  # noqa: E402

found = importances(optimizer, random_state=0)
assert found.names[int(found.total_order.argmax())] == "temperature"
assert found.names[int(found.local_change.argmax())] == "solvent"
assert table["failure"].notna().any()
