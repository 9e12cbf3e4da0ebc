"""Assignment 3: its own answers earn full marks, an untouched release none, and wrong answers the right words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ortholab.theory import haar, stiefel


def load(name: str):
    """Import a helper that lies beside this file."""
    spec = importlib.util.spec_from_file_location(f"assignment_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec.name not in sys.modules:
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]


sources, answers = load("sources"), load("answers")
NAME = "3-constraints"
WRONG, RIGHT = (answers.read(f"{kind}_3_constraints.txt") for kind in ("wrong", "right"))


@pytest.mark.parametrize("part", sources.parts(NAME))
def test_the_answer_passes_and_the_stub_does_not(part):
    assert set(sources.run(NAME, part).values()) == {None}
    for error in sources.run(NAME, part, sources.stub(NAME, part)).values():
        assert "is not written yet" in str(error)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_wrong_answer_hears_what_is_wrong(wrong):
    said = sources.message(NAME, wrong.part, f"{sources.answer(NAME, wrong.part)}\n\n{wrong.code}")
    assert said.startswith("CheckFailed: "), said
    assert wrong.words in said


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
    """The slope of f along the deck's step is -|A|^2 / 2; on O(2) a long step goes uphill."""
    rng = np.random.default_rng(0)
    W, H = haar(6, 3, rng=rng), rng.standard_normal((6, 6))

    def f(W):
        return np.sum((H @ W) ** 3) / 3

    G = H.T @ (H @ W) ** 2
    A = G @ W.T - W @ G.T

    def step(W, A, eta):
        identity = np.eye(len(W))
        return np.linalg.solve(identity + eta / 2 * A, (identity - eta / 2 * A) @ W)

    slope = (f(step(W, A, 1e-6)) - f(step(W, A, -1e-6))) / 2e-6
    assert slope == pytest.approx(-np.sum(A**2) / 2, rel=1e-6)
    S = rng.standard_normal((3, 3))
    normal = W @ (S + S.T)
    assert np.allclose(normal @ W.T, W @ normal.T)  # A = 0
    assert np.allclose(stiefel.riemannian_gradient(W, normal), 0)

    angle = 0.3
    W = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    start = np.sum((W - np.eye(2)) ** 2) / 2
    far = step(W, (W - np.eye(2)) @ W.T - W @ (W - np.eye(2)).T, 1e4)
    assert start == pytest.approx(2 * (1 - np.cos(angle)))
    assert np.sum((far - np.eye(2)) ** 2) / 2 > 3.5 > start


def test_the_text_tells_the_truth_about_the_bugs():
    """The QR step turns columns round at the first step and seldom after; the wrong SRIP falls to 1 and rests there."""
    rng = np.random.default_rng(0)
    W, jumps = haar(8, 4, rng=rng), []
    for _ in range(100):
        X = stiefel.tangent_projection(W, rng.standard_normal(W.shape))
        moved = np.linalg.qr(W + 0.05 * X / np.linalg.norm(X))[0]
        jumps.append(bool(np.any(np.sum(moved * W, axis=0) < 0)))
        W = moved
    assert jumps[0]
    assert sum(jumps) < 5

    W = 1.5 * haar(8, 3, rng=rng).T * np.array([[1.0], [1.2], [0.6]])
    for _ in range(400):
        values, v = np.linalg.eigh(W.T @ W - np.eye(8))
        top = np.abs(values).argmax()
        W = W - 0.01 * np.sign(values[top]) * W @ np.outer(v[:, top], v[:, top])
    s = np.linalg.svd(W, compute_uv=False)
    assert np.linalg.norm(W.T @ W - np.eye(8), 2) == pytest.approx(1, abs=0.05)
    assert s[0] == pytest.approx(2**0.5, abs=0.02)
    assert s[2] == pytest.approx(0.9)  # never moved
