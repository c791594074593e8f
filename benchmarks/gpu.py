"""What a GPU gains: the calls that users make, on CUDA beside two cores of the same machine.

Each call runs with device="cuda", "cpu" and "auto" in turn. The table is written after each row,
the most important rows come first, and the command ends within its limit of seconds. Two further
tables hold the training step of stacked networks, beside the rate of large matrix products, and
what the precision of a training costs at the optimum. Without a CUDA device only the CPU is timed.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Before the libraries start their threads.
    os.environ["OMP_NUM_THREADS"] = "2"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

import numpy as np
import torch

from sklearn_proxyopt import NeuralProxyRegressor, ProxyOptimizer
from sklearn_proxyopt._proxy_search._functions import RegressorFunction
from sklearn_proxyopt.inverse import DirectInverse, InverseProblem, ReparameterizedInverse
from sklearn_proxyopt.optimizers import MultiStartBFGS, ParticleSwarm
from sklearn_proxyopt.problems import Ackley, Levy, Rastrigin
from sklearn_proxyopt.problems.physics import BilliardShot, KuramotoSivashinsky
from sklearn_proxyopt.proxies._recipe import TrainingData, member_rows
from sklearn_proxyopt.samplers import SobolSampler, UniformSampler

# Calls that come before the table of precisions.
_N_FIRST = 12
HEADERS = {
    "call": "call",
    "cuda": "CUDA (s)",
    "cpu": "two cores (s)",
    "auto": "auto (s)",
    "chosen": "auto takes",
    "cuda_gain": "CUDA times faster",
    "auto_gain": "auto times faster",
}
STEP_HEADERS = {
    "members": "members",
    "batch": "batch",
    "dtype": "type",
    "microseconds": "a step (us)",
    "tflops": "TFLOP/s",
    "share": "share of matrix products (%)",
}
PRECISION_HEADERS = {
    "problem": "function",
    "dtype": "type",
    "seconds": "fit (s)",
    "error": "error (share of the spread)",
    "regret": "value at the minimum",
}


@dataclass
class Call:
    """A call to time.

    Parameters
    ----------
    name : str
        What the table calls it.
    make : callable
        Takes a device and returns a function without arguments, which is timed, and which returns
        the device where the work was done.
    devices : tuple of str
        The devices to time it on.
    """

    name: str
    make: Callable[[str], Callable[[], str]]
    devices: tuple[str, ...] = ("cuda", "cpu", "auto")


def fit_call(
    n_rows: int,
    n_dims: int = 10,
    devices: tuple[str, ...] = ("cuda", "cpu", "auto"),
    **options: Any,
) -> Call:
    """Return the fit of a proxy, with default settings unless told otherwise."""
    problem = Ackley(n_dims)
    X = UniformSampler(n_rows, random_state=0).sample(problem.bounds)
    y = problem(X)

    def make(device: str) -> Callable[[], str]:
        proxy = NeuralProxyRegressor(device=device, random_state=0, **options)
        return lambda: proxy.fit(X, y).trained_on_

    said = "".join(f", {name}={value}" for name, value in options.items())
    return Call(f"fit {n_rows:,} x {n_dims}{said}", make, devices)


def minimize_call(**options: Any) -> Call:
    """Return a whole run of `ProxyOptimizer.minimize` in ten variables."""
    problem = Rastrigin(10)

    def make(device: str) -> Callable[[], str]:
        proxy = NeuralProxyRegressor(device=device)
        optimizer = ProxyOptimizer(proxy=proxy, random_state=0, vectorized=True)

        def run() -> str:
            optimizer.minimize(problem, problem.bounds, **options)
            return getattr(optimizer.proxy_, "trained_on_", "")

        return run

    said = ", ".join(f"{name}={value}" for name, value in options.items())
    return Call(f"minimize({said}) in 10 variables", make)


def search_call(name: str, optimizer: Any, n_rows: int, n_members: int = 1, **options: Any) -> Call:
    """Return the search of a fitted proxy, or of each of its members."""
    problem = Ackley(10)
    X = UniformSampler(n_rows, random_state=0).sample(problem.bounds)

    def make(device: str) -> Callable[[], str]:
        proxy = NeuralProxyRegressor(
            device=device, n_members=n_members, random_state=0, **options
        ).fit(X, problem(X))
        if n_members > 1:
            search = lambda: optimizer.minimize_members(proxy, problem.bounds)  # noqa: E731
        else:
            search = lambda: optimizer.minimize(RegressorFunction(proxy), problem.bounds)  # noqa: E731

        def run() -> str:
            search()
            return ""

        return run

    return Call(name, make)


def inverse_call(name: str, solver: Any, model: Any, n_problems: int, **options: Any) -> Call:
    """Return the solution of inverse problems."""
    X, _ = model.sample(n_problems, random_state=0)

    def make(device: str) -> Callable[[], str]:
        own = solver(InverseProblem(model), device=device, **options)
        return lambda: own.fit(X).device_

    return Call(f"{name}, {n_problems} problems", make)


def calls(small: bool) -> Iterator[Callable[[], Call]]:
    """Yield the calls, the most important first; `small` ones end in seconds anywhere."""
    share = 100 if small else 1
    few: dict[str, Any] = {"max_epochs": 2} if small else {}
    swarms = ParticleSwarm(n_restarts=10, n_iterations=20 if small else 1000, random_state=0)
    wide = MultiStartBFGS(
        4096 // share, n_rounds=1, n_iterations=20, n_candidates=4096 // share, random_state=0
    )
    ks = KuramotoSivashinsky(n_steps=8) if small else KuramotoSivashinsky()
    yield lambda: fit_call(10_000 // share, **few)
    yield lambda: inverse_call("DirectInverse, KS", DirectInverse, ks, 256 // share)
    yield lambda: search_call("ten swarms", swarms, 1000 // share, max_epochs=2)
    yield lambda: fit_call(1000 // min(share, 10), **few)
    yield lambda: fit_call(200, **few)
    yield lambda: fit_call(100_000 // share, **few)
    yield lambda: fit_call(10_000 // share, n_members=10, max_epochs=2 if small else 28)
    yield lambda: inverse_call("DirectInverse, KS", DirectInverse, ks, max(16 // share, 2))
    plain = MultiStartBFGS(random_state=0, n_rounds=1 if small else 20)
    yield lambda: search_call("BFGS", plain, 1000 // share, max_epochs=2)
    flock = ParticleSwarm(n_iterations=20 if small else 200, random_state=0)
    yield lambda: search_call("PSO", flock, 1000 // share, max_epochs=2)
    if not small:
        yield lambda: minimize_call(budget=200)
        yield lambda: minimize_call()
    yield lambda: search_call(
        "BFGS, 4,096 starts on each of 10 members, 20 iterations",
        wide,
        1000 // share,
        n_members=10,
        max_epochs=2,
    )
    yield lambda: inverse_call("DirectInverse, billiards", DirectInverse, BilliardShot(), 16)
    joint = ReparameterizedInverse
    steps = {"n_iterations": 5 if small else 150}
    yield lambda: inverse_call(
        "ReparameterizedInverse, billiards", joint, BilliardShot(), 16, **steps
    )
    yield lambda: inverse_call(
        "ReparameterizedInverse, KS", joint, ks, max(16 // share, 2), **steps
    )
    dense = MultiStartBFGS(256, random_state=0, n_rounds=1 if small else 20)
    yield lambda: search_call("BFGS, 256 starts", dense, 1000 // share, max_epochs=2)
    if not small:
        yield lambda: fit_call(
            1_000_000,
            n_members=32,
            hidden_layer_sizes=(512, 512),
            dtype="tf32",
            batch_size=4096,
            max_epochs=1,
            devices=("cuda",),
        )


def seconds_of(function: Callable[[], str]) -> tuple[float, str]:
    """Return the seconds of a call, and what it returns."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    where = function()
    return time.perf_counter() - start, where


