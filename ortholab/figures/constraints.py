"""Figures of the experiments on constraints, penalties and margins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ortholab import plot
from ortholab.figures.caption import captioned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.experiments.margin_result import MarginResult
    from ortholab.experiments.results import Results
    from ortholab.experiments.soft_result import SoftResult


def atlas(results: Results) -> Figure:
    """Draw accuracy at the end against the distance to the Stiefel manifold, each way at its best step size."""
    from ortholab.experiments.atlas_result import AtlasResult

    return _ways(AtlasResult.of(results), results)


def geometry(results: Results) -> Figure:
    """Draw accuracy against distance for the experiment on geometry, as :func:`atlas` does."""
    from ortholab.experiments import geometry_result

    return _ways(geometry_result.of(results), results)


def _ways(found, results: Results) -> Figure:
    fig, ax = plot.subplots(height=4.2)
    for way in found.ways:
        x, y = np.log10(np.maximum(found.last(way, "distance"), 1e-9)).mean(), found.last(way, "accuracy").mean()
        ax.plot(x, y, "o", color=plot.colour("data"))
        ax.annotate(way, (x, y), textcoords="offset points", xytext=(5, 0), va="center", fontsize=7)
    ax.set(xlabel="log10 distance to the manifold", ylabel="test accuracy")
    return captioned(fig, results)


PENALTY_LINES = {
    "none": ("muted", "-"), "so": ("orthogonal", "-"), "dso": ("orthogonal", "--"), "mc": ("gaussian", "-"),
    "srip": ("extra", "-"), "so bansal": ("orthogonal", ":"),
}  # fmt: skip


def penalty_curves(ax: Axes, result: SoftResult, name: str = "accuracy") -> None:
    """Draw a metric against epochs: each configuration's mean over seeds, and the range of the seeds as a band."""
    for label in result.labels:
        hue, style = PENALTY_LINES.get(label, ("ink", "-"))
        epochs, values = result.curve(label, name)
        if len(values) > 1:
            ax.fill_between(epochs, values.min(0), values.max(0), color=plot.colour(hue), alpha=0.15, lw=0)
        plot.theory(ax, epochs, values.mean(0), color=hue, linestyle=style, linewidth=1.4)
    ax.set(xlabel="epoch")


def soft_constraints(results: Results) -> Figure:
    """Draw validation accuracy and the mean distance of the Gram matrices from I against epochs, for each penalty."""
    from ortholab.experiments.soft_result import SoftResult

    found = SoftResult.of(results)
    fig, (left, right) = plot.subplots(ncols=2, height=3.6)
    penalty_curves(left, found)
    penalty_curves(right, found, "so")
    left.set(ylabel="validation accuracy")
    right.set(ylabel=r"mean $|E|_F$ of the kernels", yscale="log")
    for label in found.labels:
        epochs, values = found.curve(label, "so")  # the accuracies end too close to each other to be named there
        plot.direct_label(right, epochs[-1], values[:, -1].mean(), label, PENALTY_LINES.get(label, ("ink",))[0])
    return captioned(fig, results)


def margin_line(configuration: str) -> dict[str, object]:
    """Return colour (by name) and line of a configuration of Figure 5: thicker for a wider margin, dashed for RMSprop.

    >>> margin_line("margin 0"), margin_line("glorot")["color"]
    ({'color': 'orthogonal', 'linestyle': '-', 'lw': 0.8}, 'gaussian')
    """
    if "linear" in configuration or "gain" in configuration:
        return {"color": "accent" if "linear" in configuration else "relu", "linestyle": "-", "lw": 1.4}
    if configuration in ("none", "glorot", "identity"):
        hue = {"none": "extra", "glorot": "gaussian", "identity": "data"}[configuration]
        return {"color": hue, "linestyle": "--" if configuration == "glorot" else "-", "lw": 1.6}
    margin = float(configuration.split()[1])
    width = 0.8 + 0.5 * (0, 0.001, 0.01, 0.1, 1).index(margin)
    return {"color": "orthogonal", "linestyle": "--" if "rmsprop" in configuration else "-", "lw": width}


def cost_curves(ax: Axes, result: MarginResult, task: str, configurations: Sequence[str] = ()) -> dict[str, float]:
    """Draw the training cost against updates, the mean over seeds and their range; return each one's last mean."""
    last = {}
    for name in configurations or result.configurations:
        steps, costs = result.curve(name, task)
        line = margin_line(name)
        plot.theory(ax, steps, costs.mean(axis=0), **line)
        ax.lines[-1].set_label(name)
        if len(costs) > 1:
            ax.fill_between(steps, costs.min(0), costs.max(0), color=plot.colour(line["color"]), alpha=0.12, lw=0)
        last[name] = float(costs[:, -1].mean())
    ax.set(xlabel="updates", ylabel="cost")
    return last


def spectral_margin(results: Results) -> Figure:
    """Draw the training cost against updates for every configuration; a panel for each task."""
    from ortholab.experiments.margin_result import MarginResult

    found = MarginResult.of(results)
    fig, axes = plot.subplots(1, len(found.tasks), height=4.2, squeeze=False, sharey=True)
    for task, ax in zip(found.tasks, axes[0], strict=True):
        cost_curves(ax, found, task)
        ax.set(title=task)
    fig.legend(handles=axes[0][0].get_lines(), loc="outside right center", fontsize=8)
    return captioned(fig, results)
