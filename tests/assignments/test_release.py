"""The release opens, holds what it should, and shows nothing of the solutions or the hidden tests."""

from __future__ import annotations

import gzip
import html
import io
import json
import os
import re
import zipfile
from pathlib import Path

import nbformat
import pytest
from course_submissions import TOY, stripped
from nbclient import NotebookClient
from typer.testing import CliRunner

pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ortholab[course]'")

from ortholab.cli import app
from ortholab.course import grade, gradebook
from ortholab.course.release import TOP, leaked, readme, release, unescape
from ortholab.course.source import given, leaks, public, read, read_all, secrets, squeeze
from ortholab.errors import ArgumentError, RunError

ROOT = TOY.parents[2]
SOURCES = [folder for folder in (TOY, grade.SOURCES) if list(folder.glob("*.ipynb"))]


@pytest.fixture(scope="module", params=SOURCES, ids=lambda f: f.name)
def made(request, tmp_path_factory):
    """Make a release; return the folder of its sources and its files."""
    path = release(request.param, tmp_path_factory.mktemp("release"))
    with zipfile.ZipFile(path) as archive:
        return request.param, {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_release_shows_no_secret(made):
    folder, files = made
    sources = read_all(folder)
    assert all(len(secrets(source)) > 0 for source in sources.values())
    assert leaked(files, sources) == []


def test_a_leak_would_be_seen(made):
    sources = read_all(made[0])
    name, source = next(iter(sources.items()))
    text = source.path.read_text(encoding="utf-8")
    assert leaked({f"{name}.ipynb": text}, sources)


def test_the_release_is_the_source_without_its_secrets(made):
    folder, files = made
    for name in read_all(folder):
        notebook = nbformat.reads(files[f"{TOP}/{name}.ipynb"], as_version=4)
        expected = stripped(folder / f"{name}.ipynb")
        assert [c.source.strip() for c in notebook.cells] == [c.source.strip() for c in expected.cells]
        assert all(not c.get("outputs") for c in notebook.cells)


def test_the_readme_lists_every_assignment(made):
    folder, files = made
    assert all(f"{name}.ipynb" in files[f"{TOP}/README.md"] for name in read_all(folder))


def test_the_readme_states_the_sum_of_the_parts_minutes():
    for name, source in read_all(grade.SOURCES).items():
        minutes = sum(int(re.search(r"(\d+) minutes", part.title)[1]) for part in source.parts)
        assert f"| {name}.ipynb | {len(source.parts)} | 100 | {minutes} |" in readme(read_all(grade.SOURCES))


def test_a_gradebook_gets_the_version_that_no_other_follows():
    """Of nbgrader's tables: read from its scripts, each of which names the version before its own."""
    scripts = [p.read_text() for p in Path(gradebook.nbgrader().__file__).parent.glob("alembic/versions/*.py")]
    own, before = (
        {m[1] for text in scripts if (m := re.search(rf"(?m)^{name}\b.*=\s*['\"](\w+)['\"]", text))}
        for name in ("revision", "down_revision")
    )
    assert own - before == {gradebook.schema()}


def test_the_same_sources_give_the_same_bytes(tmp_path):
    first, second = (release(TOY, tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_a_source_that_shows_its_secret_is_refused(tmp_path):
    notebook = nbformat.read(TOY / "1-toy.ipynb", as_version=4)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "answers.txt").write_text("cubes = W * W * W", encoding="utf-8")
    nbformat.write(notebook, tmp_path / "1-toy.ipynb")
    with pytest.raises(RunError, match=r"answers\.txt: cubes=W\*W\*W"):
        release(tmp_path, tmp_path / "out")
    assert not list(tmp_path.glob("out/*.zip"))


@pytest.mark.parametrize("name", read_all(grade.SOURCES))
def test_an_assignment_runs_as_released(made, tmp_path, name):
    """From an empty folder, in a kernel of its own, every cell runs, and every check says what is not written yet."""
    folder, files = made
    if folder != grade.SOURCES:
        pytest.skip("the toy is no assignment of the course")
    notebook = nbformat.reads(files[f"{TOP}/{name}.ipynb"], as_version=4)
    NotebookClient(
        notebook, allow_errors=True, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    failed = {
        c.metadata["nbgrader"]["grade_id"]: o.evalue
        for c in notebook.cells
        for o in c.get("outputs", [])
        if o.output_type == "error"
    }
    tests = [c for c in notebook.cells if c.cell_type == "code" and grade.is_test(c)]
    # A test whose whole text is hidden passes in silence.
    shown = {c.metadata["nbgrader"]["grade_id"] for c in tests if c.source.count("check.")}
    assert failed.keys() == shown
    assert {text for text in failed.values() if "is not written yet" not in text} == set()


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ArgumentError, match="no assignment source"):
        release(tmp_path, tmp_path)
    done = CliRunner().invoke(app, ["course", "release", "--sources", str(tmp_path)])
    assert done.exit_code == 1


def test_what_is_given_holds_definitions_and_no_answer():
    text = given(read(TOY / "1-toy.ipynb"))
    assert "import numpy as np" in text
    assert "def colleague" in text
    assert "def gradient" not in text


def test_the_parts_are_the_headings():
    source = read(TOY / "1-toy.ipynb")
    assert [(part.title, part.total) for part in source.parts] == [
        ("Part 1: a gradient", 30),
        ("Part 2: an orthogonal matrix", 50),
        ("Part 3: a proof", 20),
    ]
    assert source.parts[0].names == {"gradient"}
    assert source.parts[2].manual == {"proof"}


THIRD_PARTY = re.compile(r"_static/explore/pyodide-[^/]*/|_static/(mathjax|vendor)/")


def texts(name: str, data: bytes) -> dict[str, str]:
    """Return the text of a file by its name; of a zip, a wheel or a gzipped file all that it holds, at any depth."""
    if data[:2] == b"PK" and zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [texts(f"{name}/{n}", archive.read(n)) for n in archive.namelist()]
        return {n: text for found in inside for n, text in found.items()}
    if data[:2] == b"\x1f\x8b":
        return texts(f"{name}/gunzipped", gzip.decompress(data))
    return {} if b"\0" in data[:4096] else {name: data.decode(errors="ignore")}


def served(site: Path) -> dict[str, str]:
    """Return every text that a site serves, but for the copies of other projects' files."""
    found = {}
    for file in sorted(p for p in site.rglob("*") if p.is_file()):
        name = file.relative_to(site).as_posix()
        if not THIRD_PARTY.match(name):
            found |= texts(name, file.read_bytes())
    return found


def hidden_lines() -> set[str]:
    """Return what no page may show. A line that a chapter or the library shows too is no secret: the course teaches it.

    Text counts as well as code: a line of a worked proof is as secret as a line of a solution.
    """
    sources = read_all(grade.SOURCES)
    taught = [p for p in (ROOT / "book").rglob("*") if p.suffix in (".ipynb", ".md") and grade.SOURCES not in p.parents]
    taught += [*(ROOT / "ortholab").rglob("*.py")]
    shown = squeeze("".join(unescape(p.read_text(encoding="utf-8")) for p in taught))
    shown += "".join(public(source) for source in sources.values())
    return {line for source in sources.values() for line in secrets(source) if len(line) >= 20 and line not in shown}


def found_in(site: Path, hidden: set[str]) -> list[str]:
    """Return "file: line" for every hidden line that a site serves."""
    return [f"{name}: {line}" for name, text in served(site).items() for line in leaks(unescape(text), hidden)]


@pytest.mark.site
def test_the_built_site_shows_no_secret():
    site = Path(os.environ.get("ORTHOLAB_SITE", ROOT / "_build" / "html"))
    if not (site / "index.html").is_file():
        pytest.skip("the book is not built")
    names = served(site).keys()
    assert {"searchindex.js", "book/index.html", "_sources/book/index.md"} <= names
    for name in read_all(grade.SOURCES):
        wanted = {f"book/course/{name}.html", f"_static/course/{TOP}.zip/{TOP}/{name}.ipynb"}
        assert wanted <= names, "the course's pages or its zip are missing: build the book again"
    hidden = hidden_lines()
    assert len(hidden) > 100
    assert found_in(site, hidden) == []


def zipped(name: str, data: bytes) -> bytes:
    """Return a zip with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def marked_up(line: str) -> bytes:
    """Return a line as a page shows code: escaped, and cut by tags."""
    return f"<pre><span>{html.escape(line[:9])}</span>{html.escape(line[9:])}</pre>".encode()


PLANTS = {
    "a page": ("page.html", marked_up),
    "a source": ("_sources/page.md", lambda line: f"text\n    {line}\n".encode()),
    "the search index": ("searchindex.js", lambda line: f"Search.setIndex({json.dumps({'titles': line})})".encode()),
    "a notebook": ("_downloads/a/page.ipynb", lambda line: json.dumps({"source": ["x\n", line]}).encode()),
    "a static file": ("_static/data.json", lambda line: json.dumps([line]).encode()),
    "a file without a suffix": ("_sources/page", lambda line: line.encode()),
    "a zip in a zip": ("_static/x.zip", lambda line: zipped("inner.zip", zipped("a.py", line.encode()))),
    "a gzipped file": ("inventory.gz", lambda line: gzip.compress(line.encode())),
}


@pytest.mark.parametrize("place", PLANTS)
def test_a_secret_is_found_wherever_it_stands(tmp_path, place):
    line = 'assert np.allclose(answer["x"], 3 < W)'
    name, write = PLANTS[place]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(write(line))
    assert len(found_in(tmp_path, {squeeze(line)})) == 1