def measure(call: Call, devices: tuple[str, ...]) -> dict[str, Any]:
    """Time a call on each device: the better of two where it is quick."""
    row: dict[str, Any] = {"call": call.name}
    for device in devices:
        if device not in call.devices:
            continue
        function = call.make(device)
        seconds, where = seconds_of(function)
        if seconds < 3.0:
            seconds = min(seconds, seconds_of(function)[0])
        row[device] = round(seconds, 3)
        if device == "auto":
            row["chosen"] = where
    for device in ("cuda", "auto"):
        if device in row and "cpu" in row:
            row[f"{device}_gain"] = round(row["cpu"] / row[device], 2)
    return row


def matmul_rate(dtype: torch.dtype, device: str, size: int) -> float:
    """Return the TFLOP/s of a large product of random matrices."""
    a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    seconds = per_call(lambda: a @ b, device)
    return 2 * size**3 / seconds / 1e12


def per_call(function: Callable[[], Any], device: str, n_calls: int = 20) -> float:
    """Return the seconds of a call among many, without waiting between them."""
    for _ in range(3):
        function()
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(n_calls):
        function()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / n_calls


def step_row(
    n_members: int, batch: int, dtype: str, device: str, rates: dict[str, float], n_steps: int = 50
) -> dict[str, Any]:
    """Time the training step of stacked networks: two layers of 128, 128 features, 10 inputs."""
    from sklearn_proxyopt._utils._torch_modes import matrix_precision
    from sklearn_proxyopt.proxies._building import Builder
    from sklearn_proxyopt.proxies._device import resolve_dtype
    from sklearn_proxyopt.proxies._draws import Draws
    from sklearn_proxyopt.proxies._net import RateSchedule, build_net
    from sklearn_proxyopt.proxies._recipe import Features
    from sklearn_proxyopt.proxies._static_steps import StaticSteps

    own = resolve_dtype(dtype)
    rows, targets = torch.rand(2 * batch, 10).double(), torch.randn(2 * batch, 1).double()
    index = torch.arange(2 * batch)[None]
    data = TrainingData(rows, targets, torch.ones(2 * batch).double(), index, index[0, :0])
    place = torch.device(device)
    draws = Draws.of(0, place)
    builder = Builder((128, 128), "silu", 128, True, None, 1, batch, 5e-3, own, place, draws)
    ensemble = builder.ensemble(data, Features("random", 4.0), n_members)
    net = build_net(ensemble, own, device).initialize()
    training, held_out = member_rows(data, targets[None], own, device, draws.steps)
    rates_of_steps = RateSchedule("constant", 10).rates(1e-3)
    with matrix_precision(dtype):
        steps = StaticSteps(net, training, held_out, batch, rates_of_steps)

        def epoch() -> None:
            steps._step.zero_()
            steps._place.zero_()
            steps._full()

        seconds = min(per_call(epoch, device, n_steps) for _ in range(2))
    n_weights = sum(parameter.numel() for parameter in net.module_.parameters()) / n_members
    tflops = 6 * n_members * batch * n_weights / seconds / 1e12
    return {
        "members": n_members,
        "batch": batch,
        "dtype": dtype,
        "microseconds": round(1e6 * seconds),
        "tflops": round(tflops, 3),
        "share": round(100 * tflops / rates["float64" if dtype == "float64" else "float32"], 1),
    }


