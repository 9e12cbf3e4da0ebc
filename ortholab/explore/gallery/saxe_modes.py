"""Saxe's modes: how long a deep linear network waits before it learns, by depth, start and balance."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory.unequal_factors import factors_at, unequal_learning_times

LEARNT = 0.95  # a mode counts as learnt at this share of its goal
DEPTHS = tuple(int(n) for n in np.unique(np.geomspace(1, 64, 19).round()))
STEP = 0.2  # of the best step size: small enough to follow gradient flow
MOST = 20_000


def _start(n: int, u0: float, ratio: float) -> np.ndarray:
    """n factors with the product u0, the first ``ratio`` times as large as each of the others."""
    rest = (u0 / ratio) ** (1 / n)
    return np.array([ratio * rest] + [rest] * (n - 1))


def _sharpness(n: int, share: float, ratio: float) -> float:
    """The largest eigenvalue of the Hessian where the strong mode is learnt: sum_l 1 / a_l^2."""
    return float(np.sum(factors_at(np.array(1.0), _start(n, share, ratio)) ** -2.0))


@functools.lru_cache(maxsize=64)
def _steps(share: float, ratio: float) -> np.ndarray:
    """Steps to learn the strong mode at each of DEPTHS."""
    return np.array(
        [unequal_learning_times(LEARNT, _start(n, share, ratio)) * _sharpness(n, share, ratio) for n in DEPTHS]
    )


def _descend(n: int, s: float, share: float, ratio: float, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent on the factors, small steps; returns (steps at the best step size, u / s) at about 14 times.

    Equal factors get equal gradients, so two numbers stand for all n.
    """
    first, rest = (float(a) for a in _start(n, share * s, ratio)[[0, -1]])
    step, times, found = STEP / sharpness, [], []
    look = {int(k) for k in np.geomspace(1, MOST, 24)}
    for k in range(MOST):
        u = first * rest ** (n - 1)
        if k in look:
            times.append(k * STEP)
            found.append(u / s)
        if u > 0.998 * s:
            break
        push = step * u * (s - u)
        first, rest = first + push / first, rest + push / rest
    return np.array(times), np.array(found)


def compute(n: int, share: float, ratio: float, weak: float) -> Picture:
    """Two modes against time, and the steps that the strong one takes against the number of matrices."""
    sharpness = _sharpness(n, share, ratio)
    curves = Panel("steps at the best step size", "u / s", "A  two modes", "log", xlim=(0.05, 3000), ylim=(0, 1.05))
    grid = 1 / (1 + np.exp(-np.linspace(np.log(share / (1 - share)), np.log(0.995 / 0.005), 70)))
    grid[0] = share
    steps = {}
    for s, color, label in ((1.0, "theory", "strong"), (weak, "extra", "weak")):
        start = _start(n, share * s, ratio)
        times = unequal_learning_times(grid * s, start, s=s) * sharpness
        curves.line(times[1:], grid[1:], label=label, color=color)
        curves.points(*_descend(n, s, share, ratio, sharpness), color="data")
        steps[label] = unequal_learning_times(LEARNT * s, start, s=s) * sharpness
    price = Panel("number of matrices n", "steps to learn", "B  the price of depth", "log", "log", (1, 64), (0.3, 1000))
    if ratio != 1:
        price.line(DEPTHS, _steps(share, 1.0), label="balanced", dashed=True)
    price.line(DEPTHS, _steps(share, ratio), label="this start").points([n], [steps["strong"]]).guide(x=n)
    two = float(_steps(share, ratio)[1])
    words = f"With {n} {'matrix' if n == 1 else 'matrices'} the strong mode takes {steps['strong']:.1f} steps"
    readout = f"{words}, {steps['strong'] / two:.2f} times as many as with 2; the weak one takes {steps['weak']:.1f}."
    facts = {"steps, strong mode": steps["strong"], "steps, weak mode": steps["weak"], "steps with n = 2": two,
             "price of depth": steps["strong"] / two}  # fmt: skip
    return Picture([curves, price], readout, facts)


EXPLORABLE = Explorable(
    name="saxe_modes",
    title="How long does a mode wait?",
    question="Start at 1 % of the goal with 2 matrices, then with 64. How many times as many steps does depth cost? "
    "Can you win them back without a stronger start?",
    answer="pending",
    caption="pending",
    alt="Left, share learnt against steps on a log axis: two S-shaped curves, the strong mode before the weak one, with "
    "points of real descent on them. Right, steps against the number of matrices: a curve that rises and levels off.",
    controls=(
        Range("n", "matrices n", 1, 64, 8, count=19, log=True, whole=True, stored=7),
        Range("share", "start, as a share of the goal", 0.01, 0.9, 0.01, count=40, log=True, stored=7),
        Range("ratio", "first factor over the others", 0.01, 100, 1.0, count=41, log=True, stored=7),
        Range("weak", "strength of the weak mode", 0.4, 1.0, 0.6, count=31, stored=5),
    ),
    compute=compute,
    grid=("n", "share"),
)
