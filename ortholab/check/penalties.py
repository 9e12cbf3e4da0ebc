"""Checks of penalties on singular values: logarithmic, spectral (SRIP), and with a gain for each column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator, number
from ortholab.check._mistakes import recognise
from ortholab.check.general import gradient
from ortholab.check.manifold import Shapes, matrix, point
from ortholab.check.paths import refuses

ANY = ((5, 3), (4, 4), (3, 6))


def _matrix(rng: np.random.Generator, n: int, k: int, low: float = 0.4, high: float = 1.9) -> np.ndarray:
    """A random n x k matrix whose singular values are spread over [low, high]."""
    m = min(n, k)
    return point(rng, n, m) * rng.permutation(np.linspace(low, high, m)) @ point(rng, k, m).T


def log_penalty(P: Callable, *, seed: int = 0, shapes: Shapes = ANY) -> None:
    """Check that P(W) = sum_i (log s_i)^2 over the singular values of W, and that it refuses a singular value 0.

    Raises CheckFailed.

    >>> log_penalty(lambda W: (np.log(np.linalg.svd(W, compute_uv=False)) ** 2).sum())
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: it returns a result where it should raise ValueError, on W of shape (5, 3)...
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        W = _matrix(rng, n, k)
        logs = np.log(np.linalg.svd(W, compute_uv=False))
        close(call(P, W, on=on), (logs**2).sum(), on=on, suggests=recognise(_log_mistakes(logs)))
    n, k = shapes[0]
    W = _matrix(rng, n, k, low=0.0)
    refuses(P, W, on=f"W of shape ({n}, {k}) with a singular value 0", why="log 0 is no number, and NaN no answer.")


def _log_mistakes(logs: np.ndarray) -> list[tuple]:
    return [
        (4 * (logs**2).sum(), "It is 4 times too much: the eigenvalues of W^T W are s^2, and log s^2 = 2 log s."),
        (logs.sum() ** 2, "It is the square of the sum: large and small singular values cancel in it."),
        ((logs**2).mean(), "It is the mean; the sum is asked."),
        (np.abs(logs).sum(), "It lacks the square."),
        ((logs**2).sum() / np.log(10) ** 2, "It is the logarithm to the base 10."),
    ]


