"""Fixtures for the site's tests. Under CI=true what is missing is a failure; elsewhere it is a skip that says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from site_tools import ROOT, SITE, need, serve


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built book."""
    need((SITE / "index.html").exists(), f"the book is not built at {SITE}: run `make book`")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The built book on a local web server."""
    with serve(site) as found:
        yield found


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    path = ROOT / ".make" / "axe.min.js"
    need(path.exists(), f"axe-core is not at {path}: `make test-site` fetches it with npm")
    return path.read_text(encoding="utf-8")
