"""Singular values of long products of matrices, on a logarithmic axis, right far below machine precision.

The product of L matrices has singular values that spread exponentially: at n = L = 100 a Gaussian product spans 200
orders of magnitude. Form it in floating point and every value below 1e-16 times the largest is rounding error. So
the product is never formed. It is kept as U diag(exp d) T with orthogonal U and a well-conditioned T (the
stratification of quantum Monte Carlo; Loh et al. 1992, Bai et al. 2011), and the singular values of diag(exp d) T
are found by one-sided Jacobi rotations, which keep each to high relative accuracy (Demmel, Veselic 1992), with the
columns' lengths held as logarithms.

Sources: Demmel, Veselic 1992; Bai et al. 2011.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ortholab._scipy import linalg
from ortholab.errors import ArgumentError, bad, check_array

_SWEEPS = 60


def log_singular_values(factors: Sequence[np.ndarray]) -> np.ndarray:
    """Return the logarithms of the singular values of factors[-1] @ ... @ factors[0], descending.

    ``factors`` are L matrices of shapes (n_l, n_{l-1}), the first applied first. The result has shape
    (min over l of n_l,), float64; an exact zero (a row that a dead unit set to zero) is -inf, and so are the values
    beyond the rank. Each is right to about 1e-12 L in absolute terms however small it is, at a cost of
    O(L n^3). Raises ArgumentError for wrong shapes and for entries that are not finite.

    >>> log_singular_values([np.diag([1.0, 1e-200]), np.diag([1.0, 1e-200])]).round(3).tolist()
    [0.0, -921.034]
    """
    chain = _checked(factors)
    size = min([chain[0].shape[1], *(w.shape[0] for w in chain)])
    compact = _drop_zero_rows(chain)
    out = np.full(size, -np.inf)
    if compact is None:
        return out
    d, t = _stratify(compact)
    if d.size:
        out[: d.size] = _jacobi(d, t)
    return out


def _checked(factors: Sequence[np.ndarray]) -> list[np.ndarray]:
    if isinstance(factors, np.ndarray) and factors.ndim == 2:
        factors = [factors]
    chain = [check_array(f"factors[{i}]", w, ndim=2) for i, w in enumerate(factors)]
    if not chain:
        raise bad("factors", factors, "at least one matrix")
    for i in range(1, len(chain)):
        if chain[i].shape[1] != chain[i - 1].shape[0]:
            raise ArgumentError(
                f"factors[{i}] must have {chain[i - 1].shape[0]} columns, as factors[{i - 1}] has rows; "
                f"got shape {chain[i].shape}"
            )
    if any(w.size == 0 for w in chain):
        raise ArgumentError("factors must not have a side of length 0")
    return chain


def _drop_zero_rows(chain: list[np.ndarray]) -> list[np.ndarray] | None:
    """Take out rows that are exactly zero, with the next factor's columns; None if nothing is left."""
    out = []
    keep = np.ones(chain[0].shape[1], dtype=bool)
    for w in chain:
        w = w[:, keep]
        keep = np.any(w != 0, axis=1)
        if not keep.any():
            return None
        out.append(w[keep])
    return out


