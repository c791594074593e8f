"""A kernel proxy's module as plain arrays and facts, from which it predicts to the last bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_proxyopt.proxies._kernel._calibration import Calibration
from sklearn_proxyopt.proxies._kernel._covariances import COVARIANCES
from sklearn_proxyopt.proxies._kernel._inducing import InducedKriging
from sklearn_proxyopt.proxies._kernel._kriging import Kriging
from sklearn_proxyopt.proxies._kernel._module import KernelModule
from sklearn_proxyopt.proxies._kernel._process import (
    Design,
    ExactProcess,
    InducedProcess,
    Process,
)
from sklearn_proxyopt.proxies._kernel._stack import Stack, Uncertainty
from sklearn_proxyopt.proxies._kernel._warps import WARPS, SoftLimits
from sklearn_proxyopt.proxies._kernel._wild import KINDS, Taming
from sklearn_proxyopt.proxies._reading import (
    count_functions,
    expect,
    expect_array,
    facts_of_basis,
    read_basis,
)

if TYPE_CHECKING:
    from sklearn_proxyopt.proxies._kernel._covariances import Covariance

__all__ = ["module_from_file", "module_to_file"]

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]

_FRAME = ("center", "half_width", "level", "spread")
_OF_STACK = ("weights", "shares", "factors")
_OF_PROCESS = ("rows", "settings", "weights", "mean_weights")
_OF_KIND = {"exact": ("noise", "to_functions"), "induced": ("root", "posterior_root")}


def module_to_file(module: KernelModule) -> tuple[Arrays, Facts]:
    """Return the arrays of a module, and the facts that JSON can hold."""
    arrays = _arrays_of(module, _FRAME, "kernel")
    stacks = []
    for place, stack in enumerate(module.stacks):
        name = f"kernel_{place}"
        arrays |= _arrays_of(stack, _OF_STACK, name)
        processes = []
        for index, process in enumerate(stack.processes):
            own, facts = _process_to_file(process, f"{name}_{index}")
            shared = f"{name}_0_rows"
            if index and np.array_equal(arrays[shared], own[f"{name}_{index}_rows"]):
                del own[f"{name}_{index}_rows"]
            arrays |= own
            processes.append(facts)
        stacks.append(
            {
                "names": list(stack.names),
                "calibration": list(stack.calibration.numbers),
                "processes": processes,
            }
        )
    limits = [_numbers_of(limit) for limit in module.limits]
    known: Facts = {"stacks": stacks, "limits": limits}
    if any(one.kind for one in module.tamings):
        known["tamings"] = [_facts_of(one) for one in module.tamings]
    return arrays, known


def _facts_of(taming: Taming) -> Facts:
    if taming.kind in ("", "logarithm"):
        return {"kind": taming.kind, "sign": taming.sign}
    return {"kind": taming.kind, "usual": [taming.low, taming.high, taming.middle]}


def _taming(facts: Facts) -> Taming:
    expect(facts["kind"] in KINDS, "known ways to tame values")
    if "usual" not in facts:
        expect(facts["kind"] in ("", "logarithm"), "the ends of usual values")
        return Taming(facts["kind"], sign=-1.0 if float(facts["sign"]) < 0.0 else 1.0)
    numbers = [float(one) for one in facts["usual"]]
    expect(len(numbers) == 3 and bool(np.isfinite(numbers).all()), "three numbers of usual values")
    expect(numbers[0] < numbers[1], "usual values in order")
    return Taming(facts["kind"], *numbers)


def _process_to_file(process: Process, name: str) -> tuple[Arrays, Facts]:
    kind = "exact" if isinstance(process, ExactProcess) else "induced"
    facts = {
        "kind": kind,
        "covariance": process.covariance.name,
        "warp": process.warp.name,
        "warp_numbers": [*process.warp.own, *process.warp.frame],
        "variance": process.variance,
        "ripples": process.ripples,
        "limits": _numbers_of(process.limits),
        **facts_of_basis(process.trend, process.basis),
    }
    return _arrays_of(process, _OF_PROCESS + _OF_KIND[kind], name), facts


def module_from_file(arrays: Arrays, facts: Facts, n_features: int) -> KernelModule:
    """Make again the module that `module_to_file` took apart.

    Raises
    ------
    ValueError
        If arrays and facts do not fit together, with the reason.
    """
    n_outputs = len(facts["stacks"])
    wanted = dict(zip(_FRAME, [(n_features,)] * 2 + [(n_outputs,)] * 2, strict=True))
    frame = [_read(arrays, f"kernel_{name}", wanted[name]) for name in _FRAME]
    center, half_width, level, spread = frame
    expect(bool((half_width > 0).all() and (spread > 0).all()), "half_width and spread above 0")
    expect(n_outputs == len(facts["limits"]), "limits for each output")
    stacks = [
        _stack(arrays, f"kernel_{place}", stack, n_features)
        for place, stack in enumerate(facts["stacks"])
    ]
    dtypes = {stack.weights.dtype for stack in stacks}
    expect(len(dtypes) == 1, "processes of one type")
    limits = [_limits(one) for one in facts["limits"]]
    # Files of before wild values were tamed have none.
    tamings = [_taming(one) for one in facts.get("tamings", [])]
    expect(len(tamings) in (0, n_outputs), "a way to tame values for each output")
    return KernelModule(center, half_width, level, spread, stacks, limits, tamings)


def _stack(arrays: Arrays, name: str, facts: Facts, n_features: int) -> Stack:
    n_processes = len(facts["processes"])
    expect(n_processes > 0 and len(facts["names"]) == n_processes, "a name for each process")
    numbers = [_read(arrays, f"{name}_{part}", (n_processes,)) for part in _OF_STACK]
    weights, shares, factors = numbers
    expect(bool(weights.any()), "a process that counts")
    processes = [
        _process(arrays, f"{name}_{index}", f"{name}_0", one, n_features)
        for index, one in enumerate(facts["processes"])
    ]
    expect({one.rows.dtype for one in processes} == {weights.dtype}, "processes of one type")
    calibration = [float(one) for one in facts["calibration"]]
    expect(len(calibration) == len(Calibration().numbers), "the numbers of a calibration")
    expect(bool(np.isfinite(calibration).all()), "finite numbers in its calibration")
    uncertainty = Uncertainty(shares, factors, Calibration(*calibration))
    return Stack(processes, [str(one) for one in facts["names"]], weights, uncertainty)


def _process(arrays: Arrays, name: str, first: str, facts: Facts, n_features: int) -> Process:
    expect(facts["kind"] in _OF_KIND, "processes of a known kind")
    expect(facts["covariance"] in COVARIANCES, "known covariances")
    expect(facts["warp"] in WARPS, "known warps")
    covariance = COVARIANCES[facts["covariance"]](n_features)
    owner = name if f"{name}_rows" in arrays else first
    rows = _read(arrays, f"{owner}_rows", (None, n_features))
    n_rows, n_settings = len(rows), covariance.starts().shape[1] + 1
    settings = _read(arrays, f"{name}_settings", (n_settings,))
    weights = _read(arrays, f"{name}_weights", (n_rows,))
    n_functions = count_functions(facts, n_features)
    learned = (settings, weights, _read(arrays, f"{name}_mean_weights", (n_functions,)))
    design = _design(covariance, facts, n_features, rows)
    process = _of_kind(arrays, name, facts, design, learned, rows)
    # Files of before noise was told apart have none.
    process.ripples = float(facts.get("ripples", 1.0))
    expect(0.0 <= process.ripples <= 1.0, "ripples as a share of the noise")
    return process


def _of_kind(
    arrays: Arrays,
    name: str,
    facts: Facts,
    design: Design,
    learned: tuple[Tensor, Tensor, Tensor],
    rows: Tensor,
) -> Process:
    settings, weights, mean_weights = learned
    n_rows, n_functions, none = len(rows), len(mean_weights), rows.new_zeros(0)
    variance, limits = float(facts["variance"]), _limits(facts["limits"])
    if facts["kind"] == "exact":
        exact = Kriging(design.covariance, settings, weights, mean_weights, variance, none, none)
        noise = _read(arrays, f"{name}_noise", (n_rows,))
        to_functions = _read(arrays, f"{name}_to_functions", (n_functions, None))
        return ExactProcess(design, exact, rows, limits, noise, to_functions)
    n_weights = n_rows + n_functions
    root = _read(arrays, f"{name}_root", (n_rows, n_rows))
    posterior_root = _read(arrays, f"{name}_posterior_root", (n_weights, n_weights))
    induced = InducedKriging(
        design.covariance,
        settings,
        rows,
        weights,
        mean_weights,
        variance,
        none,
        none,
        root,
        posterior_root,
    )
    return InducedProcess(design, induced, limits)


def _design(covariance: Covariance, facts: Facts, n_features: int, like: Tensor) -> Design:
    with torch.device("cpu"):
        basis = read_basis(facts, n_features)
    kind = WARPS[facts["warp"]]
    numbers = [float(one) for one in facts["warp_numbers"]]
    expect(bool(np.isfinite(numbers).all()), "finite numbers in warps")
    expect(len(numbers) == kind.n_own + 4, "the numbers of a warp")
    own, frame = tuple(numbers[: kind.n_own]), like.new_tensor(numbers[kind.n_own :])
    return Design(covariance, basis.to(like.dtype), facts["trend"], kind.restored(own, frame))


def _limits(numbers: list[float | None]) -> SoftLimits:
    """Return limits of their numbers, None in place of an infinite one."""
    lower, upper, margin = numbers
    lower = -np.inf if lower is None else float(lower)
    upper = np.inf if upper is None else float(upper)
    expect(lower < upper and margin is not None and float(margin) > 0, "limits in order")
    assert margin is not None
    return SoftLimits(lower, upper, float(margin))


def _numbers_of(limits: SoftLimits) -> list[float | None]:
    ends = [one if np.isfinite(one) else None for one in (limits.lower, limits.upper)]
    return [*ends, limits.margin]


def _arrays_of(module: nn.Module, names: tuple[str, ...], under: str) -> Arrays:
    return {f"{under}_{name}": getattr(module, name).cpu().numpy() for name in names}


def _read(arrays: Arrays, name: str, shape: tuple[int | None, ...]) -> Tensor:
    expect_array(arrays, name, shape)
    return torch.from_numpy(np.ascontiguousarray(arrays[name]).copy())
