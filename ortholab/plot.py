"""The book's figures: one style, right on light and on dark paper, readable on a phone.

A figure is drawn by matplotlib with the hex colours of :mod:`ortholab._tokens` and shown as inline SVG in which each
of them is a CSS custom property, so that one drawing serves every theme.  It is laid out twice, for the text measure
and for a phone (panels stacked), and the stylesheet shows the one that fits.

>>> fig, ax = subplots()
>>> theory(ax, [0, 1, 2], [0, 1, 4], label="theory", color="orthogonal")
>>> figure = render(fig, caption="It grows like $x^2$.", alt="A parabola from 0 to 4.", name="fig-doctest")
>>> "var(--ol-orthogonal, #1f45a6)" in figure.html
True
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.patheffects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._html import Html, check_text, inline, plain, style
from ._svg import inline_svg, png, svg_narrow, svg_text
from ._tokens import NAMES, TOKENS, token
from .errors import ArgumentError, bad, check_array, check_int, check_number

__all__ = [
    "TOKENS", "colour", "direct_label", "heat", "histogram", "matrix", "render", "show", "simulation", "subplots",
    "svg", "theory", "token", "use_style",
]  # fmt: skip

WIDTH = 7.2  # inches: the text measure

STYLE = {
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "figure.constrained_layout.use": True, "figure.dpi": 72,
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 10,
    "mathtext.fontset": "dejavuserif", "axes.formatter.use_mathtext": False, "axes.unicode_minus": True,
    "axes.titlesize": 10.5, "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlepad": 8,
    "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8, "axes.axisbelow": True,
    "xtick.major.size": 3, "ytick.major.size": 3, "xtick.minor.size": 1.8, "ytick.minor.size": 1.8,
    "lines.linewidth": 1.8, "lines.solid_capstyle": "round", "lines.markersize": 4.5,
    "path.simplify": True, "path.simplify_threshold": 0.4,
    "svg.fonttype": "path", "svg.hashsalt": "ortholab", "image.cmap": "viridis", "image.interpolation": "nearest",
}  # fmt: skip
_INK = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "patch.edgecolor")

# Line and marker per meaning, so that a series is known in greyscale too.
_LINES = {
    "gaussian": (0, (5, 1.6)),
    "relu": (0, (1.2, 1.4)),
    "extra": (0, (6, 1.6, 1.2, 1.6)),
    "chaotic": (0, (5, 1.6)),
}
_MARKERS = {"gaussian": "s", "relu": "^", "extra": "D", "data": "x", "chaotic": "s"}


def use_style() -> None:
    """Apply the house style to matplotlib's rcParams; :func:`subplots` calls it.

    >>> use_style()
    >>> mpl.rcParams["axes.spines.top"]
    False
    """
    cycle = mpl.cycler(color=[token(name) for name in ("orthogonal", "gaussian", "relu", "extra", "data")])
    mpl.rcParams.update(
        STYLE | dict.fromkeys(_INK, token("ink")) | {"axes.prop_cycle": cycle, "grid.color": token("line")}
    )


def colour(name: str) -> str:
    """Return the hex colour of a token name; a hex colour passes through.

    >>> colour("#123456")
    '#123456'
    """
    return name if isinstance(name, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", name) else token(name)


def subplots(
    nrows: int = 1, ncols: int = 1, *, height: float | None = None, **options
) -> tuple[Figure, Axes | np.ndarray]:
    """Return ``(fig, axes)`` as wide as the text, in the house style, without pyplot's global state.

    Parameters: ``height`` of the whole figure in inches (default: 3.4 for one panel, less for more columns);
    ``options`` go to ``Figure.subplots`` (``sharex``, ``width_ratios``, ...).  Keep ``ncols <= 3``.

    >>> fig, (left, right) = subplots(ncols=2)
    """
    nrows, ncols = check_int("nrows", nrows, 1), check_int("ncols", ncols, 1)
    if height is None:
        height = nrows * {1: 3.5, 2: 2.9, 3: 2.5}.get(ncols, 2.2)
    use_style()
    fig = Figure(figsize=(WIDTH, check_number("height", height, low=0.5, high=20)), layout="constrained")
    return fig, fig.subplots(nrows, ncols, **options)


def theory(
    ax: Axes, x, y, *, label: str | None = None, color: str = "theory", at: float = 1.0, dy: float = 0, **line
) -> None:
    """Draw a prediction as a line, named by ``label`` at its right end.

    ``at`` in [0, 1] moves the name to that fraction of the points, and ``dy`` shifts it up, in points.

    >>> fig, ax = subplots()
    >>> theory(ax, [0.0, 1.0], [0.0, 1.0], label="theory")
    >>> ax.texts[0].get_text()
    'theory'
    """
    x, y = _xy(x, y)
    line = {"color": colour(color), "linestyle": _LINES.get(color, "-"), "zorder": 2} | line
    ax.plot(x, y, **line)
    if label:
        finite = np.flatnonzero(np.isfinite(y))
        if finite.size:
            end = finite[round(check_number("at", at, low=0, high=1) * (finite.size - 1))]
            direct_label(ax, x[end], y[end], label, color, dy=dy)


def simulation(
    ax: Axes, x, mean, interval=None, *, label: str | None = None, color: str = "data", band: bool = False, **marks
) -> None:
    """Draw measured values as points, with error bars (or a band) where there are seeds.

    ``interval`` is a half-width of shape (n,) or a pair (low, high) of absolute ends, each of shape (n,).

    >>> fig, ax = subplots()
    >>> simulation(ax, [1, 2], [0.5, 0.6], [0.1, 0.1], label="10 seeds")
    >>> len(ax.lines)
    1
    """
    x, mean = _xy(x, mean)
    hue = colour(color)
    marks = {"marker": _MARKERS.get(color, "o"), "linestyle": "none", "color": hue, "zorder": 3} | marks
    if interval is not None:
        ends = np.asarray(interval, dtype=float)
        low, high = (mean - ends, mean + ends) if ends.shape == mean.shape else ends
        if band:
            ax.fill_between(x, low, high, color=hue, alpha=0.18, linewidth=0, zorder=1)
        else:
            ax.vlines(x, low, high, color=hue, linewidth=1.2, zorder=2.5)
    ax.plot(x, mean, **marks)
    if label:
        direct_label(ax, x[-1], mean[-1], label, color)


def direct_label(
    ax: Axes, x: float, y: float, text: str, color: str = "ink", *, ha: str = "left", dy: float = 0
) -> None:
    """Write ``text`` beside the point (x, y) in its series' colour; labels of one axes are pushed apart when drawn.

    ``ha`` is "left" (text to the right of the point), "right" or "center" (above it); ``dy`` shifts up, in points.

    >>> fig, ax = subplots()
    >>> direct_label(ax, 0.5, 0.5, "theory")
    >>> ax.texts[0].get_text()
    'theory'
    """
    offset = {"left": (6, dy), "right": (-6, dy), "center": (0, dy + 7)}[ha]
    label = ax.annotate(
        check_text("text", text), (x, y), xytext=offset, textcoords="offset points", ha=ha, va="center",
        color=colour(color), fontsize=9, annotation_clip=False, zorder=5,
    )  # fmt: skip
    # A halo of paper keeps the words apart from the lines that they cross.
    label.set_path_effects([mpl.patheffects.withStroke(linewidth=2.4, foreground=token("paper"))])
    label.set_gid("ol-direct")


def histogram(ax: Axes, samples, *, bins=60, color: str = "data", label: str | None = None, **options) -> None:
    """Draw samples as a filled density (integral one) with a stepped outline.

    >>> fig, ax = subplots()
    >>> histogram(ax, [0.1, 0.2, 0.2], bins=3)
    >>> len(ax.patches)
    2
    """
    samples = check_array("samples", samples).ravel()
    density, edges = np.histogram(samples, bins=bins, density=True, **options)
    hue = colour(color)
    ax.stairs(density, edges, fill=True, color=hue, alpha=0.28, linewidth=0)
    ax.stairs(density, edges, color=hue, linewidth=1)
    if label:
        top = int(density.argmax())
        ax.update_datalim([(edges[top], 1.1 * density[top])])  # room for the words
        ax.autoscale_view()
        direct_label(ax, (edges[top] + edges[top + 1]) / 2, density[top], label, color, ha="center")


def heat(ax: Axes, x, y, z, *, label: str, levels: Sequence[float] = (), cmap: str = "viridis", **options):
    """Draw ``z`` of shape (len(y), len(x)) as an image with a colour bar named ``label`` and contours at ``levels``.

    The map is perceptually uniform and ordered in greyscale; NaN stays empty.  Returns the mesh.

    >>> fig, ax = subplots()
    >>> mesh = heat(ax, [0.0, 1.0], [0.0, 1.0], [[0.0, 1.0], [2.0, 3.0]], label="q*")
    >>> mesh.get_clim()
    (0.0, 3.0)
    """
    z = np.ma.masked_invalid(np.asarray(z, dtype=float))
    if z.shape != (np.size(y), np.size(x)):
        raise ArgumentError(f"z must have shape (len(y), len(x)) = {(np.size(y), np.size(x))}; got {z.shape}")
    mesh = ax.pcolormesh(x, y, z, cmap=cmap, shading="nearest", rasterized=True, **options)
    if len(levels):
        lines = ax.contour(x, y, z, levels=sorted(levels), colors=_ON_IMAGE, linewidths=0.9)
        for text in ax.clabel(lines, fontsize=8, fmt="%g"):
            text.set_path_effects([mpl.patheffects.withStroke(linewidth=1.5, foreground="#444444")])
    bar = ax.figure.colorbar(mesh, ax=ax, label=check_text("label", label), fraction=0.06, pad=0.03)
    bar.outline.set_visible(False)
    return mesh


def matrix(ax: Axes, M, *, limit: float | None = None, cmap: str = "RdBu_r", title: str | None = None):
    """Draw a matrix as an image, symmetric about zero in [-limit, limit]; returns the image.

    >>> fig, ax = subplots()
    >>> matrix(ax, [[1.0, 0.0], [0.0, -1.0]]).get_clim()
    (-1.0, 1.0)
    """
    M = check_array("M", M, ndim=2)
    limit = float(np.abs(M).max() or 1.0) if limit is None else check_number("limit", limit, low=0, open_low=True)
    image = ax.imshow(M, cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=token("line"))
    if title:
        ax.set_title(title)
    return image


def show(fig: Figure, *, caption: str, alt: str, name: str | None = None, phone: bool = True) -> None:
    """Display the figure with its caption (a sentence that states the finding) and its alt text.

    >>> fig, ax = subplots()
    >>> show(fig, caption="It rises.", alt="A line.")
    [figure: ...
    """
    render(fig, caption=caption, alt=alt, name=name, phone=phone).show()


def render(fig: Figure, *, caption: str, alt: str, name: str | None = None, phone: bool = True) -> Html:
    """Return the figure as HTML (inline SVG), with a PNG for other hosts; see :func:`show`.

    ``caption`` may hold ``$math$``; ``alt`` says in plain words what is seen; ``name`` becomes the anchor ``#name``
    (it must be unique on its page).  ``phone=False`` leaves the stacked layout out.

    >>> fig, ax = subplots()
    >>> "A line." in render(fig, caption="It rises.", alt="A line.").html
    True
    """
    caption, alt = check_text("caption", caption), check_text("alt", alt)
    wide, image = svg_text(fig), png(fig)
    if name is None:
        name = "fig-" + hashlib.sha256((wide + caption).encode()).hexdigest()[:10]
    pictures = _layouts(fig, wide, alt, _checked_name(name), phone)
    used = tuple(n for n in NAMES if f"--ol-{n}," in pictures)
    markup = (
        f'<figure class="ol ol-figure" id="{name}" style="margin:1.2em 0">{style(_RULES, used)}{pictures}'
        f"<figcaption>{inline(caption)}</figcaption></figure>"
    )
    return Html(markup, f"[figure: {alt}]\n{plain(caption)}", image)


def svg(fig: Figure, *, alt: str, name: str, phone: bool = True) -> str:
    """Return the figure as inline SVG alone: for the text measure, and (unless ``phone=False``) laid out for a phone.

    >>> svg(subplots()[0], alt="Empty axes.", name="fig-empty", phone=False)[:21]
    '<svg role="img" aria-'
    """
    name, alt = _checked_name(name), check_text("alt", alt)
    return _layouts(fig, svg_text(fig), alt, name, phone)


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)):
        raise bad("name", name, "lower-case letters, digits and hyphens, such as 'fig-critical-line'")
    return name


def _layouts(fig: Figure, wide: str, alt: str, name: str, phone: bool) -> str:
    """Return the drawn layout and, for a phone, the narrow one, which is drawn here."""
    narrow = svg_narrow(fig) if phone else None
    pictures = inline_svg(wide, f"{name}-w", alt, "ol-wide" if narrow else "")
    return pictures + (inline_svg(narrow, f"{name}-n", alt, "ol-narrow") if narrow else "")


# The two layouts: without this rule the phone's stays hidden by its own style attribute.
_RULES = """
:where(.ol-figure) svg{display:block;width:100%;height:auto;margin:0 auto}
@media(max-width:600px){.ol-figure svg.ol-wide{display:none}.ol-figure svg.ol-narrow{display:block!important}}
"""


_ON_IMAGE = "#fefefe"  # no token: an image looks the same in both themes, so what is drawn on it must too


def _xy(x, y) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise ArgumentError(f"x and y must be vectors of one length; got shapes {x.shape} and {y.shape}")
    return x, y
