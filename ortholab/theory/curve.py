"""The continuous part of a spectrum, read off the curve arg lambda(x) = 0 of s_transform.py."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ortholab.theory.s_transform import FLOOR, Image, Plane, angle, bands

_ORDER = 16
_X, _W = np.polynomial.legendre.leggauss(_ORDER)
_COEFFICIENTS = np.linalg.inv(np.polynomial.legendre.legvander(_X, _ORDER - 1))
_CUT = 1e-11  # the lowest band is tabulated down to where this much mass is left below


@dataclass(frozen=True)
class _Band:
    """One band: its ends in log |x|, and P(lambda' > its lower and upper end)."""

    low: float
    high: float
    above_low: float
    above_high: float

    @property
    def mass(self) -> float:
        return max(self.above_low - self.above_high, 0.0)


@dataclass(frozen=True)
class _Table:
    """Points along a band: log |x|, theta, log lambda, P(lambda' > lambda), and the quadrature weight of each."""

    log_r: np.ndarray
    theta: np.ndarray
    log_lambda: np.ndarray
    above: np.ndarray
    weight: np.ndarray


class Curve:
    """Density and distribution function of the continuous part, and its quadrature nodes.

    Each band is tabulated in t in [0, 1] with log |x| = low + (high - low) sin^2(pi t/2), which makes square-root
    edges smooth, on panels that halve until the density's integral equals the closed-form mass. A request starts
    from the table, is solved by Newton's method for log x, and is kept only if it stays between its neighbours in the
    table and solves the equation; otherwise it is bisected.
    """

    def __init__(self, plane: Plane, log_second: float):
        self._plane, self._log_second = plane, log_second  # log E[lambda^2] of the whole law, as a measure of errors
        self._bands: list[_Band] = []
        self._starts: list[float] = []
        self.log_bands: list[tuple[float, float]] = []
        for number, (low, high) in enumerate(bands(plane)):
            open_end = low <= plane.lowest + 1e-6
            # Just outside, so that an atom that sits on the edge counts as outside too.
            log_r = np.array([low - 1e-13 * (1 + abs(low)), high + 1e-13 * (1 + abs(high))])
            inside = (np.exp(log_r) > plane.smooth[0]) & (np.exp(log_r) < plane.smooth[1])
            ends = plane.image(log_r, np.where(inside | (log_r < plane.lowest + 1), FLOOR, 0.0), above=True)
            on_curve = self._at(np.array([low]))[1] if open_end else ends
            above_low = float(on_curve.above[0])
            # A band ends at 0 if it was followed down to the smallest |x|, or until small slopes have no mass left.
            fades = inside[0] and plane.smooth[0] == 0
            start = -np.inf if number == 0 and (open_end or fades) else float(ends.log_lambda[0])
            self._starts.append(float(on_curve.log_lambda[0]))  # below, such a band has neither angle nor mass left
            self.log_bands.append((start, float(ends.log_lambda[1])))
            self._bands.append(_Band(low, high, above_low, float(ends.above[1])))
        self.mass = float(sum(band.mass for band in self._bands))

    def _at(self, log_r: np.ndarray, guess: np.ndarray | None = None) -> tuple[np.ndarray, Image]:
        theta = np.maximum(angle(self._plane, log_r, guess), FLOOR)
        return theta, self._plane.image(log_r, theta, above=True)

    @cached_property
    def _tables(self) -> list[_Table]:
        """Made when a density or a distribution function is first asked for: the edges need none."""
        return [
            self._tabulate(b.low, self._cut(b.low, b.high, b.above_low, b.mass) if i == 0 else b.low, b.high)
            for i, b in enumerate(self._bands)
        ]

    def _cut(self, low: float, high: float, above_low: float, mass: float) -> float:
        """Where the lowest band's table begins: below lies a part _CUT of its mass, or what rounding hides."""
        a, b = low, high
        while b - a > 0.02 * (high - a) and high - a > 0.5:  # (a band of mass 1e-15 is all "below")
            middle = 0.5 * (a + b)
            if above_low - float(self._at(np.array([middle]))[1].above[0]) < max(_CUT * mass, 1e-13):
                a = middle
            else:
                b = middle
        while a > low + 1:  # the rest is a power of |x|: go on by its density, which has no rounding error
            image = self._at(np.array([a]))[1]
            if float((image.weight * _stretch(image.slope))[0]) < _CUT * mass:
                break
            a -= 1.0
        return a

    def _tabulate(self, low: float, cut: float, high: float) -> _Table:
        edges = np.linspace(0, 1, 9)
        todo = np.stack([edges[:-1], edges[1:]], axis=1)
        kept: list[tuple[np.ndarray, ...]] = []
        for level in range(14):
            half = 0.5 * (todo[:, 1] - todo[:, 0])
            t = todo.mean(axis=1)[:, None] + half[:, None] * _X
            log_r = cut + (high - cut) * np.sin(0.5 * np.pi * t) ** 2
            theta, image = self._at(np.concatenate([log_r.ravel(), cut + (high - cut) * _squares(todo)]))
            count = t.size
            values = [v[:count].reshape(t.shape) for v in (theta, image.log_lambda, image.above)]
            integrand = (image.weight * _stretch(image.slope))[:count].reshape(t.shape)
            integrand = integrand * (high - cut) * 0.5 * np.pi * np.sin(np.pi * t) * half[:, None]
            ends = image.above[count:].reshape(-1, 2)
            square = integrand * np.exp(np.minimum(2 * values[1] - self._log_second, 100))
            wrong = np.abs(integrand @ _W - (ends[:, 0] - ends[:, 1])) > 1e-11
            wrong |= np.abs(square @ _COEFFICIENTS.T)[:, -2:].max(axis=1) > 1e-8
            good = ~wrong | (level == 13)
            kept.append(tuple(v[good].ravel() for v in (log_r, *values, integrand * _W)))
            todo = todo[~good]
            if not todo.size:
                break
            middle = todo.mean(axis=1)
            todo = np.concatenate([np.stack([todo[:, 0], middle], 1), np.stack([middle, todo[:, 1]], 1)])
        if cut > low:  # below the cut: points to start requests from, of no weight
            log_r = np.linspace(low, cut, 50)[1:-1]
            theta, image = self._at(log_r)
            kept.append((log_r, theta, image.log_lambda, image.above, np.zeros(log_r.shape)))
        columns = [np.concatenate(c) for c in zip(*kept, strict=True)]
        order = np.argsort(columns[0])
        return _Table(*(c[order] for c in columns))

    # ---- requests -------------------------------------------------------------------------------------------------

    def density_of_log(self, log_lambda: np.ndarray) -> np.ndarray:
        """-Im m / pi at each log lambda, shape (n,); 0 off the bands."""
        return self._evaluate(log_lambda, lambda band, image: image.weight, 0.0)

    def cdf_of_log(self, log_lambda: np.ndarray) -> np.ndarray:
        """Mass of the continuous part at or below each log lambda, shape (n,)."""
        return self._evaluate(log_lambda, lambda band, image: np.clip(band.above_low - image.above, 0, band.mass), 1.0)

    def point(self, log_lambda: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(log |x|, theta) of each log lambda, NaN off the bands: the solution itself, for tests and pictures."""
        out = np.full((2, log_lambda.size), np.nan)
        for i, (_, end) in enumerate(self.log_bands):
            inside = (log_lambda > self._starts[i]) & (log_lambda < end)
            if inside.any():
                out[:, inside] = self._solve(i, log_lambda[inside])
        return out[0], out[1]

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """log lambda and the mass that each quadrature node stands for."""
        place = np.concatenate([np.empty(0), *(t.log_lambda for t in self._tables)])
        weight = np.concatenate([np.empty(0), *(t.weight for t in self._tables)])
        return place[weight > 0], weight[weight > 0]

    def log_quantile(self, mass: np.ndarray) -> np.ndarray:
        """log lambda below which the continuous part has this ``mass``, shape (n,)."""
        out = np.full(mass.shape, -np.inf if not self._bands else self.log_bands[0][0])
        below = 0.0
        for i, (band, (_, end)) in enumerate(zip(self._bands, self.log_bands, strict=True)):
            inside = (mass > below) & (mass < below + band.mass)
            if inside.any():
                out[inside] = self._bisect(i, band.above_low - (mass[inside] - below), False)[2].log_lambda
            below += band.mass
            out[mass >= below] = end
        return out

    def _evaluate(self, log_lambda: np.ndarray, read, full: float) -> np.ndarray:
        out = np.zeros(log_lambda.shape)
        for i, (band, (_, end)) in enumerate(zip(self._bands, self.log_bands, strict=True)):
            inside = (log_lambda > self._starts[i]) & (log_lambda < end)
            if inside.any():
                log_r, theta = self._solve(i, log_lambda[inside])
                image = self._plane.image(log_r, theta, above=full > 0)
                value = read(band, image)
                out[inside] += value if full else np.where(theta > 2 * FLOOR, value, 0.0)
            out[log_lambda >= end] += full * band.mass
        return out

    def _bracket(self, i: int, column: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, ...]:
        """The log |x| of the two neighbours of ``value`` in a rising table column, the band's ends counted."""
        place = np.searchsorted(column, value)
        padded = np.concatenate([[self._bands[i].low], self._tables[i].log_r, [self._bands[i].high]])
        return padded[place], padded[place + 1]

    def _solve(self, i: int, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        table = self._tables[i]
        low, high = self._bracket(i, table.log_lambda, target)
        log_r = np.clip(np.interp(target, table.log_lambda, table.log_r), low, high)
        theta = np.exp(np.interp(target, table.log_lambda, np.log(table.theta)))
        error = np.full(target.shape, np.inf)
        active = np.arange(target.size)
        for _ in range(12):
            image = self._plane.image(log_r[active], theta[active])
            gap = image.log_lambda - target[active] + 1j * (theta[active] - image.turn)
            step = -gap / image.slope
            error[active] = np.abs(step)
            log_r[active] = np.clip(log_r[active] + step.real, low[active], high[active])
            new = theta[active] + step.imag
            theta[active] = np.where((new > 0) & (new < np.pi), new, np.where(new <= 0, 0.5, 1.5) * theta[active])
            theta[active] = np.minimum(theta[active], np.pi * (1 - 1e-9))
            active = active[error[active] > 1e-13 * np.maximum(1.0, np.abs(log_r[active]))]
            if not active.size:
                break
        image = self._plane.image(log_r, theta)
        # arg lambda must vanish to a part of theta itself (and to what rounding of x leaves at the smallest angles).
        certain = np.abs(theta - image.turn) <= 1e-9 * theta + 1e-14
        certain &= (log_r >= low) & (log_r <= high) & (theta > FLOOR)
        certain &= np.abs(image.log_lambda - target) <= 1e-11 * np.maximum(1.0, np.abs(target))
        rest = np.flatnonzero(~certain)
        if rest.size:
            log_r[rest], theta[rest], _ = self._bisect(i, target[rest], True)
        return log_r, theta

    def _bisect(self, i: int, target: np.ndarray, by_lambda: bool) -> tuple[np.ndarray, np.ndarray, Image]:
        """Solve log lambda = target, or P(lambda' > lambda) = target, along the curve: both are monotone in log |x|."""
        if by_lambda:
            low, high = self._bracket(i, self._tables[i].log_lambda, target)
        else:
            low, high = self._bracket(i, -self._tables[i].above, -target)
        theta = None
        for _ in range(60):
            middle = 0.5 * (low + high)
            theta, image = self._at(middle, theta)
            up = image.log_lambda < target if by_lambda else image.above > target
            low, high = np.where(up, middle, low), np.where(up, high, middle)
            if np.all(high - low <= 2e-16 * np.abs(high)):
                break
        middle = 0.5 * (low + high)
        theta, image = self._at(middle, theta)
        return middle, theta, image


def _stretch(slope: np.ndarray) -> np.ndarray:
    """d log lambda / d log |x| along the curve, from the complex derivative: Im(slope d log x) = 0 there."""
    return np.abs(slope) ** 2 / np.maximum(slope.real, 1e-300)


def _squares(panels: np.ndarray) -> np.ndarray:
    return np.sin(0.5 * np.pi * panels.ravel()) ** 2