def precision_row(problem: Any, dtype: str, device: str, n_rows: int) -> dict[str, Any]:
    """Fit a proxy in some precision and say how good its minimum is."""
    X = SobolSampler(n_rows, random_state=0).sample(problem.bounds)
    X_new = UniformSampler(2000, random_state=1).sample(problem.bounds)
    proxy = NeuralProxyRegressor(device=device, dtype=dtype, random_state=0)
    seconds, _ = seconds_of(lambda: str(proxy.fit(X, problem(X))))
    error = np.sqrt(np.mean((proxy.predict(X_new) - problem(X_new)) ** 2)) / problem(X_new).std()
    found = MultiStartBFGS(random_state=0).minimize(RegressorFunction(proxy), problem.bounds)
    return {
        "problem": f"{type(problem).__name__} in {problem.n_dims}",
        "dtype": dtype,
        "seconds": round(seconds, 2),
        "error": f"{error:.3g}",
        "regret": f"{float(problem(found.x[None])[0]) - problem.f_opt:.3g}",
    }


def write_table(rows: list[dict[str, Any]], headers: dict[str, str], output: Path) -> None:
    """Write a table under the names that readers see."""
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(headers.values())
        writer.writerows([[row.get(name, "") for name in headers] for row in rows])


def card() -> str:
    """Return the name of the GPU, or say that there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


class Clock:
    """The seconds that are left."""

    def __init__(self, seconds: float) -> None:
        self._end = time.perf_counter() + seconds

    def allows(self, seconds: float) -> bool:
        """Tell whether so many seconds are left."""
        return self._end - time.perf_counter() >= seconds


def main() -> None:
    """Time each call, print it and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=430.0)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the command")
    parser.add_argument("--output", type=Path, default=Path("docs/results/gpu"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    clock, output = Clock(options.seconds), options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    devices = ("cuda", "cpu", "auto") if torch.cuda.is_available() else ("cpu", "auto")
    (output / "card.txt").write_text(f"{card()}, torch {torch.__version__}\n")
    print(card(), torch.__version__, flush=True)
    if torch.cuda.is_available():
        # What the first calls of a process set up is no part of any.
        fit_call(2000, max_epochs=2, n_members=2).make("cuda")()

    time_steps(devices[0], output, clock, options.small)
    rows: list[dict[str, Any]] = []
    for number, make in enumerate(calls(options.small)):
        if number == _N_FIRST:
            compare_precisions(devices[0], output, clock, options.small)
        if not clock.allows(5.0 if options.small else 25.0):
            print("out of time; the rows that follow are left out")
            break
        call = make()
        try:
            rows.append(measure(call, devices))
        except (RuntimeError, MemoryError) as error:
            print(f"{call.name}: {error}", flush=True)
            continue
        print(rows[-1], flush=True)
        write_table(rows, HEADERS, output / "calls.csv")


def time_steps(device: str, output: Path, clock: Clock, small: bool) -> None:
    """Time training steps of several sizes."""
    size = 64 if small else 8192
    rates = {
        name: matmul_rate(getattr(torch, name), device, size) for name in ("float32", "float64")
    }
    print({name: round(rate, 1) for name, rate in rates.items()}, flush=True)
    sizes = [
        (10, 512),
        (10, 4096),
        (10, 16_384),
        (1, 64),
        (1, 512),
        (10, 64),
        (32, 512),
        (10, 1024),
    ]
    sizes = [(2, 16)] if small else sizes
    rows = []
    for dtype in ("float32", "tf32", "float64"):
        for n_members, batch in sizes:
            if clock.allows(20.0):
                n_steps = 2 if small else 50
                rows.append(step_row(n_members, batch, dtype, device, rates, n_steps))
                print(rows[-1], flush=True)
                write_table(rows, STEP_HEADERS, output / "steps.csv")


def compare_precisions(device: str, output: Path, clock: Clock, small: bool) -> None:
    """Compare the minima of proxies trained in each precision."""
    rows = []
    problems = [Ackley(2)] if small else [Ackley(10), Levy(6), Rastrigin(4)]
    for problem in problems:
        for dtype in ("float64", "float32", "tf32"):
            if clock.allows(10.0):
                rows.append(precision_row(problem, dtype, device, 100 if small else 10_000))
                print(rows[-1], flush=True)
                write_table(rows, PRECISION_HEADERS, output / "precision.csv")


if __name__ == "__main__":
    main()
