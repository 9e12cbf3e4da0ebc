"""The Cayley step of a Linear layer from what its backward pass holds anyway: no weight gradient, no n x n equations.

For y = W x with a batch as rows, X (B, n_in), Y = X W^T, D = dL/dY and dX = D W = dL/dX, the gradient is G = D^T X. For
a square or tall W = gQ, the skew matrix of the step is (G W^T - W G^T) / g^2 = (D^T Y - Y^T D) / g^2 = U^T V / g^2 with
U = [D; -Y] and V = [Y; D] of 2B rows, and by Woodbury's identity, with K = (rate / 2g^2) V U^T and W^T W = g^2 I,

    (I + A/2)^(-1) (I - A/2) W = W - rate U^T (I + K)^(-1) [X; dX / g^2],     A = rate U^T V / g^2.

A wide W turns on its other side, by dX^T X - X^T dX, and the same line comes out with the blocks X dX^T, X X^T, dX dX^T
in the place of Y D^T, Y Y^T / g^2, g^2 D D^T. Source of the low-rank form: Wen and Yin 2013, Lemma 4.
"""

from __future__ import annotations

import math

import torch


class LowRankStep:
    """One step W <- Cayley(-rate A) W; ``probe`` holds what must be known before W may change.

    ``U`` = [D; -Y] (2B, n_out), ``V`` = [X; dX] (2B, n_in).
    """

    def __init__(self, W: torch.Tensor, U: torch.Tensor, V: torch.Tensor, rate: float, gain: float) -> None:
        self.W, self.U, self.V, self.rate, self.gain = W, U, V, rate, gain
        B = len(U) // 2
        if W.shape[0] >= W.shape[1]:
            gram = U @ U.t()
            L, F, H = -gram[B:, :B], gram[B:, B:], gram[:B, :B]
        else:
            gram = V @ V.t()
            L, F, H = gram[:B, B:], gram[:B, :B] * gain**2, gram[B:, B:] / gain**2
        # K is similar to [L, -F/b; b H, -L^T] for every b > 0; the b that makes F and H alike keeps its powers exact.
        sizes = torch.stack([F.diagonal().sum(), H.diagonal().sum()]).clamp_min(torch.finfo(W.dtype).tiny)
        self._b = b = torch.sqrt(sizes[0] / sizes[1])
        K = torch.empty_like(gram)
        K[:B, :B], K[:B, B:], K[B:, :B], K[B:, B:] = L, F / -b, H * b, -L.t()
        self.K = K.mul_(rate / (2 * gain**2))
        # largest entry of K; ||S||_F^2 = -tr K^2 for S = A/2; and ||D^T Y||_F^2, which bounds how an error of W grows.
        self.probe = torch.stack([K.abs().max(), -(K * K.t()).sum(), (F * H).sum()])

    def move_(self, probe: list[float], longest: float, allowed: float) -> tuple[float, float, bool]:
        """Take the step in place; return the bound of the error added, the growth of an old one, whether it was capped.

        With s = ||S||, S = A/2: M = I - K leaves 4 s^4 in Q^T Q - I, M = (I - K)(I + K^2) leaves 4 s^6, a product with
        I + K^4 more 4 s^10; the first whose error is at most ``allowed`` is taken, and (I + K)^(-1) is solved for above.
        A step with ||A||_2 above ``longest`` is shortened.
        """
        K, rate = self.K, self.rate
        top, square, inner = probe
        growth = 2 * abs(rate) / self.gain**2 * math.sqrt(max(inner, 0.0))
        factor, error, M = 1.0, 0.0, None
        e = max(square, 0.0) / math.sqrt(2)  # >= the largest s^2 times sqrt 2, and >= ||S^2||_F
        if top < 1 and 2.9 * e * e <= allowed:
            M, error = -K, 2.9 * e * e
            M.diagonal().add_(1)
        else:
            factor = self._shortening(top, square, longest)
            if factor < 1:
                K, rate, growth = K * factor, rate * factor, growth * factor
            K2 = K @ K
            e = math.sqrt(max(float((K2 * K2.t()).sum()), 0.0))  # ||S^2||_F, and each eigenvalue of S^2 occurs twice
            for m in (2, 4):
                error = 4.1 * e * (e / math.sqrt(2)) ** m
                if e < 0.2 and error <= allowed:
                    M = -K
                    M.diagonal().add_(1)
                    M = M + M @ K2
                    if m == 4:
                        M = M + M @ (K2 @ K2)
                    break
            else:
                K = K.clone()
                K.diagonal().add_(1)
                M, error = torch.linalg.inv(K), 0.0
        B = len(K) // 2
        M[:B, B:] *= self._b / self.gain**2
        M[B:, :B] /= self._b
        if self.gain != 1:
            M[B:, B:] /= self.gain**2
        self.W.addmm_(self.U.t(), M @ self.V, alpha=-rate)
        return error, growth, factor < 1

    def _shortening(self, top: float, square: float, longest: float) -> float:
        """The factor c <= 1 with c ||A||_2 <= longest: by ||S||_F, or by (sum s^16)^(1/16) where that is too coarse."""
        if top < 1e3 and 2 * math.sqrt(max(square, 0.0) / 2) <= longest:
            return 1.0
        unit = self.K / top
        power = unit @ unit
        for _ in range(2):
            power = power @ power
        sixteenth = max(float((power * power.t()).sum()), 0.0) / 2
        s = top * sixteenth ** (1 / 16)
        return min(1.0, longest / (2 * s)) if s > 0 else 1.0
