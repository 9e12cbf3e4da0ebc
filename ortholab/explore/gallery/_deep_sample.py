"""A sampled deep network of width 64: the twin of the depth scales, from draws that every move shares."""

from __future__ import annotations

import functools
import math

import numpy as np

from ortholab.theory import get_activation, haar

WIDTH, DEEPEST, PAIRS = 64, 128, 8
LOOKS = (2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
AMPLIFIED = 300.0  # in chaos rounding grows like chi^(l / 2); beyond this factor hosts would no longer agree


@functools.lru_cache(maxsize=2)
def _draws(weights: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit-gain weights (DEEPEST, WIDTH, WIDTH), biases (DEEPEST, WIDTH, 1) and inputs (2, WIDTH, PAIRS)."""
    rng = np.random.default_rng(7)
    if weights == "orthogonal":
        W = haar(WIDTH, rng=rng, batch=(DEEPEST,))
    else:
        W = rng.standard_normal((DEEPEST, WIDTH, WIDTH)) / WIDTH**0.5
    return W, rng.standard_normal((DEEPEST, WIDTH, 1)), rng.standard_normal((2, WIDTH, PAIRS))


def sample(
    phi: str, weights: str, sigma_w: float, sigma_b: float, q: float, chi: float, apart: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the layers looked at, and there 1 - c (mean of the pairs), and the mean and largest squared singular value.

    Pairs of pre-activations of variance ``q`` with the correlation 1 - ``apart`` enter; J is the first input's.
    """
    f = get_activation(phi)
    W, bias, z = _draws(weights)
    c = 1 - apart
    h = math.sqrt(q) * np.concatenate([z[0], c * z[0] + math.sqrt(1 - c * c) * z[1]], axis=1)
    last = DEEPEST if chi <= 1 else min(DEEPEST, int(2 * math.log(AMPLIFIED) / math.log(chi)))
    looks, J, found = [layer for layer in LOOKS if layer <= last] or [1], np.eye(WIDTH), []
    for layer in range(looks[-1]):
        h = sigma_w * (W[layer] @ f.phi(h)) + sigma_b * bias[layer]
        J = f.dphi(h[:, :1]) * (sigma_w * (W[layer] @ J))
        if layer + 1 in looks:
            u = h / np.linalg.norm(h, axis=0)
            gap = np.sum((u[:, :PAIRS] - u[:, PAIRS:]) ** 2, axis=0) / 2
            found.append((gap.mean(), np.sum(J * J) / WIDTH, np.linalg.norm(J, 2) ** 2))
    return np.array(looks, dtype=float), *np.array(found).T
