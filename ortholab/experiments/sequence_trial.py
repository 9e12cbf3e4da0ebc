"""One run of Figure 5: a recurrent network that reads images by pixel, trained in segments that can be resumed."""

from __future__ import annotations

import math
import time
from functools import lru_cache

import numpy as np
import torch

from ortholab import data, sequences
from ortholab.errors import bad
from ortholab.experiments.spectral_margin import SpectralMarginSpec, Unit
from ortholab.nn import pick_device
from ortholab.nn.penalised_weights import PenalisedWeights
from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN
from ortholab.nn.spectral_margin import SpectralMargin

DIVERGED = 1e4  # a mean cross-entropy above this is divergence (chance is log 10 = 2.3), as is one that is not finite
TIMES = 15


@lru_cache(maxsize=2)
def load_data(source: str, n_train: int | None, n_test: int | None) -> tuple[data.Dataset, data.Dataset]:
    """Return the training and test images of a specification. Raises DataError."""
    return data.mnist("train", n_train, source=source), data.mnist("test", n_test, source=source)


def start(spec: SpectralMarginSpec, unit: Unit, device: str = "cpu") -> SequenceTrial:
    """Return a unit's run, ready to advance. Raises ArgumentError and DataError.

    >>> spec = SpectralMarginSpec([("margin 0", 1e-3, 0.1)], updates=2, batch=10, n_train=50, n_test=50, shrink=4)
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["test_steps"]
    (True, [2])
    """
    if not isinstance(spec, SpectralMarginSpec):
        raise bad("spec", type(spec).__name__, "a SpectralMarginSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    return SequenceTrial(spec, unit, device)


class SequenceTrial:
    """Trains one unit of a :class:`~ortholab.experiments.spectral_margin.SpectralMarginSpec`; the engine's ``Trial``.

    A segment is ``spec.segment`` updates. Weights come from the unit's seed, batches from another stream of it: all
    configurations of a seed share W_in, W_out and, if orthogonal, W at the start, and see the same images in the same
    order. Bit for bit the same on one machine and one number of threads.
    """

    def __init__(self, spec: SpectralMarginSpec, unit: Unit, device: str = "cpu") -> None:
        self.spec, self.unit, self.device = spec, unit, pick_device(device)
        self.datasets = load_data(spec.source, spec.n_train, spec.n_test)
        train = self.datasets[0]
        if spec.batch > len(train):
            raise bad("batch", spec.batch, f"at most {len(train)}, the number of training images")
        self.length = (28 // spec.shrink) ** 2
        permuted = unit.task == "permuted"
        self.permutation = sequences.permutation(self.length, spec.permutation_seed) if permuted else None
        what = unit.what
        self.model = RNN(1, spec.hidden, 10, activation=what.activation, start=what.start, generator=unit.seed).to(
            self.device
        )
        W = self.model.W.data
        if what.margin is None:
            recurrent = PenalisedWeights(W, "rmsprop", rate=unit.w_rate)
        else:
            recurrent = SpectralMargin(
                W, what.margin, rate=unit.rate, basis_rate=unit.w_rate, bases=what.bases,
                gain=what.gain,
                generator=torch.Generator().manual_seed(unit.seed + 2**32),
            )  # fmt: skip
        self.trainer = RecurrentStep(
            self.model, spec.batch, self.length, "rmsprop", rate=unit.rate, clip=spec.clip, recurrent=recurrent
        )
        self.times = np.linspace(0, self.length - 1, TIMES).round().astype(int).tolist()
        self.rng = np.random.default_rng([unit.seed, 1])
        self.order, self.at = np.empty(0, dtype=np.int64), 0
        self.step, self.finished, self.diverged, self.seconds = 0, False, -1, 0.0
        self.losses: list[float] = []
        looks = ("look_steps", "s_min", "s_median", "s_max", "distance", "gradient_norm", "through_time")
        tests = ("test_steps", "test_loss", "accuracy", "seconds")
        self.records: dict[str, list] = {name: [] for name in ("cost_steps", "cost", *looks, *tests)}

    def advance(self) -> bool:
        """Train one segment; return True when the run is over (budget or divergence)."""
        stop = min(self.step + self.spec.segment, self.spec.updates)
        while not self.finished and self.step < stop:
            self._train_one()
        self.finished = self.finished or self.step >= self.spec.updates
        return self.finished

    def progress(self) -> tuple[int, int]:
        """Return (updates done, updates at most)."""
        return (self.spec.updates if self.finished else self.step), self.spec.updates

    def metrics(self) -> dict:
        """Return the curves.

        ``cost`` is the mean training loss over the updates since the last of ``cost_steps``. At ``look_steps``:
        ``s_min``, ``s_median``, ``s_max`` of W, ``distance`` = sqrt(sum (s_i - 1)^2) to the orthogonal matrices, and of
        the batch that follows the norm of all gradients, before clipping, and ``through_time`` |dLoss/da_t|_F at
        ``times``. At ``test_steps``: ``test_loss``, ``accuracy``, ``seconds`` of training so far. ``s_final`` are all
        singular values at the end, ``diverged`` is the update at which the loss went beyond 1e4 or a gradient was not
        finite (-1: none did), ``epochs`` how often the training images were seen.
        """
        spectrum = torch.linalg.svdvals(self.model.W.data.double()).tolist()
        return {name: list(values) for name, values in self.records.items()} | {
            "times": self.times, "s_final": [_short(s) for s in spectrum], "diverged": self.diverged,
            "last_step": self.step, "epochs": self.step * self.spec.batch / len(self.datasets[0]),
            "seconds_an_update": self.seconds / max(self.step, 1),
        }  # fmt: skip

    def state_dict(self) -> dict:
        """Return weights, averages of the optimisers, the batch generator, and all that was recorded."""
        return {
            "trainer": self.trainer.state_dict(), "rng": self.rng.bit_generator.state, "order": self.order,
            "at": self.at, "step": self.step, "finished": self.finished, "diverged": self.diverged,
            "losses": list(self.losses), "seconds": self.seconds,
            "records": {name: list(values) for name, values in self.records.items()},
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.trainer.load_state_dict(state["trainer"])
        self.rng.bit_generator.state = state["rng"]
        for name in ("at", "step", "finished", "diverged", "seconds"):
            setattr(self, name, state[name])
        self.order, self.losses = np.asarray(state["order"]), list(state["losses"])
        self.records = {name: list(state["records"][name]) for name in self.records}

    def _inputs(self, dataset: data.Dataset, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        images = dataset.images[rows]
        if self.spec.shrink > 1:
            images = sequences.shrink(images, self.spec.shrink)
        x = torch.from_numpy(sequences.pixels(images, self.permutation)).to(self.device)
        return x, torch.from_numpy(dataset.labels[rows])[None].to(self.device)

    def _next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        train, batch = self.datasets[0], self.spec.batch
        if self.at + batch > len(self.order):  # a new epoch; a short rest is dropped
            self.order, self.at = self.rng.permutation(len(train)), 0
        rows = self.order[self.at : self.at + batch]
        self.at += batch
        return self._inputs(train, rows)

    def _train_one(self) -> None:
        look = self.step % self.spec.look_every == 0
        if look:
            s = torch.linalg.svdvals(self.model.W.data.double())
        started = time.perf_counter()
        loss = self.trainer.step(*self._next_batch())
        self.seconds += time.perf_counter() - started
        if not loss <= DIVERGED:
            self.diverged, self.finished = self.step, True
            return
        if look:
            self._look(s)
        self.losses.append(loss)
        self.step += 1
        last = self.step == self.spec.updates
        if len(self.losses) == self.spec.cost_every or last:
            self._record(cost_steps=self.step, cost=_short(sum(self.losses) / len(self.losses)))
            self.losses = []
        if self.step % self.spec.test_every == 0 or last:
            self._test()

    def _look(self, s: torch.Tensor) -> None:
        """Record W before the update and the gradients of that update."""
        self._record(
            look_steps=self.step, s_min=_short(s.min()), s_median=_short(s.quantile(0.5)), s_max=_short(s.max()),
            distance=_short((s - 1).square().sum().sqrt()), gradient_norm=_short(self.trainer.gradient_norm),
            through_time=[_short(g) for g in self.trainer.gradient_through_time(self.times)],
        )  # fmt: skip

    def _test(self) -> None:
        test, loss, right = self.datasets[1], 0.0, 0
        for at in range(0, len(test), self.spec.batch):
            x, y = self._inputs(test, np.arange(at, min(at + self.spec.batch, len(test))))
            logits, y = self.trainer.predict(x)[0].cpu().double(), y[0].cpu()
            loss += torch.nn.functional.cross_entropy(logits, y, reduction="sum").item()
            right += int((logits.argmax(1) == y).sum())
        loss /= len(test)
        if not loss <= DIVERGED:
            self.diverged, self.finished = self.step, True
            return
        self._record(test_steps=self.step, test_loss=loss, accuracy=right / len(test), seconds=self.seconds)

    def _record(self, **values: object) -> None:
        for name, value in values.items():
            self.records[name].append(value)


def _short(value: object) -> float:
    """Six digits: the stored results stay small."""
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else value
