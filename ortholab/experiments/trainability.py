"""Which depths train? Training accuracy over (depth, sigma_w), to be held against the depth scale xi_c.

The idea is Figure 5 of Schoenholz et al. 2017 (arXiv 1611.01232): signals and gradients carry over a few multiples of
xi_c, so a network trains when its depth is below that, and only at the critical sigma_w is there no such limit.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ortholab import data
from ortholab.errors import bad, check_choice, check_grid, check_int, check_number
from ortholab.experiments.trial import OneSegment
from ortholab.nn import gaussian_, haar, torch_activation


@dataclass(frozen=True)
class TrainabilitySpec:
    """What is trained: every depth x sigma_w x seed, by plain SGD. The defaults are the quick tier.

    The step size is ``learning_rate / depth``: at criticality each layer adds an equal share to the change of the
    output, so the stable step falls like 1/depth. ``sigma_w`` and ``sigma_b`` are standard deviations. The networks of
    one seed and depth start from one draw, multiplied by each sigma_w, and see the same batches.
    Raises ArgumentError.

    >>> TrainabilitySpec(depths=[4, 8], sigma_w=[1.0]).depths
    (4, 8)
    """

    depths: tuple[int, ...] = (5, 8, 13, 20, 32, 50, 80)
    sigma_w: tuple[float, ...] = tuple(math.sqrt(v) for v in (1.0, 1.25, 1.5, 1.761, 2.1, 2.6, 3.3))
    sigma_b: float = math.sqrt(0.05)
    width: int = 100
    steps: int = 150
    learning_rate: float = 0.5
    batch: int = 32
    n_train: int = 2000
    seeds: tuple[int, ...] = (0,)
    activation: object = "tanh"
    weights: str = "gaussian"

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        tidy("depths", check_grid("depths", self.depths, lambda name, v: check_int(name, v, 1)))
        tidy(
            "sigma_w", check_grid("sigma_w", self.sigma_w, lambda name, v: check_number(name, v, low=0, open_low=True))
        )
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        tidy("sigma_b", check_number("sigma_b", self.sigma_b, low=0))
        tidy("learning_rate", check_number("learning_rate", self.learning_rate, low=0, open_low=True))
        for name in ("width", "steps", "batch", "n_train"):
            tidy(name, check_int(name, getattr(self, name), 1))
        if self.batch > self.n_train:
            raise bad("batch", self.batch, f"at most n_train = {self.n_train}")
        check_choice("weights", self.weights, ("gaussian", "orthogonal"))
        torch_activation(self.activation)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate pieces of work: a depth and a seed, with all sigma_w side by side."""
        return tuple(Unit(depth, seed) for depth in self.depths for seed in self.seeds)


@dataclass(frozen=True)
class Unit:
    """One depth and seed: the piece of work that the engine runs, stores and resumes on its own."""

    depth: int
    seed: int


@dataclass(frozen=True, eq=False)
class TrainabilityResult:
    """What came out: arrays of shape (depths, sigma_w, seeds), and what the run used.

    ``accuracy`` and ``loss`` (mean cross-entropy) are over all ``n_train`` training images after the last step. A run
    whose loss or weights stopped being finite is ``diverged``: accuracy 0, loss infinite.
    """

    spec: TrainabilitySpec
    accuracy: np.ndarray
    loss: np.ndarray
    diverged: np.ndarray
    data_source: str
    data_sha256: str
    seconds: float

    def trainable_depth(self, threshold: float = 0.5) -> np.ndarray:
        """Return the depth at which accuracy first falls below ``threshold``, shape (sigma_w, seeds).

        Linear between grid points in log depth. 0 where the least depth fails already, inf where no depth does.
        Raises ArgumentError.
        """
        threshold = check_number("threshold", threshold, low=0, high=1)
        depths, order = np.sort(self.spec.depths), np.argsort(self.spec.depths)
        return np.apply_along_axis(_crossing, 0, self.accuracy[order], depths, threshold)


