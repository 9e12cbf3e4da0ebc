"""Slide marks of the chapter notebooks: `python book/_ext/ortholab_marks.py` fills in those that are missing.

A mark is Jupyter's own, ``metadata.slideshow.slide_type``: JupyterLab shows and changes it (right sidebar, "Common
Tools"). The rule below fills only cells without a mark, so a mark that you set by hand stays.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKS = ("slide", "subslide", "fragment", "skip", "notes", "-")
# What a cell shows as a picture of its own.
PICTURE = re.compile(r"\b(plot\.show|explore\.show|claims\.show|Derivation)\(")
SHOWS = re.compile(r"\b(print|display)\(|" + PICTURE.pattern)
SAID = 260  # characters of prose that a slide takes; more is for the speaker


def notebooks(root: Path = ROOT) -> list[Path]:
    """List the chapter notebooks in order."""
    return sorted(root.glob("book/[0-9]*/*.ipynb"))


def _imports_only(source: str) -> bool:
    """Tell whether a cell does nothing but import."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a magic
        return False
    return bool(body) and all(isinstance(line, ast.Import | ast.ImportFrom) for line in body)


def _shows(source: str) -> bool:
    """Tell whether a cell prints, draws, or ends in a value."""
    if SHOWS.search(source):
        return True
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return True
    return bool(body) and isinstance(body[-1], ast.Expr)


def _plain_prose(source: str) -> bool:
    """Tell whether a Markdown cell is nothing but paragraphs: no heading, formula, list, table, figure or directive."""
    return not re.search(r"^(#|\$\$|[-*|>]\s?|\d+\.\s|```|:::|!\[|\s*\\begin|\||<)", source, flags=re.M)


def _short_lead(cell: dict | None) -> bool:
    """Tell whether a Markdown cell ends in a heading and a paragraph or two: too little for a slide of its own."""
    if cell is None or cell["cell_type"] == "code":
        return False
    end = re.split(r"^#+ .*$", "".join(cell["source"]), flags=re.M)[-1].strip()
    return _plain_prose(end) and end.count("\n\n") < 2


def rule(cell: dict, before: dict | None = None) -> str:
    """Return the mark of a cell that has none; ``before`` is the cell before it.

    A heading of level 1 or 2 starts a slide, one of level 3 or more a subslide. Long plain prose is for the speaker's
    notes. A picture (figure, explorable, derivation, verdict) starts a subslide, unless a lone sentence leads to it.
    Cells that the book hides, imports, and folded cells that show nothing are skipped. Everything else goes on with the
    slide before it.

    >>> rule({"cell_type": "markdown", "metadata": {}, "source": "## The set"})
    'slide'
    >>> rule({"cell_type": "code", "metadata": {}, "source": "import numpy as np"})
    'skip'
    """
    source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
    if cell["cell_type"] != "code":
        heading = re.match(r"\s*(?:\([\w-]+\)=\s*)?(#+) ", source)
        if heading:
            return "slide" if len(heading[1]) <= 2 else "subslide"
        return "notes" if _plain_prose(source) and len(source) > SAID else "-"
    if {"remove-cell", "remove-output"} & set(tags) or _imports_only(source):
        return "skip"
    if PICTURE.search(source):
        return "-" if _short_lead(before) else "subslide"
    if not _shows(source) and {"hide-input", "remove-input", "hide-cell"} & set(tags):
        return "skip"
    return "-"


def mark_of(cell: dict) -> str | None:
    """Return the mark that a cell has, or None. JupyterLab writes an empty one for "-"."""
    slideshow = cell["metadata"].get("slideshow")
    return None if slideshow is None else slideshow.get("slide_type") or "-"


def marks(path: Path) -> list[str]:
    """Read the marks of a notebook; a cell without one gets the rule's.

    Raises:
        ValueError: a mark is none of Jupyter's.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    found = []
    for number, cell in enumerate(cells):
        mark = mark_of(cell) or rule(cell, cells[number - 1] if number else None)
        if mark not in MARKS:
            raise ValueError(f"{path.name}, cell {number}: slide_type {mark!r} is none of {', '.join(MARKS)}")
        found.append(mark)
    return found


def fill(path: Path) -> int:
    """Write the rule's mark into each cell of a notebook that has none; return how many there were."""
    book = json.loads(path.read_text(encoding="utf-8"))
    before = [None, *book["cells"]]
    missing = [(cell, rule(cell, before[n])) for n, cell in enumerate(book["cells"]) if mark_of(cell) is None]
    for cell, mark in missing:
        cell["metadata"] = dict(sorted({**cell["metadata"], "slideshow": {"slide_type": mark}}.items()))
    if missing:
        path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(missing)


if __name__ == "__main__":
    for each in [Path(word) for word in sys.argv[1:]] or notebooks():
        print(f"{each}: {fill(each)} marks filled in")
