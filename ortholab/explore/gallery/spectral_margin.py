"""The spectral margin: what it promises about growth through time, and what a matrix within it does."""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import ndtri

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import haar

N = 32
STEPS = tuple(2**k for k in range(9))  # 1 to 256
HORIZON = 784  # the pixels of a digit, one a step


@functools.lru_cache(maxsize=2)
def _turns(each: str) -> np.ndarray:
    """The orthogonal part V^T U of every step: one and the same, or a new one each time; (steps, N, N)."""
    return haar(N, rng=2, batch=(1,)) if each == "same" else haar(N, rng=2, batch=(STEPS[-1],))


@functools.lru_cache(maxsize=4)
def _quantiles() -> np.ndarray:
    """N evenly spread quantiles of a standard normal law, in a fixed random order."""
    return np.random.default_rng(5).permutation(ndtri((np.arange(N) + 0.5) / N))


def band(p: np.ndarray, margin: float) -> np.ndarray:
    """The singular values 1 + m tanh(p / 2) of the free parameters."""
    return 1 + margin * np.tanh(p / 2)


def _growth(s: np.ndarray, each: str) -> np.ndarray:
    """log |W_T ... W_1|_2 / T at every T of STEPS, W_t = Q_t diag(s)."""
    M, log, found = np.eye(N), 0.0, []
    factors = _turns(each) * s
    M = factors[0]
    for T in STEPS:
        if T > 1:
            if each == "same":
                M, log = M @ M, 2 * log
            else:
                for factor in factors[T // 2 : T]:
                    M = factor @ M
        size = float(np.linalg.norm(M, 2))
        M, log = M / size, log + np.log(size)
        found.append(log / T)
    return np.array(found)


def compute(margin: float, spread: float, each: str) -> Picture:
    """The band of the singular values, the growth a step of products of T matrices, and the eigenvalues of one."""
    p = spread * _quantiles()
    s = band(p, margin)
    grid = np.linspace(-8, 8, 81)
    law = Panel("free parameter p", "singular value s", "A  the band", xlim=(-8, 8), ylim=(0, 2))
    law.band(grid, np.full(81, 1 - margin), np.full(81, 1 + margin), color="line")
    law.line(grid, band(grid, margin)).points(p, s)
    rms = float(np.sqrt(np.mean(s**2)))
    top, low = np.exp(_growth(s, each)), np.exp(-_growth(1 / s, each))
    rate = Panel("steps T", "factor a step", "B  through time", "log", xlim=(1, STEPS[-1]), ylim=(0, 2))
    rate.guide(y=1 + margin, label="promised: 1 + m").guide(y=1 - margin, label="1 − m")
    rate.line(STEPS, np.full(len(STEPS), rms), label="root mean square of s", dashed=True)
    rate.points(STEPS, top, label="largest", color="chaotic").points(STEPS, low, label="smallest", color="ordered")
    power = HORIZON * np.log10(1 + margin), HORIZON * np.log10(top[-1])
    readout = (
        f"Over {HORIZON} steps the margin allows growth by 10^{{{power[0]:.1f}}}; "
        f"at the rate after {STEPS[-1]} steps these matrices make 10^{{{power[1]:.1f}}}."
    )
    facts = {"promised a step": 1 + margin, "largest a step": top[-1], "smallest a step": low[-1],
             "root mean square of s": rms, "powers of ten promised": power[0], "powers of ten": power[1]}  # fmt: skip
    return Picture([law, rate], readout, facts)


EXPLORABLE = Explorable(
    name="spectral_margin",
    title="What does a margin promise?",
    question="A margin of 0.1 allows 784 steps to grow a gradient by 10^{32}. How much do these matrices use of it?",
    answer="pending",
    caption="pending",
    alt="pending",
    controls=(
        Range("margin", "margin m", 0, 1, 0.1, count=101, stored=9),
        Range("spread", "spread of p", 0, 6, 2, count=61, stored=7),
        Choice("each", "matrix", {"same": "the same at each step (RNN)", "new": "a new one at each step"}, "same"),
    ),
    compute=compute,
    grid=("margin", "each"),
)
