"""Recurrent networks: an Elman network with a readout, with its gradients written out behind autograd."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from ortholab.errors import ArgumentError, bad, check_choice, check_int, check_number
from ortholab.nn.init import check_torch_generator, haar
from ortholab.nn.recurrence import backward_, forward_
from ortholab.nn.recurrent_phi import ACTIVATIONS

STARTS = ("orthogonal", "glorot", "identity")


class RNN(nn.Module):
    """An Elman network with a readout.

        a_t = W h_{t-1} + W_in x_t + b,   h_t = phi(a_t),   h_0 = 0,   o_t = W_out h_t + b_out,   t = 1 ... T.

    ``forward`` maps inputs (T, batch, n_in) to the outputs of the last ``steps`` times, (steps, batch, n_out): 1 is
    many-to-one, T many-to-many. W starts at ``gain`` times a matrix that is "orthogonal" (Haar), "glorot" (uniform,
    variance 1/n) or "identity"; W_in and W_out are Glorot's, biases 0. ``phi`` is "tanh", "relu", "hard_tanh",
    "linear" or "modrelu": h = sign(a) relu(|a| + b), a without b. ``dtype`` is float32 or float64. Raises
    ArgumentError. Sources: Elman 1990; Arjovsky, Shah, Bengio 2016 (modReLU); Helfrich, Willmott, Ye 2018.

    Any loss works on top of the outputs: ``backward`` is exact back-propagation through time, written out (see
    :mod:`~ortholab.nn.recurrence`). For a second derivative, forward mode or ``torch.func`` take :meth:`plain`.

    >>> model = RNN(2, 8, 3, gain=1.1, generator=0)
    >>> model(torch.zeros(5, 4, 2)).shape, model(torch.zeros(5, 4, 2), steps=5).shape
    (torch.Size([1, 4, 3]), torch.Size([5, 4, 3]))
    >>> torch.allclose(model.W @ model.W.T, 1.21 * torch.eye(8), atol=1e-6)
    True
    """

    def __init__(
        self,
        n_in: int,
        n: int,
        n_out: int,
        *,
        activation: str = "tanh",
        start: str = "orthogonal",
        gain: float = 1.0,
        generator: torch.Generator | int | None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        n_in, n, n_out = (check_int(k, v, 1) for k, v in (("n_in", n_in), ("n", n), ("n_out", n_out)))
        self.activation = check_choice("activation", activation, ACTIVATIONS)
        check_choice("start", start, STARTS)
        self.gain = check_number("gain", gain, low=0, open_low=True)
        if dtype not in (torch.float32, torch.float64):
            raise bad("dtype", dtype, "torch.float32 or torch.float64")
        generator = check_torch_generator(generator)

        def glorot(rows: int, columns: int) -> torch.Tensor:
            bound = math.sqrt(6 / (rows + columns))
            return (2 * torch.rand(rows, columns, generator=generator, dtype=torch.float64) - 1) * bound

        # Every start draws the same numbers first: the networks of one seed share W_in and W_out.
        W_in, W_out = glorot(n, n_in), glorot(n_out, n)
        if start == "orthogonal":
            W = haar(n, generator=generator, dtype=torch.float64)
        else:
            W = glorot(n, n) if start == "glorot" else torch.eye(n, dtype=torch.float64)
        W = W if self.gain == 1 else self.gain * W
        values = {"W_in": W_in, "W": W, "b": torch.zeros(n), "W_out": W_out, "b_out": torch.zeros(n_out)}
        for name, value in values.items():
            setattr(self, name, nn.Parameter(value.to(dtype)))

    def forward(self, x: torch.Tensor, steps: int = 1) -> torch.Tensor:
        """Return the outputs of the last ``steps`` times, shape (steps, batch, n_out), for autograd.

        Raises ArgumentError unless x is a finite tensor (T, batch, n_in), T >= ``steps`` >= 1, batch >= 1, of the
        weights' dtype and device. It may lie in memory in any way.
        """
        steps = check_sequences(x, self.W_in, steps)
        h = _LastStates.apply(x, self.W, self.W_in, self.b, self.activation, steps)
        return nn.functional.linear(h, self.W_out, self.b_out)

    def plain(self, x: torch.Tensor, steps: int = 1) -> torch.Tensor:
        """Return what :meth:`forward` does by a loop of torch's own operations, which can be differentiated again."""
        steps = check_sequences(x, self.W_in, steps)
        modrelu = self.activation == "modrelu"
        inputs = nn.functional.linear(x, self.W_in, None if modrelu else self.b)
        h, states = torch.zeros_like(inputs[0]), []
        for a in inputs:
            h = self._phi(torch.addmm(a, h, self.W.t()))
            states.append(h)
        return nn.functional.linear(torch.stack(states[-steps:]), self.W_out, self.b_out)

    def extra_repr(self) -> str:
        n, n_in = self.W_in.shape
        return f"{n_in}, {n}, {len(self.W_out)}, activation={self.activation!r}, gain={self.gain:g}"

    def _phi(self, a: torch.Tensor) -> torch.Tensor:
        if self.activation == "modrelu":
            return torch.sign(a) * torch.relu(a.abs() + self.b)
        phi = {"tanh": torch.tanh, "relu": torch.relu, "hard_tanh": nn.functional.hardtanh, "linear": lambda x: x}
        return phi[self.activation](a)


