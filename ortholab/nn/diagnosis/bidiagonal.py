"""Singular values of a matrix that is known only by its products: Golub-Kahan bidiagonalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Ritz:
    """Approximate singular values ``s`` (k,), ascending; their ``errors`` and the ``weights`` of the law, each (k,).

    There is a singular value of A within ``errors[i]`` of ``s[i]``. s[-1] is never above the largest one and s[0] never
    below the smallest. ``weights`` sum to 1: sum_i weights[i] f(s[i]^2) estimates tr f(A^T A) / n.
    """

    s: np.ndarray
    errors: np.ndarray
    weights: np.ndarray
    steps: int


def golub_kahan(
    matvec: Product, rmatvec: Product, n: int, *, steps: int, tolerance: float = 0.01, rng: np.random.Generator
) -> Ritz:
    """Bidiagonalise A (m, n), m >= n, from a random unit vector, until both ends are found or ``steps`` are done.

    A V_k = U_k B_k and A^T U_k = V_k B_k^T + beta_k v_{k+1} e_k^T with B_k upper bidiagonal. With B_k = P S Q^T the
    vectors u = U_k p_i, v = V_k q_i obey A v = s_i u exactly, and |A^T u - s_i v| = beta_k |P_ki|: the error bound.
    Both bases are reorthogonalised at every step. Found means: errors of both ends below ``tolerance`` of their
    values. A start on the short side leaves the null space of a wide matrix out. The bound says that a singular value
    is near, not that no other is beyond: a random start misses one with probability 0, and a cluster in finite steps.
    Source: Golub and Kahan 1965 (SIAM J. Numer. Anal. 2, 205).

    >>> A = np.diag([3.0, 2.0, 1.0])
    >>> golub_kahan(A.dot, A.T.dot, 3, steps=3, rng=np.random.default_rng(0)).s.round(9)
    array([1., 2., 3.])
    """
    v = rng.standard_normal(n)
    V, U = [v / np.linalg.norm(v)], []
    alphas, betas = [], []
    largest, ritz = 0.0, None
    for k in range(min(steps, n)):
        u = _without(matvec(V[-1]), U)
        alpha = float(np.linalg.norm(u))
        largest = max(largest, alpha)
        # A V_k = U_k B_k holds with any unit u when alpha is 0; its column is then zero.
        U.append(u / alpha if alpha > 1e-14 * largest else np.zeros_like(u))
        alphas.append(alpha)
        w = _without(rmatvec(U[-1]), V)
        beta = float(np.linalg.norm(w))
        largest = max(largest, beta)
        done = k + 1 == min(steps, n) or beta <= 1e-14 * largest
        if done or k % 5 == 4:
            ritz = _ritz(alphas, betas, 0.0 if k + 1 == n else beta, k + 1)
            if done or np.all(ritz.errors[[0, -1]] <= tolerance * ritz.s[[0, -1]]):
                break
        betas.append(beta)
        V.append(w / beta)
    return ritz


def _without(x: np.ndarray, basis: list[np.ndarray]) -> np.ndarray:
    """x less its components along the basis, taken off twice: once is not enough in rounding."""
    if basis:
        Q = np.array(basis)
        for _ in range(2):
            x = x - Q.T @ (Q @ x)
    return x


def _ritz(alphas: list[float], betas: list[float], beta: float, k: int) -> Ritz:
    B = np.diag(alphas) + np.diag(betas[: k - 1], 1)
    P, s, Qt = np.linalg.svd(B)
    order = np.argsort(s)
    return Ritz(s[order], beta * np.abs(P[-1, order]), Qt[order, 0] ** 2, k)
