"""The course in the built book: the zip downloads, and each assignment's page shows the notebook that is in it."""

from __future__ import annotations

import io
import re
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import urljoin

import nbformat
import pytest
from bs4 import BeautifulSoup

from ortholab.course import grade
from ortholab.course.release import TOP, release
from ortholab.course.source import read_all, tag

pytestmark = pytest.mark.site

SOURCES = read_all(grade.SOURCES)
LINKING = ["book/index", "book/course/students", *(f"book/course/{name}" for name in SOURCES)]


def article(site: Path, document: str) -> BeautifulSoup:
    """Parse a page's article."""
    page = BeautifulSoup((site / f"{document}.html").read_text(encoding="utf-8"), "html.parser")
    return page.select_one("article.bd-article")


@pytest.fixture(scope="module")
def downloaded(site, address) -> dict[str, bytes]:
    """What the link to the zip gives, page by page, over HTTP as a browser asks for it."""
    found = {}
    for document in LINKING:
        links = {a["href"] for a in article(site, document).select("a[href$='.zip']")}
        assert len(links) == 1, f"{document} has {len(links)} links to a zip"
        with urllib.request.urlopen(urljoin(f"{address}/{document}.html", links.pop()), timeout=30) as answer:
            assert "zip" in answer.headers["Content-Type"]
            found[document] = answer.read()
    return found


def test_the_zip_downloads_from_every_page_that_links_it_and_is_make_course_s(downloaded, tmp_path):
    pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ortholab[course]'")
    wanted = release(grade.SOURCES, tmp_path).read_bytes()
    assert [document for document, data in downloaded.items() if data != wanted] == []


@pytest.mark.parametrize("name", SOURCES)
def test_a_page_states_its_minutes_and_every_part(site, name):
    page = article(site, f"book/course/{name}")
    headings = [h.get_text().removesuffix("#").strip() for h in page.find_all("h2")]
    parts = [m for h in headings if (m := re.match(r"Part (\d+)\. .+\((\d+) points, (\d+) minutes", h))]
    assert [int(m[1]) for m in parts] == list(range(1, len(SOURCES[name].parts) + 1))
    lines = [[cell.get_text(" ", strip=True) for cell in row.find_all("td")] for row in page.table.tbody.find_all("tr")]
    assert lines[-1][:3] == ["Sum", str(sum(int(m[3]) for m in parts)), str(sum(int(m[2]) for m in parts))]
    assert [line[1:3] for line in lines[:-1]] == [[m[3], m[2]] for m in parts]
    assert SOURCES[name].minutes == int(lines[-1][1])
    for row, part in zip(page.table.tbody.find_all("tr"), parts, strict=False):
        target = page.find(id=row.a["href"].removeprefix("#"))
        assert target is not None
        assert part[0] in target.find_parent("section").get_text() or part[0] in target.get_text()


@pytest.mark.parametrize("name", SOURCES)
def test_a_page_shows_the_code_of_the_zip(site, downloaded, name):
    """Every code cell, in order and to the letter, as Python that can be copied."""
    with zipfile.ZipFile(io.BytesIO(downloaded["book/course/students"])) as archive:
        cells = nbformat.reads(archive.read(f"{TOP}/{name}.ipynb").decode(), as_version=4).cells
    page = article(site, f"book/course/{name}")
    shown = [block.pre.get_text().rstrip("\n") for block in page.select("div.highlight-python")]
    assert shown == [c.source.rstrip("\n") for c in cells if c.cell_type == "code"]
    words = page.select("div.ol-course-words")
    assert len(words) == sum(tag(c).get("solution", False) for c in cells if c.cell_type == "markdown") > 0


def test_the_answers_by_hand_are_listed_with_links(site):
    page = article(site, "book/course/instructors")
    table = next(t for t in page.find_all("table") if "Cell" in t.thead.get_text())
    cells = [row.find_all("td")[2].get_text(strip=True) for row in table.tbody.find_all("tr")]
    assert cells == [i for s in SOURCES.values() for part in s.parts for i in sorted(part.manual)]
    assert len(table.find_all("a", href=re.compile(r"^\d-[a-z]+\.html#"))) == len(cells)
