"""Recurrent networks: an Elman network with a readout."""

from __future__ import annotations

import math

import torch
from torch import nn

from ortholab.errors import check_choice, check_int
from ortholab.nn.in_place import PHI
from ortholab.nn.init import check_torch_generator, haar

STARTS = ("orthogonal", "glorot", "identity")


class RNN(nn.Module):
    """An Elman network with a readout.

        a_t = W h_{t-1} + W_in x_t + b,   h_t = phi(a_t),   h_0 = 0,   o_t = W_out h_t + b_out,   t = 1 ... T.

    ``forward`` maps inputs (T, batch, n_in) to the outputs of the last ``steps`` times, (steps, batch, n_out). The
    recurrent ``start`` is "orthogonal" (Haar), "glorot" (uniform, variance 1/n) or "identity"; W_in and W_out are
    Glorot's, biases 0. ``phi`` is "tanh", "relu", "hard_tanh" or "linear". Raises ArgumentError.

    >>> model = RNN(2, 8, 3, generator=0)
    >>> model(torch.zeros(5, 4, 2)).shape, model(torch.zeros(5, 4, 2), steps=5).shape
    (torch.Size([1, 4, 3]), torch.Size([5, 4, 3]))
    """

    def __init__(
        self,
        n_in: int,
        n: int,
        n_out: int,
        *,
        activation: str = "tanh",
        start: str = "orthogonal",
        generator: torch.Generator | int | None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        n_in, n, n_out = (check_int(k, v, 1) for k, v in (("n_in", n_in), ("n", n), ("n_out", n_out)))
        self.activation = check_choice("activation", activation, tuple(PHI))
        check_choice("start", start, STARTS)
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
        values = {"W_in": W_in, "W": W, "b": torch.zeros(n), "W_out": W_out, "b_out": torch.zeros(n_out)}
        for name, value in values.items():
            setattr(self, name, nn.Parameter(value.to(dtype)))

    def forward(self, x: torch.Tensor, steps: int = 1) -> torch.Tensor:
        """Return the outputs of the last ``steps`` times, shape (steps, batch, n_out), for autograd."""
        inputs = torch.nn.functional.linear(x, self.W_in, self.b)
        h, states = torch.zeros_like(inputs[0]), []
        for a in inputs:
            h = self._apply_phi(torch.addmm(a, h, self.W.t()))
            states.append(h)
        return torch.nn.functional.linear(torch.stack(states[-steps:]), self.W_out, self.b_out)

    def _apply_phi(self, a: torch.Tensor) -> torch.Tensor:
        phi = {"tanh": torch.tanh, "relu": torch.relu, "hard_tanh": nn.functional.hardtanh, "linear": lambda x: x}
        return phi[self.activation](a)
