"""Take in a folder of submissions as it came from a learning platform; rebuild each notebook on the release's frame.

Of a submission only the text is taken: which cell is a test, its points and its type come from the release. What does
not fit (a deleted cell, an altered test, a file that is no notebook) becomes a note, never an error.
"""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ortholab.course.source import tag
from ortholab.errors import ArgumentError

LARGEST = 50 << 20


@dataclass
class Submission:
    """One student's file for one assignment: the cells (None: unreadable), the cells that were missing, notes."""

    student: str
    assignment: str
    path: Path
    cells: list[Any] | None = None
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def collect(folder: Path, releases: dict[str, Any]) -> list[Submission]:
    """Find the submissions in ``folder``: STUDENT/FILE.ipynb, STUDENT/ASSIGNMENT/FILE.ipynb, or flat files.

    ``releases``: the release's notebook by assignment. A flat name is STUDENT.ipynb, STUDENT_ASSIGNMENT.ipynb or what
    Canvas makes of it. If a student has two files for one assignment, the newer one counts. Raises ArgumentError if the
    folder does not exist or holds no notebook.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError(f"{folder} is not a folder")
    found: dict[tuple[str, str], Submission] = {}
    paths = [p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    for path in sorted(paths, key=lambda p: (p.lstat().st_mtime, str(p))):
        submission = _take(folder, path, releases)
        before = found.get((submission.student, submission.assignment))
        if before is not None:
            submission.notes.append(f"{before.path.name} was submitted too; the newer file counts")
        found[submission.student, submission.assignment] = submission
    if not found:
        raise ArgumentError(f"{folder} holds no notebook (*.ipynb)")
    return [found[key] for key in sorted(found)]


def _take(folder: Path, path: Path, releases: dict[str, Any]) -> Submission:
    notes: list[str] = []
    cells = _read(path, notes)
    assignment = _which(path, cells, releases)
    submission = Submission(student_of(path.relative_to(folder), list(releases)), assignment, path, notes=notes)
    if cells is not None:
        submission.cells = _rebuild(cells, releases[assignment].cells, submission)
    return submission


def student_of(path: Path, assignments: list[str]) -> str:
    """Return the student's name in the path of a submission.

    >>> student_of(Path("ada/1-isometry/1-isometry.ipynb"), ["1-isometry"])
    'ada'
    >>> student_of(Path("Ada Lovelace_4711_assignsubmission_file/1-isometry.ipynb"), ["1-isometry"])
    'Ada_Lovelace_4711'
    >>> student_of(Path("lovelaceada_LATE_4711_815_1-isometry-2.ipynb"), ["1-isometry"])
    'lovelaceada_4711'
    """
    name = path.parts[0] if len(path.parts) > 1 else path.stem
    name = re.sub(r"_assignsubmission_file_?$", "", name)
    if len(path.parts) == 1:
        for assignment in assignments:
            name = re.sub(rf"[_-]?{re.escape(assignment)}(-\d+)?$", "", name)
        name = re.sub(r"^([^_]+)_(?:LATE_)?(\d+)_\d+$", r"\1_\2", name)
    return re.sub(r"[^\w.@-]+", "_", name).strip("_.") or "nameless"


def _read(path: Path, notes: list[str]) -> list[Any] | None:
    """Return the cells as plain dictionaries, or None with a note that says what is wrong with the file."""
    import nbformat

    if path.is_symlink() or not path.is_file():
        notes.append("it is a link, not a file: not opened")
        return None
    if path.stat().st_size > LARGEST:
        notes.append(f"the file has {path.stat().st_size >> 20} MB: not opened")
        return None
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a cell without an id: ours get new ones
            cells = nbformat.reads(text, as_version=4).cells
        return [c for c in cells if isinstance(c.source, str) and isinstance(c.get("metadata", {}), dict)]
    except (ValueError, RecursionError) as error:
        notes.append(f"the file is not a notebook: {str(error)[:120]}. Save it in Jupyter and submit it again")
    except Exception as error:  # any shape of JSON can come in
        notes.append(
            f"the file is JSON but not a notebook ({type(error).__name__}). Save it in Jupyter and submit again"
        )
    return None


def _which(path: Path, cells: list[Any] | None, releases: dict[str, Any]) -> str:
    """Tell which assignment a file answers: by its cells, else by its name, else the first."""
    ids = {tag(c).get("grade_id") for c in cells or []}
    hits = Counter({n: len(ids & {tag(c).get("grade_id", "") for c in nb.cells}) for n, nb in releases.items()})
    name, most = hits.most_common(1)[0]
    if most and list(hits.values()).count(most) == 1:
        return name
    text = str(path)
    return next((n for n in releases if n in text), next(iter(releases)))


def _rebuild(cells: list[Any], frame: list[Any], submission: Submission) -> list[Any]:
    """Return the submission's cells on the release's frame: answers theirs, everything locked ours."""
    known = {tag(c)["grade_id"]: c for c in frame if tag(c).get("grade_id")}
    built, seen = [], set()
    for cell in cells:
        grade_id = tag(cell).get("grade_id")
        if isinstance(grade_id, str) and grade_id in known and grade_id not in seen:
            seen.add(grade_id)
            built.append(_framed(cell, known[grade_id], submission))
        elif cell.cell_type in ("code", "markdown"):
            built.append(_plain(cell))
    for grade_id, cell in known.items():
        if grade_id not in seen:
            submission.missing.append(grade_id)
            built.insert(_place(grade_id, list(known), built), copy.deepcopy(cell))
    if submission.missing:
        submission.notes.append(f"cells were deleted, and put back as released: {', '.join(submission.missing)}")
    for number, cell in enumerate(built):
        cell["id"] = f"cell-{number}"
    return built


def _framed(cell: Any, ours: Any, submission: Submission) -> Any:
    new = copy.deepcopy(ours)
    if tag(ours).get("solution"):
        new["source"] = cell.source
        if cell.cell_type != ours.cell_type:
            submission.notes.append(f"cell {tag(ours)['grade_id']} was turned into {cell.cell_type}: turned back")
    elif _code(cell.source) != _code(ours.source):
        submission.notes.append(f"the locked cell {tag(ours)['grade_id']} was altered: the original is used")
    return new


def _code(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _plain(cell: Any) -> Any:
    import nbformat

    make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
    return make(cell.source)


def _place(grade_id: str, order: list[str], built: list[Any]) -> int:
    """Return where a missing cell belongs: behind the last cell that precedes it in the release."""
    before = set(order[: order.index(grade_id)])
    return max((i + 1 for i, c in enumerate(built) if tag(c).get("grade_id") in before), default=0)
