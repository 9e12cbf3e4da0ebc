"""Every constraint and every penalty on one problem, from one start, with the same batches: what each costs and does.

The network is a deep tanh MLP on the embedded images; its square hidden matrices are held on the Stiefel manifold, or
drawn to it, or left free. Each way runs at its own step size, chosen on other seeds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch

from ortholab import data
from ortholab.errors import bad, check_choice, check_grid, check_int, check_number
from ortholab.experiments.deep_trial import record_steps
from ortholab.experiments.trial import OneSegment
from ortholab.nn import MLP, gaussian_, pick_device
from ortholab.nn.optim import StiefelSGD
from ortholab.nn.parametrize import constrain
from ortholab.nn.soft import SoftOrthogonality

DIVERGED = 1e4  # a mean cross-entropy above this, or one that is not finite
TRAVEL_EVERY = 10  # steps between the points whose distances add up to the path's length
SKETCH = 48  # numbers that stand for a matrix in the picture of paths


@dataclass(frozen=True)
class Way:
    """One way to treat the hidden matrices: ``kind`` is "free", "soft", "parametrised" or "on the manifold".

    ``what`` is the penalty, the method of :func:`ortholab.nn.parametrize.constrain` or the retraction; ``settings`` are
    passed on. ``start`` is the law of the hidden matrices: all but one begin orthogonal.
    """

    kind: str
    what: str = ""
    settings: tuple[tuple[str, object], ...] = ()
    start: str = "orthogonal"


WAYS = {
    "free": Way("free"),
    "free, Gaussian start": Way("free", start="gaussian"),
    "SO": Way("soft", "so", (("coefficient", 0.1),)),
    "DSO": Way("soft", "dso", (("coefficient", 0.05),)),
    "MC": Way("soft", "mc", (("coefficient", 0.1),)),
    "SRIP": Way("soft", "srip", (("coefficient", 0.1),)),
    "margin 0.1": Way("parametrised", "margin", (("margin", 0.1),)),
    "Cayley map": Way("parametrised", "cayley"),
    "scaled Cayley": Way("parametrised", "scaled_cayley"),
    "exponential": Way("parametrised", "exponential"),
    "polar (OLM)": Way("parametrised", "polar"),
    "SGD, Cayley": Way("on the manifold", "cayley"),
    "SGD, QR": Way("on the manifold", "qr"),
    "SGD, polar": Way("on the manifold", "polar"),
}


@dataclass(frozen=True)
class Unit:
    """One run: a way, its step size and a seed."""

    way: str
    rate: float
    seed: int


@dataclass(frozen=True)
class AtlasSpec:
    """What is trained: each row of ``plan`` (way, step sizes) with each seed. The defaults are small.

    ``depth`` hidden layers of ``width``, of which all but the first (which reads the image) are square and treated.
    ``max_steps`` steps of plain gradient descent on batches of ``batch`` images, measured at log-spaced steps,
    ``per_decade`` to a factor of 10, on ``n_test`` test images; with ``paths`` also for the picture of the ways through
    the space of matrices. A subclass may name another table of ``ways``, and the :class:`Run` that knows them. Raises
    ArgumentError.

    >>> AtlasSpec(plan=[("free", 0.1), ("SO", [0.1, 0.2])], seeds=(0, 1)).units[0]
    Unit(way='free', rate=0.1, seed=0)
    """

    ways: ClassVar[Mapping[str, Way]] = WAYS

    plan: tuple[tuple[str, tuple[float, ...]], ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    depth: int = 5
    width: int = 48
    batch: int = 64
    n_train: int = 4000
    n_test: int = 1000
    max_steps: int = 200
    per_decade: int = 8
    paths: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", check_grid("plan", self.plan, self._row))
        object.__setattr__(self, "seeds", check_grid("seeds", self.seeds, check_int))
        for name, low in (("depth", 2), ("width", 2), ("batch", 1), ("n_train", 1), ("n_test", 1), ("max_steps", 1)):
            object.__setattr__(self, name, check_int(name, getattr(self, name), low))
        object.__setattr__(self, "per_decade", check_int("per_decade", self.per_decade, 1))
        if not isinstance(self.paths, bool):
            raise bad("paths", self.paths, "True or False")
        if self.batch > self.n_train:
            raise bad("batch", self.batch, f"at most n_train = {self.n_train}")

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate runs."""
        return tuple(Unit(way, rate, seed) for seed in self.seeds for way, rates in self.plan for rate in rates)

    def _row(self, name: str, row: object) -> tuple[str, tuple[float, ...]]:
        if isinstance(row, str) or not np.iterable(row) or len(row := tuple(row)) != 2:
            raise bad(name, row, "(way, step sizes)")
        rates = row[1] if np.iterable(row[1]) else (row[1],)
        check_rate = lambda k, v: check_number(k, v, low=0, open_low=True)  # noqa: E731
        return check_choice(f"{name}[0]", row[0], tuple(self.ways)), check_grid(f"{name}[1]", rates, check_rate)


