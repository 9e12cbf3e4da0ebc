"""A training step of a recurrent network at the speed of its matrix products.

The step is exact back-propagation through time. What it saves over autograd: the inputs of many times go through W_in
in one product, the gradient of the weights, a sum over time, takes up many times in one product, and the states and
their gradients live in buffers that every step reuses (:mod:`~ortholab.nn.recurrence`).

Sources: Elman 1990 for the network; the deck, slide group IV.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch

from ortholab.errors import ArgumentError, bad, check_choice, check_int, check_number
from ortholab.nn.recurrent_pass import LOSSES, TrainingPass
from ortholab.nn.rnn import RNN, check_sequences
from ortholab.nn.step_rules import rule


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
    ``length`` and ``batch`` are the largest that will come. ``through_time=False`` saves the norms for
    :meth:`gradient_through_time`, about 2% of a small step. Raises ArgumentError.

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
        through_time: bool = True,
        _shared: TrainingPass | None = None,
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
        self._pass = TrainingPass(
            self.parameters, self.gradients, model.activation, self.batch, self.length, steps, loss,
            through_time=through_time, shared=_shared,
        )  # fmt: skip

    @torch.no_grad()
    def step(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """Update on inputs (T, rows, n_in) and targets (see :meth:`backward`); return the loss before the update.

        When the loss or the gradient is not finite nothing is updated and the loss is inf: the caller records it.
        """
        return self._update(self.backward(x, y))

    def _update(self, loss: float) -> float:
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
        loss = self._pass.backward(self._checked(x), y).item()
        self.gradient_norm = math.hypot(*(torch.linalg.vector_norm(g).item() for g in self.gradients.values()))
        return loss

    def gradient_through_time(self, times: list[int]) -> list[float]:
        """Return |dLoss/da_t|_F of the last batch at ``times`` (counted from 0); not with ``through_time=False``."""
        if self._pass.norms is None:
            raise ArgumentError("gradient_through_time needs a step before it, and through_time=True")
        return self._pass.norms[times].tolist()

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (steps, rows, n_out) for inputs (T, rows, n_in), a batch at a time."""
        parts = [
            self._pass.forward(self._checked(x[:, at : at + self.batch]))[1] for at in range(0, x.shape[1], self.batch)
        ]
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

    def _checked(self, x: object) -> torch.Tensor:
        check_sequences(x, self.parameters["W_in"], self.steps, self.length, self.batch)
        return x.contiguous()
