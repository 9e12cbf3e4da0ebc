"""Every assignment: its own answers pass, stubs and wrong answers fail with the words that help, other ways pass."""

from __future__ import annotations

import answers
import pytest
import sources
import torch

from ortholab import nn

NAMES = sorted(path.stem for path in sources.FOLDER.glob("*.ipynb"))
PARTS = [(name, part) for name in NAMES for part in sources.parts(name)]
WRONG = [case for name in NAMES for case in answers.wrong(name)]
RIGHT = [case for name in NAMES for case in answers.right(name)]


class Untrained:
    """Stands in for the trainer where only the answer's bookkeeping matters: it guesses."""

    def __init__(self, *arguments, **settings):
        self.generator = torch.Generator().manual_seed(0)

    def step(self, x, y):
        return 0.0

    def predict(self, x):
        return torch.randn(1, x.shape[1], 10, generator=self.generator)


@pytest.fixture(autouse=True)
def instant(monkeypatch):
    """Assignment 4 alone trains recurrent networks; that it trains them well is test_4_gain.py's."""
    monkeypatch.setattr(nn, "RecurrentStep", Untrained)


@pytest.mark.parametrize("name", NAMES)
def test_the_points_add_up(name):
    assert sum(sources.marks(name).values()) == 100
    by_hand = [cell.points for cell in sources.cells(name) if cell.graded and cell.solution]
    assert 10 <= sum(by_hand) <= 20


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_the_answer_passes(name, part):
    outcome = sources.run(name, part)
    assert set(outcome.values()) == {None}, outcome


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_the_stub_fails_and_says_so(name, part):
    outcome = sources.run(name, part, sources.stub(name, part))
    assert outcome
    assert all("is not written yet" in str(error) for error in outcome.values()), outcome


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_each_coded_part_has_four_wrong_answers(name, part):
    assert sum((case.name, case.part) == (name, part) for case in WRONG) >= 4


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_a_wrong_answer_hears_what_is_wrong(case):
    said = sources.message(case.name, case.part, case.text)
    assert said.startswith("CheckFailed: "), said
    assert case.words in said


@pytest.mark.parametrize("case", RIGHT, ids=str)
def test_a_right_answer_may_go_another_way(case):
    outcome = sources.run(case.name, case.part, case.text)
    assert set(outcome.values()) == {None}, outcome
