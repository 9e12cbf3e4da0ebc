"""What the grader knows of a source: its cells, its parts and points, and the text that must stay hidden."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ortholab.errors import ArgumentError

SECRET = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS|MARK SCHEME)\n(.*?)### END \1", re.DOTALL)
MINUTES = re.compile(r"(\d+) minutes")
SHORTEST = 10  # characters of a line without its spaces: shorter ones say nothing


@dataclass(frozen=True)
class Part:
    """A graded part: its heading, the grade cells with their points, its answer cells, the names that they define."""

    title: str
    points: dict[str, float]
    manual: frozenset[str]
    answers: tuple[str, ...]
    names: frozenset[str]

    @property
    def total(self) -> float:
        """The part's points."""
        return sum(self.points.values())

    @property
    def by_hand(self) -> float:
        """The points that a person gives."""
        return sum(self.points[cell] for cell in self.manual)

    @property
    def minutes(self) -> int:
        """The minutes that the part's heading states, 0 if it states none."""
        match = MINUTES.search(self.title)
        return int(match[1]) if match else 0


@dataclass
class Source:
    """One assignment's source notebook, read."""

    name: str
    path: Path
    cells: list[Any]
    parts: list[Part] = field(default_factory=list)

    @property
    def total(self) -> float:
        """The assignment's points."""
        return sum(part.total for part in self.parts)

    @property
    def minutes(self) -> int:
        """The sum of the parts' minutes."""
        return sum(part.minutes for part in self.parts)

    def part_of(self, grade_id: str) -> Part:
        """Return the part that holds a grade cell."""
        return next(part for part in self.parts if grade_id in part.points)


def tag(cell: Any) -> dict:
    """Return a cell's nbgrader metadata, or an empty dictionary."""
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def read(path: Path) -> Source:
    """Read a source notebook; raise ArgumentError unless it is an nbgrader notebook with graded cells."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises many kinds
        raise ArgumentError(f"{path} is not a notebook: {error}") from None
    source = Source(path.stem, path, notebook.cells)
    source.parts = list(_parts(notebook.cells))
    if not source.parts:
        raise ArgumentError(f"{path} has no graded cell")
    return source


def read_all(folder: Path) -> dict[str, Source]:
    """Read every source in a folder, by name, in order; raise ArgumentError where there is none."""
    found = {path.stem: read(path) for path in sorted(Path(folder).glob("*.ipynb"))}
    if not found:
        raise ArgumentError(f"{folder} holds no assignment source (*.ipynb)")
    return found


def _parts(cells: list[Any]) -> Iterator[Part]:
    """Group the graded cells by the heading that they stand under."""
    title, group = "", []
    for cell in [*cells, None]:
        heading = _heading(cell)
        if (cell is None or heading) and any(tag(c).get("grade") for c in group):
            yield _part(title, group)
            group = []
        if cell is not None:
            title = heading or title
            group = [] if heading else group
            group.append(cell)


def _heading(cell: Any) -> str:
    """Return the heading (of level 1 or 2) that a markdown cell without an answer opens with, or nothing."""
    if cell is None or cell.cell_type != "markdown" or tag(cell).get("solution"):
        return ""
    match = re.match(r"\s*(?:\([\w-]+\)=\s*\n)?\s*##?\s+(.+)", cell.source)
    return match[1].strip() if match else ""


def _part(title: str, cells: list[Any]) -> Part:
    graded = [c for c in cells if tag(c).get("grade")]
    answers = [c for c in cells if tag(c).get("solution")]
    return Part(
        title,
        {tag(c)["grade_id"]: float(tag(c)["points"]) for c in graded},
        frozenset(tag(c)["grade_id"] for c in graded if tag(c).get("solution") or c.cell_type != "code"),
        tuple(tag(c)["grade_id"] for c in answers),
        frozenset(name for c in answers if c.cell_type == "code" for name in defined(c.source)),
    )


def defined(code: str) -> set[str]:
    """Return the names that a cell's code defines at its top level; none if it does not parse.

    >>> sorted(defined("def f(): pass\\nx, y = 1, 2"))
    ['f', 'x', 'y']
    """
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return set()
    names = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    stores = (n for s in body if isinstance(s, ast.Assign | ast.AnnAssign) for n in ast.walk(s))
    return names | {n.id for n in stores if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def squeeze(text: str) -> str:
    """Return the text without its white space, as secrets are compared.

    >>> squeeze(" a = 1 ")
    'a=1'
    """
    return re.sub(r"\s+", "", text)


def secrets(source: Source, kinds: tuple[str, ...] = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")) -> set[str]:
    """Return the lines that only the instructor may see, squeezed; what the release shows too is no secret."""
    inside = set()
    for cell in source.cells:
        for match in SECRET.finditer(cell.source):
            if match[1] in kinds:
                inside |= {squeeze(line) for line in match[2].splitlines()}
        if _all_solution(cell) and "SOLUTION" in kinds:
            inside |= {squeeze(line) for line in cell.source.splitlines()}
    shown = public(source)
    return {line for line in inside if len(line) >= SHORTEST and line not in shown}


def public(source: Source) -> str:
    """Return the text that the release shows, squeezed."""
    return squeeze("\n".join(SECRET.sub("", c.source) for c in source.cells if not _all_solution(c)))


def _all_solution(cell: Any) -> bool:
    return bool(tag(cell).get("solution")) and "### BEGIN SOLUTION" not in cell.source


def given(source: Source) -> str:
    """Return what a test may count on, whatever a student wrote: the source's imports and locked definitions.

    A name that a part asks for is never among them.
    """
    asked = frozenset().union(*(part.names for part in source.parts))
    lines = []
    for cell in source.cells:
        if cell.cell_type != "code" or tag(cell).get("solution") or tag(cell).get("grade"):
            continue
        kinds = (ast.FunctionDef, ast.ClassDef) if tag(cell).get("locked") else ()
        for node in ast.parse("\n".join(re.sub(r"^\s*[%!].*", "", li) for li in cell.source.splitlines())).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                node.names = [a for a in node.names if (a.asname or a.name) not in asked]
                lines += [ast.unparse(node)] if node.names else []
            elif isinstance(node, kinds) and node.name not in asked:
                lines.append(ast.unparse(node))
    return "\n".join(lines)


def leaks(text: str, hidden: set[str]) -> list[str]:
    """Return the secret lines that stand in ``text``.

    >>> leaks("x = secret_value( 1 )", {"secret_value(1)"})
    ['secret_value(1)']
    """
    squeezed = squeeze(text)
    return sorted(line for line in hidden if line in squeezed)
