"""A declared picture: panels of lines, points, histograms, maps, matrices and trajectories, as plain numbers.

A picture holds arrays and words and knows nothing of how it is drawn: the page's module draws it as SVG,
:mod:`ortholab.explore.still` as a figure of the book, and the tests compare it number by number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ortholab._tokens import NAMES
from ortholab.errors import ArgumentError, bad, check_array, check_choice, check_number

SCALES = ("linear", "log")


def _numbers(name: str, value: object, ndim: int = 1) -> list:
    """Return an array as nested lists; a value that is not finite becomes None: a gap, drawn as one."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != ndim or not array.size:
        raise ArgumentError(f"{name} must be an array of {ndim} dimension(s) with something in it; got {array.shape}")
    if np.isfinite(array).all():
        return array.tolist()
    return np.where(np.isfinite(array), array.astype(object), None).tolist()


@dataclass
class Panel:
    """Axes with marks on them. Give ``xlim`` and ``ylim``, so that the axes stand still while a slider moves.

    ``aspect="equal"`` makes a unit as long on both axes. Colours are the book's tokens ("theory", "orthogonal", ...).

    >>> panel = Panel("x", "f(x)", xlim=(0, 2)).line([0, 1, 2], [0, 1, 4], label="x^2")
    >>> panel.declare()["marks"][0]["y"]
    [0.0, 1.0, 4.0]
    """

    x: str = ""
    y: str = ""
    title: str = ""
    xscale: str = "linear"
    yscale: str = "linear"
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    aspect: str = "auto"
    marks: list[dict] = field(default_factory=list)

    def __post_init__(self):
        check_choice("xscale", self.xscale, SCALES)
        check_choice("yscale", self.yscale, SCALES)
        check_choice("aspect", self.aspect, ("auto", "equal"))

    def _add(self, kind: str, color: str, label: str, **numbers: object) -> Panel:
        if color not in NAMES:
            raise bad("color", color, "a colour token of the book: " + ", ".join(NAMES))
        self.marks.append({"kind": kind, "color": color, "label": label, **numbers})
        return self

    def line(self, x, y, *, label: str = "", color: str = "theory", dashed: bool = False) -> Panel:
        """A curve through (x, y), each of shape (n,): what theory says."""
        return self._add("line", color, label, x=_numbers("x", x), y=_numbers("y", y), dashed=bool(dashed))

    def points(self, x, y, interval=None, *, label: str = "", color: str = "data") -> Panel:
        """Points of shape (n,), with error bars where ``interval`` is a half-width or a pair (low, high) of ends."""
        y = np.asarray(y, dtype=np.float64)
        low = high = None
        if interval is not None:
            ends = np.asarray(interval, dtype=np.float64)
            low, high = (y - ends, y + ends) if ends.shape == y.shape else ends
            low, high = _numbers("interval", low), _numbers("interval", high)
        return self._add("points", color, label, x=_numbers("x", x), y=_numbers("y", y), low=low, high=high)

    def band(self, x, low, high, *, label: str = "", color: str = "data") -> Panel:
        """The area between two curves, each of shape (n,)."""
        return self._add(
            "band", color, label, x=_numbers("x", x), low=_numbers("low", low), high=_numbers("high", high)
        )

    def histogram(self, density, edges, *, label: str = "", color: str = "data") -> Panel:
        """Steps of height ``density`` (n,) between ``edges`` (n + 1,), as ``numpy.histogram`` returns them."""
        if np.size(edges) != np.size(density) + 1:
            raise ArgumentError(f"edges must be one more than density; got {np.size(edges)} and {np.size(density)}")
        return self._add("histogram", color, label, y=_numbers("density", density), edges=_numbers("edges", edges))

    def heat(self, x, y, z, *, label: str, levels=(), limits: tuple[float, float] | None = None) -> Panel:
        """A map of ``z`` (len(y), len(x)) over evenly spaced x and y, with contours at ``levels``.

        ``limits`` are the values at the two ends of the colour scale (default: the least and the greatest of z).
        """
        z = np.asarray(z, dtype=np.float64)
        if z.shape != (np.size(y), np.size(x)):
            raise ArgumentError(f"z must have shape (len(y), len(x)) = {(np.size(y), np.size(x))}; got {z.shape}")
        if limits is None:
            limits = (float(np.nanmin(z)), float(np.nanmax(z)))
        return self._add("heat", "ink", label, x=_numbers("x", x), y=_numbers("y", y), z=_numbers("z", z, 2),
                         levels=[float(v) for v in levels], limits=[float(v) for v in limits])  # fmt: skip

    def matrix(self, M, *, limit: float | None = None, label: str = "") -> Panel:
        """A matrix (n, k), row 0 on top, with colours that are symmetric about zero in [-limit, limit]."""
        M = check_array("M", M, ndim=2)
        limit = float(np.abs(M).max() or 1.0) if limit is None else check_number("limit", limit, low=0, open_low=True)
        return self._add("matrix", "ink", label, z=_numbers("M", M, 2), limit=limit)

    def trajectory(self, x, y, *, label: str = "", color: str = "extra") -> Panel:
        """A path through (x, y), each of shape (n,), with a dot at its start and an arrow at its end."""
        return self._add("trajectory", color, label, x=_numbers("x", x), y=_numbers("y", y))

    def guide(self, *, x: float | None = None, y: float | None = None, label: str = "", color: str = "line") -> Panel:
        """A thin straight line over the whole panel, at an x or at a y."""
        if (x is None) == (y is None):
            raise ArgumentError("guide must get one of x and y")
        return self._add("guide", color, label, axis="x" if x is not None else "y", at=float(x if y is None else y))

    def declare(self) -> dict[str, object]:
        """Return the panel as plain JSON values."""
        names = ("x", "y", "title", "xscale", "yscale", "aspect", "marks")
        limits = {
            k: None if v is None else [float(e) for e in v] for k, v in (("xlim", self.xlim), ("ylim", self.ylim))
        }
        return {name: getattr(self, name) for name in names} | limits


@dataclass
class Picture:
    """What an explorable answers: panels, a sentence that says what is seen, and the numbers in it by name.

    ``readout`` is read aloud after each move, so it is short and complete. ``facts`` are numbers or None, shown in a
    row below the picture and compared by the tests.

    >>> Picture([Panel().guide(x=1)], "Nothing but a line at 1.", {"line": 1.0}).declare()["facts"]
    [['line', 1.0]]
    """

    panels: list[Panel]
    readout: str
    facts: dict[str, float | None] = field(default_factory=dict)

    def declare(self) -> dict[str, object]:
        """Return the picture as plain JSON values; a fact that is not finite becomes None."""
        facts = [[k, None if v is None or not np.isfinite(v) else float(v)] for k, v in self.facts.items()]
        return {"panels": [panel.declare() for panel in self.panels], "readout": self.readout, "facts": facts}
