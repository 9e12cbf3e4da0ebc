"""What every hard constraint shares: shapes, gain, the check of a start, its place under torch's parametrisation.

Source: Lezcano-Casado 2019 (arXiv 1909.09501).
"""

from __future__ import annotations

import math

import torch

from ortholab.errors import ArgumentError, bad, check_like, check_matrices
from ortholab.theory.stiefel import project as nearest

# A start may be off by this much in an entry of W^T W / gain^2 - I: far above the rounding of float32, and of float16.
TOLERANCE = 1e-3
# After a Newton step from an error of _SMALL what is left is rounding; from one of _LOST four steps still get there.
_SMALL, _LOST = 1e-4, 0.3


class Constraint(torch.nn.Module):
    """A map from free parameters to matrices W = gain Q with orthonormal columns (rows of a wide W).

    A subclass has ``frame(*free)``, the map to an upright Q (..., n, k), n >= k, and ``free(Q)``, which finds
    parameters for a given Q and raises ArgumentError if it cannot. ``shape`` is the weight's, ``matrix`` that of the
    matrices in it: the same, or (out, in h w) for a convolution kernel, or with one more axis for groups of rows.

    >>> from ortholab.nn.parametrize import Constraint, constrain, constraint_of
    >>> held = constraint_of(constrain(torch.nn.Linear(2, 3), "weight", "polar", project=True))
    >>> isinstance(held, Constraint), tuple(held.matrix)
    (True, (3, 2))
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], *, like: torch.Tensor, gain: float, project: bool, kernel: bool
    ) -> None:
        super().__init__()
        self.name, self.shape, self.gain, self.project = name, tuple(shape), gain, project
        self.register_buffer("like", like.new_empty(0), persistent=False)  # dtype and device, wherever the module goes
        rows = (shape[0], math.prod(shape[1:])) if kernel else shape
        self._set_matrix(tuple(rows))

    def _set_matrix(self, matrix: tuple[int, ...]) -> None:
        self.matrix = matrix
        self.wide = matrix[-2] < matrix[-1]
        self.n, self.k = max(matrix[-2:]), min(matrix[-2:])

    def upright(self, X: torch.Tensor) -> torch.Tensor:
        """See a tensor of the weight's shape as matrices (..., n, k) with n >= k."""
        X = X.reshape(self.matrix)
        return X.mT if self.wide else X

    def as_given(self, X: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`upright`."""
        return (X.mT if self.wide else X).reshape(self.shape)

    def pack(self, first: torch.Tensor) -> torch.Tensor:
        """Return the first free parameter, upright, as it is stored: in the weight's shape."""
        return self.as_given(first)

    def unpack(self, first: torch.Tensor) -> torch.Tensor:
        """Undo :meth:`pack`."""
        return self.upright(first)

    def forward(self, *free: torch.Tensor) -> torch.Tensor:
        """Return W. Raises ArgumentError if a free parameter has become NaN or infinite (not in compiled code)."""
        if not torch.compiler.is_compiling() and not all(bool(torch.isfinite(x).all()) for x in free):
            raise ArgumentError(
                f"{self.name} must have finite free parameters; they have become NaN or infinite, as after a step with "
                f"such a gradient (shape {self.shape})"
            )
        return self.as_given(self.gain * self.frame(self.unpack(free[0]), *free[1:]))

    @torch.no_grad()
    def right_inverse(self, value: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Return free parameters whose image is ``value``: what ``module.weight = value`` calls."""
        if not isinstance(value, torch.Tensor):
            raise bad(self.name, value, "a torch tensor")
        check_like(self.name, value.detach(), "the weight it replaces", self.like, shape=self.shape)
        first, *more = self.free(self.start(value.detach()))
        first = self.pack(first)
        free = [x.to(value).clone(memory_format=torch.contiguous_format) for x in (first, *more)]
        return tuple(free) if more else free[0]

    def start(self, value: torch.Tensor) -> torch.Tensor:
        """Return Q in float64, upright: ``value`` / gain, with its rounding off, or its nearest with ``project``."""
        Q = self.upright(value.double()) / self.gain
        if not self.project:
            off = (Q.mT @ Q - torch.eye(self.k, dtype=Q.dtype, device=Q.device)).abs().max().item()
            if off > TOLERANCE:
                side, form = ("rows", "W W^T") if self.wide else ("columns", "W^T W")
                raise ArgumentError(
                    f"{self.name} must have orthonormal {side} times gain = {self.gain:g}, within {TOLERANCE}, or pass "
                    f"project=True to take the nearest; got |{form} / gain^2 - I| up to {off:.3g}"
                )
        return self._nearest(Q)

    def _nearest(self, Q: torch.Tensor) -> torch.Tensor:
        try:
            return nearest(Q)
        except ArgumentError as error:
            raise ArgumentError(str(error).replace("W must", f"{self.name} must", 1)) from None

    def extra_repr(self) -> str:
        """Return what print(module) shows."""
        return f"gain={self.gain:g}"


def polish(Q: torch.Tensor, name: str) -> torch.Tensor:
    """Return Q + Q E / 2, E = I - Q^T Q: a Newton step to the nearest orthonormal columns, after it E is 3 E^2 / 4.

    The change is of the size of the rounding and carries no gradient. It is repeated where E was large, as after a
    solve with huge parameters in float32. Raises ArgumentError where so many digits were lost that Q means nothing.
    Compiled code has one step and no check.
    """
    with torch.no_grad():
        R = Q
        for _ in range(4):
            E = torch.eye(Q.shape[-1], dtype=Q.dtype, device=Q.device) - R.mT @ R
            R = R + R @ E / 2
            if torch.compiler.is_compiling():
                break
            off = E.abs().max().item()
            if off <= _SMALL:
                break
            if not off <= _LOST:
                raise ArgumentError(
                    f"{name} must have smaller free parameters in {Q.dtype}: rounding took it off orthogonality by "
                    f"{off:.2g}"
                )
        change = R - Q
    return Q + change


def check_weight(name: str, value: object, kernel: bool) -> None:
    """Raise ArgumentError unless ``value`` is a trainable, finite parameter that holds matrices."""
    check_matrices(name, value.detach())
    if kernel and value.ndim < 3:
        raise bad(name, tuple(value.shape), "a kernel (out, in, ...)")
    if not value.requires_grad:
        raise ArgumentError(f"{name} must be trainable; got a frozen parameter (requires_grad is False)")
