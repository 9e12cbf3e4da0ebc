"""Explorables: pictures with sliders whose every move is computed by the library's own Python.

One declaration runs in three hosts: with a kernel (JupyterLab, VS Code, Colab), in the built page through Pyodide, and
from values stored at build time.  What computes is numpy, scipy and :mod:`ortholab.theory` only.

>>> from ortholab import explore
>>> "phase_plane" in explore.names()
True
"""

from __future__ import annotations

import os
from importlib import import_module

from ortholab.errors import check_choice
from ortholab.explore.controls import Choice, Formula, Plane, Range, Switch
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture

__all__ = [
    "Choice", "Explorable", "Formula", "Panel", "Picture", "Plane", "Range", "Switch", "answer", "get", "names", "show",
]  # fmt: skip

# Set while the book is built: then a cell's output is plain HTML with stored values, and no widget.
STATIC = "ORTHOLAB_STATIC"

# One a file of ortholab/explore/gallery, in the order of the book; each file defines EXPLORABLE.
GALLERY = (
    "phase_plane",
    "cobwebs",
    "jacobian_spectrum",
    "matrix_products",
    "saxe_modes",
    "edge_laws",
    "which_depth",
    "retraction_paths",
    "spectral_margin",
    "srip",
    "rnn_jacobian",
    "penalty_flow",
)

# Short trainings, one a file of ortholab/explore/films; each defines FILM. They need torch.
FILMS = ("deep_training", "rnn_penalties")


def names() -> tuple[str, ...]:
    """The names of all explorables, in the order of the book.

    >>> names()[0]
    'phase_plane'
    """
    return GALLERY


def get(name: str) -> Explorable:
    """Return an explorable or a film by its name; raises ArgumentError, with the names, for any other.

    >>> get("phase_plane").defaults()["sigma_b"]
    0.3
    """
    check_choice("name", name, (*GALLERY, *FILMS))
    if name in FILMS:
        return import_module(f"{__name__}.films.{name}").FILM
    return import_module(f"{__name__}.gallery.{name}").EXPLORABLE


def answer(name: str, request: str) -> str:
    """Answer a front end: the explorable's name and a JSON object of control values; see Explorable.answer_text.

    >>> answer("phase_plane", '{"sigma_w": -1}')[:40]
    '{"error": "sigma_w must be a number in ['
    """
    return get(name).answer_text(request)


def show(name: str) -> None:
    """Show an explorable below a notebook's cell: live with a kernel, with stored values in the built book.

    Outside a notebook it prints the readout at the default values. Raises ArgumentError for an unknown name.

    >>> show("phase_plane")
    [explorable: ...
    """
    from ortholab._html import Html
    from ortholab.explore.markup import to_plain

    static = os.environ.get(STATIC)
    explorable = get(name) if static else get(name).live()
    text = f"[explorable: {to_plain(explorable.title)}] {to_plain(explorable.picture().readout)}"
    if static:
        from ortholab.explore.page import html

        Html(html(explorable, kicker="Watch" if name in FILMS else "Try it"), text).show()
        return
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display

        in_notebook = get_ipython() is not None
    except ImportError:
        in_notebook = False
    if in_notebook:
        from ortholab.explore.widget import ExplorableWidget

        display(ExplorableWidget(explorable))
    else:
        print(text)
