"""A class of twenty submissions, honest, wrong, broken and hostile: each gets what it deserves, and the run ends."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import course_hostile
import pytest
from course_submissions import TOY

pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ortholab[course]'")
if not sys.platform.startswith("linux"):
    pytest.skip("grading is tested on Linux", allow_module_level=True)

from ortholab.course import class_run, isolate
from ortholab.course.limits import Limits
from ortholab.course.source import leaks, read, secrets

LIMITS = Limits(cell=6, test=15, whole=60, processes=16)


def digests(folder: Path) -> dict[str, str]:
    """Return the checksum of every file."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grade the twenty submissions once."""
    base = tmp_path_factory.mktemp("class")
    folder, outside = base / "submitted", base / "outside"
    outside.mkdir()
    (outside / "secret.ipynb").write_text("hidden_quartic", encoding="utf-8")
    expected = course_hostile.hand_in(folder, outside)
    before = digests(folder) | digests(outside)
    summary = class_run.run(folder, base / "graded", sources=TOY, jobs=2, limits=LIMITS)
    after = digests(folder) | digests(outside)
    with open(base / "graded" / "marks-1-toy.csv", newline="", encoding="utf-8") as file:
        marks = {line["student"]: line for line in csv.DictReader(file)}
    done = {g["student"]: g for g in json.loads((base / "graded" / "run.json").read_text())["done"]}
    return SimpleNamespace(**locals())


def everything(graded, student: str) -> str:
    """Return all that the instructor reads about a student."""
    return json.dumps(graded.done[student], ensure_ascii=False)


def test_every_submission_has_its_marks(graded):
    assert len(graded.expected) == 20
    got = {student: float(line["total [100]"]) for student, line in graded.marks.items()}
    assert got == {student: points for student, (points, _) in graded.expected.items()}


def test_every_submission_has_its_words(graded):
    without = {
        s: everything(graded, s) for s, (_, word) in graded.expected.items() if word not in everything(graded, s)
    }
    assert without == {}


def test_an_honest_submission_gets_no_note(graded):
    for student in ("reference", "untouched", "half_right", "warns", "renames", "syntax"):
        assert graded.done[student]["notes"] == [], student


def test_nothing_outside_was_touched(graded):
    if graded.done["reference"]["level"] == "plain":
        pytest.skip("this machine allows neither namespaces nor another user")
    assert graded.after == graded.before
    assert not list(graded.base.rglob("written-by-a-student"))


def test_no_source_or_submission_is_in_sight(graded):
    if graded.done["reads"]["level"] != "namespaces":
        pytest.skip("this machine allows no namespaces")
    import nbformat

    path = graded.base / "graded/course/autograded/reads/1-toy/1-toy.ipynb"
    printed = [
        o["text"] for c in nbformat.read(path, 4).cells for o in c.get("outputs", []) if o.output_type == "stream"
    ]
    found = next(text for text in printed if text.startswith("FOUND"))
    assert "toy" not in found
    assert "secret" not in found
    assert found.endswith(" 0\n"), "a test's text was in memory before its time"


def test_the_proof_awaits_a_hand_except_where_nothing_was_written(graded):
    open_ = {student for student, line in graded.marks.items() if line["awaits"] == "proof"}
    assert open_ == graded.expected.keys() - {"untouched", "not_json"}


def test_students_pages_say_why_and_show_no_test(graded):
    hidden = secrets(read(TOY / "1-toy.ipynb"))
    for student, (points, _) in graded.expected.items():
        text = (graded.base / "graded/feedback" / student / "1-toy.html").read_text(encoding="utf-8")
        assert f"{points:g} of 100 points" in text
        assert leaks(text, hidden) == []
        assert "hidden_" not in text, student


def test_the_summary_tells_what_a_class_needs(graded):
    text = graded.summary.read_text(encoding="utf-8")
    assert "20 submissions" in text
    assert "Commonest failed checks" in text
    assert all(student in text for student in graded.expected)
    assert "walls of its own" in text or "no namespaces" in text or "neither namespaces" in text


def test_the_results_are_closed_to_others(graded):
    assert (graded.base / "graded").stat().st_mode & 0o077 == 0


def test_what_a_room_sees_excludes_the_project():
    root = str(Path(isolate.__file__).resolve().parents[2])
    assert not any(f"{root}/book".startswith(f"{path}/") or path == root for path in isolate.visible())
