"""Run one part of an assignment's source with another answer in its solution cell, in this process.

nbgrader is not needed.

A source has cells of three kinds: solution cells (the worked answer), test cells (graded and locked), and the rest.
A coded part `name` is one solution cell with grade_id `name` and test cells with grade_ids `name-visible`,
`name-hidden` and the like. No part needs the answer of another part.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "book" / "assignments"
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", re.DOTALL)
SOLUTION = re.compile(r"### BEGIN SOLUTION.*?### END SOLUTION", re.DOTALL)
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"


@dataclass(frozen=True)
class Cell:
    """One cell of a source: its text, and what nbgrader is told of it."""

    kind: str
    id: str
    text: str
    grade_id: str
    solution: bool
    graded: bool
    points: float

    @property
    def is_test(self) -> bool:
        return self.graded and not self.solution


@cache
def cells(name: str) -> tuple[Cell, ...]:
    """Return the cells of `book/assignments/{name}.ipynb`."""
    notebook = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))
    found = []
    for cell in notebook["cells"]:
        told = cell["metadata"].get("nbgrader", {})
        found.append(
            Cell(
                kind=cell["cell_type"],
                id=cell["id"],
                text="".join(cell["source"]),
                grade_id=told.get("grade_id", ""),
                solution=told.get("solution", False),
                graded=told.get("grade", False),
                points=told.get("points", 0),
            )
        )
    return tuple(found)


def parts(name: str) -> list[str]:
    """Return the grade_ids of the coded parts, in order."""
    return [c.grade_id for c in cells(name) if c.kind == "code" and c.solution]


def tests(name: str, part: str) -> list[Cell]:
    """Return the test cells of a part, in order."""
    return [c for c in cells(name) if c.is_test and c.grade_id.startswith(part + "-")]


def stub(name: str, part: str) -> str:
    """Return what a student finds in the solution cell of a part."""
    return re.sub(SOLUTION, STUB.replace("\n", "\n    "), answer(name, part))


def answer(name: str, part: str) -> str:
    """Return the source's own answer to a part."""
    return next(c.text for c in cells(name) if c.grade_id == part)


def run(name: str, part: str, replaced: str | None = None, *, hidden: bool = True) -> dict[str, BaseException | None]:
    """Return, for each test cell of a part, the exception that it raised, or None where it passed.

    The cells that are neither answers nor tests run first. `replaced` is a whole cell in place of the answer (None:
    the source's own). An answer that raises while it is defined fails every test.
    """
    space = {"__name__": "assignment"}
    for cell in cells(name):
        if cell.kind == "code" and not cell.solution and not cell.is_test:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(cell.text, cell.id, "exec"), space)
    broken = None
    try:
        exec(compile(answer(name, part) if replaced is None else replaced, part, "exec"), space)
    except Exception as error:
        broken = error
    outcome: dict[str, BaseException | None] = {}
    for test in tests(name, part):
        outcome[test.grade_id] = broken
        if broken is not None:
            continue
        try:
            exec(compile(test.text if hidden else HIDDEN.sub("", test.text), test.id, "exec"), space)
        except Exception as error:
            outcome[test.grade_id] = error
    return outcome


def message(name: str, part: str, replaced: str) -> str:
    """Return the first message that this answer earns in its part; fail if it passes every test."""
    failed = [error for error in run(name, part, replaced).values() if error is not None]
    assert failed, f"a wrong answer to {name}, {part} passes every test:\n{replaced}"
    return f"{type(failed[0]).__name__}: {failed[0]}"


def changed(name: str, part: str, old: str, new: str) -> str:
    """Return the source's answer to a part with one piece of its text changed: a plausible wrong answer."""
    right = answer(name, part)
    assert old in right, f"{name}, {part} does not hold {old!r}"
    return right.replace(old, new)


def marks(name: str) -> dict[str, float]:
    """Return the points of every graded cell by grade_id."""
    return {c.grade_id: c.points for c in cells(name) if c.graded}
