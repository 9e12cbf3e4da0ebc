"""What a page says of itself to search engines and to those who share it: a description, and a card with a picture.

The description stands in the page's source: ``myst: html_meta:`` in the front matter of a Markdown file, the same keys
in the metadata of a notebook. The picture is drawn at build time from the book's own drawings.
"""

from __future__ import annotations

import html
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

from ortholab import drawings
from ortholab._tokens import token

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from sphinx.application import Sphinx

SITE = "Orthogonality Lab"
SUBJECT = ("Why orthogonal weights", "train deep networks")
PROMISE = ("An executable book.", "Every claim is computed on its page,", "every step of a derivation is checked.")
CARD = "card.png"
SIZE = (1200, 630)  # pixels, the size that is asked of a card


# ------------------------------------------------------------------------------------------------------- description


def first_sentences(doctree: nodes.document, limit: int = 160) -> str:
    """Find the first paragraph of a page: as many whole sentences as fit, or the first one, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section):
            continue
        text = " ".join(paragraph.astext().split())
        if len(text) < 40:
            continue
        kept = ""
        for sentence in re.split(r"(?<=[.?!]) ", text):
            if len(f"{kept} {sentence}".strip()) > limit:
                break
            kept = f"{kept} {sentence}".strip()
        return kept or text[: limit - 4].rsplit(" ", 1)[0] + " ..."
    return ""


def written(source: Path) -> str:
    """Return the description in a notebook's metadata; an empty text if there is none."""
    if source.suffix != ".ipynb":
        return ""
    metadata = json.loads(source.read_text(encoding="utf-8"))["metadata"]
    return metadata.get("myst", {}).get("html_meta", {}).get("description", "")


def description(source: Path, doctree: nodes.document) -> str:
    """Return what a page says of itself: its author's words, or its first sentences."""
    for meta in doctree.findall(nodes.meta):
        if meta.get("name") == "description":
            return meta["content"]
    return written(source) or first_sentences(doctree)


def tags(title: str, text: str, base: str, page: str, has_description: bool) -> str:
    """Write the elements for a page's head. A picture and an address need the site's own address, ``html_baseurl``.

    >>> print(tags("The spectrum", "A proof.", "", "book/x.html", False).splitlines()[0])
    <meta name="description" content="A proof." />
    >>> "og:image" in tags("The spectrum", "A proof.", "", "book/x.html", False)
    False
    >>> "https://a.example/lab/_static/card.png" in tags("T", "A.", "https://a.example/lab", "x.html", True)
    True
    """
    said = [] if has_description or not text else [("name", "description", text)]
    kind = "article" if page != "book/index.html" else "website"
    said += [("property", "og:type", kind), ("property", "og:site_name", SITE), ("property", "og:title", title)]
    said += [("property", "og:description", text)] if text else []
    if base:
        base = base.rstrip("/") + "/"
        said += [
            ("property", "og:url", base + page),
            ("property", "og:image", f"{base}_static/{CARD}"),
            ("property", "og:image:width", str(SIZE[0])),
            ("property", "og:image:height", str(SIZE[1])),
            ("property", "og:image:alt", f"{SITE}: {' '.join(SUBJECT)}"),
            ("name", "twitter:card", "summary_large_image"),
        ]
    return "".join(f'<meta {key}="{name}" content="{html.escape(value)}" />\n' for key, name, value in said)


def add(app: Sphinx, pagename: str, context: dict, doctree: nodes.document | None) -> None:
    """Add the elements to a page's head; the search page, which has no text of its own, stays without."""
    if doctree is None:
        return
    head = context.get("metatags") or ""
    text = description(Path(app.env.doc2path(pagename)), doctree)
    title = re.sub(r"<[^>]+>", "", html.unescape(context.get("title") or "")) or SITE
    title = re.sub(r"^[\d.]+ ", "", title)  # its number in the book
    own = 'name="description"' in head
    context["metatags"] = head + tags(title, text, app.config.html_baseurl, f"{pagename}.html", own)


# -------------------------------------------------------------------------------------------------------------- card


def _style(element: ET.Element) -> dict[str, str]:
    pairs = (part.partition(":") for part in (element.get("style") or "").split(";") if part)
    return {**element.attrib, **{name: value for name, _, value in pairs}}


