"""The release opens, holds what it should, and shows nothing of the solutions or the hidden tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nbformat
import pytest
from course_submissions import TOY, stripped
from typer.testing import CliRunner

pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ortholab[course]'")

from ortholab.cli import app
from ortholab.course import grade
from ortholab.course.release import TOP, leaked, release, unescape
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


def texts(path: Path) -> dict[str, str]:
    """Read every text that the site serves, what lies in its zips included."""
    found = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = str(file.relative_to(path))
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                found |= {f"{name}/{n}": archive.read(n).decode(errors="ignore") for n in archive.namelist()}
        elif file.suffix in (".html", ".ipynb", ".txt", ".md", ".py", ".json", ".js"):
            found[name] = file.read_text(encoding="utf-8", errors="ignore")
    return found


@pytest.mark.site
def test_the_built_site_shows_no_secret():
    """A line that a chapter or the library shows as well is no secret: they are what the course teaches."""
    site = ROOT / "_build" / "html"
    if not site.is_dir():
        pytest.skip("the book is not built")
    sources = read_all(grade.SOURCES)
    taught = [p for p in (ROOT / "book").rglob("*") if p.suffix in (".ipynb", ".md") and grade.SOURCES not in p.parents]
    taught += [*(ROOT / "ortholab").rglob("*.py")]
    shown = squeeze("".join(unescape(p.read_text(encoding="utf-8")) for p in taught))
    shown += "".join(public(source) for source in sources.values())
    hidden = {line for source in sources.values() for line in secrets(source) if len(line) >= 20 and line not in shown}
    assert len(hidden) > 100
    ours = {name: text for name, text in texts(site).items() if not name.startswith("_static/")}
    assert ours
    assert [f"{name}: {line}" for name, text in ours.items() for line in leaks(unescape(text), hidden)] == []
