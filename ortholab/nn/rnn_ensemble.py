"""Many recurrent networks of one shape trained side by side: configurations times seeds.

Sources: Elman 1990 for the network; the deck, figures 7 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.recurrent_pass import TrainingPass
from ortholab.nn.recurrent_step import Recurrent, RecurrentStep
from ortholab.nn.rnn import RNN, check_sequences

GROUP_BYTES = 2**18


class RNNEnsemble:
    """Trains M networks of one shape as if each had a :class:`RecurrentStep` of its own, equal to rounding.

    ``models`` may differ in start, gain and seed; ``rate``, ``clip`` and ``recurrent`` are one for all or a sequence of
    M. A ``recurrent`` is called with its model and returns the update of its W, for example
    ``lambda m: StiefelWeights(m.W.data, rate=1e-3)``: penalties and constraints enter there. The other arguments are
    those of :class:`RecurrentStep`.

    ``batched`` says how: True, every product of all networks is one batched product; False, network by network; None,
    all together unless the device is a CPU, and there in groups whose states of one time fill 256 KB of its cache. A
    GPU is idle most of the time with one small network, so a gain is expected there (it has not been measured here).
    Networks of a group become parts of stacked tensors. Raises ArgumentError.

    >>> models = [RNN(1, 8, 2, gain=g, generator=seed) for g in (1.0, 1.1) for seed in (0, 1)]
    >>> trainer = RNNEnsemble(models, batch=32, length=10, optimiser="adam", rate=0.01)
    >>> x = torch.randn(10, 32, 1, generator=torch.Generator().manual_seed(0))
    >>> y = (x[3, :, 0] > 0).long()[None]
    >>> first = trainer.step(x, y)
    >>> for _ in range(60):
    ...     last = trainer.step(x, y)
    >>> len(last), all(b < a for a, b in zip(first, last))
    (4, True)
    """

    def __init__(
        self,
        models: Sequence[RNN],
        batch: int,
        length: int,
        optimiser: str = "rmsprop",
        *,
        rate: float | Sequence[float],
        steps: int = 1,
        loss: str = "softmax",
        clip: float | Sequence[float] = math.inf,
        recurrent: Callable[[RNN], Recurrent | None] | Sequence[Callable[[RNN], Recurrent | None] | None] | None = None,
        batched: bool | None = None,
        **settings: float,
    ) -> None:
        self.models = _check_models(models)
        each = {"rate": rate, "clip": clip, "recurrent": recurrent}
        each = {name: _one_each(name, value, len(self.models)) for name, value in each.items()}
        if batched is not None and not isinstance(batched, bool):
            raise bad("batched", batched, "True, False or None")
        self.groups = self._groups(batched, check_int("batch", batch, 1))
        stacks = [self._stack(a, b) if b - a > 1 else None for a, b in self.groups]
        self.trainers: list[RecurrentStep] = []
        for k, model in enumerate(self.models):
            make = each["recurrent"][k]
            trainer = RecurrentStep(
                model, batch, length, optimiser, rate=each["rate"][k], clip=each["clip"][k], steps=steps, loss=loss,
                recurrent=None if make is None else make(model),
                _shared=self.trainers[0]._pass if self.trainers else None, **settings,
            )  # fmt: skip
            self.trainers.append(trainer)
        one = self.trainers[0]
        self._passes: list[TrainingPass | None] = []
        for (a, b), stacked in zip(self.groups, stacks, strict=True):
            if stacked is None:
                self._passes.append(None)
                continue
            gradients = {name: torch.empty_like(p) for name, p in stacked.items()}
            for k, trainer in enumerate(self.trainers[a:b]):
                trainer.gradients.update({name: g[k] for name, g in gradients.items()})
            self._passes.append(one._pass.twin(stacked, gradients))

    @torch.no_grad()
    def step(self, x: torch.Tensor, y: torch.Tensor) -> list[float]:
        """Update all on inputs and targets; return the M losses before the update.

        x is (T, rows, n_in), for all, or (M, T, rows, n_in), and y, as :meth:`RecurrentStep.step` takes it, likewise. A
        network whose loss or gradient is not finite is left as it is and its loss is inf; the others go on.
        """
        losses = []
        for (a, b), together in zip(self.groups, self._passes, strict=True):
            mine = self._part("x", x, 3, a, b), self._part("y", y, self._y_dims, a, b)
            losses += [self.trainers[a].step(*mine)] if together is None else self._step(a, b, together, *mine)
        return losses

    def _step(self, a: int, b: int, together: TrainingPass, x: torch.Tensor, y: torch.Tensor) -> list[float]:
        """Update the networks a to b - 1, which are batched."""
        losses, trainers = together.backward(x, y).tolist(), self.trainers[a:b]
        squares = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in together.gradients.values()]
        norms = torch.linalg.vector_norm(torch.stack(squares), dim=0).tolist()
        for k, trainer in enumerate(trainers):
            trainer.gradient_norm = norms[k]
            trainer._pass.norms = None if together.norms is None else together.norms[k]
        return [t._update(loss) for t, loss in zip(trainers, losses, strict=True)]

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (M, steps, rows, n_out) for inputs as :meth:`step` takes them, a batch at a time."""
        outputs = []
        for (a, b), together in zip(self.groups, self._passes, strict=True):
            if together is None:
                outputs.append(self.trainers[a].predict(self._part("x", x, 3, a, b))[None])
                continue
            starts, size = range(0, x.shape[-2], together.batch), together.batch
            parts = [together.forward(self._part("x", x[..., at : at + size, :], 3, a, b))[1] for at in starts]
            outputs.append(torch.cat(parts, -2))
        return torch.cat(outputs)

    def gradient_norms(self) -> list[float]:
        """Return the norm of all gradients of each network in the last step, before clipping."""
        return [t.gradient_norm for t in self.trainers]

    def state_dict(self) -> dict:
        """Return the states of the M trainers; batched or not, they are the same."""
        return {"trainers": [t.state_dict() for t in self.trainers]}

    def load_state_dict(self, state: dict) -> None:
        """Copy in what ``state_dict`` gave. Raises ArgumentError for another number of networks or other widths."""
        if len(state["trainers"]) != len(self.trainers):
            raise ArgumentError(f"state must hold {len(self.trainers)} networks; got {len(state['trainers'])}")
        for trainer, part in zip(self.trainers, state["trainers"], strict=True):
            trainer.load_state_dict(part)

    def _groups(self, batched: bool | None, batch: int) -> list[tuple[int, int]]:
        """The networks that go together, as ranges."""
        W = self.models[0].W
        count = size = len(self.models)
        if batched is False:
            size = 1
        elif batched is None and W.device.type == "cpu":
            size = max(1, GROUP_BYTES // (batch * len(W) * W.element_size()))
        return [(a, min(a + size, count)) for a in range(0, count, size)]

    def _stack(self, a: int, b: int) -> dict[str, torch.Tensor]:
        """Move the tensors of the models a to b - 1 into stacked ones, of which they are parts from now on."""
        models = self.models[a:b]
        names = [name for name, _ in models[0].named_parameters()]
        stacked = {name: torch.stack([getattr(m, name).data for m in models]) for name in names}
        for k, model in enumerate(models):
            for name, values in stacked.items():
                getattr(model, name).data = values[k]
        return stacked

    @property
    def _y_dims(self) -> int:
        return 2 if self.trainers[0].loss == "softmax" else 3

    def _part(self, name: str, value: object, dims: int, a: int, b: int) -> torch.Tensor:
        """What the networks a to b - 1 get, (b - a, ...), or for one alone without the first axis; checked."""
        if not isinstance(value, torch.Tensor):
            raise bad(name, type(value).__name__, "a tensor")
        for_each = value.ndim == dims + 1
        if for_each and len(value) != len(self.models):
            raise bad(name, tuple(value.shape), f"for {len(self.models)} networks, on the first axis")
        if b - a == 1:
            return value[a] if for_each else value
        if name == "x":
            one = self.trainers[0]
            for part in value[a:b] if for_each else [value]:
                check_sequences(part, one.model.W_in, one.steps, one.length, one.batch)
        return value[a:b].contiguous() if for_each else value.contiguous().expand(b - a, *value.shape)


def _check_models(models: object) -> list[RNN]:
    models = list(models) if isinstance(models, Sequence | torch.nn.ModuleList) else []
    if not models or not all(isinstance(m, RNN) for m in models) or len({id(m) for m in models}) < len(models):
        raise bad("models", models, "a sequence of different networks of ortholab.nn.RNN")

    def kind(m: RNN) -> tuple:
        return (m.activation, *((p.shape, p.dtype, p.device) for p in m.parameters()))

    for k, model in enumerate(models):
        if kind(model) != kind(models[0]):
            raise bad(f"models[{k}]", model, f"like models[0], {models[0]}: shape, activation, dtype, device")
    return models


def _one_each(name: str, value: object, count: int) -> list:
    if isinstance(value, Sequence):
        if len(value) != count:
            raise bad(name, value, f"one value or {count}, one for each network")
        return list(value)
    return [value] * count
