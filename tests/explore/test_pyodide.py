"""Where Pyodide's files are, and that they are the ones that were pinned."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import re
import threading
from pathlib import Path

import pytest

from ortholab.errors import DataError
from ortholab.explore import pyodide


def test_nine_files_at_one_version():
    assert len(pyodide.FILES) == 9
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in pyodide.FILES.values())
    assert len(set(pyodide.FILES.values())) == 9
    assert set(pyodide.FILES) - set(pyodide.BYTES) == {"pyodide.mjs"}
    assert pyodide.CDN == "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"


def test_no_folder_named(monkeypatch):
    monkeypatch.delenv(pyodide.VARIABLE, raising=False)
    assert pyodide.find() is None
    monkeypatch.setenv(pyodide.VARIABLE, "")
    assert pyodide.find() is None


def test_a_wrong_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(pyodide.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"nowhere: there is no such folder.*0\.27\.7"):
        pyodide.find()
    with pytest.raises(DataError, match=r"pyodide\.mjs: the file is missing.*jsdelivr"):
        pyodide.check(tmp_path)
    (tmp_path / "pyodide.mjs").write_text("export const loadPyodide = null;")
    with pytest.raises(DataError, match=r"pyodide\.mjs: not the file of Pyodide 0\.27\.7"):
        pyodide.check(tmp_path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with two toy files in place of the nine, and the hashes that they should have."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "pyodide.js").write_text("first")
    (folder / "numpy.whl").write_bytes(bytes(range(256)) * 40)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    monkeypatch.setattr(pyodide, "FILES", hashes)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}/", folder
        served.shutdown()


def test_fetch_takes_what_is_missing_and_checks_it(server, tmp_path):
    source, folder = server
    target = tmp_path / "copy"
    assert pyodide.fetch(target, source) == target
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    (target / "numpy.whl").write_bytes(b"cut short")  # as after a crash
    (folder / "pyodide.js").unlink()  # what is right is not fetched again
    assert pyodide.fetch(target, source) == target


def test_fetch_refuses_another_file_and_names_what_is_not_there(server, tmp_path):
    source, folder = server
    (folder / "numpy.whl").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"numpy\.whl: could not be fetched from http.*hash"):
        pyodide.fetch(tmp_path / "copy", source)
    assert not (tmp_path / "copy" / "numpy.whl").exists()
    (folder / "numpy.whl").unlink()
    with pytest.raises(DataError, match=r"numpy\.whl: could not be fetched from http.*404"):
        pyodide.fetch(tmp_path / "copy", source)


@pytest.mark.skipif(not os.environ.get(pyodide.VARIABLE), reason=f"{pyodide.VARIABLE} names no folder with Pyodide")
def test_the_copy_is_what_its_own_lock_file_lists():
    folder = pyodide.find()
    assert folder == Path(os.environ[pyodide.VARIABLE])
    lock = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))
    assert lock["info"]["version"] == pyodide.VERSION
    listed = {lock["packages"][name]["file_name"]: lock["packages"][name]["sha256"]
              for name in ("numpy", "openblas", "scipy")}  # fmt: skip
    assert {name: pyodide.FILES[name] for name in listed} == listed
    assert {name: (folder / name).stat().st_size for name in pyodide.BYTES} == pyodide.BYTES
    assert (lock["packages"]["numpy"]["version"], lock["packages"]["scipy"]["version"]) == ("2.0.2", "1.14.1")
