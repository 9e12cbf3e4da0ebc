"""Steepest ascent under the spectral norm: in all of space the polar factor, in a tangent space of St(n, k) a dual.

Among all X with ||X||_2 <= 1 the polar factor U V^T of G = U S V^T has the largest inner product with G, the nuclear
norm ||G||_*. Among the tangent X at W (W^T X skew) the largest is

    max <G, X> = min over symmetric L of ||G + W L||_*,      X = polar factor of G + W L at the minimum,

for <W L, X> = tr(L W^T X) = 0: adding W L changes no tangent inner product. For a square W the minimum is at
L = -sym(W^T G), and X = W polar(skew(W^T G)) in closed form. Otherwise L is found by iteration. Matrices are arrays
(..., n, k) of any library of the Array API standard; n < k: rows are orthonormal. Sources: Bernstein 2025, "Modular
manifolds" and "Stiefel manifold" (the problem and its dual ascent); the reweighted iteration and the certificate are
worked out on the page that uses them.
"""

from __future__ import annotations

from typing import NamedTuple

from ortholab.errors import check_choice, check_int, check_like, check_matrices, check_number
from ortholab.theory._frame import Array, as_given, frame

METHODS = ("reweighted", "ascent")


class SpectralStep(NamedTuple):
    """A tangent ``direction`` with ||.||_2 <= 1, its inner product with G, and a ``bound`` that none can exceed.

    ``value`` and ``bound`` have shape (...,); where they meet, the direction is proved best. ``multiplier`` is L.

    >>> import numpy as np
    >>> found = tangent_direction(np.eye(2), np.array([[0.0, 3.0], [1.0, 0.0]]))
    >>> found.direction.tolist(), float(found.value), float(found.bound)
    ([[0.0, 1.0], [-1.0, 0.0]], 2.0, 2.0)
    """

    direction: Array
    value: Array
    bound: Array
    multiplier: Array


def polar_direction(G: Array) -> Array:
    """Return U V^T of G = U S V^T, the X with the largest <G, X> among ||X||_2 <= 1; the value is the sum of S.

    Singular values that are zero within rounding are left out: the direction is zero there, where G says nothing. Shape
    (..., n, k). Raises ArgumentError for what is no finite array of float32 or float64. Von Neumann 1937 (the bound).

    >>> import numpy as np
    >>> polar_direction(np.diag([3.0, -0.2, 0.0])).tolist()
    [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    xp = check_matrices("G", G)
    return _polar(xp, G)[0]


def tangent_direction(
    W: Array, G: Array, *, method: str = "reweighted", steps: int = 30, rate: float = 0.1, tol: float = 1e-8
) -> SpectralStep:
    """Return the tangent X at W, ||X||_2 <= 1, with the largest <G, X>, and the dual's bound on it.

    "reweighted": with M = G + W L and P = (M^T M)^(-1/2), the next L makes M P tangent: P L + L P = -(W^T G P + P G^T
    W), which the eigenvectors of P solve. The dual ||M||_* never rises, for tr(M P M^T) + tr(P^-1) lies above twice it
    and touches it. "ascent": L <- L - rate ||G||_2 (1 - j / steps) (W^T X + X^T W), the subgradient step of Bernstein
    2025. Both start from L = -sym(W^T G), where M is the Euclidean Riemannian gradient, and stop where bound - value is
    at most tol bound. Raises ArgumentError if W is not orthonormal within 0.01, if G does not match it, or for a wrong
    method or number.

    >>> import numpy as np
    >>> found = tangent_direction(np.eye(3, 2), np.array([[0.0, 1.0], [-1.0, 0.0], [2.0, 0.0]]), steps=60)
    >>> round(float(found.value), 6), bool(found.bound - found.value < 1e-6)
    (2.828427, True)
    """
    at = frame(W, 1.0)
    check_like("G", G, "W", W)
    check_choice("method", method, METHODS)
    steps, rate = check_int("steps", steps), check_number("rate", rate, low=0, open_low=True)
    tol = check_number("tol", tol, low=0)
    xp, Q = at.xp, at.Q
    G = G.mT if at.wide else G
    inner = Q.mT @ G
    L = -(inner + inner.mT) / 2
    best = _certified(xp, Q, G, L)
    if Q.shape[-2] == Q.shape[-1]:
        return _given(best, at.wide)
    size = xp.max(xp.linalg.svdvals(G), axis=-1)[..., None, None]
    for j in range(steps):
        if bool(xp.all(best.bound - best.value <= tol * best.bound)):
            break
        if method == "ascent":
            A = Q.mT @ _polar(xp, G + Q @ L)[0]
            L, X = L - rate * size * (1 - j / steps) * (A + A.mT), None
        else:
            L, X = _reweighted(xp, Q, G, L, inner)
        best = _better(xp, best, _certified(xp, Q, G, L, X))
    return _given(best, at.wide)


def _polar(xp, G: Array) -> tuple[Array, Array]:
    """U V^T without the directions whose singular values are rounding, and the nuclear norm."""
    U, s, Vh = xp.linalg.svd(G, full_matrices=False)
    kept = s > max(G.shape[-2:]) * xp.finfo(G.dtype).eps * s[..., :1]
    return (U * xp.astype(kept, G.dtype)[..., None, :]) @ Vh, xp.sum(s, axis=-1)


def _certified(xp, Q: Array, G: Array, L: Array, X: Array | None = None) -> SpectralStep:
    """The dual's value at L, and a tangent direction: X, or the polar factor; projected, then shortened to 1."""
    polar, bound = _polar(xp, G + Q @ L)
    X = polar if X is None else X
    A = Q.mT @ X
    X = X - Q @ (A + A.mT) / 2
    longest = xp.max(xp.linalg.svdvals(X), axis=-1)[..., None, None]
    X = X / xp.where(longest > 1, longest, xp.ones_like(longest))
    return SpectralStep(X, xp.sum(G * X, axis=(-2, -1)), bound, L)


def _better(xp, old: SpectralStep, new: SpectralStep) -> SpectralStep:
    """The better direction and the lower bound, matrix by matrix; L is the newest."""
    up = (new.value > old.value)[..., None, None]
    X = xp.where(up, new.direction, old.direction)
    return SpectralStep(X, xp.maximum(old.value, new.value), xp.minimum(old.bound, new.bound), new.multiplier)


def _reweighted(xp, Q: Array, G: Array, L: Array, inner: Array) -> tuple[Array, Array]:
    """The L that solves P L + L P = -(Q^T G P + P G^T Q), P = (M^T M)^(-1/2) at the present L, and (G + Q L) P.

    That product is tangent. Where M loses rank, its singular values are ratios of a new small one to an old one: at the
    optimum they may be anything below 1, which the polar factor of M would not tell.
    """
    M = G + Q @ L
    squares, V = xp.linalg.eigh(M.mT @ M)
    floor = xp.finfo(G.dtype).eps * squares[..., -1:] + xp.finfo(G.dtype).tiny
    p = 1 / xp.sqrt(xp.where(squares > floor, squares, floor))
    C = (V.mT @ inner @ V) * p[..., None, :]
    L = -(V @ ((C + C.mT) / (p[..., :, None] + p[..., None, :])) @ V.mT)
    return L, ((G + Q @ L) @ V * p[..., None, :]) @ V.mT


def _given(found: SpectralStep, wide: bool) -> SpectralStep:
    return found._replace(direction=as_given(found.direction, wide))
