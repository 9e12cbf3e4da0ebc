"""The Jacobian J = D_t W ... D_1 W of a recurrent network's last state by an earlier one, at real inputs.

Sources: Chen, Pennington, Schoenholz 2018 (arXiv 1806.05394); the deck, slide group IV.
"""

from __future__ import annotations

import numpy as np
import torch

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.activations import torch_activation
from ortholab.nn.rnn import RNN
from ortholab.theory import products


@torch.no_grad()
def recurrent_slopes(model: RNN, x: torch.Tensor) -> torch.Tensor:
    """Return the slopes phi'(a_t) at inputs (T, batch, n_in), shape (T, batch, n), from h_0 = 0.

    They are the diagonals of the D_t, in the dtype of ``x``: give float64 inputs to a float32 network for float64.
    Raises ArgumentError, also for an activation without a slope of its own for each unit.

    >>> model = RNN(1, 3, 2, activation="relu", generator=0)
    >>> recurrent_slopes(model, torch.zeros(4, 2, 1)).shape
    torch.Size([4, 2, 3])
    """
    W, W_in, b, phi = _parts(model, x)
    inputs = torch.nn.functional.linear(x, W_in, b)
    h, slopes = torch.zeros_like(inputs[0]), torch.empty_like(inputs)
    for t, u in enumerate(inputs):
        a = torch.addmm(u, h, W.t())
        if not torch.isfinite(a).all():
            raise ArgumentError(f"x leads to a state that overflows {x.dtype} at step {t + 1}")
        slopes[t], h = phi.dphi(a), phi.phi(a)
    return slopes


@torch.no_grad()
def recurrent_jacobian(model: RNN, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """Return dh_stop/dh_start = D_stop W ... D_{start+1} W at inputs (T, batch, n_in), shape (batch, n, n).

    The same W stands between all the D_t, which do not commute with it. Plain floating point: over hundreds of steps
    take :func:`recurrent_log_singular_values`. No gradient flows through the answer. Raises ArgumentError.

    >>> model = RNN(1, 3, 2, activation="linear", generator=0)
    >>> J = recurrent_jacobian(model, torch.zeros(4, 2, 1))
    >>> torch.allclose(J[0], torch.linalg.matrix_power(model.W, 4), atol=1e-6)
    True
    """
    slopes = recurrent_slopes(model, x)
    start, stop = _range(start, stop, len(slopes))
    W = model.W.detach().to(x.dtype)
    J = slopes[start].unsqueeze(-1) * W
    for d in slopes[start + 1 : stop]:
        J = d.unsqueeze(-1) * (W @ J)
    if not torch.isfinite(J).all():
        raise ArgumentError(f"x leads to J that overflows {x.dtype}; recurrent_log_singular_values takes logarithms")
    return J


def recurrent_log_singular_values(model: RNN, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """Return the logarithms of the singular values of dh_stop/dh_start, descending, float64, shape (batch, n).

    The run and the product are made in float64, the product as a chain that loses nothing however small the values
    are; an exact zero is -inf. Raises ArgumentError.

    >>> model = RNN(1, 3, 2, activation="linear", generator=0, dtype=torch.float64)
    >>> recurrent_log_singular_values(model, torch.zeros(500, 1, 1)).abs().max().item() < 1e-9
    True
    """
    x = x.double() if isinstance(x, torch.Tensor) else x
    slopes = recurrent_slopes(model, x).cpu().numpy()
    start, stop = _range(start, stop, len(slopes))
    W = model.W.detach().cpu().double().numpy()
    rows = [products.log_singular_values([d[:, None] * W for d in of_one]) for of_one in
            slopes[start:stop].swapaxes(0, 1)]  # fmt: skip
    return torch.from_numpy(np.stack(rows))


def _parts(model: RNN, x: torch.Tensor):
    if not isinstance(model, RNN):
        raise bad("model", type(model).__name__, "an ortholab.nn.RNN")
    phi = torch_activation(model.activation)
    W_in = model.W_in.detach()
    wanted = f"a float32 or float64 tensor of shape (T, batch, {W_in.shape[1]}), T and batch >= 1"
    if not isinstance(x, torch.Tensor) or x.dtype not in (torch.float32, torch.float64):
        raise bad("x", getattr(x, "dtype", type(x).__name__), wanted)
    if x.ndim != 3 or x.shape[2] != W_in.shape[1] or 0 in x.shape:
        raise bad("x", tuple(x.shape), wanted)
    if not torch.isfinite(x).all():
        raise ArgumentError("x must be finite")
    return model.W.detach().to(x.dtype), W_in.to(x.dtype), model.b.detach().to(x.dtype), phi


def _range(start: int, stop: int | None, length: int) -> tuple[int, int]:
    start = check_int("start", start)
    stop = length if stop is None else check_int("stop", stop, 1)
    if not start < stop <= length:
        raise ArgumentError(f"start and stop must satisfy 0 <= start < stop <= T = {length}; got {start}, {stop}")
    return start, stop
