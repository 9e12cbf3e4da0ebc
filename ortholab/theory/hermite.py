"""The correlation map as a power series: one quadrature, then a polynomial in c.

With h_k = He_k / sqrt(k!) the normalised Hermite polynomials, phi(sqrt(q) z) = sum_k a_k h_k(z), and Mehler's formula
gives, for u, v ~ N(0, q) with correlation c,

    E[phi(u) phi(v)] = sum_k a_k^2 c^k.

So the map of the correlation of two inputs, a double integral at each c, is a power series; its coefficients are
>= 0, which is why it is convex on [0, 1]. For whole lines of points at once, and differences from c = 1 to all their
digits, but only without kinks, see :mod:`ortholab.theory.difference_map`. Source: Daniely, Frostig, Singer 2016
(arXiv 1602.05897).
"""

from __future__ import annotations

import numpy as np

from ortholab.errors import check_array, check_int, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.gaussian import nodes
from ortholab.theory.mean_field import point


def hermite_coefficients(activation: str | Activation, q: float, order: int = 128) -> np.ndarray:
    """Return [a_0, ..., a_order], a_k = E[phi(sqrt(q) z) h_k(z)], for q >= 0: shape (order + 1,).

    The squares sum to E[phi^2] as ``order`` grows: fast for analytic phi, with a rest of about order^(-3/2) where phi
    has a kink. About 1e-14 each, relative to the root of E[phi^2].

    >>> hermite_coefficients("linear", 4.0, 3).round(12).tolist()
    [0.0, 2.0, 0.0, 0.0]
    """
    activation = get_activation(activation)
    q, order = check_number("q", q, low=0.0), check_int("order", order, 1)
    z, w = nodes(q, activation.kinks)
    weighted = w * activation.phi(np.sqrt(q) * z)
    out = np.empty(order + 1)
    before, h = np.zeros_like(z), np.ones_like(z)
    for k in range(order + 1):
        out[k] = weighted @ h
        before, h = h, (z * h - np.sqrt(k) * before) / np.sqrt(k + 1)
    return np.where(np.abs(out) < 1e-15 * np.sqrt(np.sum(out**2)), 0.0, out)


class CorrelationSeries:
    """The map c -> c' of two inputs of variance ``q`` each, as a polynomial of degree ``order`` + 2 at most.

    What the truncated series lacks is put into its last two powers, so that the map is exact at c = 0, 1 and -1. In
    between it is too high, by at most that rest times c^order. ``q`` is any variance, at a fixed point of (3) or not.
    Raises ArgumentError for q <= 0.

    >>> from ortholab.theory.correlation import correlation_map
    >>> series = CorrelationSeries("tanh", 1.0, sigma_w=1.5, sigma_b=0.3)
    >>> abs(series(0.4) - correlation_map("tanh", 0.4, 1.5, 0.3, q=1.0)) < 1e-12
    True
    """

    def __init__(self, activation: str | Activation, q: float, sigma_w: float, sigma_b: float = 0.0, order: int = 128):
        activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
        q = check_number("q", q, low=0.0, open_low=True)
        a2 = hermite_coefficients(activation, q, order) ** 2
        z, w = nodes(q, activation.kinks)
        even = 0.5 * (activation.phi(np.sqrt(q) * z) + activation.phi(-np.sqrt(q) * z))
        mean = activation.mean_square(q)
        rest = {0: float(w @ even**2) - np.sum(a2[::2])}
        rest[1] = float(mean) - float(w @ even**2) - np.sum(a2[1::2])
        powers = np.concatenate([a2, [0.0, 0.0]])
        for k in (order + 1, order + 2):
            powers[k] = max(rest[k % 2], 0.0)
        powers *= sigma_w**2
        powers[0] += sigma_b**2
        self.coefficients = powers / (sigma_w**2 * mean + sigma_b**2)

    def __call__(self, c: np.ndarray | float) -> np.ndarray | float:
        """c' at ``c`` in [-1, 1], any shape."""
        c = check_array("c", c, low=-1.0, high=1.0)
        out = np.clip(c[..., None] ** np.arange(self.coefficients.size) @ self.coefficients, -1.0, 1.0)
        return out if c.ndim else float(out)

    def fixed_point(self, chi: float) -> float:
        """c* in [0, 1], given the exact slope ``chi`` at c = 1: 1 if chi <= 1, else the one root below 1.

        The map is convex on [0, 1], so with a slope above 1 at its fixed point 1 it has exactly one more. At a
        variance that is not fixed the map is still one of correlations, of a layer whose input has that variance.
        """
        if check_number("chi", chi, low=0.0) <= 1:
            return 1.0
        low, high = 0.0, 1.0
        for c in 1 - 2.0 ** -np.arange(1, 40):  # towards 1, until the map is below the diagonal
            high = float(c)
            if self(high) < high:
                break
        else:
            return 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self(middle) > middle else (low, middle)
        return 0.5 * (low + high)

    def trajectory(self, c: float | np.ndarray, depth: int) -> np.ndarray:
        """[c^1, ..., c^depth] from c^1 = ``c`` of any shape (...), shape (depth, ...)."""
        c = check_array("c", c, low=-1.0, high=1.0)
        out = np.empty((check_int("depth", depth, 1), *c.shape))
        out[0] = c
        for layer in range(1, len(out)):
            out[layer] = self(out[layer - 1])
        return out
