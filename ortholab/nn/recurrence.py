"""The loops of a recurrent network, forward and back through time, written out at the speed of their products.

Time goes by chunks whose states, or gradients, fit the processor's cache: their inputs go through W_in in one product
before their states are computed, and the gradients of the weights take up a chunk's part in one product each, while the
chunk is still in the cache. So no buffer of the size of all times is written or read more than once. All functions take
one network, W of shape (n, n), or M of one shape together, W of shape (M, n, n): then every product is a batched one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from ortholab.nn.recurrent_phi import recurrent_phi

CHUNK_BYTES = 2**20
TRANSPOSED = 256  # from this width on, products with a transposed W are the faster ones (measured, float32, one thread)
Weights = Mapping[str, torch.Tensor]  # "W" (n, n), "W_in" (n, n_in), "b" (n,); M networks: a first axis


def chunk_length(H: torch.Tensor) -> int:
    """How many times of H (..., T + 1, rows, n) are worked on together."""
    a_time = H[..., 0, :, :].numel() * H.element_size()
    return max(1, min(H.shape[-3] - 1, CHUNK_BYTES // max(a_time, 1)))


def buffer_size(H: torch.Tensor) -> int:
    """How many entries the gradients of two chunks have."""
    return 2 * chunk_length(H) * H[..., 0, :, :].numel()


def forward_(H: torch.Tensor, x: torch.Tensor, p: Weights, activation: str) -> None:
    """Fill H (..., T + 1, rows, n) with h_0 = 0 and h_t = phi(W h_{t-1} + W_in x_t + b); x is (..., T, rows, n_in).

    "modrelu" has its bias inside phi. Source of truth for what phi does: ``recurrent_phi``.
    """
    W, T, states = p["W"], H.shape[-3] - 1, H.unbind(-3)
    phi = recurrent_phi(activation, W, p["b"])
    _, add_, affine = products(W)
    # The factor (a power of two) is what phi wants its argument multiplied by.
    Wt, W_in_t = _laid_out(phi.factor * W).mT, (phi.factor * p["W_in"]).mT.contiguous()
    bias = phi.factor * phi.outer_bias.unsqueeze(-2)
    states[0].zero_()
    step = chunk_length(H)
    for start in range(0, T, step):
        stop = min(start + step, T)
        drive = rows_of(H[..., 1 + start : 1 + stop, :, :])
        affine(bias, rows_of(x[..., start:stop, :, :]), W_in_t, out=drive)
        apply_ = phi.choose(drive, states[start])
        for t in range(start, stop):
            if t:
                add_(states[t + 1], states[t], Wt)
            apply_(states[t + 1])


def backward_(
    into: Weights,
    H: torch.Tensor,
    x: torch.Tensor,
    p: Weights,
    activation: str,
    source: Callable[[int, int, torch.Tensor], object],
    steps: int,
    *,
    buffer: torch.Tensor | None = None,
    dx: torch.Tensor | None = None,
    norms: torch.Tensor | None = None,
) -> None:
    """Fill ``into`` ("W", "W_in", "b", those it has), ``dx`` (as x) and ``norms`` (..., T), |D_t|_F, from a loss.

        D_t = dLoss/da_t = (D_{t+1} W + dLoss/dh_t) * phi'(a_t)

    ``source(i, j, out)`` writes dLoss/dh of the times i to j - 1 among the last ``steps``, (..., j - i, rows, n), into
    ``out``; the loss looks at no earlier state. ``buffer`` has :func:`buffer_size` entries or more.
    """
    W, T, rows, states = p["W"], H.shape[-3] - 1, H.shape[-2], H.unbind(-3)
    product, add_, _ = products(W)
    phi, Wb = recurrent_phi(activation, W, p["b"]), _laid_out(W.mT).mT
    step, first = chunk_length(H), T - steps
    size = buffer_size(H)
    buffer = (H.new_empty(size) if buffer is None else buffer[:size]).view(2, *W.shape[:-2], step, rows, W.shape[-1])
    sums = _Sums(into, p)
    later = None
    for number, start in enumerate(reversed(range(0, T, step))):
        stop = min(start + step, T)
        D = buffer[number % 2][..., : stop - start, :, :]
        Ds = D.unbind(-3)
        if stop > first:
            i = max(start, first)
            source(i - first, stop - first, D[..., i - start :, :, :])
        for t in range(stop - 1, start - 1, -1):
            here = Ds[t - start]
            if later is not None:
                if t >= first:
                    add_(here, later, Wb)
                else:
                    product(later, Wb, out=here)
            phi.slope_(here, states[t + 1])
            later = here
        sums.add(D, H[..., start:stop, :, :], H[..., start + 1 : stop + 1, :, :], x[..., start:stop, :, :], phi, start)
        if norms is not None:
            torch.linalg.vector_norm(D.flatten(-2), dim=-1, out=norms[..., start:stop])
        if dx is not None:
            dx[..., start:stop, :, :] = torch.matmul(rows_of(D), p["W_in"]).unflatten(-2, (-1, rows))
    sums.finish()


class _Sums:
    """The gradients of the weights as sums over chunks."""

    def __init__(self, into: Weights, p: Weights) -> None:
        self.into, self.empty = into, True
        self.product, self.add_, _ = products(p["W"])
        # Transposed, (n_in, n): with n_in rows of n entries the product is up to twice as fast.
        self.W_in_t = torch.empty_like(p["W_in"].mT, memory_format=torch.contiguous_format)

    def add(self, D, before, H, x, phi, start: int) -> None:
        if "b" in self.into:
            part = phi.bias_gradient(rows_of(D), rows_of(H))
            self.into["b"].copy_(part) if self.empty else self.into["b"].add_(part)
        if "W_in" in self.into:
            self._add(self.W_in_t, rows_of(x).mT, rows_of(D))
        if "W" in self.into:
            skip = int(start == 0)  # h_0 = 0 adds nothing
            self._add(self.into["W"], rows_of(D[..., skip:, :, :]).mT, rows_of(before[..., skip:, :, :]))
        self.empty = False

    def _add(self, total: torch.Tensor, A: torch.Tensor, B: torch.Tensor) -> None:
        if self.empty:
            self.product(A, B, out=total)
        else:
            self.add_(total, A, B)

    def finish(self) -> None:
        if "W_in" in self.into:
            self.into["W_in"].copy_(self.W_in_t.mT)


class Products(NamedTuple):
    """A B; C += A B; c + A B."""

    product: Callable
    add_: Callable
    affine: Callable


ONE = Products(torch.mm, torch.Tensor.addmm_, torch.addmm)
SEVERAL = Products(torch.bmm, torch.Tensor.baddbmm_, torch.baddbmm)


def products(W: torch.Tensor) -> Products:
    """Return the products for one network or for several."""
    return ONE if W.ndim == 2 else SEVERAL


def rows_of(X: torch.Tensor) -> torch.Tensor:
    """(..., times, rows, k) as (..., times * rows, k), no copy."""
    return X.flatten(-3, -2)


def _laid_out(W: torch.Tensor) -> torch.Tensor:
    """W in memory so that a product with W^T is the fastest."""
    return W.contiguous() if W.shape[-1] >= TRANSPOSED else W.mT.contiguous().mT
