"""The tables and pictures of `landscapes.py`, from what its cache holds."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

METHODS = ("bfgs", "gradient_descent", "proxy", "smoothed_proxy", "two_step", "graduated")
COLUMNS = (
    "problem",
    "method",
    "noise",
    "success_percent",
    "drift",
    "resimulation_error",
    "n_starts",
)

Rows = dict[tuple[str, Any], list[dict[str, Any]]]


def write(cache: Path, output: Path, experiments: tuple[str, ...]) -> None:
    """Write all tables and pictures."""
    output.mkdir(parents=True, exist_ok=True)
    cells = {}
    for name in experiments:
        paths = sorted((cache / name).glob("*.json"))
        if paths:
            cells[name] = [json.loads(path.read_text()) for path in paths]
    groups = {name: _grouped(own) for name, own in cells.items()}
    _write_summary(output / "summary.csv", cells, groups)
    _write_comparison(output / "comparison.csv", groups)
    _write_levels(output / "levels.csv", cells)
    _draw_sweep(output / "sweep.png", groups)
    for name in ("regularizers", "fine"):
        paths = sorted((cache / name).glob("*.json"))
        if paths:
            own = [json.loads(path.read_text()) for path in paths]
            _write_follow_up(output / f"{name}.csv", own)


def _grouped(cells: list[dict[str, Any]]) -> Rows:
    rows: Rows = defaultdict(list)
    for cell in cells:
        for entry in cell["entries"]:
            noise = None if entry["method"] == "auto" else entry["noise"]
            rows[entry["method"], noise].append(entry)
    return rows


def _mean(entries: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([entry[key] for entry in entries]))


def _write(path: Path, lines: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def _write_summary(path: Path, cells: dict[str, Any], groups: dict[str, Rows]) -> None:
    lines: list[tuple[Any, ...]] = [COLUMNS]
    for name, rows in groups.items():
        n_starts = sum(cell["n_starts"] for cell in cells[name])
        for method in METHODS:
            for (other, noise), entries in rows.items():
                if other != method:
                    continue
                drifts = [entry["drift"] for entry in entries if entry["drift"] is not None]
                lines.append(
                    (
                        name,
                        method,
                        "" if noise is None else noise,
                        f"{_mean(entries, 'success'):.1f}",
                        f"{np.mean(drifts):.4f}" if drifts else "",
                        f"{_mean(entries, 'error'):.3g}",
                        n_starts,
                    )
                )
    _write(path, lines)


def best_level(rows: Rows, method: str) -> float:
    """Return the noise with which most starts of a method succeed."""
    noises = [noise for other, noise in rows if other == method and noise]
    return max(noises, key=lambda noise: _mean(rows[method, noise], "success"))


def _write_comparison(path: Path, groups: dict[str, Rows]) -> None:
    """Write the success of each method at its best level, and the errors beside it."""
    success: list[tuple[Any, ...]] = [
        (
            "problem",
            "seeds",
            "gradient descent",
            "BFGS",
            "plain proxy, then BFGS",
            "two-step (noise)",
            "times BFGS",
            "graduated (noise)",
            "auto",
            "auto / best fixed",
        )
    ]
    errors: list[tuple[Any, ...]] = [
        (
            "problem",
            "BFGS",
            "two-step",
            "graduated",
            "auto",
            "best start: BFGS",
            "best start: two-step",
            "best start: graduated",
            "best start: auto",
        )
    ]
    for name, rows in groups.items():
        two_step, graduated = (best_level(rows, method) for method in ("two_step", "graduated"))
        bfgs, auto = rows["bfgs", None], rows["auto", None]
        steps, walks = rows["two_step", two_step], rows["graduated", graduated]
        fixed = max(_mean(steps, "success"), _mean(walks, "success"))
        title = name.replace("_", " ")
        success.append(
            (
                title,
                len(bfgs),
                _with_spread(rows["gradient_descent", None]),
                _with_spread(bfgs),
                _with_spread(rows["two_step", 0.0]),
                f"{_with_spread(steps)} ({two_step:g})",
                f"{_mean(steps, 'success') / max(_mean(bfgs, 'success'), 1e-9):.2f}",
                f"{_with_spread(walks)} ({graduated:g})",
                _with_spread(auto),
                f"{_mean(auto, 'success') / max(fixed, 1e-9):.2f}",
            )
        )
        parts = (bfgs, steps, walks, auto)
        errors.append(
            (
                title,
                *(f"{_mean(part, 'error'):.1g}" for part in parts),
                *(f"{_mean(part, 'best_error'):.1g}" for part in parts),
            )
        )
    _write(path, success)
    _write(path.with_name("errors.csv"), errors)


def _with_spread(entries: list[dict[str, Any]]) -> str:
    values = [entry["success"] for entry in entries]
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{np.mean(values):.0f} [{min(values):.0f}, {max(values):.0f}]"


def _write_levels(path: Path, cells: dict[str, Any]) -> None:
    """Write what "auto" measured, and what it chose."""
    lines: list[tuple[Any, ...]] = [("problem", "noise", "basins", "drift", "walked in seeds")]
    for name, own in cells.items():
        reports = [cell["report"] for cell in own]
        for index, noise in enumerate(reports[0]["noise"]):
            basins, drift, used = (
                [report[key][index] for report in reports] for key in ("basins", "drift", "used")
            )
            lines.append(
                (
                    name.replace("_", " "),
                    f"{noise:g}",
                    f"{np.mean(basins):.1f}",
                    f"{np.mean(drift):.3f}",
                    f"{int(sum(used))} of {len(used)}",
                )
            )
    _write(path, lines)


def _write_follow_up(path: Path, cells: list[dict[str, Any]]) -> None:
    """Write one row for each dial and setting, the mean over seeds."""
    lines: list[tuple[Any, ...]] = [
        ("dial", "setting", "basins", "drift", "two-step %", "lowest, highest", "seeds")
    ]
    for index, entry in enumerate(cells[0]["entries"]):
        same = [cell["entries"][index] for cell in cells]
        success = [one["success"] for one in same]
        lines.append(
            (
                entry["dial"],
                f"{entry['setting']:.3g}",
                f"{_mean(same, 'basins'):.1f}",
                f"{_mean(same, 'drift'):.3f}",
                f"{np.mean(success):.0f}",
                f"{min(success):.0f}, {max(success):.0f}",
                len(same),
            )
        )
    _write(path, lines)


def _draw_sweep(path: Path, groups: dict[str, Rows]) -> None:
    """Draw success and drift against the noise, a column for each problem."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    n_columns = 4
    n_bands = -(-len(groups) // n_columns)
    figure, axes = plt.subplots(
        2 * n_bands,
        n_columns,
        figsize=(11, 4.4 * n_bands),
        height_ratios=[2, 1] * n_bands,
        layout="constrained",
        squeeze=False,
    )
    for place in range(n_columns * n_bands):
        band, column = divmod(place, n_columns)
        top, bottom = axes[2 * band, column], axes[2 * band + 1, column]
        if place >= len(groups):
            top.axis("off")
            bottom.axis("off")
            continue
        name, rows = list(groups.items())[place]
        noises = sorted({noise for method, noise in rows if method == "two_step"})
        ticks = np.arange(len(noises))
        top.axhline(_mean(rows["bfgs", None], "success"), color="0.45", ls=":", label="BFGS")
        top.axhline(_mean(rows["auto", None], "success"), color="0.2", ls="-", lw=0.8, label="auto")
        for method, style, color in (
            ("two_step", "o-", "#0072B2"),
            ("graduated", "s--", "#E69F00"),
        ):
            known = [index for index, noise in enumerate(noises) if (method, noise) in rows]
            values = [_mean(rows[method, noises[index]], "success") for index in known]
            top.plot(known, values, style, color=color, ms=4, label=method.replace("_", "-"))
            low, high = (
                [fold([e["success"] for e in rows[method, noises[index]]]) for index in known]
                for fold in (min, max)
            )
            top.fill_between(known, low, high, color=color, alpha=0.15, lw=0)
        drift = [
            _mean(rows["smoothed_proxy" if noise else "proxy", noise], "drift") for noise in noises
        ]
        bottom.plot(ticks, drift, "^-", color="#009E73", ms=4)
        top.set(title=name.replace("_", " "), ylim=(-4, 104), xticks=ticks, xticklabels=[])
        bottom.set(xticks=ticks, xlabel="noise", ylim=(0, None))
        bottom.set_xticklabels([f"{noise:g}".replace("0.", ".") for noise in noises], fontsize=8)
        if column == 0:
            top.set_ylabel("starts that succeed, %")
            bottom.set_ylabel("drift")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)
