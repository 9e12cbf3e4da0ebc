"""Drawings made by code: the mark and the book's chain, as SVG whose colours are the design tokens.

Every curve is computed from the formula that it depicts; nothing is sketched.

>>> mark().startswith("<svg")
True
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ._html import style
from ._tokens import NAMES, css, token
from .errors import check_choice

__all__ = ["Drawing", "chain", "mark"]


class Drawing(str):
    """SVG text that shows itself in a notebook and can be saved as a file."""

    def _repr_html_(self) -> str:
        used = tuple(name for name in NAMES if f"--ol-{name}," in self)
        return f'<figure class="ol ol-figure ol-drawing">{style(tokens=used)}{self}</figure>'

    def save(self, path: str | Path) -> None:
        """Write the SVG to a file."""
        Path(path).write_text(f"{self}\n", encoding="utf-8")


def mark(theme: str | None = None) -> Drawing:
    """Return the logo: an orthogonal frame, turning; its sides keep their length.

    ``theme`` is None for CSS custom properties, or "light" or "dark" for fixed colours.
    """
    frames = []
    for degrees, opacity in ((0, 0.35), (20, 0.6), (40, 1.0)):
        turn = np.radians(degrees - 45 + 90 * np.arange(4))
        corners = 16 + 14 * np.stack([np.cos(turn), -np.sin(turn)], axis=1)
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners)
        frames.append(_tag("polygon", points=points, stroke="@orthogonal", opacity=opacity))
    # Two sides of the last square are the axes: the frame proper.
    axes = " ".join(f"{x:.2f},{y:.2f}" for x, y in corners[[2, 3, 0]])
    frames.append(_tag("polyline", points=axes, stroke="@ink", stroke_width=2.8))
    body = _group("".join(frames), fill="none", stroke_width=1.8, stroke_linejoin="round", stroke_linecap="round")
    return Drawing(_svg(body, (32, 32), "Orthogonality Lab", theme=theme))


# ---------------------------------------------------------------------------------------------------------- the chain


def chain(layout: str = "both", theme: str | None = None) -> Drawing:
    """Return the book's chain, from the activation to the training curve, as six small plots.

    ``layout`` is "wide" (two rows of three), "narrow" (one column, for a phone) or "both": the two together, of which
    the page shows the one that fits.  ``theme`` as for :func:`mark`.
    """
    check_choice("layout", layout, ("both", "wide", "narrow"))
    if layout == "both":
        rule = "@media(max-width:600px){svg.ol-wide{display:none}svg.ol-narrow{display:block!important}}"
        return Drawing(chain("wide", theme) + chain("narrow", theme) + f"<style>{rule}</style>")
    draw = _wide if layout == "wide" else _narrow
    body, size = draw()
    title = "The chain: from the activation to the training curve"
    text = "Six small plots joined by arrows. " + " ".join(
        f"{n}. {node.title}: {node.alt}" for n, node in enumerate(_NODES, 1)
    )
    return Drawing(_svg(body, size, title, text, kind=f"ol-{layout}", theme=theme))


class _Node:
    def __init__(self, symbol: str, title: str, words: tuple[str, str], glyph: Callable[[], str], alt: str):
        self.symbol, self.title, self.words, self.glyph, self.alt = symbol, title, words, glyph, alt


W, H = 150, 84  # size of a glyph


def _activation() -> str:
    x = np.linspace(-3, 3, 61)
    frame = _line((-3, 3), (0, 0), "line", 1, _box(-3, 3, -1.2, 1.2)) + _line(
        (0, 0), (-1.15, 1.15), "line", 1, _box(-3, 3, -1.2, 1.2)
    )
    return frame + _line(x, np.tanh(x), "accent", 2.4, _box(-3, 3, -1.2, 1.2))


def _cobweb() -> str:
    """The map (2) for tanh in its chaotic phase, and the staircase from a small variance to its fixed point."""
    from .theory import variance_map

    to, sigma_w, sigma_b = _box(0, 1.55, 0, 1.55), 1.7, 0.3
    q = np.linspace(0, 1.55, 50)
    x, corners = 0.06, [(0.06, 0.0)]
    for _ in range(9):
        y = float(variance_map("tanh", x, sigma_w, sigma_b))
        corners += [(x, y), (y, y)]
        x = y
    return (
        _line((0, 1.55), (0, 1.55), "line", 1, to)
        + _line(q, variance_map("tanh", q, sigma_w, sigma_b), "theory", 1.8, to)
        + _line(*zip(*corners, strict=True), "accent", 1.6, to)
        + _dot(x, x, "accent", to)
    )


def _number_line() -> str:
    """chi of tanh at sigma_b = 0.3, below, on and above the critical line."""
    from .theory import chi, critical_point

    to = _box(0.4, 1.6, -1, 1)
    critical = critical_point("tanh", 0.3).sigma_w
    values = [chi("tanh", factor * critical, 0.3) for factor in (0.75, 1.0, 1.45)]
    names = ("ordered", "theory", "chaotic")
    line = _line((0.4, 1), (0, 0), "ordered", 2.4, to) + _line((1, 1.6), (0, 0), "chaotic", 2.4, to)
    tick = _line((1, 1), (-0.4, 0.4), "ink", 1.4, to)
    dots = "".join(
        _dot(value, 0, name, to, 5 if name == "theory" else 4) for value, name in zip(values, names, strict=True)
    )
    words = _text(*to(0.68, -0.8), "vanish", 11, "ordered", "middle") + _text(
        *to(1.32, -0.8), "explode", 11, "chaotic", "middle"
    )
    return line + tick + dots + words + _text(*to(1, 0.62), "1", 12, "ink", "middle")


def _density() -> str:
    """Singular values of four linear layers: Gaussian weights (Fuss-Catalan), orthogonal ones (all equal one)."""
    depth, to = 4, _box(0, 3.7, 0, 1)
    f = np.pi / (depth + 1) * (1 - np.linspace(0.02, 0.999, 90))
    s = np.sqrt(np.sin((depth + 1) * f) ** (depth + 1) / (np.sin(f) * np.sin(depth * f) ** depth))
    rho = (
        2 / np.pi * np.sqrt(np.sin(f) ** 3 * np.sin(depth * f) ** (depth - 2) / np.sin((depth + 1) * f) ** (depth - 1))
    )
    inside = rho <= 1
    base = _line((0, 3.7), (0, 0), "line", 1, to)
    spike = _line((1, 1), (0, 0.94), "orthogonal", 2.6, to)
    words = _text(*to(1.15, 0.84), "orthogonal", 11, "orthogonal") + _text(*to(1.75, 0.3), "Gaussian", 11, "gaussian")
    return base + _line(s[inside], rho[inside], "gaussian", 2, to) + spike + words


def _depth() -> str:
    """The depth scale 1 / |log chi| of tanh's gradients at sigma_b = 0.3 against sigma_w: it diverges where chi = 1."""
    from scipy.interpolate import CubicSpline

    from .theory import chi, critical_point

    critical, top = critical_point("tanh", 0.3).sigma_w, 24.0
    to, nodes = _box(0.9, 2.0, 0, top), np.linspace(0.85, 2.05, 13)
    log_chi = CubicSpline(nodes, np.log([chi("tanh", float(sigma_w), 0.3) for sigma_w in nodes]))
    pieces = [_line((0.9, 2), (0, 0), "line", 1, to), _line((critical, critical), (0, top), "line", 1, to, dash="3 3")]
    for name, end in (("ordered", 0.9), ("chaotic", 2.0)):
        x = np.linspace(end, critical, 60)[:-1]
        xi = 1 / np.abs(log_chi(x))
        x, xi = x[xi <= top], xi[xi <= top]
        pieces += [_line([x[0], *x, x[-1]], [0, *xi, 0], name, 0, to, fill=0.18), _line(x, xi, name, 2, to)]
    return "".join(pieces)


