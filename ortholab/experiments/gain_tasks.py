"""The tasks on which gain is tried: MNIST by rows and by pixels, copying, adding. Each draws batches and judges."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch

from ortholab import data, sequences

TASKS = ("rows", "pixels", "copying", "adding")
VALIDATION_STREAM = 2**31  # the seed of what generated tasks are judged on, the same for every unit


class Task(Protocol):
    """What a network is trained on: the sizes that it needs, batches, and a judgement."""

    n_in: int
    n_out: int
    length: int
    steps: int
    loss: str
    datasets: tuple
    updates: int  # in an epoch

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the next batch: inputs (T, batch, n_in) and targets."""

    def input_power(self) -> float:
        """Return the mean of |x_t|^2 over sequences and time."""

    def judge(self, predict) -> tuple[float, float]:
        """Return validation loss and score of ``predict(x)`` -> outputs (steps, rows, n_out)."""

    def state_dict(self) -> dict: ...

    def load_state_dict(self, state: dict) -> None: ...


@lru_cache(maxsize=2)
def _images(source: str, n: int | None) -> data.Dataset:
    return data.mnist("train", n, source=source)


class Images:
    """MNIST: training and validation images are two parts of the training set, in its order.

    The network reads rows from the top, or pixels after blocks of ``shrink`` x ``shrink`` were averaged, values in
    [0, 1], and names the digit at the end. The score is the share of validation images it gets right. An epoch draws
    each training image once at most, in a new order; a short last batch is dropped.
    """

    n_out, steps, loss = 10, 1, "softmax"

    def __init__(self, spec, rng: np.random.Generator) -> None:
        found = _images(spec.source, spec.n_train + spec.n_validation)
        self.datasets = (found,)
        images = found.images if spec.shrink == 1 else sequences.shrink(found.images, spec.shrink)
        x = sequences.rows(images) if spec.task == "rows" else sequences.pixels(images)
        # Sequences first: a batch is then a gather of whole sequences.
        self.x, self.y = np.ascontiguousarray(x.transpose(1, 0, 2), dtype=np.float32), found.labels
        self.n_train, self.rows, self.rng = spec.n_train, spec.batch, rng
        self.length, self.n_in = self.x.shape[1:]
        self.updates = spec.n_train // spec.batch
        self.order, self.at = np.empty(0, dtype=np.int64), 0

    def _take(self, rows: np.ndarray | slice) -> tuple[torch.Tensor, torch.Tensor]:
        x = np.ascontiguousarray(self.x[rows].transpose(1, 0, 2))
        return torch.from_numpy(x), torch.from_numpy(self.y[rows])[None]

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.at + self.rows > len(self.order):
            self.order, self.at = self.rng.permutation(self.n_train), 0
        rows = self.order[self.at : self.at + self.rows]
        self.at += self.rows
        return self._take(rows)

    def input_power(self) -> float:
        return float((self.x[: self.n_train].astype(np.float64) ** 2).sum(2).mean())

    def judge(self, predict) -> tuple[float, float]:
        loss, right, rows = 0.0, 0, range(self.n_train, len(self.y), self.rows)
        for at in rows:
            x, y = self._take(slice(at, min(at + self.rows, len(self.y))))
            logits = predict(x)[0].double()
            loss += torch.nn.functional.cross_entropy(logits, y[0], reduction="sum").item()
            right += int((logits.argmax(1) == y[0]).sum())
        n = len(self.y) - self.n_train
        return loss / n, right / n

    def state_dict(self) -> dict:
        return {"rng": self.rng.bit_generator.state, "order": self.order, "at": self.at}

    def load_state_dict(self, state: dict) -> None:
        self.rng.bit_generator.state = state["rng"]
        self.order, self.at = np.asarray(state["order"]), state["at"]


class Generated:
    """Copying after ``spec.delay`` steps, or adding over ``spec.delay`` steps; an epoch is ``spec.updates`` batches.

    Losses are in units of what is reached without memory (1 is no memory). The score is, for copying, the share of the
    ten symbols said again rightly (1/8 by chance), for adding, the share of sums within 0.1.
    """

    datasets = ()

    def __init__(self, spec, rng: np.random.Generator) -> None:
        self.copying, self.delay, self.rows, self.rng = spec.task == "copying", spec.delay, spec.batch, rng
        self.updates = spec.updates
        if self.copying:
            self.n_in, self.n_out, self.loss = sequences.SYMBOLS + 2, sequences.SYMBOLS + 1, "softmax"
            self.length = self.steps = spec.delay + 2 * sequences.COPIED
            self.unit = sequences.copying_baseline(spec.delay)
        else:
            self.n_in, self.n_out, self.loss, self.length, self.steps = 2, 1, "squared", spec.delay, 1
            self.unit = sequences.ADDING_BASELINE / 2  # the loss is half the squared error
        self.x, self.y = self._draw(spec.n_validation, np.random.default_rng(VALIDATION_STREAM))

    def _draw(self, rows: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        draw = sequences.copying if self.copying else sequences.adding
        x, y = draw(rows, self.delay, rng=rng)
        return torch.from_numpy(x), torch.from_numpy(y)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._draw(self.rows, self.rng)

    def input_power(self) -> float:
        return float(self.x.double().square().sum(2).mean())

    def judge(self, predict) -> tuple[float, float]:
        out, y = predict(self.x).double(), self.y
        if not self.copying:
            error = out - y
            return float(error.square().mean() / 2 / self.unit), float((error.abs() < 0.1).double().mean())
        loss = torch.nn.functional.cross_entropy(out.flatten(0, 1), y.flatten()).item()
        said = out[-sequences.COPIED :].argmax(2) == y[-sequences.COPIED :]
        return loss / self.unit, float(said.double().mean())

    def state_dict(self) -> dict:
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict) -> None:
        self.rng.bit_generator.state = state["rng"]


def make(spec, seed: int) -> Task:
    """Return the task of a specification, its batches drawn by ``seed``. Raises ArgumentError and DataError."""
    rng = np.random.default_rng([seed, 1])
    return Images(spec, rng) if spec.task in ("rows", "pixels") else Generated(spec, rng)


def input_variance(task: Task, hidden: int) -> float:
    """Return the mean variance of W_in x_t over units of a Glorot W_in, 2/(n_in + n) mean |x_t|^2."""
    return 2 / (task.n_in + hidden) * task.input_power()


def short(value: object) -> float:
    """Return a number with six digits: the stored results stay small."""
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else value
