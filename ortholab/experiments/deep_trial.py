"""One run of Figure 4: a deep network trained by one optimiser at one step size, in segments that can be resumed."""

from __future__ import annotations

import math
import time
from functools import lru_cache

import numpy as np
import torch

from ortholab import data
from ortholab.errors import bad
from ortholab.experiments.deep_nets import DeepNetsSpec, Network, Unit
from ortholab.experiments.deep_spectra import spectra, watched_layers
from ortholab.nn import MLP, pick_device
from ortholab.nn.deep_step import DeepStep
from ortholab.theory.mean_field import q_star

DIVERGED = 1e4  # a mean cross-entropy above this is divergence (chance is log 10 = 2.3), as is one that is not finite


def record_steps(max_steps: int, per_decade: int) -> list[int]:
    """Return the steps at which a run is measured: 0, then log-spaced, ``per_decade`` to a factor of 10, then the last.

    >>> record_steps(40, 4)
    [0, 1, 2, 3, 6, 10, 18, 32, 40]
    """
    count = math.ceil(per_decade * math.log10(max_steps)) if max_steps > 1 else 0
    spaced = {round(10 ** (k / per_decade)) for k in range(count + 1)}
    return sorted({0, max_steps} | {step for step in spaced if step < max_steps})


def steps_to(records: dict, threshold: float) -> float:
    """Return the first measured step with a test accuracy of at least ``threshold``, inf if there is none.

    >>> steps_to({"steps": [0, 1, 2], "accuracy": [0.1, 0.3, 0.4]}, 0.25)
    1.0
    """
    measured = zip(records["steps"], records["accuracy"], strict=True)
    return next((float(step) for step, accuracy in measured if accuracy >= threshold), math.inf)


def input_variance(network: Network) -> float:
    """Return the mean square q^0 of the inputs that puts the first layer at the fixed point: q^1 = q*.

    q* = sigma_w^2 q^0 + sigma_b^2. A critical ReLU network keeps any q, so q* = 1 is taken.

    >>> from ortholab.experiments.deep_nets import NETWORKS
    >>> round(input_variance(NETWORKS["tanh1.05-orthogonal"]), 4), round(input_variance(NETWORKS["relu-gaussian"]), 4)
    (0.0247, 0.5)
    """
    q = 1.0 if network.activation == "relu" else q_star(network.activation, network.sigma_w, network.sigma_b)
    return (q - network.sigma_b**2) / network.sigma_w**2


@lru_cache(maxsize=2)
def load_data(dataset: str, n_train: int | None, n_test: int) -> tuple[data.Dataset, data.Dataset]:
    """Return the training and test sets of a specification; "mnist" is the embedded set. Raises DataError."""
    if dataset == "mnist":
        return data.mnist("train", n_train, source="embedded"), data.mnist("test", n_test, source="embedded")
    return data.cifar10("train", n_train), data.cifar10("test", n_test)


