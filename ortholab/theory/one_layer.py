"""One orthogonal layer: J J^T = sigma_w^2 D, so the spectrum is the law of phi'(h)^2 itself, by change of variables."""

from __future__ import annotations

import numpy as np

from ortholab._scipy import special
from ortholab.theory.slopes import SlopeLaw


class OneLayer:
    """The continuous part of the law of sigma_w^2 D: the line of z is cut into branches on which D is monotone."""

    def __init__(self, law: SlopeLaw, log_gain: float):
        self._law, self._log_gain = law, log_gain
        self._branches = [branch for a, b in law.pieces for branch in _monotone(law, a, b)]
        self.mass = float(sum(_probability(a, b) for a, b in law.pieces)) * law.fold
        self.log_bands = self._images()

    def _images(self) -> list[tuple[float, float]]:
        """The union of the ranges of D on the branches, as intervals of log lambda."""
        ranges = sorted(tuple(sorted(float(v) for v in self._law.slope_squared(np.array(b)))) for b in self._branches)
        merged: list[list[float]] = []
        for low, high in ranges:
            if merged and low <= merged[-1][1] * (1 + 1e-12):
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        if merged:  # beyond ten standard deviations D goes on to its infimum and supremum
            merged[0][0] = min(merged[0][0], self._law.continuous_low)
            merged[-1][1] = max(merged[-1][1], self._law.continuous_high)
        with np.errstate(divide="ignore"):
            return [tuple((np.log(m) + self._log_gain).tolist()) for m in merged]

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """log lambda and the mass that each quadrature node stands for."""
        with np.errstate(divide="ignore"):
            return np.log(self._law.values) + self._log_gain, self._law.weights

    def _preimages(self, log_lambda: np.ndarray):
        """For each branch: (its ends, whether D rises, the z with D(z) = lambda / sigma_w^2, where there is one)."""
        d = np.exp(log_lambda - self._log_gain)
        for a, b in self._branches:
            first, last = self._law.slope_squared(np.array([a, b]))
            rises = last > first
            low, high = np.full(d.shape, a), np.full(d.shape, b)
            for _ in range(60):
                middle = 0.5 * (low + high)
                up = (self._law.slope_squared(middle) < d) == rises
                low, high = np.where(up, middle, low), np.where(up, high, middle)
            yield a, b, rises, 0.5 * (low + high), (d > min(first, last)) & (d < max(first, last))

    def density_of_log(self, log_lambda: np.ndarray) -> np.ndarray:
        """Sum over the branches of the normal density over |d log D / dz|; it is infinite at extrema of D."""
        out = np.zeros(log_lambda.shape)
        for _, _, _, z, inside in self._preimages(log_lambda):
            slope = np.abs(self._law.tree.log_derivative(z))
            value = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) / np.maximum(slope, 1e-300)
            out += np.where(inside, value, 0.0)
        return out * self._law.fold

    def cdf_of_log(self, log_lambda: np.ndarray) -> np.ndarray:
        """P(D <= lambda / sigma_w^2) on the continuous part."""
        out = np.zeros(log_lambda.shape)
        for a, b, rises, z, _ in self._preimages(log_lambda):
            out += _probability(a, z) if rises else _probability(z, b)
        return out * self._law.fold

    def log_quantile(self, mass: np.ndarray) -> np.ndarray:
        """log lambda below which the continuous part has this ``mass``."""
        low = np.full(mass.shape, np.log(max(self._law.values.min(initial=1.0), 1e-300)) - 1 + self._log_gain)
        high = np.full(mass.shape, self.log_bands[-1][1])
        for _ in range(60):
            middle = 0.5 * (low + high)
            up = self.cdf_of_log(middle) < mass
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        return high


def _probability(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray | float:
    """P(a < z < b), right in both tails."""
    return np.where(
        np.asarray(a) > 0,
        special.ndtr(-np.asarray(a)) - special.ndtr(-np.asarray(b)),
        special.ndtr(b) - special.ndtr(a),
    )


def _monotone(law: SlopeLaw, a: float, b: float) -> list[tuple[float, float]]:
    """Cut [a, b] where D has an extremum: bracketed on a grid, then shrunk."""
    z = np.linspace(a, b, 2001)[1:-1]
    z = np.concatenate([[a + 1e-13 * (b - a)], z, [b - 1e-13 * (b - a)]])
    d = law.slope_squared(z)
    step = np.diff(d)
    turn = [0, *(i for i in range(1, len(z) - 1) if step[i - 1] * step[i] < 0 and d[i] > 1e-30), len(z) - 1]
    cuts = [z[0]]
    for i in turn[1:-1]:
        sign = 1.0 if step[i - 1] > 0 else -1.0
        centre, width = z[i], z[i + 1] - z[i]
        for _ in range(14):
            local = centre + width * np.linspace(-1, 1, 21)
            centre, width = local[np.argmax(sign * law.slope_squared(local))], width / 8
        cuts.append(centre)
    return [(float(p), float(q)) for p, q in zip(cuts, [*cuts[1:], z[-1]], strict=True)]
