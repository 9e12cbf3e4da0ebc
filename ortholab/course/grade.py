"""Grade a folder of submissions: intake, nbgrader's first half, the rooms, nbgrader's second half, the reports."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ortholab.course import driver, intake, messages
from ortholab.course.gradebook import CourseFolder
from ortholab.course.limits import Limits
from ortholab.course.source import Source, defined, given, read_all, secrets, squeeze, tag

SOURCES = Path(__file__).resolve().parents[2] / "book" / "assignments"


@dataclass
class Graded:
    """One submission, run: the messages of its failed tests by grade cell, what was checked, notes, seconds, level."""

    student: str
    assignment: str
    file: str
    messages: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    level: str = "none"
    readable: bool = True


def grade(
    folder: Path,
    out: Path,
    *,
    sources: Path = SOURCES,
    jobs: int | None = None,
    limits: Limits | None = None,
    wall: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Graded]:
    """Grade every submission in ``folder`` through nbgrader, into the course folder ``out / "course"``.

    ``jobs``: rooms at a time (default: the cores). ``progress`` gets a line a submission. An existing course folder in
    ``out`` is made anew, but marks by hand are kept (:mod:`ortholab.course.marks`). Raises ArgumentError for a folder
    without submissions or sources, RunError without nbgrader.
    """
    limits, read = limits or Limits(), read_all(Path(sources))
    course = _fresh(Path(out))
    with driver.Warm(wall) as warm, ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        releases = _release(course, read)
        submissions = intake.collect(Path(folder), releases)
        _submit(course, submissions)
        names = sorted({s.assignment for s in submissions if s.cells is not None})
        for name in names:
            course.sanitise(name)

        def one(submission: intake.Submission) -> Graded:
            start = time.monotonic()
            graded = _run(
                warm, course, submission, read[submission.assignment], releases[submission.assignment], limits
            )
            graded.seconds = time.monotonic() - start
            progress(
                f"{graded.student}  {graded.assignment}  {graded.seconds:.1f} s  {'; '.join(graded.notes)}".strip()
            )
            return graded

        done = list(pool.map(one, submissions))
    for name in names:
        course.record(name)
    for submission in submissions:
        if submission.cells is None:
            course.enter_zero(submission.student, submission.assignment)
    return done


def _fresh(out: Path) -> CourseFolder:
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)  # hidden tests and marks
    shutil.rmtree(out / "course", ignore_errors=True)
    return CourseFolder(out / "course")


def _release(course: CourseFolder, sources: dict[str, Source]) -> dict[str, Any]:
    import nbformat

    return {name: nbformat.read(course.assign(source), as_version=4) for name, source in sources.items()}


def _submit(course: CourseFolder, submissions: list[intake.Submission]) -> None:
    """Write the rebuilt notebooks where nbgrader looks for them."""
    import nbformat

    for submission in submissions:
        if submission.cells is not None:
            path = course.notebook("submitted", submission.student, submission.assignment)
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(_notebook(submission.cells), path)


def _notebook(cells: list[Any]) -> Any:
    import nbformat

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _run(
    warm: driver.Warm,
    course: CourseFolder,
    submission: intake.Submission,
    source: Source,
    release: Any,
    limits: Limits,
) -> Graded:
    """Run one submission in a room; write what came out into its notebook, for nbgrader to mark."""
    import nbformat

    graded = Graded(submission.student, submission.assignment, submission.path.name, notes=list(submission.notes))
    if submission.cells is None:
        graded.readable = False
        return graded
    path = course.notebook("autograded", submission.student, submission.assignment)
    notebook = nbformat.read(path, as_version=4)
    tests = {tag(c)["grade_id"]: c for c in notebook.cells if is_test(c)}
    theirs = {c["id"]: c for c in notebook.cells if c.cell_type == "code" and not is_test(c) and c.source.strip()}
    job = driver.Job(
        _in_order(notebook.cells, theirs, source),
        [driver.Cell(key, c.source) for key, c in tests.items()],
        given(source),
    )
    outcome = driver.run(warm, job, limits)
    graded.level = outcome.level
    _note(graded, outcome, theirs)
    _judge(graded, outcome, source, release, submission, theirs, limits)
    for key, cell in theirs.items():
        cell["outputs"] = _shown(outcome.cells.get(key, {}))
    for key, cell in tests.items():
        cell["outputs"] = _verdict(graded.messages.get(key, ""), outcome.tests[key])
    path.chmod(0o644)
    nbformat.write(notebook, path)
    return graded


def _in_order(cells: list[Any], theirs: dict[str, Any], source: Source) -> list[driver.Cell]:
    """Return the student's cells in order, and where a part's first test stands, what it sees: the part's names."""
    ordered, met = [], set()
    for cell in cells:
        if cell["id"] in theirs:
            ordered.append(driver.Cell(cell["id"], cell.source))
        elif is_test(cell):
            part = source.part_of(tag(cell)["grade_id"])
            if part.names and part.title not in met:
                met.add(part.title)
                ordered.append(driver.Cell(f"names of {part.title}", names=tuple(sorted(part.names))))
    return ordered


