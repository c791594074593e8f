"""The kernel proxy: Gaussian processes stacked by their errors at rows left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_proxyopt._utils._threads import threads_for
from sklearn_proxyopt._utils._validation import (
    as_generator,
    check_integer,
    check_option,
    check_real,
)
from sklearn_proxyopt.proxies._shares import check_sample_weight

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_proxyopt.proxies._kernel._module import KernelModule
    from sklearn_proxyopt.proxies._kernel._warps import SoftLimits

__all__ = ["KernelProxyRegressor"]

# Covariances with the rows that a block of predictions may take at once.
_PAIRS_PER_BLOCK = 2_000_000
# Within this share of the range of the rows values approach their bounds softly.
_SOFT_SHARE = 1e-3


class KernelProxyRegressor(RegressorMixin, BaseEstimator):
    def __init__(
        self,
        *,
        trend: str = "auto",
        max_exact_rows: int = 2000,
        n_inducing: int = 1000,
        y_bounds: Any = None,
        device: Any = "auto",
        dtype: str = "float64",
        random_state: Any = None,
    ) -> None:
        self.trend = trend
        self.max_exact_rows = max_exact_rows
        self.n_inducing = n_inducing
        self.y_bounds = y_bounds
        self.device = device
        self.dtype = dtype
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        import torch

        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self.check_parameters()
        weight = check_sample_weight(sample_weight, len(X))
        targets = np.ascontiguousarray(y, dtype=np.float64).reshape(len(X), -1)
        seed = int(as_generator(self.random_state).integers(2**63))
        used = weight > 0
        limits = self._limits(targets[used])
        # Whatever the caller has set, tensors are ordinary ones.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            threads_for(len(X)),
        ):
            self._learn(X[used], targets[used], weight[used], limits, seed)
        self.n_outputs_ = targets.shape[1]
        self._single_output = np.ndim(y) == 1
        return self

    def _learn(
        self,
        X: NDArray[np.float64],
        targets: NDArray[np.float64],
        weight: NDArray[np.float64],
        limits: list[SoftLimits],
        seed: int,
    ) -> None:
        """Learn a stack for each target and put all into one module."""
        import torch

        from sklearn_proxyopt.proxies._device import resolve_device, resolve_dtype
        from sklearn_proxyopt.proxies._kernel._learning import Plan, Target, learn_stack
        from sklearn_proxyopt.proxies._kernel._module import KernelModule

        dtype = resolve_dtype(self.dtype)
        device = resolve_device(self.device, dtype)
        lower, upper = X.min(axis=0), X.max(axis=0)
        center = (lower + upper) / 2
        half_width = np.where(upper > lower, (upper - lower) / 2, 1.0)
        level, spread = targets.mean(axis=0), targets.std(axis=0)
        constant = np.ptp(targets, axis=0) == 0
        level, spread = np.where(constant, targets[0], level), np.where(constant, 1.0, spread)
        # Where there is no float64 processes are learned on the CPU.
        learns_on = device if device.type == "cuda" else torch.device("cpu")
        rows = torch.from_numpy((X - center) / half_width).to(learns_on)
        weights = torch.from_numpy(weight / weight.mean()).to(learns_on)
        values = torch.from_numpy((targets - level) / spread).to(learns_on)
        plan = Plan(self.trend, self.max_exact_rows, self.n_inducing, _SMALLEST_NOISE[self.dtype])
        stacks = []
        for column in values.T:
            generator = torch.Generator(device="cpu").manual_seed(seed)
            target = Target(rows, column.contiguous(), weights)
            stacks.append(learn_stack(target, plan, generator))
        self.device_ = str(device)
        self.processes_ = [
            dict(zip(stack.names, map(float, stack.weights.tolist()), strict=True))
            for stack in stacks
        ]
        scaling = [torch.from_numpy(one) for one in (center, half_width, level, spread)]
        module = KernelModule(*scaling, [stack.to(dtype) for stack in stacks], limits).eval()
        if device.type == "mps":
            module = module.to(torch.float32)
        self._module = module.to(device)

    def _limits(self, targets: NDArray[np.float64]) -> list[SoftLimits]:
        from sklearn_proxyopt.proxies._kernel._warps import SoftLimits

        bounds = check_y_bounds(self.y_bounds, targets)
        ranges = np.ptp(targets, axis=0)
        return [
            SoftLimits(float(lower), float(upper), _SOFT_SHARE * (float(size) or 1.0))
            for (lower, upper), size in zip(bounds, ranges, strict=True)
        ]

    def check_parameters(self) -> None:
        """Raise an error that names the first parameter that is out of its limits."""
        from sklearn_proxyopt.proxies._device import resolve_device, resolve_dtype
        from sklearn_proxyopt.proxies._trend import TREND_NAMES

        check_option(self.trend, "trend", ("auto", *TREND_NAMES))
        check_integer(self.max_exact_rows, "max_exact_rows")
        check_integer(self.n_inducing, "n_inducing")
        resolve_device(self.device, resolve_dtype(self.dtype))

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        import torch

        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        ask = self._module.moments if return_std else lambda rows: (self._module(rows),)
        with torch.inference_mode(False), torch.no_grad(), threads_for(len(X)):
            answers = [ask(rows) for rows in self._blocks(X)]
            columns = [
                torch.cat(parts).cpu().double().numpy() for parts in zip(*answers, strict=True)
            ]
        if self._single_output:
            columns = [column[:, 0] for column in columns]
        return tuple(columns) if return_std else columns[0]

    def value_and_grad(
        self, X: ArrayLike, *, n_std: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        import torch

        check_is_fitted(self)
        if self.n_outputs_ != 1:
            raise ValueError(
                f"y must have one target for a gradient of the proxy; got {self.n_outputs_}."
            )
        X = validate_data(self, X, dtype=np.float64, reset=False)
        module = self.torch_module(n_std=n_std)
        values, gradients = [], []
        with torch.inference_mode(False), torch.enable_grad(), threads_for(len(X)):
            for block in self._blocks(X):
                rows = block.requires_grad_()
                value = module(rows)[:, 0]
                gradients.append(torch.autograd.grad(value.sum(), rows)[0].cpu())
                values.append(value.detach().cpu())
        return torch.cat(values).double().numpy(), torch.cat(gradients).double().numpy()

    def torch_module(self, *, member: int | None = None, n_std: float = 0.0) -> KernelModule:
        check_is_fitted(self)
        check_real(n_std, "n_std")
        if member is not None:
            check_integer(member, "member", minimum=0, maximum=0)
        return self._module.lowered(n_std)

    def _blocks(self, X: NDArray[np.float64]) -> Iterator[Tensor]:
        """Yield rows, some thousand at a time, where the module lies and in its precision."""
        import torch

        # torch takes no rows in reverse order.
        center = self._module.center
        rows = torch.tensor(np.ascontiguousarray(X), dtype=center.dtype, device="cpu")
        size = max(_PAIRS_PER_BLOCK // self._module.n_rows, 1)
        return (block.to(center.device) for block in rows.split(min(size, 4096)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags


_SMALLEST_NOISE = {"float64": 1e-10, "float32": 1e-5}


def check_y_bounds(y_bounds: Any, targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return lower and upper bound of each target, infinite where there is none."""
    n_outputs = targets.shape[1]
    bounds = np.tile([-np.inf, np.inf], (n_outputs, 1))
    if y_bounds is None:
        return bounds
    try:
        given = np.array(y_bounds, dtype=np.float64)
        bounds = np.broadcast_to(given, (n_outputs, 2))
    except (TypeError, ValueError):
        raise ValueError(
            f"y_bounds must be a pair of numbers, or one for each of the {n_outputs} targets; "
            f"got {y_bounds!r}."
        ) from None
    bounds = np.where(np.isnan(bounds), [-np.inf, np.inf], bounds)
    if not (bounds[:, 0] < bounds[:, 1]).all():
        raise ValueError(
            f"y_bounds must have each lower bound below its upper bound; got {y_bounds!r}."
        )
    outside = (targets < bounds[:, 0]) | (targets > bounds[:, 1])
    if outside.any():
        raise ValueError(f"y must lie within y_bounds={y_bounds!r}; got {targets[outside][0]!r}.")
    return bounds
