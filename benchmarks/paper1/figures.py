"""The paper's Figures 2 and 3: true contours, those of proxies, and where the searches end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from paper1.cells import Cell
from paper1.protocols import PROTOCOLS
from paper1.shelf import Shelf

__all__ = ["draw_decomposition", "draw_landscapes", "side_by_side"]

_ROWS = ("dense", "sparse")
_MARKERS = {"pso": "^", "ga": "o"}
_NAMES = {"pso": "PSO", "ga": "GA"}
_N_GRID = 200
# One for each band between quantiles of the true values, and one below and above.
_GREYS = [str(grey) for grey in np.linspace(0.2, 1.0, 16)]


def draw_landscapes(function: str, cache: Path, path: Path) -> None:
    """Draw a function of two variables and the published proxies of it, dense above sparse.

    The network of each cell that fits best is shown, with the ends of all runs on it.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, 3, figsize=(11, 7.6), sharex=True, sharey=True, layout="constrained"
    )
    truth = _records(Cell("paper", 2, function, "ground_truth"), cache)
    for row, sampling in zip(axes, _ROWS, strict=True):
        cell = Cell("paper", 2, function, sampling)
        problem, records = cell.problem(), _records(cell, cache)
        # As in the paper's pictures: around the optimum of a rugged function, else the whole box.
        half_width = 2.048 if function == "rosenbrock" else 2.0
        axis = np.linspace(-half_width, half_width, _N_GRID)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        true_values = problem(grid)
        design = max(records, key=lambda record: record["fidelity"])["design"]
        proxy = PROTOCOLS["paper"].make_proxy(cell, design)
        X = cell.sampler(design).sample(problem.bounds)
        fitted = Shelf(cache / "shelf").find(proxy, X, problem(X))
        values = fitted.predict(grid)
        levels = np.quantile(true_values, np.linspace(0.0, 0.98, 15))
        own = {name: _ends(records, name, design) for name in _MARKERS}
        panels = [
            (true_values, "true function", {name: _ends(truth, name, 0) for name in _MARKERS}),
            (values, f"proxy, {sampling}: PSO", {"pso": own["pso"]}),
            (values, f"proxy, {sampling}: GA", {"ga": own["ga"]}),
        ]
        for ax, (shown, title, ends) in zip(row, panels, strict=True):
            _draw_panel(ax, axis, shown, levels, ends, problem.x_opt[0])
            ax.set_title(title)
    for ax in axes[-1]:
        ax.set_xlabel("$x_1$")
    for ax in axes[:, 0]:
        ax.set_ylabel("$x_2$")
    handles = {}
    for ax in axes.flat:
        handles.update(dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_decomposition(frame: pd.DataFrame, path: Path) -> None:
    """Draw, for each corrected cell, where the error and its spread come from."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, 4, figsize=(12, 7.5), sharey=True, layout="constrained", width_ratios=[1, 1, 0.8, 0.8]
    )
    parts = {
        "error": {"proxy_error": ("o", "black"), "search_error": ("^", "#e69f00")},
        "spread": {
            "design_percent": ("design", "#0072b2", "//"),
            "training_percent": ("training", "#bbbbbb", ""),
            "search_percent": ("search", "#e69f00", ".."),
        },
    }
    for index, (optimizer, name) in enumerate(_NAMES.items()):
        mine = frame[frame["optimizer"] == optimizer]
        places = np.arange(len(mine))[::-1]
        ax, bars = axes[index], axes[2 + index]
        for column, (marker, color) in parts["error"].items():
            label = column.replace("_", " ")
            ax.plot(mine[column].clip(lower=1e-3), places, marker, color=color, label=label)
        ax.set(xscale="log", xlim=(7e-4, 30), title=f"{name}: error", xlabel="distance")
        ax.grid(alpha=0.3)
        left = np.zeros(len(mine))
        for column, (label, color, hatch) in parts["spread"].items():
            share = mine[column].to_numpy()
            bars.barh(
                places, share, left=left, color=color, hatch=hatch, edgecolor="black", label=label
            )
            left += share
        bars.set(title=f"{name}: variance", xlabel="percent", xlim=(0, 100))
        names = mine["dim"].astype(str) + "D " + mine["function"] + ", " + mine["sampling"]
        axes[0].set_yticks(places, names)
    axes[0].legend(loc="upper left", fontsize="small", ncols=2, borderpad=0.2)
    handles, labels = axes[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw_panel(
    ax: Axes,
    axis: NDArray[np.float64],
    values: NDArray[np.float64],
    levels: NDArray[np.float64],
    ends: dict[str, NDArray[np.float64]],
    optimum: NDArray[np.float64],
) -> None:
    shape = (len(axis), len(axis))
    ax.plot(
        *optimum,
        "*",
        markersize=18,
        markerfacecolor="white",
        markeredgecolor="black",
        linestyle="none",
        label="true optimum",
    )
    ax.contourf(axis, axis, values.reshape(shape), levels, colors=_GREYS, extend="both")
    for name, points in ends.items():
        ax.plot(
            *points.T,
            _MARKERS[name],
            markerfacecolor="#e69f00" if name == "pso" else "#56b4e9",
            markeredgecolor="black",
            markersize=6,
            linestyle="none",
            label=f"ends of {_NAMES[name]}",
        )
    ax.set(xlim=axis[[0, -1]], ylim=axis[[0, -1]], aspect="equal")


def _records(cell: Cell, cache: Path) -> list[dict[str, Any]]:
    return json.loads((cache / "cells" / f"{cell.name}.json").read_text())


def _ends(records: list[dict[str, Any]], optimizer: str, design: int) -> NDArray[np.float64]:
    """Return the ends of all runs on the network of a design."""
    mine = [r for r in records if (r["optimizer"], r["design"]) == (optimizer, design)]
    return np.array(mine[0]["ends"])


def side_by_side(compared: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison of one of the paper's tables as a reader sees it."""
    shown = pd.DataFrame(
        {
            "function": compared["function"],
            "design": compared["sampling"].str.replace("_", " "),
            "search": compared["optimizer"].map(_NAMES),
            "paper": compared["paper"].map("{:.2f}".format),
            "its code": [
                "" if pd.isna(mean) else f"{mean:.2f} ({low:.2f} to {high:.2f})"
                for mean, low, high in zip(
                    compared["code"], compared["code_low"], compared["code_high"], strict=True
                )
            ],
        }
    )
    for name, title, form in (
        ("corrected", "corrected", "{:.2f}"),
        ("alone", "default proxy", "{:.4f}"),
        ("descended", "and descent", "{:.4f}"),
        ("proxyopt", "and walk", "{:.4f}"),
        ("refined", "refined", "{:.1e}"),
    ):
        shown[title] = ["" if pd.isna(value) else form.format(value) for value in compared[name]]
    return shown
