"""Products of Householder reflections as a weight: m vectors, the number of free directions in one's hand.

Sources: Householder 1958; Mhammedi et al. 2017 (arXiv 1612.00188).
"""

from __future__ import annotations

import numpy as np
import torch

from ortholab.errors import ArgumentError, check_int
from ortholab.nn.parametrize.base import Constraint, polish
from ortholab.theory.reflections import reflectors


def reflections_frame(V: torch.Tensor, k: int) -> torch.Tensor:
    """Return the first k columns of H(v_1) ... H(v_m), v_j the columns of V (..., n, m): I - V T V^T.

    T^(-1) has V^T V above the diagonal and |v_j|^2 / 2 on it, so autograd sees one triangular solve and three products.
    A zero column gives NaN.

    >>> reflections_frame(torch.tensor([[1.0], [0.0]]), 2).tolist()
    [[-1.0, 0.0], [0.0, 1.0]]
    """
    n, m = V.shape[-2:]
    V = V / torch.linalg.vector_norm(V, dim=-2, keepdim=True)
    eye = torch.eye(max(n, m), dtype=V.dtype, device=V.device)
    inverse = (V.mT @ V).triu(1) + eye[:m, :m] / 2
    return eye[:n, :k] - V @ torch.linalg.solve_triangular(inverse, V[..., :k, :].mT, upper=True)


class Reflections(Constraint):
    """W = gain times the first k columns of H(v_1) ... H(v_m), H(v) = I - 2 v v^T / |v|^2, m = ``reflections``.

    The free parameter is V (..., n, m); the lengths of its columns do not matter, and none may be zero. Square W: those
    with rank(W / gain - I) <= m and a determinant of the sign of (-1)^m; for n > k all if m >= k. ``reflections=None``
    takes the least m that reaches all that is reachable from the start: k, or n - 1 if that is what the determinant
    asks for. Few reflections make W I but for m directions. Source: Mhammedi et al. 2017, arXiv 1612.00188.

    >>> from ortholab.nn.parametrize import Reflections, constrain, constraint_of
    >>> layer = constrain(torch.nn.Linear(4, 3), "weight", "reflections", project=True)
    >>> isinstance(constraint_of(layer), Reflections), round(torch.linalg.matrix_norm(layer.weight, 2).item(), 4)
    (True, 1.0)
    """

    def __init__(self, name, shape, *, like, reflections: int | None = None, **common) -> None:
        super().__init__(name, shape, like=like, **common)
        self.reflections = None if reflections is None else check_int("reflections", reflections, 1)

    def pack(self, first: torch.Tensor) -> torch.Tensor:
        """Return V as it is: its shape is not the weight's."""
        return first

    unpack = pack

    def frame(self, V: torch.Tensor) -> torch.Tensor:
        """Return Q (..., n, k)."""
        if not torch.compiler.is_compiling() and not bool((V != 0).any(-2).all()):
            raise ArgumentError(f"{self.name} must have no zero column in its free parameters: it is no direction")
        return polish(reflections_frame(V, self.k), self.name)

    def free(self, Q: torch.Tensor) -> tuple[torch.Tensor]:
        """Return unit vectors V of Q."""
        if self.reflections is None:
            self.reflections = self.k
            if self.n == self.k and bool((torch.linalg.det(Q) * (-1) ** self.n < 0).any()):
                self.reflections = self.n - 1 or 2
        tolerance = 100 * torch.finfo(self.like.dtype).eps  # a start in float32 is a product of m up to its rounding
        flat = Q.reshape(-1, self.n, self.k).cpu().numpy()
        try:
            V = np.stack([reflectors(one, self.reflections, tolerance=tolerance) for one in flat])
        except ArgumentError as error:
            raise ArgumentError(
                f"{self.name} / gain must be a product of reflections = {self.reflections} reflections: {error}"
            ) from None
        return (torch.from_numpy(V).reshape(*self.matrix[:-2], self.n, -1).to(Q.device),)