def start(spec: DeepNetsSpec, unit: Unit, device: str = "cpu") -> DeepTrial:
    """Return a unit's run, ready to advance. Raises ArgumentError and DataError.

    >>> spec = DeepNetsSpec(plan=[("tanh1.05-orthogonal", "sgd", [0.1])], depths=[3], max_steps=2)
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["steps"]
    (True, [0, 1, 2])
    """
    if not isinstance(spec, DeepNetsSpec):
        raise bad("spec", type(spec).__name__, "a DeepNetsSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    return DeepTrial(spec, unit, device)


class DeepTrial:
    """Trains one unit of a :class:`~ortholab.experiments.deep_nets.DeepNetsSpec`; the engine's ``Trial``.

    A segment is ``spec.segment`` steps. Weights come from the unit's seed, batches from another stream of it: all
    networks of a seed see the same images in the same order. Bit for bit the same on one machine and one number of
    threads (more threads change the order of sums). Inputs are standardised image by image, to mean 0 and the
    mean square of :func:`input_variance`.
    """

    def __init__(self, spec: DeepNetsSpec, unit: Unit, device: str = "cpu") -> None:
        self.spec, self.unit, self.device = spec, unit, pick_device(device)
        network = unit.what
        self.datasets = load_data(spec.dataset, spec.n_train, spec.n_test)
        train, test = self.datasets
        if spec.batch > len(train):
            raise bad("batch", spec.batch, f"at most {len(train)}, the number of training images")
        self.q0 = input_variance(network)
        self.model = MLP(
            train.flat.shape[1], spec.width, unit.depth, len(train.classes),
            activation=network.activation, sigma_w=network.sigma_w, sigma_b=network.sigma_b,
            weights=network.weights, generator=unit.seed, device=self.device,
        )  # fmt: skip
        self.trainer = DeepStep(self.model, spec.batch, unit.optimiser, rate=unit.rate)
        self.rng = np.random.default_rng([unit.seed, 1])
        self.order, self.at = np.empty(0, dtype=np.int64), 0
        self.x_test, self.y_test = self._inputs(test, np.arange(len(test)))
        every = spec.spectra_per_decade
        self.looks = set(record_steps(spec.max_steps, every)) if every else {0}
        if not spec.jacobian_images or unit.depth < 2:
            self.looks = set()
        self.schedule = set(record_steps(spec.max_steps, spec.per_decade)) | self.looks
        self.step, self.finished, self.diverged = 0, False, -1
        self.losses: list[float] = []
        self.seconds = 0.0
        names = ("steps", "loss", "test_loss", "accuracy", "gradient_norm", "gradient_first", "gradient_last")
        self.records: dict[str, list] = {name: [] for name in (*names, "seconds")}
        self.spectra: dict[str, list] = {"spectra_steps": []}

    def advance(self) -> bool:
        """Train one segment; return True when the run is over (budget, accuracy ``stop_at``, or divergence)."""
        stop = min(self.step + self.spec.segment, self.spec.max_steps)
        while not self.finished:
            if self.step in self.schedule and not self._measured() and self._measure():
                self.finished = True
            elif self.step >= stop:
                self.finished = self.step >= self.spec.max_steps
                break
            else:
                self._train_one()
        return self.finished

    def progress(self) -> tuple[int, int]:
        """Return (steps done, steps at most)."""
        return (self.spec.max_steps if self.finished else self.step), self.spec.max_steps

    def metrics(self) -> dict:
        """Return the curves at log-spaced steps, ``steps_to_0.3`` and its like, and the spectra.

        ``steps_to_`` a threshold is the first measured step with at least that test accuracy, inf if there was none.
        ``loss`` is the mean over the batches since the last record (at step 0 it is the test loss); ``gradient_norm``
        is that of all weights on the batch that follows, first and last are those of the first and the last layer
        below the readout (NaN for the last record); ``diverged`` is the step at which the loss went beyond 1e4 or was
        not finite (-1: it did not). At each of ``spectra_steps``: what
        :func:`~ortholab.experiments.deep_spectra.spectra` finds at the first test images, and ``weight_layers``, the
        layers that it looks at.
        """
        reached = {f"steps_to_{t:g}": steps_to(self.records, t) for t in self.spec.thresholds}
        out = {name: list(values) for name, values in self.records.items()}
        out |= {**reached, "diverged": self.diverged, "last_step": self.step}
        if self.looks:
            out |= {**self.spectra, "weight_layers": list(watched_layers(self.unit.depth))}
        return out | {"input_variance": self.q0, "seconds_a_step": self.seconds / max(self.step, 1)}

    def state_dict(self) -> dict:
        """Return weights, averages of the optimiser, the batch generator, and all that was recorded."""
        return {
            "trainer": self.trainer.state_dict(), "rng": self.rng.bit_generator.state, "order": self.order,
            "at": self.at, "step": self.step, "finished": self.finished, "diverged": self.diverged,
            "losses": list(self.losses), "seconds": self.seconds,
            "records": {name: list(values) for name, values in self.records.items()},
            "spectra": {name: list(values) for name, values in self.spectra.items()},
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.trainer.load_state_dict(state["trainer"])
        self.rng.bit_generator.state = state["rng"]
        for name in ("at", "step", "finished", "diverged", "seconds"):
            setattr(self, name, state[name])
        self.order, self.losses = np.asarray(state["order"]), list(state["losses"])
        self.records = {name: list(state["records"][name]) for name in self.records}
        self.spectra = {name: list(values) for name, values in state["spectra"].items()}

    def _inputs(self, dataset: data.Dataset, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        x = data.standardise(dataset.flat[rows], q=self.q0)
        return torch.from_numpy(x).to(self.device), torch.from_numpy(dataset.labels[rows]).to(self.device)

    def _next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        train, batch = self.datasets[0], self.spec.batch
        if self.at + batch > len(self.order):  # a new epoch; a short rest is dropped
            self.order, self.at = self.rng.permutation(len(train)), 0
        rows = self.order[self.at : self.at + batch]
        self.at += batch
        return self._inputs(train, rows)

    def _measured(self) -> bool:
        return self.records["steps"][-1:] == [self.step]

    def _train_one(self) -> None:
        measured = self._measured()
        started = time.perf_counter()
        loss = self.trainer.step(*self._next_batch(), norms=measured)
        self.seconds += time.perf_counter() - started
        if not loss <= DIVERGED:  # NaN too
            self.diverged, self.finished = self.step, True
            return
        if measured:
            norms = self.trainer.gradient_norms
            self.records["gradient_norm"][-1] = math.hypot(*norms)
            self.records["gradient_first"][-1], self.records["gradient_last"][-1] = norms[0], norms[-2]
        self.losses.append(loss)
        self.step += 1

    def _measure(self) -> bool:
        """Record this step; return whether the run is to stop here."""
        if self.step in self.looks:
            self._look()
        logits = self.trainer.predict(self.x_test).cpu().double()  # mps has no float64
        y = self.y_test.cpu()
        test_loss = torch.nn.functional.cross_entropy(logits, y).item()
        if not test_loss <= DIVERGED:
            self.diverged = self.step
            return True
        accuracy = (logits.argmax(1) == y).double().mean().item()
        values = {"steps": self.step, "test_loss": test_loss, "accuracy": accuracy, "seconds": self.seconds}
        values["loss"] = sum(self.losses) / len(self.losses) if self.losses else test_loss
        for name, record in self.records.items():
            record.append(values.get(name, math.nan))
        self.losses = []
        return self.spec.stop_at is not None and accuracy >= self.spec.stop_at

    def _look(self) -> None:
        found = spectra(self.model, self.x_test[: self.spec.jacobian_images], self.unit.what.sigma_w)
        self.spectra["spectra_steps"].append(self.step)
        for name, value in found.items():
            self.spectra.setdefault(name, []).append(value)
