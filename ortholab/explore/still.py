"""A declared picture as a figure of the book (matplotlib): what a page without JavaScript, and paper, shows."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ortholab import plot
from ortholab.explore.markup import to_mathtext
from ortholab.explore.picture import Picture

ORDER = ("heat", "matrix", "band", "histogram", "guide", "line", "trajectory", "points")


def draw(picture: Picture) -> Figure:
    """Draw a picture with the book's own figure functions: the panels side by side.

    >>> from ortholab.explore import Panel
    >>> len(draw(Picture([Panel().line([0, 1], [0, 1])], "A line.")).axes)
    1
    """
    panels = [panel.declare() for panel in picture.panels]
    fig, axes = plot.subplots(ncols=len(panels))
    for ax, panel in zip(np.atleast_1d(axes), panels, strict=True):
        _panel(ax, panel)
    return fig


def _panel(ax: Axes, panel: dict) -> None:
    ax.set(
        xlabel=to_mathtext(panel["x"]), ylabel=to_mathtext(panel["y"]),
        xscale=panel["xscale"], yscale=panel["yscale"], title=to_mathtext(panel["title"]),
    )  # fmt: skip
    # before the marks: a guide writes its label at the end of an axis
    for axis in "xy":
        if panel[axis + "lim"]:
            ax.set(**{axis + "lim": panel[axis + "lim"]})
    for mark in sorted(panel["marks"], key=lambda m: ORDER.index(m["kind"])):
        _MARKS[mark["kind"]](ax, mark)
    if panel["aspect"] == "equal":
        ax.set_aspect("equal")


def _array(numbers: list) -> np.ndarray:
    return np.array(numbers, dtype=np.float64)


def _line(ax: Axes, m: dict) -> None:
    style = {"linestyle": (0, (3, 3))} if m["dashed"] else {}
    plot.theory(ax, _array(m["x"]), _array(m["y"]), label=to_mathtext(m["label"]) or None, color=m["color"], **style)


def _points(ax: Axes, m: dict) -> None:
    ends = None if m["low"] is None else (_array(m["low"]), _array(m["high"]))
    label = to_mathtext(m["label"]) or None
    plot.simulation(ax, _array(m["x"]), _array(m["y"]), ends, label=label, color=m["color"])


def _band(ax: Axes, m: dict) -> None:
    hue = plot.colour(m["color"])
    ax.fill_between(_array(m["x"]), _array(m["low"]), _array(m["high"]), color=hue, alpha=0.18, linewidth=0)
    if m["label"]:
        plot.direct_label(ax, m["x"][-1], m["high"][-1], to_mathtext(m["label"]), m["color"])


def _histogram(ax: Axes, m: dict) -> None:
    hue, heights = plot.colour(m["color"]), _array(m["y"])
    ax.stairs(heights, m["edges"], fill=True, color=hue, alpha=0.28, linewidth=0)
    ax.stairs(heights, m["edges"], color=hue, linewidth=1)
    if m["label"]:
        top = int(np.nanargmax(heights))
        middle = (m["edges"][top] + m["edges"][top + 1]) / 2
        plot.direct_label(ax, middle, heights[top], to_mathtext(m["label"]), m["color"], ha="center")


def _heat(ax: Axes, m: dict) -> None:
    low, high = m["limits"]
    label = to_mathtext(m["label"])
    plot.heat(ax, _array(m["x"]), _array(m["y"]), _array(m["z"]), label=label, levels=m["levels"], vmin=low, vmax=high)


def _matrix(ax: Axes, m: dict) -> None:
    plot.matrix(ax, _array(m["z"]), limit=m["limit"])


def _trajectory(ax: Axes, m: dict) -> None:
    x, y, hue = _array(m["x"]), _array(m["y"]), plot.colour(m["color"])
    plot.theory(ax, x, y, label=to_mathtext(m["label"]) or None, color=m["color"])
    ax.plot(x[:1], y[:1], "o", color=hue, markerfacecolor=plot.colour("paper"))
    if len(x) > 1:
        arrow = {"arrowstyle": "-|>", "color": hue}
        ax.annotate("", (x[-1], y[-1]), (x[-2], y[-2]), arrowprops=arrow)


def _guide(ax: Axes, m: dict) -> None:
    hue = plot.colour(m["color"])
    (ax.axvline if m["axis"] == "x" else ax.axhline)(m["at"], color=hue, linewidth=0.9, linestyle=(0, (3, 3)))
    if m["label"]:
        end = ax.get_xlim()[1] if m["axis"] == "y" else m["at"]
        at = m["at"] if m["axis"] == "y" else ax.get_ylim()[1]
        color = "muted" if m["color"] == "line" else m["color"]
        plot.direct_label(ax, end, at, to_mathtext(m["label"]), color)


_MARKS = {
    "line": _line, "points": _points, "band": _band, "histogram": _histogram, "heat": _heat, "matrix": _matrix,
    "trajectory": _trajectory, "guide": _guide,
}  # fmt: skip
