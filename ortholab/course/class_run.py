"""The whole of `ortholab grade`: grade, enter marks by hand, write tables and pages; and write them again later."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ortholab.course import grade as grading
from ortholab.course import marks, report
from ortholab.course.gradebook import CourseFolder
from ortholab.course.limits import Limits
from ortholab.course.source import read_all
from ortholab.errors import ArgumentError


def run(
    folder: Path,
    out: Path,
    *,
    sources: Path = grading.SOURCES,
    jobs: int | None = None,
    limits: Limits | None = None,
    roster: Path | None = None,
    by_hand: Path | None = None,
    wall: bool = True,
    progress: Callable[[str], None] = lambda text: None,
) -> Path:
    """Grade ``folder`` into ``out`` and return the path of the class summary.

    ``out`` gets ``summary.html``, ``marks-ASSIGNMENT.csv``, ``feedback/``, ``by-hand.csv`` and, with a ``roster``, the
    platform's table with the marks in it. Marks in ``by_hand`` (or in ``out``'s own by-hand.csv) are entered.
    """
    start, jobs = time.monotonic(), jobs or os.cpu_count() or 1
    out = Path(out)
    if out.resolve().is_relative_to(Path(folder).resolve()):
        raise ArgumentError(f"the results must not lie in the folder of submissions; got {out}")
    done = grading.grade(folder, out, sources=sources, jobs=jobs, limits=limits, wall=wall, progress=progress)
    course = {"seconds": time.monotonic() - start, "jobs": jobs, "sources": str(Path(sources).resolve())}
    (out / "run.json").write_text(json.dumps(course | {"done": [asdict(g) for g in done]}, indent=1), encoding="utf-8")
    return again(out, roster=roster, by_hand=by_hand)


def again(out: Path, *, roster: Path | None = None, by_hand: Path | None = None) -> Path:
    """Write the tables and pages again, after marks by hand: from ``by-hand.csv``, or from nbgrader's formgrader."""
    out = Path(out)
    if not (out / "run.json").exists():
        raise ArgumentError(f"{out} holds no graded class: run `ortholab grade FOLDER --out {out}` first")
    stored = json.loads((out / "run.json").read_text(encoding="utf-8"))
    done = [grading.Graded(**g) for g in stored["done"]]
    course, sources = CourseFolder(out / "course"), read_all(Path(stored["sources"]))
    form = Path(by_hand) if by_hand else out / "by-hand.csv"
    if by_hand or form.exists():
        marks.enter_by_hand(course, sources, form)
    rows = marks.read_marks(course, sources)
    marks.write_by_hand(out / "by-hand.csv", rows, sources, keep=form)
    notes = {(g.student, g.assignment): "; ".join(g.notes) for g in done}
    marks.write_marks(out, rows, sources, notes)
    shutil.rmtree(out / "feedback", ignore_errors=True)
    if roster is not None:
        strangers = marks.write_roster(out / "roster.csv", roster, rows, sources)
        for g in done:
            if g.student in strangers:
                g.notes.append("not in the roster")
    return report.write(out, done, rows, sources, stored["seconds"], stored["jobs"])
