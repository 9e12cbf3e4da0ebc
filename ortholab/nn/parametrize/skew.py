"""Skew matrices as free parameters, in the form that n x k frames need: A on top, K below."""

from __future__ import annotations

import torch


def blocks(X: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A = L - L^T for the strict lower triangle L of X's first k rows, and K, the n - k rows below.

    They stand for the n x n skew matrix S = [[A, -K^T], [K, 0]]. It has n k - k (k + 1) / 2 free entries, the dimension
    of the Stiefel manifold; X (..., n, k) has more, and those on and above the diagonal are never used.

    >>> A, K = blocks(torch.tensor([[9.0, 9.0], [2.0, 9.0], [3.0, 4.0]]))
    >>> A.tolist(), K.tolist()
    ([[0.0, -2.0], [2.0, 0.0]], [[3.0, 4.0]])
    """
    k = X.shape[-1]
    L = X[..., :k, :].tril(-1)
    return L - L.mT, X[..., k:, :]


def join(A: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Return the X (..., n, k) whose :func:`blocks` are A and K.

    >>> join(torch.tensor([[0.0, -2.0], [2.0, 0.0]]), torch.tensor([[3.0, 4.0]])).tolist()
    [[0.0, 0.0], [2.0, 0.0], [3.0, 4.0]]
    """
    return torch.cat([A.tril(-1), K], dim=-2)
