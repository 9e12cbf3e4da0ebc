"""Checks of steps that stay on the Stiefel manifold: retractions, QR's and Cayley's, and the memory that they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, generator
from ortholab.check.manifold import Shapes, matrix, step

TALL_AND_SQUARE = ((6, 3), (4, 4), (5, 1))


def retraction(R: Callable, *, seed: int = 0, shapes: Shapes = TALL_AND_SQUARE) -> None:
    """Check that R(W, X) is a retraction: on the manifold, R(W, 0) = W, and R(W, t X) = W + t X + O(t^2).

    Raises CheckFailed with the property that is missing, and the first-order slope where that is it.

    >>> retraction(lambda W, X: (W + X) @ np.linalg.inv(np.linalg.cholesky(np.eye(len(X.T)) + X.T @ X)).T)
    >>> retraction(lambda W, X: W)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: orthogonal to ...e-16, but first-order slope 0: not a retraction, on ...
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        W, X = step(rng, n, k)
        Y = _moved(R, W, X, on)
        error = float(np.abs(Y.T @ Y - np.eye(k)).max())
        if error > 1e-9:
            raise CheckFailed(
                f"the result is off the manifold: W^T W differs from I by {error:.2g}", on, _why_off(W, X, Y)
            )
        for t in (0.0, 1e-6):
            jump = float(np.linalg.norm(_moved(R, W, t * X, on) - W))
            if jump > 1e-3:
                raise CheckFailed(f"R(W, {t:g} X) is {jump:.2g} away from W", on, _why_jump(R, W, X, t, on))
        t = 1e-5
        D = (_moved(R, W, t * X, on) - _moved(R, W, -t * X, on)) / (2 * t)
        if np.linalg.norm(D - X) > 1e-4:
            slope = float(np.sum(D * X))
            said = f"orthogonal to {max(error, 1e-17):.0e}, but first-order slope {slope:.2g}: not a retraction"
            raise CheckFailed(said.replace(" -0:", " 0:"), on, _why_slope(W, X, D))


def _moved(R: Callable, W: np.ndarray, X: np.ndarray, on: str) -> np.ndarray:
    return array(call(R, W, X, on=on), W.shape, on=on)


def _why_off(W: np.ndarray, X: np.ndarray, Y: np.ndarray) -> str:
    if np.allclose(Y, W + X):
        return "W + X is the plain step; it has to be brought back."
    if len(W) == len(W.T) and np.allclose(Y, W + X @ W.T @ W):
        return "I + S alone is no rotation."
    return ""


def _why_jump(R: Callable, W: np.ndarray, X: np.ndarray, t: float, on: str) -> str:
    Y = _moved(R, W, t * X, on)
    if np.allclose(np.abs(np.sum(Y * W, axis=0)), 1, atol=1e-3):
        return "Columns are turned round: a QR routine chooses signs, and only a positive diagonal of its R undoes it."
    if np.allclose(np.abs(np.sum(Y * W, axis=1) / np.sum(W * W, axis=1)), 1, atol=1e-3):
        return "Rows are turned round: the signs belong to the columns of Q."
    return "A step of length 0 must not move."


def _why_slope(W: np.ndarray, X: np.ndarray, D: np.ndarray) -> str:
    A, K = W.T @ X, X - W @ (W.T @ X)
    if np.allclose(D, 2 * X, atol=1e-3):
        return "It goes twice as far as X says: I - S/2 and I + S/2 have halves."
    if np.allclose(D, -X, atol=1e-3):
        return "It goes backwards: exchange the signs of the two factors."
    if np.allclose(D, 2 * W @ A + K, atol=1e-3):
        return "It turns the columns among themselves twice too fast: S = P X W^T - W X^T P has P = I - W W^T / 2."
    if np.allclose(D, K, atol=1e-3) or np.allclose(D, W @ A, atol=1e-3):
        return "Of X = W A + K only one of the two parts moves."
    return "R(W, t X) must agree with W + t X to first order in t."


