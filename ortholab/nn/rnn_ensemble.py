"""Many recurrent networks of one shape trained side by side: configurations times seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from ortholab.errors import ArgumentError, bad
from ortholab.nn.recurrent_pass import TrainingPass
from ortholab.nn.recurrent_step import Recurrent, RecurrentStep
from ortholab.nn.rnn import RNN, check_sequences

PER_MODEL = ("rate", "clip", "recurrent")


class RNNEnsemble:
    """Trains M networks of one shape as if each had a :class:`RecurrentStep` of its own, equal to rounding.

    ``models`` may differ in start, gain and seed; ``rate``, ``clip`` and ``recurrent`` are one for all or a sequence of
    M. A ``recurrent`` is called with its model and returns the update of its W, for example
    ``lambda m: StiefelWeights(m.W.data, rate=1e-3)``: penalties and constraints enter there. The other arguments are
    those of :class:`RecurrentStep`.

    ``batched`` says how: True, every product of all networks is one batched product; False, network by network in
    buffers that they share; None, batched unless the device is a CPU. A GPU is idle most of the time with one small
    network, so a gain is expected there (it has not been measured here); a CPU has nothing to win. Batched, the
    models' tensors become parts of stacked ones. Raises ArgumentError.

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
        self.batched = self.models[0].W.device.type != "cpu" if batched is None else batched
        stacked = self._stack() if self.batched else None
        self.trainers: list[RecurrentStep] = []
        for k, model in enumerate(self.models):
            make = each["recurrent"][k]
            trainer = RecurrentStep(
                model, batch, length, optimiser, rate=each["rate"][k], clip=each["clip"][k], steps=steps, loss=loss,
                recurrent=None if make is None else make(model),
                _shared=self.trainers[0]._pass if self.trainers else None, **settings,
            )  # fmt: skip
            self.trainers.append(trainer)
        if stacked is not None:
            one = self.trainers[0]
            gradients = {name: torch.empty_like(p) for name, p in stacked.items()}
            for k, trainer in enumerate(self.trainers):
                trainer.gradients.update({name: g[k] for name, g in gradients.items()})
            self._pass = TrainingPass(stacked, gradients, one.model.activation, one.batch, one.length, steps, loss)
            self._pass.through_time = one._pass.through_time

    @torch.no_grad()
    def step(self, x: torch.Tensor, y: torch.Tensor) -> list[float]:
        """Update all on inputs and targets; return the M losses before the update.

        x is (T, rows, n_in), for all, or (M, T, rows, n_in), and y, as :meth:`RecurrentStep.step` takes it, likewise. A
        network whose loss or gradient is not finite is left as it is and its loss is inf; the others go on.
        """
        if not self.batched:
            xs, ys = self._for_each("x", x, 3), self._for_each("y", y, self._y_dims)
            return [t.step(a, b) for t, a, b in zip(self.trainers, xs, ys, strict=True)]
        losses = self._pass.backward(self._stacked("x", x, 3), self._stacked("y", y, self._y_dims)).tolist()
        squares = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in self._pass.gradients.values()]
        norms = torch.linalg.vector_norm(torch.stack(squares), dim=0).tolist()
        for trainer, norm in zip(self.trainers, norms, strict=True):
            trainer.gradient_norm = norm
        if self._pass.through_time:
            for trainer, through_time in zip(self.trainers, self._pass.norms, strict=True):
                trainer._pass.norms = through_time
        return [t._update(loss) for t, loss in zip(self.trainers, losses, strict=True)]

    @torch.no_grad()
    def predict(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs (M, steps, rows, n_out) for inputs as :meth:`step` takes them, a batch at a time."""
        if not self.batched:
            return torch.stack([t.predict(a) for t, a in zip(self.trainers, self._for_each("x", x, 3), strict=True)])
        size, parts = self._pass.batch, []
        for at in range(0, x.shape[-2], size):
            parts.append(self._pass.forward(self._stacked("x", x[..., at : at + size, :], 3))[1])
        return torch.cat(parts, -2)

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

    def _stack(self) -> dict[str, torch.Tensor]:
        """Move the models' tensors into stacked ones, of which they are parts from now on."""
        names = [name for name, _ in self.models[0].named_parameters()]
        stacked = {name: torch.stack([getattr(m, name).data for m in self.models]) for name in names}
        for k, model in enumerate(self.models):
            for name, values in stacked.items():
                getattr(model, name).data = values[k]
        return stacked

    @property
    def _y_dims(self) -> int:
        return 2 if self.trainers[0].loss == "softmax" else 3

    def _for_each(self, name: str, value: torch.Tensor, dims: int) -> Sequence[torch.Tensor]:
        """One tensor of ``dims`` axes for each network."""
        if isinstance(value, torch.Tensor) and value.ndim == dims + 1:
            if len(value) != len(self.models):
                raise bad(name, tuple(value.shape), f"for {len(self.models)} networks, on the first axis")
            return value.unbind()
        return [value] * len(self.models)

    def _stacked(self, name: str, value: torch.Tensor, dims: int) -> torch.Tensor:
        parts = self._for_each(name, value, dims)
        if name == "x":
            one = self._pass
            for part in parts if value.ndim == dims + 1 else parts[:1]:
                check_sequences(part, self.models[0].W_in, one.steps, one.length, one.batch)
        elif not isinstance(value, torch.Tensor):
            raise bad(name, type(value).__name__, "a tensor")
        if value.ndim == dims + 1:
            return value.contiguous()
        return value.contiguous().expand(len(self.models), *value.shape)


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
