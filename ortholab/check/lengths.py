"""Checks of random lengths: the logarithm of a linear network's, and the walk of a ReLU network's signal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import polygamma

from ortholab.check._core import CheckFailed, array, call, close, generator, number
from ortholab.check._mistakes import recognise


def log_length(statistics: Callable, seed: int = 0) -> None:
    """Check that ``statistics(width, depth)`` is (log E R, E log R, Var log R), R = |Jv|^2, linear Gaussian network.

    R is a product of ``depth`` independent chi^2_N / N variables, so log E R = 0, E log R = L [psi(N/2) + log(2/N)]
    and Var log R = L psi'(N/2), at every width N. Raises CheckFailed.

    >>> from scipy.special import digamma
    >>> log_length(lambda N, L: (0.0, L * (digamma(N / 2) + np.log(2 / N)), L * polygamma(1, N / 2)))
    """
    rng = generator(seed)
    for width, depth in ((1, 1), (4, 3), (int(rng.integers(2, 9)), int(rng.integers(2, 30))), (300, 1000)):
        on = f"width {width}, depth {depth}"
        got = array(call(statistics, width, depth, on=on), (3,), name="the three statistics", on=on)
        mean, variance = (polygamma(0, width / 2) + np.log(2 / width)) * depth, polygamma(1, width / 2) * depth
        close(got[0], 0.0, tol=1e-9, name="log E R", on=on, suggests=_log_mean_hint(mean))
        close(got[1], mean, tol=1e-7, name="E log R", on=on, suggests=recognise(_mean_mistakes(width, depth, mean)))
        spread = [
            (2 * depth / width, "2L/N is the limit of large N: psi'(N/2) is exact, and differs at small widths."),
            (variance / 4, "It is the variance of log |Jv|: R is the squared length, so multiply by 4."),
            (variance / depth, "It is one layer's variance: the layers are independent, so L of them add up."),
            (variance**0.5, "It is the standard deviation."),
            (depth * polygamma(1, width), "psi' is taken at N: a chi^2 with N degrees of freedom has psi'(N/2)."),
        ]
        close(got[2], variance, tol=1e-7, name="Var log R", on=on, suggests=recognise(spread))


def _log_mean_hint(mean: float) -> Callable:
    return recognise(
        [
            (mean, "It is the mean of the logarithm: the logarithm of the mean comes first, and chi = 1."),
            (1.0, "It is the mean itself: its logarithm is asked."),
        ]
    )


def _mean_mistakes(width: int, depth: int, mean: float) -> list[tuple]:
    return [
        (0.0, "It is the logarithm of the mean: by Jensen's inequality the mean of the logarithm is below it."),
        (mean / 2, "It is the mean of log |Jv|: R is the squared length, so multiply by 2."),
        (mean / depth, "It is one layer's mean: the logarithms of L layers add up."),
        (-depth / width, "-L/N is the limit of large N: psi(N/2) + log(2/N) is exact, and differs at small widths."),
        (depth * polygamma(0, width / 2), "log(2/N) is missing: E log chi^2_N = psi(N/2) + log 2, then divide by N."),
        (
            depth * (polygamma(0, width / 2) + np.log(2)),
            "log N is missing: each layer's factor is chi^2_N / N, of mean 1.",
        ),
        (depth * (polygamma(0, width) + np.log(2 / width)), "psi is taken at N: it belongs at N/2."),
    ]


WALK_WIDTH, WALK_DEPTH = 40, 60


def signal_walk(measure: Callable, seed: int = 0) -> None:
    """Check that ``measure(kind, seed)`` is log(q^L / q^1) of one critical ReLU network, width 40, depth L = 60.

    No bias; ``kind`` is "gaussian" or "orthogonal", the weights have variance 2 / N. log q^L is a sum of L - 1
    independent steps log R, whose law is sampled here: mean and variance over 40 seeds must fit it. Raises CheckFailed.

    >>> signal_walk(lambda kind, seed: 0.0)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: every seed gives the same answer, ...
    """
    seeds = [int(s) for s in generator(seed).choice(10_000, 40, replace=False)]
    for kind in ("gaussian", "orthogonal"):
        on = f"{kind} weights, {len(seeds)} seeds"
        logs = np.array([number(call(measure, kind, s, on=on), name="the measurement", on=on) for s in seeds])
        again = number(call(measure, kind, seeds[0], on=on))
        if again != logs[0]:
            raise CheckFailed("the same seed gives two answers", on, "Every random number must come from the seed.")
        if np.ptp(logs) < 1e-9:
            raise CheckFailed("every seed gives the same answer", on, "Make the generator from the seed.")
        other = "orthogonal" if kind == "gaussian" else "gaussian"
        stranger = ((WALK_DEPTH - 1) * _step(other)[0], f"That is the mean of {other} weights.")
        _fits_walk(logs, *(WALK_DEPTH - 1) * _step(kind), stranger, on)


def _step(kind: str) -> np.ndarray:
    """Mean and variance of log R, R = 2 sum max(z, 0)^2 / N, or over |z|^2 with orthogonal weights."""
    z = generator(1).standard_normal((40_000, WALK_WIDTH))
    length = WALK_WIDTH if kind == "gaussian" else np.sum(z**2, axis=1)
    R = 2 * np.sum(np.maximum(z, 0) ** 2, axis=1) / length
    return np.array([np.mean(np.log(R) - (R - 1)), np.var(np.log(R))])  # E R = 1: R - 1 takes noise away


def _fits_walk(logs: np.ndarray, mean: float, variance: float, stranger: tuple[float, str], on: str) -> None:
    n = logs.size
    # four standard errors: a right answer fails once in ten thousand
    strays = (logs.mean() - mean) / (variance / n) ** 0.5
    if abs(strays) > 4:
        others = [
            stranger,
            (mean / 2, "It is the logarithm of a length: q is a mean square."),
            (mean / np.log(10), "It is a logarithm to base 10."),
            (mean - (WALK_DEPTH - 1) * np.log(2), "The signal halves in every layer: ReLU needs sigma_w^2 = 2."),
            (mean + (WALK_DEPTH - 1) * np.log(2), "The signal doubles in every layer: is the ReLU missing?"),
            (mean + (WALK_DEPTH - 1) * np.log(WALK_WIDTH), "The weights' variance is 2 / N, not 2."),
            (0.0, "It is near 0: is it the signal's size in one layer, or one without its logarithm?"),
        ]
        gap, words = min((abs(logs.mean() - value), words) for value, words in others)
        hint = words if gap < 4 * (variance / n) ** 0.5 else ""
        raise CheckFailed(f"the mean is {logs.mean():.3g}, theory says {mean:.3g}", on, hint)
    ratio = logs.var(ddof=1) / variance
    if not 0.3 < ratio < 2.5:
        hint = "Do layers share what should differ?" if ratio > 1 else "Are the two kinds of weights what they say?"
        if 0.1 < ratio < 0.3:
            hint = "About a quarter: it is the logarithm of a length, and q is a mean square."
        raise CheckFailed(f"the variance over seeds is {ratio:.2g} times what theory says", on, hint)
