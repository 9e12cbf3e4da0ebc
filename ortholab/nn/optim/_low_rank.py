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

from ortholab.nn.optim._drift import tolerance

STACKED = 64  # up to so many rows the 2B x 2B matrices of layers of one shape go through each operation together


class LowRankStep:
    """Steps W <- W - rate U'^T M V of layers of one shape; ``probe`` holds the numbers to know before a W may change.

    Each U = [D; Y] is (2B, n_out), each V = [X; dX] (2B, n_in); ``balances`` are the b of each, or None to find it.
    """

    def __init__(self, parameters: list, stacks: list, rate: float, gain: float, balances: list) -> None:
        self.parameters, self.stacks, self.rate, self.square = parameters, stacks, rate, gain**2
        W, U = parameters[0], stacks[0][0]
        self.rows = B = len(U) // 2
        tall = W.shape[0] >= W.shape[1]
        gram = U.new_empty(len(stacks), 2 * B, 2 * B)
        for side, into in zip((pair[0 if tall else 1] for pair in stacks), gram, strict=True):
            torch.mm(side, side.t(), out=into)
        gram = gram.view(-1, 2, B, 2, B)
        f, h = (1, 0) if tall else (0, 1)  # which block is F, up to gain^2
        F, H = gram[:, f, :, f], gram[:, h, :, h]
        self.balances = [b or _balance(F[k], H[k]) for k, b in enumerate(balances)]
        unit, c = rate / (2 * self.square), 1.0 if tall else self.square
        signs = [[[unit, -unit * c / b], [unit * b / c, -unit]] for b in self.balances]
        signs = gram.new_tensor(signs).view(-1, 2, 1, 2, 1)
        self.K = gram.flip(1 if tall else 3).mul_(signs).view(-1, 2 * B, 2 * B)
        # The eigenvalues of FH are (rate sigma)^2, sigma the singular values of P / g^2: their sum, and that of their
        # fourth powers.
        self._rest = max(abs(2 * unit), 1.0)  # kept apart: no step size shall make the powers overflow
        FH = torch.bmm(F, H).mul_((2 * unit / self._rest) ** 2)
        FH2 = torch.bmm(FH, FH)
        self.probe = torch.stack([(FH2 * FH2.mT).sum((1, 2)), FH.diagonal(dim1=1, dim2=2).sum(1)])

    def move_(self, probe: list[float], longest: float, allowed: float) -> list[tuple[float, float, bool]]:
        """Take the steps in place; return for each the bound of the error added, the growth of an old one, and if cut.

        With s >= ||S||_2 and f >= ||S||_F: M = I - K leaves at most 4 s^3 f in Q^T Q - I, M = (I - K)(I + K^2) leaves
        4 s^5 f, another factor I + K^4 leaves 4 s^9 f; the first that is at most ``allowed`` is taken, and M = (I +
        K)^(-1) above. A step with ||A||_2 above ``longest`` is shortened. Since X stands for Y W in V, an error E of
        W W^T becomes E + rate (P^T E + E P): it grows at most by the factor 1 + 2 rate sigma_max.
        """
        count = len(self.parameters)
        f = [self._rest * math.sqrt(max(value, 0.0)) for value in probe[count:]]
        sigma = [min(self._rest * max(value, 0.0) ** 0.125, top) for value, top in zip(probe, f, strict=False)]
        s, rates, K = sigma, [self.rate] * count, self.K
        factors = [1.0 if 2 * v <= longest else min(1.0, longest / (2 * _spectral(K[k]))) for k, v in enumerate(sigma)]
        if min(factors) < 1:
            K = K * K.new_tensor(factors).view(-1, 1, 1)
            rates = [rate * c for rate, c in zip(rates, factors, strict=True)]
            sigma, f = ([v * c for v, c in zip(values, factors, strict=True)] for values in (sigma, f))
            s = [min(v, longest / 2) if c < 1 else v for v, c in zip(sigma, factors, strict=True)]
        order = next((m for m in (1, 2, 4) if _left(max(s), max(f), m) <= allowed), 0)
        M = self._inverse(K, order)
        g = self.square
        signs = M.new_tensor([[[1, b / g], [-1 / b, -1 / g]] for b in self.balances]).view(-1, 2, 1, 2, 1)
        M.view(-1, 2, self.rows, 2, self.rows).mul_(signs)
        for W, (U, V), turn, rate in zip(self.parameters, self.stacks, M, rates, strict=True):
            W.addmm_(U.t(), turn @ V, alpha=-rate)
        rounding = tolerance(self.parameters[0]) / 8.4
        return [
            (_left(s[k], f[k], order) if order else rounding, 2 * sigma[k], factors[k] < 1) for k in range(count)
        ]  # fmt: skip

    def _inverse(self, K: torch.Tensor, order: int) -> torch.Tensor:
        """(I + K)^(-1) by the first 2 ``order`` terms of its series, all of it if ``order`` is 0."""
        if order == 0:
            K = K.clone()
            K.diagonal(dim1=1, dim2=2).add_(1)
            return torch.linalg.inv(K)
        M = -K
        M.diagonal(dim1=1, dim2=2).add_(1)
        if order >= 2:
            K2 = torch.bmm(K, K)
            M = torch.baddbmm(M, M, K2)
        if order == 4:
            M = torch.baddbmm(M, M, torch.bmm(K2, K2))
        return M


def _left(s: float, f: float, order: int) -> float:
    """What the series with 2 ``order`` terms leaves of orthogonality, at most."""
    return 4.1 * s ** (2 * order + 1) * f if s < 0.4 else math.inf


def _balance(F: torch.Tensor, H: torch.Tensor) -> float:
    sizes = torch.stack([F.diagonal().sum(), H.diagonal().sum()]).tolist()
    ratio = sizes[0] / sizes[1] if sizes[1] > 0 else 0.0
    return math.sqrt(ratio) if 0 < ratio < math.inf else 1.0


def _spectral(K: torch.Tensor) -> float:
    """||S||_2 within a factor (2B)^(1/16): (sum s^16 / 2)^(1/16), the powers taken of K / its largest entry."""
    top = float(K.abs().max())
    power = K / top
    for _ in range(3):
        power = power @ power
    return top * max(float((power * power.t()).sum()) / 2, 1e-300) ** (1 / 16)
