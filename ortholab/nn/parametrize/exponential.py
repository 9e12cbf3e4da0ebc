"""The matrix exponential of a skew matrix, at a base point: expRNN, trivialisations.

Sources: Lezcano-Casado, Martinez-Rubio 2019 (arXiv 1901.08428); Lezcano-Casado 2019 (arXiv 1909.09501).
"""

from __future__ import annotations

import torch

from ortholab.nn.parametrize.base import Constraint, polish
from ortholab.nn.parametrize.base_point import BasePoint
from ortholab.nn.parametrize.skew import blocks
from ortholab.nn.parametrize.taylor import matrix_exp


def exponential_frame(A: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Return the first k columns of exp(S), S = [[A, -K^T], [K, 0]], A skew (..., k, k), K (..., n - k, k).

    For n > 2 k only a 2k x 2k exponential is taken. The columns Y(t) of exp(t S) obey Y' = S Y. Put Y = [M; K U / c]:
    M' = A M - K^T K U / c, U' = c M, so [M; U] are the first k columns of exp [[A, -K^T K / c], [c I, 0]]. c = ||K||_F
    (at least 1) balances the blocks; the result does not depend on it. There is no QR of K here, whose gradient does
    not exist at K = 0.

    >>> exponential_frame(torch.tensor([[0.0, -torch.pi], [torch.pi, 0.0]]), torch.zeros(0, 2)).round().abs().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    below, k = K.shape[-2:]
    if below == 0:
        return matrix_exp(A)
    if below <= k:
        zero = K.new_zeros(*K.shape[:-2], below, below)
        S = torch.cat([torch.cat([A, -K.mT], dim=-1), torch.cat([K, zero], dim=-1)], dim=-2)
        return matrix_exp(S)[..., :k]
    c = torch.linalg.matrix_norm(K.detach()).clamp(min=1.0)[..., None, None]
    eye = torch.eye(k, dtype=A.dtype, device=A.device).expand_as(A)
    top = torch.cat([A, -(K.mT @ K) / c], dim=-1)
    Y = matrix_exp(torch.cat([top, torch.cat([c * eye, torch.zeros_like(A)], dim=-1)], dim=-2))[..., :k]
    return torch.cat([Y[..., :k, :], K @ Y[..., k:, :] / c], dim=-2)


class Exponential(Constraint):
    """W = gain B exp(A), A skew, with a fixed orthogonal base point B: the matrix that the weight has (A = 0 there).

    n x k: the first k columns, B is n x n. Every W of B's component is reached: for square W those with det(W) of the
    sign of det(B), for n > k all. Assigning a weight moves B there (a dynamic trivialisation does so now and then).
    The rounding of the squarings is taken off by one Newton step. Sources: Lezcano-Casado, Martinez-Rubio 2019;
    Lezcano-Casado 2019.

    >>> from ortholab.nn.parametrize import constrain, constraint_of
    >>> layer = constrain(torch.nn.Linear(2, 4), "weight", "exponential", gain=1.5, project=True)
    >>> isinstance(constraint_of(layer), Exponential), round(torch.linalg.matrix_norm(layer.weight, 2).item(), 4)
    (True, 1.5)
    """

    def __init__(self, name, shape, *, like, **common) -> None:
        super().__init__(name, shape, like=like, **common)
        self.base = BasePoint((*self.matrix[:-2], self.n, self.k), like)

    def frame(self, X: torch.Tensor) -> torch.Tensor:
        """Return Q (..., n, k)."""
        return polish(self.base(exponential_frame(*blocks(X))), self.name)

    def free(self, Q: torch.Tensor) -> tuple[torch.Tensor]:
        """Move the base point to Q and return its parameters, zero."""
        self.base.set(Q)
        return (torch.zeros_like(Q),)