def run(spec: TrainabilitySpec, dataset: data.Dataset | None = None, progress: bool = False) -> TrainabilityResult:
    """Train every network of the specification on the first ``n_train`` images; the default set is embedded MNIST.

    Each image is standardised to mean 0 and mean square 1 (q^0 = 1). All sigma_w of one depth train side by side in
    batched products, on one thread (small products gain nothing from more). The answer depends on the specification,
    the data and torch's version only. ``progress`` shows a bar. Raises ArgumentError.

    >>> result = run(TrainabilitySpec(depths=(2,), sigma_w=(1.0, 1.5), width=20, steps=30, n_train=200))
    >>> result.accuracy.shape, bool(result.accuracy.min() > 0.3), bool(result.diverged.any())
    ((1, 2, 1), True, False)
    """
    if not isinstance(spec, TrainabilitySpec):
        raise bad("spec", type(spec).__name__, "a TrainabilitySpec")
    dataset = data.mnist("train", spec.n_train, source="embedded") if dataset is None else dataset
    if not isinstance(dataset, data.Dataset):
        raise bad("dataset", type(dataset).__name__, "an ortholab.data.Dataset")
    if len(dataset) < spec.n_train:
        raise bad("n_train", spec.n_train, f"at most {len(dataset)}, the number of images in {dataset!r}")
    x = torch.as_tensor(data.standardise(dataset.flat[: spec.n_train]))
    y = torch.as_tensor(dataset.labels[: spec.n_train])
    shape = (len(spec.depths), len(spec.sigma_w), len(spec.seeds))
    accuracy, loss = np.zeros(shape), np.full(shape, np.inf)
    started = time.perf_counter()
    with _one_thread(), _bar(spec, progress) as bar:
        for i, depth in enumerate(spec.depths):
            for k, seed in enumerate(spec.seeds):
                stack = _Stack(spec, depth, seed, x.shape[1], len(dataset.classes))
                stack.train(x, y)
                accuracy[i, :, k], loss[i, :, k] = stack.evaluate(x, y)
                bar.update(depth)
    seconds = time.perf_counter() - started
    return TrainabilityResult(spec, accuracy, loss, np.isinf(loss), dataset.source, dataset.sha256, seconds)


def start(spec: TrainabilitySpec, unit: Unit, device: str) -> OneSegment:
    """Return the trial of one unit on the embedded MNIST images, for the engine. It runs on the CPU only.

    The metrics are arrays over sigma_w: accuracy, loss, diverged. Raises ArgumentError.
    """
    if torch.device(device).type != "cpu":
        raise bad("device", device, "'cpu': trainability has no other")
    images = _images(spec.n_train)
    x, y = torch.as_tensor(data.standardise(images.flat)), torch.as_tensor(images.labels)

    def compute() -> dict:
        stack = _Stack(spec, unit.depth, unit.seed, x.shape[1], len(images.classes))
        stack.train(x, y)
        accuracy, loss = stack.evaluate(x, y)
        return {"sigma_w": np.array(spec.sigma_w), "accuracy": accuracy, "loss": loss, "diverged": np.isinf(loss)}

    return OneSegment(compute, datasets=(images,))


@lru_cache(maxsize=1)
def _images(n: int) -> data.Dataset:
    return data.mnist("train", n, source="embedded")


