"""The course's own assignments: the reference earns full marks, the untouched release zero; marks by hand, rosters."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from course_submissions import solved, stripped, write
from typer.testing import CliRunner

pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ortholab[course]'")
if not sys.platform.startswith("linux"):
    pytest.skip("grading is tested on Linux", allow_module_level=True)

from ortholab.cli import app
from ortholab.course import class_run, grade
from ortholab.course.source import read_all

SOURCES = read_all(grade.SOURCES)
ROSTER = """Student,ID,SIS Login ID,Section
    Points Possible,,,
"Perfect, Paula",4711,reference,1
"Nothing, Nick",4712,untouched,1
"Absent, Anna",4713,absent,1
"""


def table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Grade a perfect and an empty submission of every assignment; mark the former's answers by hand."""
    base = tmp_path_factory.mktemp("course")
    for name, source in SOURCES.items():
        write(solved(source.path), base / "submitted", "reference", name)
        write(stripped(source.path), base / "submitted", "untouched", name)
    (base / "roster.csv").write_text(ROSTER, encoding="utf-8")
    class_run.run(base / "submitted", base / "graded", jobs=2, roster=base / "roster.csv")
    return base / "graded"


def total(out: Path, name: str, student: str) -> float:
    """Return a student's total in the table of marks."""
    source = SOURCES[name]
    return next(
        float(x[f"total [{source.total:g}]"]) for x in table(out / f"marks-{name}.csv") if x["student"] == student
    )


def test_every_assignment_has_a_hundred_points():
    assert {name: source.total for name, source in SOURCES.items()} == dict.fromkeys(SOURCES, 100)


def test_marks_before_and_after_the_hand(out):
    before = table(out / "roster.csv")
    for name, source in SOURCES.items():
        by_hand = sum(part.points[cell] for part in source.parts for cell in part.manual)
        assert 10 <= by_hand <= 20
        assert total(out, name, "reference") == 100 - by_hand
        assert total(out, name, "untouched") == 0
        assert [line[name] for line in before] == ["100", "", "0", ""]  # no total while a part is open

    lines = table(out / "by-hand.csv")
    for line in lines:
        if line["student"] == "reference":
            line |= {"points": line["of"], "comment": "well argued"}
    with open(out / "by-hand.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)
    roster = out.parent / "roster.csv"
    done = CliRunner().invoke(app, ["course", "report", str(out), "--roster", str(roster)])
    assert done.exit_code == 0, done.output
    after = table(out / "roster.csv")
    for name in SOURCES:
        assert total(out, name, "reference") == 100
        assert [line[name] for line in after] == ["100", "100", "0", ""]
        page = (out / "feedback" / "reference" / f"{name}.html").read_text(encoding="utf-8")
        assert "100 of 100 points" in page
        assert "well argued" in page


def test_the_untouched_release_gets_clear_feedback(out):
    for name in SOURCES:
        page = (out / "feedback" / "untouched" / f"{name}.html").read_text(encoding="utf-8")
        assert "0 of 100 points" in page
        assert page.count("Not answered yet.") == sum(bool(p.points.keys() - p.manual) for p in SOURCES[name].parts)


def test_honest_work_gets_no_note(out):
    for name in SOURCES:
        assert [line["notes"] for line in table(out / f"marks-{name}.csv")] == ["", ""]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"points": "1000"}, "outside 0 to"),
        ({"student": "nobody", "points": "1"}, "no such submission"),
        ({"points": "x"}, "a number"),
    ],
)
def test_a_bad_mark_by_hand_is_named_and_nothing_is_entered(out, tmp_path, change, word):
    lines = table(out / "by-hand.csv")
    path = tmp_path / "form.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows([lines[0] | {"points": "0"}, lines[1] | change])
    before = (out / "by-hand.csv").read_bytes()
    done = CliRunner().invoke(app, ["course", "report", str(out), "--by-hand", str(path)])
    assert done.exit_code == 1
    assert "line 3" in done.output
    assert word in done.output
    assert (out / "by-hand.csv").read_bytes() == before
