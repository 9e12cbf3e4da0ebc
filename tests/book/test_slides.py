"""Slides: every cell has a mark, the rule fills only what is missing, and a deck fits its screens and works offline."""

from __future__ import annotations

import json
import shutil

import nbformat
import ortholab_cells
import ortholab_marks
import ortholab_reveal
import ortholab_slides
import pytest
from bs4 import BeautifulSoup
from jupyter_cache import get_cache
from jupyter_cache.cache.main import JupyterCacheBase
from ortholab_marks import ROOT, fill, mark_of, marks, notebooks, rule
from site_tools import need, open_page, serve

NOTEBOOKS = notebooks()
NAMES = [path.relative_to(ROOT).with_suffix("").as_posix() for path in NOTEBOOKS]


def cell(source, kind="code", *tags, **metadata):
    """Make a cell."""
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags), **metadata}}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_every_cell_of_every_chapter_is_marked(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    missing = [c["id"] for c in cells if mark_of(c) is None]
    assert missing == [], f"fill them in with `python book/_ext/ortholab_marks.py {path}`"
    assert set(marks(path)) <= set(ortholab_marks.MARKS)
    assert marks(path)[0] == "slide"


def test_every_notebook_of_the_book_has_a_deck_to_be():
    assert len(NOTEBOOKS) >= 19


@pytest.mark.parametrize(
    ("made", "mark"),
    [
        (cell("## The set\n\nText.", "markdown"), "slide"),
        (cell("(label)=\n# The page", "markdown"), "slide"),
        (cell("### A detail", "markdown"), "subslide"),
        (cell("A short sentence.", "markdown"), "-"),
        (cell("A long one. " * 40, "markdown"), "notes"),
        (cell("A long one. " * 40 + "\n\n$$\nx\n$$", "markdown"), "-"),
        (cell("import numpy as np\nfrom scipy import linalg"), "skip"),
        (cell("import numpy as np\nprint(np.pi)"), "-"),
        (cell("x = 1\nassert x", "code", "hide-input"), "skip"),
        (cell("x = 1\nassert x"), "-"),
        (cell("print(1)", "code", "remove-cell"), "skip"),
        (cell('plot.show(fig, name="a")', "code", "hide-input"), "subslide"),
    ],
)
def test_the_rule(made, mark):
    assert rule(made) == mark


def test_a_picture_follows_a_lone_sentence_on_its_slide():
    picture = cell("plot.show(fig)")
    assert rule(picture, cell("## Paths\n\nLook at this.", "markdown")) == "-"
    assert rule(picture, cell("## Paths\n\nOne.\n\nTwo.\n\nThree.", "markdown")) == "subslide"
    assert rule(picture, cell("print(1)")) == "subslide"


def test_marks_made_by_hand_stay_and_the_file_keeps_its_form(tmp_path):
    path = tmp_path / "page.ipynb"
    book = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    for each in book["cells"]:
        del each["metadata"]["slideshow"]
    book["cells"][3]["metadata"]["slideshow"] = {"slide_type": "fragment"}
    book["cells"][4]["metadata"]["slideshow"] = {"slide_type": ""}  # JupyterLab's "-"
    bare = json.dumps(book, indent=1, ensure_ascii=False) + "\n"
    path.write_text(bare, encoding="utf-8")

    assert fill(path) == len(book["cells"]) - 2
    filled = path.read_text(encoding="utf-8")
    assert marks(path)[3:5] == ["fragment", "-"]
    assert fill(path) == 0
    assert path.read_text(encoding="utf-8") == filled
    again = json.loads(filled)
    for old, new in zip(book["cells"], again["cells"], strict=True):
        assert {**old, "metadata": 0} == {**new, "metadata": 0}
    assert len(filled.splitlines()) <= len(bare.splitlines()) + 5 * len(book["cells"])


def test_a_changed_mark_runs_no_notebook_again_but_a_changed_tag_does(tmp_path, monkeypatch):
    plain = JupyterCacheBase.create_hashed_notebook
    monkeypatch.setattr(JupyterCacheBase, "create_hashed_notebook", plain)  # undone after the test
    ortholab_cells.marks_run_nothing()
    cache, book = get_cache(tmp_path), nbformat.read(NOTEBOOKS[0], 4)
    before = cache.create_hashed_notebook(book)[1]
    code = next(c for c in book.cells if c.cell_type == "code")
    code.metadata["slideshow"] = {"slide_type": "fragment"}
    assert cache.create_hashed_notebook(book)[1] == before
    code.metadata["tags"] = ["raises-exception"]
    assert cache.create_hashed_notebook(book)[1] != before


def test_an_unknown_mark_is_named(tmp_path):
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps({"cells": [cell("x", slideshow={"slide_type": "slides"})]}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.ipynb, cell 0: slide_type 'slides'"):
        marks(path)


LONG = "It is long. " * 30
PAGE = f"""<article class="bd-article"><section id="page"><!-- cell 0 -->
<h1>3. Page<a class="headerlink" href="#page">#</a></h1><p>{LONG}The end is:</p><ul><li><p>one</p></li></ul>
<!-- cell 1 --><div class="cell"><div class="cell_input">import this</div></div>
<!-- cell 2 --><div class="cell"><details class="hide"><div class="cell_input">folded()</div></details>
<div class="cell_output"><figure><svg viewBox="0 0 9 9"></svg></figure></div></div>
<section id="more"><!-- cell 3 --><h2>3.1. More</h2><p>Short, <a href="other.html#x">there</a>.</p>
<div class="exercise admonition"><section><p>Show it.</p></section></div>
<div class="solution dropdown admonition"><section><p>The secret.</p></section></div>
<div class="exercise admonition"><section><p>Again.</p></section></div></section></section></article>"""


@pytest.fixture
def page(tmp_path):
    """A small page."""
    path = tmp_path / "page.html"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_a_page_is_cut_at_its_marks(page):
    article, aside = ortholab_slides.read(page, set())
    assert aside == ['<svg viewBox="0 0 9 9"></svg>']
    deck = ortholab_slides.cut(article, ["slide", "skip", "subslide", "slide"], "Page")
    assert [[slide.title for slide in stack] for stack in deck.stacks] == [["3. Page"] * 2, ["3.1. More"] * 3]
    assert deck.count == 5
    written = BeautifulSoup(ortholab_slides.sections(deck, "I"), "html.parser")
    said = " ".join(note.extract().get_text() for note in written.find_all("aside"))
    shown = written.get_text()
    assert "The secret" in said
    assert "The secret" not in shown
    assert "The end is:" in shown  # it leads to the list
    assert shown.count("It is long.") == 0
    assert "import this" not in shown
    assert "folded" not in shown
    assert written.find("figure") is not None
    assert written.find("a") is None  # the other page has no deck
    assert len(written.select("section")) == 2 + 5  # none is left inside a box


def test_code_that_only_calls_a_picture_is_not_shown():
    page = '<div class="cell"><div class="cell_input">{}</div><div class="cell_output"><p>seen</p></div></div>'
    shown = {}
    for code in ('explore.show("a")\nclaims.show("b")', 'x = 1\nexplore.show("a")'):
        tag = BeautifulSoup(page.format(code), "html.parser").div
        shown[code] = "".join(ortholab_slides.outputs(tag))
        assert "seen" in shown[code]
    assert ["show(" in text for text in shown.values()] == [False, True]


def test_hand_made_notes_and_fragments_are_kept(page):
    deck = ortholab_slides.cut(ortholab_slides.read(page, set())[0], ["slide", "skip", "fragment", "notes"], "Page")
    assert deck.count == 1
    (slide,) = deck.stacks[0]
    assert sum(block.startswith('<div class="fragment">') for block in slide.blocks) == 1
    assert any("Show it." in block and block.startswith("<aside") for block in slide.blocks)


def test_a_page_without_marks_of_cells_says_what_to_do(page):
    page.write_text(PAGE.replace("<!--", "<!-- no"), encoding="utf-8")
    with pytest.raises(ValueError, match="make book"):
        ortholab_slides.blocks(ortholab_slides.read(page, set())[0])


def test_without_reveal_the_public_address_is_named(tmp_path, capsys):
    (tmp_path / "site").mkdir()
    found = ortholab_reveal.copy_assets(tmp_path / "site", tmp_path / "out", tmp_path / "none")
    assert found == ortholab_reveal.REVEAL_CDN
    assert found in capsys.readouterr().out
    assert f"REVEAL_VERSION := {ortholab_reveal.REVEAL_VERSION}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


# ---- the built decks, in a browser ----

MEASURE = """() => {
  const slides = Reveal.getSlides(), scale = Reveal.getScale();
  for (const slide of slides) for (const el of [slide, slide.parentElement]) {
    el.hidden = false;
    el.style.setProperty("display", "block", "important");
  }
  return slides.map((slide) => {
    const top = slide.getBoundingClientRect();
    const most = (what, edge, from) =>
      Math.max(0, ...[...slide.querySelectorAll(what)].map((el) => (el.getBoundingClientRect()[edge] - from) / scale));
    return { at: slide.place?.at, part: slide.place?.part, title: slide.querySelector("h1, h2")?.textContent ?? "",
      low: most(":scope > *:not(aside)", "bottom", top.top),
      wide: most("mjx-container, pre, figure, table", "right", top.left),
      scrolls: !!slide.querySelector(".ol-scrolls"), empty: slide.innerText.trim().length < 3 };
  });
}"""


@pytest.fixture(scope="module")
def decks(site, tmp_path_factory):
    """The decks of the built book; reveal.js where `make slides` keeps it."""
    reveal = ROOT / ".make" / "reveal"
    need(
        (reveal / "dist" / "reveal.js").exists(), "reveal.js is not in .make/reveal: `make slides` fetches it with npm"
    )
    out = tmp_path_factory.mktemp("slides")
    made = ortholab_slides.build(site, out, reveal)
    with serve(out) as address:
        yield address, made
    shutil.rmtree(out)


@pytest.mark.site
@pytest.mark.browser
@pytest.mark.parametrize("name", NAMES)
def test_a_deck_fits_its_screens_and_moves(decks, browser, name):
    address, made = decks
    with open_page(browser, f"{address}/{name}.html", width=1280) as (page, trouble):
        page.wait_for_function("() => document.documentElement.classList.contains('ready')", timeout=120_000)
        page.keyboard.press("ArrowRight")
        assert page.evaluate("() => Reveal.getIndices().h") == 1
        page.keyboard.press("Space")
        assert page.evaluate("() => Reveal.getCurrentSlide() !== Reveal.getSlides()[0]")
        screens = page.evaluate(MEASURE)
        assert max(screen["at"] for screen in screens) == made[name].count
        over = [s for s in screens if s["low"] > 721 or s["wide"] > 1290 or s["scrolls"] or s["empty"]]
        assert over == []
        assert page.evaluate("() => document.querySelectorAll('.slides mjx-container').length") > 10
        assert page.evaluate("() => document.querySelectorAll('.slides mjx-merror').length") == 0
        assert trouble.external == []
        assert trouble.failed == []
        assert trouble.errors == []


@pytest.mark.site
@pytest.mark.browser
def test_the_list_of_decks_leads_to_each(decks, browser):
    address, made = decks
    with open_page(browser, f"{address}/index.html") as (page, trouble):
        links = page.eval_on_selector_all(
            "main li", "all => all.map(li => [li.querySelector('a').pathname, li.innerText])"
        )
        assert [path for path, _ in links] == [f"/{name}.html" for name in made]
        assert all(f"{made[n].count} slides" in text for n, (_, text) in zip(made, links, strict=True))
        assert trouble.errors == []
