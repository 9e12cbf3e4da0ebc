"""Where Pyodide's files are, and that they are the ones that were pinned."""

from __future__ import annotations

import json
import os
import re
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
