"""From the gradebook to tables: points by part, marks by hand in, a roster in, CSV out for Canvas and Moodle."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

from ortholab.course.gradebook import CourseFolder
from ortholab.course.source import Source
from ortholab.errors import ArgumentError

HAND = ["student", "assignment", "part", "cell", "of", "points", "comment"]
ID_COLUMNS = (
    "SIS Login ID",
    "SIS User ID",
    "ID",
    "Username",
    "ID number",
    "Email address",
    "Identifier",
    "id",
    "login",
)
NAME_COLUMNS = ("Student", "Full name", "name", "Name")


@dataclass
class Row:
    """One submission's marks: points by grade cell, those that await a mark by hand, comments."""

    student: str
    assignment: str
    points: dict[str, float] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The points so far."""
        return sum(self.points.values())


def read_marks(course: CourseFolder, sources: dict[str, Source]) -> list[Row]:
    """Read every submission's marks from the gradebook, with those given by hand, here or in nbgrader's formgrader."""
    rows = []
    with course.open() as book:
        for name in sources:
            for submission in book.assignment_submissions(name):
                row = Row(submission.student.id, name)
                for notebook in submission.notebooks:
                    for grade in notebook.grades:
                        row.points[grade.name] = float(grade.score or 0)
                        if grade.needs_manual_grade and grade.manual_score is None:
                            row.pending.append(grade.name)
                    for comment in notebook.comments:
                        if comment.manual_comment:
                            row.comments[comment.name] = comment.manual_comment
                rows.append(row)
    return sorted(rows, key=lambda r: (r.assignment, r.student))


def enter_by_hand(course: CourseFolder, sources: dict[str, Source], path: Path) -> int:
    """Enter the marks of ``by-hand.csv`` into the gradebook and return how many there were; empty points are skipped.

    Raises ArgumentError that names the line if a student, an assignment or a cell is unknown, or points are outside
    [0, of]: then nothing is entered.
    """
    lines = _hand_lines(path)
    with course.open() as book:
        known = {(s.student.id, s.assignment.name) for n in sources for s in book.assignment_submissions(n)}
        for number, line in lines:
            key = (line["student"], line["assignment"])
            most = sources[key[1]].part_of(line["cell"]).points[line["cell"]] if key in known else None
            if most is None or not 0 <= line["points"] <= most:
                raise ArgumentError(f"{path}, line {number}: no such submission, or points outside 0 to {most}")
        for _, line in lines:
            name = line["assignment"]
            grade = book.find_grade(line["cell"], name, name, line["student"])
            grade.manual_score, grade.needs_manual_grade = line["points"], False
            if line["comment"]:
                book.find_comment(line["cell"], name, name, line["student"]).manual_comment = line["comment"]
        book.db.commit()
    return len(lines)


def _hand_lines(path: Path) -> list[tuple[int, dict]]:
    lines = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not set(HAND) <= set(reader.fieldnames or ()):
            raise ArgumentError(f"{path} must have the columns {', '.join(HAND)}")
        for number, line in enumerate(reader, start=2):
            if (line["points"] or "").strip():
                try:
                    lines.append((number, line | {"points": float(line["points"])}))
                except ValueError:
                    raise ArgumentError(f"{path}, line {number}: points must be a number") from None
    return lines


def write_by_hand(path: Path, rows: list[Row], sources: dict[str, Source], keep: Path | None = None) -> None:
    """Write the form for marks by hand: a line for each answer that a person reads; marks already given stand in it."""
    before = {}
    if keep is not None and keep.exists():
        with open(keep, newline="", encoding="utf-8-sig") as file:
            before = {(x["student"], x["assignment"], x["cell"]): x for x in csv.DictReader(file)}
    lines = []
    for row in rows:
        for part in sources[row.assignment].parts:
            for cell in sorted(part.manual):
                old = before.get((row.student, row.assignment, cell), {})
                given = old.get("points") or ("" if cell in row.pending else f"{row.points.get(cell, 0):g}")
                comment = old.get("comment") or row.comments.get(cell, "")
                lines.append([row.student, row.assignment, part.title, cell, part.points[cell], given, comment])
    _write(path, HAND, lines)


def write_marks(folder: Path, rows: list[Row], sources: dict[str, Source], notes: dict[tuple[str, str], str]) -> None:
    """Write ``marks-ASSIGNMENT.csv``: a line a student, a column a part, the total, what awaits a hand, the notes."""
    for name, source in sources.items():
        own = [row for row in rows if row.assignment == name]
        titles = [f"{part.title} [{part.total:g}]" for part in source.parts]
        lines = [
            [
                row.student,
                *(sum(row.points.get(cell, 0) for cell in part.points) for part in source.parts),
                row.total,
                "; ".join(row.pending),
                notes.get((row.student, name), ""),
            ]
            for row in own
        ]
        if lines:
            _write(
                folder / f"marks-{name}.csv",
                ["student", *titles, f"total [{source.total:g}]", "awaits", "notes"],
                lines,
            )


def write_roster(path: Path, roster: Path, rows: list[Row], sources: dict[str, Source]) -> list[str]:
    """Write the platform's own table with a column of marks for each graded assignment; return who is not in it.

    ``roster``: an export of Canvas's or Moodle's gradebook, or any CSV with a column of ids or names. A submission is a
    line's if its name is the id, the full name, or holds the id between underscores, as platforms name their downloads.
    """
    with open(roster, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns, lines = list(reader.fieldnames or ()), list(reader)
    if not set(columns) & {*ID_COLUMNS, *NAME_COLUMNS}:
        raise ArgumentError(f"{roster} must have one of the columns {', '.join((*ID_COLUMNS, *NAME_COLUMNS))}")
    matched = set()
    graded = [name for name in sources if any(row.assignment == name for row in rows)]
    for line in lines:
        for row in rows:
            if _is(row.student, line):
                matched.add(row.student)
                line[row.assignment] = "" if row.pending else f"{row.total:g}"
        if (line.get("Student") or "").strip() == "Points Possible":  # Canvas's second line
            line.update({name: f"{sources[name].total:g}" for name in graded})
    out = columns + [name for name in graded if name not in columns]
    _write(path, out, [[line.get(c) or "" for c in out] for line in lines])
    return sorted({row.student for row in rows} - matched)


def _is(student: str, line: dict[str, str]) -> bool:
    ids = {(line.get(c) or "").strip().lower() for c in ID_COLUMNS} - {""}
    ids |= {match for text in ids if (match := re.sub(r"^participant ", "", text))}
    names = {_plain(line.get(c) or "") for c in NAME_COLUMNS} - {""}
    names |= {_plain(f"{line.get('First name', '')} {line.get('Surname', line.get('Last name', ''))}")} - {""}
    own = student.lower()
    return own in ids or bool(set(own.split("_")) & {i for i in ids if len(i) >= 4}) or _plain(student) in names


def _plain(name: str) -> str:
    """Return a name's words in order of the alphabet, so that "Lovelace, Ada" is "Ada Lovelace"."""
    return " ".join(sorted(re.findall(r"\w+", name.replace("_", " ").lower())))


def _write(path: Path, head: list, lines: list[list]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *([_safe(x) for x in line] for line in lines)])


def _safe(value: object) -> object:
    """Keep a spreadsheet from reading a student's text as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
