"""The page "Reproduce": every stored result and experiment stands there, with its command and where it is used."""

from __future__ import annotations

import json
from pathlib import Path

import ortholab_reproduce as reproduce
import pytest

from ortholab.experiments.registry import EXPERIMENTS

ROOT = Path(__file__).resolve().parents[2]
TEXT = "\n".join(reproduce.text())
KEPT = sorted(path.parent for path in (ROOT / "book" / "results").glob("*/*/manifest.json"))


def test_each_folder_of_results_is_one_the_page_knows():
    assert len(KEPT) > 10
    assert {(folder.parent.name, folder.name) for folder in KEPT} == set(reproduce.stored())
    assert {folder.name for folder in (ROOT / "book" / "results").iterdir()} <= set(EXPERIMENTS)


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_a_stored_result_has_its_command_and_its_provenance(folder):
    assert f"`ortholab run {folder.parent.name} --tier {folder.name} --store book/results`" in TEXT
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert f"specification {manifest['specification_sha256'][:8]}" in TEXT


def test_every_experiment_and_tier_stands_there_with_its_cost():
    for experiment in EXPERIMENTS.values():
        for tier in experiment.costs:
            assert f"`ortholab run {experiment.name} --tier {tier}" in TEXT


def test_what_a_page_shows_from_a_stored_run_is_used_by_that_page():
    """A page with a starred figure uses at least one experiment that has a stored result."""
    users = {page for name, _ in reproduce.stored() for page in reproduce.users(name)}
    starred = {p for p in reproduce.chapters() if any(s for _, s in reproduce.figures(reproduce.code_cells(p)))}
    assert len(starred) > 3
    assert starred <= users


def test_every_figure_of_every_page_is_listed():
    count = 0
    for page in reproduce.chapters():
        source = "\n".join(reproduce.code_cells(page))
        shown = source.count("plot.show(")
        listed = reproduce.figures(reproduce.code_cells(page))
        assert len(listed) == shown, f"{page.name}: a figure has no name"
        count += shown
        for name, _ in listed:
            assert f'{page.stem}.html#{name}"' in TEXT
    assert count > 80
