"""Which optimum is judged, by what, and against which tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._goal import Goal
from sklearn_proxyopt.variables import Variables

__all__ = ["Question"]


@dataclass(frozen=True)
class Question:
    """What is judged.

    Parameters
    ----------
    subject : {"the answer", "the model's optimum"}
        Its name.
    x, x_best : ndarray of shape (n_features,)
        The optimum in question, and the point of the lowest value known, in the user's units.
    regret : float
        What is tolerated, in units of the values.
    mode : {"rows", "checks", "refined"}
        What the evidence rests on.
    variables : Variables
        The variables.
    goal : Goal
        What is sought; the evidence and the checks come to be minimized.
    X_checks, y_checks : ndarray of shape (n_checks, n_features) and (n_checks,)
        Where the objective was evaluated for the verdict, and the values there.
    contradiction : str, default=""
        How the data contradict what the user stated about them.
    n_settings : int, default=0
        How many settings there are, if all of them were evaluated and have no noise; else 0.
    """

    subject: str
    x: NDArray[np.float64]
    x_best: NDArray[np.float64]
    regret: float
    mode: str
    variables: Variables
    goal: Goal
    X_checks: NDArray[np.float64]
    y_checks: NDArray[np.float64]
    contradiction: str = ""
    n_settings: int = 0
