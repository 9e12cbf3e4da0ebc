"""Figures of stored results, as ``ortholab show NAME --figure FILE`` writes them; the book's pages draw richer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ortholab import plot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.experiments.critical_start import CriticalStartResult
    from ortholab.experiments.deep_result import DeepNetsResult
    from ortholab.experiments.gain_result import Comparison, GainResult
    from ortholab.experiments.margin_result import MarginResult
    from ortholab.experiments.results import Results
    from ortholab.experiments.soft_result import SoftResult


def captioned(fig: Figure, results: Results) -> Figure:
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
    return captioned(fig, results)


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


GAIN_LINES = {
    "adjusted": ("orthogonal", "-"), "plain": ("extra", "--"), "none": ("muted", "-"), "hard": ("ink", ":"),
    "glorot": ("gaussian", "-"),
}  # fmt: skip


def gain_line(row: tuple) -> tuple[str, str]:
    """Return colour (by name) and line of a configuration (treatment, target, weight, gain) of the audit.

    >>> gain_line(("sum", "plain", 0.01, 1.1)), gain_line(("hard", "", 0.0, 1.0))
    (('extra', '--'), ('ink', ':'))
    """
    return GAIN_LINES[row[1] or row[0]]


def gain_curves(ax: Axes, result: GainResult, rows: Sequence[tuple], name: str = "score") -> None:
    """Draw a metric of the audit against epochs: each configuration's mean over seeds, and the seeds' range."""
    for row in rows:
        hue, style = gain_line(row)
        epochs, values = result.curve(row, name)
        if len(values) > 1:
            ax.fill_between(epochs, values.min(0), values.max(0), color=plot.colour(hue), alpha=0.15, lw=0)
        plot.theory(ax, epochs, values.mean(0), color=hue, linestyle=style, linewidth=1.4)
    ax.set(xlabel="epoch")


def gain_spectrum(ax: Axes, result: GainResult, rows: Sequence[tuple]) -> None:
    """Draw the mean of the singular values of W against epochs, with their standard deviation as a band."""
    for row in rows:
        hue, style = gain_line(row)
        epochs, mean = result.curve(row, "s_mean")
        mean, std = mean.mean(0), result.curve(row, "s_std")[1].mean(0)
        ax.fill_between(epochs, mean - std, mean + std, color=plot.colour(hue), alpha=0.12, lw=0)
        plot.theory(ax, epochs, mean, color=hue, linestyle=style, linewidth=1.4)
    ax.set(xlabel="epoch")


def forest(ax: Axes, comparisons: Mapping[str, Comparison], factor: float = 100) -> None:
    """Draw paired differences times ``factor`` with their 95 % intervals, one a line; filled where one was found."""
    for k, c in enumerate(comparisons.values()):
        hue = plot.colour("orthogonal" if c.found else "muted")
        low, value, high = (factor * v for v in (c.difference.low, c.difference.value, c.difference.high))
        ax.plot([low, high], [k, k], color=hue, lw=1.6)
        ax.plot([value], [k], "o", color=hue, mfc=hue if c.found else plot.colour("paper"), ms=6)
    ax.axvline(0, color=plot.colour("ink"), lw=0.8)
    ax.set_yticks(range(len(comparisons)), list(comparisons))
    ax.set_ylim(len(comparisons) - 0.5, -0.5)


def gain(results: Results) -> Figure:
    """Draw the score and the singular values of the audit's configurations against epochs."""
    from ortholab.experiments.gain_result import GainResult

    found = GainResult.of(results)
    fig, (left, right) = plot.subplots(ncols=2, height=3.6)
    gain_curves(left, found, found.rows)
    gain_spectrum(right, found, found.rows)
    left.set(ylabel="score on validation data")
    right.set(ylabel="singular values of W, mean and std")
    return captioned(fig, results)


def critical_start(results: Results) -> Figure:
    """Draw test accuracy against steps from torch's start and from the critical one; a panel for each activation."""
    from ortholab.experiments.critical_start import CriticalStartResult

    found = CriticalStartResult.of(results)
    fig, axes = plot.subplots(2, 4, height=4.4, sharex=True, sharey=True, squeeze=False)
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
        ax.set(title=name.replace("_", "-"), ylim=(0, 1))
