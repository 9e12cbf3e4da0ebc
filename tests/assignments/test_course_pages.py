"""The course's pages: what they say of the assignments is what the sources hold, and they show no more of a source."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import ortholab_course as pages
import pytest
import yaml
from course_submissions import TOY
from sphinx.errors import ExtensionError

from ortholab import check
from ortholab.check import _core
from ortholab.course import grade
from ortholab.course.limits import MB, Limits
from ortholab.course.release import TOP, leaked
from ortholab.course.source import read, read_all, tag
from ortholab.errors import RunError

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "book" / "course"
SOURCES = read_all(grade.SOURCES)
STATED = re.compile(r"part (\d+) \((\d+) minutes\)")
WEEK = re.compile(r"^### Week (\d)\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
TOTALS = re.compile(r"^\| (\d) \| [^|]+ \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
READING = 50  # words a minute, as the page says


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make the zip as the build does; return the folder of generated assets, the zip, and the folder of kept zips."""
    pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ortholab[course]'")
    base = tmp_path_factory.mktemp("build")
    return base / "generated", pages.write_release(base / "generated", base / "kept"), base / "kept"


@pytest.fixture(scope="module")
def written(made):
    """Return each assignment's release and its page, as MyST text."""
    found = {}
    with zipfile.ZipFile(made[1]) as archive:
        for name, source in SOURCES.items():
            cells = nbformat.reads(archive.read(f"{TOP}/{name}.ipynb").decode(), as_version=4).cells
            found[name] = (cells, pages.page(source, cells, pages.chapter_pages()))
    return found


def text(name: str) -> str:
    """Read a page of the course."""
    return (COURSE / f"{name}.md").read_text(encoding="utf-8")


def contents() -> list[str]:
    """List the documents of the contents, in order."""
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    return [entry["file"] for part in parts for entry in part["chapters"]]


def weeks() -> dict[int, str]:
    """Return the text of each week of the syllabus."""
    return {int(number): body for number, body in WEEK.findall(text("instructors"))}


# ---------- the zip ----------


def test_the_book_s_zip_is_make_course_s(made, tmp_path):
    generated, path, _ = made
    assert path == generated / pages.ZIP
    assert path.read_bytes() == pages.making.release(grade.SOURCES, tmp_path).read_bytes()


def test_the_zip_is_made_once(made, monkeypatch):
    generated, path, kept = made
    monkeypatch.setattr(pages.making, "release", lambda *_: pytest.fail("it was made again"))
    before = path.read_bytes()
    path.write_bytes(b"spoilt")
    assert pages.write_release(generated, kept).read_bytes() == before


def test_a_changed_source_makes_a_new_zip(tmp_path):
    (tmp_path / "1-toy.ipynb").write_bytes((TOY / "1-toy.ipynb").read_bytes())
    before = pages.key(tmp_path)
    assert pages.key(tmp_path) == before
    (tmp_path / "1-toy.ipynb").write_bytes((TOY / "1-toy.ipynb").read_bytes() + b"\n")
    assert pages.key(tmp_path) != before


def test_without_nbgrader_the_build_stops_and_says_so(tmp_path, monkeypatch):
    (tmp_path / "generated" / pages.ZIP).parent.mkdir(parents=True)
    (tmp_path / "generated" / pages.ZIP).write_bytes(b"of an older build")

    def refuse(*_: object) -> None:
        raise RunError("grading needs nbgrader: pip install 'ortholab[course]'")

    monkeypatch.setattr(pages.making, "release", refuse)
    with pytest.raises(ExtensionError, match=r"zip could not be made: .*pip install 'ortholab\[course\]'"):
        pages.write_release(tmp_path / "generated", tmp_path / "kept")
    assert not (tmp_path / "generated" / pages.ZIP).exists()


# ---------- an assignment's page ----------


def test_each_assignment_has_a_page_in_the_contents():
    assert [f"book/course/{name}" for name in SOURCES] == [d for d in contents() if re.match(r"book/course/\d", d)]
    for name in SOURCES:
        body = re.sub(r"\A---\n.*?\n---\n+", "", text(name), flags=re.DOTALL)  # before it stands the page's description
        assert body == f"```{{assignment}} {name}\n```\n"


@pytest.mark.parametrize("name", SOURCES)
def test_a_page_states_the_sum_of_its_parts(written, name):
    _, page = written[name]
    parts = re.findall(r"^## Part (\d+)\. .+ \((\d+) points, (\d+) minutes", page, re.MULTILINE)
    assert len(parts) == len(SOURCES[name].parts) >= 5
    points, minutes = (sum(int(part[i]) for part in parts) for i in (1, 2))
    by_hand = sum(told["points"] for c in SOURCES[name].cells if (told := tag(c)).get("grade") and told["solution"])
    assert f"| **Sum** | **{minutes}** | **{points}** | **{by_hand:g}** | |" in page
    assert minutes == SOURCES[name].minutes > 100


