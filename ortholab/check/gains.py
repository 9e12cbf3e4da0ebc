"""Checks of the gain-adjusted penalty with a gain for each column, || G^-1 W^T W G^-1 - I ||_F^2, G = diag(gains)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator
from ortholab.check._mistakes import recognise
from ortholab.check.manifold import Shapes, matrix, point
from ortholab.check.paths import refuses
from ortholab.check.penalties import closed_form

TALL = ((5, 3), (4, 4))


def _instance(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, k)), rng.uniform(0.7, 1.8, k)


def _error(W: np.ndarray, gains: np.ndarray) -> np.ndarray:
    return W.T @ W / np.outer(gains, gains) - np.eye(len(gains))


def column_penalty(P: Callable, *, seed: int = 0, shapes: Shapes = TALL) -> None:
    """Check that P(W, gains) is the sum of squares of W^T W / (g_i g_j) - I, and that it refuses a wide W.

    Raises CheckFailed: it knows a 1 that is taken from every entry, a mean, gains at the wrong place.

    >>> column_penalty(lambda W, gains: (_error(W, gains) ** 2).sum() if len(W) >= len(W.T) else [].index(0))
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        gains = _instance(rng, n, k)[1]
        W = point(rng, n, k) * gains
        close(
            call(P, W, gains, on=on), 0.0, tol=1e-9, name="the penalty at Q diag(gains)", on=on,
            suggests=recognise(_value_mistakes(W, gains)),
        )  # fmt: skip
        W, gains = _instance(rng, n, k)
        right = (_error(W, gains) ** 2).sum()
        close(
            call(P, W, gains, on=on), right, on=on,
            suggests=recognise(_value_mistakes(W, gains)),
        )  # fmt: skip
    refuses(
        P, rng.standard_normal((2, 4)), np.ones(4), on="W of shape (2, 4)",
        why="Four columns in the plane are never orthogonal: the minimum could not be 0.",
    )  # fmt: skip


def _value_mistakes(W: np.ndarray, gains: np.ndarray) -> list[tuple]:
    k, gram, rows = len(gains), W.T @ W, W / gains @ (W / gains).T
    ones = ((gram / np.outer(gains, gains) - 1) ** 2).sum()
    right = (_error(W, gains) ** 2).sum()
    every = "The 1 is taken from every entry: an array library reads it as a matrix of ones. Write the identity."
    place = "Entry (i, j) of the Gram matrix needs 1/(g_i g_j): divide the columns of W by their gains."

    def size(E: np.ndarray) -> float:
        return float((E**2).sum())

    return [
        (ones, every),
        (ones / k**2, every),
        (right / k**2, "It is the mean; the sum is asked."),
        (np.sqrt(right), "It is the norm; its square is asked."),
        *((size(gram / g - np.eye(k)), place) for g in (gains, gains[:, None], gains**2, gains[:, None] ** 2)),
        (size(gram - np.eye(k)), "It forgets the gains."),
        (size(rows - np.eye(len(W))), "It is the Gram matrix of the rows; the columns should be orthogonal."),
    ]


def column_gradient(G: Callable, *, seed: int = 0, shapes: Shapes = TALL) -> None:
    """Check that G(W, gains) is the gradient by W, 4 W E / (g_i g_j) with the error E: first where it is 0.

    Raises CheckFailed: it knows the form with 1/g^4.

    >>> column_gradient(lambda W, gains: 4 * W @ (_error(W, gains) / np.outer(gains, gains)))
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        W, gains = _instance(rng, n, k)
        at_rest = point(rng, n, k) * gains
        for X in (at_rest, W):
            got = array(call(G, X, gains, on=on), X.shape, name="the gradient", on=on)
            right, wrong = _gradients(X, gains)
            if X is at_rest:
                least = "at W = Q diag(gains), where the penalty has its minimum,"
                close(got, right, name=f"{least} the gradient", on=on, suggests=recognise(wrong))
            closed_form(got, right, wrong, on)


def _gradients(W: np.ndarray, gains: np.ndarray) -> tuple[np.ndarray, list[tuple]]:
    inner = np.outer(gains, gains)
    E, plain = _error(W, gains), W.T @ W - np.eye(len(gains))
    right = 4 * W @ (E / inner)
    return right, [
        (4 * W @ plain / gains**4, "It is plain SO, weakened by 1/g^4: it pulls every gain to 1."),
        (4 * W @ plain, "It is plain SO: the gains are missing."),
        (4 * W @ ((W.T @ W / inner - 1) / inner), "The 1 is taken from every entry; the penalty has the identity."),
        (4 * W @ E, "The chain rule gives a second 1/(g_i g_j)."),
        (4 * W @ E / gains**2, "The second factor is 1/(g_i g_j) for entry (i, j) of E, not 1/g_j^2."),
        (right / 2, "It is half of the gradient: W stands twice in W^T W."),
    ]


def flat_witness(found: Callable, witness: Callable, *, n: int = 4, gain: float = 1.2) -> None:
    """Check that W = witness(n, gain) is an n x n matrix, not 0, at which found(W, gain) has its least value, 0.

    ``found`` is the penalty with a 1 for the identity. Raises CheckFailed.

    >>> flat_witness(lambda W, g: ((W @ W.T / g**2 - 1) ** 2).mean(), lambda n, g: g * np.eye(n)[:1].repeat(n, axis=0))
    """
    on = f"n = {n}, gain {gain:g}"
    W = matrix(call(witness, n, gain, on=on), (n, n), on=on)
    value = float(call(found, W, gain, on=on))
    if value > 1e-12:
        s = np.linalg.svd(W, compute_uv=False)
        hint = "Which Gram matrix is full of equal numbers? What must the rows be?"
        if s[0] == 0:
            hint = "At W = 0 every entry of W W^T / gain^2 - 1 is -1."
        elif s[-1] > s[0] / 2:
            hint = "That is what the penalty was meant to like. Solve for what it does like."
        elif np.isclose(found(W / s[0] * gain * n**0.5, gain), 0):
            hint = f"The rank is right, the length is not: the singular value is {s[0]:.3g}."
        raise CheckFailed(f"the penalty is {value:.3g} there, not 0", on, hint)


def rest_witness(found: Callable, witness: Callable, gains: np.ndarray) -> None:
    """Check that W = witness(gains) has W^T W = diag(gains)^2, the penalty's minimum, where found(W, gains) is not 0.

    ``found`` is a gradient with a bug. Raises CheckFailed.

    >>> def found(W, gains):
    ...     return 4 * W @ (W.T @ W - np.eye(len(gains))) / gains**4
    >>> rest_witness(found, np.diag, np.array([1.2, 1.5]))
    """
    k, on = len(gains), f"{len(gains)} gains from {gains.min():g} to {gains.max():g}"
    W = matrix(call(witness, gains, on=on), (k, k), on=on)
    rows = "The gains belong to the columns: Q diag(gains), not diag(gains) Q."
    hint = rows if np.allclose(W @ W.T, np.diag(gains**2)) else "At the minimum W^T W = diag(gains)^2."
    close((W / gains).T @ (W / gains), np.eye(k), name="the Gram matrix of W / gains", on=on, suggests=hint)
    least = float(np.abs(np.diag(found(W, gains))).min())
    if least < 0.1:
        hint = "Another Q will do better: the identity, for instance."
        raise CheckFailed(f"an entry on the diagonal of found(W, gains) is {least:.2g} in size, below 0.1", on, hint)
