"""Steps along the Stiefel manifold as matrix products, and what each leaves of orthogonality: torch, batches lead.

Q is upright, (..., n, k) with n >= k and Q^T Q = I within rounding; S and T are skew. A bound is on the Frobenius norm
of what a step adds to Q^T Q - I beside rounding. `ortholab.theory.retractions` holds the same maps as definitions.
"""

from __future__ import annotations

import math

import torch

from ortholab.nn.optim._drift import tolerance


def frobenius(M: torch.Tensor) -> float:
    """The largest Frobenius norm in a batch of matrices, on the host."""
    if M.ndim == 2:
        return float(torch.linalg.vector_norm(M))
    return float(torch.linalg.vector_norm(M, dim=(-2, -1)).max())


def gram_minus_one(H: torch.Tensor) -> torch.Tensor:
    """H^T H - I."""
    E = H.mT @ H
    E.diagonal(dim1=-2, dim2=-1).sub_(1)
    return E


def tangent_(Q: torch.Tensor, Z: torch.Tensor) -> torch.Tensor:
    """Z <- Z - Q sym(Q^T Z): the orthogonal projection on the tangent space at Q."""
    C = Q.mT @ Z
    return Z.sub_(Q @ C.add(C.mT), alpha=0.5)


def riemannian(Q: torch.Tensor, G: torch.Tensor, metric: str) -> torch.Tensor:
    """The gradient that G = dL/dQ has as a tangent vector: G - Q G^T Q (canonical), G - Q sym(Q^T G) (Euclidean)."""
    if metric == "canonical":
        return G - Q @ (G.mT @ Q)
    return tangent_(Q, G.clone())


def shortening(M: torch.Tensor, longest: float) -> torch.Tensor | None:
    """Factors c (..., 1, 1) with ||c M||_2 <= ``longest``, or None where no matrix of the batch is longer.

    The bound is (sum_i s_i^16)^(1/16), at most k^(1/16) above the largest singular value s_1.
    """
    if float(torch.linalg.vector_norm(M, dim=(-2, -1)).max()) <= longest:
        return None
    top = M.abs().amax(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(M.dtype).tiny)
    power = (M / top).mT @ (M / top)
    for _ in range(2):
        power = power @ power
    bound = top * torch.linalg.vector_norm(power, dim=(-2, -1), keepdim=True) ** 0.125
    return (longest / bound).clamp_max(1.0) if float(bound.max()) > longest else None


def cayley_skew_(W: torch.Tensor, T: torch.Tensor, allowed: float, longest: float) -> tuple[float, bool]:
    """W <- (I + T/2)^(-1) (I - T/2) W for skew T (..., n, n); return the bound of the error it adds, and if it was cut.

    With x = T/2 the series I - 2x + 2x^2 - ... + 2x^(2m) misses orthogonality by 4 x^(2m+2) / (1 - x^2): it is used,
    with m = 1, 2 or 4 and thus 2, 3 or 5 products, where that is at most ``allowed``. Above, the equations are solved.
    A T with ||T||_2 above ``longest`` is shortened to it. T's memory is used up.
    """
    T2 = T @ T
    e = frobenius(T2) / 4  # ||x^2||_F; the largest x^2 occurs twice, so ||x^2||_2 <= e / sqrt 2
    cut = None
    if not e <= math.sqrt(2) * longest**2 / 4:
        cut = shortening(T, longest)
        if cut is not None:
            T, T2 = T * cut, T2 * cut**2
            e = frobenius(T2) / 4
    spectral = e / math.sqrt(2)
    for m in (1, 2, 4):
        error = 4.1 * e * spectral**m
        if spectral < 0.09 and error <= allowed:
            N = T.sub_(T2, alpha=0.5)
            if m >= 2:
                N = _add_product(N, N, T2, 0.25)
            if m == 4:
                N = _add_product(N, N, T2 @ T2, 0.0625)
            W.sub_(N @ W)
            return error, cut is not None
    half = T.div_(2)
    half.diagonal(dim1=-2, dim2=-1).add_(1)
    W.copy_(2 * torch.linalg.solve(half, W) - W)
    return tolerance(W) / 8.4, cut is not None


def _add_product(A: torch.Tensor, B: torch.Tensor, C: torch.Tensor, alpha: float) -> torch.Tensor:
    """A + alpha B C."""
    if A.ndim == 2:
        return torch.addmm(A, B, C, alpha=alpha)
    return torch.baddbmm(A, B, C, alpha=alpha) if A.ndim == 3 else A + alpha * (B @ C)


def cayley_tangent(Q: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """The Cayley retraction of a tangent X at a tall Q by k x k equations: theory.retractions.cayley."""
    A = Q.mT @ X
    K = X - Q @ A
    A = (A - A.mT) / 2
    C = K.mT @ K
    equations = C / 4 - A / 2
    equations.diagonal(dim1=-2, dim2=-1).add_(1)
    return Q + torch.linalg.solve(equations, X - Q @ (C / 2), left=False)


def polar_near(H: torch.Tensor) -> torch.Tensor:
    """Return the polar factor H (H^T H)^(-1/2) of an H of full rank with ||H||_2 < sqrt 2, by Newton and Schulz.

    With E = H^T H - I it is H (I - E/2 + 3 E^2/8 - ...): the first term leaves 3 E^2/4, two leave 5 E^3/8. Two terms
    at a time until nothing is left. Sources: Bjorck and Bowie 1971; Higham 2008.
    """
    done = 0.1 * tolerance(H)
    for _ in range(20):
        E = gram_minus_one(H)
        e = frobenius(E)
        if not e < 1e3:
            break  # a matrix that Newton and Schulz cannot help: the caller's check names it
        if 0.75 * e * e <= done:
            return H - H @ E / 2
        H = H + H @ torch.sub(0.375 * (E @ E), E, alpha=0.5)
        if 0.625 * e**3 <= done:
            return H
    return polar_reference(H)


def polar_reference(H: torch.Tensor) -> torch.Tensor:
    """The polar factor by singular values."""
    U, _, Vh = torch.linalg.svd(H, full_matrices=False)
    return U @ Vh


def qr_near(H: torch.Tensor) -> torch.Tensor:
    """Return the Q factor of H with R's diagonal positive, from the Cholesky factor of H^T H = R^T R.

    Good for a condition number of H near 1, as a step no longer than 1 has it (at most sqrt 2).
    """
    gram = H.mT @ H
    L, info = torch.linalg.cholesky_ex(gram)
    if bool((info != 0).any()):
        return qr_reference(H)
    return torch.linalg.solve_triangular(L.mT, H, upper=True, left=False)


def qr_reference(H: torch.Tensor) -> torch.Tensor:
    """The Q factor by Householder reflections, with R's diagonal made positive."""
    Q, R = torch.linalg.qr(H)
    signs = torch.sign(torch.diagonal(R, dim1=-2, dim2=-1))
    return Q * torch.where(signs == 0, 1.0, signs).to(Q.dtype).unsqueeze(-2)