@pytest.mark.parametrize("name", SOURCES)
def test_a_page_lists_every_part_with_its_numbers(written, name):
    _, page = written[name]
    for part in SOURCES[name].parts:
        number, title, points, minutes = re.match(r"Part (\d+)\. (.+) \((\d+) points, (\d+) min", part.title).groups()
        row = rf"^\| \[{number}\. {re.escape(title)}\]\(#(\S+)\) \| {minutes} \| {points} \| (\S+) \| [a-z-]+ \|$"
        found = re.search(row, page, re.MULTILINE)
        assert found, part.title
        assert f"({found[1]})=\n## {part.title}" in page, "the link leads nowhere"
        told = re.search(r"(\d+)(?: points| of them)? marked by hand", part.title)
        wanted = told[1] if told else points if "marked by hand" in part.title else "–"
        assert found[2] == wanted


@pytest.mark.parametrize("name", SOURCES)
def test_a_page_holds_the_whole_release_and_no_more(written, name):
    """Every cell stands there in order: its text, but for links; and no line of a solution or a hidden test."""
    cells, page = written[name]
    plain = re.sub(r"\{doc\}`([^<`]+) </[^`]+>`", r"*\1*", page)
    at = plain.index("## What the notebook says")
    for cell in cells[1:]:
        if tag(cell).get("solution") and cell.cell_type == "markdown":
            assert cell.source == "YOUR ANSWER HERE"
            wanted = "marked by hand\n:::"
        else:
            wanted = cell.source
        at = plain.index(wanted, at) + len(wanted)
    assert leaked({name: page}, SOURCES) == []


def test_a_leak_on_a_page_would_be_seen():
    source = SOURCES["1-isometry"]
    assert leaked({"x": pages.page(source, source.cells, {})}, SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_page_links_the_pages_that_it_builds_on(written, name):
    _, page = written[name]
    start = next(line for line in page.splitlines() if line.startswith("**Before you start**"))
    named = re.findall(r"</(book/\d-[^>]+)>", start)
    assert len(named) >= 2
    assert not re.findall(r"(?<!\*)\*[A-Z][^*]+\*(?!\*)", start), "a title in italics that is no page's"
    builds_on = next(line for line in page.splitlines() if line.startswith("**Builds on**"))
    assert set(named) <= set(re.findall(r"\{doc\}`/(book/\d-[^`]+)`", builds_on))


def test_cells_are_named_by_what_they_are_for(written):
    for name, (cells, page) in written.items():
        counts = Counter(re.findall(r"^:::\{div\} ol-course-cell.*\n([A-Z][a-z, ]+)", page, re.MULTILINE))
        source = SOURCES[name]
        hidden = sum("### BEGIN HIDDEN TESTS" in c.source for c in source.cells)
        assert counts["Hidden checks"] + counts["Checks, some of them hidden"] == hidden > 0
        checks = [c for c in cells if tag(c).get("grade") and c.cell_type == "code"]
        assert counts["Checks"] == len(checks) - hidden > 0


def test_a_fence_is_longer_than_what_it_holds():
    cell = nbformat.v4.new_code_cell('text = """\n````\n"""')
    assert pages.shown(cell, "x").endswith('`````python\ntext = """\n````\n"""\n`````')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.replace("## Part 2. ", "## Part two. "), "PART"),
        (lambda s: s.replace("| 2 | Find", "| two | Find"), "a line N in the table"),
    ],
)
def test_a_heading_that_cannot_be_read_is_named(tmp_path, change, said):
    path = tmp_path / "1-isometry.ipynb"
    path.write_text(change((grade.SOURCES / path.name).read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ExtensionError, match=r"1-isometry\.ipynb: the part 'Part (2|two)\. Find"):
        pages.rows(read(path))


# ---------- for instructors, for students ----------


def test_the_syllabus_names_every_page_once():
    named = Counter(
        str((COURSE / target).resolve().relative_to(ROOT))
        for body in weeks().values()
        for target in re.findall(r"\{doc\}`([^`]+)`", body)
    )
    # Chapter V is for projects; the reference and the glossary are for looking things up.
    others = (
        "book/course/instructors",
        "book/5-",
        "book/appendix/api/",
        "book/appendix/glossary",
        "book/appendix/reproduce",
    )
    wanted = [document for document in contents() if not document.startswith(others)]
    assert named == Counter(wanted)


def test_the_syllabus_names_every_part_once_with_its_minutes():
    found = []
    for body in weeks().values():
        for line in re.split(r"^- ", body, flags=re.MULTILINE):
            assignment = re.match(r"\*\*Do\*\* \{doc\}`(\d)|\*\*Finish\*\* Assignment (\d)", line)
            if assignment:
                found += [(int(assignment[1] or assignment[2]), int(n), int(m)) for n, m in STATED.findall(line)]
    wanted = []
    for name, source in SOURCES.items():
        wanted += [(int(name[0]), number, part.minutes) for number, part in enumerate(source.parts, start=1)]
    assert Counter(found) == Counter(wanted)
    assert len(found) == len(STATED.findall(text("instructors")))


def test_each_week_adds_up():
    table = {int(week): tuple(map(int, rest)) for week, *rest in TOTALS.findall(text("instructors"))}
    assert list(table) == list(weeks()) == list(range(1, 9))
    for week, body in weeks().items():
        reading, parts, together = table[week]
        assert parts == sum(int(minutes) for _, minutes in STATED.findall(body))
        assert together == reading + parts
        words = sum(count_words(document) for document in re.findall(r"\.\./(\d-[^`]+)`", body))
        assert abs(reading - words / READING) <= 0.08 * reading, (
            f"week {week}: {words / READING:.0f} minutes of reading"
        )
    sums = [sum(row[i] for row in table.values()) for i in range(3)]
    assert "| **Sum** | | " + " | ".join(f"**{value}**" for value in sums) + " |" in text("instructors")


def count_words(document: str) -> int:
    """Count the words of a chapter's page, a formula as one and code as none."""
    cells = json.loads((ROOT / "book" / f"{document}.ipynb").read_text(encoding="utf-8"))["cells"]
    prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return len(re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " F ", prose, flags=re.DOTALL).split())


