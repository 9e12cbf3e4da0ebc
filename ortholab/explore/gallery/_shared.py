"""What several explorables of the first chapters share: the choice of an activation, and one network drawn once."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Formula
from ortholab.explore.formula import activation
from ortholab.theory import Activation, gaussian, get_activation

OWN = "own"
NETWORKS, T_OF_SIX = 6, 2.5706  # the 97.5 % point of Student's t with 5 degrees of freedom
NAMES = {
    "tanh": "tanh", "erf": "erf", "hard_tanh": "hard-tanh", "relu": "ReLU", "linear": "linear", "gelu": "GELU",
    "silu": "SiLU", OWN: "your own",
}  # fmt: skip


def phi_controls(default: str = "tanh") -> tuple[Choice, Formula]:
    """The choice of an activation, and the box for the reader's own formula."""
    return (
        Choice("phi", "activation", NAMES, default),
        Formula("formula", "φ(x) =", "x / (1 + abs(x))", shown_when=("phi", OWN)),
    )


def pick(phi: str, formula: str) -> Activation:
    """The activation of a choice; the formula counts only where it is chosen, and is read once."""
    return activation(formula) if phi == OWN else get_activation(phi)


@functools.lru_cache(maxsize=2)
def drawn_networks(networks: int, layers: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian matrices with entries of variance 1/width (layers, networks, width, width), and normal biases."""
    rng = np.random.default_rng(seed)
    W = gaussian(width, rng=rng, batch=(layers, networks))
    return W, rng.standard_normal((layers, networks, 1, width))


def send(phi: Activation, h: np.ndarray, sigma_w: float, sigma_b: float, networks: int, layers: int) -> np.ndarray:
    """Pre-activations (layers, networks, B, width) of drawn networks, whose first layer is given: ``h`` (B, width)."""
    W, b = drawn_networks(networks, layers - 1, h.shape[1], 0)
    out = np.empty((layers, networks, *h.shape))
    out[0] = h
    for layer in range(layers - 1):
        out[layer + 1] = sigma_w * phi.phi(out[layer]) @ W[layer].swapaxes(-1, -2) + sigma_b * b[layer]
    return out


def mean_and_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over axis 1 (six networks), and the half-width of its 95 % interval."""
    return values.mean(axis=1), T_OF_SIX * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])


@functools.lru_cache(maxsize=4)
def directions(count: int, width: int, seed: int) -> np.ndarray:
    """Vectors (count, width) at right angles to each other, each of mean square 1."""
    z = np.random.default_rng(seed).standard_normal((count, width))
    for i in range(count):
        for j in range(i):
            z[i] -= (z[i] @ z[j]) / (z[j] @ z[j]) * z[j]
    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True))