def log_penalty_gradient(G: Callable, *, seed: int = 0, shapes: Shapes = ANY) -> None:
    """Check that G(W) is the gradient of sum_i (log s_i)^2, U diag(2 log s_i / s_i) V^T, to twelve digits.

    Raises CheckFailed.

    >>> def G(W):
    ...     U, s, Vh = np.linalg.svd(W, full_matrices=False)
    ...     return U * (2 * np.log(s) / s) @ Vh
    >>> log_penalty_gradient(G)
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"W of shape ({n}, {k}), seed {seed}"
        W = _matrix(rng, n, k)
        U, s, Vh = np.linalg.svd(W, full_matrices=False)
        right = U * (2 * np.log(s) / s) @ Vh
        wrong = [
            (U * (2 * np.log(s)) @ Vh, "2 log s is the derivative by log s; by s it is 2 log s / s."),
            (right / 2, "It is half of the gradient: the derivative of x^2 is 2 x."),
            (2 * right, "It is twice the gradient: with the eigenvalues s^2 of W^T W, log s = log(s^2) / 2."),
            (-right, "The sign is turned."),
        ]
        closed_form(call(G, W, on=on), right, wrong, on)


def closed_form(got: object, right: np.ndarray, wrong: list[tuple], on: str) -> None:
    """Check a gradient against its closed form to twelve digits, which finite differences don't reach.

    ``wrong`` are known mistakes (values, words). Raises CheckFailed.

    >>> closed_form([1.0], np.ones(1), [], "1")
    """
    got = array(got, right.shape, name="the gradient", on=on)
    near = np.abs(got - right).max() < 1e-3 * np.abs(right).max()
    hint = "It is nearly right: differences of values lose digits, and the closed form is asked." if near else ""
    close(got, right, tol=1e-12, name="the gradient", on=on, suggests=recognise(wrong, tol=1e-9, otherwise=hint))


def own_gradient(f: Callable, grad: Callable, shape: tuple[int, int], *, seed: int = 0) -> None:
    """Check that ``grad`` is the gradient of ``f``, whatever f is: both are the student's. By finite differences.

    Raises CheckFailed.

    >>> own_gradient(lambda W: (W**3).sum(), lambda W: 3 * W**2, (2, 3))
    """
    gradient(lambda W: call(f, W, on=f"a matrix of shape {shape}"), grad, shape, seed=seed)


def srip(P: Callable, *, seed: int = 0, shapes: Shapes = ANY) -> None:
    """Check that P(W) = max_i |s_i^2 - 1|, the spectral norm of the Gram error on the short side.

    Raises CheckFailed.

    >>> srip(lambda W: np.abs(np.linalg.svd(W, compute_uv=False) ** 2 - 1).max())
    """
    rng = generator(seed)
    for n, k in shapes:
        for low, high in ((0.3, 1.1), (0.9, 1.7)):
            on = f"W of shape ({n}, {k}) with singular values from {low} to {high}, seed {seed}"
            W = _matrix(rng, n, k, low, high)
            e = np.linalg.svd(W, compute_uv=False) ** 2 - 1
            got = number(call(P, W, on=on), on=on)
            close(got, np.abs(e).max(), on=on, suggests=recognise(_srip_mistakes(W, e)))


def _srip_mistakes(W: np.ndarray, e: np.ndarray) -> list[tuple]:
    E, F = W.T @ W - np.eye(len(W.T)), W @ W.T - np.eye(len(W))
    longer = max(np.linalg.norm(E, 2), np.linalg.norm(F, 2))
    return [
        (e.max(), "It is the largest eigenvalue of the error, not the largest in size: small s_i are errors too."),
        (np.sqrt((e**2).sum()), "It is the Frobenius norm; the spectral norm is asked."),
        (longer, "It is the error of the long side, which has eigenvalues -1 that no W can change."),
        (np.abs(np.sqrt(e + 1) - 1).max(), "It is s - 1; the error has s^2 - 1."),
    ]


def srip_gradient(G: Callable, *, seed: int = 0, shapes: Shapes = ANY) -> None:
    """Check that G(W) is the gradient of max_i |s_i^2 - 1|: +-2 s u v^T for the singular value that is the farthest.

    Raises CheckFailed.

    >>> srip_gradient(lambda W: np.zeros(W.shape))
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: the gradient is off by ..., on W of shape (5, 3) ... 0.3 to 1.1, seed 0. ...
    """
    rng = generator(seed)
    for n, k in shapes:
        for low, high in ((0.3, 1.1), (0.9, 1.7)):
            on = f"W of shape ({n}, {k}) with singular values from {low} to {high}, seed {seed}"
            W = _matrix(rng, n, k, low, high)
            U, s, Vh = np.linalg.svd(W, full_matrices=False)
            i = int(np.abs(s**2 - 1).argmax())
            right = 2 * np.sign(s[i] ** 2 - 1) * s[i] * np.outer(U[:, i], Vh[i])
            top = 2 * s[0] * np.outer(U[:, 0], Vh[0])
            other = "It pulls at the largest s; the one whose square is farthest from 1 is another."
            wrong = [
                (0 * right, "It is 0: the eigenvector belongs to an eigenvalue -1 of the long side, and W v = 0."),
                (-right, "The sign is lost: where s < 1 the penalty falls as s grows."),
                (right / 2, "It is half of the gradient: d(s^2) = 2 s ds."),
                (np.sign(s[0] - 1) * top, other),
                (top, other),
                (right / s[i], "It lacks the factor s: W v, not u."),
            ]
            closed_form(call(G, W, on=on), right, wrong, on)


def stuck_witness(found: Callable, witness: Callable) -> None:
    """Check that witness() is a matrix at which found is exactly 1 and stays 1 nearby, though W is far from the goal.

    ``found`` is SRIP on the wrong side. Far: max_i |s_i^2 - 1| >= 0.5. Raises CheckFailed.

    >>> stuck_witness(lambda W: np.linalg.norm(W.T @ W - np.eye(len(W.T)), 2), lambda: np.eye(2, 5) / 2)
    """
    W = matrix(call(witness))
    far = float(np.abs(np.linalg.svd(W, compute_uv=False) ** 2 - 1).max())
    if far < 0.5:
        raise CheckFailed(f"W is too good to refute anything: max |s^2 - 1| is {far:.2g}")
    value = float(call(found, W))
    if abs(value - 1) > 1e-9:
        raise CheckFailed(f"found(W) is {value:.4g}, not 1: it still sees an error that it can lessen")
    rng = generator(0)
    for _ in range(5):
        moved = float(call(found, W + 1e-3 * rng.standard_normal(W.shape)))
        if abs(moved - value) > 1e-9:
            raise CheckFailed(
                f"found(W) moves by {abs(moved - value):.2g} if W does: no witness",
                suggests="Which side can never become I? And which s_i keep its error out of sight?",
            )
