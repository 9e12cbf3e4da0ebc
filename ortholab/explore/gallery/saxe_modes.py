"""Saxe's modes: how long a deep linear network waits before it learns, by depth, start and balance."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory.unequal_factors import factors_at, unequal_learning_times

LEARNT = 0.95  # a mode counts as learnt at this share of its goal
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 20, 32, 64)  # of the curve of steps
STEP = 0.1  # of descent, in units of the best step size: small enough to follow gradient flow


def _start(n: int, u0: float, ratio: float) -> np.ndarray:
    """n factors with the product u0, the first ``ratio`` times as large as each of the others."""
    rest = (u0 / ratio) ** (1 / n)
    return np.array([ratio * rest] + [rest] * (n - 1))


def _sharpness(n: int, share: float, ratio: float) -> float:
    """The largest eigenvalue of the Hessian where the strong mode is learnt: sum_l 1 / a_l^2."""
    return float(np.sum(factors_at(np.array(1.0), _start(n, share, ratio)) ** -2.0))


@functools.lru_cache(maxsize=128)
def _steps(share: float, ratio: float) -> np.ndarray:
    """Steps to learn the strong mode at each of DEPTHS."""
    return np.array(
        [unequal_learning_times(LEARNT, _start(n, share, ratio)) * _sharpness(n, share, ratio) for n in DEPTHS]
    )


def _descend(start: np.ndarray, s: float, step: float, looks: np.ndarray) -> np.ndarray:
    """Gradient descent on the factors of one mode: its strength u after each number of steps in ``looks``.

    Equal factors get equal gradients, so two numbers stand for all n.
    """
    first, rest, others = float(start[0]), float(start[-1]), start.size - 1
    found, wanted = {}, set(looks.tolist())
    for k in range(int(looks.max()) + 1):
        u = first * rest**others
        if k in wanted:
            found[k] = u
        push = step * u * (s - u)
        first, rest = first + push / first, rest + push / rest
    return np.array([found[k] for k in looks.tolist()])


def _mode(panel: Panel, n: int, s: float, share: float, ratio: float, color: str) -> float:
    """Draw a mode's curve and its descent; return the steps to LEARNT. Time counts steps of the best size."""
    start, sharpness = _start(n, share * s, ratio), _sharpness(n, share, ratio)
    u = s / (1 + np.exp(-np.linspace(np.log(share / (1 - share)), np.log(0.995 / 0.005), 46)[1:]))
    steps = unequal_learning_times(u, start, s=s) * sharpness
    panel.line(steps, u, label=f"s = {s:g}", color=color)
    looks = np.unique(np.maximum(1, np.round(steps[4::4] / STEP))).astype(int)
    panel.points(looks * STEP, _descend(start, s, STEP / sharpness, looks))
    return unequal_learning_times(LEARNT * s, start, s=s) * sharpness


def compute(n: int, share: float, ratio: float, weak: float) -> Picture:
    """Two modes against time, and the steps that the strong one takes against the number of matrices."""
    curves = Panel("steps, of size 1/Λ", "mode strength u", "A  two modes", "log", xlim=(0.1, 2000), ylim=(0, 1.05))
    steps = _mode(curves, n, 1.0, share, ratio, "theory")
    slow = _mode(curves, n, weak, share, ratio, "extra")
    price = Panel("matrices n", "steps to 95 % of s = 1", "B  the price of depth", "log", "log", (1, 64), (0.3, 300))
    if ratio != 1:
        price.line(DEPTHS, _steps(share, 1.0), label="balanced", color="line", dashed=True)
    price.line(DEPTHS, _steps(share, ratio), label="this start").guide(x=n)
    two = float(_steps(share, 1.0)[1])
    matrices = "1 matrix" if n == 1 else f"{n} matrices"
    readout = (
        f"{matrices}: {steps:.1f} steps to the strong mode, {steps / two:.1f} times as many as two balanced "
        f"matrices, and {slow:.1f} to the weak one."
    )
    facts = {"steps, strong mode": steps, "steps, weak mode": slow, "steps, two balanced matrices": two,
             "in units of two matrices": steps / two}  # fmt: skip
    return Picture([curves, price], readout, facts)


EXPLORABLE = Explorable(
    name="saxe_modes",
    title="How long does a mode wait?",
    question="From 1 % of the goal, how many times as many steps do 64 matrices take as two? Now keep the product and "
    "make the first factor larger or smaller than the others: which of the two wins back most of it?",
    answer="12.7 times as many: 95.5 steps for 7.5. A first factor a hundred times **smaller** than the others brings "
    "them down to 15.5; a hundred times larger leaves 95.3. The gradient of a factor is the product of all others. "
    "One small factor among factors near 1 gets a full gradient and runs up alone; many small ones hold each other "
    "back.",
    caption="Two modes of a deep linear network that start at 1 % of their goal, 8 matrices. Lines: Saxe's equation, "
    "for unequal factors too; crosses: gradient descent with small steps. After a long wait, 46 steps, the strong "
    "mode comes at once; two matrices take 7.5.",
    alt="Left, strength of two modes against steps on a log axis: both stay near zero, then rise within a few steps, "
    "the strong one near 46, the weak one near 110; crosses lie on the curves. Right, steps against the number of "
    "matrices: a curve from 3 that rises to about 95 and levels off.",
    controls=(
        Range("n", "matrices n", 1, 64, 8, count=19, log=True, whole=True, stored=6),
        Range("share", "start over goal", 0.01, 0.9, 0.01, count=40, log=True, stored=5),
        Range("ratio", "first over other factors", 0.01, 100, 1.0, count=41, log=True, stored=5),
        Range("weak", "weak mode's s", 0.4, 1.0, 0.6, count=31, stored=5),
    ),
    compute=compute,
    grid=("n", "ratio"),
)
