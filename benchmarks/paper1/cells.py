"""The cells of the published study: functions, designs and the networks that learn them.

Albreiki, Belayouni and Gupta, "On Using Deep Learning Proxies as Forward Models in Optimization
Problems" (2023), Tables 1 to 3: three functions in 2, 4 and 10 variables, three designs each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_proxyopt.problems import Ackley, Problem, Rastrigin, Rosenbrock
from sklearn_proxyopt.samplers import (
    BaseSampler,
    GaussianSampler,
    GridSampler,
    SobolSampler,
    SubsetSampler,
    UniformSampler,
)

DIMS = (2, 4, 10)
FUNCTIONS = ("rosenbrock", "rastrigin", "ackley")
SAMPLINGS = ("dense", "sparse", "gaussian")
N_DENSE = 10_000
N_SPARSE = 2_500


class FirstFourRastrigin(Rastrigin):
    """Rastrigin's function of the first four variables, whatever the others are.

    The published code sums only these in its function of ten variables. Errors are distances to
    the origin of all variables, as there, although every point whose first four are zero is a
    minimum.
    """

    def _evaluate(self, X: Any, xp: Any) -> Any:
        first = X[:, :4]
        return (first**2 - 10.0 * xp.cos(2.0 * np.pi * first) + 10.0).sum(1)


class UnclippedGaussianSampler(GaussianSampler):
    """A normal distribution around a guess, also outside the box, as the published code has it."""

    def _sample_box(
        self, n_samples: int, bounds: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        deviation = self.spread * (bounds[:, 1] - bounds[:, 0]) / 2
        return self._center(bounds) + deviation * rng.standard_normal((n_samples, len(bounds)))


PROBLEMS: dict[str, type[Problem]] = {
    "rosenbrock": Rosenbrock,
    "rastrigin": Rastrigin,
    "rastrigin_first_four": FirstFourRastrigin,
    "ackley": Ackley,
}


@dataclass(frozen=True)
class Cell:
    """A cell of the tables, under one protocol.

    Parameters
    ----------
    protocol : {"paper", "corrected", "proxyopt"}
        How it is computed.
    dim : int
        Number of variables.
    function : str
        A key of `PROBLEMS`.
    sampling : {"ground_truth", "dense", "sparse", "gaussian"}
        The design.
    """

    protocol: str
    dim: int
    function: str
    sampling: str

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.protocol}-{self.dim}-{self.function}-{self.sampling}"

    @property
    def row_name(self) -> str:
        """The function's name in the tables."""
        return "rastrigin" if self.function == "rastrigin_first_four" else self.function

    def problem(self) -> Problem:
        """Return the function."""
        return PROBLEMS[self.function](self.dim)

    def sampler(self, seed: int) -> BaseSampler:
        """Return the design of a replicate.

        The paper's text has dense designs equally spaced, of which a sparse one is a quarter; its
        code draws both at random. In ten variables no lattice has 10,000 points (two levels an
        axis make 1,024, three 59,049), so Sobol points take its place. They are this package's
        own choice everywhere.
        """
        center = self.problem().x_opt[0]
        if self.protocol == "paper":
            if self.sampling == "gaussian":
                # The code has 2 / 3 where a third of 2.048 would be.
                spread = 2 / 3 / 2.048 if (self.dim, self.function) == (2, "rosenbrock") else 1 / 3
                return UnclippedGaussianSampler(
                    N_DENSE, center=center, spread=spread, random_state=seed
                )
            n_samples = N_DENSE if self.sampling == "dense" else N_SPARSE
            return UniformSampler(n_samples, random_state=seed)
        if self.sampling == "gaussian":
            return GaussianSampler(N_DENSE, center=center, random_state=seed)
        if self.protocol == "proxyopt":
            n_samples = N_DENSE if self.sampling == "dense" else N_SPARSE
            return SobolSampler(n_samples, random_state=seed)
        kind = SobolSampler if self.dim == 10 else GridSampler
        dense = kind(N_DENSE, random_state=seed)
        return dense if self.sampling == "dense" else SubsetSampler(dense, random_state=seed)

    def network(self) -> dict[str, Any]:
        """Return the parameters of the paper's network, `PublishedProxy`, and of its targets.

        With more than two variables the held-out loss is lowest early and rises ever after, so
        that the last epochs, which change nothing about the weights kept, are left out.
        """
        parameters: dict[str, Any] = {
            "hidden_layer_sizes": (20, 50, 120, 70, 20, 10),
            "max_epochs": 500,
            "loss_scale": 100.0 if self.function == "ackley" else 1.0,
        }
        if self.function == "rosenbrock":
            parameters = {
                "hidden_layer_sizes": (15, 50, 15) if self.dim == 2 else (15, 50, 15, 10),
                "max_epochs": 500 if self.dim == 10 else 100,
                "loss_scale": 1000.0,
                "target_scale": 1000.0,
                "relu_output": self.dim == 2,
            }
        if self.dim > 2:
            parameters["patience"] = 150
        return parameters


def cells_of(protocol: str, *, true_rastrigin: bool = False) -> Iterator[Cell]:
    """Yield the 27 cells with a proxy.

    Under the paper's protocol the function called Rastrigin's of ten variables is the published
    one, which looks at four of them, unless `true_rastrigin`.
    """
    for dim in DIMS:
        for function in FUNCTIONS:
            is_faulty = protocol == "paper" and (dim, function) == (10, "rastrigin")
            name = "rastrigin_first_four" if is_faulty and not true_rastrigin else function
            for sampling in SAMPLINGS:
                yield Cell(protocol, dim, name, sampling)
