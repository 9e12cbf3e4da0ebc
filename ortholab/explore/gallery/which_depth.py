"""Which depth can I train? The depth scale of the correlation, and what a network of that depth does to its signals."""

from __future__ import annotations

import functools
import math

import numpy as np

from ortholab.explore.controls import Choice, Plane, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.gallery._deep_sample import sample
from ortholab.explore.picture import Panel, Picture
from ortholab.theory.correlation_series import (
    bounded_q_star,
    difference_map,
    fixed_difference,
    map_coefficients,
    map_slope,
    squared_coefficients,
)

WIDE, DEEP = (0.8, 3.0), 128
RULE = (3, 5)  # multiples of xi_c at which the book's trained networks stop learning
APART = 0.5  # 1 - c of the two inputs


def _relu_scale(sigma_w: np.ndarray) -> np.ndarray:
    """xi_c of ReLU: -1 / log chi in order; infinite from chi = 1 on, where the correlation falls as a power."""
    chi = np.asarray(sigma_w) ** 2 / 2
    return np.where(chi < 1, -1 / np.log(np.minimum(chi, 1 - 1e-15)), np.inf)


def _scales(phi: str, sigma_w: np.ndarray, sigma_b: float) -> np.ndarray:
    """xi_c at every sigma_w."""
    if phi == "relu":
        return _relu_scale(sigma_w)
    b = map_coefficients(squared_coefficients(phi, bounded_q_star(phi, sigma_w, sigma_b)), sigma_w, sigma_b)
    return -1 / np.log(map_slope(fixed_difference(b), b))


@functools.lru_cache(maxsize=64)
def _line(phi: str, sigma_b: float) -> tuple[np.ndarray, np.ndarray]:
    sigma_w = np.linspace(*WIDE, 67)
    return sigma_w, _scales(phi, sigma_w, sigma_b)


def _forward(phi: str, sigma_w: float, sigma_b: float) -> tuple[float, float, float | None, np.ndarray]:
    """chi, xi_c, q* (None where it does not exist) and 1 - c after 0 ... DEEP layers."""
    e = [APART]
    if phi == "relu":
        chi = sigma_w**2 / 2
        star = sigma_b**2 / (1 - chi) if chi < 1 else None
        q = 1.0 if star is None else star
        for _ in range(DEEP):
            c = 1 - e[-1]
            kept = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
            e.append(chi * q * (1 - kept) / (chi * q + sigma_b**2))
            q = chi * q + sigma_b**2
        return chi, float(_relu_scale(sigma_w)), star, np.array(e)
    star = float(bounded_q_star(phi, sigma_w, sigma_b))
    b = map_coefficients(squared_coefficients(phi, star), sigma_w, sigma_b)
    for _ in range(DEEP):
        e.append(float(difference_map(e[-1], b)))
    return float(map_slope(0.0, b)), float(-1 / np.log(map_slope(fixed_difference(b), b))), star, np.array(e)


def compute(phi: str, weights: str, sigma_w: float, depth: int, sigma_b: float) -> Picture:
    """The depth scale over sigma_w, the difference of two inputs layer by layer, and the growth of gradients."""
    chi, scale, star, e = _forward(phi, sigma_w, sigma_b)
    x, xi = _line(phi, sigma_b)
    plane = Panel("σ_w", "depth L", "A  depth scale", yscale="log", xlim=WIDE, ylim=(2, DEEP))
    plane.band(x, np.minimum(RULE[0] * xi, 1e4), np.minimum(RULE[1] * xi, 1e4), label="3 to 5 ξ_c", color="line")
    plane.line(x, np.minimum(xi, 1e4), label="ξ_c")
    layers = np.arange(DEEP + 1)
    ahead = Panel("layer", "1 − c", "B  two inputs", yscale="log", xlim=(0, DEEP), ylim=(1e-4, 1.5))
    back = Panel(
        "layers", "squared singular values of J", "C  gradients", yscale="log", xlim=(0, DEEP), ylim=(1e-6, 1e6)
    )
    ahead.line(layers[::2], e[::2], label="theory").guide(x=depth)
    back.line(layers[::2], chi ** layers[::2].astype(float), label="mean, χ^{L}").guide(x=depth)
    at, apart, mean, top = sample(phi, weights, sigma_w, sigma_b, 1.0 if star is None else star, chi, APART)
    ahead.points(at, apart, label="network of width 64")
    back.points(at, mean, label="mean").points(at, top, label="largest", color=weights)
    grown = chi ** float(depth)
    where = "ordered" if chi < 1 else "chaotic"
    if star is None:
        readout = f"No fixed point: the variance grows at every layer, and ξ_c sets no limit. χ = {chi:.3f}."
    else:
        low, high = (k * scale for k in RULE)
        verdict = "within" if depth < low else "beyond" if depth > high else "at the edge of"
        readout = f"χ = {chi:.3f}, {where}: ξ_c = {scale:.1f} layers. Depth {depth} is {verdict} 3 to 5 ξ_c, {low:.0f} to {high:.0f}."
    facts = {"χ": chi, "ξ_c": scale, "1 − c at depth": float(e[depth]), "mean squared singular value": grown}
    return Picture([plane, ahead, back], readout, facts)


EXPLORABLE = Explorable(
    name="which_depth",
    title="Which depth can I train?",
    question="pending",
    answer="pending",
    caption="pending",
    alt="pending",
    controls=(
        Choice("phi", "activation", {"tanh": "tanh", "erf": "erf", "relu": "ReLU"}, "tanh"),
        Choice("weights", "weights", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "gaussian"),
        Plane(
            Range("sigma_w", "σ_w", *WIDE, 1.5, count=45, stored=7),
            Range("depth", "depth L", 2, DEEP, 32, count=49, log=True, whole=True, stored=7),
            panel=0,
        ),
        Range("sigma_b", "σ_b", 0.05, 0.5, 0.2, count=46, stored=5),
    ),
    compute=compute,
    grid=("sigma_w", "depth"),
)
