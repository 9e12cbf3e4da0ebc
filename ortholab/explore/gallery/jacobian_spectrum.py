"""The spectrum of J J^T at chi = 1 against depth, q*, weights and activation, with sampled networks over it."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import Trace, get_activation, trace_spectrum, weights

NAMES = {"tanh": "tanh", "erf": "erf", "hard_tanh": "hard-tanh", "relu": "ReLU", "linear": "linear"}
LOW, HIGH, BINS, TOP = -3.0, 1.5, 31, 4.0  # with 30 bins one edge is s = 1, where isometric networks have all theirs
WIDTH, NETWORKS, DEEPEST = 80, 2, 32
LOG10 = np.log(10)


@functools.lru_cache(maxsize=32)
def _theory(phi: str, kind: str, depth: int, q: float) -> Trace:
    return trace_spectrum(phi, depth, q=q, weights=kind, lowest=2 * LOW * LOG10)


@functools.lru_cache(maxsize=4)
def _drawn(kind: str, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    return [weights(kind, WIDTH, rng=rng) for _ in range(DEEPEST)], rng.standard_normal((DEEPEST + 1, WIDTH))


def sampled(phi: str, kind: str, depth: int, q: float, sigma_w: float) -> np.ndarray:
    """Singular values (NETWORKS, WIDTH), descending, of networks whose first layer sees a signal of variance q."""
    f = get_activation(phi)
    variance = 0.0 if f.degree_one else max(q - sigma_w**2 * f.mean_square(q), 0.0)
    out = []
    for seed in range(NETWORKS):
        W, z = _drawn(kind, seed)
        x, J = f.phi(np.sqrt(q) * z[0]), np.eye(WIDTH)
        for layer in range(depth):
            h = sigma_w * (W[layer] @ x) + np.sqrt(variance) * z[layer + 1]
            J = f.dphi(h)[:, None] * (sigma_w * (W[layer] @ J))
            x = f.phi(h)
        out.append(np.linalg.svd(J, compute_uv=False))
    return np.array(out)


def share_above(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """P(s' > s) and log10 s along the trace, from the largest s down; an atom is a level piece."""
    place, height = trace.log_lambda, trace.density
    if not place.size:  # one atom is all there is
        return np.array([0.0, 1.0]), np.full(2, trace.log_max) / (2 * LOG10)
    pieces = 0.5 * (height[1:] + height[:-1]) * np.diff(place)
    share, where = np.append(np.cumsum(pieces[::-1])[::-1], 0.0)[::-1], place[::-1]
    for at, mass in trace.atoms:
        if at > -np.inf:  # an atom lies at the top: everything else comes after it
            share, where = np.concatenate([[0.0, mass], share + mass]), np.concatenate([[at, at], where])
    return share, where / (2 * LOG10)


def compute(phi: str, kind: str, depth: int, q: float) -> Picture:
    """The density of log10 s and the sorted list of s: theory as lines, two networks of width 80 as data."""
    trace = _theory(phi, kind, depth, q)
    s = sampled(phi, kind, depth, q, trace.sigma_w)
    log_s = np.log10(np.maximum(s, 1e-12))
    left = Panel("log_{10} s", "density", title="how often", xlim=(LOW, HIGH), ylim=(0, TOP))
    height, edges = np.histogram(log_s, bins=BINS, range=(LOW, HIGH))
    height = height / (s.size * (edges[1] - edges[0]))
    left.histogram(np.minimum(height, TOP), edges, color=kind)
    if trace.log_lambda.size:
        # far above the panel, the height of a spike would differ between machines in the last digits
        left.line(trace.log_lambda / (2 * LOG10), np.minimum(trace.density * 2 * LOG10, 2 * TOP), label="theory")
    for where, mass in trace.atoms:
        if where > -np.inf:
            left.guide(x=where / (2 * LOG10), label=f"{mass:.0%} at one s", color="theory")
    right = Panel(
        "share of directions", "s", title="from largest to smallest", yscale="log", xlim=(0, 1), ylim=(1e-3, 30)
    )
    share, where = share_above(trace)
    shown = log_s[:, ::4].T.ravel()
    right.line(share, 10**where, label="").guide(y=1.0, label="isometry")
    rank = np.repeat((np.arange(0, WIDTH, 4) + 0.5) / WIDTH, NETWORKS)
    right.points(rank, np.where(shown > LOW, 10**shown, np.nan), color=kind)
    return Picture([left, right], _words(trace, s, depth), _facts(trace, s))


def _facts(trace: Trace, s: np.ndarray) -> dict[str, float]:
    return {
        "s_{max}": float(np.exp(0.5 * trace.log_max)),
        "s_{max}, networks": float(s[:, 0].mean()),
        "variance of s^{2}": trace.relative_variance,
        "below 0.1, networks": float(np.mean(s < 0.1)),
        "σ_w": trace.sigma_w,
    }


def _words(trace: Trace, s: np.ndarray, depth: int) -> str:
    top, crushed = float(np.exp(0.5 * trace.log_max)), float(np.mean(s < 0.1))
    mean = f"Over {depth} layers the mean of s^{{2}} is 1 and the largest s is {top:.2f}. "
    if crushed == 0:
        return mean + f"In the networks no s is below 0.1, and the smallest is {s[:, -1].min():.2f}."
    return mean + f"In the networks {crushed:.0%} of the s are below 0.1."


EXPLORABLE = Explorable(
    name="jacobian_spectrum",
    title="One mean, many spectra",
    question="Every network here has χ = 1. At depth 32, which keeps its largest s below 1.25? What is the best that "
    "Gaussian weights can do, and the best for ReLU?",
    answer="Orthogonal weights with a small q^{*}: tanh at q^{*} = 1/64 has s_{max} = 1.20 (and the linear network "
    "1, at any depth). Gaussian weights reach 9.40 even without any activation, and ReLU 9.25 even with "
    "orthogonal weights.",
    caption="An orthogonal tanh network of depth 8 at q^{*} = 1/4. Its mean s^{2} is 1, but s runs from below 0.1 "
    "to 2.05. Line: theory for infinite width; bars and dots: two networks of width 80.",
    alt="Left: a density of log s, a skewed hill with its steep side near s = 2, over bars that follow it. "
    "Right: s in falling order, from 2 down to less than 0.1, dots on a line.",
    controls=(
        Choice("phi", "activation", NAMES, "tanh"),
        Choice("kind", "weights", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "orthogonal"),
        Range("depth", "depth L", 4, 32, 8, log=True, whole=True, count=13, stored=5),
        Range("q", "q^{*}", 2.0**-8, 2.0, 0.25, log=True, count=55, stored=7),
    ),
    compute=compute,
    grid=("phi", "kind"),
    slow="For a smooth activation the law of the slopes is integrated at some forty complex points, again and again.",
)
