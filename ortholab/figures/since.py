"""Figures of the experiments on what came after the deck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ortholab import plot
from ortholab.figures.caption import captioned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.experiments.critical_start import CriticalStartResult
    from ortholab.experiments.results import Results


KERNEL_LINES = {"delta-orthogonal": "orthogonal", "reshaped orthogonal": "extra", "gaussian": "gaussian"}


def convolutions(results: Results) -> Figure:
    """Draw test accuracy at the end against depth: each law of the kernels, mean and 95 % t interval over seeds."""
    fig, ax = plot.subplots(height=3.8)
    accuracy_against_depth(ax, results)
    return captioned(fig, results)


def accuracy_against_depth(ax: Axes, results: Results) -> None:
    """Draw the final test accuracy of plain convolutional networks against depth, on the given axes."""
    from ortholab.experiments.estimate import half_width

    depths = sorted({unit["depth"] for unit in results.units})
    for shift, (kernels, hue) in zip((0.96, 1.0, 1.04), KERNEL_LINES.items(), strict=True):
        found = np.array([results.where(kernels=kernels, depth=d).values("final_accuracy") for d in depths])
        half = half_width(found) if found.shape[1] > 1 else None
        name = kernels.replace("gaussian", "Gaussian")
        plot.simulation(ax, shift * np.array(depths), found.mean(1), half, color=hue, label=name)
    ax.set(xscale="log", ylim=(0, 1), xlabel="depth $L$", ylabel="test accuracy")
    ax.set_xticks(depths, depths)
    ax.minorticks_off()


def critical_start(results: Results) -> Figure:
    """Draw test accuracy against steps from torch's start and from the critical one; a panel for each activation."""
    from ortholab.experiments.critical_start import CriticalStartResult

    found = CriticalStartResult.of(results)
    fig, axes = plot.subplots(3, 3, height=5.6, sharex=True, sharey=True, squeeze=False)
    for ax in axes.ravel()[len(found.activations) :]:
        ax.set_axis_off()
    start_panels(axes.ravel(), found)
    return captioned(fig, results)


def start_panels(axes: Sequence[Axes], result: CriticalStartResult) -> None:
    """Draw a panel for each activation: a line a run, both starts."""
    for ax, name in zip(axes, result.activations, strict=False):
        for begin, hue in (("torch", "gaussian"), ("critical", "orthogonal")):
            steps, rows = result.curves(name, begin)
            for row in rows:
                plot.theory(ax, steps, row, color=hue, lw=1.1)
            if not len(rows):
                ax.text(0.5, 0.5, "diverged", transform=ax.transAxes, ha="center", color=plot.colour(hue))
        ax.set(title=name.replace("_", "-"), ylim=(0, 1))
