"""Folders as learning platforms pack them, files that are none, and cells that a student should not have touched."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import nbformat
import pytest
from course_submissions import TOY, solved, stripped, write

from ortholab.course import intake, messages
from ortholab.course.marks import _is
from ortholab.course.messages import Answer, about_test
from ortholab.course.source import Part, tag
from ortholab.errors import ArgumentError

SOURCE = TOY / "1-toy.ipynb"


@pytest.fixture(scope="module")
def releases():
    """The toy's release, by name."""
    return {"1-toy": stripped(SOURCE)}


def take(folder: Path, releases: dict) -> intake.Submission:
    """Take in the one submission of a folder."""
    (submission,) = intake.collect(folder, releases)
    return submission


def by_id(submission: intake.Submission) -> dict:
    """Return the cells that come from the release."""
    return {tag(c)["grade_id"]: c for c in submission.cells if tag(c).get("grade_id")}


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("ada/1-toy.ipynb", "ada"),
        ("ada/1-toy/1-toy.ipynb", "ada"),
        ("ada.ipynb", "ada"),
        ("ada_1-toy.ipynb", "ada"),
        ("lovelaceada_4711_815_1-toy.ipynb", "lovelaceada_4711"),
        ("lovelaceada_LATE_4711_815_1-toy-3.ipynb", "lovelaceada_4711"),
        ("Ada Lovelace_4711_assignsubmission_file_/1-toy.ipynb", "Ada_Lovelace_4711"),
        ("[a]*/1-toy.ipynb", "a"),
        ("..x/1-toy.ipynb", "x"),
    ],
)
def test_names_of_students(tmp_path, releases, path, student):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(solved(SOURCE), tmp_path / path)
    assert take(tmp_path, releases).student == student


def test_the_newer_of_two_files_counts(tmp_path, releases):
    old = write(stripped(SOURCE), tmp_path, "ada", "first")
    os.utime(old, (1, 1))
    write(solved(SOURCE), tmp_path, "ada", "second")
    submission = take(tmp_path, releases)
    assert submission.path.name == "second.ipynb"
    assert "first.ipynb was submitted too" in submission.notes[0]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a notebook"),
        ("{", "not a notebook"),
        ("[1, 2]", "not a notebook"),
        ('{"nbformat": 4}', "not a notebook"),
        ('{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a notebook"),
        ("[" * 100_000, "not a notebook"),
        ("\\ud800", "not a notebook"),
    ],
)
def test_what_is_no_notebook_becomes_a_note(tmp_path, releases, text, word):
    (tmp_path / "ada_1-toy.ipynb").write_text(text, encoding="utf-8")
    submission = take(tmp_path, releases)
    assert submission.cells is None
    assert word in submission.notes[0]
    assert submission.student == "ada"


def test_a_link_is_not_followed(tmp_path, releases):
    secret = tmp_path / "secret.json"
    nbformat.write(solved(SOURCE), secret)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada.ipynb").symlink_to(secret)
    submission = take(tmp_path / "in", releases)
    assert submission.cells is None
    assert "a link" in submission.notes[0]


def test_points_types_and_tests_are_the_releases(tmp_path, releases):
    notebook = solved(SOURCE)
    for cell in notebook.cells:
        if tag(cell).get("grade_id") == "gradient-visible":
            cell.source = "pass"
            cell.metadata.nbgrader.points = 1000
            cell.metadata.nbgrader.solution = True
        if tag(cell).get("grade_id") == "gradient":
            cell.metadata.nbgrader |= {"grade": True, "points": 50, "locked": True}
    notebook.cells.append(copy.deepcopy(notebook.cells[3]))
    write(notebook, tmp_path, "ada", "1-toy")
    submission = take(tmp_path, releases)
    own, ours = by_id(submission), {tag(c)["grade_id"]: c for c in releases["1-toy"].cells if tag(c).get("grade_id")}
    assert own["gradient-visible"].source == ours["gradient-visible"].source
    assert {key: tag(c) for key, c in own.items()} == {key: tag(c) for key, c in ours.items()}
    assert submission.notes == ["the locked cell gradient-visible was altered: the original is used"]
    assert len(submission.cells) == len(notebook.cells)  # the copy runs as a cell of the student's own


def test_deleted_cells_come_back_in_their_places(tmp_path, releases):
    notebook = solved(SOURCE)
    notebook.cells = [c for c in notebook.cells if tag(c).get("grade_id") in ("proof", "orthogonal", None)]
    write(notebook, tmp_path, "ada", "1-toy")
    submission = take(tmp_path, releases)
    order = [tag(c)["grade_id"] for c in submission.cells if tag(c).get("grade_id")]
    assert order == [tag(c)["grade_id"] for c in releases["1-toy"].cells if tag(c).get("grade_id")]
    assert "gradient" in submission.missing
    assert json.dumps(submission.notes).count("were deleted") == 1


def test_an_empty_folder_and_a_missing_one_are_named(tmp_path, releases):
    with pytest.raises(ArgumentError, match="holds no notebook"):
        intake.collect(tmp_path, releases)
    with pytest.raises(ArgumentError, match="is not a folder"):
        intake.collect(tmp_path / "none", releases)


PART = Part("1", {"t": 1.0}, frozenset(), ("a",), frozenset({"f"}))


@pytest.mark.parametrize(
    ("result", "answer", "text"),
    [
        ({"status": "timeout"}, {}, "did not end within 9 s"),
        ({"status": "died"}, {}, "killed or ended itself"),
        ({"status": "forged"}, {}, "did not end as a test ends"),
        ({"status": "lost"}, {}, "could not be run"),
        ({"status": "error", "ename": "NameError", "missing": "f"}, {"defines": {"g"}}, "`g` is: was it renamed"),
        ({"status": "error", "ename": "NameError", "missing": "z"}, {"defines": {"g"}}, "`z` is not defined."),
        (
            {"status": "error", "ename": "NameError", "missing": "f"},
            {"ended": [{"status": "timeout"}]},
            "did not end in time",
        ),
        ({"status": "error", "ename": "NameError", "missing": "f"}, {"untouched": True}, "Not answered yet"),
        (
            {"status": "error", "ename": "NameError", "missing": "f"},
            {"untouched": True, "deleted": True},
            "was deleted",
        ),
        ({"status": "error", "ename": "AssertionError", "evalue": ""}, {}, "An assertion of the test failed"),
        ({"status": "error", "ename": "ValueError", "evalue": "odd"}, {}, "stops with ValueError: odd"),
        ({"status": "error", "ename": "ValueError", "evalue": "see: check.f(f, seed =  3)"}, {}, messages.WITHHELD),
    ],
)
def test_messages(result, answer, text):
    state = {"deleted": False, "untouched": False, "ended": [], "defines": frozenset()} | answer
    assert text in about_test(result, PART, Answer(**state), {"check.f(f,seed=3)"}, 9)


@pytest.mark.parametrize(
    ("student", "line", "same"),
    [
        ("ada", {"SIS Login ID": "ada"}, True),
        ("lovelaceada_4711", {"ID": "4711", "Student": "Lovelace, Ada"}, True),
        ("Ada_Lovelace", {"Student": "Lovelace, Ada"}, True),
        ("Ada_Lovelace_99", {"Identifier": "Participant 4711", "Full name": "Ada Lovelace"}, False),
        ("Ada_Lovelace_4711", {"Identifier": "Participant 4711"}, True),
        ("ada", {"Student": "    Points Possible"}, False),
        ("", {"Student": ""}, False),
    ],
)
def test_who_is_who(student, line, same):
    assert _is(student, line) is same
