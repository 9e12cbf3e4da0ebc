"""The spectrum of J J^T at chi = 1 against depth, q*, weights and activation, with sampled networks over it."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import Trace, get_activation, trace_spectrum, weights

NAMES = {"tanh": "tanh", "erf": "erf", "hard_tanh": "hard-tanh", "relu": "ReLU", "linear": "linear"}
LOW, HIGH, BINS = -3.0, 1.5, 30
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
    """Singular values (NETWORKS, WIDTH) of networks that start at variance q, each descending."""
    f = get_activation(phi)
    variance = 0.0 if f.degree_one else q - sigma_w**2 * f.mean_square(q)
    out = []
    for seed in range(NETWORKS):
        W, z = _drawn(kind, seed)
        x, J = f.phi(np.sqrt(q) * z[0]), np.eye(WIDTH)
        for layer in range(depth):
            h = sigma_w * (W[layer] @ x) + np.sqrt(max(variance, 0.0)) * z[layer + 1]
            J = f.dphi(h)[:, None] * (sigma_w * (W[layer] @ J))
            x = f.phi(h)
        out.append(np.linalg.svd(J, compute_uv=False))
    return np.array(out)


def compute(phi: str, kind: str, depth: int, q: float) -> Picture:
    """The density of log10 s, theory as a line and networks as a histogram, with atoms as guides."""
    trace = _theory(phi, kind, depth, q)
    s = sampled(phi, kind, depth, q, trace.sigma_w)
    with np.errstate(divide="ignore"):
        place = np.log10(s)
    height, edges = np.histogram(place, bins=BINS, range=(LOW, HIGH))
    height = height / (s.size * (edges[1] - edges[0]))
    panel = Panel("log_{10} s", "density", title="singular values of J", xlim=(LOW, HIGH), ylim=(0, 3))
    panel.histogram(height, edges, label="networks", color="orthogonal" if kind == "orthogonal" else "gaussian")
    if trace.log_lambda.size:
        panel.line(trace.log_lambda / (2 * LOG10), trace.density * 2 * LOG10, label="theory")
    for where, mass in trace.atoms:
        if where > -np.inf:
            panel.guide(x=where / (2 * LOG10), label=f"{mass:.0%} here", color="theory")
    s_max = float(np.exp(0.5 * trace.log_max))
    facts = {"s_{max}": s_max, "variance of s^{2}": trace.relative_variance, "σ_w": trace.sigma_w,
             "s_{max} of the networks": float(s[:, 0].max())}  # fmt: skip
    return Picture(
        [panel], f"s_{{max}} = {s_max:.2f}; the variance of s^{{2}} is {trace.relative_variance:.3g}.", facts
    )


EXPLORABLE = Explorable(
    name="jacobian_spectrum",
    title="The whole spectrum",
    question="Which network stays isometric?",
    answer="Orthogonal tanh at small q.",
    caption="The spectrum.",
    alt="A histogram with a line.",
    controls=(
        Choice("phi", "activation", NAMES, "tanh"),
        Choice("kind", "weights", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "orthogonal"),
        Range("depth", "depth L", 4, 32, 8, log=True, whole=True, count=13, stored=5),
        Range("q", "q^{*}", 2.0**-9, 2.0, 0.25, log=True, count=61, stored=5),
    ),
    compute=compute,
    grid=("phi", "kind"),
)
