"""Checks of how a step follows a curve: its measured order, and rotations made of two Cayley steps."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, generator, number
from ortholab.check.manifold import point, step

NAMES = ("qr", "polar", "cayley")
METRICS = ("euclidean", "canonical")


def refuses(function: Callable, *arguments: object, on: str, why: str = "") -> None:
    """Check that ``function`` raises ValueError on these arguments; ``why`` says why it should.

    >>> refuses(lambda x: [1.0].index(x), 2.0, on="the number 2")
    """
    try:
        value = call(function, *arguments, on=on)
    except CheckFailed as failed:
        if isinstance(failed.__cause__, ValueError):
            return
        raise
    kind = "a result" if value is not None else "None"
    raise CheckFailed(f"it returns {kind} where it should raise ValueError", on, why)


def measured_order(fn: Callable, *, seed: int = 0, powers: tuple[int, ...] = (2, 3)) -> None:
    """Check that fn(move, reference, W, X) finds p where |move(W, t X) - reference(W, t X)| goes like t^p.

    X has length 1. The two curves are made with a known p, with large and small factors, and with a term of the next
    power. Curves that differ by rounding only have the order infinity. Raises CheckFailed.

    >>> def fn(move, reference, W, X):
    ...     t = np.array([0.002, 0.02])
    ...     gap = [np.linalg.norm(move(W, s * X) - reference(W, s * X)) for s in t]
    ...     return np.inf if max(gap) < 1e-12 else np.log(gap[1] / gap[0]) / np.log(10)
    >>> measured_order(fn)
    """
    rng = generator(seed)
    W, X = step(rng, 5, 2)
    M = rng.standard_normal(W.shape)

    def reference(W: np.ndarray, X: np.ndarray) -> np.ndarray:
        return W + X

    for p in powers:
        for factor in (0.02, 1.0, 50.0):

            def move(W: np.ndarray, X: np.ndarray, p: int = p, factor: float = factor) -> np.ndarray:
                t = np.linalg.norm(X)
                return W + X + factor * t**p * (1 + 2 * t) * M / np.linalg.norm(M)

            on = f"two curves {factor:g} t^{p} apart"
            found = call(fn, move, reference, W, X, on=on)
            if isinstance(found, float) and not math.isfinite(found):
                hint = "Steps so short that the distance is 0 leave nothing to take a logarithm of."
                raise CheckFailed(f"the order is {found}, not {p}", on, hint)
            got = number(found, name="the order", on=on)
            if abs(got - p) > 0.2:
                raise CheckFailed(f"the order is {got:.3g}, not {p}", on, _why_order(got, p))

    def same(W: np.ndarray, X: np.ndarray) -> np.ndarray:
        return W + X * (1 + 2e-16 * rng.standard_normal(X.shape))

    got = call(fn, same, reference, W, X, on="two curves that agree to rounding")
    if got != math.inf:
        raise CheckFailed(
            f"the order is {got}, not infinity", "two curves that agree to rounding",
            "A distance below 1e-12 measures rounding, and a slope through rounding is no order.",
        )  # fmt: skip


def _why_order(got: float, p: int) -> str:
    if abs(got + p) < 0.3:
        return "The sign is turned: the distance grows with t."
    if abs(got - p + 1) < 0.2:
        return "It is the power of the distance itself that is asked, not of the distance over t."
    if abs(got) < 1.2 and p > 1:
        return "Is it the slope of logarithms, and are the steps long enough to rise above rounding?"
    if got > p:
        return "With long steps the next power of t takes part: make them shorter."
    return "Fit where t is short enough for one power and long enough for rounding, say 0.005 to 0.05."


def orders_of_retractions(fn: Callable, *, shapes: tuple[tuple[int, int], ...] = ((6, 2), (4, 4))) -> None:
    """Check that fn((n, k)) returns {(retraction, metric): power of t} at a generic W and X of this shape.

    Retractions are "qr", "polar", "cayley", metrics "euclidean", "canonical" (whose geodesic is followed), powers whole
    numbers. The check measures them by the library's own curves. Raises CheckFailed.

    >>> orders_of_retractions(lambda shape: {(r, m): 3 for r in NAMES for m in METRICS}, shapes=((5, 1),))
    """
    for n, k in shapes:
        on = f"St({n}, {k})"
        got = call(fn, (n, k), on=on)
        if not isinstance(got, dict) or set(got) != {(r, m) for r in NAMES for m in METRICS}:
            raise CheckFailed("the keys are not the six pairs (retraction, metric)", on)
        for key, want in _measured(n, k).items():
            power = number(got[key], name=f"the power for {key}", on=on)
            if power != want:
                hint = "Whole numbers are asked: round." if abs(power - want) < 0.3 else _why_power(n, k)
                raise CheckFailed(f"the power for {key} is {power:g}, not {want}", on, hint)


def _why_power(n: int, k: int) -> str:
    return "Where K A = 0, on O(n) and on the sphere, both geodesics are one." if n == k or k == 1 else ""


def _measured(n: int, k: int) -> dict[tuple[str, str], int]:
    from ortholab.theory import retractions

    W, X = step(generator(n + 100 * k), n, k)
    powers = {}
    for name in NAMES:
        for metric in METRICS:
            gap = [
                np.linalg.norm(
                    retractions.RETRACTIONS[name](W, t * X) - retractions.exponential(W, t * X, metric=metric)
                )
                for t in (0.01, 0.02)
            ]
            powers[name, metric] = round(float(np.log2(gap[1] / gap[0])))
    return powers


def two_cayley_steps(fn: Callable, *, seed: int = 0, sizes: tuple[int, ...] = (2, 3, 5)) -> None:
    """Check that A = fn(R) is skew, ||A||_2 <= 2, and C C = R for C = (I - A/2)^(-1) (I + A/2).

    R are rotations, those that turn planes by pi among them. fn must raise ValueError where det R = -1. Raises
    CheckFailed.

    >>> two_cayley_steps(lambda R: np.zeros_like(R))
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: two steps end 1.8 away from R, on a rotation of size 2, seed 0.
    """
    rng = generator(seed)
    for n in sizes:
        Q = point(rng, n, n)
        rotation = Q * np.append(np.ones(n - 1), np.sign(np.linalg.det(Q)))
        signs = np.ones(n)
        signs[: n - n % 2] = -1
        cases = {
            "a rotation": rotation,
            "the identity": np.eye(n),
            "a rotation that turns planes by pi": Q @ np.diag(signs) @ Q.T,
        }
        for kind, R in cases.items():
            _judge_half(fn, R, f"{kind} of size {n}, seed {seed}")
        refuses(
            fn, -rotation if n % 2 else rotation * np.append(np.ones(n - 1), -1), on=f"a reflection of size {n}",
            why="Each Cayley step has determinant 1, so no reflection is within reach.",
        )  # fmt: skip


def _judge_half(fn: Callable, R: np.ndarray, on: str) -> None:
    identity = np.eye(len(R))
    A = array(call(fn, R, on=on), R.shape, name="A", on=on)
    off = float(np.abs(A + A.T).max())
    if off > 1e-8:
        raise CheckFailed(f"A is not skew: A + A^T has an entry {off:.2g}", on)
    C = np.linalg.solve(identity - A / 2, identity + A / 2)
    gap = float(np.linalg.norm(C @ C - R))
    if gap > 1e-7:
        w, V = np.linalg.eigh(1j * A)
        turn = np.real((V * np.exp(-1j * w)) @ V.conj().T)
        hint = ""
        if np.allclose(C, R, atol=1e-7):
            hint = "One step reaches it; two equal ones are asked, so that a turn by pi is within reach too."
        elif np.allclose(turn @ turn, R, atol=1e-6):
            hint = "exp(A) is half the way, but Cayley turns by 2 arctan(a/2) where exp turns by a."
        raise CheckFailed(f"two steps end {gap:.2g} away from R", on, hint)
    size = float(np.linalg.norm(A, 2))
    if size > 2 + 1e-6:
        raise CheckFailed(f"the spectral norm of A is {size:.3g}: it takes a long way round", on)
