"""Equations (6) and (7): the largest singular value and the variance against depth, and where the deck's form fails."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import weights

WIDTH, DEEPEST = 60, 64
DEPTHS = np.unique(np.geomspace(2, 256, 40).round())
MEASURED = (2, 4, 8, 16, 32, 64)


def log_edge(L: np.ndarray, p: float, kind: str) -> np.ndarray:
    """log lambda_max at the critical point sigma_w^2 = 1/p, exact."""
    if kind == "gaussian":
        m = (1 - L + np.sqrt((L - 1) ** 2 + 4 * L * p)) / (2 * L)
        return np.log((1 + m) / m) + L * np.log1p(m / p)
    return np.where(L * (1 - p) > 1, log_deck(L, p, kind), -L * np.log(p))


def log_deck(L: np.ndarray, p: float, kind: str) -> np.ndarray:
    """log lambda_max as the deck prints it, its proportionality read as an equality."""
    if kind == "gaussian":
        return np.log(L / p)
    return np.log((1 - p) * L / p) + (L - 1) * np.log(L / (L - 1))


@functools.lru_cache(maxsize=4)
def _drawn(kind: str) -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(5)
    return [weights(kind, WIDTH, rng=rng) for _ in range(DEEPEST)], rng.random((DEEPEST, WIDTH))


def measured(p: float, kind: str) -> tuple[np.ndarray, np.ndarray]:
    W, u = _drawn(kind)
    J, top, var = np.eye(WIDTH), [], []
    for layer in range(DEEPEST):
        J = (u[layer] < p)[:, None] * (W[layer] @ J) / np.sqrt(p)
        if layer + 1 in MEASURED:
            lam = np.linalg.svd(J, compute_uv=False) ** 2
            top.append(lam[0])
            var.append(lam.var())
    return np.array(top), np.array(var)


def compute(kind: str, dead: float, depth: int) -> Picture:
    p = 1 - dead
    top, var = measured(p, kind)
    left = Panel("depth L", "λ_{max}", xscale="log", yscale="log", xlim=(2, 256), ylim=(0.5, 3000))
    left.line(DEPTHS, np.exp(log_edge(DEPTHS, p, kind)), label="exact")
    left.line(DEPTHS, np.exp(log_deck(DEPTHS, p, kind)), label="deck", color="fails", dashed=True)
    left.points(MEASURED, top, color=kind).guide(x=depth)
    right = Panel("depth L", "variance", xscale="log", yscale="log", xlim=(2, 256), ylim=(0.001, 1000))
    right.line(DEPTHS, DEPTHS * (1 / p if kind == "gaussian" else dead / p), label="law")
    right.points(MEASURED, var, color=kind)
    exact, deck = (float(np.exp(law(np.array([float(depth)]), p, kind))[0]) for law in (log_edge, log_deck))
    return Picture([left, right], f"Exact {exact:.3f}, deck {deck:.3f}.", {"exact": exact, "deck": deck})


EXPLORABLE = Explorable(
    name="edge_laws",
    title="Edge laws",
    question="Where does the deck's form fail?",
    answer="Below L(1-p) = 1.",
    caption="Edges.",
    alt="Lines.",
    controls=(
        Choice("kind", "weights", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "orthogonal"),
        Range("dead", "dead share 1 - p", 0.0005, 0.5, 0.05, log=True, count=61, stored=6),
        Range("depth", "depth L", 2, 256, 8, log=True, whole=True, count=29, stored=6),
    ),
    compute=compute,
    grid=("kind", "dead"),
)
