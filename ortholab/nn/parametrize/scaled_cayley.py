"""The scaled Cayley transform of scoRNN: a diagonal of signs makes every orthogonal matrix reachable.

Source: Helfrich, Willmott, Ye 2018 (arXiv 1707.09520).
"""

from __future__ import annotations

import math

import torch

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.init import check_torch_generator
from ortholab.nn.parametrize.base import Constraint, polish
from ortholab.nn.parametrize.cayley import cayley_frame, cayley_skew
from ortholab.nn.parametrize.skew import blocks, join


class ScaledCayley(Constraint):
    """W = gain (I + A)^(-1) (I - A) D, A skew, D = diag(1, ..., 1, -1, ..., -1) with ``negative`` entries -1; square.

    D is fixed. ``negative=None``: D is chosen by :func:`reaching_signs` for the matrix that the weight has, any
    orthogonal one, and again when one is assigned. With ``generator`` the weight's value is not used: A starts as
    :func:`angle_blocks`. Never reached: W for which W D / gain has an eigenvalue -1. det(W) keeps the sign of det(D).
    Source: Helfrich, Willmott, Ye 2018.

    >>> from ortholab.nn.parametrize import constrain, constraint_of
    >>> layer = constrain(torch.nn.Linear(4, 4), "weight", "scaled_cayley", negative=1, generator=torch.Generator())
    >>> isinstance(constraint_of(layer), ScaledCayley), round(torch.linalg.det(layer.weight).item(), 4)
    (True, -1.0)
    """

    def __init__(self, name, shape, *, like, negative: int | None = None, generator=None, **common) -> None:
        super().__init__(name, shape, like=like, **common)
        if self.n != self.k:
            raise ArgumentError(f"{name} must be square for 'scaled_cayley'; got {self.matrix[-2:]}")
        self.tolerance = torch.finfo(like.dtype).eps ** 0.5
        self.negative = negative
        signs = like.new_ones(self.matrix[:-1])
        if negative is not None and check_int("negative", negative) > self.n:
            raise bad("negative", negative, f"an integer in 0 to n = {self.n}")
        if negative:
            signs[..., -negative:] = -1
        self.register_buffer("signs", signs)
        # Kept only until the first start is made: a copy of the model must not need it.
        self._generator = check_torch_generator(generator)

    def frame(self, X: torch.Tensor) -> torch.Tensor:
        """Return Q (..., n, n)."""
        A, K = blocks(X)
        return polish(cayley_frame(-A, K) * self.signs.unsqueeze(-2), self.name)

    def start(self, value: torch.Tensor) -> torch.Tensor:
        """Return the first Q: of the value, or of random angles."""
        if self._generator is None:
            return super().start(value)
        A = angle_blocks(self.n, generator=self._generator, batch=self.matrix[:-2]).to(value.device)
        self._generator = None
        return self.frame(join(A, A[..., :0, :]).to(self.signs)).double()

    def free(self, Q: torch.Tensor) -> tuple[torch.Tensor]:
        """Return the parameters of Q, with new signs if ``negative`` is None."""
        if self.negative is None:
            self.signs.copy_(reaching_signs(Q))
        found = cayley_skew(Q * self.signs.unsqueeze(-2).to(Q), self.tolerance)
        if found is None:
            raise ArgumentError(
                f"{self.name} times D must have no eigenvalue -1 times gain, and it has one if det({self.name}) is not "
                f"of the sign of det(D) = (-1)^negative; got one, with negative = {self.negative}. negative=None "
                f"chooses signs that reach it"
            )
        return (join(-found[0], found[1]),)


def reaching_signs(Q: torch.Tensor) -> torch.Tensor:
    """Return signs d (..., n) such that Q diag(d) has no eigenvalue -1, for any orthogonal Q (..., n, n).

    I + Q D = (Q + D) D, so D must make Q + D invertible. Eliminate in Q + D, and give d_i the sign of the pivot that Q
    leaves at place i: the pivot becomes |pivot| + 1, and is never 0.

    >>> reaching_signs(-torch.eye(3)).tolist()
    [-1.0, -1.0, -1.0]
    """
    S = Q.clone()
    signs = []
    for i in range(Q.shape[-1]):
        pivot = S[..., i, i]
        sign = torch.where(pivot < 0, -1.0, 1.0).to(Q)
        signs.append(sign)
        column = S[..., i + 1 :, i] / (pivot + sign).unsqueeze(-1)
        S[..., i + 1 :, i + 1 :] -= column.unsqueeze(-1) * S[..., i, i + 1 :].unsqueeze(-2)
    return torch.stack(signs, dim=-1)


def angle_blocks(n: int, *, generator: torch.Generator | int, batch: tuple[int, ...] = ()) -> torch.Tensor:
    """Return scoRNN's starting A: blocks [[0, a], [-a, 0]] on the diagonal, a = tan(theta / 2), float64 (n, n).

    theta is uniform in [0, pi / 2). Then (I + A)^(-1) (I - A) is made of rotations by theta, [[cos, -sin], [sin, cos]].
    For odd n the last row and column are zero.

    >>> A = angle_blocks(2, generator=0)
    >>> bool(0 <= A[0, 1] < 1 and A[0, 1] == -A[1, 0])
    True
    """
    generator = check_torch_generator(generator)
    device = "cpu" if generator is None else generator.device
    theta = torch.rand(*batch, n // 2, generator=generator, dtype=torch.float64, device=device) * (math.pi / 2)
    above = theta.new_zeros(*batch, max(n - 1, 0))
    above[..., ::2] = torch.tan(theta / 2)
    A = torch.diag_embed(above, offset=1)
    return A - A.mT
