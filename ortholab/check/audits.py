"""Checks of an audit in miniature: theory of a leaky network, paired intervals, and a plan that is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import stdtrit

from ortholab.check._core import CheckFailed, array, call, close, generator
from ortholab.check._mistakes import recognise
from ortholab.check.paths import refuses
from ortholab.errors import show

Case = tuple[float, float, int]


def leaky_mean_square(fn: Callable, *, cases: Sequence[Case] = ((1.2, 0.4, 1), (1.1, 0.3, 6))) -> None:
    """Check that fn(gain, leak, steps) = (fresh, shared), the mean of s^2 of ((1 - leak) I + leak gain Q) ... .

    ``fresh`` has a new Haar matrix Q at each step, ``shared`` the same, both at infinite width. Raises CheckFailed.

    >>> def fn(gain, leak, steps):
    ...     terms = [math.comb(steps, j) * (1 - leak) ** (steps - j) * (leak * gain) ** j for j in range(steps + 1)]
    ...     return ((1 - leak) ** 2 + (leak * gain) ** 2) ** steps, sum(c * c for c in terms)
    >>> leaky_mean_square(fn)
    """
    for gain, leak, steps in cases:
        on = f"gain {gain:g}, leak {leak:g}, {steps} steps"
        a, b = 1 - leak, leak * gain
        got = array(call(fn, gain, leak, steps, on=on), (2,), name="the pair (fresh, shared)", on=on)
        fresh = (a**2 + b**2) ** steps
        powers = np.arange(steps + 1)
        ways = np.array([math.comb(steps, j) for j in powers], dtype=float)
        terms = ways * a ** (steps - powers) * b**powers
        cross = "It is (1 - leak + leak gain)^(2 t); the cross term has the mean trace of Q, which is 0."
        close(got[0], fresh, name="fresh", on=on, suggests=recognise([((a + b) ** (2 * steps), cross)]))
        turned = ways * leak ** (steps - powers) * ((1 - leak) * gain) ** powers
        wrong = [
            (fresh, "It is the fresh one; with one matrix, equal powers of Q meet and add up."),
            (terms.sum() ** 2, "The terms are added before they are squared; different powers of Q are perpendicular."),
            (terms.sum(), "The terms are not squared."),
            ((turned**2).sum(), "The leak stands at the wrong term."),
        ]
        close(got[1], (terms**2).sum(), name="shared", on=on, suggests=recognise(wrong))


def interval_by_seed(fn: Callable, *, seed: int = 0, count: int = 5) -> None:
    """Check that fn(a, b) = (mean, low, high) of a - b over the seeds that both have, with the 95 % t interval.

    a and b are dicts from seed to score, in any order; fewer than two common seeds are refused by ValueError. Raises
    CheckFailed.

    >>> def fn(a, b):
    ...     d = np.array([a[k] - b[k] for k in a if k in b])
    ...     if len(d) < 2:
    ...         raise ValueError("two pairs, please")
    ...     half = stdtrit(len(d) - 1, 0.975) * d.std(ddof=1) / len(d) ** 0.5
    ...     return d.mean(), d.mean() - half, d.mean() + half
    >>> interval_by_seed(fn)
    """
    rng = generator(seed)
    level = rng.uniform(0.4, 0.9, count)
    b = dict(zip(range(count), level.tolist(), strict=True))
    a = {k: float(b[k] + 0.02 + 0.01 * rng.standard_normal()) for k in rng.permutation(count).tolist()}
    d = np.array([a[k] - b[k] for k in range(count)])
    mean, spread, wide = d.mean(), d.std(ddof=1), stdtrit(count - 1, 0.975)
    for first, second, on in (
        (a, b, f"{count} seeds in two orders"),
        (a | {99: 0.1}, b, "a seed that only one of them has"),
    ):
        got = array(call(fn, first, second, on=on), (3,), name="(mean, low, high)", on=on)
        wrong = [(-mean, "It is b - a."), (np.median(d), "It is the median.")]
        close(got[0], mean, name="the mean", on=on, suggests=recognise(wrong, otherwise="Pair by seed."))
        x, y = np.array(list(first.values())), np.array(list(second.values()))
        unpaired = wide * (x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)) ** 0.5
        wrong = [
            (1.96 * spread / count**0.5, "It has the normal quantile 1.96; so few seeds need Student's t."),
            (wide * d.std() / count**0.5, "The standard deviation needs n - 1 in its denominator."),
            (wide * spread, "It lacks the division by the root of the number of seeds."),
            (spread / count**0.5, "It is one standard error, not the interval."),
            (stdtrit(count - 1, 0.95) * spread / count**0.5, "0.95 leaves 5 % on each side: take 0.975."),
            (unpaired, "The scores are not paired by seed: what a seed does to both is in it."),
        ]
        if len(x) == len(y):
            by_place = wide * (x - y).std(ddof=1) / count**0.5
            wrong.append((by_place, "The scores are paired by their place in the dict, not by seed."))
        half = wide * spread / count**0.5
        close(
            (got[2] - got[1]) / 2, half, tol=1e-7, name="half of the interval", on=on, suggests=recognise(wrong)
        )  # fmt: skip
        close((got[1] + got[2]) / 2, mean, name="the middle of the interval", on=on)
    refuses(fn, {0: 1.0}, {0: 0.5, 1: 0.7}, on="one common seed", why="One difference has no spread.")


def verdict(fn: Callable, *, touching: bool = False) -> None:
    """Check that fn(low, high) says "ahead", "behind" or "no difference found".

    ``touching`` adds intervals that end at 0, which do not exclude it. Raises CheckFailed.

    >>> verdict(lambda low, high: "ahead" if low > 0 else "behind" if high < 0 else "no difference found")
    """
    nothing = "no difference found"
    cases = [(0.01, 0.04, "ahead"), (-0.03, -0.01, "behind"), (-0.01, 0.05, nothing), (-0.05, 0.01, nothing)]
    for low, high, want in cases + touching * [(0.0, 0.1, nothing), (-0.1, 0.0, nothing)]:
        on = f"the interval [{low:g}, {high:g}]"
        said = call(fn, low, high, on=on)
        if not isinstance(said, str) or said != want:
            hint = "An interval that holds 0 tells nothing about the sign." if low <= 0 <= high else ""
            raise CheckFailed(f"the verdict is {show(said)}, not {want!r}", on, hint)


CELLS = ("adjusted", "plain", "none")


def audit_plan(audit: Callable, *, seeds: Sequence[int] = (3, 1, 4), cells: Sequence[str] = CELLS) -> None:
    """Check that audit(train, seeds) trains every cell on every seed once and returns its paired differences.

    The check's own ``train(cell, seed)`` is instant and remembers its calls. The result is a dict from "adjusted -
    plain" and "adjusted - none" to (mean, low, high). Raises CheckFailed.

    >>> audit_plan(lambda train, seeds: {})
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: 9 of 9 runs are missing, on seeds (3, 1, 4). The first is 'adjusted', seed 3.
    """
    on = f"seeds {seeds}"
    calls: list[tuple[str, int]] = []
    offset = {name: 0.03 * i for i, name in enumerate(cells[::-1])}

    def train(cell: str, seed: int) -> float:
        if cell not in cells:
            raise ValueError(f"there is no cell {cell!r}")
        calls.append((cell, seed))
        return 0.5 + 0.1 * math.sin(7.0 * seed) + offset[cell] + 0.002 * math.sin(31.0 * seed + 5 * len(cell))

    result = call(audit, train, seeds, on=on)
    wanted = [(cell, seed) for cell in cells for seed in seeds]
    missing = [c for c in wanted if c not in calls]
    if missing:
        first = f"The first is {missing[0][0]!r}, seed {missing[0][1]}."
        raise CheckFailed(f"{len(missing)} of {len(wanted)} runs are missing", on, first)
    if len(calls) != len(wanted):
        hint = "A run that is repeated until it pleases is no longer the plan."
        raise CheckFailed(f"{len(calls)} runs were made, not {len(wanted)}", on, hint)
    if not isinstance(result, dict):
        raise CheckFailed(f"the result is a {type(result).__name__}, not a dict", on)
    for other in cells[1:]:
        key = f"{cells[0]} - {other}"
        if key not in result:
            raise CheckFailed(f"the result lacks {key!r}", on)
        d = np.array([train(cells[0], s) - train(other, s) for s in seeds])
        half = stdtrit(len(seeds) - 1, 0.975) * d.std(ddof=1) / len(seeds) ** 0.5
        close(
            result[key], [d.mean(), d.mean() - half, d.mean() + half], tol=1e-5, name=key, on=on,
            suggests="Pair by seed, first minus second.",
        )  # fmt: skip