def _training() -> str:
    """Saxe's mode u of an infinitely deep linear network: loss (1 - u)^2 from a strong and a weak start."""
    to = _box(0, 16, 0, 1)
    pieces = [_line((0, 16), (0, 0), "line", 1, to)]
    for name, start in (("orthogonal", 0.5), ("gaussian", 0.1)):
        u = start + (1 - start) * (1 - np.logspace(-6, 0, 300)[::-1]) + 1e-9
        t = np.log(u * (1 - start) / (start * (1 - u))) + 1 / start - 1 / u
        even = np.linspace(0, 16, 70)
        loss = ((1 - np.interp(even, t, u)) / (1 - start)) ** 2
        pieces.append(_line(even, loss, name, 2.2, to))
    words = _text(*to(2.5, 0.3), "orthogonal", 11, "orthogonal") + _text(*to(9.4, 0.62), "Gaussian", 11, "gaussian")
    return "".join([*pieces, words])


_NODES = (
    _Node("φ", "Activation", ("what a unit does", "to its input"), _activation, "an S-shaped curve, tanh."),
    _Node("q*", "Variance fixed point", ("where the size of", "a signal settles"), _cobweb,
          "a staircase between a curve and the diagonal ends at their crossing."),
    _Node("χ", "Mean squared stretch", ("below 1 gradients vanish,", "above 1 they explode"), _number_line,
          "three points on a line, below, at and above one."),
    _Node("JJᵀ", "Jacobian’s spectrum", ("how the stretch spreads", "over the directions"), _density,
          "a wide falling density for Gaussian weights, a single spike at one for orthogonal weights."),
    _Node("ξ", "Trainable depth", ("how many layers", "a gradient survives"), _depth,
          "a curve that grows without bound where chi is one."),
    _Node("ℒ", "Training curve", ("how soon", "the loss falls"), _training,
          "the loss falls at once from an orthogonal start and after a plateau from a Gaussian one."),
)  # fmt: skip


