"""One run of the audit: a recurrent network with a gain at its start and a penalty, a constraint or neither."""

from __future__ import annotations

import math
import time

import torch

from ortholab.errors import bad
from ortholab.experiments import gain_tasks
from ortholab.experiments.gain_audit import GainSpec, Unit
from ortholab.experiments.gain_tasks import short
from ortholab.nn import pick_device
from ortholab.nn.penalised_weights import PenalisedWeights
from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN
from ortholab.nn.stiefel_weights import StiefelWeights
from ortholab.theory.recurrent import critical_gain

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def start(spec: GainSpec, unit: Unit, device: str = "cpu") -> GainTrial:
    """Return a unit's run, ready to advance. Raises ArgumentError and DataError.

    >>> spec = GainSpec([("none", "", 0, 1.1)], hidden=8, n_train=200, n_validation=50, epochs=1)
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["epochs"]
    (True, [0, 1])
    """
    if not isinstance(spec, GainSpec):
        raise bad("spec", type(spec).__name__, "a GainSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    return GainTrial(spec, unit, device)


class GainTrial:
    """Trains one unit of a :class:`~ortholab.experiments.gain_audit.GainSpec`; the engine's ``Trial``.

    A segment is an epoch. Weights come from the unit's seed, batches from another stream of it: all units of a seed
    share W_in, W_out and, if orthogonal, Q (W = gain Q at the start), and see the same batches in the same order. Bit
    for bit the same on one machine and one number of threads.
    """

    def __init__(self, spec: GainSpec, unit: Unit, device: str = "cpu") -> None:
        self.spec, self.unit, self.device = spec, unit, pick_device(device)
        self.task = gain_tasks.make(spec, unit.seed)
        self.datasets = self.task.datasets
        self.input_variance = gain_tasks.input_variance(self.task, spec.hidden)
        self.gain = self._gain()
        task, start = self.task, "glorot" if unit.treatment == "glorot" else "orthogonal"
        self.model = RNN(task.n_in, spec.hidden, task.n_out, start=start, gain=self.gain, generator=unit.seed).to(
            self.device
        )
        self.W = self.model.W.data
        self.trainer = RecurrentStep(
            self.model, spec.batch, task.length, "adam", rate=spec.rate, steps=task.steps, loss=task.loss,
            clip=math.inf if spec.clip is None else spec.clip, recurrent=self._recurrent(),
        )  # fmt: skip
        self.step, self.epoch, self.diverged, self.seconds = 0, 0, -1, 0.0
        names = ("epochs", "loss", "score", "training_loss", "s_mean", "s_std", "s_quantiles")
        self.records: dict[str, list] = {name: [] for name in names}
        self._look()

    def _gain(self) -> float:
        if self.unit.gain != "critical":
            return self.unit.gain
        return critical_gain("tanh", self.input_variance)

    def _recurrent(self):
        unit, spec = self.unit, self.spec
        if unit.treatment == "hard":
            return StiefelWeights(self.W, rate=spec.hard_rate, optimiser="adam", gain=self.gain)
        target = self.gain if unit.target == "adjusted" else 1.0
        penalty = unit.treatment if unit.weight else "sum"
        return PenalisedWeights(self.W, "adam", rate=spec.rate, penalty=penalty, weight=unit.weight, gain=target)

    def advance(self) -> bool:
        """Train one epoch; return True when the run is over (budget or divergence)."""
        if self.epoch >= self.spec.epochs or self.diverged >= 0:
            return True
        total = 0.0
        for _ in range(self.task.updates):
            x, y = self.task.batch()
            started = time.perf_counter()
            loss = self.trainer.step(x.to(self.device), y.to(self.device))
            self.seconds += time.perf_counter() - started
            if not loss < float("inf"):
                self.diverged = self.step
                return True
            total += loss
            self.step += 1
        if not all(bool(torch.isfinite(p).all()) for p in self.model.parameters()):  # the last update spoilt them
            self.diverged = self.step
            return True
        self.epoch += 1
        self.records["training_loss"].append(short(total / self.task.updates))
        self._look()
        return self.epoch >= self.spec.epochs

    def progress(self) -> tuple[int, int]:
        """Return (epochs done, epochs at most)."""
        return (self.epoch if self.diverged < 0 else self.spec.epochs), self.spec.epochs

    def _look(self) -> None:
        """Record the validation loss and score and the singular values of W."""
        loss, score = self.task.judge(lambda x: self.trainer.predict(x.to(self.device)).cpu())
        s = torch.linalg.svdvals(self.W.double().cpu())
        quantiles = [short(q) for q in s.quantile(torch.tensor(QUANTILES, dtype=s.dtype))]
        found = {
            "epochs": self.epoch, "loss": short(loss), "score": short(score),
            "s_mean": short(s.mean()), "s_std": short(s.std(correction=0)), "s_quantiles": quantiles,
        }  # fmt: skip
        for name, value in found.items():
            self.records[name].append(value)

    def metrics(self) -> dict:
        """Return the curves over ``epochs`` (0: the start).

        ``loss`` and ``score`` are the task's on validation data, ``training_loss`` the mean over each epoch,
        ``s_mean``, ``s_std``, ``s_quantiles`` (at QUANTILES) those of the singular values of W. ``gain`` is that of the
        start, ``input_variance`` the mean variance of W_in x_t, ``diverged`` the update at which the loss or a gradient
        was not finite (-1: none).
        """
        return {name: list(values) for name, values in self.records.items()} | {
            "gain": self.gain, "input_variance": self.input_variance, "diverged": self.diverged, "updates": self.step,
            "seconds_an_update": self.seconds / max(self.step, 1),
        }  # fmt: skip

    def state_dict(self) -> dict:
        """Return weights, averages, the stream of batches, and all that was recorded."""
        return {
            "trainer": self.trainer.state_dict(), "task": self.task.state_dict(), "step": self.step,
            "epoch": self.epoch, "diverged": self.diverged, "seconds": self.seconds,
            "records": {name: list(values) for name, values in self.records.items()},
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.trainer.load_state_dict(state["trainer"])
        self.task.load_state_dict(state["task"])
        for name in ("step", "epoch", "diverged", "seconds"):
            setattr(self, name, state[name])
        self.records = {name: list(state["records"][name]) for name in self.records}
