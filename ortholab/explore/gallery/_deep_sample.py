"""A sampled deep network of width 60: the twin of the depth scales, from draws that every move shares."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ortholab.theory import get_activation, haar

WIDTH, DEEPEST, PAIRS = 60, 50, 16
LOOKS = (2, 4, 6, 8, 12, 16, 20, 25, 30, 35, 40, 45, 50)
TOPS = (4, 8, 16, 25, 37, 50)  # where the largest singular value is computed
AMPLIFIED = 100.0  # in chaos rounding grows like chi^(l / 2); beyond this factor hosts would no longer agree


@functools.lru_cache(maxsize=1)
def _draws() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Unit-gain weights by law (DEEPEST, WIDTH, WIDTH), biases (DEEPEST, WIDTH, 1), inputs (2, WIDTH, PAIRS)."""
    rng = np.random.default_rng(7)
    W = {
        "gaussian": rng.standard_normal((DEEPEST, WIDTH, WIDTH)) / WIDTH**0.5,
        "orthogonal": haar(WIDTH, rng=rng, batch=(DEEPEST,)),
    }
    return W, rng.standard_normal((DEEPEST, WIDTH, 1)), rng.standard_normal((2, WIDTH, PAIRS))


@dataclass(frozen=True)
class Sample:
    """What one network does: 1 - c and the mean squared singular value of J at ``layers``, the largest at ``tops``."""

    layers: tuple[int, ...]
    apart: tuple[float, ...]
    mean: tuple[float, ...]
    tops: tuple[int, ...]
    largest: tuple[float, ...]


@functools.lru_cache(maxsize=8)
def sample(phi: str, weights: str, sigma_w: float, sigma_b: float, q: float, chi: float, apart: float) -> Sample:
    """Send pairs of pre-activations of variance ``q`` and correlation 1 - ``apart`` through a network.

    1 - c is the mean of the pairs, J the Jacobian at the first input. A chaotic network (``chi`` > 1) ends early.
    """
    f = get_activation(phi)
    W, bias, z = _draws()
    c = 1 - apart
    h = math.sqrt(q) * np.concatenate([z[0], c * z[0] + math.sqrt(1 - c * c) * z[1]], axis=1)
    last = DEEPEST if chi <= 1 else min(DEEPEST, int(2 * math.log(AMPLIFIED) / math.log(chi)))
    J, found, largest = np.eye(WIDTH), {}, {}
    for layer in range(1, max(last, TOPS[0]) + 1):
        h = sigma_w * (W[weights][layer - 1] @ f.phi(h)) + sigma_b * bias[layer - 1]
        J = f.dphi(h[:, :1]) * (sigma_w * (W[weights][layer - 1] @ J))
        if layer in LOOKS:
            u = h / np.linalg.norm(h, axis=0)
            gap = float(np.mean(np.sum((u[:, :PAIRS] - u[:, PAIRS:]) ** 2, axis=0)) / 2)
            found[layer] = gap, float(np.sum(J * J) / WIDTH)
        if layer in TOPS:
            largest[layer] = float(np.linalg.eigvalsh(J @ J.T)[-1])
    return Sample(tuple(found), *zip(*found.values(), strict=True), tuple(largest), tuple(largest.values()))
