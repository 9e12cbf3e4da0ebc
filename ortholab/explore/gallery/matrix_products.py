"""Figure 3 B: singular values of products of Gaussian or orthogonal matrices, and a gain that tries to mend them."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.markup import number
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import fuss_catalan_cdf, fuss_catalan_density, fuss_catalan_edge, log_singular_values, weights

WIDTH, SHOWN = 32, 2  # every second value is drawn
DEPTHS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32)  # those of the control
SHARES = (0.25, 0.5, 0.75)
AXIS = (-10.0, 6.0)
LOG10 = np.log(10)


@functools.lru_cache(maxsize=2)
def sampled(kind: str) -> np.ndarray:
    """log10 of the singular values (len(DEPTHS), WIDTH), descending, of one growing product at gain 1."""
    rng = np.random.default_rng(3)
    factors = [weights(kind, WIDTH, rng=rng) for _ in range(DEPTHS[-1])]
    # Rounded far below what is drawn: what is 0 in truth must be 0 on every machine.
    return np.round([log_singular_values(factors[:d]) / LOG10 for d in DEPTHS], 13) + 0.0


@functools.lru_cache(maxsize=16)
def law(kind: str, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Theory at gain 1: log10 s and its density, and log10 of the quantiles SHARES and of the largest s."""
    if kind == "orthogonal":
        return np.empty(0), np.empty(0), np.zeros(len(SHARES) + 1)
    end = np.log(fuss_catalan_edge(depth))
    log_s = end - np.geomspace(1e-3, 1.1 * depth + 12, 400)[::-1]
    s = np.exp(log_s)
    at = np.append(np.interp(SHARES, fuss_catalan_cdf(s, depth), log_s), end) / LOG10
    thin = slice(None, None, 5)
    return log_s[thin] / LOG10, s[thin] * fuss_catalan_density(s[thin], depth) * LOG10, at


def compute(kind: str, depth: int, gain: float) -> Picture:
    """Singular values against the number of factors, and their density at the chosen one."""
    shift = np.log10(gain)
    left = Panel("factors L", "log_{10} s", title="one growing product", xlim=(0, 33), ylim=AXIS)
    upto = [d for d in DEPTHS if d <= depth]
    values = sampled(kind)[: len(upto)] + shift * np.array(upto)[:, None]
    drawn = values[:, ::SHOWN]
    left.points(np.repeat(upto, drawn.shape[1]), drawn.ravel(), color=kind)
    lines = np.array([law(kind, d)[2] + d * shift for d in DEPTHS])
    names = [f"{1 - share:.0%} above" for share in SHARES[:-1]] + ["", "largest"]
    if kind == "orthogonal":
        names = ["", "", "", "σ_w^{L}"]
    for k, name in enumerate(names):
        left.line(DEPTHS, lines[:, k], label=name)
    left.guide(y=0.0)
    right = Panel(
        "log_{10} s", "density", title=f"after {depth} factor{'s' if depth > 1 else ''}", xlim=AXIS, ylim=(0, 1.2)
    )
    height, edges = np.histogram(values[-1], bins=31, range=AXIS)
    right.histogram(np.minimum(height / (WIDTH * (edges[1] - edges[0])), 1.2), edges, color=kind)
    place, density, _ = law(kind, depth)
    if place.size:
        right.line(place + depth * shift, density, label="theory")
    right.guide(x=0.0)
    return Picture([left, right], *_words(kind, depth, gain, lines[DEPTHS.index(depth)], values[-1]))


def _words(kind: str, depth: int, gain: float, at: np.ndarray, values: np.ndarray) -> tuple[str, dict[str, float]]:
    median, largest = float(10 ** at[1]), float(10 ** at[-1])
    facts = {"median s": median, "largest s": largest, "condition number of the product": float(10 ** np.ptp(values))}
    if kind == "orthogonal":
        return f"All singular values are {number(gain)}^{{{depth}}} = {number(median)}: the product only turns.", facts
    return (
        f"In theory half of the s lie below {number(median, 2)} and the largest is {number(largest)}: a ratio of "
        f"{number(largest / median)}, which no gain changes.",
        facts,
    )


EXPLORABLE = Explorable(
    name="matrix_products",
    title="Multiply random matrices",
    question="Take 16 Gaussian factors. Which gain brings the median s back to 1, and how large is the largest s "
    "then? What does the gain do to orthogonal factors?",
    answer="σ_w = 1.41: the median is back at 0.99, and the largest s is 1,630. The gain moves the whole list up "
    "or down on a logarithmic axis and cannot change its width. Orthogonal factors keep all s together, at "
    "σ_w^{L}: there the gain is all that matters, and the right one is 1.",
    caption="Gaussian factors of width 32, up to L = 8. The mean of s^{2} stays 1, but half of the s are below "
    "0.067 while the largest is 4.81. Lines: Fuss–Catalan law of infinite width; squares and bars: one "
    "product.",
    alt="Left: columns of points for 1 to 8 factors, their lower ends falling ever deeper; four lines fan out "
    "from one point, the top one rising a little. Right: a skewed hill over bars, with a long tail to the "
    "left.",
    controls=(
        Choice("kind", "matrices", {"gaussian": "Gaussian", "orthogonal": "orthogonal"}, "gaussian"),
        Range("depth", "factors L", 1, 32, 8, log=True, whole=True, count=11, stored=6),
        Range("gain", "gain σ_w", 0.7, 1.6, 1.0, count=91, stored=5),
    ),
    compute=compute,
    grid=("kind", "depth"),
)