GRID = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# The step sizes with the least loss of GRID on the search's seeds, which no other run has; a test holds them to it.
RATES = dict.fromkeys(WAYS, 0.3) | {"margin 0.1": 0.1, "Cayley map": 1.0}

_GRIDS = tuple((way, GRID) for way in WAYS)
search_tiers = {
    "quick": AtlasSpec(plan=_GRIDS, seeds=(100,), max_steps=60, paths=False),
    "full": AtlasSpec(plan=_GRIDS, seeds=(100, 101), paths=False),
}
_CHOSEN = tuple((way, (rate,)) for way, rate in RATES.items())
tiers = {
    "quick": AtlasSpec(plan=_CHOSEN, seeds=(0,), max_steps=100),
    "full": AtlasSpec(plan=_CHOSEN, seeds=(0, 1, 2, 3, 4), max_steps=400),
}


def start(spec: AtlasSpec, unit: Unit, device: str = "cpu") -> OneSegment:
    """Return a unit's run: some seconds, computed in one go. Raises ArgumentError and DataError.

    >>> spec = AtlasSpec(plan=[("SGD, QR", 0.1)], depth=2, width=8, max_steps=3, seeds=(0,))
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["steps"]
    (True, [0, 1, 2, 3])
    """
    return begin(Run, spec, unit, device)


def begin(run: type[Run], spec: AtlasSpec, unit: Unit, device: str) -> OneSegment:
    """Return the trial that computes ``run(spec, unit, device, train, test).metrics()``. Raises as :func:`start`."""
    if not isinstance(spec, AtlasSpec):
        raise bad("spec", type(spec).__name__, "an AtlasSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    train, test = (
        data.mnist("train", spec.n_train, source="embedded"),
        data.mnist("test", spec.n_test, source="embedded"),
    )
    return OneSegment(lambda: run(spec, unit, pick_device(device), train, test).metrics(), datasets=(train, test))


