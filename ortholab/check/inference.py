"""Checks of statistics: an interval from paired seeds, and a comparison of two starts by a ratio."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import stdtrit

from ortholab.check._core import CheckFailed, array, call, close, generator
from ortholab.check._mistakes import recognise


def paired_interval(interval: Callable, seed: int = 0) -> None:
    """Check that ``interval(a, b)`` is the 95 % t-interval (low, high) of the mean of a - b, paired entry by entry.

    mean(d) -+ t_(0.975, n-1) std(d) / sqrt(n), with d = a - b and the standard deviation that divides by n - 1. Raises
    CheckFailed.

    >>> from scipy import stats
    >>> def interval(a, b):
    ...     d = a - b
    ...     half = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    ...     return d.mean() - half, d.mean() + half
    >>> paired_interval(interval)
    """
    rng = generator(seed)
    for n in (4, 12, int(rng.integers(5, 9))):
        seeds = 3 * rng.standard_normal(n)  # what the seed does to both: a pair takes it out
        a, b = (seeds + rng.standard_normal(n) + shift for shift in (1.0, 0.0))
        on = f"{n} pairs whose seeds matter more than the treatment"
        want = _interval(a - b)
        got = call(interval, a, b, on=on)
        close(got, want, tol=1e-7, name="(low, high)", on=on, suggests=recognise(_interval_mistakes(a, b)))


def _interval(d: np.ndarray) -> np.ndarray:
    half = stdtrit(d.size - 1, 0.975) * d.std(ddof=1) / d.size**0.5
    return np.array([d.mean() - half, d.mean() + half])


def _interval_mistakes(a: np.ndarray, b: np.ndarray) -> list[tuple]:
    d, n = a - b, a.size
    t, spread = stdtrit(n - 1, 0.975), d.std(ddof=1)
    ends = np.array([-1.0, 1.0])
    apart = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / n)
    unpaired = "It treats a and b as separate samples: the pairs share their seeds, so take the differences first."
    return [
        (d.mean() + ends * 1.96 * spread / n**0.5, "1.96 is for many pairs; with few, Student's t is wider."),
        (d.mean() + ends * stdtrit(n - 1, 0.95) * spread / n**0.5, "0.95 leaves 5 % on each side: take 0.975."),
        (d.mean() + ends * t * d.std() / n**0.5, "The standard deviation divides by n: use ddof=1."),
        (d.mean() + ends * t * spread, "It is the spread of one difference; that of the mean is sqrt(n) smaller."),
        (d.mean() + ends * t * spread / n, "It divides by n: the error of a mean falls like 1/sqrt(n)."),
        (-_interval(d)[::-1], "It is b - a: a - b is asked."),
        (_interval(d)[::-1], "low and high are swapped."),
        (d.mean() + ends * t * apart, unpaired),
        (d.mean() + ends * stdtrit(2 * n - 2, 0.975) * apart, unpaired),
        (d.mean() + ends * 1.96 * apart, unpaired),
        (np.quantile(d, [0.025, 0.975]), "These are quantiles of the differences, not an interval for their mean."),
    ]


def comparison(compare: Callable, seed: int = 0) -> None:
    """Check that ``compare(run, seeds)`` is (ratio, low, high): how many times more steps the Gaussian start takes.

    ``run(kind, seed)`` is a number of steps, ``kind`` "gaussian" or "orthogonal". The ratio is the geometric mean over
    the seeds of run("gaussian", seed) / run("orthogonal", seed), with a 95 % t-interval made in logarithms. Raises
    CheckFailed.

    >>> comparison(lambda run, seeds: (1.0, 1.0, 1.0))
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: 12 of 12 runs were never made, ...
    """
    rng = generator(seed)
    for n, effect in ((6, 1.0), (int(rng.integers(4, 12)), 0.0)):
        steps = np.exp(3 + rng.standard_normal(n) + 0.3 * rng.standard_normal((2, n)) + [[effect], [0.0]])
        seeds = [int(s) for s in rng.choice(1000, n, replace=False)]
        asked: list[tuple] = []
        on = f"{n} seeds, made-up steps"
        got = array(call(compare, _runner(steps, seeds, asked), seeds, on=on), (3,), name="the answer", on=on)
        missing = {(k, s) for k in ("gaussian", "orthogonal") for s in seeds} - set(asked)
        if missing:
            raise CheckFailed(f"{len(missing)} of {2 * n} runs were never made", on, "Run both starts at every seed.")
        logs = np.log(steps[0] / steps[1])
        want = np.exp([logs.mean(), *_interval(logs)])
        hint = recognise(_comparison_mistakes(steps, logs))
        close(got, want, tol=1e-7, name="(ratio, low, high)", on=on, suggests=hint)


def _runner(steps: np.ndarray, seeds: list[int], asked: list[tuple]) -> Callable:
    def run(kind: str, seed: int) -> float:
        if kind not in ("gaussian", "orthogonal") or seed not in seeds:
            raise ValueError(f"run knows two kinds and the given seeds {seeds}; it was called with {kind!r}, {seed!r}")
        asked.append((kind, seed))
        return float(steps[("gaussian", "orthogonal").index(kind), seeds.index(seed)])

    return run


def _comparison_mistakes(steps: np.ndarray, logs: np.ndarray) -> list[tuple]:
    right = np.exp([logs.mean(), *_interval(logs)])
    ratios = steps[0] / steps[1]
    plain = "The interval is of the plain ratios: 2 and 1/2 are equally far from 1, so average logarithms."
    return [
        (1 / right[[0, 2, 1]], "It is orthogonal over Gaussian."),
        (1 / right, "It is orthogonal over Gaussian."),
        (np.log(right), "These are logarithms: exponentiate at the end."),
        (right[[1, 0, 2]], "The order asked for is (ratio, low, high)."),
        (right[[1, 2, 0]], "The order asked for is (ratio, low, high)."),
        ([ratios.mean(), *_interval(ratios)], plain),
        ([ratios.mean(), *right[1:]], plain),
        ([steps[0].mean() / steps[1].mean(), *right[1:]], "It is a ratio of means: one slow seed decides it."),
        *(
            ([right[0], *np.exp(wrong)], words)
            for wrong, words in _interval_mistakes(np.log(steps[0]), np.log(steps[1]))
        ),
    ]
