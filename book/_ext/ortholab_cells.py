"""Where a cell of a notebook begins on its page: an HTML comment, which the slides are cut at (ortholab_slides.py)."""

from __future__ import annotations

import copy

from docutils import nodes
from jupyter_cache.cache.main import JupyterCacheBase
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


def marks_run_nothing() -> None:
    """Let the cache of executed notebooks ignore slide marks: to change one runs no notebook again."""
    plain = JupyterCacheBase.create_hashed_notebook
    if getattr(plain, "ignores_marks", False):
        return

    def without_marks(self: JupyterCacheBase, nb: object, *arguments: object, **named: object) -> tuple:
        nb = copy.deepcopy(nb)
        for cell in nb.cells:
            cell.metadata.pop("slideshow", None)
        return plain(self, nb, *arguments, **named)

    without_marks.ignores_marks = True
    JupyterCacheBase.create_hashed_notebook = without_marks
