"""What a page says of itself: its title, its description, and the card of a shared link."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import ortholab_cards as cards
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document
from site_tools import ROOT, toc_files

NAMES = toc_files()
SOURCES = {name: next(p for s in (".md", ".ipynb") if (p := ROOT / f"{name}{s}").exists()) for name in NAMES}


def text_of(name: str) -> str:
    """Return a page's Markdown; an assignment's page shows the assignment's notebook."""
    path = SOURCES[name]
    if name.startswith("book/course/") and re.match(r"book/course/\d", name):
        path = ROOT / "book" / "assignments" / f"{path.stem}.ipynb"
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def title_of(name: str) -> str:
    """Return the heading of level 1."""
    return re.search(r"(?m)^# (.+)$", text_of(name))[1]


def description_of(name: str) -> str:
    """Return the description that a page's source holds."""
    path = SOURCES[name]
    if path.suffix == ".ipynb":
        return cards.written(path)
    front = path.read_text(encoding="utf-8").split("---\n")
    assert front[0] == "", f"{name} has no front matter"
    return yaml.safe_load(front[1])["myst"]["html_meta"]["description"]


def wanting(said: dict[str, str], low: int, high: int) -> list[str]:
    """List the pages whose text is too short, too long, or that of another page."""
    texts = list(said.values())
    return [name for name, text in said.items() if not low <= len(text) <= high or texts.count(text) > 1]


def test_every_page_has_a_title_of_its_own():
    assert wanting({name: title_of(name) for name in NAMES}, 5, 60) == []


def test_every_page_has_a_description_of_its_own():
    assert wanting({name: description_of(name) for name in NAMES}, 50, 160) == []


def test_the_check_finds_short_long_and_equal_texts():
    said = {"a": "x" * 60, "b": "y" * 40, "c": "z" * 170, "d": "x" * 60, "e": "w" * 60}
    assert wanting(said, 50, 160) == ["a", "b", "c", "d"]


def document(*paragraphs: str) -> nodes.document:
    """Make a page with these paragraphs."""
    page, section = new_document("page"), nodes.section()
    page += section
    for text in paragraphs:
        section += nodes.paragraph("", text)
    return page


def test_a_page_without_a_description_is_described_by_its_first_sentences():
    first, second = "This is the first sentence of a page of this book.", "The second one does not fit " + "in " * 60
    assert cards.first_sentences(document("Short.", f"{first} {second}.")) == first
    cut = cards.first_sentences(document("word " * 60))
    assert cut.endswith(" ...")
    assert len(cut) <= 160
    assert cards.first_sentences(document("Short.")) == ""


def test_the_author_s_words_come_first(tmp_path):
    page = tmp_path / "page.ipynb"
    page.write_text(json.dumps({"metadata": {"myst": {"html_meta": {"description": "Mine."}}}, "cells": []}))
    long = "A paragraph that is long enough to be taken for a description."
    assert cards.description(page, document(long)) == "Mine."
    assert cards.description(tmp_path / "page.md", document(long)) == long
    with_meta = document(long)
    with_meta += nodes.meta(name="description", content="From the front matter.")
    assert cards.description(tmp_path / "page.md", with_meta) == "From the front matter."


def test_a_card_is_asked_for_only_where_the_site_has_an_address():
    told = {
        base: cards.tags('A "title"', "Said <so>.", base, "a/b.html", False) for base in ("", "https://a.example/x")
    }
    head = {base: BeautifulSoup(text, "html.parser") for base, text in told.items()}
    for page in head.values():
        assert page.find("meta", attrs={"property": "og:title"})["content"] == 'A "title"'
        assert page.find("meta", attrs={"name": "description"})["content"] == "Said <so>."
    assert not head[""].find("meta", attrs={"property": re.compile("image|url")})
    image = head["https://a.example/x"].find("meta", attrs={"property": "og:image"})
    assert image["content"] == "https://a.example/x/_static/card.png"
    address = head["https://a.example/x"].find("meta", attrs={"property": "og:url"})
    assert address["content"] == "https://a.example/x/a/b.html"


def pixels(png: bytes) -> np.ndarray:
    """Read a picture."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def close_to(picture: np.ndarray, colour: str) -> int:
    """Count the pixels of one colour."""
    wanted = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)])
    return int((np.abs(picture - wanted).max(axis=2) < 12).sum())


def test_the_card_is_drawn(tmp_path):
    path = cards.write_card(tmp_path)
    picture = pixels(path.read_bytes())
    assert picture.shape == (630, 1200, 3)
    for name in ("ink", "orthogonal", "gaussian", "ordered", "chaotic", "accent"):
        assert close_to(picture[:, 14:], cards.token(name, "light")) > 30, name
    made = path.stat().st_mtime_ns
    assert cards.write_card(tmp_path).stat().st_mtime_ns == made, "the same picture is written again"


LINE = '<polyline points="0,0 20,0" stroke-width="4" style="stroke:#ff0000"/>'


@pytest.mark.parametrize(
    ("element", "at"),
    [
        ('<polygon points="0,0 10,0 10,10" style="fill:#ff0000"/>', (25, 22)),
        (f'<g transform="translate(10 5)">{LINE}</g>', (40, 30)),
        ('<circle cx="10" cy="10" r="5" style="fill:#ff0000"/>', (40, 40)),
        ('<path d="M0 10H20" stroke-width="4" style="fill:none;stroke:#ff0000"/>', (40, 40)),
    ],
)  # fmt: skip
def test_each_kind_of_mark_is_painted_at_its_place(element, at):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(1, 1), dpi=100)
    canvas = FigureCanvasAgg(fig)
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, 100), ylim=(100, 0), frame_on=False, xticks=[], yticks=[])
    cards.paint(ax, f'<svg xmlns="http://www.w3.org/2000/svg">{element}</svg>', 20, 20, 2)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    assert close_to(picture, "#ff0000") > 20
    x, y = at
    assert tuple(picture[y, x + 5 * (at == (25, 22))]) == (255, 0, 0)


# ---------------------------------------------------------------------------------------------------------- the site


@pytest.mark.site
@pytest.mark.parametrize("name", NAMES)
def test_a_built_page_says_it(site, name):
    head = (site / f"{name}.html").read_text(encoding="utf-8").partition("</head>")[0]
    page = BeautifulSoup(head, "html.parser")
    (said,) = page.find_all("meta", attrs={"name": "description"})
    assert said["content"] == description_of(name)
    shared = {tag["property"]: tag["content"] for tag in page.find_all("meta", attrs={"property": re.compile("^og:")})}
    assert shared["og:description"] == said["content"]
    assert shared["og:site_name"] == "Orthogonality Lab"
    assert shared["og:title"] in page.title.get_text()
    base = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]["html_baseurl"]
    assert ("og:image" in shared) == bool(base)


@pytest.mark.site
def test_the_card_lies_in_the_site(site):
    assert pixels((site / "_static" / "card.png").read_bytes()).shape == (630, 1200, 3)
