"""Figures of the experiments on depth: trainability, learning time, networks of 200 layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ortholab import plot
from ortholab.figures.caption import captioned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.experiments.deep_result import DeepNetsResult
    from ortholab.experiments.results import Results


def trainability(results: Results) -> Figure:
    """Draw training accuracy over sigma_w and depth, the mean over seeds."""
    fig, ax = plot.subplots(height=3.8)
    depth, sigma_w = np.array([unit["depth"] for unit in results.units]), results.values("sigma_w")[0]
    depths, accuracy = np.unique(depth), results.values("accuracy")
    columns, mean = np.arange(len(sigma_w)), [accuracy[depth == d].mean(axis=0) for d in depths]
    plot.heat(ax, columns, np.arange(len(depths)), mean, label="training accuracy", vmin=0, vmax=1)
    ax.set_xticks(columns, [f"{s**2:.3g}" for s in sigma_w])
    ax.set_yticks(np.arange(len(depths)), [str(d) for d in depths])
    ax.set(xlabel=r"$\sigma_w^2$", ylabel="depth $L$")
    return captioned(fig, results)


def linear_depth(results: Results) -> Figure:
    """Draw epochs to the threshold against depth: each start's geometric mean and range over seeds."""
    fig, ax = plot.subplots(height=3.8)
    looks = (("gaussian", "gaussian", 1.0), ("orthogonal", "orthogonal", 0.96), ("pretrained", "extra", 1.04))
    for start, hue, shift in looks:  # shifted: two of them lie close
        if all(unit["start"] != start for unit in results.units):
            continue
        chosen = results.where(start=start)
        depth, steps = np.array([unit["depth"] for unit in chosen.units]), chosen.values("steps")
        n = np.unique(depth)
        n = n[[np.isfinite(steps[depth == k]).all() for k in n]]  # where every seed arrived
        if n.size:
            ends = [(steps[depth == k].min(), steps[depth == k].max()) for k in n]
            mean = [np.exp(np.log(steps[depth == k]).mean()) for k in n]
            plot.simulation(ax, shift * n, mean, np.transpose(ends), color=hue, label=start)
    ax.set(xscale="log", yscale="log", xlabel="number of matrices $n$", ylabel="epochs to the threshold")
    return captioned(fig, results)


_HUES = {"tanh1.05-orthogonal": "orthogonal", "tanh1.05-gaussian": "gaussian", "relu": "relu", "tanh2": "extra"}


def network_line(network: str) -> dict[str, str]:
    """Return colour (by name) and line style of a network of Figure 4; dashed is Gaussian.

    >>> network_line("relu-gaussian")
    {'color': 'relu', 'linestyle': '--'}
    """
    hue = next(hue for name, hue in _HUES.items() if network.startswith(name))
    return {"color": hue, "linestyle": "--" if network.endswith("gaussian") else "-"}


def learning_curves(
    ax: Axes, result: DeepNetsResult, threshold: float, optimiser: str = "sgd", name: str = "accuracy"
) -> None:
    """Draw a metric against steps, a line a seed, each network at its best step size; step 0 stands at 1/2."""
    for network in dict.fromkeys(unit.network for unit in result.units if unit.optimiser == optimiser):
        steps, values = result.curve(threshold, network, optimiser, name=name)
        for row in values:
            known = np.isfinite(row)
            x = np.maximum(steps[known], 0.5)
            plot.theory(ax, x, row[known], lw=1.3, **network_line(network))
    ax.set(xscale="log", xlabel="steps")


def deep_nets(results: Results) -> Figure:
    """Draw test accuracy against steps, each network at its best step size; a panel for each optimiser."""
    from ortholab.experiments.deep_result import DeepNetsResult

    found, threshold = DeepNetsResult.of(results), min(0.3, results.manifest["specification"]["stop_at"] or 1)
    optimisers = list(dict.fromkeys(unit.optimiser for unit in found.units))
    columns = min(2, len(optimisers))
    rows = -(-len(optimisers) // columns)
    fig, axes = plot.subplots(rows, columns, height=None if columns > 1 else 3.8, squeeze=False)
    for optimiser, ax in zip(optimisers, axes.ravel(), strict=False):
        learning_curves(ax, found, threshold, optimiser)
        ax.set(ylabel="test accuracy", title=optimiser)
        for network in dict.fromkeys(unit.network for unit in found.units if unit.optimiser == optimiser):
            steps, values = found.curve(threshold, network, optimiser)
            end = np.flatnonzero(np.isfinite(values[0]))[-1]
            plot.direct_label(ax, steps[end], values[0][end], network, network_line(network)["color"])
    return captioned(fig, results)


def deep_nets_depth(results: Results) -> Figure:
    """Draw steps to the accuracy that ended the runs against depth: geometric mean and range over seeds."""
    from ortholab.experiments.deep_result import DeepNetsResult

    found, threshold = DeepNetsResult.of(results), results.manifest["specification"]["stop_at"] or 0.3
    fig, ax = plot.subplots(height=3.8)
    steps_against_depth(ax, found, threshold)
    return captioned(fig, results)


def steps_against_depth(ax: Axes, result: DeepNetsResult, threshold: float) -> None:
    """Draw steps to an accuracy, geometric mean and range over seeds, at the depths where every seed arrived."""
    from ortholab.experiments.deep_result import log_steps

    for network in dict.fromkeys(unit.network for unit in result.units):
        steps = {depth: result.steps_to(threshold, network, depth=depth) for depth in result.depths}
        arrived = [depth for depth, found in steps.items() if np.isfinite(found).all()]
        if arrived:
            logs = [log_steps(steps[depth]) for depth in arrived]
            mean, *ends = np.exp([(x.mean(), x.min(), x.max()) for x in logs]).T
            plot.simulation(ax, arrived, mean, ends, color=network_line(network)["color"], label=network)
    ax.set(xscale="log", yscale="log", xlabel="depth $L$", ylabel=f"steps to accuracy {threshold:g}")
