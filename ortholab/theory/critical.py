"""The critical line chi = 1 in the plane of (sigma_w, sigma_b): order on one side, chaos on the other.

Sources: Poole et al. 2016 (arXiv 1606.05340); Schoenholz et al. 2017 (arXiv 1611.01232); the deck, equations (4) and
(5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab._scipy import optimize
from ortholab.errors import NoFixedPointError, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.mean_field import MARGINAL, SCAN, fixed_points


@dataclass(frozen=True)
class CriticalPoint:
    """A point with chi = 1: standard deviations ``sigma_w`` and ``sigma_b``, and its fixed point ``q``.

    For functions that do not saturate (GELU, SiLU) the fixed point may repel, so that deep layers never stay there:
    ask :meth:`is_stable`.

    >>> CriticalPoint(2**0.5, 0.0, 1.0).sigma_w ** 2 / 2  # chi of ReLU
    1.0000000000000002
    """

    sigma_w: float
    sigma_b: float
    q: float

    def is_stable(self, activation: str | Activation) -> bool:
        """Whether the variance of nearby starts goes to ``q``: dq'/dq < 1 there, or = 1 and the map's bend attracts."""
        slope = self.sigma_w**2 * get_activation(activation).mean_square_slope(self.q)
        if abs(slope - 1) > MARGINAL:
            return bool(slope < 1)
        points = fixed_points(activation, self.sigma_w, self.sigma_b).points
        return any(p.attracts for p in points if abs(p.q - self.q) <= 1e-6 * self.q)


def _sigma_b_squared(activation: Activation, q: float | np.ndarray) -> float | np.ndarray:
    """sigma_b^2 on the critical line as a function of q: solve chi = 1 for sigma_w^2, then (3) for sigma_b^2."""
    return q - activation.mean_square(q) / activation.slope_moment(q)


def critical_at(activation: str | Activation, q: float) -> CriticalPoint:
    """Return the critical point whose fixed point is ``q``.

    sigma_w^2 = 1 / E[phi'^2] and sigma_b^2 = q - E[phi^2] / E[phi'^2]. Both conditions, chi = 1 and (3), are linear
    in (sigma_w^2, sigma_b^2), so the critical line needs no root finding when it is drawn by q. Raises
    NoFixedPointError where it would need sigma_b^2 < 0.

    >>> critical_at("tanh", 0.0)
    CriticalPoint(sigma_w=1.0, sigma_b=0.0, q=0.0)
    """
    activation = get_activation(activation)
    q = check_number("q", q, low=0.0)
    slope = activation.slope_moment(q)
    if slope == 0:
        raise NoFixedPointError(f"no critical point of {activation.name} has q = {q:g}: phi' vanishes there")
    variance = _sigma_b_squared(activation, q)
    if variance < -1e-12 * max(q, 1e-3):
        raise NoFixedPointError(
            f"no critical point of {activation.name} has q = {q:g}: sigma_b^2 would be {variance:.3g} < 0"
        )
    return CriticalPoint(slope**-0.5, max(variance, 0.0) ** 0.5, q)


def critical_points(activation: str | Activation, sigma_b: float) -> tuple[CriticalPoint, ...]:
    """Return every critical point at this ``sigma_b``, q ascending (tanh, hard-tanh and erf have exactly one).

    At sigma_b = 0 with phi(0) = 0, the point q = 0, sigma_w = 1/|phi'(0)| is one of them. Raises NoFixedPointError
    for activations of degree one with sigma_b > 0 (their critical set is one point at which every q is fixed).

    >>> round(critical_points("tanh", 0.05)[0].sigma_w, 5)
    1.12254
    """
    activation = get_activation(activation)
    sigma_b = check_number("sigma_b", sigma_b, low=0.0)
    if activation.degree_one:
        only = critical_at(activation, 1.0).sigma_w
        raise NoFixedPointError(
            f"{activation.name} is critical only at sigma_w = {only:.6g}, sigma_b = 0, where every q is fixed"
        )
    points = []
    grid = SCAN[SCAN <= 1e6]
    slope = activation.slope_moment(grid)
    grid = grid[slope > 0]
    values = _sigma_b_squared(activation, grid) - sigma_b**2
    if sigma_b == 0:
        if activation.at_zero() == 0 and activation.slope_moment(0.0) > 0:
            points.append(critical_at(activation, 0.0))
        # Where phi is nearly linear the line hugs the axis; what rounding leaves of zero there is not a crossing.
        keep = np.abs(values) > 1e-8 * grid
        grid, values = grid[keep], values[keep]
    for i in np.flatnonzero(values[:-1] * values[1:] < 0):
        root = optimize.brentq(
            lambda q: _sigma_b_squared(activation, q) - sigma_b**2, grid[i], grid[i + 1], xtol=1e-300, rtol=1e-14
        )
        points.append(CriticalPoint(activation.slope_moment(root) ** -0.5, sigma_b, root))
    return tuple(points)


def critical_point(activation: str | Activation, sigma_b: float) -> CriticalPoint:
    """Return the critical point at this ``sigma_b``. Raises NoFixedPointError unless there is exactly one.

    >>> p = critical_point("hard_tanh", 0.1)
    >>> round(p.sigma_w, 4), round(p.q, 4)
    (1.0257, 0.2591)
    """
    points = critical_points(activation, sigma_b)
    if len(points) != 1:
        name = get_activation(activation).name
        words = ", ".join(f"sigma_w = {p.sigma_w:.6g} (q = {p.q:.6g})" for p in points) or "none"
        raise NoFixedPointError(f"{name} has {len(points)} critical points at sigma_b = {sigma_b:g}: {words}")
    return points[0]
