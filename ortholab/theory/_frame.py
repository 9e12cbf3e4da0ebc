"""A point of the Stiefel manifold as every formula wants it: columns orthonormal, gain 1, in its own array library."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ortholab.errors import ArgumentError, check_like, check_matrices, check_number

Array = Any  # of numpy, torch, cupy, jax: the standard names operations and no common type

# Far above what rounding does in 1e5 float32 steps, far below a matrix that is not meant to be orthogonal.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Frame:
    """W = gain Q, or W^T = gain Q if W is wide: Q (..., n, k) has n >= k and Q^T Q = I_k within rounding."""

    xp: ModuleType
    Q: Array
    gain: float
    wide: bool

    def take(self, name: str, Z: Array) -> Array:
        """Check a matrix of W's ambient space and return it as one of Q's: upright, divided by the gain."""
        check_like(name, Z, "W", self.Q.mT if self.wide else self.Q)
        _check_size(name, self.xp, Z, self.gain, power=2)
        return (Z.mT if self.wide else Z) / self.gain

    def give(self, Y: Array) -> Array:
        """Return a matrix of Q's ambient space as one of W's."""
        return self.gain * (Y.mT if self.wide else Y)

    def split(self, X: Array) -> tuple[Array, Array]:
        """Return A = skew(Q^T X), K = (I - QQ^T) X, so that X = Q A + K + Q sym(Q^T X); the last is the normal part.

        If Q^T Q = I + E by rounding, one product leaves Q^T K = -E Q^T X, which lets an error E grow with every step
        along K; the second leaves E^2. For square Q there is no K.
        """
        inner = self.Q.mT @ X
        A = (inner - inner.mT) / 2
        if X.shape[-2] == X.shape[-1]:
            return A, self.xp.zeros_like(X)
        K = X - self.Q @ inner
        return A, K - self.Q @ (self.Q.mT @ K)


def frame(W: Array, gain: float) -> Frame:
    """Return the frame at W, or raise ArgumentError unless W / gain is orthonormal on its short side."""
    xp, Q, wide = upright(W, gain)
    error = xp.abs(gram_error(xp, Q))
    if not bool(xp.all(error <= TOLERANCE)):
        side = "rows" if wide else "columns"
        form = "W W^T" if wide else "W^T W"
        of = "" if gain == 1 else f" / {gain:g}^2"
        raise ArgumentError(
            f"W must have orthonormal {side} times gain = {gain:g}, within {TOLERANCE}; the largest entry of "
            f"|{form}{of} - I| is {float(xp.max(error)):.3g}"
        )
    return Frame(xp, Q, float(gain), wide)


def upright(W: Array, gain: float, power: int = 4) -> tuple[ModuleType, Array, bool]:
    """Check W and gain; return the namespace, W / gain or its transpose with n >= k, and whether W was wide.

    ``power`` is the highest power of W that the caller sums up: 4 for the square of W^T W.
    """
    xp = check_matrices("W", W)
    gain = check_number("gain", gain, low=1e-6, high=1e6)  # no network has others, and no product overflows
    _check_size("W", xp, W, gain, power)
    wide = W.shape[-2] < W.shape[-1]
    return xp, (W.mT if wide else W) / gain, wide


def _check_size(name: str, xp: ModuleType, W: Array, gain: float, power: int) -> None:
    """Raise ArgumentError if sums over n k products of ``power`` entries of W / gain can overflow, and end in a NaN."""
    top = float(xp.finfo(W.dtype).max)
    limit = (top / 1e14) ** (1 / power) / (W.shape[-2] * W.shape[-1]) ** 0.5  # room for the gain's square and factors
    if not bool(xp.all(xp.abs(W) <= min(limit * gain, top))):
        raise ArgumentError(
            f"{name} / gain must have entries of at most {limit:.3g} in size ({W.dtype}, overflow beyond); got "
            f"{float(xp.max(xp.abs(W))) / gain:.3g}"
        )


def as_given(X: Array, wide: bool) -> Array:
    """Undo what :func:`upright` did to the axes."""
    return X.mT if wide else X


def eye(xp: ModuleType, like: Array, k: int) -> Array:
    """I_k in the dtype and on the device of ``like``."""
    return xp.eye(k, dtype=like.dtype, device=like.device)


def gram_error(xp: ModuleType, Q: Array) -> Array:
    """Q^T Q - I_k, of shape (..., k, k)."""
    return Q.mT @ Q - eye(xp, Q, Q.shape[-1])