def _wide() -> tuple[str, tuple[int, int]]:
    column, row, left, top = 240, 190, 24, 8
    parts = []
    for number, node in enumerate(_NODES):
        x, y = left + column * (number % 3), top + row * (number // 3)
        parts.append(_group(_glyph(node), transform=f"translate({x} {y + 26})"))
        parts.append(_heading(x, y + 14, node))
        parts += [_text(x, y + 130 + 15 * k, words, 12.5, "muted") for k, words in enumerate(node.words)]
        if number % 3 < 2:
            parts.append(_arrow(f"M{x + W + 18} {y + 68}H{x + column - 18}"))
    # From the end of the first row to the start of the second.
    end, start, between = left + 2 * column + W / 2, left - 14, top + row - 18
    parts.append(_arrow(f"M{end} {between - 20}V{between}H{start}V{top + row + 68}H{left - 5}"))
    return "".join(parts), (3 * column - 26, 2 * row - 22)


def _narrow() -> tuple[str, tuple[int, int]]:
    row, parts = 122, []
    for number, node in enumerate(_NODES):
        y = 8 + row * number
        parts.append(_group(_glyph(node), transform=f"translate(2 {y})"))
        parts.append(_heading(W + 20, y + 26, node, lines=True))
        if number + 1 < len(_NODES):
            parts.append(_arrow(f"M{W / 2} {y + H + 8}V{y + row - 8}"))
    return "".join(parts), (350, row * len(_NODES) - 24)


def _heading(x: float, y: float, node: _Node, lines: bool = False) -> str:
    symbol = _text(x, y, node.symbol, 17, "ink", family="serif", style="italic")
    if not lines:
        return symbol + _text(x + 10 + 10 * len(node.symbol), y, node.title, 13, "ink", weight=600)
    words = node.title.split(" ")
    cut = next((k for k in range(1, len(words)) if len(" ".join(words[: k + 1])) > 20), len(words))
    head = [" ".join(words[:cut]), " ".join(words[cut:])] if cut < len(words) else [node.title]
    out = [symbol]
    out += [_text(x, y + 21 + 17 * k, part, 14, "ink", weight=600) for k, part in enumerate(head)]
    start = y + 21 + 17 * len(head)
    return "".join(out + [_text(x, start + 16 * k, part, 13, "muted") for k, part in enumerate(node.words)])


@functools.cache
def _computed(glyph: Callable[[], str]) -> str:
    return glyph()


def _glyph(node: _Node) -> str:
    return _computed(node.glyph)


# ------------------------------------------------------------------------------------------------------------ SVG bits


def _box(x0: float, x1: float, y0: float, y1: float) -> Callable:
    """Map the data window to a glyph's pixels."""
    return lambda x, y: (W * (np.asarray(x) - x0) / (x1 - x0), H - H * (np.asarray(y) - y0) / (y1 - y0))


def _tag(name: str, content: str = "", **attributes) -> str:
    """Write an element; fill and stroke become a style, since presentation attributes know no ``var()``."""
    paint = ";".join(f"{key}:{attributes.pop(key)}" for key in ("fill", "stroke") if key in attributes)
    attributes |= {"style": paint or None}
    text = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{text}>{content}</{name}>" if content else f"<{name}{text}/>"


def _group(content: str, **attributes) -> str:
    return _tag("g", content, **attributes)


def _line(x, y, color: str, width: float, to: Callable, fill: float = 0, dash: str | None = None) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(*to(np.array(x, float), np.array(y, float)), strict=True))
    paint = {"fill": f"@{color}", "fill_opacity": fill} if fill else {"fill": "none"}
    stroke = {"stroke": f"@{color}", "stroke_width": width} if width else {}
    return _tag("polyline", points=points, stroke_dasharray=dash, **paint, **stroke)


