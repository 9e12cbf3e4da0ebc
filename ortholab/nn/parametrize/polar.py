"""The polar factor of a free matrix: Huang's Orthogonal Linear Module, with centring and groups of rows."""

from __future__ import annotations

import torch
from torch.autograd.function import once_differentiable

from ortholab.errors import ArgumentError, check_int
from ortholab.nn.parametrize.base import TOLERANCE, Constraint, polish


class _Whiten(torch.autograd.Function):
    """V (..., r, c) to Sigma^(-1/2) V, Sigma = V V^T, r <= c; the gradient is finite at equal eigenvalues.

    With Sigma = D diag(l) D^T the derivative of l -> l^(-1/2) has the divided differences
    F_ij = (l_i^(-1/2) - l_j^(-1/2)) / (l_i - l_j) = -1 / (sqrt(l_i l_j) (sqrt(l_i) + sqrt(l_j))), in the last form
    without a difference; eigenvectors themselves, whose derivatives have 1 / (l_i - l_j), are never differentiated.
    """

    @staticmethod
    def forward(V: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values, D = torch.linalg.eigh(V @ V.mT)
        roots = values.clamp(min=torch.finfo(V.dtype).tiny).sqrt()
        inverse = (D / roots.unsqueeze(-2)) @ D.mT
        return inverse @ V, inverse, D, values

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        _, inverse, D, values = output
        ctx.mark_non_differentiable(inverse, D, values)
        ctx.save_for_backward(inputs[0], inverse, D, values)

    @staticmethod
    @once_differentiable
    def backward(ctx, G: torch.Tensor, *_) -> torch.Tensor:
        V, inverse, D, values = ctx.saved_tensors
        roots = values.clamp(min=torch.finfo(V.dtype).tiny).sqrt()
        r, s = roots.unsqueeze(-1), roots.unsqueeze(-2)
        F = -1 / (r * s * (r + s))
        GVt = G @ V.mT
        inner = D.mT @ ((GVt + GVt.mT) / 2) @ D
        G_sigma = D @ (F * inner) @ D.mT
        return inverse @ G + 2 * (G_sigma @ V)


def whiten(V: torch.Tensor, name: str = "V") -> torch.Tensor:
    """Return (V V^T)^(-1/2) V, the matrix with orthonormal rows nearest to V (..., r, c), r <= c.

    With G = dLoss/dW, Sigma = V V^T = D diag(l) D^T, F_ij = -1 / (sqrt(l_i l_j) (sqrt(l_i) + sqrt(l_j))):
    dLoss/dV = Sigma^(-1/2) G + 2 D [F o (D^T sym(G V^T) D)] D^T V. Raises ArgumentError if V's rank is below r within
    rounding: the condition number of V must stay below 0.1 / sqrt(eps), 300 in float32. Source: Huang et al. 2018.

    >>> whiten(torch.tensor([[3.0, 0.0, 4.0]]))
    tensor([[0.6000, 0.0000, 0.8000]])
    """
    W, _, _, values = _Whiten.apply(V)
    if not torch.compiler.is_compiling():
        least, most = values[..., 0], values[..., -1]
        if not bool((least > 100 * torch.finfo(V.dtype).eps * most).all()):
            ratio = (least / most).min().item()
            raise ArgumentError(
                f"{name} must have a free matrix of full rank, with condition number below 0.1 / sqrt(eps); got a "
                f"ratio {ratio:.2g} of the eigenvalues of V V^T"
            )
    return polish(W.mT, name).mT


class Polar(Constraint):
    """W = gain Sigma^(-1/2) V_c, Sigma = V_c V_c^T: the polar factor of V_c; Huang's Orthogonal Linear Module.

    ``centring``: V_c is V less the mean of each row, so that W 1 = 0: the rows lie in a space of one dimension less,
    and n < k is needed. Without it V_c = V, and for n > k the columns are made orthonormal. ``groups``: each of them, a
    block of n / groups rows, is orthonormal by itself, which lets n be larger than k. Every W is reached (with
    centring every one with W 1 = 0), from V_c = P W with any symmetric positive definite P. Source: Huang et al. 2018,
    who centre and take groups of 64 filters.

    >>> from ortholab.nn.parametrize import constrain, constraint_of
    >>> layer = constrain(torch.nn.Linear(5, 3), "weight", "polar", centring=True, project=True)
    >>> isinstance(constraint_of(layer), Polar), bool(layer.weight.sum(1).abs().max() < 1e-5)
    (True, True)
    """

    def __init__(self, name, shape, *, like, centring: bool = False, groups: int = 1, **common) -> None:
        super().__init__(name, shape, like=like, **common)
        n, k = self.matrix[-2:]
        groups = check_int("groups", groups, 1)
        if n % groups:
            raise ArgumentError(f"groups must divide the {n} rows of {name}; got {groups}")
        rows, room = n // groups, k - 1 if centring else k
        if rows > room and (centring or groups > 1):
            raise ArgumentError(
                f"groups must leave at most {room} rows in each, for {k} columns with centring={centring}; got {rows} "
                f"(groups = {groups})"
            )
        self.centring, self.groups = centring, groups
        if groups > 1:
            self._set_matrix((*self.matrix[:-2], groups, rows, k))

    def frame(self, X: torch.Tensor) -> torch.Tensor:
        """Return Q (..., n, k) from an upright free matrix."""
        V = X.mT
        if self.centring:
            V = V - V.mean(-1, keepdim=True)
        return whiten(V, self.name).mT

    def free(self, Q: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the free matrix Q, whose polar factor is Q."""
        if not self.centring:
            return (Q,)
        off = Q.mean(-2).abs().max().item()
        if self.project:
            return (self._nearest(Q - Q.mean(-2, keepdim=True)),)
        if off > TOLERANCE:
            raise ArgumentError(
                f"{self.name} must have rows of mean 0 with centring=True, or pass project=True; got a mean {off:.3g}"
            )
        return (Q,)
