"""The course's part of the build: the students' zip, and the assignments' pages, which are made from that zip.

A page shows what the zip holds and nothing else of a source, so no solution or hidden test can reach the site.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.osutil import relative_uri

from ortholab.course import release as making
from ortholab.course.grade import SOURCES
from ortholab.course.source import Part, Source, read_all, tag
from ortholab.errors import ArgumentError, RunError

ROOT = Path(__file__).resolve().parents[2]
ZIP = f"course/{making.TOP}.zip"  # below the site's _static
HEADING = re.compile(r"Part (?P<number>\d+)\. (?P<title>.+?) \(\d+ points, \d+ minutes")
HEAD = re.compile(r"# (?P<title>.+)\n+(?P<goal>(?:[^|\n].*\n)+)\n+(?P<table>(?:\|.*\n)+)\n*(?P<rest>[\s\S]*)")
KIND = re.compile(r"^\| (?P<number>\d+) \| .+? \| (?P<kind>[^|,]+)[^|]* \| \d+ \| \d+ \|$", re.MULTILINE)


def key(sources: Path = SOURCES) -> str:
    """Hash all that the zip depends on: the sources, the code that strips them, and nbgrader's version."""
    try:
        version = metadata.version("nbgrader")
    except metadata.PackageNotFoundError:
        version = "none"
    digest = hashlib.sha256(version.encode())
    code = [Path(making.__file__).parent / f"{name}.py" for name in ("gradebook", "limits", "release", "source")]
    for path in [*code, *sorted(p for p in sources.rglob("*") if p.is_file() and ".ipynb_checkpoints" not in p.parts)]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def write_release(generated: Path, kept: Path, sources: Path = SOURCES) -> Path:
    """Write the students' zip into the generated assets and return its path; it is made anew when its key changes.

    ``kept``: a folder outside the site for the zip of each key. Raises ExtensionError, which stops the build, if
    nbgrader is missing or a source would show what is to stay hidden.
    """
    stored, target = kept / f"{key(sources)}.zip", generated / ZIP
    if not stored.exists():
        shutil.rmtree(kept, ignore_errors=True)
        try:
            made = making.release(sources, kept)
        except (RunError, ArgumentError) as error:
            target.unlink(missing_ok=True)
            raise ExtensionError(f"the students' zip could not be made: {error}") from None
        made.replace(stored)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_bytes() != stored.read_bytes():
        shutil.copyfile(stored, target)
    return target


@dataclass(frozen=True)
class Row:
    """A part of an assignment, as its heading and its graded cells state it."""

    number: str
    title: str
    kind: str
    part: Part


def rows(source: Source) -> list[Row]:
    """List the parts of a source; raise ExtensionError for a heading without a number, points or minutes."""
    kinds = dict(KIND.findall(source.cells[0].source))
    found = []
    for part in source.parts:
        match = HEADING.match(part.title)
        if match is None or match["number"] not in kinds:
            wanted = '"Part N. TITLE (P points, M minutes)", and a line N in the table of the head'
            raise ExtensionError(f"{source.path.name}: the part {part.title!r} must have {wanted}")
        found.append(Row(match["number"], match["title"], kinds[match["number"]].strip(), part))
    return found


def head(source: Source) -> dict[str, str]:
    """Split the head of a source into its title, its goal, its table and the rest."""
    match = HEAD.match(source.cells[0].source)
    if match is None:
        raise ExtensionError(f"{source.path.name} must open with a title, a paragraph and a table of its parts")
    return {name: text.strip() for name, text in match.groupdict().items()}


@cache
def chapter_pages(root: Path = ROOT) -> dict[str, str]:
    """Return the documents of the chapters by the names that the text uses for them: a title, or its beginning."""
    parts = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    documents = [entry["file"] for part in parts for entry in part["chapters"]]
    found: dict[str, str] = {}
    for document in documents:
        path = root / f"{document}.ipynb"
        if re.match(r"book/\d-", document) and path.exists():
            cells = nbformat.read(path, as_version=4).cells
            title = next(m[1] for c in cells if (m := re.search(r"^# (.+)$", c.source, re.MULTILINE)))
            found |= {title.strip(): document, title.split(" of ")[0].strip(): document}
    return found


def linked(text: str, pages: dict[str, str]) -> str:
    """Turn the titles of pages, which a notebook sets in italics, into links.

    >>> linked("Read *The spectrum* of *W*.", {"The spectrum": "book/1-isometry/spectrum"})
    'Read {doc}`The spectrum </book/1-isometry/spectrum>` of *W*.'
    """
    for title, document in pages.items():
        text = text.replace(f"*{title}*", f"{{doc}}`{title} </{document}>`")
    return text


def page(source: Source, cells: list[Any], pages: dict[str, str]) -> str:
    """Write an assignment's page as MyST text: what it asks and costs, then the cells of the release."""
    top, parts = head(source), rows(source)
    hidden = ["### BEGIN HIDDEN TESTS" in cell.source for cell in source.cells]
    body = "\n\n".join(shown(cell, source.name, h) for cell, h in zip(cells[1:], hidden[1:], strict=True))
    text = linked(f"{top['rest']}\n\n{body}", pages)
    named = {document: title for title, document in reversed(pages.items()) if f"</{document}>" in text}
    builds_on = ", ".join(f"{{doc}}`/{document}`" for document in dict.fromkeys(pages.values()) if document in named)
    return f"""# {top["title"]}

{top["goal"]}

**Builds on** {builds_on}.

**Download** {{course-zip}}`all assignments in one zip`; {{doc}}`students` says how to work with it.

{table(source, parts)}

The minutes are an estimate, the sum of what the parts state.

## What the notebook says

This is the notebook of the zip, to read here. Answers go into the notebook itself.

{text}
"""


