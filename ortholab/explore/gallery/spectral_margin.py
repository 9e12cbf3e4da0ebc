"""The spectral margin: how much growth through time it allows, and how much the matrices within it make."""

from __future__ import annotations

import functools
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import haar

WIDTH = 24
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 784)  # the last: the pixels of a digit, one a step
TOGETHER = 16  # factors between two normalisations: their product stays far from overflow


@functools.lru_cache(maxsize=1)
def _turns() -> np.ndarray:
    """The orthogonal factor V^T U of each step, (STEPS[-1], WIDTH, WIDTH)."""
    return haar(WIDTH, rng=2, batch=(STEPS[-1],))


@functools.lru_cache(maxsize=1)
def _unit_parameters() -> np.ndarray:
    """WIDTH free parameters p: evenly spread quantiles of a standard normal law, in a fixed random order."""
    return np.random.default_rng(5).permutation([NormalDist().inv_cdf((i + 0.5) / WIDTH) for i in range(WIDTH)])


def band(p: np.ndarray, margin: float) -> np.ndarray:
    """The singular values 1 + m tanh(p / 2) of the free parameters."""
    return 1 + margin * np.tanh(p / 2)


Scaled = tuple[np.ndarray, float]  # a matrix of norm 1 and the log of what it was divided by


def _times(later: Scaled, earlier: Scaled) -> Scaled:
    M = np.dot(later[0], earlier[0])
    size = float(np.linalg.norm(M))
    return M / size, later[1] + earlier[1] + np.log(size)


def _power(squares: list[Scaled], T: int) -> Scaled:
    """The power T of a matrix from its powers 1, 2, 4, ..."""
    return functools.reduce(_times, [square for k, square in enumerate(squares) if T >> k & 1])


def _chain(factors: np.ndarray) -> Scaled:
    """The product of (m, n, n) factors, the first applied first."""
    M, log = np.eye(factors.shape[-1]), 0.0
    for start in range(0, len(factors), TOGETHER):
        for factor in factors[start : start + TOGETHER]:
            M = np.dot(factor, M)  # half the time of @ for matrices this small
        M, log = _times((M, log), (np.eye(len(M)), 0.0))
    return M, log


def _factor_a_step(factors: np.ndarray) -> np.ndarray:
    """|W_T ... W_1|_2^(1/T) at every T of STEPS, of (STEPS[-1], n, n) factors; of (1, n, n), of its powers."""
    if len(factors) == 1:
        squares = [_chain(factors)]
        while 2 ** len(squares) <= STEPS[-1]:
            squares.append(_times(squares[-1], squares[-1]))
        found = [_power(squares, T) for T in STEPS]
    else:
        found = [_chain(factors[:1])]
        for before, T in pairwise(STEPS):
            found.append(_times(_chain(factors[before:T]), found[-1]))
    return np.array(
        [np.exp((log + np.log(np.linalg.norm(M, 2))) / T) for T, (M, log) in zip(STEPS, found, strict=True)]
    )


def _ring(s: np.ndarray, margin: float) -> Panel:
    """The eigenvalues of the first W and the circles of the band's edges.

    For U, V Haar and N -> infinity they fill a ring whose outer radius is the root mean square of s (the single ring
    theorem; Guionnet, Krishnapur, Zeitouni 2011): the dashed circle.
    """
    values = np.linalg.eigvals(_turns()[0] * s)
    values = values[np.lexsort((np.abs(values), np.round(np.angle(values), 9)))]  # LAPACK's order is its own
    panel = Panel(
        "real part", "imaginary part", "C  eigenvalues of W", xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal"
    )
    turn = np.linspace(0, 2 * np.pi, 61)
    for radius in (1 - margin, 1 + margin):
        panel.line(radius * np.cos(turn), radius * np.sin(turn), color="line")
    rms = np.sqrt(np.mean(s**2))
    panel.line(rms * np.cos(turn), rms * np.sin(turn), dashed=True)
    return panel.points(values.real, values.imag)


def compute(margin: float, spread: float, each: str) -> Picture:
    """The band of the singular values, the factor a step of products of T matrices, and the eigenvalues of one."""
    p, turns = spread * _unit_parameters(), _turns()[: 1 if each == "same" else None]
    s = band(p, margin)
    grid = np.linspace(-8, 8, 65)
    law = Panel("free parameter p", "singular value s", "A  the band", xlim=(-8, 8), ylim=(0, 2.1))
    law.guide(y=1 + margin).guide(y=1 - margin)
    law.line(grid, band(grid, margin)).points(np.sort(p), np.sort(s))
    rms = float(np.sqrt(np.mean(s**2)))
    # The least singular value is one over the greatest of the inverse, the product of diag(1/s) Q^T in turn.
    top, low = _factor_a_step(turns * s), 1 / _factor_a_step(turns / s)
    rate = Panel("steps T", "factor a step", "B  through time", "log", xlim=(1, STEPS[-1]), ylim=(0, 2.1))
    rate.guide(y=1 + margin, label="1 + m").guide(y=1 - margin, label="1 − m")
    rate.line(STEPS, np.full(len(STEPS), rms), label="wide W", dashed=True)
    rate.points(STEPS, top, label="largest", color="chaotic").points(STEPS, low, label="smallest", color="ordered")
    allowed, made = (STEPS[-1] * float(np.log10(factor)) for factor in (1 + margin, top[-1]))
    readout = (
        f"Within this margin {STEPS[-1]} steps may grow a gradient by 10^{{{allowed:.1f}}}; these matrices grow it by "
        f"10^{{{made:.1f}}} at most."
    )
    facts = {"allowed a step": 1.0 + margin, "made a step": float(top[-1]), "root mean square of s": rms,
             "powers of ten allowed": allowed, "powers of ten made": made}  # fmt: skip
    return Picture([law, rate, _ring(s, margin)], readout, facts)


EXPLORABLE = Explorable(
    name="spectral_margin",
    title="What does a margin allow, and what happens?",
    question="A margin of 0.1 allows 784 steps to grow a gradient by a factor of 10^{32}. By how much do these "
    "matrices grow it? At which margin do they reach 10^{2}? And is a new matrix at each step worse, or better?",
    answer="By 10^{8.2}, a quarter of the powers of ten. 10^{2} is reached between the margins 0.02 and 0.03. A new "
    "matrix at each step is better: 10^{1.1}. Random orthogonal factors turn away what was stretched, so the factor "
    "a step is near the root mean square of s (1.002), and not at 1 + m. One and the same matrix has eigenvectors "
    "that it never turns; its eigenvalues decide, and in a matrix of 24 rows some lie well outside that circle.",
    caption="Singular values within a margin of 0.3 (left), and the largest and the smallest singular value of W^{T}, "
    "as a factor a step (middle). The factor leaves the edges of the band within a few steps. Right: the eigenvalues "
    "of W. For wide W they fill a ring, whose outer radius, the root mean square of s (dashed), is far inside the "
    "circles of the band's edges (grey).",
    alt="Left, an S-shaped curve between 0.7 and 1.3 with 24 points. Middle, two series of points that start at the "
    "edges of the band and close in on 1. Right, eigenvalues scattered about the unit circle between two grey "
    "circles.",
    controls=(
        Range("margin", "margin m", 0, 1, 0.3, count=101, stored=9),
        Range("spread", "spread of p", 0, 4, 2, count=41, stored=5),
        Choice("each", "matrix", {"same": "the same at each step", "new": "a new one at each step"}, "same"),
    ),
    compute=compute,
    grid=("margin", "each"),
)
