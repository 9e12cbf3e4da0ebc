"""Deep linear networks from aligned starts that are not balanced: each mode's learning curve for unequal factors.

A mode of strength s is the product u = a_1 ... a_n of one factor a layer, tau a_l' = (u / a_l) (s - u). All a_l^2
grow alike, so a_l^2 - a_k^2 is conserved, and one unknown is left. :mod:`ortholab.theory.deep_linear` has the case of
equal factors.
"""

from __future__ import annotations

import numpy as np

from ortholab.errors import bad, check_array, check_number

_PIECE = 0.5  # of the logit of u / s: a panel of the quadrature
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def factors_at(u: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the factors (..., n) at which their product is ``u`` (...), on the path that starts at ``factors`` (n,).

    a_l^2 = x + a_l(0)^2 - min_k a_k(0)^2 with the one x > 0 at which the product is u > 0. Raises ArgumentError.

    >>> factors_at(np.array([2.0]), np.array([1.0, 0.5])).prod(axis=-1).round(12).tolist()
    [2.0]
    """
    start = _positive("factors", check_array("factors", factors, ndim=1))
    d, back, counts = np.unique(start**2 - start.min() ** 2, return_inverse=True, return_counts=True)
    return np.sqrt(np.exp(_smallest(_positive("u", check_array("u", u)), d, counts))[..., None] + d)[..., back]


def _smallest(u: np.ndarray, d: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Log of x with sum_l log(x + d_l) = 2 log u: Newton on a convex function of log x, from the right, so monotone."""
    goal = 2 * np.log(u)
    y = goal / counts.sum()
    for _ in range(60):
        shifted = np.exp(y)[..., None] + d
        step = ((counts * np.log(shifted)).sum(-1) - goal) / (counts * np.exp(y)[..., None] / shifted).sum(-1)
        y = y - step
        if np.all(np.abs(step) <= 1e-8):  # the next step would be below rounding
            break
    return y


def unequal_learning_times(
    u: np.ndarray | float, factors: np.ndarray, *, s: float = 1.0, tau: float = 1.0
) -> np.ndarray | float:
    """Return the times at which a mode that starts from ``factors`` (n,) has the strengths ``u``, shape of ``u``.

        t = tau int du / (u^2 (s - u) sum_l a_l^(-2)) from the product of the factors on; its steps are an integral in
    logit(u / s). Holds for gradient flow from an aligned start with all factors > 0. With equal factors it is
    deep_linear.learning_time. Raises ArgumentError unless product <= u < s.

    >>> bool(unequal_learning_times(0.95, [1.0, 0.01]) < unequal_learning_times(0.95, [0.1, 0.1]))
    True
    """
    start = _positive("factors", check_array("factors", factors, ndim=1))
    s, tau = check_number("s", s, low=0.0, open_low=True), check_number("tau", tau, low=0.0, open_low=True)
    u0 = float(np.prod(start))
    if not 0 < u0 < s:
        raise bad("factors", start, f"factors whose product is in (0, s = {s:g})")
    goals = check_array("u", u, low=u0 * (1 - 1e-12), high=s)
    if np.any(goals >= s):
        raise bad("u", float(goals.max()), f"below s = {s:g}, which no mode reaches in finite time")
    flat = np.maximum(goals.ravel(), u0)
    v0, v = _logit(u0, s), _logit(flat, s)
    pieces = max(1, int(np.ceil((v.max() - v0) / _PIECE)))
    edges = np.unique(np.concatenate([np.linspace(v0, v.max(), pieces + 1), v]))
    half = np.diff(edges)[:, None] / 2
    at = s / (1 + np.exp(-(edges[:-1, None] + half * (_NODES + 1))))
    d, counts = np.unique(start**2 - start.min() ** 2, return_counts=True)
    total = (counts / (np.exp(_smallest(at, d, counts))[..., None] + d)).sum(-1)
    clock = np.concatenate([[0.0], np.cumsum((half * _WEIGHTS / (s * at * total)).sum(1))])
    out = tau * clock[np.searchsorted(edges, v)].reshape(goals.shape)
    return out if goals.ndim else float(out)


def _logit(u: np.ndarray | float, s: float) -> np.ndarray:
    return np.log(u) - np.log(s - u)


def _positive(name: str, array: np.ndarray) -> np.ndarray:
    if not array.size or np.any(array <= 0):
        raise bad(name, array, "one or more positive numbers")
    return array
