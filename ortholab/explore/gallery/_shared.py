"""What several explorables of the first chapters share: the choice of an activation, and one network drawn once."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Formula
from ortholab.explore.formula import activation
from ortholab.theory import Activation, gaussian, get_activation

OWN = "own"
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
def drawn_network(width: int, layers: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian matrices with entries of variance 1/width (layers, width, width), and standard normal biases."""
    rng = np.random.default_rng(seed)
    return gaussian(width, rng=rng, batch=(layers,)), rng.standard_normal((layers, width))


def send(phi: Activation, h: np.ndarray, sigma_w: float, sigma_b: float, layers: int, seed: int = 0) -> np.ndarray:
    """Pre-activations (layers, B, width) of a drawn network whose first layer is given as ``h`` (B, width)."""
    W, b = drawn_network(h.shape[1], layers - 1, seed)
    out = [h]
    for layer in range(layers - 1):
        out.append(sigma_w * phi.phi(out[-1]) @ W[layer].T + sigma_b * b[layer])
    return np.array(out)


@functools.lru_cache(maxsize=4)
def directions(count: int, width: int, seed: int) -> np.ndarray:
    """Vectors (count, width) at right angles to each other, each of mean square 1."""
    z = np.random.default_rng(seed).standard_normal((count, width))
    for i in range(count):
        for j in range(i):
            z[i] -= (z[i] @ z[j]) / (z[j] @ z[j]) * z[j]
    return z / np.sqrt(np.mean(z**2, axis=1, keepdims=True))
