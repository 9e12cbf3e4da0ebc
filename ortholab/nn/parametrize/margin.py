"""Singular values in a margin about 1: Vorontsov's factors U S V^T, all three trained."""

from __future__ import annotations

import torch

from ortholab.errors import ArgumentError, check_choice, check_number
from ortholab.nn.parametrize.base import Constraint
from ortholab.nn.parametrize.cayley import Cayley
from ortholab.nn.parametrize.exponential import Exponential

INNER = {"cayley": Cayley, "exponential": Exponential}


class Margin(Constraint):
    """W = gain U diag(s) V^T, s_i = 1 + m tanh(p_i / 2), U and V orthogonal by ``inner``: "cayley" or "exponential".

    tanh(p / 2) = 2 sigmoid(p) - 1, as the paper writes it: s_i lies in (1 - m, 1 + m), m = ``margin`` in (0, 1). The
    free parameters are U's, p (..., k) and V's. A start may have any singular values in the margin times gain; what is
    never reached are others, and those W whose U or V the inner method does not reach. Source: Vorontsov et al. 2017.

    >>> from ortholab.nn.parametrize import constrain, constraint_of
    >>> layer = constrain(torch.nn.Linear(4, 4), "weight", "margin", margin=0.2, project=True)
    >>> s = torch.linalg.svdvals(layer.weight)
    >>> isinstance(constraint_of(layer), Margin), bool(s.min() > 0.8) and bool(s.max() < 1.2)
    (True, True)
    """

    def __init__(self, name, shape, *, like, margin: float = 0.1, inner: str = "cayley", **common) -> None:
        super().__init__(name, shape, like=like, **common)
        self.margin = check_number("margin", margin, low=0, high=1, open_low=True, open_high=True)
        make = INNER[check_choice("inner", inner, tuple(INNER))]
        batch, plain = self.matrix[:-2], dict(gain=1.0, project=False, kernel=False, like=like)
        self.U = make(name, (*batch, self.n, self.k), **plain)
        self.V = make(name, (*batch, self.k, self.k), **plain)

    def frame(self, X: torch.Tensor, p: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
        """Return U diag(s) V^T (..., n, k)."""
        s = 1 + self.margin * torch.tanh(p / 2)
        return (self.U.frame(X) * s.unsqueeze(-2)) @ self.V.frame(Y).mT

    def start(self, value: torch.Tensor) -> torch.Tensor:
        """Return W / gain in float64, upright; with ``project`` the nearest orthogonal one."""
        Q = self.upright(value.double()) / self.gain
        if self.project:
            return self._nearest(Q)
        s = torch.linalg.svdvals(Q)
        if bool(((s - 1).abs() >= self.margin).any()):
            raise ArgumentError(
                f"{self.name} must have singular values / gain in the open interval 1 -+ margin = {self.margin:g}, or "
                f"pass project=True to start at 1; got {s.min().item():.4g} to {s.max().item():.4g}"
            )
        return Q

    def free(self, Q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the parameters of U, s and V."""
        U, s, Vh = torch.linalg.svd(Q, full_matrices=False)
        p = 2 * torch.atanh((s - 1) / self.margin)
        return *self.U.free(U), p, *self.V.free(Vh.mT)
