"""Figures of the audit: gains, penalties and what they do to the spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortholab import plot
from ortholab.figures.caption import captioned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.experiments.gain_result import Comparison, GainResult
    from ortholab.experiments.results import Results


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
