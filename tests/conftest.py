"""For all tests: a browser, and the files that take longest start first, so that no worker is alone at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "book"))
from site_tools import find_chromium, launch, need  # noqa: E402

# Files that take a quarter of a minute or more, the longest first. They matter with `-n 2 --no-loadscope-reorder`:
# xdist's own order is by the number of tests, and the longest files have few.
LONGEST = (
    "book/test_explorables_page.py",
    "book/test_browser.py",
    "assignments/test_answers.py",
    "experiments/test_cluster.py",
    "nn/test_optim.py",
    "nn/test_parametrize.py",
    "explore/test_lane.py",
    "assignments/test_grade.py",
    "assignments/test_full_marks.py",
    "experiments/test_engine.py",
    "experiments/test_cli.py",
    "assignments/test_release.py",
    "theory/test_spectrum.py",
    "test_claims.py",
    "book/test_runs.py",
    "assignments/test_rooms.py",
    "nn/diagnosis/test_diagnose.py",
    "nn/test_parametrize_reach.py",
    "test_house.py",
    "test_packages.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files; within a file, and among the others, the order stays."""
    place = {HERE / name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(LONGEST)))


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """One Chromium for a file of tests. Playwright's loop runs as long as it lives, and no other can run beside it."""
    need(find_chromium(), "no Chromium was found: install Debian's chromium, or name one in CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = launch(playwright)
        yield found
        found.close()
