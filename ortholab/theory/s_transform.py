"""Free multiplication on one curve: where arg lambda(x) = 0 in the upper half-plane, one point for each |x|.

With m = lambda G(lambda) - 1 and x = M_D^{-1}(m), the S-transform S_JJT = (S_W S_D)^L says, without any inversion,

    log lambda(x) = log x + (L - 1) log B(x) + L log(1 + m) [Gaussian weights only] + L log sigma_w^2,
    m = E[D/(x - D)],   B = m x/(1 + m).

log B and log(1 + m) have negative imaginary part in the upper half-plane of x and are real on the negative axis, so
their Nevanlinna representations give arg lambda = theta - V with V = int r sin(theta) / |x - t|^2 d nu(t), nu a
positive measure on t >= 0, at x = r exp(i theta). For fixed r each term of V / theta falls with theta. Hence for
each modulus r there is at most one angle theta in (0, pi) with arg lambda = 0, and the spectrum's density lives
exactly on these points: a bracketed root, with no branch to choose. lambda rises with r along them. (The picture is
that of Bercovici, Voiculescu 1992 and Belinschi, Bercovici 2005 for free convolution powers.)

The distribution function needs no integral either. P(lambda' > lambda) = Im(int m d log lambda) / pi, and
integration by parts gives the primitive in closed form: with E over D,
    Gaussian   L m - log(1 + m) + L E log(1 - D/x),      orthogonal   (L - 1) log(1 + m) + L E log(1 - D/x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ortholab.theory.slopes import SlopeLaw

LOWEST = -300.0  # log |x| goes no lower; where mass falls like |x|^0.1 there is 1e-13 of it left


@dataclass(frozen=True)
class Image:
    """What a point x maps to; all arrays of its shape.

    ``log_lambda``: log |lambda|. ``turn`` = V = theta - arg lambda. ``slope`` = d log lambda / d log x (complex).
    ``weight`` = -Im m / pi, on the curve the density of log lambda. ``above`` = P(lambda' > lambda), or None.
    """

    log_lambda: np.ndarray
    turn: np.ndarray
    slope: np.ndarray
    weight: np.ndarray
    above: np.ndarray | None


class Plane(Protocol):
    """A map x -> log lambda of the kind that the module describes.

    ``centres``: the places on the positive axis around which bands may be narrow; ``spread``: how narrow, relative
    to them. ``smooth``: an interval outside of which nu has no small continuous density. ``top``, ``bottom``: the
    largest and the smallest |x| inside the support of nu. ``lowest``: log |x| goes no lower (see LOWEST).
    """

    centres: np.ndarray
    spread: float
    smooth: tuple[float, float]
    lowest: float
    bottom: float
    top: float

    def image(self, log_r: np.ndarray, theta: np.ndarray, above: bool = False) -> Image:
        """Map x = exp(log_r + i theta)."""
        ...


class LayerPlane:
    """The map of the Jacobian of ``depth`` layers with slopes of law ``law``; see the module for the formula."""

    def __init__(self, law: SlopeLaw, depth: int, log_gain: float, orthogonal: bool):
        self.law, self.depth, self.log_gain, self.orthogonal = law, depth, log_gain, orthogonal
        self.centres = np.unique([v for v in (*law.atoms, law.mean()) if v > 0])
        self.spread = 1e-10 if law.atoms.size else 1e-2 * law.relative_variance() ** 0.5
        self.smooth = (law.continuous_low, law.continuous_high) if law.continuous else (np.inf, -np.inf)
        self.lowest = LOWEST
        # With Gaussian weights 1 + m < 0 on (0, low), so nu reaches down to 0.
        self.bottom, self.top = (law.low if orthogonal else 0.0), law.high

    def image(self, log_r: np.ndarray, theta: np.ndarray, above: bool = False) -> Image:
        """Map x = exp(log_r + i theta)."""
        a = self.law.averages(log_r, theta, arg=above)
        L = self.depth
        unit_e0 = a.one * np.exp(-1j * theta)
        ratio = a.m / unit_e0
        turn = (L - 1) * np.arctan2(a.im_ratio, np.real(a.m * np.conj(unit_e0)))
        log_lambda = L * self.log_gain + log_r + (L - 1) * (np.log(np.abs(ratio)) + log_r)
        slope = 1 + (L - 1) * a.slope_ratio
        arg_one = np.arctan2(a.im_one, a.one.real)  # minus the argument of 1 + m
        if not self.orthogonal:
            turn = turn + L * arg_one
            log_lambda = log_lambda + L * np.log(np.abs(a.one))
            slope = slope + L * a.slope_one
        tail = None
        if above:
            first = -(L - 1) * arg_one if self.orthogonal else arg_one - L * a.im_one
            tail = (first + L * a.arg) / np.pi
        return Image(log_lambda, turn, slope, a.im_one / np.pi, tail)


FLOOR = 1e-12  # an angle below this carries less than this much mass a unit of log lambda: it counts as zero


def angle(plane: Plane, log_r: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
    """The one theta in (0, pi) with V(r, theta) = theta for each r, or 0 where there is none (off the support).

    Newton's method on log V - log theta as a function of log(theta / (pi - theta)), on which it falls with slopes
    between -1 and 0; a bracket that only shrinks makes it certain.
    """
    low, high = np.full(log_r.shape, np.log(FLOOR / np.pi)), np.full(log_r.shape, 36.0)
    theta = np.zeros(log_r.shape)
    t = np.zeros(log_r.shape)
    if guess is not None:
        safe = np.clip(guess, 1e-9, np.pi - 1e-9)
        t = np.log(safe / (np.pi - safe))
    exists = np.zeros(log_r.shape, dtype=bool)  # known once V > theta has been seen at some angle
    active = np.arange(log_r.size)
    for _ in range(90):
        if not active.size:
            break
        small = active[~exists[active] & (t[active] < -7)]
        if small.size:  # the root, if there is one, is at a small angle: look at the floor itself, once
            exists[small] = _is_inside(plane, log_r[small])
            theta[small[~exists[small]]] = 0.0
            active = active[exists[active] | (t[active] >= -7)]
        angle_now = np.pi / (1 + np.exp(-t[active]))
        rest = np.pi / (1 + np.exp(t[active]))
        here = plane.image(log_r[active], angle_now)
        value = np.log(here.turn) - np.log(angle_now)
        up = value > 0
        exists[active] |= up
        low[active] = np.where(up, t[active], low[active])
        high[active] = np.where(up, high[active], t[active])
        # dV/dtheta = 1 - Re(slope); d theta / dt = theta (pi - theta) / pi
        rise = ((1 - here.slope.real) / here.turn - 1 / angle_now) * angle_now * rest / np.pi
        step = -value / np.minimum(rise, -1e-30)  # near an edge the slope vanishes; the bracket then decides
        new = t[active] + step
        settled = np.abs(step) < 1e-8  # quadratic convergence: the step just taken leaves 1e-16
        outside = ~settled & ((new <= low[active]) | (new >= high[active]) | ~np.isfinite(new))
        new = np.where(outside, 0.5 * (low[active] + high[active]), new)
        t[active] = new
        theta[active] = np.pi / (1 + np.exp(-new))
        active = active[~settled]
    return theta


def bands(plane: Plane) -> list[tuple[float, float]]:
    """The intervals of log r on which theta > 0, lowest first: each is a band of the spectrum.

    Outside the support of nu, V / theta at theta = 0 is a convex function of log r, so a crossing of 1 is a simple
    root; the grid crowds where nu's support ends.
    """
    top, bottom = outer_edge(plane, upper=True), outer_edge(plane, upper=False)
    if not top > bottom:
        return []
    around = np.geomspace(plane.spread, 300, int(6 * np.log(300 / plane.spread)))
    grid = [np.linspace(bottom, top, 50)]
    for c in np.log(plane.centres):
        grid += [c - around, c + around]
    grid = np.unique(np.concatenate(grid))
    grid = np.concatenate([[bottom], grid[(grid > bottom) & (grid < top)], [top]])
    inside = _is_inside(plane, grid)
    inside[[0, -1]] = False  # the outer edges themselves: theta = 0 there
    flips = np.flatnonzero(inside[1:] != inside[:-1])
    low, high = grid[flips], grid[flips + 1]
    rising = inside[flips + 1]
    for _ in range(45):
        middle = 0.5 * (low + high)
        there = _is_inside(plane, middle) == rising
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    edges = np.where(rising, high, low)
    # The outermost two are known to the last digit from the real axis.
    if edges.size:
        edges[0] = bottom if bottom > plane.lowest and abs(edges[0] - bottom) < 1e-6 else edges[0]
        edges[-1] = top if abs(edges[-1] - top) < 1e-6 else edges[-1]
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _is_inside(plane: Plane, log_r: np.ndarray) -> np.ndarray:
    return plane.image(log_r, np.full(log_r.shape, FLOOR)).turn > FLOOR


def outer_edge(plane: Plane, upper: bool, nearest: float = 1e-14, count: int = 500, rounds: int = 18) -> float:
    """log |x| where d log lambda / d log x = 0 on the real axis beyond the support of nu; its end if there is none.

    ``nearest``: the least distance from nu's support, in log |x|, at which it is looked for, on ``count`` points; each
    of ``rounds`` divides the bracket by sixteen.
    """
    end = plane.top if upper else plane.bottom
    if end <= 0:
        return plane.lowest
    sign = 1.0 if upper else -1.0

    def slope(gap: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # x may hit an atom, where the slope is not read
            return plane.image(np.log(end) + sign * gap, np.zeros(gap.shape)).slope.real

    # The slope rises from -infinity (or a finite value) to 1 as x leaves the support.
    gaps = np.geomspace(nearest, 250, count)
    values = slope(gaps)
    positive = np.flatnonzero((values > 0) & np.isfinite(values))
    negative = np.flatnonzero((values < 0) & np.isfinite(values))
    if not negative.size or not positive.size or negative[-1] > positive[-1]:
        return float(np.log(end))
    low, high = np.log(gaps[negative[-1]]), np.log(gaps[negative[-1] + 1])
    for _ in range(rounds):
        cuts = np.linspace(low, high, 17)
        first = int(np.argmax(np.append(slope(np.exp(cuts[1:-1])) > 0, True)))
        low, high = cuts[first], cuts[first + 1]
    return float(np.log(end) + sign * np.exp(0.5 * (low + high)))
