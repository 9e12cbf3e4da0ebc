"""One run of a sequence model on the copying task, in epochs that can be resumed."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace

import numpy as np
import torch

from ortholab import sequences
from ortholab.errors import bad
from ortholab.experiments import gain_tasks
from ortholab.experiments.gain_tasks import short
from ortholab.experiments.sequence_models import MODELS, Model, SequenceModelsSpec, Unit
from ortholab.nn import pick_device
from ortholab.nn.lru import LRUNetwork
from ortholab.nn.parametrize import constrain
from ortholab.nn.rnn import RNN
from ortholab.nn.stiefel_weights import StiefelWeights
from ortholab.theory.reflections import reflect

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class LSTM(torch.nn.Module):
    """torch's LSTM with a readout, called as :class:`ortholab.nn.rnn.RNN` is; its forget bias starts at 1 in all."""

    def __init__(self, n_in: int, n: int, n_out: int, *, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.lstm, self.readout = torch.nn.LSTM(n_in, n), torch.nn.Linear(n, n_out)
        with torch.no_grad():
            self.lstm.bias_ih_l0[n : 2 * n] = 1.0
            self.lstm.bias_hh_l0[n : 2 * n] = 0.0

    def forward(self, x: torch.Tensor, steps: int = 1) -> torch.Tensor:
        """Return the outputs of the last ``steps`` times, (steps, batch, n_out)."""
        return self.readout(self.lstm(x)[0][-steps:])


def build(model: Model, n_in: int, hidden: int, n_out: int, seed: int) -> torch.nn.Module:
    """Make a network: LRUs of one seed differ in the ring only, the others share W_in and W_out."""
    if model.kind == "lstm":
        return LSTM(n_in, hidden, n_out, seed=seed)
    if model.kind == "lru":
        r_min, r_max = model.ring
        made = LRUNetwork(n_in, hidden // 2, n_out, width=hidden, r_min=r_min, r_max=r_max, generator=seed)
        if model.fixed:
            for p in (made.lru.log_decay, made.lru.log_angle):
                p.requires_grad_(False)
        return made
    made = RNN(n_in, hidden, n_out, activation=model.activation, start=model.start, generator=seed)
    if model.held == "reflections":
        V = np.random.default_rng([seed, 2]).standard_normal((hidden, model.reflections))
        made.W.data.copy_(torch.from_numpy(reflect(V)))
        constrain(made, "W", "reflections", reflections=model.reflections)
    return made


def start(spec: SequenceModelsSpec, unit: Unit, device: str = "cpu") -> SequenceModelsTrial:
    """Return a unit's run, ready to advance. Raises ArgumentError.

    >>> spec = SequenceModelsSpec([("lru 0-1", 3, 3e-3)], hidden=8, epochs=1, updates=2, n_validation=8)
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["epochs"]
    (True, [0, 1])
    """
    if not isinstance(spec, SequenceModelsSpec):
        raise bad("spec", type(spec).__name__, "a SequenceModelsSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    return SequenceModelsTrial(spec, unit, MODELS[unit.model], device)


class SequenceModelsTrial:
    """Trains one unit of a :class:`~ortholab.experiments.sequence_models.SequenceModelsSpec`; the engine's ``Trial``.

    A segment is an epoch. Weights come from the unit's seed, batches from another stream of it: all units of a seed see
    the same sequences in the same order. Bit for bit the same on one machine and one number of threads.
    """

    def __init__(self, spec: SequenceModelsSpec, unit: Unit, model: Model, device: str = "cpu") -> None:
        self.spec, self.unit, self.device = spec, unit, pick_device(device)
        what = {"task": "copying", "delay": unit.delay, "batch": spec.batch}
        what |= {"updates": spec.updates, "n_validation": spec.n_validation}
        self.task = gain_tasks.make(SimpleNamespace(**what), unit.seed)
        self.datasets = self.task.datasets
        self.model = build(model, self.task.n_in, spec.hidden, self.task.n_out, unit.seed).to(self.device)
        self.held = None
        if model.held == "stiefel":
            self.held = StiefelWeights(self.model.W.data, rate=unit.rate, optimiser="adam")
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        free = [p for p in self.trained if self.held is None or p is not self.model.W]
        self.optimiser = torch.optim.Adam(free, unit.rate)
        self.step, self.epoch, self.diverged, self.seconds = 0, 0, -1, 0.0
        names = ("epochs", "loss", "score", "training_loss", "modulus", "energy", "s_max")
        self.records: dict[str, list] = {name: [] for name in names}
        self._look()

    def advance(self) -> bool:
        """Train one epoch; return True when the run is over (budget or divergence)."""
        if self.epoch >= self.spec.epochs or self.diverged >= 0:
            return True
        total = 0.0
        for _ in range(self.task.updates):
            x, y = self.task.batch()
            started = time.process_time()
            loss = self._update(x.to(self.device), y.to(self.device))
            self.seconds += time.process_time() - started
            if not math.isfinite(loss):
                self.diverged = self.step
                return True
            total += loss
            self.step += 1
        self.epoch += 1
        self.records["training_loss"].append(short(total / self.task.updates / self.task.unit))
        self._look()
        return self.epoch >= self.spec.epochs

    def _update(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """Take a step of Adam; return the loss before it, inf (and no step) where it or the gradient is not finite."""
        self.model.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.model(x, self.task.steps).flatten(0, 1), y.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.trained, self.spec.clip)
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            return math.inf
        if self.held is not None:
            self.held.update(self.model.W.data, self.model.W.grad)
        self.optimiser.step()
        return loss.item()

    def progress(self) -> tuple[int, int]:
        """Return (epochs done, epochs at most)."""
        return (self.epoch if self.diverged < 0 else self.spec.epochs), self.spec.epochs

    @torch.no_grad()
    def _look(self) -> None:
        """Record the validation loss and score, and the eigenvalues of what carries the state from step to step."""
        loss, score = self.task.judge(lambda x: self.model(x.to(self.device), self.task.steps).cpu())
        found = {"epochs": self.epoch, "loss": short(loss), "score": short(score)}
        if isinstance(self.model, LRUNetwork):
            r = self.model.lru.modulus().double().cpu()
            s = r
        elif isinstance(self.model, RNN):
            W = self.model.W.double().cpu()
            r, s = torch.linalg.eigvals(W).abs(), torch.linalg.svdvals(W)
        if not isinstance(self.model, LSTM):
            gap = self.unit.delay + sequences.COPIED  # from a symbol to its copy
            found["modulus"] = [short(q) for q in r.quantile(torch.tensor(QUANTILES, dtype=r.dtype))]
            found["energy"], found["s_max"] = short((r ** (2 * gap)).mean()), short(s.max())
        for name, value in found.items():
            self.records[name].append(value)

    def metrics(self) -> dict:
        """Return the curves over ``epochs`` (0: the start).

        ``loss`` (1: no memory) and ``score`` (the share of the ten symbols said again rightly, 1/8 by chance) on
        validation sequences, ``training_loss`` the mean over each epoch in the same unit. Of lambda, or of the
        eigenvalues of W: ``modulus`` (their moduli at QUANTILES) and ``energy``, the mean of |lambda|^(2 T), T =
        delay + 10; ``s_max`` the largest singular value. An LSTM has none of them. ``diverged`` is the update at which
        the loss or a gradient was not finite (-1: none).
        """
        return {name: list(values) for name, values in self.records.items()} | {
            "diverged": self.diverged, "updates": self.step, "seconds_an_update": self.seconds / max(self.step, 1),
            "parameters": sum(p.numel() for p in self.trained),
        }  # fmt: skip

    def state_dict(self) -> dict:
        """Return weights, averages, the stream of batches, and all that was recorded."""
        return {
            "model": dict(self.model.state_dict()), "optimiser": self.optimiser.state_dict(),
            "held": None if self.held is None else self.held.state_dict(), "task": self.task.state_dict(),
            "step": self.step, "epoch": self.epoch, "diverged": self.diverged, "seconds": self.seconds,
            "records": {name: list(values) for name, values in self.records.items()},
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.held is not None:
            self.held.load_state_dict(state["held"])
        self.task.load_state_dict(state["task"])
        for name in ("step", "epoch", "diverged", "seconds"):
            setattr(self, name, state[name])
        self.records = {name: list(state["records"][name]) for name in self.records}
