"""From a matplotlib figure to inline SVG: token colours, unique ids, direct labels apart, a layout for phones."""

from __future__ import annotations

import html
import io
import re
from itertools import combinations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from ._tokens import TOKENS, css, token

NARROW = 3.7  # inches: a phone
PANEL = 2.5  # inches: height of a panel on a phone


def svg_text(fig: Figure) -> str:
    """Return the figure's SVG text, with its direct labels pushed apart."""
    with mpl.rc_context({"svg.hashsalt": "ortholab", "svg.fonttype": "path"}):
        separate_labels(fig)
        buffer = io.StringIO()
        fig.savefig(buffer, format="svg", dpi=144, metadata={"Date": None, "Creator": None}, transparent=True)
    return buffer.getvalue()


def png(fig: Figure) -> bytes:
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=144, facecolor=token("paper"), metadata={"Software": None})
    return buffer.getvalue()


def svg_narrow(fig: Figure) -> str:
    """Return the SVG of the same figure laid out for a phone: panels under each other, images side by side."""
    specs = {}
    for ax in fig.axes:
        if ax.get_subplotspec() is not None:  # twins share a place; colour bars have none
            specs.setdefault(str(ax.get_subplotspec().get_position(fig)), []).append(ax)
    count = max(1, len(specs))
    images = count <= 3 and all(axes[0].get_aspect() != "auto" for axes in specs.values())
    grid = GridSpec(*((1, count) if images else (count, 1)), figure=fig)
    for place, axes in zip(grid, specs.values(), strict=False):
        for ax in axes:
            ax.set_subplotspec(place)
            if not images:
                _unshare_labels(ax)
    fig.set_size_inches(NARROW, NARROW / count + 0.4 if images else PANEL * count)
    fig.draw_without_rendering()  # the constrained layout needs a pass of its own after such a change
    return svg_text(fig)


def _unshare_labels(ax: Axes) -> None:
    """Give a panel the tick labels and the axis labels that a shared axis had left to its neighbour."""
    for which, group, side in (
        ("x", ax.get_shared_x_axes(), "labelbottom"),
        ("y", ax.get_shared_y_axes(), "labelleft"),
    ):
        siblings = [other for other in group.get_siblings(ax) if other.bbox is not ax.bbox]
        if siblings:
            ax.tick_params(axis=which, **{side: True})
            texts = [getattr(other, f"get_{which}label")() for other in (ax, *siblings)]
            getattr(ax, f"set_{which}label")(next((text for text in texts if text), ""))


def separate_labels(fig: Figure, gap: float = 1.0) -> None:
    """Move direct labels that overlap up and down, in points, until they no longer do; their order stays."""
    fig.draw_without_rendering()
    for ax in fig.axes:
        labels = [text for text in ax.texts if text.get_gid() == "ol-direct"]
        for label in labels:  # forget the push of an earlier layout
            label._ol_home = getattr(label, "_ol_home", label.xyann)
            label.xyann = label._ol_home
        boxes = {label: label.get_window_extent() for label in labels}
        labels.sort(key=lambda label: boxes[label].y0)
        for _ in range(60):
            moved = False
            for low, high in combinations(labels, 2):
                overlap = boxes[low].y1 - boxes[high].y0 + gap
                if overlap > 0 and min(boxes[low].x1, boxes[high].x1) > max(boxes[low].x0, boxes[high].x0):
                    moved = True
                    for label, push in ((low, -overlap / 2), (high, overlap / 2)):
                        label.xyann = (label.xyann[0], label.xyann[1] + push * 72 / fig.dpi)
                        boxes[label] = boxes[label].translated(0, push)
            if not moved:
                break


_HEX = {colour: name for name, colour in TOKENS["light"].items()}


def inline_svg(svg: str, prefix: str, alt: str, kind: str) -> str:
    """Make matplotlib's SVG fit for a page: no prologue, tokens for colours, ids that are unique to the figure."""
    svg = svg[svg.index("<svg") :]
    body = svg[svg.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.S)
    # matplotlib's rule for `*` would hold for the whole page, and make the browser style it anew for each figure;
    # the root's properties are inherited.
    body = re.sub(r'<defs>\s*<style type="text/css">\*\{[^{}]*\}</style>\s*</defs>', "", body)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(href="|url\()#', rf"\g<1>#{prefix}-", body)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda m: css(_HEX[m[0]]) if m[0] in _HEX else m[0], body)
    body = re.sub(r">\s+<", "><", body)
    left, top, width, height = re.search(r'viewBox="([^"]+)"', svg)[1].split()
    hidden = ";display:none" if kind == "ol-narrow" else ""
    return (
        f'<svg class="{kind}" role="img" aria-label="{html.escape(alt)}" viewBox="{left} {top} {width} {height}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" style="max-width:{float(width) * 4 / 3:.0f}px{hidden}" '
        f'stroke-linejoin="round" stroke-linecap="butt">{body}'
    ).replace(' class=""', "")
