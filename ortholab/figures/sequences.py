"""Figures of the sequence models of chapter V: scores, and where the eigenvalues are before and after training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortholab import plot
from ortholab.figures.caption import captioned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.experiments.results import Results
    from ortholab.experiments.sequence_models_result import SequenceModelsResult

FAMILIES = {"lru": "ordered", "reflections": "extra", "orthogonal": "orthogonal", "tanh": "orthogonal", "lstm": "muted"}


def model_scores(ax: Axes, result: SequenceModelsResult) -> None:
    """Draw each model's score at the end: a point a seed, and the mean with its 95 % interval; one model a line."""
    for k, model in enumerate(result.models):
        hue, mean = plot.colour(FAMILIES.get(model.split()[0], "gaussian")), result.final(model)
        seeds = [run["score"][-1] for run in result.runs(model).values()]
        ax.plot([mean.low, mean.high] if len(seeds) > 1 else [mean.value] * 2, [k, k], color=hue, lw=1.6)
        ax.plot(seeds, [k] * len(seeds), "|", color=hue, ms=7)
        ax.plot([mean.value], [k], "o", color=hue)
    ax.axvline(1 / 8, color=plot.colour("muted"), lw=0.8)
    ax.set_yticks(range(len(result.models)), result.models)
    ax.set(xlim=(0, 1.02), ylim=(len(result.models) - 0.5, -0.5), xlabel="share of the ten symbols said again")


def sequence_models(results: Results) -> Figure:
    """Draw the scores of the sequence models."""
    from ortholab.experiments.sequence_models_result import SequenceModelsResult

    found = SequenceModelsResult.of(results)
    found = found.where(rate=found.units[0].rate)
    fig, ax = plot.subplots(height=1.2 + 0.28 * len(found.models))
    model_scores(ax, found)
    return captioned(fig, results)


def moduli(ax: Axes, result: SequenceModelsResult, models: tuple[str, ...]) -> None:
    """Draw |lambda| of each model before (above, open) and after training: all, the middle 90 %, and the median."""
    for k, model in enumerate(models):
        hue = plot.colour(FAMILIES.get(model.split()[0], "gaussian"))
        for epoch, up, fill in ((0, -0.16, plot.colour("paper")), (-1, 0.16, hue)):
            low, five, _, middle, _, most, top = result.moduli(model, epoch)
            ax.plot([low, top], [k + up] * 2, color=hue, lw=0.8)
            ax.plot([five, most], [k + up] * 2, color=hue, lw=2.4)
            ax.plot([middle], [k + up], "o", color=hue, mfc=fill, ms=5.5)
    ax.axvline(1, color=plot.colour("muted"), lw=0.8)
    ax.set_yticks(range(len(models)), models)
    ax.set(ylim=(len(models) - 0.5, -0.5), xlabel=r"$|\lambda|$")