class Run:
    """One network, trained and measured. A subclass may treat the matrices in other ways: :meth:`prepare`."""

    def __init__(self, spec: AtlasSpec, unit: Unit, device: torch.device, train, test) -> None:
        self.spec, self.unit, self.way = spec, unit, spec.ways[unit.way]
        images = train.flat.shape[1]
        self.model = MLP(images, spec.width, spec.depth, len(train.classes), activation="tanh", sigma_w=1.0,
                         weights="orthogonal", generator=unit.seed, device=device)  # fmt: skip
        self.treated = [*self.model.layers[1:]]
        if self.way.start == "gaussian":
            for k, layer in enumerate(self.treated):
                gaussian_(layer.weight, 1.0, torch.Generator().manual_seed(10_000 * (unit.seed + 1) + k))
        self.optimiser = self.prepare()
        self.x, self.y = _tensors(train, device)
        self.x_test, self.y_test = _tensors(test, device)
        self.rng = np.random.default_rng([unit.seed, 1])
        self.names = ("steps", "loss", "accuracy", "distance", "smallest", "median", "largest", "travel", "sketch")
        self.records: dict[str, list] = {name: [] for name in self.names}
        self.begin = self.at = self._weights()
        self.travel = 0.0

    def prepare(self):
        """Constrain, make the optimiser, attach the penalty; return the optimiser."""
        way, rate = self.way, self.unit.rate
        settings = dict(way.settings)
        if way.kind == "parametrised":
            for layer in self.treated:
                constrain(layer, method=way.what, **settings)
        if way.kind == "on the manifold":
            optimiser = StiefelSGD(self.model, lr=rate, constrained=self.treated, retraction=way.what)
        else:
            optimiser = torch.optim.SGD(self.model.parameters(), lr=rate)
        if way.kind == "soft":
            SoftOrthogonality([layer.weight for layer in self.treated], way.what, **settings).attach(optimiser)
        return optimiser

    def metrics(self) -> dict:
        """Train; return the curves. ``travel`` is the length of the path of all treated matrices, in Frobenius norm.

        It adds up chords of TRAVEL_EVERY steps. ``diverged`` is the step at which the loss went beyond 1e4 or a
        parameter was not finite (-1: it did not); such a run has an infinite ``final_loss``. ``seconds_median`` is the
        processor's time for a step, the median over the steps.
        """
        spec = self.spec
        looks, losses, seconds, diverged = set(record_steps(spec.max_steps, spec.per_decade)), [], 0.0, -1
        busy: list[float] = []
        for step in range(spec.max_steps + 1):
            if not self._finite() or (losses and not losses[-1] <= DIVERGED):
                diverged = step
                break
            if step % TRAVEL_EVERY == 0 or step == spec.max_steps:
                here = self._weights()
                self.travel += float(torch.linalg.vector_norm(here - self.at))
                self.at = here
            if step in looks:
                self._measure(step, losses)
            if step == spec.max_steps:
                break
            rows = torch.as_tensor(self.rng.integers(0, spec.n_train, spec.batch), device=self.x.device)
            x, y = self.x[rows], self.y[rows]
            begun, used = time.perf_counter(), time.process_time()
            self.optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.model(x), y)
            loss.backward()
            self.optimiser.step()
            seconds += time.perf_counter() - begun
            busy.append(time.process_time() - used)
            losses.append(loss.item())
        return {**self.records, "diverged": diverged, "seconds_a_step": seconds / max(len(losses), 1),
                "seconds_median": float(np.median(busy)) if busy else math.nan,
                "final_loss": float(np.mean(losses[-20:])) if diverged < 0 else math.inf}  # fmt: skip

    def _finite(self) -> bool:
        return all(bool(torch.isfinite(p).all()) for p in self.model.parameters())

    @torch.no_grad()
    def _weights(self) -> torch.Tensor:
        return torch.stack([layer.weight.detach() for layer in self.treated])

    @torch.no_grad()
    def _measure(self, step: int, losses: list[float]) -> None:
        W = self._weights()
        s = torch.linalg.svdvals(W.double())
        since = losses[self.records["steps"][-1] :] if self.records["steps"] else []
        logits = self.model(self.x_test)
        found = (
            step,
            float(np.mean(since)) if since else float(torch.nn.functional.cross_entropy(logits, self.y_test)),
            float((logits.argmax(1) == self.y_test).double().mean()),
            float((s - 1).square().sum(-1).sqrt().mean()),
            float(s.min()), float(s.median()), float(s.max()), self.travel,
            self._sketch(W[0]) if self.spec.paths else [],
        )  # fmt: skip
        for name, value in zip(self.names, found, strict=True):
            self.records[name].append(value)

    def _sketch(self, W: torch.Tensor) -> list[float]:
        """SKETCH numbers for the first treated matrix less its start, with four digits."""
        numbers = _sketch_of(W.numel()) @ (W - self.begin[0]).double().flatten().cpu().numpy()
        return [float(f"{number:.4g}") for number in numbers]


def _tensors(dataset: data.Dataset, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    images = data.standardise(dataset.flat)
    return torch.as_tensor(images, device=device), torch.as_tensor(dataset.labels, device=device)


@lru_cache(maxsize=2)
def _sketch_of(size: int) -> np.ndarray:
    """A fixed random map to SKETCH numbers that keeps lengths within about 1 / sqrt(2 SKETCH), a tenth."""
    return np.random.default_rng(0).standard_normal((SKETCH, size)) / math.sqrt(SKETCH)