class _Stack:
    """The networks of one depth and seed, one for each sigma_w: W is (sigma_w, n_in, n_out), a state (sigma_w, n, n_l).

    Rows are images here, so a layer is h = x W + b with W the transpose of the book's. Gradients are written out
    (g <- (g W^T) * phi'(h), the product J^T v layer by layer) so that each update is one product added to W in place.
    """

    def __init__(self, spec: TrainabilitySpec, depth: int, seed: int, n_in: int, n_out: int) -> None:
        self.spec, self.rate = spec, spec.learning_rate / depth
        self.act = torch_activation(spec.activation)
        self.generator = torch.Generator().manual_seed(seed)
        sigma_w = torch.tensor(spec.sigma_w).view(-1, 1, 1)
        self.W, self.b = [], []
        for a, b in zip((n_in, *[spec.width] * depth), (*[spec.width] * depth, n_out), strict=True):
            self.W.append(sigma_w * _draw(spec.weights, a, b, self.generator))
            bias = spec.sigma_b * torch.randn(1, 1, b, generator=self.generator)
            self.b.append(bias.repeat(len(spec.sigma_w), 1, 1))

    def forward(self, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """Return the inputs of every layer, the pre-activations of the hidden ones, and the output."""
        states, hidden = [x.expand(len(self.spec.sigma_w), *x.shape)], []
        for W, b in zip(self.W[:-1], self.b[:-1], strict=True):
            hidden.append(torch.baddbmm(b, states[-1], W))
            states.append(self.act.phi(hidden[-1]))
        return states, hidden, torch.baddbmm(self.b[-1], states[-1], self.W[-1])

    @torch.no_grad()
    def train(self, x: torch.Tensor, y: torch.Tensor) -> None:
        one_hot = torch.nn.functional.one_hot(y, self.W[-1].shape[-1]).to(x.dtype)
        for rows in self._batches(len(x)):
            states, hidden, out = self.forward(x[rows])
            g = (torch.softmax(out, -1) - one_hot[rows]) / len(rows)  # gradient of the mean cross-entropy
            for i in range(len(self.W) - 1, -1, -1):
                below = torch.bmm(g, self.W[i].mT) if i else None
                self.W[i].baddbmm_(states[i].mT, g, alpha=-self.rate)
                self.b[i].sub_(g.sum(1, keepdim=True), alpha=self.rate)
                if i:
                    g = below * self.act.slope(hidden[i - 1], states[i])

    @torch.no_grad()
    def evaluate(self, x: torch.Tensor, y: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return accuracy and loss of each network; accuracy 0 and loss inf where a number is not finite."""
        out = self.forward(x)[2]
        loss = -torch.log_softmax(out.double(), -1)[:, torch.arange(len(y)), y].mean(1)
        accuracy = (out.argmax(-1) == y).double().mean(1)
        finite = torch.isfinite(loss)
        for values in (*self.W, *self.b):
            finite &= torch.isfinite(values).all(-1).all(-1)
        return torch.where(finite, accuracy, 0).numpy(), torch.where(finite, loss, math.inf).numpy()

    def _batches(self, n: int):
        rows = torch.empty(0, dtype=torch.int64)
        for _ in range(self.spec.steps):
            if len(rows) < self.spec.batch:  # a new epoch; a short rest is dropped
                rows = torch.randperm(n, generator=self.generator)
            yield rows[: self.spec.batch]
            rows = rows[self.spec.batch :]


def _draw(weights: str, n_in: int, n_out: int, generator: torch.Generator) -> torch.Tensor:
    if weights == "gaussian" or n_in != n_out:  # the first and last layers are rectangular: Gaussian in both cases
        return gaussian_(torch.empty(n_out, n_in), 1.0, generator).T.contiguous()
    return haar(n_in, generator=generator)


def _crossing(accuracy: np.ndarray, depths: np.ndarray, threshold: float) -> float:
    below = np.flatnonzero(accuracy < threshold)
    if not below.size:
        return math.inf
    i = below[0]
    if i == 0:
        return 0.0
    share = (accuracy[i - 1] - threshold) / (accuracy[i - 1] - accuracy[i])
    return float(np.exp((1 - share) * np.log(depths[i - 1]) + share * np.log(depths[i])))


@contextlib.contextmanager
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _bar(spec: TrainabilitySpec, progress: bool):
    from tqdm import tqdm

    return tqdm(total=sum(spec.depths) * len(spec.seeds), disable=not progress, desc="trainability", unit="layer")


tiers = {
    "quick": TrainabilitySpec(),
    "full": TrainabilitySpec(width=200, steps=600, n_train=4000, seeds=range(5)),
    # The paper's width, depths and range of sigma_w^2, from memory of it; on the embedded images.
    "paper": TrainabilitySpec(
        depths=(10, 20, 40, 80, 160, 300),
        sigma_w=tuple(math.sqrt(1 + k / 4) for k in range(13)),
        width=300,
        steps=10_000,
        n_train=4000,
        seeds=range(3),
    ),
}
