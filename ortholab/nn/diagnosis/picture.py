"""The picture of a diagnosis: signals and gradients along the network, and the singular values of its Jacobian."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ortholab import plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ortholab.nn.diagnosis.end_to_end import EndToEnd
    from ortholab.nn.diagnosis.row import Row


def draw(rows: Sequence[Row], times: Sequence[np.ndarray], spectrum: EndToEnd | None) -> Figure:
    """Return two panels: sizes along the layers (through time if ``times`` holds any), and the singular values of J."""
    fig, (left, right) = plot.subplots(ncols=2, height=3.2)
    if len(times):
        _through_time(left, times)
    else:
        _along(left, rows)
    _spectrum(right, spectrum)
    return fig


def _along(ax: Axes, rows: Sequence[Row]) -> None:
    rows = [r for r in rows if r.kind != "activation"]
    layer = np.arange(1, len(rows) + 1)
    for values, hue, label in (
        ([r.rms for r in rows], "data", "signal"),
        ([r.gradient for r in rows], "orthogonal", "gradient"),
    ):
        values = np.array(values, dtype=float)
        good = np.isfinite(values) & (values > 0)
        if good.any():
            ax.plot(layer[good], values[good], color=plot.colour(hue), lw=1.6)
            plot.direct_label(ax, layer[good][-1], values[good][-1], label, hue)
    ax.set(yscale="log", xlabel="layer, in the order of the calls", ylabel="root mean square")
    ax.margins(x=0.18)


def _through_time(ax: Axes, times: Sequence[np.ndarray]) -> None:
    for profile in times:
        steps = np.arange(1, len(profile) + 1)
        good = profile > 0
        ax.plot(steps[good], profile[good], color=plot.colour("orthogonal"), lw=1.6)
    ax.set(yscale="log", xlabel="step", ylabel="gradient of the last output")


def _spectrum(ax: Axes, J: EndToEnd | None) -> None:
    if J is None or not J.s_max > 0:
        ax.text(0.5, 0.5, "no Jacobian", ha="center", transform=ax.transAxes)
        ax.set_axis_off()
        return
    floor = max(J.error_min, J.s_max * 1e-18)
    for s, weights in zip(J.s, J.weights, strict=True):
        share = np.cumsum(weights)
        ax.step(np.maximum(s, floor), share, where="post", color=plot.colour("orthogonal"), lw=1.4, alpha=0.8)
    ax.axvline(np.sqrt(J.mean_square), color=plot.colour("muted"), ls=":", lw=1)
    ax.set(xscale="log", xlabel="singular value of $J$", ylabel="share below", ylim=(0, 1.02))
