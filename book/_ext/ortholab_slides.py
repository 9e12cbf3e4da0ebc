"""Cut the built pages of the chapters into slides: `make slides`, or `python book/_ext/ortholab_slides.py`.

The pages of _build/html hold what the notebooks' cells became, outputs and all, with a comment where each cell begins
(ortholab_cells.py); the notebooks hold the marks (ortholab_marks.py). This file puts the two together; nothing runs
again. slides/slides.js then breaks what is too long for one screen, in the browser, where heights are known.
"""

from __future__ import annotations

import html
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from bs4 import BeautifulSoup, Comment, NavigableString, Tag

from ortholab_marks import ROOT, SAID, marks
from ortholab_reveal import HERE, copy_assets

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


@dataclass
class Slide:
    """One slide: its blocks of HTML in order, some of them for the speaker."""

    title: str
    blocks: list[str] = field(default_factory=list)
    shown: bool = False


@dataclass
class Deck:
    """The slides of one page, in stacks: a stack is a slide and the subslides below it."""

    title: str
    stacks: list[list[Slide]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many slides there are."""
        return sum(map(len, self.stacks))


@dataclass
class Block:
    """A top-level piece of a page: from which cell, and what it is."""

    cell: int
    tag: Tag
    first: bool  # of its cell


def blocks(article: Tag) -> list[Block]:
    """Lay out the nested sections of a page as one list.

    Raises:
        ValueError: the page has no marks of cells.
    """
    found: list[Block] = []
    cell, seen = -1, -1

    def walk(parent: Tag) -> None:
        nonlocal cell, seen
        for node in parent.children:
            if isinstance(node, Comment) and (mark := re.fullmatch(r"\s*cell (\d+)\s*", node)):
                cell = int(mark[1])
            elif isinstance(node, Tag) and node.name == "section":
                walk(node)
            elif isinstance(node, Tag) and (node.get_text(strip=True) or node.find(True)):
                found.append(Block(cell, node, cell != seen))
                seen = cell

    walk(article)
    if cell < 0:
        raise ValueError("the page does not say where its cells begin: build the book again with `make book`")
    return [block for block in found if block.cell >= 0]


def sentence(paragraph: Tag, *, last: bool = False) -> str:
    """Return the first (or last) sentence of a paragraph, as HTML.

    >>> p = BeautifulSoup("<p>It is <em>so</em>. Why? Because.</p>", "html.parser").p
    >>> sentence(p), sentence(p, last=True)
    ('It is <em>so</em>.', 'Because.')
    """
    parts: list[list[str]] = [[]]
    for node in paragraph.children:
        if not isinstance(node, NavigableString):
            parts[-1].append(str(node))
            continue
        pieces = re.split(r"(?<=[.?!:])\s+(?=[A-Z])", str(node))
        for number, piece in enumerate(pieces):
            if number:
                parts.append([])
            parts[-1].append(html.escape(piece, quote=False))
        if re.search(r"[.?!]\s+$", str(node)):
            parts.append([])
    whole = [text for part in parts if (text := "".join(part).strip())]
    return whole[-1 if last else 0] if whole else ""


def note(content: str) -> str:
    """Put HTML into the speaker's notes."""
    return f'<aside class="notes">{content}</aside>'


def _is(tag: Tag, *classes: str) -> bool:
    return bool(set(classes) & set(tag.get("class", [])))


def _leads(tag: Tag | None) -> bool:
    """Tell whether a block stands in need of the sentence before it."""
    return tag is not None and (_is(tag, "math", "pst-scrollable-table-container") or tag.name in ("ul", "ol", "table"))


def prose(tag: Tag, following: Tag | None, after_formula: bool) -> list[str]:
    """Show a short paragraph; of a long one show a sentence and leave all of it to the speaker."""
    text = tag.get_text()
    if len(text) <= SAID or (after_formula and text[:1].islower() and len(text) <= 2 * SAID):
        return [str(tag)]
    return [f"<p>{sentence(tag, last=_leads(following))}</p>", note(str(tag))]


def outputs(tag: Tag) -> list[str]:
    """Return what a code cell shows: its code, unless the book folds it or it only calls a picture, and each output."""
    found = []
    source = tag.find(class_="cell_input", recursive=False)
    if source is not None and not ONLY_SHOWS.fullmatch(source.get_text().strip()):
        found.append(f'<div class="ol-code">{source.decode_contents()}</div>')
    for output in tag.select(":scope > .cell_output > *"):
        found.append(f'<div class="cell"><div class="cell_output">{output}</div></div>')
    return found


def show(block: Block, following: Block | None, before: Block | None) -> list[str]:
    """Turn one block into pieces of a slide."""
    tag = block.tag
    if _is(tag, "cell"):
        return outputs(tag)
    if _is(tag, "solution"):
        return [note(str(tag))]
    if tag.name == "p":
        return prose(tag, following and following.tag, before is not None and _is(before.tag, "math"))
    return [str(tag)]


def cut(article: Tag, mark_list: list[str], title: str) -> Deck:
    """Cut the blocks of a page into slides by the marks of its cells."""
    deck, found = Deck(title), blocks(article)
    for number, block in enumerate(found):
        mark, tag = mark_list[block.cell], block.tag
        if mark == "skip":
            continue
        before = found[number - 1] if number else None
        following = found[number + 1] if number + 1 < len(found) else None
        level = HEADINGS.index(tag.name) + 1 if tag.name in HEADINGS else 0
        heading = "".join(str(child) for child in tag.children) if level else ""
        starts = {1: "slide", 2: "slide"}.get(level, "subslide") if level else mark if block.first else ""
        if _is(tag, "exercise") and before is not None and before.tag.name not in HEADINGS:
            starts = "subslide"
        if mark == "notes":
            starts = ""
        if starts == "slide" or not deck.stacks:
            deck.stacks.append([Slide(heading)])
        elif starts == "subslide" and deck.stacks[-1][-1].shown:
            deck.stacks[-1].append(Slide(heading or deck.stacks[-1][-1].title))
        elif level:
            deck.stacks[-1][-1].title = heading
        slide = deck.stacks[-1][-1]
        if mark == "notes":
            slide.blocks.append(note(str(tag)))
        elif not level:
            pieces = show(block, following, before)
            if mark == "fragment":
                pieces = [p if p.startswith("<aside") else f'<div class="fragment">{p}</div>' for p in pieces]
            slide.blocks += pieces
            slide.shown = slide.shown or any(not piece.startswith("<aside") for piece in pieces)
    return deck


# The explorables' stylesheet and script, as ortholab_explore.tags writes them.
EXPLORABLE = re.compile(r'<link rel="stylesheet" href="[^"]*explorable\.css[^>]*><script defer [^>]*></script>')
ONLY_SHOWS = re.compile(r"((explore|claims)\.show\([^\n]*\)\n?)+")
STASHED = re.compile(r"<(svg|script)\b.*?</\1>", flags=re.S)


def read(page: Path, decks: set[Path]) -> tuple[Tag, list[str]]:
    """Read the article of a page, with its pictures put aside; links lead to decks or nowhere."""
    text = page.read_text(encoding="utf-8")
    text = EXPLORABLE.sub("", text[text.index("<article") : text.index("</article>")])
    aside: list[str] = []

    def put_aside(match: re.Match) -> str:
        aside.append(match[0])
        return f'<i data-aside="{len(aside) - 1}"></i>'

    article = BeautifulSoup(STASHED.sub(put_aside, text), "html.parser").article
    for link in article.find_all("a", class_="headerlink"):
        link.decompose()
    for inner in article.select(".admonition section"):  # reveal.js would take it for a slide
        inner.name = "div"
    for link in article.find_all("a", href=True):
        target = link["href"].partition("#")[0]
        if not re.match(r"https?:|mailto:", target) and target and (page.parent / target).resolve() not in decks:
            link.name = "span"
            del link["href"]
    return article, aside


def fill(template: str, **values: str) -> str:
    """Fill a template of slides/: each ``{{name}}``."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], (HERE / template).read_text(encoding="utf-8"))


def sections(deck: Deck, chapter: str) -> str:
    """Write the slides as reveal.js wants them: a section, or a section of sections."""
    written = []
    for number, stack in enumerate(deck.stacks):
        inner = []
        for place, slide in enumerate(stack):
            level = 1 if number == 0 and place == 0 else 2
            first = f'<p class="ol-kicker">{html.escape(chapter)}</p>' if level == 1 else ""
            again = ' class="ol-again"' if place and slide.title == stack[place - 1].title else ""
            head = f"<h{level}{again}>{slide.title}</h{level}>"
            inner.append(f"<section>{first}{head}\n" + "\n".join(slide.blocks) + "</section>")
        written.append(f"<section>{''.join(inner)}</section>")
    return "\n".join(written)


def write_deck(page: Path, notebook: Path, target: Path, chapter: str, decks: set[Path], reveal: str) -> Deck:
    """Write the deck of one page; return it.

    Raises:
        ValueError: the page is older than the marks of cells, or a mark is unknown.
    """
    article, aside = read(page, decks)
    heading = article.find("h1")
    deck = cut(article, marks(notebook), heading.get_text().strip())
    script = EXPLORABLE.search(page.read_text(encoding="utf-8"))
    body = re.sub(r'<i data-aside="(\d+)"></i>', lambda match: aside[int(match[1])], sections(deck, chapter))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        fill(
            "deck.html",
            title=html.escape(deck.title),
            slides=body,
            reveal=reveal,
            explorable=script[0] if script else "",
        ),
        encoding="utf-8",
    )
    return deck


def build(site: Path, out: Path, reveal: Path, root: Path = ROOT) -> dict[str, Deck]:
    """Write the decks of every chapter and their list, ``index.html``, into ``out``."""
    parts = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    chapters = {
        part["caption"]: [f["file"] for f in part["chapters"] if (root / f"{f['file']}.ipynb").exists()]
        for part in parts
        if part["numbered"]
    }
    names = [name for files in chapters.values() for name in files]
    decks = {(site / f"{name}.html").resolve() for name in names}
    where, made, lines = copy_assets(site, out, reveal), {}, []
    for caption, files in chapters.items():
        lines.append(f"<h2>{html.escape(caption)}</h2>\n<ol>")
        for name in files:
            page, notebook = site / f"{name}.html", root / f"{name}.ipynb"
            made[name] = write_deck(page, notebook, out / f"{name}.html", caption, decks, where)
            link = f'<a href="{name}.html">{html.escape(made[name].title)}</a>'
            lines.append(f"<li>{link} <span>{made[name].count} slides</span></li>")
        lines.append("</ol>")
    (out / "index.html").write_text(fill("index.html", decks="\n".join(lines)), encoding="utf-8")
    return made


if __name__ == "__main__":
    built = build(ROOT / "_build" / "html", ROOT / "_build" / "slides", ROOT / ".make" / "reveal")
    print(f"{sum(deck.count for deck in built.values())} slides in {len(built)} decks", file=sys.stderr)
