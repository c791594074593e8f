"""A function of named samples, seen as a function of plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt._utils._pandas import in_order_of_rows
from sklearn_proxyopt.variables._variables import Variables

__all__ = ["NamedFunction"]


class NamedFunction:
    """A function of named samples, seen as a function of plain ones.

    Parameters
    ----------
    function : callable
        Takes one sample as a dict and returns a number. If `vectorized`, it takes a DataFrame with
        a column for each variable and returns a value for each sample, or a Series or DataFrame
        whose index says which sample each value belongs to.
    variables : Variables
        Knows the names and labels.
    vectorized : bool, default=False
        Whether `function` takes a DataFrame of samples.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_proxyopt.variables import NamedFunction, Variables
    >>> variables = Variables({"width": (1, 9), "metal": ["tin", "zinc"]})
    >>> price = NamedFunction(
    ...     lambda row: row["width"] * {"tin": 2.0, "zinc": 3.0}[row["metal"]], variables
    ... )
    >>> price(np.array([4.0, 1.0]))
    12.0
    """

    how_called = ", passed as a DataFrame (input_format='array' passes plain samples)"

    def __init__(
        self, function: Callable[..., Any], variables: Variables, vectorized: bool = False
    ) -> None:
        self.function = function
        self.variables = variables
        self.vectorized = vectorized

    def __call__(self, X: NDArray[np.float64]) -> Any:
        if self.vectorized:
            return in_order_of_rows(self.function(self.variables.to_frame(X)), len(X))
        return self.function(self.variables.named(X))