def table(source: Source, parts: list[Row]) -> str:
    """Write the table of an assignment's parts."""
    lines = ["| Part | Minutes | Points | By hand | Kind |", "|---|---|---|---|---|"]
    for row in parts:
        link = f"[{row.number}. {row.title}](#{label(source.name, row.number)})"
        by_hand = f"{row.part.by_hand:g}" if row.part.by_hand else "–"
        lines.append(f"| {link} | {row.part.minutes} | {row.part.total:g} | {by_hand} | {row.kind} |")
    by_hand = sum(row.part.by_hand for row in parts)
    return "\n".join([*lines, f"| **Sum** | **{source.minutes}** | **{source.total:g}** | **{by_hand:g}** | |"])


def label(name: str, number: str) -> str:
    """Return the name of a part's heading as links use it."""
    return f"assignment-{name}-part-{number}"


def shown(cell: Any, name: str, hidden: bool = False) -> str:
    """Write one cell of the release as MyST text; ``hidden``: the source has more tests in it."""
    told = tag(cell)
    points = f"{told['points']:g} points" if told.get("grade") else ""
    if cell.cell_type == "markdown":
        if told.get("solution"):
            return _named(f"Your answer, in words and formulas: {points}, marked by hand", "ol-course-words")
        match = re.match(r"## Part (\d+)\.", cell.source)
        return (f"({label(name, match[1])})=\n" if match else "") + cell.source
    if told.get("grade"):
        empty = all(line.startswith("#") for line in cell.source.splitlines() if line.strip())
        words = "Hidden checks" if hidden and empty else "Checks, some of them hidden" if hidden else "Checks"
        words += f": {points}"
    else:
        words = "Your answer" if told.get("solution") else "Given, locked" if told.get("locked") else "Given"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", cell.source)), default=0))
    return f"{_named(words)}\n\n{fence}python\n{cell.source}\n{fence}"


def _named(words: str, more: str = "") -> str:
    return f":::{{div}} {' '.join(['ol-course-cell', more]).strip()}\n{words}\n:::"


def overview(sources: dict[str, Source]) -> str:
    """Write the table of all assignments."""
    lines = ["| Assignment | Parts | Points | By hand | Minutes |", "|---|---|---|---|---|"]
    for name, source in sources.items():
        by_hand = sum(part.by_hand for part in source.parts)
        link = f"{{doc}}`{head(source)['title']} <{name}>`"
        lines.append(f"| {link} | {len(source.parts)} | {source.total:g} | {by_hand:g} | {source.minutes} |")
    sums = [sum(values) for values in zip(*((len(s.parts), s.total, s.minutes) for s in sources.values()), strict=True)]
    by_hand = sum(part.by_hand for source in sources.values() for part in source.parts)
    total = f"| **Sum** | **{sums[0]}** | **{sums[1]:g}** | **{by_hand:g}** | **{sums[2]}** |"
    return "\n".join([*lines, total])


def by_hand(sources: dict[str, Source]) -> str:
    """Write the table of the answers that a person marks: the cell holds the model answer in the source."""
    lines = ["| Assignment | Part | Cell | Points |", "|---|---|---|---|"]
    for name, source in sources.items():
        for row in rows(source):
            for cell in sorted(row.part.manual):
                link = f"[{row.number}. {row.title}](#{label(name, row.number)})"
                lines.append(f"| `{name}` | {link} | `{cell}` | {row.part.points[cell]:g} |")
    return "\n".join(lines)


class _FromSources(SphinxDirective):
    """A directive whose text is made from the sources: a page is read again when one of them, or this file, changes."""

    def sources(self) -> dict[str, Source]:
        """Read the sources, and note that the page depends on them."""
        for path in [*sorted(SOURCES.glob("*.ipynb")), Path(__file__)]:
            self.env.note_dependency(str(path))
        return read_all(SOURCES)

    def parsed(self, text: str, headings: bool = False) -> list[nodes.Node]:
        """Parse MyST text."""
        return self.parse_text_to_nodes(text, allow_section_headings=headings)


class Assignment(_FromSources):
    """``{assignment} 1-isometry``: the whole page of an assignment, title included."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the page from the zip, or stop the build on an unknown name."""
        sources, name = self.sources(), self.arguments[0]
        if name not in sources:
            raise self.error(f"unknown assignment {name!r}; there are {', '.join(sources)}")
        with zipfile.ZipFile(self.config.ortholab_course_zip) as archive:
            text = archive.read(f"{making.TOP}/{name}.ipynb").decode()
        cells = nbformat.reads(text, as_version=4).cells
        return self.parsed(page(sources[name], cells, chapter_pages()), headings=True)


class CourseTable(_FromSources):
    """``{course-table} assignments`` or ``{course-table} by-hand``: a table made from the sources."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table, or stop the build on an unknown name."""
        tables = {"assignments": overview, "by-hand": by_hand}
        if self.arguments[0] not in tables:
            raise self.error(f"unknown table {self.arguments[0]!r}; there are {', '.join(tables)}")
        return self.parsed(tables[self.arguments[0]](self.sources()))


class CourseZip(SphinxRole):
    """``{course-zip}`words```: a link that downloads the students' zip."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the link, relative to the page."""
        here = self.env.app.builder.get_target_uri(self.env.docname)
        return [nodes.reference("", self.text, refuri=relative_uri(here, f"_static/{ZIP}"), internal=True)], []


def setup(app: Sphinx) -> None:
    """Register the directives and the role; the book's own extension calls this, and makes the zip."""
    app.add_config_value("ortholab_course_zip", "", "", types=[str])
    app.add_directive("assignment", Assignment)
    app.add_directive("course-table", CourseTable)
    app.add_role("course-zip", CourseZip())
