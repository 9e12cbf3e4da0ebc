"""The linear recurrent unit: a diagonal complex recurrence between two maps, its loop written out behind autograd."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from ortholab.errors import ArgumentError, bad, check_int, check_number
from ortholab.nn.init import check_torch_generator
from ortholab.nn.rnn import check_sequences
from ortholab.theory.ring import check_ring, decay_rate, normaliser


class LRU(nn.Module):
    """A linear recurrent unit: complex states that do not talk to each other, and a real map out of them.

        h_t = lambda * h_{t-1} + gamma * (B x_t),   y_t = Re(C h_t) + D x_t,   h_0 = 0,   t = 1 ... T,
        lambda_j = exp(-exp(a_j) + i exp(b_j)),   gamma_j = exp(c_j)

    ``forward`` maps inputs (T, batch, n_in) to (T, batch, n_out), with n complex states. Whatever the free a_j is,
    |lambda_j| = exp(-exp(a_j)) < 1. At the start lambda is uniform in area on the ring ``r_min`` <= |lambda| <=
    ``r_max``, its angle uniform in [0, ``phase``), gamma = sqrt(1 - |lambda|^2), so that white inputs give states of
    variance 1; B, C and D are Gaussian with E|B_jk|^2 = 1/n_in, E|C_kj|^2 = 1/n, E D^2 = 1/n_in. ``dtype`` is float32
    or float64. Raises ArgumentError. Source: Orvieto et al. 2023 (arXiv 2303.06349).

    The loop over time and its gradients are written out (see :class:`_Recurrence`); for a second derivative, forward
    mode or ``torch.func`` take :meth:`plain`. The same in log2 T rounds: :func:`ortholab.theory.ring.scan`.

    >>> layer = LRU(2, 8, 3, r_min=0.9, r_max=0.999, generator=0)
    >>> layer(torch.zeros(5, 4, 2)).shape, bool((layer.modulus() <= 0.999).all())
    (torch.Size([5, 4, 3]), True)
    """

    def __init__(
        self,
        n_in: int,
        n: int,
        n_out: int,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        phase: float = 2 * math.pi,
        generator: torch.Generator | int | None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        n_in, n, n_out = (check_int(k, v, 1) for k, v in (("n_in", n_in), ("n", n), ("n_out", n_out)))
        self.r_min, self.r_max = check_ring(r_min, r_max)
        phase = check_number("phase", phase, low=0, high=2 * math.pi, open_low=True)
        if dtype not in (torch.float32, torch.float64):
            raise bad("dtype", dtype, "torch.float32 or torch.float64")
        generator = check_torch_generator(generator)
        # Every ring draws the same numbers: layers of one seed differ in the moduli only.
        u, angle = torch.rand(2, n, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        nu = decay_rate(u.numpy(), self.r_min, self.r_max)

        def gaussian(*shape: int, variance: float) -> nn.Parameter:
            value = torch.randn(shape, generator=generator, dtype=torch.float64) * math.sqrt(variance)
            return nn.Parameter(value.to(dtype))

        def logarithm(value: np.ndarray | torch.Tensor) -> nn.Parameter:
            return nn.Parameter(torch.log(torch.as_tensor(value)).to(dtype))

        self.log_decay, self.log_angle = logarithm(nu), logarithm(phase * angle)
        self.log_gamma = logarithm(normaliser(np.exp(-nu)))
        # Real and imaginary parts side by side, so that one real product makes both.
        self.B, self.C = gaussian(n, 2, n_in, variance=1 / (2 * n_in)), gaussian(n_out, n, 2, variance=1 / (2 * n))
        self.D = gaussian(n_out, n_in, variance=1 / n_in)

    def eigenvalues(self) -> torch.Tensor:
        """Return lambda (n,), complex."""
        return torch.polar(self.modulus(), self.log_angle.exp())

    def modulus(self) -> torch.Tensor:
        """Return |lambda| (n,)."""
        return torch.exp(-self.log_decay.exp())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return y (T, batch, n_out). Raises ArgumentError unless x (T, batch, n_in) is finite and of the dtype."""
        check_sequences(x, self.D, 1)
        return self._out(_Recurrence.apply(self.eigenvalues(), self._drive(x)), x)

    def plain(self, x: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`forward` does by a loop of torch's own operations, which can be differentiated again."""
        check_sequences(x, self.D, 1)
        lam, h, states = self.eigenvalues(), 0, []
        for u in self._drive(x):
            h = lam * h + u
            states.append(h)
        return self._out(torch.stack(states), x)

    def _drive(self, x: torch.Tensor) -> torch.Tensor:
        B = self.B * self.log_gamma.exp()[:, None, None]
        return torch.view_as_complex(nn.functional.linear(x, B.flatten(0, 1)).unflatten(-1, (-1, 2)))

    def _out(self, H: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        # Re(C h) = Re C Re h - Im C Im h
        C = (self.C * self.C.new_tensor([1.0, -1.0])).flatten(1)
        return nn.functional.linear(torch.view_as_real(H).flatten(-2), C) + nn.functional.linear(x, self.D)

    def extra_repr(self) -> str:
        n_out, n, _ = self.C.shape
        return f"{self.D.shape[1]}, {n}, {n_out}, ring=[{self.r_min:g}, {self.r_max:g}]"


class _Recurrence(torch.autograd.Function):
    """h_t = lambda * h_{t-1} + u_t. Backward: G_t = conj(lambda) * G_{t+1} + g_t, dlambda = sum conj(h_{t-1}) G_t."""

    @staticmethod
    def forward(ctx, lam: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        H = run(lam, u)
        ctx.save_for_backward(lam, H)
        return H

    @staticmethod
    @once_differentiable
    def backward(ctx, g: torch.Tensor):
        lam, H = ctx.saved_tensors
        G = run(lam.conj().resolve_conj(), g, backwards=True)
        d_lam = (H[:-1].conj() * G[1:]).flatten(0, -2).sum(0) if ctx.needs_input_grad[0] else None
        return d_lam, G


def run(lam: torch.Tensor, u: torch.Tensor, backwards: bool = False) -> torch.Tensor:
    """Return h (T, ..., n), h_t = lam * h_{t-1} + u_t from h_0 = 0; ``backwards``: h_t = lam * h_{t+1} + u_t."""
    H = torch.empty_like(u, memory_format=torch.contiguous_format)
    order = -1 if backwards else 1
    states, inputs = H.unbind(0)[::order], u.unbind(0)[::order]
    states[0].copy_(inputs[0])
    for before, here, value in zip(states[:-1], states[1:], inputs[1:], strict=True):
        torch.addcmul(value, lam, before, out=here)
    return H


class LRUNetwork(nn.Module):
    """An LRU, a GELU at each time, and a readout: o_t = W_out GELU(y_t) + b_out; nothing nonlinear goes through time.

    ``forward`` maps (T, batch, n_in) to the outputs of the last ``steps`` times, (steps, batch, n_out), as
    :class:`ortholab.nn.rnn.RNN` does. ``width`` real numbers y_t; other ``settings`` are those of :class:`LRU`.
    Source: Orvieto et al. 2023 (arXiv 2303.06349), with one block and no normalisation.

    >>> LRUNetwork(2, 8, 3, width=16, generator=0)(torch.zeros(5, 4, 2), steps=2).shape
    torch.Size([2, 4, 3])
    """

    def __init__(
        self, n_in: int, n: int, n_out: int, *, width: int, generator: torch.Generator | int | None, **settings: object
    ) -> None:
        super().__init__()
        width, n_out = check_int("width", width, 1), check_int("n_out", n_out, 1)
        generator = check_torch_generator(generator)
        self.lru = LRU(n_in, n, width, generator=generator, **settings)
        bound, dtype = math.sqrt(6 / (n_out + width)), self.lru.D.dtype
        W_out = (2 * torch.rand(n_out, width, generator=generator, dtype=torch.float64) - 1) * bound
        self.W_out, self.b_out = nn.Parameter(W_out.to(dtype)), nn.Parameter(torch.zeros(n_out, dtype=dtype))

    def forward(self, x: torch.Tensor, steps: int = 1) -> torch.Tensor:
        """Return the outputs of the last ``steps`` times. Raises ArgumentError."""
        steps = check_int("steps", steps, 1)
        if isinstance(x, torch.Tensor) and x.ndim == 3 and steps > len(x):
            raise ArgumentError(f"steps must be at most T = {len(x)}; got {steps}")
        y = self.lru(x)[-steps:]
        return nn.functional.linear(nn.functional.gelu(y), self.W_out, self.b_out)
