"""What solvers that train a network from observations to unknowns share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_proxyopt._utils._validation import check_integer, check_option, check_real
from sklearn_proxyopt.inverse._base import BaseInverse
from sklearn_proxyopt.inverse._networks import RowNetwork, build_network
from sklearn_proxyopt.inverse._problem_set import ProblemSet
from sklearn_proxyopt.proxies._device import resolve_dtype

__all__ = ["NetworkInverse"]


class NetworkInverse(BaseInverse):
    """Base of the solvers with a network; they have the parameters below beside the common ones."""

    network: Any
    n_iterations: int
    learning_rate: float
    dtype: str
    network_: RowNetwork

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        super().check_parameters()
        check_integer(self.n_iterations, "n_iterations")
        check_real(self.learning_rate, "learning_rate", minimum=0.0, include_minimum=False)
        check_option(self.dtype, "dtype", ("float32", "float64"))

    def _build(self, problems: ProblemSet, rows: Tensor, rng: np.random.Generator) -> RowNetwork:
        """Return an untrained network, scaled to some rows."""
        problem, self._has_gaps = problems.problem, problems.has_gaps
        return build_network(
            self.network,
            rows,
            problem.shape_of_rows(rows.shape[1]),
            problem.condition_shape,
            problem.n_unknowns,
            resolve_dtype(self.dtype),
            rng,
            self._has_gaps,
        )

    def _untrained(self, n_columns: int) -> dict[str, torch.nn.Module]:
        problem = self.problem_
        network = build_network(
            self.network,
            torch.zeros(2, n_columns, dtype=torch.float64, device="cpu"),
            problem.shape_of_rows(n_columns),
            problem.condition_shape,
            problem.n_unknowns,
            resolve_dtype(self.dtype),
            np.random.default_rng(0),
            bool(getattr(self, "_has_gaps", False)),
        )
        network.stream = None
        return {"network_": network}

    def _estimate(self, problems: ProblemSet) -> Tensor:
        """Return what the trained network says, as a shift of the best guess."""
        with torch.no_grad():
            return problems.start + self.network_.eval()(problems.rows)
