"""Many points of the phase plane at once: q* and chi from one table of averages over the variance.

:func:`ortholab.theory.mean_field.q_star` scans the variance map anew at each point (sigma_w, sigma_b). But the averages
in it depend on q alone, and (2) and (4) are linear in sigma_w^2 and sigma_b^2. So a map of the plane needs the averages
on one grid of q, once.

Sources: Poole et al. 2016 (arXiv 1606.05340); Schoenholz et al. 2017 (arXiv 1611.01232).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab.errors import ArgumentError, check_array
from ortholab.theory.activations import Activation, get_activation

_LOG_Q = np.linspace(np.log(1e-6), np.log(1e4), 321)
_STEP = _LOG_Q[1] - _LOG_Q[0]


def _cubic(table: np.ndarray, log_q: np.ndarray) -> np.ndarray:
    """Lagrange's cubic through the four grid points around each log q."""
    place = (log_q - _LOG_Q[0]) / _STEP
    i = np.clip(np.floor(place).astype(int), 1, table.size - 3)
    t = place - i
    a, b, c, d = (table[i + j] for j in (-1, 0, 1, 2))
    left, right = t * (t - 1), (t + 1) * (t - 2)
    return -a * left * (t - 2) / 6 + b * right * (t - 1) / 2 - c * right * t / 2 + d * left * (t + 1) / 6


@dataclass(frozen=True)
class CriticalLine:
    """Points with chi = 1, q rising: ``sigma_w``, ``sigma_b`` and ``q``, each (n,).

    >>> line = PhasePlane("tanh").critical_line()
    >>> bool((line.q[1:] > line.q[:-1]).all())
    True
    """

    sigma_w: np.ndarray
    sigma_b: np.ndarray
    q: np.ndarray


class PhasePlane:
    """q* and chi of one activation at arrays of points, to about 1e-6 relative (1e-5 where q* is nearly marginal).

    ``sigma_w`` > 0 and ``sigma_b`` >= 0 are arrays that broadcast; so are the answers. NaN stands where
    :func:`~ortholab.theory.mean_field.q_star` raises NoFixedPointError (no stable fixed point, or several), looked for
    between q = 1e-6 and ``q_top``: 1e4, or where the averages overflow. For activations of degree one chi needs no q*.
    Raises ArgumentError where the averages are finite nowhere. Holds for N -> infinity.

    >>> plane = PhasePlane("tanh")
    >>> plane.chi([1.0, 1.5], 0.3).round(4).tolist()
    [0.7003, 1.061]
    """

    def __init__(self, activation: str | Activation):
        self.activation = get_activation(activation)
        size = _LOG_Q.size
        while True:
            q = np.exp(_LOG_Q[:size])
            try:
                self._square, self._slope = self.activation.mean_square(q), self.activation.slope_moment(q)
                break
            except ArgumentError:  # phi or phi' overflows in the tails of the largest variances
                if size < 20:
                    raise
                size = int(0.95 * size)
        self._q, self.q_top = q, float(q[-1])
        at_kink = 0.0 in self.activation.kinks
        self._slope_at_zero = float(self._slope[0] if at_kink else self.activation.slope_moment(0.0))

    def q_star(self, sigma_w: np.ndarray | float, sigma_b: np.ndarray | float) -> np.ndarray:
        """The stable fixed point of equation (3) at each point; NaN where it is missing or not the only one."""
        sigma_w, sigma_b = np.broadcast_arrays(
            check_array("sigma_w", sigma_w, low=1e-6), check_array("sigma_b", sigma_b, low=0.0)
        )
        w2, b2 = sigma_w.reshape(-1, 1) ** 2, sigma_b.reshape(-1, 1) ** 2
        if self.activation.degree_one:  # V(q) is proportional to q
            rate = w2 * self.activation.mean_square(1.0)
            out = np.where(rate < 1 - 1e-14, b2 / np.where(rate < 1 - 1e-14, 1 - rate, 1.0), np.nan)
            return out.reshape(sigma_w.shape)
        gap = w2 * self._square + b2 - self._q
        falls = (gap[:, :-1] > 0) & (gap[:, 1:] <= 0)
        dies = gap[:, 0] <= 0  # the fixed point is below the table: 0, for a bias of 0
        place = np.argmax(falls, axis=1)
        log_q = self._solve(w2[:, 0], b2[:, 0], place)
        found = np.where(dies, np.where(b2[:, 0] == 0, 0.0, np.nan), np.exp(log_q))
        found = np.where(falls.sum(axis=1) + dies == 1, found, np.nan)
        return found.reshape(sigma_w.shape)

    def _solve(self, w2: np.ndarray, b2: np.ndarray, place: np.ndarray) -> np.ndarray:
        # Between two neighbours of the table the interpolant is a cubic: bisection, for all points together.
        low, high = _LOG_Q[place], _LOG_Q[place + 1]
        for _ in range(24):
            middle = 0.5 * (low + high)
            up = w2 * _cubic(self._square, middle) + b2 > np.exp(middle)
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        return 0.5 * (low + high)

    def polished(self, sigma_w: float, sigma_b: float) -> float:
        """:meth:`q_star` at one point, to about 1e-13 relative: Newton's method on the map itself."""
        q = float(self.q_star(sigma_w, sigma_b))
        if not q > 0 or self.activation.degree_one:
            return q
        for _ in range(3):
            slope = sigma_w**2 * self.activation.mean_square_slope(q)
            if abs(1 - slope) < 1e-6:  # nearly marginal: a step would be rounding over rounding
                break
            step = float(sigma_w**2 * self.activation.mean_square(q) + sigma_b**2 - q) / (1 - slope)
            q += step
            if abs(step) < 1e-9 * q:
                break
        return q

    def chi(self, sigma_w: np.ndarray | float, sigma_b: np.ndarray | float) -> np.ndarray:
        """chi = sigma_w^2 E[phi'^2] at q*, equation (4), at each point; NaN as in :meth:`q_star`."""
        sigma_w = check_array("sigma_w", sigma_w, low=1e-6)
        if self.activation.degree_one:
            sigma_w, _ = np.broadcast_arrays(sigma_w, check_array("sigma_b", sigma_b, low=0.0))
            return sigma_w**2 * self.activation.slope_moment(1.0)
        q = self.q_star(sigma_w, sigma_b)
        inside = np.where(q > 0, q, 1.0)
        mean = np.where(q > 0, _cubic(self._slope, np.log(inside)), self._slope_at_zero)
        return np.where(np.isnan(q), np.nan, sigma_w**2 * mean)

    def critical_line(self) -> CriticalLine:
        """The critical line on the table's grid of q; empty for activations of degree one.

        chi = 1 and (3) are linear in sigma_w^2 and sigma_b^2: sigma_w^2 = 1/E[phi'^2], sigma_b^2 = q - sigma_w^2 V(q).
        Parts with sigma_b^2 < 0 are left out. See :mod:`ortholab.theory.critical` for single points.
        """
        good = (self._slope > 1e-12) & (not self.activation.degree_one)
        w2 = 1 / self._slope[good]
        b2 = self._q[good] - w2 * self._square[good]
        keep = b2 > 1e-12 * self._q[good]
        return CriticalLine(np.sqrt(w2[keep]), np.sqrt(b2[keep]), self._q[good][keep])
