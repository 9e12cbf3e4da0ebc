"""Verdicts that another process has just computed with the very same library, so that none is computed twice.

The environment variable ORTHOLAB_VERDICTS names a folder that belongs to one state of the library: the tests and the
build name it after a hash of all its code and stored results. Without the variable nothing is read or written.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

VARIABLE = "ORTHOLAB_VERDICTS"


def place(test: Callable[[], object]) -> Path | None:
    """Return the file of a test's verdict; None where none is kept, which includes tests from outside the library."""
    folder = os.environ.get(VARIABLE, "").strip()
    if not folder or not test.__module__.startswith("ortholab.claims."):
        return None
    return Path(folder) / f"{test.__module__}.{test.__qualname__}.json"


def read(test: Callable[[], object]) -> dict | None:
    """Return the fields of the verdict that was kept, or None."""
    path = place(test)
    if path is None or not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("interval") is not None:
        found["interval"] = tuple(found["interval"])
    return found


def write(test: Callable[[], object], verdict: object) -> None:
    """Keep a verdict. The file has its name once it is whole: two processes may write it at once."""
    path = place(test)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    fields = {f.name: getattr(verdict, f.name) for f in dataclasses.fields(verdict)}
    part.write_text(json.dumps(fields, default=float), encoding="utf-8")  # float: numpy's numbers
    part.replace(path)
