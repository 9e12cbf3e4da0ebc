"""Every assignment's source: what its head promises is what its cells hold, and nbgrader can read it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "book" / "assignments"
SOURCES = sorted(FOLDER.glob("*.ipynb"))
HEADING = re.compile(r"^## Part (\d+)\. (.+?) \((\d+) points, (\d+) minutes", re.MULTILINE)
ROW = re.compile(r"^\| (\d+) \| (.+?) \|.*?(\d+) \| (\d+) \|$", re.MULTILINE)
SUM = re.compile(r"^\| \| \*\*Sum\*\* \|.*?\*\*(\d+)\*\* \| \*\*(\d+)\*\* \|$", re.MULTILINE)


def read(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def told(cell: dict) -> dict:
    return cell["metadata"].get("nbgrader", {})


def text(cell: dict) -> str:
    return "".join(cell["source"])


def test_there_are_sources():
    assert SOURCES


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_the_head_states_the_parts_with_their_points_and_minutes(path):
    cells = read(path)
    promised = [row.groups() for row in ROW.finditer(text(cells[0]))]
    found = [match.groups() for cell in cells for match in HEADING.finditer(text(cell))]
    assert promised == found
    assert len(found) >= 5
    points, minutes = (int(v) for v in SUM.search(text(cells[0])).groups())
    assert points == sum(int(row[2]) for row in found) == 100
    assert minutes == sum(int(row[3]) for row in found)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_each_part_holds_the_points_that_it_states(path):
    part, stated, held = None, {}, {}
    for cell in read(path):
        match = HEADING.search(text(cell))
        if match:
            part = int(match[1])
            stated[part], held[part] = int(match[3]), 0
        if told(cell).get("grade"):
            held[part] += told(cell)["points"]
    assert held == stated


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_nbgrader_can_read_it(path):
    cells = read(path)
    assert all("id" in cell for cell in cells)
    assert len({cell["id"] for cell in cells}) == len(cells)
    marked = [cell for cell in cells if told(cell)]
    assert len({told(cell)["grade_id"] for cell in marked}) == len(marked)
    for cell in cells:
        assert not cell.get("outputs")
        if told(cell):
            assert told(cell)["schema_version"] == 3
            assert told(cell)["locked"] == (not told(cell)["solution"])
        if cell["cell_type"] == "code":
            markers = [text(cell).count(f"### {word} SOLUTION") for word in ("BEGIN", "END")]
            assert markers[0] == markers[1]
            assert bool(markers[0]) == bool(told(cell).get("solution")), text(cell)
            hidden = [text(cell).count(f"### {word} HIDDEN TESTS") for word in ("BEGIN", "END")]
            assert hidden[0] == hidden[1] <= 1
            assert not hidden[0] or (told(cell)["grade"] and not told(cell)["solution"])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_each_coded_part_has_visible_and_hidden_tests(path):
    cells = read(path)
    tests = [cell for cell in cells if told(cell).get("grade") and not told(cell)["solution"]]
    for cell in cells:
        if cell["cell_type"] == "code" and told(cell).get("solution"):
            mine = [test for test in tests if told(test)["grade_id"].startswith(told(cell)["grade_id"] + "-")]
            hidden = ["### BEGIN HIDDEN TESTS" in text(test) for test in mine]
            assert set(hidden) == {True, False}, told(cell)["grade_id"]
