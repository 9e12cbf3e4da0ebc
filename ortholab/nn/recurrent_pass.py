"""One pass of a batch through a recurrent network, forward and back, with reused buffers: outputs, loss, gradients."""

from __future__ import annotations

import math

import torch

from ortholab.errors import bad
from ortholab.nn.recurrence import backward_, buffer_size, forward_, products, rows_of

LOSSES = ("softmax", "squared")
RECURRENT = ("W", "W_in", "b")


class TrainingPass:
    """The loss of a batch and its gradients, for one network or for M of one shape (their tensors have a first axis).

    ``parameters`` and ``gradients`` are dicts by the names of :class:`~ortholab.nn.rnn.RNN`; the gradients are written.
    Buffers for ``length`` times and ``batch`` sequences are made once, or shared with another pass.
    """

    def __init__(
        self, parameters, gradients, activation, batch, length, steps, loss, through_time=True, shared=None
    ) -> None:
        self.parameters, self.gradients, self.activation = parameters, gradients, activation
        self.batch, self.length, self.steps, self.loss = batch, length, steps, loss
        self._buffers: dict[str, torch.Tensor] = {} if shared is None else shared._buffers
        self.through_time, self.norms = through_time, None

    def twin(self, parameters, gradients) -> TrainingPass:
        """Return a pass over other tensors, its buffers shared with this one."""
        same = (self.activation, self.batch, self.length, self.steps, self.loss, self.through_time)
        return TrainingPass(parameters, gradients, *same, shared=self)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states h_0 ... h_T, (..., T + 1, rows, n), and the outputs of the last times."""
        p, (T, rows) = self.parameters, x.shape[-3:-1]
        models, n = p["W"].shape[:-2], p["W"].shape[-1]
        a_time = math.prod(models) * rows * n
        H = self._buffer("H", (self.length + 1) * a_time // rows * self.batch)[: (T + 1) * a_time]
        H = H.view(*models, T + 1, rows, n)
        forward_(H, x, p, self.activation)
        out = products(p["W"]).affine(p["b_out"].unsqueeze(-2), rows_of(self._last(H)), p["W_out"].mT)
        return H, out.unflatten(-2, (self.steps, rows))

    def backward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Fill ``gradients`` and ``norms``, |dLoss/da_t|_F; return the loss, a number for each network."""
        H, out = self.forward(x)
        g, loss = (_softmax if self.loss == "softmax" else _squared)(out, y)
        p, into, flat = self.parameters, self.gradients, rows_of(g)
        product = products(p["W"]).product
        product(flat.mT, rows_of(self._last(H)), out=into["W_out"])
        torch.sum(flat, -2, out=into["b_out"])

        def source(i: int, j: int, D: torch.Tensor) -> None:
            product(rows_of(g[..., i:j, :, :]), p["W_out"], out=rows_of(D))

        buffer = self._buffer("D", buffer_size(H))
        self.norms = H.new_empty(*H.shape[:-3], H.shape[-3] - 1) if self.through_time else None
        own = {name: into[name] for name in RECURRENT}
        backward_(own, H, x, p, self.activation, source, self.steps, buffer=buffer, norms=self.norms)
        return loss

    def _last(self, H: torch.Tensor) -> torch.Tensor:
        return H[..., H.shape[-3] - self.steps :, :, :]

    def _buffer(self, name: str, size: int) -> torch.Tensor:
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = self.parameters["W"].new_empty(size)
        return self._buffers[name]


def _softmax(out: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(softmax - one-hot) / (steps * rows) and the mean cross-entropy."""
    if not isinstance(y, torch.Tensor) or y.dtype != torch.int64 or y.shape != out.shape[:-1]:
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise bad("y", got, f"int64 classes of shape {tuple(out.shape[:-1])}")
    log_p = torch.log_softmax(out, -1)
    try:
        loss = -log_p.gather(-1, y.unsqueeze(-1)).mean((-3, -2, -1))
    except RuntimeError:  # on a CPU torch looks at the indices; a check of our own would cost more than the loss
        raise bad("y", f"{int(y.min())} to {int(y.max())}", f"in 0 to {out.shape[-1] - 1}") from None
    g = log_p.exp_()
    g.scatter_add_(-1, y.unsqueeze(-1), g.new_full((1,) * g.ndim, -1.0).expand(*y.shape, 1))
    return g.div_(y.shape[-2] * y.shape[-1]), loss


def _squared(out: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient of half the mean squared error, and that."""
    if not isinstance(y, torch.Tensor) or y.dtype != out.dtype or y.shape != out.shape:
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise bad("y", got, f"{out.dtype} of shape {tuple(out.shape)}")
    g = out - y
    return g / math.prod(g.shape[-3:]), g.square().mean((-3, -2, -1)) / 2