def qr_retraction(R: Callable, *, seed: int = 0, shapes: Shapes = TALL_AND_SQUARE) -> None:
    """Check that R(W, X) is the retraction by QR: W + X = R T with an upper triangular T, its diagonal positive.

    Raises CheckFailed as :func:`retraction` does, and for a retraction of another kind.

    >>> qr_retraction(lambda W, X: (W + X) @ np.linalg.inv(np.linalg.cholesky(np.eye(len(X.T)) + X.T @ X)).T)
    """
    retraction(R, seed=seed, shapes=shapes)
    rng = generator(seed + 1)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        W, X = step(rng, n, k)
        T = _moved(R, W, X, on).T @ (W + X)
        if np.abs(np.tril(T, -1)).max(initial=0) > 1e-9 or np.diag(T).min() <= 0:
            raise CheckFailed(
                "a retraction, but not that of QR", on, "R^T (W + X) must be upper triangular, its diagonal positive."
            )


def cayley(W: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return the Cayley step (I - S/2)^(-1) (I + S/2) W by n x n matrices: the reference that a lean one must equal.

    >>> cayley(np.eye(2), np.array([[0.0, -2.0], [2.0, 0.0]])).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    identity = np.eye(len(W))
    P = identity - W @ W.T / 2
    S = P @ X @ W.T - W @ X.T @ P
    return np.linalg.solve(identity - S / 2, (identity + S / 2) @ W)


def cayley_retraction(R: Callable, *, seed: int = 0, shapes: Shapes = TALL_AND_SQUARE) -> None:
    """Check that R(W, X) is Cayley's retraction, for steps of length 1 and 5.

    Raises CheckFailed as :func:`retraction` does, and for a retraction of another kind.

    >>> cayley_retraction(cayley)
    """
    retraction(R, seed=seed, shapes=shapes)
    rng = generator(seed + 1)
    for n, k in shapes:
        W, X = step(rng, n, k)
        for t in (1.0, 5.0):
            on = f"W of shape ({n}, {k}), a step of length {t:g}, seed {seed}"
            gap = float(np.abs(_moved(R, W, t * X, on) - cayley(W, t * X)).max())
            if gap > 1e-8:
                raise CheckFailed(f"a retraction, but not Cayley's: an entry is off by {gap:.2g}", on)


def lean(R: Callable, *, n: int = 600, k: int = 2, seed: int = 0) -> None:
    """Check that R(W, X) for an n x k matrix needs the memory of a few n x k matrices, and none of n x n.

    numpy reports its memory, so nothing is timed. Raises CheckFailed with the memory that it took.

    >>> lean(lambda W, X: W + X)
    >>> lean(cayley)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: it takes the memory of 5 matrices of 600 x 600, on W of shape (600, 2)...
    """
    on = f"W of shape ({n}, {k})"
    W, X = step(generator(seed), n, k)
    call(R, W, X, on=on)  # what a first call imports is not counted
    running = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call(R, W, X, on=on)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()
    squares = peak / (8 * n * n)
    if squares > 0.5:
        raise CheckFailed(
            f"it takes the memory of {squares:.0f} matrices of {n} x {n}", on,
            f"S has rank 2k: S = B C^T with B and C of n x {2 * k}, and only {2 * k} x {2 * k} equations to solve.",
        )  # fmt: skip


def jump_witness(found: Callable, witness: Callable) -> None:
    """Check that witness() = (W, X) passes the test found(W, 0) = W and refutes found(W, t X) -> W as t -> 0.

    ``found`` is the step with the bug. W must have orthonormal columns and X be tangent. Raises CheckFailed.

    >>> X = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> jump_witness(lambda W, X: np.linalg.qr(W + X)[0], lambda: (np.eye(2), X))
    """
    pair = call(witness)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise CheckFailed("the witness is not a pair (W, X)")
    W = matrix(pair[0])
    X = matrix(pair[1], W.shape, name="X")
    off = np.abs(W.T @ W - np.eye(len(W.T))).max()
    if off > 1e-9:
        raise CheckFailed(f"W is off the manifold: W^T W differs from I by {off:.2g}")
    off = np.abs(W.T @ X + X.T @ W).max()
    if off > 1e-9 or np.linalg.norm(X) < 1e-3:
        raise CheckFailed(f"X must be tangent and not 0: W^T X + X^T W has an entry {off:.2g}")
    rest = float(np.linalg.norm(call(found, W, 0 * X) - W))
    if rest > 1e-9:
        raise CheckFailed(f"the author's test would have seen it: found(W, 0) is {rest:.2g} away from W")
    far = float(np.linalg.norm(call(found, W, 1e-6 * X) - W))
    if far < 0.5:
        raise CheckFailed(f"no witness: found(W, 1e-6 X) is only {far:.2g} away from W", suggests="Try another X.")
