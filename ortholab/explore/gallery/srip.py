"""SRIP's power iteration: what a few products see of the spectral norm, by the spectrum of the Gram error."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import haar
from ortholab.theory.srip import power_iteration, srip

TOP = 1.0  # the largest eigenvalue of E = W^T W - I, on the upper side
MOST = 40
PUBLISHED = 1  # one step of the iteration and one more product to read
STARTS = 200


@functools.lru_cache(maxsize=8)
def _starts(n: int) -> np.ndarray:
    """Squares of the components of random starts in the eigenbasis of E, (STARTS, n)."""
    return np.random.default_rng(n).standard_normal((STARTS, n)) ** 2


@functools.lru_cache(maxsize=8)
def _frame(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, 1])
    return haar(n, rng=rng), rng.standard_normal(n)


def _eigenvalues(n: int, ratio: float) -> np.ndarray:
    """One eigenvalue at TOP, the others evenly spread from ``ratio`` down to 0."""
    return np.concatenate([[TOP], TOP * ratio * np.linspace(1, 0, n - 1)])


def _readings(e: np.ndarray, n: int) -> np.ndarray:
    """|E v_j| for j = 0 ... MOST and every start, (MOST + 1, STARTS): in the eigenbasis v_j ~ e^j v_0."""
    power = (np.abs(e) / TOP) ** (2 * np.arange(MOST + 2)[:, None])
    size = power @ _starts(n).T
    return TOP * np.sqrt(size[1:] / size[:-1])


def compute(ratio: float, n: int, steps: int) -> Picture:
    """The spectrum of E, the readings of the norm by iterations, and the error with the rate that theory gives."""
    e = _eigenvalues(n, ratio)
    readings = _readings(e, n)
    low, mid, high = np.quantile(readings, [0.1, 0.5, 0.9], axis=1)
    j = np.arange(MOST + 1)
    law = Panel("index", "eigenvalue of E", "A  the spectrum", xlim=(0, n + 1), ylim=(-0.05, 1.05))
    law.points(np.arange(2, n + 1), e[1:]).points([1], e[:1], color="chaotic", label="the norm")
    basis, v = _frame(n)
    W = basis * np.sqrt(1 + e) @ basis.T
    found = []
    for _ in j:
        found.append(float(srip(W, v=v)))
        v = power_iteration(W, v, steps=1)
    read = Panel(
        "steps of the iteration", "share of the norm that is read", "B  readings", xlim=(0, MOST), ylim=(0, 1.05)
    )
    read.band(j, low, high).line(j, mid, label="median start").points(j, found, label="one start")
    read.guide(x=PUBLISHED, label="published").guide(x=steps)
    miss = Panel("steps of the iteration", "error", "C  what is missed", yscale="log", xlim=(0, MOST), ylim=(1e-6, 1.2))
    miss.line(j, 1 - mid, label="median start").points(j, 1 - np.array(found))
    if 0 < ratio < 1:
        miss.line(j, ratio ** (2.0 * j), dashed=True, label="(e_2 / e_1)^{2j}")
    seen, published = float(mid[steps]), float(mid[PUBLISHED])
    readout = f"After {steps} steps the median start reads {seen:.1%} of the norm; the published two products read {published:.1%}."
    facts = {"share read": seen, "share read, published": published, "worst tenth": float(low[steps]),
             "norm": float(srip(W))}  # fmt: skip
    return Picture([law, read, miss], readout, facts)


EXPLORABLE = Explorable(
    name="srip",
    title="What do two products see?",
    question="For which second eigenvalue is the published estimate worst? Is it a lone outlier or a crowd?",
    answer="pending",
    caption="pending",
    alt="pending",
    controls=(
        Range("ratio", "second eigenvalue over the first", 0, 1, 0.8, count=51, stored=9),
        Range("n", "short side", 4, 64, 32, count=21, log=True, whole=True, stored=5),
        Range("steps", "steps of the iteration", 0, MOST, 1, count=41, whole=True, stored=7),
    ),
    compute=compute,
    grid=("ratio", "n"),
)