def test_the_table_by_hand_lists_every_answer_that_a_person_marks():
    table = pages.by_hand(SOURCES)
    wanted = [
        (name, tag(c)["grade_id"], f"{tag(c)['points']:g}")
        for name, source in SOURCES.items()
        for c in source.cells
        if tag(c).get("grade") and tag(c)["solution"]
    ]
    assert re.findall(r"^\| `(\S+)` \| \[.+\) \| `(\S+)` \| (\d+) \|$", table, re.MULTILINE) == wanted


def test_the_table_of_assignments_adds_up():
    table = pages.overview(SOURCES)
    lines = re.findall(r"^\| \{doc\}`.+` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", table, re.MULTILINE)
    assert len(lines) == len(SOURCES)
    sums = [sum(int(line[i]) for line in lines) for i in range(4)]
    assert sums[1] == 100 * len(SOURCES)
    assert table.endswith("| **Sum** | " + " | ".join(f"**{value}**" for value in sums) + " |")


def test_the_limits_on_the_pages_are_the_grader_s():
    limits, students, instructors = Limits(), " ".join(text("students").split()), " ".join(text("instructors").split())
    assert limits.cell == limits.test
    assert f"each cell, and each test | {limits.cell:g} seconds" in students
    assert f"tests | {limits.whole:g} seconds" in students
    assert f"in a check | {_core.SECONDS:g} seconds" in students
    assert f"memory | {limits.memory / 1024 / MB:g} GB" in students
    assert f"all of them | {limits.file // MB} MB; {limits.disk // MB} MB" in students
    assert f"the first {limits.output:,} characters" in students
    assert f"{limits.cell:g} seconds a cell and a test, {limits.whole:g} seconds in all, and four times" in instructors
    assert f"{limits.memory / 1024 / MB:g} GB of memory for all processes of a submission together" in instructors
    assert f"that sum), {limits.file // MB} MB a file" in instructors
    assert f"memory ({limits.disk // MB} MB)" in instructors


def test_the_message_on_the_students_page_is_what_the_check_says():
    def jacobian(weights: list, slopes: list) -> np.ndarray:
        J = np.eye(weights[0].shape[1])
        for W in weights:
            J = W @ J
        return J

    with pytest.raises(check.CheckFailed) as failed:
        check.ordered_jacobian(jacobian)
    assert str(failed.value) in " ".join(text("students").split())


def test_the_options_that_the_page_names_exist():
    options = set(re.findall(r"(?<!-)--([a-z][a-z-]+)", text("instructors")))
    assert {"roster", "sources", "out", "by-hand"} <= options
    code = (ROOT / "ortholab" / "course" / "commands.py").read_text(encoding="utf-8")
    assert not {o for o in options if f"{o.replace('-', '_')}: " not in code and f'"--{o}"' not in code}
