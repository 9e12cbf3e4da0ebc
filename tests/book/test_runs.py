"""One run is enough: what nbval ran and passed is kept as the build itself would have run it, and nothing else is."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import ortholab_book
import ortholab_nbval
import ortholab_runs
import pytest
from jupyter_cache import get_cache
from myst_nb.core.utils import coalesce_streams
from site_tools import ROOT

from ortholab import explore

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
# Streams that alternate, a display that changes, outputs that are cleared, a figure, numbers: all that a page can show.
GOOD = [
    "import sys\nfrom IPython.display import HTML, Markdown, clear_output, display",
    "print('one')\ndisplay(HTML('<b>two</b>'), metadata={'isolated': True})\nprint('three')\nprint('four', end='\\r')",
    "shown = display(Markdown('old'), display_id='changes')\n5",
    "shown.update(Markdown('new'))",
    "print('gone')\nclear_output()\nprint('gone too')\nclear_output(wait=True)\nprint('stays')\nsys.stderr.write('x')",
    "import matplotlib.pyplot as plt\nplt.plot([0, 1])\nplt.show()\n[k for k in range(3)]",
    "from ortholab import explore\nexplore.show('phase_plane')",
]
BAD = {
    "fails": ["1", "assert False"],
    "skips": ["1", "# NBVAL_SKIP\n2"],
    "raises": ["# NBVAL_RAISES_EXCEPTION\n1 / 0"],
    "widget": ["from ipywidgets import IntSlider\nIntSlider()"],
}


def write(folder, name, cells):
    """Write a notebook."""
    made = [nbformat.v4.new_code_cell(text, id=f"cell-{i}") for i, text in enumerate(cells)]
    made.insert(1, nbformat.v4.new_markdown_cell("Words.", id="words"))
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=KERNEL), path)
    return path


def kept(folder):
    """Read what a cache keeps: executed notebooks by name. Streams are merged, as the pages do: a kernel cuts them by
    the clock."""
    cache = get_cache(folder)
    found = {Path(record.uri).stem: cache.get_cache_bundle(record.pk).nb for record in cache.list_cache_records()}
    for cell in (cell for notebook in found.values() for cell in notebook.cells):
        cell.outputs = coalesce_streams(cell.outputs)
    return found


@pytest.fixture(scope="module")
def nbval(tmp_path_factory):
    """A folder of notebooks that nbval has run, in a process of its own, and what it said."""
    folder = tmp_path_factory.mktemp("nbval")
    for name, cells in {"good": GOOD, **BAD}.items():
        write(folder, name, cells)
    command = [
        sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "ortholab_nbval", "-n", "1",
        "-p", "no:cacheprovider", "--dist", "loadscope", "--nbval-lax", "--fill-cache", "caches", ".",
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT / "book" / "_ext"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return folder, done.stdout + done.stderr


def test_only_a_notebook_that_ran_and_passed_is_kept(nbval):
    folder, said = nbval
    assert said.count("FAILED ") == 1, said
    assert re.search(r"FAILED \S*fails\.ipynb::Cell 1", said), said
    assert [path.name for path in (folder / "caches").iterdir()] == [ortholab_runs.library_hash()]
    assert set(kept(folder / "caches" / ortholab_runs.library_hash())) == {"good"}


@pytest.mark.parametrize(("name", "reason"), [("raises", "shows an exception"), ("widget", "makes a widget")])
def test_what_is_not_kept_is_said(nbval, name, reason):
    assert f"{name}.ipynb is not kept for the build: a cell {reason}" in nbval[1]


def test_what_nbval_ran_equals_what_the_build_runs(nbval, monkeypatch):
    """No difference: outputs, their order, numbers and metadata, with stored values for the explorable."""
    folder, _ = nbval
    monkeypatch.setenv(explore.STATIC, "1")
    other = folder / "build"
    asyncio.run(ortholab_runs.run_all([folder / "good.ipynb"], other, timeout=120, at_once=1))
    here = kept(folder / "caches" / ortholab_runs.library_hash())["good"]
    assert nbformat.writes(here) == nbformat.writes(kept(other)["good"])
    text = nbformat.writes(here)
    assert "new" in text
    assert "stays" in text
    assert "gone" not in "".join(str(cell.outputs) for cell in here.cells)
    assert "image/png" in text
    assert "ol-explorable" in str(here.cells[-1].outputs)
    assert [cell.execution_count for cell in here.cells] == list(range(1, len(GOOD) + 1))


def test_a_library_that_changes_under_way_spoils_the_run(tmp_path, monkeypatch):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")], metadata=KERNEL)
    run = ortholab_nbval.Run(SimpleNamespace(nb=notebook, get_kernel_message=None, path=tmp_path / "x.ipynb"))
    run.passed = [0]
    monkeypatch.setattr(ortholab_nbval, "library_hash", lambda: "another")
    assert "the library changed" in run.finish(tmp_path / "caches")
    assert not (tmp_path / "caches").exists()


def test_a_cell_out_of_order_spoils_the_run(tmp_path):
    """As with ``-k`` or a test that runs twice: the outputs are not those of a run from the first cell to the last."""
    cells = [nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("2")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)
    for passed in ([1], [0, 0], [1, 0], [0, 1, 1]):
        run = ortholab_nbval.Run(SimpleNamespace(nb=notebook, get_kernel_message=None, path=tmp_path / "x.ipynb"))
        run.passed = passed
        assert run.finish(tmp_path / "caches") == ""
        assert not (tmp_path / "caches").exists()


def test_make_fills_the_folder_that_the_build_reads(tmp_path):
    named = re.search(r"(?m)^CACHE := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"))[1]
    options = {"html_theme_options": {}, "html_static_path": [], "templates_path": []}
    config = SimpleNamespace(**options)
    ortholab_book.set_config(SimpleNamespace(outdir=tmp_path / "_build" / "html"), config)
    assert Path(config.nb_execution_cache_path) == tmp_path / named / ortholab_runs.library_hash()


def build(tmp_path, names, mode="cache"):
    """Let the build prepare the notebooks of the given names; return its cache."""
    folder = tmp_path / "cache"
    config = SimpleNamespace(nb_execution_mode=mode, nb_execution_cache_path=str(folder), nb_execution_timeout=60)
    env = SimpleNamespace(doc2path=lambda name: str(tmp_path / name))
    ortholab_runs.run_missing(SimpleNamespace(config=config), env, names)
    return folder


def test_the_build_runs_what_is_missing_side_by_side(tmp_path, monkeypatch):
    """Each of two notebooks waits for the other; one that fails is left to myst-nb; one that is there is not run."""
    monkeypatch.setenv(ortholab_runs.JOBS, "2")
    meet = (
        "import pathlib, time\npathlib.Path('{}').touch()\nend = time.time() + 40\n"
        "while not pathlib.Path('{}').exists():\n    assert time.time() < end\n    time.sleep(0.05)"
    )
    write(tmp_path, "a", [meet.format("a.met", "b.met")])
    write(tmp_path, "b", [meet.format("b.met", "a.met")])
    fails, old = write(tmp_path, "fails", BAD["fails"]), write(tmp_path, "old", ["open('old.run', 'w').close()"])
    (tmp_path / "page.md").write_text("# A page")
    ortholab_runs.keep(tmp_path / "cache", old, nbformat.read(old, as_version=4), 1.0)
    folder = build(tmp_path, ["a.ipynb", "b.ipynb", "old.ipynb", "page.md", "fails.ipynb"])
    assert set(kept(folder)) == {"a", "b", "old"}
    assert fails.exists()
    assert not (tmp_path / "old.run").exists()


@pytest.mark.parametrize(("jobs", "mode"), [("1", "cache"), ("2", "force")])
def test_one_at_a_time_or_without_a_cache_is_left_to_the_build(tmp_path, monkeypatch, jobs, mode):
    monkeypatch.setenv(ortholab_runs.JOBS, jobs)
    for name in "ab":
        write(tmp_path, name, [f"open('{name}.run', 'w').close()"])
    build(tmp_path, ["a.ipynb", "b.ipynb"], mode)
    assert not list(tmp_path.glob("*.run"))


@pytest.mark.parametrize("wrong", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_jobs_is_named(monkeypatch, wrong):
    monkeypatch.setenv(ortholab_runs.JOBS, wrong)
    with pytest.raises(ValueError, match=rf"{ortholab_runs.JOBS} must be a whole number from 1; got '{wrong}'"):
        ortholab_runs.jobs()


def test_the_number_of_jobs_is_given_or_that_of_the_cores(monkeypatch):
    monkeypatch.setenv(ortholab_runs.JOBS, "7")
    assert ortholab_runs.jobs() == 7
    monkeypatch.delenv(ortholab_runs.JOBS)
    for cores, found in ((2, 2), (64, ortholab_runs.MOST_JOBS)):
        monkeypatch.setattr(ortholab_runs.joblib, "cpu_count", lambda cores=cores: cores)
        assert ortholab_runs.jobs() == found
