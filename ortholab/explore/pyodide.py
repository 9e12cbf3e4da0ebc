"""The browser's Python: Pyodide 0.27.7, the nine files of it that a page loads, and where a copy of them is.

A copy is never part of the project. A page loads the files from a folder beside it if there is one, else from
:data:`CDN`; both are the same files, so their sha256 are listed here and checked. ``python -m ortholab.explore.pyodide
FOLDER`` fetches what FOLDER lacks.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from ortholab.errors import DataError

VERSION = "0.27.7"
CDN = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"
VARIABLE = "ORTHOLAB_PYODIDE"

# Python 3.12.7 with numpy 2.0.2 and scipy 1.14.1. Those of the last three equal the hashes in pyodide-lock.json.
FILES = {
    "pyodide.mjs": "04c052c815abb0bf2981fa38c2dfa58e3120ee5288c956df2b2a15e301782c5f",
    "pyodide.js": "b4cb23a53aba19c221659b9fb40a2f18281d685691dc06647fb0afd0681baf98",
    "pyodide.asm.js": "6b4c90de5b7172873f04f21884d0e9d2274e305fe32116558fe3e4fbe3618d51",
    "pyodide.asm.wasm": "a50dd1843f805a0b7c45b61037ee0d7b26dfe85efe0e18ef95a34ad24e401f5f",
    "pyodide-lock.json": "9c45b916001a750f4102fc287494f3eab215909c7535c626a20db80fd6333e2c",
    "python_stdlib.zip": "16611534726e5d8ac2bd8f926410b2dcb8d6f49aa24913463533b457a2115c16",
    "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl": (
        "ebb61241d962b98b21597d7ce43b67668a6d5bab3acec4fbe958657320d7cd08"
    ),
    "openblas-0.3.26.zip": "787ea9a8a5cd160204388d03324b3b7ce5c9aea14b5680cec987f837e76c5198",
    "scipy-1.14.1-cp312-cp312-pyodide_2024_0_wasm32.whl": (
        "997c50a61564a8ce6a56ea98a42e7f4427e5eb98475a73233e83df6a184f415c"
    ),
}

# What the page's worker loads: all but the loader for Node. Bytes, so that it can show how far it is.
BYTES = {
    "pyodide.js": 14913,
    "pyodide.asm.js": 1255688,
    "pyodide.asm.wasm": 10105545,
    "pyodide-lock.json": 112205,
    "python_stdlib.zip": 2360737,
    "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl": 3061133,
    "openblas-0.3.26.zip": 6117592,
    "scipy-1.14.1-cp312-cp312-pyodide_2024_0_wasm32.whl": 13477451,
}
# What waits until an answer needs scipy: most first answers do not.
LATER = ("openblas-0.3.26.zip", "scipy-1.14.1-cp312-cp312-pyodide_2024_0_wasm32.whl")


def check(folder: str | os.PathLike) -> Path:
    """Return ``folder`` if it holds the nine files, or raise DataError that names the first that is missing or differs.

    >>> check("no such folder")
    Traceback (most recent call last):
    ortholab.errors.DataError: no such folder: there is no such folder; it should hold Pyodide 0.27.7
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; it should hold Pyodide {VERSION}")
    for name, wanted in FILES.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path}: the file is missing; it is at {CDN}{name}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted:
            raise DataError(f"{path}: not the file of Pyodide {VERSION}: its sha256 is {found[:12]}..., "
                            f"not {wanted[:12]}...; it is at {CDN}{name}")  # fmt: skip
    return folder


def find() -> Path | None:
    """Return the folder that the environment variable ORTHOLAB_PYODIDE names, checked, or None where it is not set.

    Raises DataError as :func:`check` does.
    """
    named = os.environ.get(VARIABLE, "")
    return check(named) if named else None


def fetch(folder: str | os.PathLike, source: str = CDN) -> Path:
    """Fetch those of the nine files that ``folder`` lacks or holds otherwise; return the folder.

    A file counts once its sha256 is right; until then it has another name, so that a fetch that was cut short leaves
    nothing that could pass for it. Raises DataError that names the file and its address.
    """
    import pooch

    folder = Path(folder)
    for name, wanted in FILES.items():
        try:
            pooch.retrieve(source + name, known_hash=f"sha256:{wanted}", fname=name, path=folder)
        except (OSError, ValueError) as error:  # no network, no such file; or another hash
            raise DataError(f"{folder / name}: could not be fetched from {source}{name}: {error}") from error
    return check(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m ortholab.explore.pyodide FOLDER")
    try:
        print(f"Pyodide {VERSION}, nine files, each checked: {fetch(sys.argv[1])}")
    except DataError as error:
        raise SystemExit(f"error: {error}") from None
