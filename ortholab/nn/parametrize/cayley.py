"""Cayley's transform of a skew matrix: square, or the first k columns of it, by k x k equations only.

Sources: Helfrich, Willmott, Ye 2018 (arXiv 1707.09520); Wen and Yin 2013.
"""

from __future__ import annotations

import torch

from ortholab.errors import ArgumentError, check_choice
from ortholab.nn.parametrize.base import Constraint, polish
from ortholab.nn.parametrize.base_point import BasePoint
from ortholab.nn.parametrize.skew import blocks, join

BASES = ("start", "identity")


def cayley_frame(A: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Return the first k columns of (I - S)^(-1) (I + S), S = [[A, -K^T], [K, 0]], A skew (..., k, k), K (..., n-k, k).

    They are [2 X - I; 2 K X] with X = (I - A + K^T K)^(-1): O(n k^2) work, S is never formed. For the equations always
    have a solution: x^T (I - A + K^T K) x >= x^T x.

    >>> cayley_frame(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), torch.zeros(0, 2)).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    eye = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    X = torch.linalg.inv(eye - A + K.mT @ K)
    return torch.cat([2 * X - eye, 2 * (K @ X)], dim=-2)


def cayley_skew(Q: torch.Tensor, eps: float) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return A, K with cayley_frame(A, K) = Q, or None if the top k x k block of Q has an eigenvalue -1 (within eps).

    With Q = [Q1; Q2]: X = (Q1 + I) / 2, K = Q2 (Q1 + I)^(-1), A = I + K^T K - X^(-1).
    """
    k = Q.shape[-1]
    eye = torch.eye(k, dtype=Q.dtype, device=Q.device)
    top = Q[..., :k, :] + eye
    if torch.linalg.svdvals(top).min().item() <= eps:
        return None
    inverse = torch.linalg.inv(top)
    K = Q[..., k:, :] @ inverse
    A = eye + K.mT @ K - 2 * inverse
    return (A - A.mT) / 2, K


class Cayley(Constraint):
    """W = gain B (I - A)^(-1) (I + A), A skew, with a fixed orthogonal base point B.

    ``base`` "start": B is the matrix that the weight has (A = 0 there), so that any orthogonal start will do and any W
    can be assigned. "identity": B = I, the plain transform. n x k: the first k columns, B is n x n. Never reached: W
    for which B^T W / gain has an eigenvalue -1 (its top k x k block, for n > k). det(W) keeps the sign of det(B).

    >>> from ortholab.nn.parametrize import constrain, constraint_of
    >>> layer = constrain(torch.nn.Linear(3, 3), "weight", "cayley", project=True)
    >>> isinstance(constraint_of(layer), Cayley), bool(torch.linalg.svdvals(layer.weight).max() < 1.0001)
    (True, True)
    """

    def __init__(self, name, shape, *, like, base: str = "start", **common) -> None:
        super().__init__(name, shape, like=like, **common)
        check_choice("base", base, BASES)
        self.tolerance = torch.finfo(like.dtype).eps ** 0.5
        upright = (*self.matrix[:-2], self.n, self.k)
        self.base = BasePoint(upright, like) if base == "start" else None

    def frame(self, X: torch.Tensor) -> torch.Tensor:
        """Return Q (..., n, k)."""
        Q = cayley_frame(*blocks(X))
        return polish(Q if self.base is None else self.base(Q), self.name)

    def free(self, Q: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the parameters of Q: zero at a base point, which is moved there."""
        if self.base is not None:
            self.base.set(Q)
            return (torch.zeros_like(Q),)
        found = cayley_skew(Q, self.tolerance)
        if found is None:
            raise ArgumentError(
                f"{self.name} must have no eigenvalue -1 times gain (in its first {self.k} rows and columns), or it is "
                f"no Cayley transform; got one within {self.tolerance:.1e}. base='start' or 'scaled_cayley' reach it"
            )
        return (join(*found),)