def is_test(cell: Any) -> bool:
    """Tell whether a cell is an automatic test."""
    return cell.cell_type == "code" and bool(tag(cell).get("grade")) and not tag(cell).get("solution")


def _note(graded: Graded, outcome: driver.Outcome, theirs: dict[str, Any]) -> None:
    graded.notes += outcome.notes
    changed = sorted({name for answer in outcome.tests.values() for name in answer.get("changed", [])})
    if changed:
        shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        graded.notes.append(f"the code changed {shown}: put back before each test")
    looks = sorted({word for cell in theirs.values() for word in messages.peeks(cell.source)})
    if looks:
        graded.notes.append(f"the code uses {', '.join(looks)}: look at it by hand")
    if any(answer["status"] == "forged" for answer in outcome.tests.values()):
        graded.notes.append("a test ended as no test ends: look at it by hand")
    for answer in outcome.cells.values():
        if answer["status"] in ("timeout", "died") or answer.get("ename") == "MemoryError":
            graded.notes.append(f"a cell {messages.about_cell(answer).rstrip('.')}")
        if answer.get("bytes", 0) > 1 << 20:
            graded.notes.append(f"a cell printed {answer['bytes'] / 1e6:.0f} MB: cut")


def _judge(
    graded: Graded,
    outcome: driver.Outcome,
    source: Source,
    release: Any,
    submission: intake.Submission,
    theirs: dict[str, Any],
    limits: Limits,
) -> None:
    """Turn each failed test into its message."""
    stubs = {tag(c).get("grade_id"): c.source for c in release.cells}
    answers = {tag(c)["grade_id"]: (key, c) for key, c in theirs.items() if tag(c).get("solution")}
    everything = frozenset(name for c in theirs.values() for name in defined(c.source))
    known = {name for c in source.cells if c.cell_type == "code" for name in defined(c.source)}
    hidden = secrets(source, ("HIDDEN TESTS",))
    for part in source.parts:
        own = [answers[i] for i in part.answers if i in answers]
        state = messages.Answer(
            deleted=any(i in submission.missing for i in part.answers),
            untouched=bool(own) and all(squeeze(c.source) == squeeze(stubs[tag(c)["grade_id"]]) for _, c in own),
            ended=[outcome.cells.get(key, {}) for key, _ in own],
            defines=everything - known,
        )
        for key in part.points.keys() - part.manual:
            result = outcome.tests.get(key, {"status": "lost"})
            text = messages.about_test(result, part, state, hidden, limits.test)
            if text:
                graded.messages[key] = text
                graded.properties[key] = result.get("check", {}).get("property") or text
            if text == messages.WITHHELD:
                graded.notes.append("a message repeated lines of a hidden test: withheld; look at it by hand")


def _verdict(text: str, result: dict) -> list[Any]:
    """Return a test cell's outputs: none if it passed, its error if not; nothing else that was shown counts."""
    import nbformat

    if result["status"] == "ok":
        return []
    name = result.get("ename") or "Failed"
    return [nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])]


def _shown(answer: dict) -> list[Any]:
    """Return the outputs of one of the student's cells."""
    import nbformat

    outputs = []
    if answer.get("printed"):
        outputs.append(nbformat.v4.new_output("stream", name="stdout", text=answer["printed"]))
    for shown in answer.get("shown", []):
        outputs.append(nbformat.v4.new_output("display_data", data=shown["data"]))
    if answer.get("status", "ok") != "ok":
        name, text = answer.get("ename", answer["status"]), answer.get("evalue", "")
        outputs.append(nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"]))
    return outputs