def paint(ax: Axes, svg: str, left: float, top: float, scale: float) -> None:
    """Draw one of the book's drawings: its lines, polygons, dots, arrows and words, in pixels from a place on."""

    def walk(element: ET.Element, inherited: dict[str, str], x0: float, y0: float) -> None:
        look = {**inherited, **_style(element)}
        kind = element.tag.rpartition("}")[2]
        if move := re.fullmatch(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform") or ""):
            x0, y0 = x0 + float(move[1]), y0 + float(move[2])
            look.pop("transform")
        draw(kind, element, look, x0, y0)
        for child in element:
            walk(child, look, x0, y0)

    def place(points: list[tuple[float, float]], x0: float, y0: float) -> tuple[list[float], list[float]]:
        return [left + scale * (x0 + x) for x, _ in points], [top + scale * (y0 + y) for _, y in points]

    def draw(kind: str, element: ET.Element, look: dict[str, str], x0: float, y0: float) -> None:
        stroke, fill = look.get("stroke", "none"), look.get("fill", "none")
        line = {"lw": 0.72 * scale * float(look.get("stroke-width", 1)), "alpha": float(look.get("opacity", 1))}
        if dash := look.get("stroke-dasharray"):
            line["ls"] = (0, tuple(float(word) for word in dash.split()))
        if kind in ("polygon", "polyline"):
            points = [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]
            x, y = place(points + points[:1] * (kind == "polygon"), x0, y0)
            if fill != "none":
                ax.fill(x, y, color=fill, alpha=float(look.get("fill-opacity", 1)), lw=0)
            if stroke != "none":
                ax.plot(x, y, color=stroke, solid_joinstyle="round", solid_capstyle="round", **line)
        elif kind == "circle":
            x, y = place([(float(element.get("cx")), float(element.get("cy")))], x0, y0)
            ax.plot(x, y, "o", color=fill, ms=1.44 * scale * float(element.get("r")))
        elif kind == "path":
            points = []
            for part in re.findall(r"M[^M]+", element.get("d")):
                x = y = 0.0
                points = []
                for step, a, b in re.findall(r"([MLHV])([-\d.]+)(?:[ ,]([-\d.]+))?", part):
                    x, y = (float(a), float(b)) if step in "ML" else (float(a), y) if step == "H" else (x, float(a))
                    points.append((x, y))
                ax.plot(*place(points, x0, y0), color=stroke, solid_joinstyle="round", **line)
        elif kind == "text":
            x, y = place([(float(element.get("x")), float(element.get("y")))], x0, y0)
            ha = {"middle": "center", "end": "right"}.get(look.get("text-anchor"), "left")
            font = {
                "family": "serif" if "Georgia" in look.get("font-family", "") else "sans-serif",
                "style": look.get("font-style", "normal"),
                "weight": "bold" if look.get("font-weight") == "600" else "normal",
            }
            words = element.text.replace("ℒ", r"$\mathcal{L}$")  # no font of ours has the letter
            ax.text(x[0], y[0], words, color=fill, size=0.72 * scale * float(look["font-size"]), ha=ha, **font)

    walk(ET.fromstring(svg), {}, 0.0, 0.0)


def card() -> bytes:
    """Draw the picture that a shared link shows: mark, name, subject, and the book's chain, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width, height = SIZE
    fig = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor=token("paper", "light"))
    FigureCanvasAgg(fig)
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), frame_on=False, xticks=[], yticks=[])
    ink, muted = token("ink", "light"), token("muted", "light")
    ax.fill([0, 0, 14, 14], [0, height, height, 0], color=token("orthogonal", "light"), lw=0)
    paint(ax, drawings.mark("light"), 60, 56, 3.4)
    ax.text(196, 128, SITE, color=ink, size=35, weight="bold", va="baseline")
    for k, words in enumerate(SUBJECT):
        ax.text(60, 262 + 50 * k, words, color=ink, size=25, family="serif", va="baseline")
    for k, words in enumerate(PROMISE):
        ax.text(60, 400 + 32 * k, words, color=muted, size=14, va="baseline")
    paint(ax, drawings.chain("wide", "light"), 530, 216, 0.92)
    out = io.BytesIO()
    fig.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def write_card(folder: Path) -> Path:
    """Write the picture where the site's static files are collected, unless the same one is there."""
    target, picture = folder / CARD, card()
    if not target.exists() or target.read_bytes() != picture:
        target.write_bytes(picture)
    return target
