"""Mean-field theory of a deep network at initialisation: the variance map, its fixed points, chi, the phase.

The network is h^l = W^l x^{l-1} + b^l, x^l = phi(h^l), with Var W_ij = sigma_w^2 / N (or W = sigma_w times a Haar
matrix) and b_i ~ N(0, sigma_b^2). As the width N goes to infinity at fixed depth, each h_i^l is Gaussian with a
variance q^l that follows the map of equation (2). The critical line is in critical.py, the map of the correlation
of two inputs in correlation.py. Sources: Poole et al. 2016 (arXiv 1606.05340), Schoenholz et al. 2017 (1611.01232).

``sigma_w`` and ``sigma_b`` are standard deviations throughout; the deck's axes are their squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ortholab._scipy import optimize
from ortholab.errors import ArgumentError, NoFixedPointError, check_int, check_number
from ortholab.theory.activations import Activation, get_activation

_Q_MAX = 1e8  # the scan for fixed points ends here; beyond, q is said to grow without bound
SCAN = np.concatenate([np.logspace(-12, -3, 55)[:-1], np.logspace(-3, 3, 721)[:-1], np.logspace(3, 8, 61)])
MARGINAL = 1e-9  # a slope within this of 1 is called marginal, a chi within this of 1 critical


def point(activation: str | Activation, sigma_w: float, sigma_b: float) -> tuple[Activation, float, float]:
    """Check a point of the phase plane: a known activation, sigma_w > 0, sigma_b >= 0."""
    sigma_w = check_number("sigma_w", sigma_w, low=0.0, open_low=True)
    return get_activation(activation), sigma_w, check_number("sigma_b", sigma_b, low=0.0)


def variance_map(
    activation: str | Activation, q: float | np.ndarray, sigma_w: float, sigma_b: float = 0.0
) -> float | np.ndarray:
    """Send the variance through one layer: q' = sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2; equation (2).

    ``q`` >= 0 has any shape and the result has the same. Holds for N -> infinity, Gaussian or orthogonal weights.
    Raises ArgumentError for sigma_w <= 0, sigma_b < 0 or q < 0.

    >>> variance_map("relu", 1.0, sigma_w=2**0.5)
    1.0000000000000002
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    return sigma_w**2 * activation.mean_square(q) + sigma_b**2


