"""Figures of stored results, as ``ortholab show NAME --figure FILE`` writes them; the book's pages draw richer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ortholab import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ortholab.experiments.results import Results


def _captioned(fig: Figure, results: Results) -> Figure:
    """Put the provenance below the figure: a picture that is passed on says where it comes from."""
    words = results.provenance.split("; ")
    fig.supxlabel("; ".join(words[:2]) + "\n" + "; ".join(words[2:]), fontsize=6)
    return fig


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
    return _captioned(fig, results)


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
    return _captioned(fig, results)


_HUES = {"tanh1.05-orthogonal": "orthogonal", "tanh1.05-gaussian": "gaussian", "relu": "relu", "tanh2": "extra"}


def deep_nets(results: Results) -> Figure:
    """Draw test accuracy against steps, a line a run; a panel for each optimiser. Dashed: Gaussian tanh 2 and ReLU."""
    optimisers = list(dict.fromkeys(unit["optimiser"] for unit in results.units))
    columns = min(2, len(optimisers))
    fig, axes = plot.subplots(
        -(-len(optimisers) // columns), columns, height=None if columns > 1 else 3.8, squeeze=False
    )
    for optimiser, ax in zip(optimisers, axes.ravel(), strict=False):
        chosen, named = results.where(optimiser=optimiser), set()
        for unit, found in zip(chosen.units, chosen.metrics, strict=True):
            network, label = unit["network"], None
            hue = next(hue for name, hue in _HUES.items() if network.startswith(name))
            line = {"linestyle": "--" if network.endswith("gaussian") and network not in _HUES else "-"}
            if network not in named:
                named.add(network)
                label = network
            plot.theory(ax, np.maximum(found["steps"], 1), found["accuracy"], color=hue, label=label, **line)
        ax.set(xscale="log", xlabel="steps", ylabel="test accuracy", title=optimiser)
    return _captioned(fig, results)
