"""
A proxy with an R2 above 0.99, and a false optimum
==================================================

How well a surrogate predicts says little about its minimum. Here it explains more than 99 % of the
variance of unseen samples, and still has its minimum at the wrong point. The diagnosis says so.
"""

# %%
# The function is a smooth valley with ripples. A neural proxy learns it from 300 samples.

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sklearn_proxyopt import ProxyOptimizer
from sklearn_proxyopt.displays import (
    ConvergenceDisplay,
    DiagnosisDisplay,
    FidelityDisplay,
    LandscapeDisplay,
    OptimumSpreadDisplay,
)
from sklearn_proxyopt.exceptions import FalseOptimumWarning
from sklearn_proxyopt.samplers import SobolSampler


def rippled_valley(X):
    """A bowl of depth 100 with ripples of height 1.5, finer than the rows lie apart."""
    ripples = 1.5 * np.sin(9.0 * X[:, 0] + 4.0 * X[:, 1]) * np.sin(7.0 * X[:, 1] - 3.0 * X[:, 0])
    return 2.0 * ((X[:, 0] - 0.2) ** 2 + (X[:, 1] - 0.9) ** 2) + ripples


bounds = [[-5.0, 5.0], [-5.0, 5.0]]
X = SobolSampler(300, random_state=0).sample(bounds)
optimizer = ProxyOptimizer(bounds=bounds, proxy="neural", random_state=0, vectorized=True)
optimizer.fit(X, rippled_valley(X))

X_new = SobolSampler(2000, random_state=1).sample(bounds)
print(f"R2 at 2,000 new samples: {optimizer.score(X_new, rippled_valley(X_new)):.4f}")
print(f"predicted optimum:       {optimizer.fun_proxy_:.3f}")
print(f"measured there:          {rippled_valley(optimizer.x_proxy_[None])[0]:.3f}")

# %%
# From the samples alone
# ----------------------
# Models refitted on half of the samples are compared; nothing is evaluated. We tolerate a regret of
# 0.5, a third of a ripple.

print(optimizer.diagnose(regret=0.5))

# %%
# With five evaluations
# ---------------------
# Now the function is called five times: at the optimum, and at alternative optima that some models
# predict to be as good. The page shows the verdict, what was predicted, measured and is best known,
# the facts for and against the optimum, and what to do next.

DiagnosisDisplay.from_estimator(optimizer, rippled_valley, n_checks=5, regret=0.5)
plt.show()

# %%
# The landscape shows why: the proxy has the valley and not the ripples, and the minimum is one of
# the ripples' troughs.

LandscapeDisplay.from_estimator(optimizer, objective=rippled_valley, n_points=150)
plt.show()

# %%
# The best samples lie off the line, by as much as a ripple is high. That is little compared with
# the spread of all samples, to which R2 refers.

FidelityDisplay.from_estimator(optimizer)
plt.show()

# %%
# All models agree, within a few percent of the bounds. Agreement is no proof: they share the
# samples, and none can know what no sample shows.

OptimumSpreadDisplay.from_estimator(optimizer)
plt.show()

# %%
# The remedy
# ----------
# `minimize` evaluates its own samples, refines on the function, and ends with a verdict on its
# answer. Refinement descends into the nearest trough, which need not be the deepest.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", FalseOptimumWarning)
    searching = ProxyOptimizer(
        sampler=SobolSampler(300), proxy="neural", random_state=0, vectorized=True
    )
    result = searching.minimize(rippled_valley, bounds)
print(result.message)
print(f"warned: {any(issubclass(one.category, FalseOptimumWarning) for one in caught)}")

fine = np.stack(np.meshgrid(*[np.linspace(-2.0, 2.0, 801)] * 2), axis=-1).reshape(-1, 2)
print(f"found {result.fun:.3f}; the lowest on a fine grid is {rippled_valley(fine).min():.3f}")

ConvergenceDisplay.from_estimator(searching)
plt.show()
