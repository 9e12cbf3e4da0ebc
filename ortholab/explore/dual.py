"""Values with their exact derivatives: what a reader's formula is computed with (forward mode, dual numbers).

A :class:`Dual` carries u(x) and u'(x) through each operation by the chain rule. Where a slope is exactly 0 because a
function has saturated, an infinite inner derivative counts for nothing, as in the limit: so 1/(1 + exp(-x)) has slope 0
at x = -1000 and not NaN. Values that overflow stay infinite, for the caller to refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ortholab._scipy import special


def _chain(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """outer * inner, with 0 * inf = 0: a saturated function does not see its argument run away."""
    return np.where((outer == 0) | (inner == 0), 0.0, outer * inner)


@dataclass(frozen=True)
class Dual:
    """A value and its derivative, two arrays of one shape.

    >>> x = Dual(np.array([3.0]), np.array([1.0]))
    >>> y = x * x / (x + x)
    >>> y.value.tolist(), y.slope.tolist()
    ([1.5], [0.5])
    """

    value: np.ndarray
    slope: np.ndarray

    def __add__(self, other: Dual) -> Dual:
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: Dual) -> Dual:
        return Dual(self.value - other.value, self.slope - other.slope)

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.slope)

    def __mul__(self, other: Dual) -> Dual:
        return Dual(self.value * other.value, _chain(self.value, other.slope) + _chain(other.value, self.slope))

    def __truediv__(self, other: Dual) -> Dual:
        ratio, inverse = self.value / other.value, 1 / other.value
        return Dual(ratio, _chain(inverse, self.slope) - _chain(ratio * inverse, other.slope))

    def power(self, other: Dual) -> Dual:
        """self ** other; the exponent's own slope asks for a positive base."""
        value = np.power(self.value, other.value)
        # p u^(p-1) rather than u^p p/u: it is right at u = 0 too.
        slope = _chain(_chain(other.value, np.power(self.value, other.value - 1)), self.slope)
        turning = other.slope != 0
        if np.any(turning):
            slope = slope + np.where(turning, value * np.log(self.value) * other.slope, 0.0)
        return Dual(value, slope)

    def through(self, f: Callable, df: Callable) -> Dual:
        """f(self), by the chain rule."""
        return Dual(f(self.value), _chain(df(self.value), self.slope))


def _where(first: np.ndarray, a: Dual, b: Dual) -> Dual:
    return Dual(np.where(first, a.value, b.value), np.where(first, a.slope, b.slope))


def larger(a: Dual, b: Dual) -> Dual:
    """max(a, b); its slope jumps where a = b."""
    return _where(a.value >= b.value, a, b)


def smaller(a: Dual, b: Dual) -> Dual:
    """min(a, b); its slope jumps where a = b."""
    return _where(a.value <= b.value, a, b)


def _gelu_slope(u: np.ndarray) -> np.ndarray:
    return special.ndtr(u) + u * np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi)


def _silu_slope(u: np.ndarray) -> np.ndarray:
    s = special.expit(u)
    return s * (1 + u * (1 - s))


# Functions of one argument by the name that a reader types: f and f'.
ONE: dict[str, tuple[Callable, Callable]] = {
    "tanh": (np.tanh, lambda u: 1 - np.tanh(u) ** 2),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda u: -np.sin(u)),
    "atan": (np.arctan, lambda u: 1 / (1 + u * u)),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "asinh": (np.arcsinh, lambda u: 1 / np.hypot(1.0, u)),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda u: 1 / u),
    "sqrt": (np.sqrt, lambda u: 0.5 / np.sqrt(u)),
    "erf": (lambda u: special.erf(u), lambda u: 2 / np.sqrt(np.pi) * np.exp(-u * u)),
    "sigmoid": (lambda u: special.expit(u), lambda u: special.expit(u) * special.expit(-u)),
    "softplus": (lambda u: np.logaddexp(0.0, u), lambda u: special.expit(u)),
    "gelu": (lambda u: u * special.ndtr(u), _gelu_slope),
    "silu": (lambda u: u * special.expit(u), _silu_slope),
    "abs": (np.abs, np.sign),
    "sign": (np.sign, np.zeros_like),
    "relu": (lambda u: np.maximum(u, 0.0), lambda u: (u > 0) * 1.0),
    "elu": (lambda u: np.where(u > 0, u, np.expm1(np.minimum(u, 0.0))), lambda u: np.exp(np.minimum(u, 0.0))),
    "hardtanh": (lambda u: np.clip(u, -1.0, 1.0), lambda u: (np.abs(u) < 1) * 1.0),
}

# Where the slope of a function of one argument jumps, or (elu) bends: the quadrature lays its panels by these points.
ONE_KINKS: dict[str, tuple[float, ...]] = {
    "abs": (0.0,), "sign": (0.0,), "relu": (0.0,), "elu": (0.0,), "hardtanh": (-1.0, 1.0),
}  # fmt: skip