def variance_trajectory(
    activation: str | Activation, q: float, sigma_w: float, sigma_b: float = 0.0, depth: int = 1
) -> np.ndarray:
    """Return [q^1, ..., q^depth], shape (depth,), from q^1 = ``q`` by equation (2).

    An overflow to infinity is an outcome (the chaotic linear and ReLU networks), so entries may be inf, never NaN.

    >>> variance_trajectory("linear", 1.0, sigma_w=2.0, depth=3).tolist()
    [1.0, 4.0, 16.0]
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    out = np.full(check_int("depth", depth, 1), np.inf)
    q = check_number("q", q, low=0.0)
    for layer in range(depth):
        out[layer] = q
        if q > 1e150:  # phi^2 would overflow in the next layer
            break
        q = sigma_w**2 * activation.mean_square(q) + sigma_b**2
    return out


@dataclass(frozen=True)
class FixedPoint:
    """A variance with q = V(q), the slope dq'/dq there, and what the slope says: stable, unstable or marginal.

    ``attracts``: nearby starts end here. A marginal point (slope 1) may or may not; the map's bend decides.

    >>> point = fixed_points("tanh", 2.0, 0.0).points[-1]
    >>> point.stability, point.attracts
    ('stable', True)
    """

    q: float
    slope: float
    stability: str
    attracts: bool


@dataclass(frozen=True)
class FixedPoints:
    """All solutions of equation (3) at one point (sigma_w, sigma_b).

    ``kind``: "isolated" (``points`` lists them, q ascending), "every q" (the map is the identity, as for ReLU at
    sigma_w = sqrt 2) or "none" (q grows without bound from every start). ``grows_from``: starts above this q grow
    without bound (inf if none do). ``message`` says it in words.

    >>> fixed_points("linear", 0.5, 0.0).kind, len(fixed_points("tanh", 2.0, 0.0).points)
    ('isolated', 2)
    """

    kind: str
    points: tuple[FixedPoint, ...]
    grows_from: float
    message: str

    @property
    def stable(self) -> tuple[FixedPoint, ...]:
        """The points that nearby starts end at."""
        return tuple(p for p in self.points if p.attracts)


def fixed_points(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0) -> FixedPoints:
    """Find every q with q = sigma_w^2 E[phi(sqrt(q) z)^2] + sigma_b^2, equation (3), and its stability.

    Scans q from 0 to 1e8 for sign changes and for tangent roots, then refines each to about 1e-14 relative. Raises
    ArgumentError for sigma_w <= 0 or sigma_b < 0; never fails for want of a fixed point: the answer says so.

    >>> fixed_points("relu", sigma_w=2**0.5).kind, fixed_points("relu", sigma_w=2.0).points[0].stability
    ('every q', 'unstable')
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    if activation.degree_one:
        return _fixed_points_degree_one(activation, sigma_w, sigma_b)

    def gap(q: float | np.ndarray) -> float | np.ndarray:
        return sigma_w**2 * activation.mean_square(q) + sigma_b**2 - q

    grid, values = _scan(gap)
    # What rounding leaves of gap = 0: no sign is read from less. (Hard-tanh at (1, 0) has gap = -exp(-1/2q).)
    sign = np.where(np.abs(values) > 4e-15 * (grid + sigma_b**2), np.sign(values), 0.0)
    roots = [] if sigma_b > 0 or activation.at_zero() != 0 else [0.0]
    seen = np.flatnonzero(sign)
    for i, j in pairwise(seen):
        if sign[i] != sign[j]:
            roots.append(optimize.brentq(gap, grid[i], grid[j], xtol=1e-300, rtol=1e-14))
    roots += _tangent_roots(gap, grid, values, roots)
    grows_from = max(roots, default=0.0) if sign[-1] > 0 else math.inf
    points = tuple(_classify(activation, q, sigma_w, grid, sign) for q in sorted(roots))
    if not points:
        return FixedPoints(
            "none", (), 0.0, f"no fixed point below q = {_Q_MAX:g}: q grows without bound from every start"
        )
    words = ", ".join(f"q = {p.q:.6g} ({p.stability})" for p in points)
    tail = f"; starts above {grows_from:.6g} grow without bound" if grows_from < math.inf else ""
    return FixedPoints("isolated", points, grows_from, words + tail)


