"""Recurrent weights with singular values in a band around 1: the factorisation W = U S V^T and its optimiser."""

from __future__ import annotations

import torch

from ortholab.errors import bad, check_choice, check_number
from ortholab.nn.init import haar
from ortholab.nn.step_rules import rule
from ortholab.theory.retractions import cayley

BASES = ("sgd", "rmsprop")


class SpectralMargin:
    """Moves a square W = U diag(s) V^T whose singular values stay in (1 - m, 1 + m); with m = 0, on the manifold.

        s_i = g (1 + m tanh(p_i / 2)),
        dL/dU = G V S,   dL/dV = G^T U S,   dL/ds_i = (U^T G V)_ii,   dL/dp_i = g m/2 (1 - tanh(p_i/2)^2) dL/ds_i,
        U <- (I + rate A/2)^(-1) (I - rate A/2) U,   A = (dL/dU) U^T - U (dL/dU)^T,   and V in the same way.

    G = dL/dW; the gain g is 1 in the paper. ``W`` comes orthogonal and is multiplied by g here (p = 0, V is drawn by
    ``generator``, U = W V). p goes by RMSprop at ``rate``, U and V by Cayley steps at ``basis_rate``: of the gradient
    (``bases`` "sgd", as in the paper) or of the gradient with RMSprop's averages: A_ij / (sqrt(v_ij) + eps), v an
    average of A^2, is skew again ("rmsprop"). All in float64, so U and V need no polish. Raises ArgumentError.
    Source: Vorontsov, Trabelsi, Kadoury and Pal 2017.

    >>> W = haar(4, generator=0)
    >>> update = SpectralMargin(W, 0.1, rate=0.1, basis_rate=0.1, generator=1)
    >>> for _ in range(300):  # minimise |W - 2 I|^2 / 2
    ...     update.update(W, W - 2 * torch.eye(4))
    >>> bool(((s := torch.linalg.svdvals(W)) < 1.1).all()), bool((s > 1.09).all())
    (True, True)
    """

    def __init__(
        self,
        W: torch.Tensor,
        margin: float,
        *,
        rate: float,
        basis_rate: float,
        bases: str = "sgd",
        gain: float = 1.0,
        generator: torch.Generator | int | None,
    ) -> None:
        if not isinstance(W, torch.Tensor) or W.ndim != 2 or W.shape[0] != W.shape[1]:
            raise bad("W", getattr(W, "shape", type(W).__name__), "a square matrix")
        self.margin = check_number("margin", margin, low=0, high=1)
        self.gain = check_number("gain", gain, low=0, open_low=True)
        self.basis_rate = check_number("basis_rate", basis_rate, low=0, open_low=True)
        self.bases = check_choice("bases", bases, BASES)
        n = len(W)
        self.V = haar(n, generator=generator, dtype=torch.float64)
        self.U = _polar(W.detach().double()) @ self.V
        self.p = torch.zeros(n, dtype=torch.float64)
        self._rule = rule("rmsprop", [self.p], rate)
        self._v = [torch.zeros(n, n, dtype=torch.float64) for _ in range(2)]
        if self.gain != 1:
            W.mul_(self.gain)

    @property
    def s(self) -> torch.Tensor:
        """The singular values, in the order of the columns of U and V; shape (n,)."""
        return self.gain * (1 + self.margin * torch.tanh(self.p / 2))

    @torch.no_grad()
    def update(self, W: torch.Tensor, G: torch.Tensor) -> None:
        """Move U, V and p one step down the gradient G = dLoss/dW and write the new U S V^T into ``W``."""
        dU, dp, dV = self.gradients(G.double())
        self._rule.begin()
        if self.margin:
            self._rule.apply(0, self.p, dp)
        self.U, self.V = self._turn(0, self.U, dU), self._turn(1, self.V, dV)
        W.copy_((self.U * self.s) @ self.V.T)

    def gradients(self, G: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return dL/dU, dL/dp and dL/dV, taken as if U and V were free, from G = dL/dW."""
        U, V, s = self.U, self.V, self.s
        GV = G @ V
        ds = torch.sum(U * GV, 0)
        return GV * s, ds * (self.gain * self.margin / 2) * (1 - torch.tanh(self.p / 2) ** 2), (G.T @ U) * s

    def state_dict(self) -> dict:
        """Return U, V, p and the averages."""
        return {"U": self.U, "V": self.V, "p": self.p, "v": list(self._v), "rule": self._rule.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        """Copy in what ``state_dict`` gave."""
        self.U, self.V = state["U"].clone(), state["V"].clone()
        self.p.copy_(state["p"])
        self._v = [v.clone() for v in state["v"]]
        self._rule.load_state_dict(state["rule"])

    def _turn(self, k: int, Q: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        A = gradient @ Q.T
        A = A - A.T
        if self.bases == "rmsprop":  # one average for A_ij and A_ji: the quotient stays skew
            v = self._v[k].mul_(0.99).addcmul_(A, A, value=0.01)
            A = A / (v.sqrt() + 1e-8)
        return cayley(Q, -self.basis_rate * (A @ Q))


def _polar(W: torch.Tensor) -> torch.Tensor:
    """The orthogonal matrix nearest to W: float32 rounding goes, anything else was no orthogonal start."""
    U, s, Vh = torch.linalg.svd(W)
    if not bool(((s - 1).abs() < 1e-3).all()):
        raise bad("W", f"singular values from {s.min():.4g} to {s.max():.4g}", "orthogonal at the start")
    return U @ Vh
