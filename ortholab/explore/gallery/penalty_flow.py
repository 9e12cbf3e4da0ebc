"""What three penalties do to eight singular values: (8), (10), and the line that the published code computes."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import haar, penalties
from ortholab.theory import penalty_flow as flow

N = 8
TIMES = np.geomspace(0.01, 1000, 61)
UNEVEN = np.linspace(0.25, 1.75, N)  # singular values at the start, in units of the gain
TOP = 4.6
PENALTIES = {"plain": "(8), to 1", "adjusted": "(10), to the gain", "published": "the published line"}
STARTS = {"gain": "gQ, orthogonal", "one": "Q, orthogonal", "uneven": "uneven around g"}


def _start(start: str, gain: float) -> np.ndarray:
    """The matrix at time 0: the same two rotations for every gain."""
    U, V = haar(N, rng=5), haar(N, rng=6)
    values = {"gain": gain * np.ones(N), "one": np.ones(N), "uneven": gain * UNEVEN}[start]
    return (U * values) @ V


def _theory(penalty: str, W: np.ndarray, t: np.ndarray, gain: float) -> np.ndarray:
    """Singular values (T, N), descending, by the closed forms."""
    if penalty == "published":
        return flow.published_spectrum(W, t, gain=gain)
    s = np.linalg.svd(W, compute_uv=False)
    return flow.singular_value(s, t[:, None], gain=gain if penalty == "adjusted" else 1.0)


@functools.lru_cache(maxsize=64)
def _descent(penalty: str, start: str, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent on the matrix itself: a few times, and the singular values then."""
    W = _start(start, gain)
    # Each rate is well below the stable one, gain^2 / (4 lambda), or N times that for the published line.
    rate, after = (0.25, (1, 4, 16, 64, 128)) if penalty == "published" else (0.01, (2, 8, 32, 128))
    target = 1.0 if penalty == "plain" else gain
    gradient = penalties.published_gradient if penalty == "published" else penalties.so_gradient
    found = []
    for step in range(1, after[-1] + 1):
        W = W - rate * gradient(W, gain=target)
        if step in after:
            found.append(np.linalg.svd(W, compute_uv=False))
    return rate * np.array(after), np.array(found)


def compute(penalty: str, start: str, gain: float, time: float) -> Picture:
    """The way of all singular values on a logarithmic axis of time, and where each is at the chosen time."""
    W = _start(start, gain)
    s, now = _theory(penalty, W, TIMES, gain), _theory(penalty, W, np.array([time]), gain)[0]
    t, measured = _descent(penalty, start, gain)
    way = Panel("time t = steps × rate × λ", "singular values s", xscale="log", xlim=(0.01, 1000), ylim=(0, TOP))
    for k in range(N):
        way.line(TIMES, s[:, k], label="flow" if k == 0 else "")
        way.points(t, measured[:, k], label="descent" if k == N - 1 else "")
    way.guide(y=gain, label="g", color="orthogonal").guide(x=time)
    there = Panel("rank", "s at the chosen time", xlim=(0.5, N + 0.5), ylim=(0, TOP))
    ranks = np.arange(1, N + 1)
    there.points(ranks, np.linalg.svd(W, compute_uv=False), label="start", color="muted")
    there.points(ranks, now, label="now", color="theory").guide(y=gain, label="g", color="orthogonal")
    facts = {"largest s": now[0], "smallest s": now[-1], "mean s": now.mean(), "share of s_1 in Σ s^{2}":
             now[0] ** 2 / np.sum(now**2)}  # fmt: skip
    return Picture([way, there], _readout(penalty, gain, time, now), facts)


def _readout(penalty: str, gain: float, time: float, now: np.ndarray) -> str:
    at = f"At time {time:g}"
    if now[0] - now[-1] < 0.005:
        away = ", away from the gain" if abs(now.mean() - gain) >= 0.005 else ", the gain"
        return f"{at} all eight singular values are {now.mean():.3f}{away}."
    if penalty == "published" and now[0] > 2 * now[1]:
        return f"{at} one singular value is {now[0]:.2f}; the others are at most {now[1]:.2f}: nearly rank one."
    return f"{at} the singular values lie between {now[-1]:.3f} and {now[0]:.3f}; the gain is {gain:g}."


EXPLORABLE = Explorable(
    name="penalty_flow",
    title="Three penalties, eight singular values",
    question=(
        "W starts at gQ, an orthogonal matrix with gain g. Which of the three penalties leaves it alone? "
        "Let the two others run to the end: what is left of the eight singular values?"
    ),
    answer=(
        "Only (10) leaves it alone: gQ is its minimum. (8) pulls all eight to 1, whatever the gain was. The published "
        "line stretches the direction of the ones to g√8, which is 3.54 at g = 1.25, and lets the seven others die "
        "slowly: at time 1000 they are at 0.139. W becomes a matrix of rank one. Uneven starts end alike."
    ),
    caption=(
        "Singular values of an 8 × 8 matrix under the published line alone, from gQ with g = 1.25: exact flow (lines), "
        "gradient descent on the matrix (points). One singular value grows to g√8, all others fade."
    ),
    alt=(
        "Left, singular values against time on a logarithmic axis: all eight start at 1.25; one rises to 3.54, the "
        "seven others fall together towards 0. Right, by rank at time 100: one high point, seven low ones."
    ),
    controls=(
        Choice("penalty", "penalty", PENALTIES, "published"),
        Choice("start", "W at time 0", STARTS, "gain"),
        Range("gain", "gain g", 0.6, 1.6, 1.25, count=21, stored=3),
        Range("time", "time t", 0.01, 1000, 100, count=41, log=True, stored=6),
    ),
    compute=compute,
    grid=("penalty", "start", "gain"),
)
