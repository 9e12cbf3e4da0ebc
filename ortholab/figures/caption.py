"""The line of provenance below a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ortholab.experiments.results import Results


def captioned(fig: Figure, results: Results) -> Figure:
    """Put the provenance below the figure: a picture that is passed on says where it comes from."""
    words = results.provenance.split("; ")
    fig.supxlabel("; ".join(words[:2]) + "\n" + "; ".join(words[2:]), fontsize=6)
    return fig
