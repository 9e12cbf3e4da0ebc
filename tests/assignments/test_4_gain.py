"""Assignment 4: its own answers earn full marks, an untouched release none, and wrong answers the right words."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ortholab import nn
from ortholab.theory import haar


def load(name: str):
    """Import a helper that lies beside this file."""
    spec = importlib.util.spec_from_file_location(f"assignment_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec.name not in sys.modules:
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]


sources, answers = load("sources"), load("answers")
NAME = "4-gain"
WRONG, RIGHT = (answers.read(f"{kind}_4_gain.txt") for kind in ("wrong", "right"))


class Untrained:
    """Stands in for the trainer where only the answer's bookkeeping matters: it guesses."""

    def __init__(self, *arguments, **settings):
        self.generator = torch.Generator().manual_seed(0)

    def step(self, x, y):
        return 0.0

    def predict(self, x):
        return torch.randn(1, x.shape[1], 10, generator=self.generator)


@pytest.fixture
def instant(monkeypatch):
    monkeypatch.setattr(nn, "RecurrentStep", Untrained)


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("part", sources.parts(NAME))
def test_the_answer_passes_and_the_stub_does_not(part):
    assert set(sources.run(NAME, part).values()) == {None}
    for error in sources.run(NAME, part, sources.stub(NAME, part)).values():
        assert "is not written yet" in str(error)


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_answer_hears_what_is_wrong(wrong):
    said = sources.message(NAME, wrong.part, f"{sources.answer(NAME, wrong.part)}\n\n{wrong.code}")
    assert said.startswith("CheckFailed: "), said
    assert wrong.words in said


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("right", RIGHT, ids=str)
def test_a_right_answer_in_another_style_passes(right):
    outcome = sources.run(NAME, right.part, f"{sources.answer(NAME, right.part)}\n\n{right.code}")
    assert set(outcome.values()) == {None}


def test_each_coded_part_has_four_answers():
    counts = {part: sum(wrong.part == part for wrong in WRONG) for part in sources.parts(NAME)}
    assert min(counts.values()) >= 4, counts


def test_the_points_add_up():
    marks = sources.marks(NAME)
    assert sum(marks.values()) == 100
    by_hand = [cell.points for cell in sources.cells(NAME) if cell.graded and cell.solution]
    assert 10 <= sum(by_hand) <= 20


def test_the_derivation_holds_in_numbers():
    """Fresh factors (1 - a) I + a g D Q multiply the mean of s^2 by (1 - a)^2 + a^2 chi; a shared Q does not."""
    rng = np.random.default_rng(0)
    n, gain, leak, draws = 8, 1.3, 0.4, 4000
    slopes = rng.uniform(0.2, 1.0, (3, n))
    predicted = np.prod((1 - leak) ** 2 + leak**2 * gain**2 * np.mean(slopes**2, axis=1))
    J = np.broadcast_to(np.eye(n), (draws, n, n))
    for d in slopes:
        J = (1 - leak) * J + leak * gain * d[:, None] * haar(n, rng=rng, batch=(draws,)) @ J
    squares = np.sum(J**2, axis=(1, 2)) / n
    assert abs(squares.mean() - predicted) < 4 * squares.std() / draws**0.5

    Q, t = haar(400, rng=rng), 5
    factor = (1 - leak) * np.eye(400) + leak * gain * Q
    angle = np.linspace(0, 2 * np.pi, 1001)[:-1]
    integral = np.mean(abs(1 - leak + leak * gain * np.exp(1j * angle)) ** (2 * t))
    assert np.sum(np.linalg.matrix_power(factor, t) ** 2) / 400 == pytest.approx(integral, rel=0.03)
    assert integral > 1.5 * ((1 - leak) ** 2 + (leak * gain) ** 2) ** t


def test_the_model_conclusion_states_what_the_runs_give(capsys):
    assert sources.run(NAME, "audit")["audit-visible"] is None
    printed = capsys.readouterr().out
    stated = next(cell.text for cell in sources.cells(NAME) if cell.grade_id == "conclusion")
    rows = re.findall(r"adjusted - (\w+): (\S+) \[(\S+), (\S+)\] points, (.+)", printed)
    assert len(rows) == 2
    for name, mean, low, high, said in rows:
        found = re.search(rf"minus {name}\* is \$(\S+)\$[^$]*\$\[(\S+), (\S+)\]\$: ([^;,.]*)", stated)
        assert [float(v) for v in found.groups()[:3]] == pytest.approx([float(v) for v in (mean, low, high)], abs=0.3)
        assert said in found[4]
