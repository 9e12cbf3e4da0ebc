"""Checks of recurrent networks: the Jacobian with a leak, its singular values, and the gain that a drive asks for."""

from __future__ import annotations

import numbers
from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator, number
from ortholab.check._mistakes import recognise
from ortholab.check.manifold import matrix, point


def _run(W: np.ndarray, drive: np.ndarray, h: np.ndarray, leak: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the last state of h_t = (1 - leak) h_{t-1} + leak tanh(W h_{t-1} + u_t), and the slopes of all steps."""
    slopes = []
    for u in drive:
        x = np.tanh(W @ h + u)
        slopes.append(1 - x**2)
        h = (1 - leak) * h + leak * x
    return h, np.array(slopes)


def leaky_jacobian(fn: Callable, *, seed: int = 0, leaks: tuple[float, ...] = (1.0, 0.3), steps: int = 4) -> None:
    """Check fn(W, slopes, leak) against central differences of h_T by h_0 in a tanh network that leaks.

    h_t = (1 - leak) h_{t-1} + leak tanh(W h_{t-1} + u_t); ``slopes`` (T, n) are those of tanh. Raises CheckFailed.

    >>> def fn(W, slopes, leak):
    ...     J = np.eye(len(W))
    ...     for d in slopes:
    ...         J = ((1 - leak) * np.eye(len(W)) + leak * d[:, None] * W) @ J
    ...     return J
    >>> leaky_jacobian(fn)
    """
    rng, n = generator(seed), 5
    for leak in leaks:
        on = f"{steps} steps of {n} units, leak {leak:g}, seed {seed}"
        W, drive = 1.3 * point(rng, n, n), rng.standard_normal((steps, n))
        h = rng.standard_normal(n)
        slopes = _run(W, drive, h, leak)[1]
        ends = [[_run(W, drive, h + x * e, leak)[0] for e in np.eye(n)] for x in (1e-5, -1e-5)]
        measured = (np.array(ends[0]) - np.array(ends[1])).T / 2e-5
        close(
            call(fn, W, slopes, leak, on=on), measured, tol=1e-7, name="the Jacobian", on=on,
            suggests=recognise(_jacobian_mistakes(W, slopes, leak)),
        )  # fmt: skip


def _jacobian_mistakes(W: np.ndarray, slopes: np.ndarray, leak: float) -> list[tuple]:
    identity, T = np.eye(len(W)), len(slopes)
    keep, D = (1 - leak) * identity, [np.diag(d) for d in slopes]
    right = [keep + leak * d @ W for d in D]
    collected = np.linalg.matrix_power(W, T) @ _product(D)
    return [
        (_product(right[::-1]), "The order is turned round: the latest factor stands leftmost."),
        (_product(right).T, "It is the transpose: entry (i, j) is the change of unit i by unit j."),
        (_product([keep + leak * W @ d for d in D]), "It has W D; the slope acts after W: D W."),
        (collected, "The matrices are collected, W^T prod D: they do not commute."),
        (_product([leak * d @ W for d in D]), "The part (1 - leak) I is missing: a unit that leaks also remembers."),
        (_product([d @ W for d in D]), "It has no leak."),
        (_product([leak * identity + (1 - leak) * d @ W for d in D]), "The leak is at the wrong term."),
        *((_product(some), "The first or the last step is missing.") for some in (right[1:], right[:-1]) if some),
    ]


def _product(factors: list[np.ndarray]) -> np.ndarray:
    J = np.eye(len(factors[0]))
    for F in factors:
        J = F @ J
    return J


def loudest(fn: Callable, *, seed: int = 0, shapes: tuple[tuple[int, int], ...] = ((4, 4), (6, 6))) -> None:
    """Check that fn(J) = (s, x) holds the largest singular value of J and the unit input x that it stretches so far.

    Either sign of x will do. Raises CheckFailed: it knows eigenvalues, eigenvectors and the direction of the output.

    >>> def fn(J):
    ...     U, s, Vh = np.linalg.svd(J)
    ...     return s[0], Vh[0]
    >>> loudest(fn)
    """
    rng = generator(seed)
    for n, k in shapes:
        on = f"J of shape ({n}, {k}), seed {seed}"
        J = np.triu(rng.standard_normal((n, k)), 1) + np.diag(rng.uniform(0.2, 0.8, n))
        pair = call(fn, J, on=on)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise CheckFailed("the result is not a pair (s, x)", on)
        U, s, Vh = np.linalg.svd(J)
        close(
            number(pair[0], name="s", on=on), s[0], name="s", on=on, suggests=recognise(_loud_mistakes(J, s)),
        )  # fmt: skip
        x = array(pair[1], (k,), name="x", on=on)
        if abs(np.linalg.norm(x) - 1) > 1e-8:
            raise CheckFailed(f"x has length {np.linalg.norm(x):.3g}, not 1", on)
        length = float(np.linalg.norm(J @ x))
        if length < s[0] - 1e-7:
            hint = "V^T comes from the SVD with one right singular vector a row." if _near(x, Vh[:, 0]) else ""
            if _near(x, U[:, 0]):
                hint = "That is the direction of the output; the input is the right singular vector."
            raise CheckFailed(f"J stretches x to {length:.3g} only, not to s = {s[0]:.3g}", on, hint)


def _near(x: np.ndarray, y: np.ndarray) -> bool:
    return bool(abs(abs(x @ y) - 1) < 1e-6)


def _loud_mistakes(J: np.ndarray, s: np.ndarray) -> list[tuple]:
    radius = np.abs(np.linalg.eigvals(J)).max()
    return [
        (radius, "It is the largest eigenvalue, which bounds no length unless J is normal. Take singular values."),
        (s[0] ** 2, "It is s^2, an eigenvalue of J^T J."),
        (np.sqrt((s**2).sum()), "It is the Frobenius norm, of all singular values together."),
        (s[-1], "It is the smallest one."),
    ]


def growth_witness(witness: Callable) -> None:
    """Check that witness() = (W, steps) has every |eigenvalue| <= 0.9 and yet W^steps stretches some vector 100-fold.

    ``steps`` is an integer >= 5. Raises CheckFailed.

    >>> growth_witness(lambda: (np.array([[0.5, 2000.0], [0.0, 0.5]]), 5))
    """
    pair = call(witness)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise CheckFailed("the witness is not a pair (W, steps)")
    W, steps = matrix(pair[0]), pair[1]
    if W.shape[0] != W.shape[1]:
        raise CheckFailed(f"W has shape {W.shape}; it must be square")
    if not isinstance(steps, numbers.Integral) or isinstance(steps, bool) or steps < 5:
        raise CheckFailed(f"steps is {steps!r}; an integer of at least 5 is asked")
    radius = float(np.abs(np.linalg.eigvals(W)).max())
    if radius > 0.9 + 1e-9:
        raise CheckFailed(f"an eigenvalue has the size {radius:.3g}, above 0.9")
    stretch = float(np.linalg.norm(np.linalg.matrix_power(W, int(steps)), 2))
    if not stretch >= 100:
        hint = "A normal W (symmetric, orthogonal, diagonal) has s = |eigenvalue|. Which W is not normal?"
        raise CheckFailed(f"W^{steps} stretches no vector more than {stretch:.3g}-fold", suggests=hint)


def alternating_gain(fn: Callable, *, drives: tuple[tuple[float, float], ...] = ((0.1, 0.1), (0.4, 0.0))) -> None:
    """Check that at the gain fn(v_on, v_off) the settled tanh network has chi_1 chi_2 = 1 over its two steps.

    The drive has the variances v_on, v_off, v_on, ... and q settles into two values that alternate. Raises CheckFailed.

    >>> alternating_gain(lambda v_on, v_off: 1.0)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: log chi_1 + log chi_2 is -0.745 at gain 1, not 0, on drive variances 0.1 and 0.1.
    """
    from ortholab.theory import critical_gain, critical_gain_over_time
    from ortholab.theory.recurrent import log_chis, variances

    for v in drives:
        on = f"drive variances {v[0]:g} and {v[1]:g}"
        gain = number(call(fn, *v, on=on, seconds=60.0), name="the gain", on=on)
        if not 0.2 < gain < 20:
            raise CheckFailed(f"the gain is {gain:.4g}, which is far from any critical one", on)
        settled = variances("tanh", gain, np.tile(v, 60))[-2:]
        total = float(log_chis("tanh", gain, settled).sum())
        if abs(total) > 2e-3:
            apart = [critical_gain("tanh", x) for x in v]
            chis = np.exp(log_chis("tanh", gain, settled))
            adds = (
                "It makes the mean of the two chi equal to 1; factors multiply." if abs(chis.mean() - 1) < 2e-3 else ""
            )
            hint = recognise(
                [
                    (critical_gain("tanh", sum(v) / 2), "It is critical for a steady drive of the mean variance."),
                    (sum(apart) / 2, "It is the mean of the two critical gains."),
                    (
                        critical_gain_over_time("tanh", np.array(v)),
                        "It balances the first two steps from h = 0; let q settle first.",
                    ),
                ],
                tol=2e-3,
                otherwise=adds,
            )(np.array(gain), np.array(0.0))
            raise CheckFailed(f"log chi_1 + log chi_2 is {total:.3g} at gain {gain:.4g}, not 0", on, hint)
