"""A fixed orthogonal matrix B (n x n) with given first k columns, stored in O(n k) and applied in O(n k^2)."""

from __future__ import annotations

import torch


class BasePoint(torch.nn.Module):
    """B with B [I; 0] = Q; ``forward(F)`` returns B F for F (..., n, m).

    For Q = [Q1; Q2] let Q1 = S H, S orthogonal and H symmetric, H >= 0 (its polar form), and V = Q + [S; 0]. Then
    V^T V = 2 (I + H), and the reflection R = I - V (I + H)^(-1) V^T turns V round and leaves Q - [S; 0] alone, for that
    is orthogonal to V. So R Q = -[S; 0], and B = R diag(-S, I). For square Q, B = Q. B is a buffer: it is saved with
    the model and not trained.
    """

    def __init__(self, shape: tuple[int, ...], like: torch.Tensor) -> None:
        super().__init__()
        *batch, n, k = shape
        self.register_buffer("turn", torch.eye(k, dtype=like.dtype, device=like.device).repeat(*batch, 1, 1))
        self.register_buffer("mirror", like.new_zeros(*batch, n, k) if n > k else None)

    def set(self, Q: torch.Tensor) -> None:
        """Take Q (..., n, k), orthonormal and in float64, as the new first columns."""
        k = Q.shape[-1]
        if self.mirror is None:
            self.turn.copy_(Q)
            return
        U, s, Vh = torch.linalg.svd(Q[..., :k, :])
        S = U @ Vh
        V = Q.clone()
        V[..., :k, :] += S
        # V (I + H)^(-1/2), H = Vh^T diag(s) Vh: so R = I - mirror mirror^T.
        self.mirror.copy_((V @ Vh.mT) / torch.sqrt(1 + s).unsqueeze(-2))
        self.turn.copy_(-S)

    def forward(self, F: torch.Tensor) -> torch.Tensor:
        """Return B F."""
        if self.mirror is None:
            return self.turn @ F
        k = self.turn.shape[-1]
        Y = torch.cat([self.turn @ F[..., :k, :], F[..., k:, :]], dim=-2)
        return Y - self.mirror @ (self.mirror.mT @ Y)