def _stratify(chain: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return (d, T) with the product equal to U diag(exp d) T, U orthonormal, d falling, T of shape (r, n_0)."""
    u = np.eye(chain[0].shape[1])
    d = np.zeros(u.shape[1])
    t = np.eye(u.shape[1])
    for w in chain:
        a = w @ u
        norm = _column_norms(a)
        order = np.argsort(-(np.log(np.where(norm > 0, norm, 1.0)) + d), kind="stable")
        order = order[norm[order] > 0]
        # Columns in falling order of length, so that R comes out graded: its rows shrink as its diagonal does.
        u, r = np.linalg.qr(a[:, order])
        if np.any(np.diagonal(r) == 0):  # exactly dependent columns: only pivoting puts the zero rows last
            u, r, pivots = linalg.qr(a[:, order], mode="economic", pivoting=True)
            rank = int(np.sum(np.diagonal(r) != 0))
            u, r, order = u[:, :rank], r[:rank], order[pivots]
        d, t = d[order], t[order]
        # R diag(exp d) = diag(exp e) [diag(exp -e) R diag(exp d)] with e_i = log |R_ii| + d_i.
        e = np.log(np.abs(np.diagonal(r))) + d[: r.shape[0]]
        t = _rescale(r, d, e) @ t
        d = e
    return d, t


def _column_norms(a: np.ndarray) -> np.ndarray:
    """Euclidean norms of columns; entries of 1e-200 do not underflow when they are squared."""
    top = np.max(np.abs(a), axis=0)
    return top * np.linalg.norm(a / np.where(top > 0, top, 1.0), axis=0)


def _rescale(r: np.ndarray, right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """diag(exp -left) r diag(exp right), with the exponents added before they are used."""
    with np.errstate(divide="ignore", under="ignore"):
        return np.sign(r) * np.exp(np.log(np.abs(r)) + right[None, :] - left[:, None])


def _jacobi(d: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Logarithms of the singular values of diag(exp d) T, descending, by one-sided Jacobi rotations.

    Row i is kept as exp(g_i) v_i with a unit vector v_i. One QR factorisation first makes rows of very different
    length nearly orthogonal, so that a few sweeps suffice.
    """
    order = np.argsort(-(d + np.log(np.linalg.norm(t, axis=1))), kind="stable")
    d, t = d[order], t[order]
    s = np.linalg.qr(t.T, mode="r")  # diag(exp d) T = (S diag(exp d))^T Q^T
    v = _rescale(s, d, d)
    g = d.copy()
    n = g.size
    _normalise(v, g, slice(None))
    pairs = _round_robin(n)
    for _ in range(_SWEEPS):
        worst = 0.0
        for p, q in pairs:
            worst = max(worst, _rotate(v, g, p, q))
        if worst < 1e-14:
            return np.sort(g)[::-1]
    raise ArithmeticError(f"Jacobi rotations did not converge in {_SWEEPS} sweeps: largest cosine {worst:.1e}")


def _normalise(v: np.ndarray, g: np.ndarray, rows: np.ndarray | slice) -> None:
    length = np.sqrt(np.einsum("ij,ij->i", v[rows], v[rows]))
    v[rows] /= length[:, None]
    g[rows] += np.log(length)


def _round_robin(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """All pairs of 0..n-1 as rounds of disjoint pairs (the circle method), so that a round is one vectorised step."""
    ring = list(range(n + n % 2))
    rounds = []
    for _ in range(len(ring) - 1):
        half = len(ring) // 2
        pair = [(a, b) for a, b in zip(ring[:half], ring[half:][::-1], strict=True) if a < n and b < n]
        rounds.append((np.array([a for a, _ in pair], dtype=int), np.array([b for _, b in pair], dtype=int)))
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return [r for r in rounds if r[0].size]


def _rotate(v: np.ndarray, g: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """Make rows p and q orthogonal, pair by pair; return the largest |cosine| that stood between them.

    With x the longer row's unit vector, y the shorter's, ratio rho <= 1 of lengths and cosine c, the rotation by
    tan = rho tau leaves x - rho^2 tau y and rho (y + tau x), orthogonal when tau solves the quadratic below. At
    rho = 0 this is Gram-Schmidt: nothing is lost however far apart the lengths are.
    """
    swap = g[p] < g[q]
    p, q = np.where(swap, q, p), np.where(swap, p, q)
    x, y = v[p], v[q]
    cosine = np.einsum("ij,ij->i", x, y)
    active = np.abs(cosine) > 1e-15
    if not active.any():
        return 0.0
    p, q, x, y, cosine = p[active], q[active], x[active], y[active], cosine[active]
    gap = 2 * (g[q] - g[p])
    rest = -np.expm1(gap)  # 1 - rho^2
    square = np.exp(gap)
    tau = -2 * cosine / (rest + np.sqrt(rest**2 + 4 * square * cosine**2))
    cos = 1 / np.sqrt(1 + square * tau**2)
    v[p] = cos[:, None] * (x - (square * tau)[:, None] * y)
    v[q] = cos[:, None] * (y + tau[:, None] * x)
    _normalise(v, g, p)
    _normalise(v, g, q)
    return float(np.max(np.abs(cosine)))
