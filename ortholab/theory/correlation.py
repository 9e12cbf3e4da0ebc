"""Two inputs in a deep network: the map of their correlation, its fixed point, and the depth scales.

Sources: Poole et al. 2016 (arXiv 1606.05340); Schoenholz et al. 2017 (arXiv 1611.01232).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ortholab._scipy import optimize
from ortholab.errors import NoFixedPointError, bad, check_array, check_number
from ortholab.theory.activations import Activation
from ortholab.theory.gaussian import expect2
from ortholab.theory.mean_field import MARGINAL, chi, point, q_star, variance_map


def covariance_map(
    activation: str | Activation, q: float, c: float, sigma_w: float, sigma_b: float = 0.0, q2: float | None = None
) -> float:
    """Send the covariance of two inputs through one layer: sigma_w^2 E[phi(u) phi(v)] + sigma_b^2.

    u and v are Gaussian with variances ``q`` and ``q2`` (default q) and correlation ``c``. Returns a covariance.

    >>> round(covariance_map("linear", q=2.0, c=0.5, sigma_w=1.0), 12)
    1.0
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    return sigma_w**2 * expect2(activation.phi, activation.phi, q, c, q2, kinks=activation.kinks) + sigma_b**2


def correlation_map(
    activation: str | Activation, c: float | np.ndarray, sigma_w: float, sigma_b: float = 0.0, q: float | None = None
) -> float | np.ndarray:
    """Send the correlation c of two inputs of variance q (default q*) through one layer.

    c' = (sigma_w^2 E[phi(u) phi(v)] + sigma_b^2) / V(q), with V(q) = q at q*. ``c`` in [-1, 1], any shape. At c = 1
    the value is 1 and the slope is chi. Raises NoFixedPointError where q* does not exist (give ``q``) or is 0 (the
    correlation of two zeros means nothing).

    >>> round(correlation_map("relu", 0.0, sigma_w=2**0.5, q=1.0), 6)  # 1 / pi
    0.31831
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    c = check_array("c", c, low=-1.0, high=1.0)
    q = _correlation_q(activation, sigma_w, sigma_b, q)
    norm = variance_map(activation, q, sigma_w, sigma_b)
    out = np.array([covariance_map(activation, q, value, sigma_w, sigma_b) / norm for value in c.ravel()])
    out = np.clip(out, -1.0, 1.0).reshape(c.shape)
    return out if c.ndim else float(out)


def _correlation_q(activation: Activation, sigma_w: float, sigma_b: float, q: float | None) -> float:
    if q is None:
        q = 1.0 if activation.degree_one and sigma_b == 0 else q_star(activation, sigma_w, sigma_b)
        if q == 0:
            raise NoFixedPointError(
                f"{activation.name} at sigma_w = {sigma_w:g}, sigma_b = {sigma_b:g} has q* = 0: every input dies out "
                "and correlations have no fixed variance to live at; give q"
            )
    return check_number("q", q, low=0.0, open_low=True)


def correlation_slope(
    activation: str | Activation, c: float, sigma_w: float, sigma_b: float = 0.0, q: float | None = None
) -> float:
    """Return dc'/dc = sigma_w^2 E[phi'(u) phi'(v)] at q* and correlation ``c``; at c = 1 it is chi, equation (4).

    >>> abs(correlation_slope("erf", 1.0, 1.5, 0.1) - chi("erf", 1.5, 0.1)) < 1e-12
    True
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    q = _correlation_q(activation, sigma_w, sigma_b, q)
    norm = variance_map(activation, q, sigma_w, sigma_b) / q
    return sigma_w**2 * expect2(activation.dphi, activation.dphi, q, c, kinks=activation.kinks) / norm


def c_star(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0) -> float:
    """Return the correlation that two inputs reach: 1 if chi <= 1 (ordered), else the root below 1 (chaotic).

    On [0, 1] the map c -> c' is convex (all its Taylor coefficients are >= 0), so with slope chi > 1 at c = 1 it has
    exactly one root in [0, 1). Raises NoFixedPointError as :func:`correlation_map`.

    >>> c_star("tanh", 0.9, 0.3), round(c_star("tanh", 2.0), 9)
    (1.0, 0.0)
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    q = _correlation_q(activation, sigma_w, sigma_b, None)
    if chi(activation, sigma_w, sigma_b, q=q) <= 1 + MARGINAL:
        return 1.0

    def gap(c: float) -> float:
        return correlation_map(activation, c, sigma_w, sigma_b, q=q) - c

    if gap(0.0) <= 1e-14:
        return 0.0
    near = next((c for c in 1 - np.logspace(-9, 0, 19) if gap(c) < 0), None)
    if near is None:  # the root is closer to 1 than double precision can tell
        return 1.0
    return float(optimize.brentq(gap, 0.0, near, xtol=1e-13, rtol=1e-13))


@dataclass(frozen=True)
class DepthScales:
    """Depths, in layers, over which a deviation shrinks by e: ``xi_q`` of the variance, ``xi_c`` of the correlation.

    inf at the edge of stability, 0 where one layer suffices.

    >>> from math import exp
    >>> scales = DepthScales(xi_q=2.0, xi_c=10.0)
    >>> round(exp(-20 / scales.xi_c), 3)  # what is left of a small deviation of the correlation after 20 layers
    0.135
    """

    xi_q: float
    xi_c: float


def depth_scales(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0) -> DepthScales:
    """Return xi_q = -1 / log(dq'/dq at q*) and xi_c = -1 / log(dc'/dc at c*); Schoenholz et al. 2017.

    xi_c bounds the depth that a network can train: signals of two inputs, and gradients (in the ordered phase, where
    c* = 1, dc'/dc is chi), survive about that many layers. Raises NoFixedPointError as :func:`c_star`.

    >>> scales = depth_scales("tanh", 1.0, 0.3)
    >>> scales.xi_q < scales.xi_c
    True
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    q = _correlation_q(activation, sigma_w, sigma_b, None)
    slope_q = sigma_w**2 * activation.mean_square_slope(q)
    slope_c = correlation_slope(activation, c_star(activation, sigma_w, sigma_b), sigma_w, sigma_b, q=q)
    return DepthScales(_scale(slope_q), _scale(slope_c))


def _scale(slope: float) -> float:
    slope = abs(slope)
    if abs(slope - 1) <= MARGINAL:
        return math.inf
    if slope > 1:
        raise bad("slope at the fixed point", slope, "at most 1: the fixed point is not stable")
    return 0.0 if slope == 0 else -1 / math.log(slope)
