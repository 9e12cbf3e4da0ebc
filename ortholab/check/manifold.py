"""Points and directions on the Stiefel manifold, and the check of a tangent projection.

``W`` has orthonormal columns, n >= k, and X is tangent: W^T X + X^T W = 0. Chapter III derives every formula here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ortholab.check._core import CheckFailed, array, call, generator

Shapes = Sequence[tuple[int, int]]


def point(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Return a random n x k matrix with orthonormal columns.

    >>> W = point(generator(0), 4, 2)
    >>> bool(np.allclose(W.T @ W, np.eye(2)))
    True
    """
    Q, R = np.linalg.qr(rng.standard_normal((n, k)))
    return Q * np.sign(np.diag(R))


def matrix(value: Any, shape: tuple[int, int] = (-1, -1), *, name: str = "W", on: str = "") -> np.ndarray:
    """Return a witness as a matrix with at least one row and column and entries up to 1e6, or raise CheckFailed.

    >>> matrix([[1, 2]]).shape
    (1, 2)
    """
    read = array(value, shape, name=name, on=on)
    if read.size == 0:
        raise CheckFailed(f"{name} is empty: its shape is {read.shape}", on)
    if np.abs(read).max() > 1e6:
        raise CheckFailed(f"{name} has an entry of size {np.abs(read).max():.2g}; up to 1e6 will do", on)
    return read


def tangent(W: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return the part of Z that is tangent at W, Z - W sym(W^T Z).

    >>> tangent(np.eye(2), np.array([[5.0, 3.0], [1.0, 7.0]])).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    S = W.T @ Z
    return Z - W @ (S + S.T) / 2


def step(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a random W on the manifold and a tangent X of length 1.

    >>> W, X = step(generator(0), 4, 2)
    >>> round(float(np.linalg.norm(X)), 12)
    1.0
    """
    W = point(rng, n, k)
    X = tangent(W, rng.standard_normal((n, k)))
    return W, X / np.linalg.norm(X)


def tangent_projection(P: Callable, *, seed: int = 0, shapes: Shapes = ((6, 3), (4, 4), (3, 6))) -> None:
    """Check that P(W, Z) is the tangent direction at W nearest to Z, Z - W sym(W^T Z); a wide W is read as W^T.

    Raises CheckFailed: it tells a result that is not tangent from one that is tangent but not the nearest.

    >>> tangent_projection(lambda W, Z: tangent(W, Z) if len(W) >= len(W.T) else tangent(W.T, Z.T).T)
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        turned = n < k
        W = point(rng, max(n, k), min(n, k))
        Z = rng.standard_normal(W.shape)
        X = array(call(P, *((W.T, Z.T) if turned else (W, Z)), on=on), (n, k), on=on)
        _judge_tangent(W, Z, X.T if turned else X, on, turned)


def _judge_tangent(W: np.ndarray, Z: np.ndarray, X: np.ndarray, on: str, turned: bool) -> None:
    inner, right = W.T @ Z, tangent(W, Z)
    if np.allclose(X, right, atol=1e-9):
        return
    off = np.abs(W.T @ X + X.T @ W).max()
    if off > 1e-9:
        hint = "A wide W has orthonormal rows: read the formula for W^T." if turned else ""
        if np.allclose(X, Z - W @ (inner - inner.T) / 2):
            hint = "What is dropped must be the normal part, W sym(W^T Z); this drops W skew(W^T Z)."
        elif np.allclose(X, Z - W @ (inner + inner.T)):
            hint = "sym(S) is half of S + S^T."
        raise CheckFailed(f"not tangent: W^T X + X^T W has an entry {off:.2g}, not 0", on, hint)
    hint = "Z minus the result must be perpendicular to every tangent direction."
    long = W @ Z.T
    if turned and np.allclose(X, Z - (long + long.T) @ W / 2):
        hint = "A wide W has orthonormal rows: read the formula for W^T."
    elif np.allclose(X, Z - W @ inner):
        hint = "It keeps only what leaves the span of W's columns; W skew(W^T Z), which turns them, is tangent too."
    elif np.allclose(X, Z - W @ Z.T @ W):
        hint = "That is the gradient in the canonical metric: it counts the turning of the columns twice."
    raise CheckFailed("tangent, but not the tangent direction nearest to Z", on, hint)
