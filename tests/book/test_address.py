"""The repository's address: written in one place, it reaches every notebook and link; unset, it leaves no trace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import ortholab_address
import pytest
import yaml
from bs4 import BeautifulSoup
from site_tools import ROOT

FAKE = "https://github.com/ann-example/ortho.lab"
NOTEBOOK = "book/1-isometry/jacobian.ipynb"


def code_cells(path):
    """Read the code cells of a notebook."""
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]


@pytest.fixture
def copy(tmp_path):
    """A copy of what the address touches."""
    for name in ("_config.yml", NOTEBOOK, "book/_ext/ortholab_address.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(copy, *arguments):
    """Run the script of the copy."""
    script = copy / "book" / "_ext" / "ortholab_address.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=60)


def test_the_address_is_stamped_and_removed(copy):
    before = (copy / "_config.yml").read_text(encoding="utf-8"), (copy / NOTEBOOK).read_text(encoding="utf-8")
    assert run(copy, FAKE + ".git").returncode == 0
    config = yaml.safe_load((copy / "_config.yml").read_text(encoding="utf-8"))
    assert config["repository"]["url"] == FAKE
    source = "".join(code_cells(copy / NOTEBOOK)[0]["source"])
    assert f'%pip install --quiet "ortholab @ git+{FAKE}"' in source
    assert "0 notebook(s)" in run(copy).stdout

    assert run(copy, "none").returncode == 0
    assert (copy / "_config.yml").read_text(encoding="utf-8") == before[0]
    assert json.loads((copy / NOTEBOOK).read_text(encoding="utf-8")) == json.loads(before[1])


@pytest.mark.parametrize(
    "wrong", ["https://gitlab.com/a/b", "github.com/a/b", "https://github.com/a", 'https://github.com/a/b"']
)
def test_a_wrong_address_changes_nothing(copy, wrong):
    before = (copy / "_config.yml").read_text(encoding="utf-8")
    found = run(copy, wrong)
    assert found.returncode == 2
    assert repr(wrong) in found.stderr
    assert (copy / "_config.yml").read_text(encoding="utf-8") == before


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """One notebook, built by Jupyter Book with an address, the book's own configuration and its extension."""
    small = tmp_path_factory.mktemp("address")
    for name in ("_config.yml", "book/_ext", "book/_assets", "book/references.bib"):
        (small / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, small / name)
    cells = [{"cell_type": "markdown", "id": "t", "metadata": {}, "source": ["# Title\n"]}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (small / NOTEBOOK).parent.mkdir(parents=True)
    (small / NOTEBOOK).write_text(json.dumps(notebook))
    (small / "book" / "index.md").write_text("# Index\n")
    (small / "_toc.yml").write_text(
        f"format: jb-book\nroot: book/index\nchapters:\n  - file: {NOTEBOOK.removesuffix('.ipynb')}\n"
    )
    ortholab_address.write_address(FAKE, small)
    made = subprocess.run(
        [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", str(small), "-q"],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    built = small / "_build" / "html" / NOTEBOOK.replace(".ipynb", ".html")
    assert built.exists(), made.stdout + made.stderr
    return BeautifulSoup(built.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("mybinder.org", "https://mybinder.org/v2/gh/ann-example/ortho.lab/main?urlpath=lab/tree/" + NOTEBOOK),
        ("colab", "https://colab.research.google.com/github/ann-example/ortho.lab/blob/main/" + NOTEBOOK),
        ("/edit/", f"{FAKE}/edit/main/{NOTEBOOK}"),
        ("/issues/", f"{FAKE}/issues/new"),
    ],
)
def test_buttons_lead_to_this_layout(page, host, link):
    found = [tag["href"] for tag in page.select(".article-header-buttons a[href]") if host in tag["href"]]
    assert len(found) == 1
    assert found[0].startswith(link)
    # Colab's and Binder's links are exact; GitHub's issue link goes on with a title.
    assert found[0] == link or host == "/issues/"


@pytest.mark.parametrize("path", ortholab_address.notebooks(), ids=lambda p: p.stem)
def test_a_committed_notebook_is_clean(path):
    """No outputs, unique cell ids, and a first code cell that is the generated text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))
    cells = code_cells(path)
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert cells[0]["id"] == ortholab_address.FIRST_CELL_ID
    assert "".join(cells[0]["source"]) == ortholab_address.first_cell(ortholab_address.read_address())
    assert cells[0]["metadata"]["tags"] == ["remove-cell"]


def test_the_install_cell_does_nothing_where_the_library_is():
    for url in ("", FAKE):
        source = ortholab_address.first_cell(url).replace("%pip", "raise SystemExit #")
        subprocess.run([sys.executable, "-c", source], check=True, timeout=60)
