"""The Cayley step of a Linear layer from what its backward pass holds anyway: no weight gradient, no n x n equations.

For y = W x with a batch as rows, X (B, n_in), Y = X W^T, D = dL/dY and dX = D W = dL/dX, the gradient is G = D^T X. For
a square or tall W = gQ the step turns by the skew matrix A = rate (G W^T - W G^T) / g^2 = rate (P - P^T) / g^2 with
P = D^T Y, of rank 2B. By Woodbury's identity, with W^T W = g^2 I,

    (I + A/2)^(-1) (I - A/2) W = W - rate [D; -Y]^T (I + K)^(-1) [X; dX / g^2],
    K = (rate / 2g^2) [ Y D^T   -Y Y^T ]  =  (rate / 2g^2) [ L    -F  ]
                      [ D D^T   -D Y^T ]                   [ H   -L^T ].

A wide W turns on its other side, by dX^T X - X^T dX, and the same line comes out with L = X dX^T, F = g^2 X X^T and
H = dX dX^T / g^2. K is similar to [L, -F/b; b H, -L^T] for every b > 0: that b is taken which makes F and H alike.
Its eigenvalues are those of S = A/2, so ||S||_F^2 = -tr K^2; and the squared singular values of P are the eigenvalues
of F H, B x B. Source of the low-rank form: Wen and Yin 2013, Lemma 4.
"""

from __future__ import annotations

import math

import torch


class LowRankStep:
    """One step W <- W - rate U'^T M V; ``probe`` holds the numbers to know before W may change.

    ``U`` = [D; Y] (2B, n_out), ``V`` = [X; dX] (2B, n_in), ``balance`` is b.
    """

    def __init__(self, W, U: torch.Tensor, V: torch.Tensor, rate: float, gain: float, balance: float | None) -> None:
        self.W, self.U, self.V, self.rate, self.square = W, U, V, rate, gain**2
        self.parameters = [W]
        self.rows = rows = len(U) // 2
        tall = W.shape[0] >= W.shape[1]
        side = U if tall else V
        gram = (side @ side.t()).view(2, rows, 2, rows)
        f, h = (1, 0) if tall else (0, 1)  # which block is F, up to gain^2
        F, H = gram[f, :, f], gram[h, :, h]
        if balance is None:
            sizes = torch.stack([F.diagonal().sum(), H.diagonal().sum()]).tolist()
            balance = math.sqrt(sizes[0] / sizes[1]) if sizes[1] > 0 and math.isfinite(sizes[0] / sizes[1]) else 1.0
        unit, c = rate / (2 * self.square), 1.0 if tall else self.square
        self.balance = b = balance
        signs = gram.new_tensor([[unit, -unit * c / b], [unit * b / c, -unit]]).view(2, 1, 2, 1)
        self.K = gram.flip(0 if tall else 2).mul_(signs).view(2 * rows, 2 * rows)
        # The eigenvalues of FH are (rate sigma)^2, sigma the singular values of P / g^2: their sum, and that of their
        # fourth powers.
        self._rest = max(abs(2 * unit), 1.0)  # kept apart: no step size shall make the powers overflow
        FH = torch.mm(F, H).mul_((2 * unit / self._rest) ** 2)
        FH2 = FH @ FH
        self.probe = torch.stack([(FH2 * FH2.t()).sum(), FH.trace()])

    def move_(self, probe: list[float], longest: float, allowed: float) -> tuple[float, float, bool]:
        """Take the step in place; return the bound of the error added, the growth of an old one, whether it was capped.

        With s >= ||S||_2 and f >= ||S||_F: M = I - K leaves at most 4 s^3 f in Q^T Q - I, M = (I - K)(I + K^2) leaves
        4 s^5 f, another factor I + K^4 leaves 4 s^9 f; the first that is at most ``allowed`` is taken, and M = (I +
        K)^(-1) above. A step with ||A||_2 above ``longest`` is shortened. Since X stands for Y W in V, an error E of
        W W^T becomes E + rate (P^T E + E P): it grows at most by the factor 1 + 2 rate sigma_max.
        """
        sigma, f = self._rest * max(probe[0], 0.0) ** 0.125, self._rest * math.sqrt(max(probe[1], 0.0))
        sigma = s = min(sigma, f)
        K, rate, factor = self.K, self.rate, 1.0
        if not 2 * s <= longest:
            factor = min(1.0, longest / (2 * self._spectral()))
            K, rate = K * factor, rate * factor
            s, f, sigma = min(s * factor, longest / 2), f * factor, sigma * factor
        error = 4.1 * s**3 * f
        if 4.1 * s**9 * f > allowed:
            E = K.clone()
            E.diagonal().add_(1)
            M, error = torch.linalg.inv(E), 0.0
        else:
            M = -K
            M.diagonal().add_(1)
        if error > allowed:
            K2 = K @ K
            M = torch.addmm(M, M, K2)
            error = 4.1 * s**5 * f
            if error > allowed:
                M = torch.addmm(M, M, K2 @ K2)
                error = 4.1 * s**9 * f
        b, g = self.balance, self.square
        M.view(2, self.rows, 2, self.rows).mul_(M.new_tensor([[1, b / g], [-1 / b, -1 / g]]).view(2, 1, 2, 1))
        self.W.addmm_(self.U.t(), M @ self.V, alpha=-rate)
        return error, 2 * sigma, factor < 1

    def _spectral(self) -> float:
        """||S||_2 within a factor (2B)^(1/16): (sum s^16 / 2)^(1/16), the powers taken of K / its largest entry."""
        top = float(self.K.abs().max())
        power = self.K / top
        for _ in range(3):
            power = power @ power
        return top * max(float((power * power.t()).sum()) / 2, 1e-300) ** (1 / 16)
