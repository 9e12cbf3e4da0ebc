"""Figure 3 B: singular values of products of Gaussian or orthogonal matrices, and a gain that tries to mend them."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import fuss_catalan_cdf, fuss_catalan_edge, log_singular_values, weights

WIDTH = 40
DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SHARES = (0.1, 0.5, 0.9)
LOG10 = np.log(10)


@functools.lru_cache(maxsize=4)
def _factors(kind: str) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [weights(kind, WIDTH, rng=rng) for _ in range(DEPTHS[-1])]


@functools.lru_cache(maxsize=64)
def _values(kind: str, depth: int) -> np.ndarray:
    return log_singular_values(_factors(kind)[:depth]) / LOG10


@functools.lru_cache(maxsize=64)
def _quantiles(depth: int) -> np.ndarray:
    log_s = np.linspace(-1.3 * depth - 4, np.log(fuss_catalan_edge(depth)), 600)
    cdf = fuss_catalan_cdf(np.exp(log_s), depth)
    return np.append(np.interp(SHARES, cdf, log_s), log_s[-1]) / LOG10


def compute(kind: str, depth: int, gain: float) -> Picture:
    shown = [d for d in DEPTHS if d <= depth]
    shift = np.log10(gain)
    left = Panel("factors L", "log_{10} s", xscale="log", xlim=(1, 32), ylim=(-8, 4))
    for d in shown:
        left.points(np.full(WIDTH, d), _values(kind, d) + d * shift, color=kind)
    right = Panel("log_{10} s", "density", xlim=(-8, 4), ylim=(0, 1))
    height, edges = np.histogram(_values(kind, depth) + depth * shift, bins=30, range=(-8, 4))
    right.histogram(height / WIDTH / (edges[1] - edges[0]), edges, color=kind)
    q = _quantiles(depth) + depth * shift
    return Picture([left, right], f"Median 10^{{{q[1]:.2f}}}.", {"median": 10 ** q[1], "largest": 10 ** q[-1]})


EXPLORABLE = Explorable(
    name="matrix_products",
    title="Multiply random matrices",
    question="Which gain keeps the median?",
    answer="One that blows up the largest.",
    caption="Products.",
    alt="Points.",
    controls=(
        Choice("kind", "matrices", {"gaussian": "Gaussian", "orthogonal": "orthogonal"}, "gaussian"),
        Range("depth", "factors L", 1, 32, 8, log=True, whole=True, count=11, stored=6),
        Range("gain", "gain σ_w", 0.6, 2.0, 1.0, count=71, stored=5),
    ),
    compute=compute,
    grid=("kind", "depth"),
)
