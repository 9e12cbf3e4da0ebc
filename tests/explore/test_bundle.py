"""The archive for the browser's Python: reproducible, complete, and without what a page does not need."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ortholab import explore
from ortholab.explore.bundle import bundle, files

ROOT = Path(__file__).resolve().parents[2]

# Only the standard library, numpy and scipy; all that a Pyodide without further packages has.
ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
ALLOWED = {"numpy", "scipy", "ortholab", "array_api_compat", *sys.stdlib_module_names}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from ortholab import explore
import array_api_compat
assert all(m.__file__.startswith(sys.argv[1]) for m in (explore, array_api_compat)), explore.__file__
for name in sys.argv[2:]:
    print(explore.answer(name, "{}")[:12])
    explore.answer(name, '{"formula": "1 +"}')
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The archive, unpacked."""
    folder = tmp_path_factory.mktemp("bundle")
    zipfile.ZipFile(io.BytesIO(bundle())).extractall(folder)
    return folder


def test_nothing_is_missing(unpacked):
    done = subprocess.run([sys.executable, "-I", "-B", "-c", ALONE, str(unpacked), *explore.names()],
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("\n")[:-1] == ['{"picture": '] * len(explore.names())


def test_what_it_holds(unpacked):
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert names == set(files())
    hosts = [name for name in names if name.startswith("ortholab/explore/") and name.count("/") == 2]
    assert {"ortholab/explore/explorable.py", "ortholab/explore/picture.py"} <= set(hosts)
    assert not {"ortholab/explore/bundle.py", "ortholab/explore/page.py", "ortholab/explore/widget.py"} & names
    assert {"ortholab", "array_api_compat"} == {name.split("/")[0] for name in names}
    assert (unpacked / "ortholab/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "Consortium for Python Data API Standards" in (unpacked / "array_api_compat/LICENSE").read_text()


def test_equal_files_give_equal_bytes():
    archive = zipfile.ZipFile(io.BytesIO(bundle()))
    entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {(entry.external_attr, entry.create_system) for entry in entries} == {(0o644 << 16, 3)}
    assert bundle() == bundle()
    assert len(bundle()) < 250_000  # of the 300 kB that a page may gain


# What a file of ortholab.explore may import of the library, besides errors, private helpers and explore itself.
MAY_IMPORT = {
    "films": {"data", "nn", "sequences", "theory"},
    "page.py": {"plot"},
    "still.py": {"plot"},
    "gallery": {"theory"},
}


def test_imports_go_one_way():
    """Only what hosts an explorable may draw, and only films may train; what a page's Python runs knows theory."""
    explorables = ROOT / "ortholab" / "explore"
    for path in explorables.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {f"ortholab.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom)
                  and node.module == "ortholab" for alias in node.names}  # fmt: skip
        used = {name.split(".")[1] for name in names if name.startswith("ortholab.")} - {"errors", "explore"}
        part = path.relative_to(explorables).parts[0]
        assert {n for n in used if not n.startswith("_")} <= MAY_IMPORT.get(part, {"theory"}), path
