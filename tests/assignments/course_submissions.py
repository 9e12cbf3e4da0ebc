"""Make submissions from an assignment's release: with answers filled in, and in every way that one can be broken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat

from ortholab.course.source import tag

TOY = Path(__file__).parent / "toy"


def stripped(path: Path) -> Any:
    """Read a source as a student gets it, without nbgrader's help: what the release must be, up to checksums."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if tag(cell).get("solution") and "### BEGIN SOLUTION" not in cell.source:
            cell.source = (
                "YOUR ANSWER HERE" if cell.cell_type == "markdown" else "# YOUR CODE HERE\nraise NotImplementedError()"
            )
        stub = (
            "YOUR ANSWER HERE" if cell.cell_type == "markdown" else r"\1# YOUR CODE HERE\n\1raise NotImplementedError()"
        )
        cell.source = re.sub(r"(?ms)^([ ]*)### BEGIN SOLUTION\n.*?### END SOLUTION", stub, cell.source)
        cell.source = re.sub(r"(?ms)\n?[ ]*### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS", "", cell.source)
    return notebook


def solved(path: Path) -> Any:
    """Read a source as a perfect student hands it in: the release with the source's own answers."""
    notebook, source = stripped(path), nbformat.read(path, as_version=4)
    for cell, own in zip(notebook.cells, source.cells, strict=True):
        if tag(cell).get("solution"):
            cell.source = re.sub(r"[ ]*### (BEGIN|END) SOLUTION\n?", "", own.source)
    return notebook


def answered(path: Path, answers: dict[str, str]) -> Any:
    """Return the perfect submission with other texts in the answer cells that ``answers`` names."""
    notebook = solved(path)
    for cell in notebook.cells:
        cell.source = answers.get(tag(cell).get("grade_id", ""), cell.source)
    return notebook


def write(notebook: Any, folder: Path, student: str, name: str) -> Path:
    """Write a submission as ``folder/student/name.ipynb``."""
    path = folder / student / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path
