"""Equations (6) and (7): the largest singular value and the variance against depth, and where the deck's form fails."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import weights

WIDTH, NETWORKS, DEEPEST = 48, 2, 64
DEPTHS = np.geomspace(2, 256, 57)
MEASURED = (2, 4, 8, 16, 32, 64)


def log_edge(L: np.ndarray, p: float, kind: str) -> np.ndarray:
    """log lambda_max at the critical point sigma_w^2 = 1/p, slopes 0 and 1, exact at infinite width; L > 1 real."""
    if kind == "gaussian":
        m = (1 - L + np.sqrt((L - 1) ** 2 + 4 * L * p)) / (2 * L)
        return np.log((1 + m) / m) + L * np.log1p(m / p)
    return np.where(L * (1 - p) > 1, log_printed(L, p, kind), -L * np.log(p))


def log_printed(L: np.ndarray, p: float, kind: str) -> np.ndarray:
    """log lambda_max as equations (6) and (7) print it, their proportionality read as an equality."""
    if kind == "gaussian":
        return np.log(L / p)
    return np.log((1 - p) * L / p) + (L - 1) * np.log(L / (L - 1))


@functools.lru_cache(maxsize=2)
def _drawn(kind: str) -> tuple[list[list[np.ndarray]], np.ndarray]:
    rng = np.random.default_rng(5)
    W = [[weights(kind, WIDTH, rng=rng) for _ in range(DEEPEST)] for _ in range(NETWORKS)]
    return W, rng.random((NETWORKS, DEEPEST, WIDTH))


@functools.lru_cache(maxsize=16)
def measured(p: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """lambda_max and the variance of lambda (len(MEASURED),), means over networks whose slopes are 1 with share p."""
    W, u = _drawn(kind)
    top, variance = np.empty((2, NETWORKS, len(MEASURED)))
    for network in range(NETWORKS):
        J = np.eye(WIDTH)
        for layer in range(DEEPEST):
            J = (u[network, layer] < p)[:, None] * (W[network][layer] @ J) / np.sqrt(p)
            if layer + 1 in MEASURED:
                lam = np.linalg.svd(J, compute_uv=False) ** 2
                at = network, MEASURED.index(layer + 1)
                top[at], variance[at] = lam[0], lam.var()
    return top.mean(axis=0), variance.mean(axis=0)


def compute(kind: str, dead: float, depth: int) -> Picture:
    """lambda_max, exact and as printed, and the variance, as laws and in sampled products."""
    p = 1 - dead
    top, variance = measured(p, kind)
    left = Panel(
        "depth L", "λ_{max}", title="largest s^{2}", xscale="log", yscale="log", xlim=(2, 256), ylim=(0.1, 3000)
    )
    wrong = DEPTHS if kind == "gaussian" else DEPTHS[DEPTHS * dead < 1]
    if wrong.size:
        left.line(wrong, np.exp(log_printed(wrong, p, kind)), label="as printed", color="fails", dashed=True)
    left.line(DEPTHS, np.exp(log_edge(DEPTHS, p, kind)), label="exact")
    left.points(MEASURED, top, color=kind).guide(x=depth)
    right = Panel(
        "depth L", "variance", title="variance of s^{2}", xscale="log", yscale="log", xlim=(2, 256), ylim=(5e-4, 2000)
    )
    slope = 1 / p if kind == "gaussian" else dead / p
    right.line(DEPTHS, DEPTHS * slope, label="L/p" if kind == "gaussian" else "L(1 − p)/p")
    right.points(MEASURED, np.maximum(variance, 1e-12), color=kind).guide(x=depth)
    one = np.array([float(depth)])
    exact, read = (float(np.exp(f(one, p, kind))[0]) for f in (log_edge, log_printed))
    facts = {"λ_{max}": exact, "as printed": read, "L(1 − p)": depth * dead, "variance": depth * slope}
    return Picture([left, right], _words(kind, depth * dead, exact, read), facts)


def _words(kind: str, t: float, exact: float, printed: float) -> str:
    if kind == "gaussian":
        return f"λ_{{max}} = {exact:.3f}, which is {exact / printed:.3f} times what (6) prints: the factor is e."
    if t > 1:
        return f"L(1 − p) = {t:.3g} is above 1: (7) is exact, λ_{{max}} = {exact:.3f}."
    share = max(1 - t, 0.0)
    return (
        f"L(1 − p) = {t:.3g}: (7) says {printed:.3f}, but λ_{{max}} = {exact:.3f}, "
        f"the value of all the directions ({share:.0%}) that no dead unit meets."
    )


EXPLORABLE = Explorable(
    name="edge_laws",
    title="Where the printed edge fails",
    question="Orthogonal weights, 5 % dead units: up to which depth is the printed edge (7) wrong, and what happens "
    "there? How deep may a network be if 0.5 % of its units are dead? And what is wrong with (6), for "
    "Gaussian weights?",
    answer="Up to L = 19, as long as L(1 − p) < 1. There some directions meet no dead unit and keep their full "
    "growth: λ_{max} = p^{−L}, 1.507 at L = 8 where (7) says 1.072. With 0.5 % dead units that holds up to "
    "L = 199. (6) has the right shape and lacks a factor that tends to e: 2.87 at L = 8, 2.72 at L = 256. "
    "Both laws of the variance are right.",
    caption="Orthogonal weights, 5 % dead units, σ_w^{2} = 1/p. Below L = 20 the printed edge (dashed) is too low: "
    "at L = 8 it is 1.072, and the largest s^{2} is 1.507. Beyond, it is exact. Dots: means of two products "
    "of width 48.",
    alt="Left: the largest squared singular value against depth on logarithmic axes, nearly level at first, "
    "rising from depth 20; a dashed red line lies below its level part. Right: the variance, a straight "
    "line with dots on it.",
    controls=(
        Choice("kind", "weights", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "orthogonal"),
        Range("dead", "dead share 1 − p", 0.0005, 0.5, 0.05, log=True, count=61, stored=6),
        Range("depth", "depth L", 2, 256, 8, log=True, whole=True, count=29, stored=6),
    ),
    compute=compute,
    grid=("kind", "dead"),
)