class _LastStates(torch.autograd.Function):
    """The last states (steps, batch, n) of a network, with its gradients written out."""

    @staticmethod
    def forward(ctx, x, W, W_in, b, activation: str, steps: int) -> torch.Tensor:
        x = x.contiguous()
        H = W.new_empty(x.shape[0] + 1, x.shape[1], len(W))
        forward_(H, x, {"W": W, "W_in": W_in, "b": b}, activation)
        ctx.save_for_backward(x, W, W_in, b, H)
        ctx.activation, ctx.steps = activation, steps
        last = H[len(H) - steps :]
        return last.clone() if steps == 1 else last

    @staticmethod
    @once_differentiable
    def backward(ctx, G: torch.Tensor):
        x, W, W_in, b, H = ctx.saved_tensors
        p = {"W": W, "W_in": W_in, "b": b}
        needs = dict(zip(p, ctx.needs_input_grad[1:4], strict=True))
        into = {name: torch.empty_like(p[name], memory_format=torch.contiguous_format) for name in p if needs[name]}
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        backward_(into, H, x, p, ctx.activation, lambda i, j, D: D.copy_(G[i:j]), ctx.steps, dx=dx)
        return dx, *(into.get(name) for name in p), None, None


def check_sequences(x: object, W_in: torch.Tensor, steps: int, longest: int | None = None, widest: int | None = None):
    """Return ``steps``, or raise ArgumentError unless x holds finite sequences (T, batch, n_in) for weights W_in.

    T is ``steps`` to ``longest`` and the batch 1 to ``widest``.
    """
    steps = check_int("steps", steps, 1)
    if not isinstance(x, torch.Tensor):
        raise bad("x", type(x).__name__, "a tensor")
    high = ["" if top is None else f" and at most {top}" for top in (longest, widest)]
    limits = f"(at least {steps}{high[0]}, at least 1{high[1]}, {W_in.shape[-1]})"
    fits = x.ndim == 3 and x.shape[0] >= steps and x.shape[1] >= 1 and x.shape[2] == W_in.shape[-1]
    if not fits or x.shape[0] > (longest or math.inf) or x.shape[1] > (widest or math.inf):
        raise bad("x", tuple(x.shape), f"a tensor of shape {limits}")
    if W_in.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(f"the network must be float32 or float64; it is {W_in.dtype}")
    if x.dtype != W_in.dtype or x.device != W_in.device:
        raise bad("x", f"{x.dtype} on {x.device}", f"{W_in.dtype} on {W_in.device}, as the network is")
    # One pass over x, by its sum; a sum of finite numbers that overflows is looked at again.
    if not math.isfinite(x.detach().sum().item()) and not bool(torch.isfinite(x).all()):
        raise ArgumentError(f"x must be finite; some entries of shape {tuple(x.shape)} are not")
    return steps