def _dot(x: float, y: float, color: str, to: Callable, radius: float = 4.5) -> str:
    a, b = to(x, y)
    return _tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=radius, fill=f"@{color}")


def _text(
    x, y, words: str, size: float, color: str, anchor: str | None = None, family: str | None = None, **font
) -> str:
    extra = {f"font_{key}": value for key, value in font.items()}
    return _tag(
        "text", words, x=f"{float(x):.1f}", y=f"{float(y):.1f}", font_size=size, fill=f"@{color}",
        text_anchor=anchor, font_family=family and "Georgia, 'Times New Roman', serif", **extra,
    )  # fmt: skip


def _arrow(path: str) -> str:
    """A line whose last segment is straight along an axis, with a head drawn by hand (markers need ids)."""
    steps = re.findall(r"([MHV])(-?[\d.]+)(?: (-?[\d.]+))?", path)
    x = y = 0.0
    for kind, a, b in steps:
        before = (x, y)
        x, y = (float(a), float(b)) if kind == "M" else (float(a), y) if kind == "H" else (x, float(a))
    dx, dy = np.sign(x - before[0]), np.sign(y - before[1])
    back = [(x - 6 * dx - 4 * dy * side, y - 6 * dy - 4 * dx * side) for side in (1, -1)]
    head = f"M{back[0][0]:g} {back[0][1]:g}L{x:g} {y:g}L{back[1][0]:g} {back[1][1]:g}"
    return _tag("path", d=path + head, fill="none", stroke="@muted", stroke_width=1.4, stroke_linejoin="round")


_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif"


def _svg(body: str, size: tuple[float, float], title: str, desc: str = "", *, kind: str = "", theme: str | None) -> str:
    """Wrap the body, and turn each @token into a CSS custom property or a fixed colour."""
    if theme is not None:
        check_choice("theme", theme, ("light", "dark"))
    body = re.sub(rf"@({'|'.join(NAMES)})\b", lambda m: css(m[1]) if theme is None else token(m[1], theme), body)
    look = f"width:100%;height:auto;font-family:{_FONT}"
    look += f";max-width:{size[0]}px" if kind else ""
    look += ";display:none" if kind == "ol-narrow" else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{title}" '
        f'class="{kind or "ol-mark"}" style="{look}"><title>{title}</title>'
        f"{f'<desc>{desc}</desc>' if desc else ''}{body}</svg>"
    )
