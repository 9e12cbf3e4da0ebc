"""Which depth can I train? The depth scale of the correlation, and what a network of that depth does to its signals."""

from __future__ import annotations

import functools
import math

import numpy as np

from ortholab.explore.controls import Choice, Plane, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.gallery._deep_sample import sample
from ortholab.explore.picture import Panel, Picture
from ortholab.theory.difference_map import (
    bounded_q_star,
    difference_map,
    fixed_difference,
    map_coefficients,
    map_slope,
    squared_coefficients,
)

WIDE, DEEP = (0.8, 3.0), 50
RULE = (3, 5)  # a rule of thumb: on the page order_to_chaos the ratios run from about 3 to more than 4
ABOVE = 100.0  # drawn in place of depths that no axis here reaches: near the peak xi_c has fewer digits
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


def _verdict(chi: float, scale: float, star: float | None, depth: int) -> str:
    """The finding in words."""
    if star is None:
        return f"χ = {chi:.3f}: the variance has no fixed point and ξ_c is no limit. Gradients decide here."
    where = "ordered" if chi < 1 else "chaotic"
    if scale > 1000:
        return f"χ = {chi:.4f}, all but critical: ξ_c is beyond 1000 layers and sets no limit to depth {depth}."
    low, high = (k * scale for k in RULE)
    side = "within it" if depth <= low else "beyond it" if depth > high else "at its edge"
    words = f"The rule ends at {low:.0f} to {high:.0f} layers; {depth} is {side}."
    return f"χ = {chi:.3f}, {where}: ξ_c = {scale:.1f}. {words}"


def compute(phi: str, weights: str, sigma_w: float, depth: int, sigma_b: float) -> Picture:
    """The depth scale over sigma_w, the difference of two inputs layer by layer, and the growth of gradients."""
    chi, scale, star, e = _forward(phi, sigma_w, sigma_b)
    x, xi = _line(phi, sigma_b)
    plane = Panel("σ_w", "depth L", "A  the rule", yscale="log", xlim=WIDE, ylim=(2, DEEP))
    low, high = (np.minimum(k * xi, ABOVE) for k in RULE)
    plane.band(x, low, high, label="3 to 5 ξ_c", color="ordered").line(x, np.minimum(xi, ABOVE), label="ξ_c")
    layers = np.arange(DEEP + 1)
    ahead = Panel("layer", "1 − c of two inputs", "B  forward", yscale="log", xlim=(0, DEEP), ylim=(1e-4, 1.5))
    back = Panel("layers", "s^{2} of J", "C  backward", yscale="log", xlim=(0, DEEP), ylim=(1e-6, 1e6))
    ahead.line(layers, e).guide(x=depth)
    back.line(layers[[0, -1]], chi ** layers[[0, -1]].astype(float), label="mean, χ^{L}").guide(x=depth)
    seen = sample(phi, weights, sigma_w, sigma_b, 1.0 if star is None else star, chi, APART)
    ahead.points(seen.layers, seen.apart)
    back.points(seen.layers, seen.mean).points(seen.tops, seen.largest, label="largest", color=weights)
    facts = {"χ": chi, "ξ_c": float(f"{scale:.6g}"), "1 − c at this depth": float(e[depth]), "χ^{L}": chi**depth,
             "largest, squared, 50 layers": seen.largest[-1] if seen.tops[-1] == DEEP else None}  # fmt: skip
    return Picture([plane, ahead, back], _verdict(chi, scale, star, depth), facts)


EXPLORABLE = Explorable(
    name="which_depth",
    title="Which depth can I train?",
    question="tanh, σ_b = 0.2: between which σ_w does the rule allow 30 layers? Then take σ_b = 0.01, σ_w = 1.04, and "
    "exchange Gaussian for orthogonal weights. What does ξ_c not see?",
    answer="Between 1.16 and 1.66: there 3 ξ_c is 30 layers or more. At (1.04, 0.01) ξ_c is above 3000 layers for "
    "both laws of the weights, and forward they do the same. Backward they do not: over 50 layers the largest "
    "squared singular value of J is 77 with Gaussian and 2.3 with orthogonal weights. The rule sees the mean, χ, and "
    "no more.",
    caption="tanh with σ_b = 0.2, σ_w = 1.1, Gaussian weights. Lines: theory at infinite width; points: one network "
    "of width 60. Left: the depth scale ξ_c, and the band from 3 to 5 ξ_c, a rule of thumb: where this book measured, "
    "training ended at about 3 to more than 4 ξ_c. Middle: two inputs forget their difference. Right: gradients fade "
    "like χ^{L}. With ξ_c = 7.1, 30 layers are at the edge of the rule.",
    alt="Left, depth against sigma_w: a curve with a sharp peak near 1.3 and a band above it. Middle, 1 - c falls on "
    "a straight line on a log axis, points on it. Right, the mean squared singular value falls in the same way, and "
    "squares for the largest lie above it.",
    controls=(
        Plane(
            Range("sigma_w", "σ_w", *WIDE, 1.1, count=111, stored=8),
            Range("depth", "depth L", 2, DEEP, 30, count=33, log=True, whole=True, stored=5),
            panel=0,
        ),
        Range("sigma_b", "σ_b", 0.01, 0.5, 0.2, count=50, stored=6),
        Choice("phi", "activation", {"tanh": "tanh", "erf": "erf", "relu": "ReLU"}, "tanh"),
        Choice("weights", "weights", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "gaussian"),
    ),
    compute=compute,
    grid=("sigma_w", "depth"),
)
