"""Assignment 3: what its worked answers say holds. Its answers, right and wrong: test_answers.py."""

from __future__ import annotations

import numpy as np
import pytest

from ortholab.theory import haar, stiefel


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
