"""For all tests: the files that take longest start first, so that no worker is left alone with one at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
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
