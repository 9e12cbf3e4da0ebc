"""A training step of a recurrent network at the speed of its matrix products.

The step is exact back-propagation through time. What it saves over autograd: all inputs go through W_in in one product,
the states and their gradients live in two buffers that every step reuses, and the gradient of the recurrent weights,
a sum over time, is one product over (time * batch) rows.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch

from ortholab.errors import ArgumentError, bad, check_choice, check_int, check_number
from ortholab.nn.recurrence import CHUNK_BYTES, backward_, forward_
from ortholab.nn.rnn import RNN, check_sequences
from ortholab.nn.step_rules import rule

LOSSES = ("softmax", "squared")


class Recurrent(Protocol):
    """What moves the recurrent weights in place of the free rule: W by its gradient, and a state to go on from."""

    def update(self, W: torch.Tensor, G: torch.Tensor) -> None:
        """Write the next W into ``W``, given G = dLoss/dW."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...


class RecurrentStep:
    """Trains an :class:`RNN` in place: ``step(x, y)`` is one update on one batch of sequences.

        D_t = dLoss/da_t = (D_{t+1} W + W_out^T dLoss/do_t) * phi'(a_t),
        dLoss/dW = sum_t D_t^T H_{t-1},  dLoss/dW_in = sum_t D_t^T X_t,  dLoss/db = sum_t 1^T D_t,

    sequences as rows: H_t and D_t are (batch, n), each sum one product. The loss is the mean softmax cross-entropy or
    half the mean squared error over the last ``steps`` times and the batch. ``clip`` bounds the norm of all gradients
    together. ``optimiser`` is a rule of :mod:`~ortholab.nn.step_rules`; ``recurrent`` takes W out of its hands.
    ``length`` and ``batch`` are the largest that will come. Raises ArgumentError.

    >>> model = RNN(1, 16, 2, generator=0)
    >>> trainer = RecurrentStep(model, batch=32, length=10, optimiser="rmsprop", rate=0.01)
    >>> x = torch.randn(10, 32, 1, generator=torch.Generator().manual_seed(0))
    >>> y = (x[3, :, 0] > 0).long()  # the sign of the fourth input
    >>> losses = [trainer.step(x, y[None]) for _ in range(60)]
    >>> losses[0] > 0.5 > 0.1 > losses[-1]
    True
    """

    def __init__(
        self,
        model: RNN,
        batch: int,
        length: int,
        optimiser: str = "rmsprop",
        *,
        rate: float,
        steps: int = 1,
        loss: str = "softmax",
        clip: float = math.inf,
        recurrent: Recurrent | None = None,
        **settings: float,
    ) -> None:
        if not isinstance(model, RNN):
            raise bad("model", type(model).__name__, "an ortholab.nn.rnn.RNN")
        self.model, self.recurrent = model, recurrent
        self.batch, self.length = check_int("batch", batch, 1), check_int("length", length, 1)
        self.steps = check_int("steps", steps, 1)
        if steps > length:
            raise bad("steps", steps, f"at most length = {length}")
        self.loss = check_choice("loss", loss, LOSSES)
        self.clip = clip if clip == math.inf else check_number("clip", clip, low=0, open_low=True)
        self.parameters = {name: p.data for name, p in model.named_parameters()}
        self.gradients = {name: torch.empty_like(p) for name, p in self.parameters.items()}
        self.free = [name for name in self.parameters if recurrent is None or name != "W"]
        self.rule = rule(optimiser, [self.parameters[name] for name in self.free], rate, **settings)
        self.gradient_norm = math.nan
        W = self.parameters["W"]
        self._H = W.new_empty((self.length + 1) * self.batch * len(W))
        self._D = W.new_empty(max(2 * CHUNK_BYTES // W.element_size(), 2 * self.batch * len(W)))
        self._norms = W.new_empty(self.length)

    @torch.no_grad()
    def step(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """Update on inputs (T, rows, n_in) and targets (see :meth:`backward`); return the loss before the update.

        When the loss or the gradient is not finite nothing is updated and the loss is inf: the caller records it.
        """
        loss = self.backward(x, y)
        if not math.isfinite(loss) or not math.isfinite(self.gradient_norm):
            return math.inf
        if self.gradient_norm > self.clip:
            for g in self.gradients.values():
                g.mul_(self.clip / self.gradient_norm)
        self.rule.begin()
        if self.recurrent is not None:
            self.recurrent.update(self.parameters["W"], self.gradients["W"])
        for k, name in enumerate(self.free):
            self.rule.apply(k, self.parameters[name], self.gradients[name])
        return loss

    @torch.no_grad()
    def backward(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """Fill ``gradients`` and ``gradient_norm`` and return the loss; nothing is updated.

        ``y`` holds classes (steps, rows), int64, or for the squared loss values (steps, rows, n_out).
        """
        H, out = self._forward(x)
        x = x.contiguous()
        g, loss = _softmax(out, y) if self.loss == "softmax" else _squared(out, y)
        p, into, n = self.parameters, self.gradients, H.shape[-1]
        flat = g.view(-1, g.shape[-1])
        torch.mm(flat.t(), H[len(H) - self.steps :].view(-1, n), out=into["W_out"])
        torch.sum(flat, 0, out=into["b_out"])

        def source(i: int, j: int, D: torch.Tensor) -> None:
            torch.mm(g[i:j].view(-1, g.shape[-1]), p["W_out"], out=D.view(-1, n))

        self.norms = self._norms[: len(x)]
        own = {name: into[name] for name in ("W", "W_in", "b")}
        backward_(own, H, x, p, self.model.activation, source, self.steps, buffer=self._D, norms=self.norms)
        self.gradient_norm = math.hypot(*(torch.linalg.vector_norm(g).item() for g in into.values()))
        return loss

    def gradient_through_time(self, times: list[int]) -> list[float]:
        """Return |dLoss/da_t|_F of the last batch at ``times`` (counted from 0)."""
        return self.norms[times].tolist()

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (steps, rows, n_out) for inputs (T, rows, n_in), a batch at a time."""
        parts = [self._forward(x[:, at : at + self.batch])[1] for at in range(0, x.shape[1], self.batch)]
        return torch.cat(parts, 1)

    def state_dict(self) -> dict:
        """Return parameters and the optimisers' states: tensors in use, to be saved before the next step."""
        state = {"parameters": self.parameters, "rule": self.rule.state_dict()}
        return state | ({} if self.recurrent is None else {"recurrent": self.recurrent.state_dict()})

    @torch.no_grad()
    def load_state_dict(self, state: dict) -> None:
        """Copy in what ``state_dict`` gave: training goes on bit for bit. Raises ArgumentError for another network."""
        if [p.shape for p in state["parameters"].values()] != [p.shape for p in self.parameters.values()]:
            raise ArgumentError("state must come from a network of the same widths")
        for name, p in self.parameters.items():
            p.copy_(state["parameters"][name])
        self.rule.load_state_dict(state["rule"])
        if self.recurrent is not None:
            self.recurrent.load_state_dict(state["recurrent"])

    def _forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states h_0 ... h_T, (T + 1, rows, n), and the outputs of the last times."""
        p = self.parameters
        check_sequences(x, p["W_in"], self.steps, self.length, self.batch)
        T, rows, n = x.shape[0], x.shape[1], len(p["W"])
        H = self._H[: (T + 1) * rows * n].view(T + 1, rows, n)
        forward_(H, x.contiguous(), p, self.model.activation)
        last = H[T + 1 - self.steps :].view(self.steps * rows, n)
        return H, torch.addmm(p["b_out"], last, p["W_out"].t()).view(self.steps, rows, -1)


def _softmax(out: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, float]:
    if not isinstance(y, torch.Tensor) or y.dtype != torch.int64 or y.shape != out.shape[:2]:
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise bad("y", got, f"int64 classes of shape {tuple(out.shape[:2])}")
    if y.device.type == "cpu" and (int(y.min()) < 0 or int(y.max()) >= out.shape[2]):
        raise bad("y", f"{int(y.min())} to {int(y.max())}", f"in 0 to {out.shape[2] - 1}")
    log_p = torch.log_softmax(out, 2)
    loss = -log_p.gather(2, y.unsqueeze(2)).mean().item()
    g = log_p.exp_()
    g.scatter_add_(2, y.unsqueeze(2), g.new_full((1, 1, 1), -1.0).expand(*y.shape, 1))
    return g.div_(y.numel()), loss


def _squared(out: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, float]:
    if not isinstance(y, torch.Tensor) or y.dtype != out.dtype or y.shape != out.shape:
        got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
        raise bad("y", got, f"{out.dtype} of shape {tuple(out.shape)}")
    g = out - y
    return g / g.numel(), g.square().mean().item() / 2