def _scan(gap) -> tuple[np.ndarray, np.ndarray]:
    """The scan grid and the gap on it, cut off where phi^2 overflows (then q grows without bound)."""
    grid = SCAN
    while True:
        try:
            return grid, np.asarray(gap(grid))
        except ArgumentError:
            if grid[-1] < 1.0:
                raise
            grid = grid[: -max(1, len(grid) // 20)]


def _tangent_roots(gap, grid: np.ndarray, values: np.ndarray, known: list[float]) -> list[float]:
    """Double roots, where the map touches the diagonal: minima of |gap| between equal signs that reach zero."""
    found = []
    size = np.abs(values)
    for i in range(1, len(grid) - 1):
        touches = size[i] < size[i - 1] and size[i] < size[i + 1] and values[i - 1] * values[i + 1] > 0
        if touches and min(size[i - 1], size[i + 1]) > 1e-9 * grid[i] and size[i] < 1e-3 * grid[i]:
            best = optimize.minimize_scalar(
                lambda q: abs(gap(q)),
                bounds=(grid[i - 1], grid[i + 1]),
                method="bounded",
                options={"xatol": 1e-10 * grid[i]},
            )
            if best.fun < 1e-13 * best.x and all(abs(best.x - q) > 1e-6 * best.x for q in known):
                found.append(float(best.x))
    return found


def _classify(activation: Activation, q: float, sigma_w: float, grid: np.ndarray, sign: np.ndarray) -> FixedPoint:
    slope = sigma_w**2 * activation.mean_square_slope(q)
    if abs(slope - 1) > MARGINAL:
        return FixedPoint(float(q), float(slope), "stable" if slope < 1 else "unstable", slope < 1)
    above, below = sign[(grid > q * (1 + 1e-6)) & (sign != 0)], sign[(grid < q * (1 - 1e-6)) & (sign != 0)]
    falls = above.size > 0 and above[0] < 0
    rises = below.size == 0 or below[-1] > 0
    return FixedPoint(float(q), float(slope), "marginal", bool(falls and rises))


def _fixed_points_degree_one(activation: Activation, sigma_w: float, sigma_b: float) -> FixedPoints:
    slope = sigma_w**2 * activation.mean_square(1.0)  # V(q) = slope q + sigma_b^2
    if abs(slope - 1) <= 1e-14 * 4:
        if sigma_b == 0:
            return FixedPoints(
                "every q", (), math.inf, "every q is fixed: the map is the identity, so q stays what the input makes it"
            )
        return FixedPoints("none", (), 0.0, "no fixed point: each layer adds sigma_b^2, and q grows linearly in depth")
    if slope > 1:
        if sigma_b > 0:
            return FixedPoints("none", (), 0.0, f"no fixed point: q grows by a factor of at least {slope:.6g} a layer")
        zero = FixedPoint(0.0, slope, "unstable", False)
        return FixedPoints("isolated", (zero,), 0.0, "q = 0 (unstable); every other start grows without bound")
    q = sigma_b**2 / (1 - slope)
    return FixedPoints("isolated", (FixedPoint(q, slope, "stable", True),), math.inf, f"q = {q:.6g} (stable)")


def q_star(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0) -> float:
    """Return the variance that deep layers reach: the one stable fixed point of equation (3), a float.

    Raises NoFixedPointError, saying why, if there is none, if every q is fixed, or if several are stable (then
    :func:`fixed_points` lists them).

    >>> round(q_star("linear", sigma_w=0.5**0.5, sigma_b=0.1**0.5), 12)
    0.2
    """
    answer = fixed_points(activation, sigma_w, sigma_b)
    name = get_activation(activation).name
    where = f"{name} at sigma_w = {sigma_w:g}, sigma_b = {sigma_b:g}"
    if answer.kind == "every q" or not answer.stable:
        raise NoFixedPointError(f"q_star does not exist for {where}: {answer.message}")
    if len(answer.stable) > 1:
        raise NoFixedPointError(f"q_star is not unique for {where}: {answer.message}")
    return answer.stable[0].q


def chi(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0, q: float | None = None) -> float:
    """Return chi = sigma_w^2 E[phi'(sqrt(q) z)^2] at q (default q*): the mean squared singular value of a layer; (4).

    It is the mean of the spectrum of J_l J_l^T, so chi^L is that of J J^T after L layers at q*. For activations of
    degree one (linear, ReLU) it does not depend on q, and q* need not exist. Raises NoFixedPointError as
    :func:`q_star` does.

    >>> round(chi("relu", sigma_w=2**0.5), 12)
    1.0
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    if q is None:
        q = 1.0 if activation.degree_one else q_star(activation, sigma_w, sigma_b)
    return sigma_w**2 * activation.slope_moment(check_number("q", q, low=0.0))


def phase(activation: str | Activation, sigma_w: float, sigma_b: float = 0.0) -> str:
    """Return "ordered" (chi < 1: gradients vanish), "critical" (within 1e-9) or "chaotic" (chi > 1: they explode).

    >>> phase("tanh", 0.9), phase("tanh", 1.0), phase("tanh", 1.5)
    ('ordered', 'critical', 'chaotic')
    """
    value = chi(activation, sigma_w, sigma_b)
    return "critical" if abs(value - 1) <= MARGINAL else "ordered" if value < 1 else "chaotic"
