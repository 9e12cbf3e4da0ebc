"""Check of a sampler of random orthogonal matrices: is it orthogonal, is it Haar?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator, number
from ortholab.theory import haar as draw_haar

DRAWS = 1500
LIMIT = 2.6  # of the Kolmogorov-Smirnov distance times sqrt(DRAWS): passed by chance with probability 3e-6


def haar(sample: Callable, seed: int = 0) -> None:
    """Check that ``sample(n, rng)`` is an orthogonal n x n matrix, Haar (uniformly) distributed.

    At n = 3 every entry of Q, of P Q and of Q P with a fixed orthogonal P is uniform on [-1, 1] (Archimedes), and
    det Q is 1 or -1 equally often. Held against 1,500 draws, by Kolmogorov-Smirnov distances. Raises CheckFailed.

    >>> haar(lambda n, rng: draw_haar(n, rng=rng))
    >>> haar(lambda n, rng: np.linalg.qr(rng.standard_normal((n, n)))[0])
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: orthogonal to 1e-10, but not Haar: Q[0, 0] is negative in ..., Haar says half...
    """
    rng = generator(seed)
    for n in (3, 1, int(rng.integers(5, 12))):
        on = f"n = {n}, seed {seed}"
        Q = array(call(sample, n, generator(seed), on=on), (n, n), name="Q", on=on)
        close(Q.T @ Q, np.eye(n), tol=1e-10, name="Q^T Q", on=on, suggests=_why_not_orthogonal(Q))
    if not np.array_equal(Q, array(call(sample, n, generator(seed), on=on))):
        raise CheckFailed("two generators of one seed give two matrices", on, "Every number must come from rng.")
    # `call` hands on copies, so each draw gets a generator of its own
    starts = rng.integers(2**31, size=DRAWS)
    drawn = np.array([array(call(sample, 3, generator(int(s))), (3, 3), name="Q") for s in starts])
    on = f"{DRAWS} draws of 3 x 3 matrices, seed {seed}"
    if np.ptp(drawn, axis=0).max() < 1e-6:
        raise CheckFailed("every draw is the same matrix", on, "Draw it with rng.")
    _uniform(drawn, on)
    share = np.mean(np.linalg.det(drawn) > 0)
    if abs(share - 0.5) > 5 * 0.5 / DRAWS**0.5:
        raise CheckFailed(
            f"det Q = 1 in {share:.0%} of the draws, Haar says half",
            on,
            "The group has rotations and reflections, both equally likely.",
        )


def _why_not_orthogonal(Q: np.ndarray) -> str:
    n = len(Q)
    lengths = np.linalg.norm(Q, axis=0)
    if np.abs(lengths - 1).max() < 1e-8:
        return "Its columns have length 1, but they are not orthogonal to each other."
    if n > 1 and np.abs(Q.T @ Q - (Q.T @ Q)[0, 0] * np.eye(n)).max() < 1e-8:
        return "It is a multiple of an orthogonal matrix."
    return "Independent Gaussian entries of variance 1/n give columns of length about 1, not orthogonal ones."


def _uniform(drawn: np.ndarray, on: str) -> None:
    """Kolmogorov-Smirnov distance of each entry to the uniform law on [-1, 1], before and after fixed rotations."""
    P = draw_haar(3, rng=11)
    ranks = (np.arange(DRAWS)[:, None, None] + 0.5) / DRAWS
    for matrices, what in ((drawn, "Q"), (P @ drawn, "P Q"), (drawn @ P, "Q P")):
        distance = np.abs((np.sort(matrices, axis=0) + 1) / 2 - ranks).max(axis=0) * DRAWS**0.5
        if distance.max() > LIMIT:
            i, j = np.unravel_index(np.argmax(distance), (3, 3))
            raise CheckFailed(_describe(matrices, what, int(i), int(j)), on, _why_not_uniform(drawn))


def _describe(matrices: np.ndarray, what: str, i: int, j: int) -> str:
    entry = matrices[:, i, j]
    found = f"negative in {np.mean(entry < 0):.0%} of the draws, Haar says half"
    if abs(np.mean(entry < 0) - 0.5) < 0.1:
        found = f"below 1/2 in size in {np.mean(np.abs(entry) < 0.5):.0%} of the draws, Haar says half"
    return f"orthogonal to 1e-10, but not Haar: {what}[{i}, {j}] is {found}"


def _why_not_uniform(drawn: np.ndarray) -> str:
    corner = np.mean(drawn[:, 0, 0] < 0)
    if corner > 0.99 and np.abs(np.mean(drawn[:, 1, 0])) < 0.1:
        return "LAPACK's QR makes R's diagonal of one sign or the other: multiply Q's columns by the signs of diag(R)."
    if np.abs(drawn).max() > 1 - 1e-12 and np.isin(np.abs(drawn).round(9), (0, 1)).all():
        return "It only permutes the axes: orthogonal, yet far from every direction."
    if np.abs(np.mean(drawn[:, :, 0], axis=0)).min() > 0.2:
        return "The first column prefers one orthant: were the entries drawn from a law that is symmetric about 0?"
    return "Some directions are preferred: the law of the columns before QR must not change under rotations."


def haar_witness(statistic: Callable, seed: int = 0) -> None:
    """Check that ``statistic(Q)`` convicts plain QR: its mean over 3 x 3 Haar matrices is 0, over plain QR it is not.

    A number, of one matrix; 1,500 draws of each kind, a Haar mean within 5 standard errors of 0 and a mean over plain
    QR that is 10 away. Raises CheckFailed.

    >>> haar_witness(lambda Q: Q[0, 0])
    """
    rng = generator(seed)
    A = rng.standard_normal((DRAWS, 3, 3))
    Q, R = np.linalg.qr(A)
    sign = np.where(np.diagonal(R, axis1=1, axis2=2) < 0, -1.0, 1.0)
    fair, plain = (
        np.array([number(call(statistic, M), name="the statistic") for M in draws]) for draws in (Q * sign[:, None], Q)
    )
    far = [abs(v.mean()) / max(v.std(ddof=1) / DRAWS**0.5, 1e-12) for v in (fair, plain)]
    on = f"{DRAWS} draws of 3 x 3 matrices, seed {seed}"
    if far[0] > 5:
        raise CheckFailed(
            f"the mean over Haar matrices is {fair.mean():.3g}, not 0",
            on,
            "Q and -Q are equally likely, and so is Q with a column's sign turned: take something that changes sign.",
        )
    if far[1] < 10:
        raise CheckFailed(
            f"the mean over plain QR is {plain.mean():.3g}, within what chance does",
            on,
            "Print the mean of Q itself, entry by entry. Which entries know of R's signs?",
        )
