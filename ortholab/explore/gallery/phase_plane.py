"""The phase plane: where a deep network is ordered or chaotic, for a built-in activation or the reader's own."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.errors import NoFixedPointError
from ortholab.explore.controls import Choice, Formula, Plane, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.formula import activation
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import Activation, chi, get_activation, q_star, variance_trajectory

OWN = "own"
WIDE, HIGH = (0.5, 3.0), (0.0, 1.0)


@functools.lru_cache(maxsize=16)
def _phi(name: str, text: str) -> Activation:
    return activation(text) if name == OWN else get_activation(name)


@functools.lru_cache(maxsize=16)
def _map(name: str, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y = np.linspace(*WIDE, 26), np.linspace(*HIGH, 17)
    return x, y, np.array([[_chi(_phi(name, text), w, b) for w in x] for b in y])


def _chi(phi: Activation, sigma_w: float, sigma_b: float) -> float:
    try:
        return chi(phi, sigma_w, q_star(phi, sigma_w, sigma_b))
    except NoFixedPointError:
        return np.nan


def compute(phi: str, formula: str, sigma_w: float, sigma_b: float) -> Picture:
    """The map of chi with the critical line, and the variance of a signal layer by layer at the chosen point."""
    x, y, z = _map(phi, formula if phi == OWN else "")
    plane = Panel("σ_w", "σ_b", xlim=WIDE, ylim=HIGH)
    plane.heat(x, y, z, label="χ", levels=(1.0,), limits=(0.0, 3.0))
    f = _phi(phi, formula if phi == OWN else "")
    value = _chi(f, sigma_w, sigma_b)
    q = variance_trajectory(f, 2.0, sigma_w, sigma_b, 20)
    line = Panel("layer", "variance q", xlim=(0, 20), ylim=(0, 4)).line(np.arange(len(q)), q)
    where = "chaotic" if value > 1 else "ordered"
    return Picture([plane, line], f"χ = {value:.3f}: {where}.", {"χ": value})


EXPLORABLE = Explorable(
    name="phase_plane",
    title="Order or chaos?",
    question="Drag the point until χ = 1. Which way must σ_w go when σ_b grows?",
    answer="Up: the critical line of tanh rises.",
    caption="The plane of initialisations.",
    alt="A map of chi over the plane of sigma_w and sigma_b.",
    controls=(
        Choice("phi", "activation", {"tanh": "tanh", "erf": "erf", OWN: "your own"}, "tanh"),
        Formula("formula", "φ(x) =", "x / (1 + abs(x))", shown_when=("phi", OWN)),
        Plane(Range("sigma_w", "σ_w", *WIDE, 1.5), Range("sigma_b", "σ_b", *HIGH, 0.3), panel=0),
    ),
    compute=compute,
    grid=("sigma_w", "sigma_b"),
)
