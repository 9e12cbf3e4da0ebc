"""Where a cell of a notebook begins on its page: an HTML comment, which the slides are cut at (ortholab_slides.py)."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

# MyST-NB gives line L of cell C (both from 0) the line number 10,000 (C + 1) + L.
LINES_PER_CELL = 10_000


def cell_of(node: nodes.Node) -> int | None:
    """Tell from which cell a node of a notebook comes; None where the node does not know."""
    line = getattr(node, "line", None)
    return None if line is None or line < LINES_PER_CELL else line // LINES_PER_CELL - 1


def mark_cells(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put ``<!-- cell C -->`` before the first node of each cell; it changes nothing that a reader sees."""
    if not str(app.env.doc2path(docname)).endswith(".ipynb"):
        return
    last = None

    def walk(parent: nodes.Element) -> None:
        nonlocal last
        for node in list(parent.children):
            if isinstance(node, nodes.title):  # nothing may stand before it; its section has the mark
                continue
            cell = cell_of(node)
            if cell is not None and cell != last:
                last = cell
                parent.insert(parent.index(node), nodes.raw("", f"<!-- cell {cell} -->\n", format="html"))
            if isinstance(node, nodes.section):
                walk(node)

    walk(doctree)
