"""The archive that the browser's Python unpacks: the part of this library that needs numpy and scipy only."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import array_api_compat

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent

MODULES = ("__init__", "errors", "_scipy", "_tokens")  # of ortholab itself
# What shows an explorable, and what makes this archive, has no use inside the page's Python.
HOSTS = ("bundle.py", "page.py", "pyodide.py", "still.py", "widget.py", "film.py", "films", "front")
# Of array_api_compat: what an array of numpy needs.
COMPAT = ("", "common", "numpy")

# Any date would do; a fixed one, and no more of the machine than the bytes of the files, makes equal archives equal.
DATE = (1980, 1, 1, 0, 0, 0)


def files() -> dict[str, Path]:
    """Return what the archive holds, as ``{name in the archive: file}``, sorted by name.

    >>> "ortholab/theory/mean_field.py" in files(), "ortholab/nn/mlp.py" in files()
    (True, False)
    """
    chosen = [LIBRARY / f"{name}.py" for name in MODULES]
    chosen += (LIBRARY / "theory").rglob("*.py")
    chosen += (path for path in HERE.rglob("*.py") if path.relative_to(HERE).parts[0] not in HOSTS)
    found = {f"ortholab/{path.relative_to(LIBRARY).as_posix()}": path for path in chosen}
    root = Path(array_api_compat.__file__).resolve().parent
    for part in COMPAT:
        found |= {f"{root.name}/{p.relative_to(root).as_posix()}": p for p in (root / part).glob("*.py")}
    found["array_api_compat/LICENSE"] = HERE / "licences" / "array_api_compat.txt"
    found["ortholab/LICENSE"] = HERE / "licences" / "ortholab.txt"
    return dict(sorted(found.items()))


def bundle() -> bytes:
    """Return the archive (zip): equal files give equal bytes, on any day and any machine with the same zlib.

    >>> zipfile.ZipFile(io.BytesIO(bundle())).testzip() is None
    True
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in files().items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(entry, path.read_bytes())
    return out.getvalue()
