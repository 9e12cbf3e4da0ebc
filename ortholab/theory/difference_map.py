"""The correlation map of smooth activations at many points of the plane at once, in the difference e = 1 - c.

At a fixed point q* the correlation obeys c' = sum_k b_k c^k (see :mod:`ortholab.theory.hermite`, which has the map at
one point, for any activation), with b_k = sigma_w^2 a_k^2 / q* for k >= 1. All coefficients with b_0 add up to 1, so

    e' = sum_k b_k (1 - (1 - e)^k),

in which nothing cancels however near the two inputs are. Here whole lines of the plane are computed in a few array
operations, by a trapezoidal rule that all q share: exact to rounding for phi that is smooth near the real line.
"""

from __future__ import annotations

import functools

import numpy as np

from ortholab.errors import ArgumentError, bad, check_array, check_int, check_number
from ortholab.theory.activations import Activation, get_activation

TERMS = 160
_STEP, _END = 0.08, 12.0  # of the trapezoidal rule, in z


@functools.lru_cache(maxsize=4)
def _hermite(terms: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z (m,), and (m, terms): f(z) @ it is E[f(z) He_k(z)] / sqrt(k!) for a standard normal z."""
    z = np.arange(-_END, _END + _STEP / 2, _STEP)
    table = np.empty((z.size, max(terms, 2)))
    table[:, 0] = np.exp(-z * z / 4) * (2 * np.pi) ** -0.25  # with the root of the density: nothing overflows
    table[:, 1] = z * table[:, 0]
    for k in range(2, terms):
        table[:, k] = (z * table[:, k - 1] - np.sqrt(k - 1) * table[:, k - 2]) / np.sqrt(k)
    return z, table[:, :terms] * (_STEP * table[:, :1])


def squared_coefficients(activation: str | Activation, q: np.ndarray | float, terms: int = TERMS) -> np.ndarray:
    """Return a_k^2, k = 0 ... terms - 1, shape (*shape of q, terms): they add up to E[phi^2] at variance ``q``.

    Raises ArgumentError for an activation with kinks, and where the first ``terms`` miss more than 1e-6 of E[phi^2]:
    the activation is too steep for them at this q.

    >>> squared_coefficients("linear", 2.0, terms=3).round(12).tolist()
    [0.0, 2.0, 0.0]
    """
    phi = get_activation(activation)
    if phi.kinks:
        raise bad("activation", phi.name, "one without kinks: the series of the others converges slowly")
    q = check_array("q", q, low=0.0)
    z, table = _hermite(check_int("terms", terms, 1))
    values = phi.phi(np.sqrt(q)[..., None] * z)
    squares, total = (values @ table) ** 2, values**2 @ table[:, 0]
    if np.any(total - squares.sum(-1) > 1e-6 * total):
        raise ArgumentError(f"{terms} terms are too few for {phi.name} at q up to {q.max():g}; give more terms")
    return squares


def bounded_q_star(activation: str | Activation, sigma_w: np.ndarray | float, sigma_b: float) -> np.ndarray:
    """Return the fixed point q* > 0 of the variance at every ``sigma_w``, for |phi| <= 1 and sigma_b > 0.

    Newton's method on V(q) = sigma_w^2 E[phi^2] + sigma_b^2 from q = sigma_w^2 + sigma_b^2 down, which is monotone
    where V is concave, as for tanh and erf. dV/dq by Stein's lemma, E[phi^2 (z^2 - 1)] / (2 q). Raises ArgumentError.

    >>> float(bounded_q_star("erf", 1.5, 0.1).round(6))
    0.911991
    """
    phi = get_activation(activation)
    sigma_w = check_array("sigma_w", sigma_w, low=0.0)
    sigma_b = check_number("sigma_b", sigma_b, low=0.0, open_low=True)
    z, table = _hermite(1)
    weight = np.stack([table[:, 0], table[:, 0] * (z * z - 1) / 2], axis=1)
    q = sigma_w**2 + sigma_b**2
    for _ in range(100):
        values = phi.phi(np.sqrt(q)[..., None] * z)
        if np.abs(values).max() > 1:
            raise bad("activation", phi.name, "one that is bounded by 1, such as tanh or erf")
        square, slope = np.moveaxis(values**2 @ weight, -1, 0) * sigma_w**2
        step = (q - square - sigma_b**2) / (1 - slope / q)
        q = q - step
        if np.all(np.abs(step) <= 1e-9 * q):  # the next step would be below rounding
            break
    return q


def map_coefficients(squares: np.ndarray, sigma_w: np.ndarray | float, sigma_b: float) -> np.ndarray:
    """Return b_k for k >= 1, shape (..., terms - 1), from a_k^2 (..., terms) at q* and ``sigma_w`` of shape (...).

    >>> map_coefficients(np.array([0.0, 2.0, 0.0]), 1.0, 0.0).tolist()
    [1.0, 0.0]
    """
    scaled = np.asarray(sigma_w)[..., None] ** 2 * squares
    return scaled[..., 1:] / (scaled.sum(-1, keepdims=True) + sigma_b**2)


def difference_map(e: np.ndarray | float, b: np.ndarray) -> np.ndarray:
    """Send e = 1 - c in [0, 1] (...) through a layer: sum_k b_k (1 - (1 - e)^k), with b of shape (..., terms - 1).

    >>> float(difference_map(0.25, np.array([0.5, 0.5])))
    0.34375
    """
    return (b * _missing(np.asarray(e, dtype=float)[..., None], b.shape[-1])).sum(-1)


def _missing(e: np.ndarray, terms: int) -> np.ndarray:
    """1 - (1 - e)^k for k = 1 ... terms, to full relative precision."""
    with np.errstate(divide="ignore"):
        return -np.expm1(np.arange(1, terms + 1) * np.log1p(-e))


def fixed_difference(b: np.ndarray) -> np.ndarray:
    """Return e* = 1 - c* (...): 0 where chi = sum_k k b_k <= 1, else the root in (0, 1] of e = difference_map(e).

    The root of the convex, falling sum_k b_k (1 - (1 - e)^k) / e = 1, by Newton's method from the left: monotone.

    >>> float(fixed_difference(np.array([0.5, 0.0, 0.3])).round(9))  # b_0 = 0.2; chi = 1.4
    0.542572892
    """
    k = np.arange(1, b.shape[-1] + 1)
    chi, bend = (b * k).sum(-1), (b * k * (k - 1)).sum(-1) / 2
    chaotic = chi > 1
    e = np.where(chaotic, (chi - 1) / np.where(bend > 0, bend, 1), 1.0)
    for _ in range(60):
        rest = 1 - e[..., None]
        missing = _missing(e[..., None], k.size)
        value = (b * missing).sum(-1) / e - 1
        slope = ((b * (k * rest ** (k - 1))).sum(-1) - (value + 1)) / e
        step = np.where(chaotic & (slope < 0), -value / np.where(slope < 0, slope, -1), 0.0)
        e = np.minimum(e + step, 1.0)
        if np.all(np.abs(step) <= 1e-9 * e):  # the next step would be below rounding
            break
    return np.where(chaotic, e, 0.0)


def map_slope(e: np.ndarray | float, b: np.ndarray) -> np.ndarray:
    """Return dc'/dc = sum_k k b_k c^(k - 1) at c = 1 - e, shape (...): chi at e = 0, exp(-1 / xi_c) at e*.

    >>> map_slope(0.0, np.array([0.5, 0.25])).item()
    1.0
    """
    k = np.arange(1, b.shape[-1] + 1)
    return (b * k * (1 - np.asarray(e, dtype=float)[..., None]) ** (k - 1)).sum(-1)
