"""Does the critical start make a stuck network train? 200 layers, nine activations, torch's own start and critical_.

The network is a plain stack of linear layers and one activation that reads the embedded MNIST images, trained by plain
gradient descent. torch's start may choose among step sizes, after the fact; the critical one has a single step size for
all activations.

Said before the stored runs: a start makes a network train if test accuracy at the end is above ``TRAINS`` with
every seed (chance is 0.1), and a network is stuck at torch's start if it is below ``STUCK`` with every seed and step
size. The bar is five activations. Expected: tanh, erf, hard-tanh and ELU; the fifth is arctan, whose start is isometric
(softsign's is, too, at a far smaller q*), with or without SELU, whose start isn't.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ortholab import data
from ortholab.errors import bad, check_choice, check_grid, check_int, check_number
from ortholab.experiments.estimate import Estimate, estimate
from ortholab.experiments.results import Results
from ortholab.experiments.trial import OneSegment, train_here
from ortholab.nn import critical_


class Arctan(nn.Module):
    """arctan x, entry by entry."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.atan(x)


class Erf(nn.Module):
    """erf(sqrt(pi) x / 2), entry by entry."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.erf(0.8862269254527580 * x)


ACTIVATIONS = {
    "tanh": nn.Tanh, "erf": Erf, "hard_tanh": nn.Hardtanh, "elu": nn.ELU, "gelu": nn.GELU,
    "relu": nn.ReLU, "selu": nn.SELU, "arctan": Arctan, "softsign": nn.Softsign,
}  # fmt: skip
STARTS = ("torch", "critical")
TRAINS, STUCK = 0.3, 0.15  # test accuracies, see above
EVERY = 10  # steps between looks at the test images


@dataclass(frozen=True)
class Unit:
    """One run."""

    activation: str
    start: str
    rate: float
    seed: int


@dataclass(frozen=True)
class CriticalStartSpec:
    """What is trained: each activation from torch's start at every step size of ``torch_rates``, and from the critical
    start at ``critical_rate``, with each seed. The defaults are the quick tier. Raises ArgumentError.

    >>> len(CriticalStartSpec(activations=["tanh"], seeds=[0]).units)
    2
    """

    activations: tuple[str, ...] = ("tanh",)
    torch_rates: tuple[float, ...] = (0.3,)
    critical_rate: float = 0.003
    depth: int = 200
    width: int = 64
    steps: int = 20
    batch: int = 64
    n_train: int = 2000
    n_test: int = 500
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        def rate(name, value):
            return check_number(name, value, low=0, open_low=True)

        tidy("activations", check_grid("activations", self.activations,
                                       lambda name, v: check_choice(name, v, tuple(ACTIVATIONS))))  # fmt: skip
        tidy("torch_rates", check_grid("torch_rates", self.torch_rates, rate))
        tidy("critical_rate", rate("critical_rate", self.critical_rate))
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        for name in ("depth", "width", "steps", "batch", "n_train", "n_test"):
            tidy(name, check_int(name, getattr(self, name), 1))
        if self.batch > self.n_train:
            raise bad("batch", self.batch, f"at most n_train = {self.n_train}")

    @property
    def units(self) -> tuple[Unit, ...]:
        """Every run: for an activation and a seed, torch's start at its step sizes, then the critical one."""
        rates = [("torch", rate) for rate in self.torch_rates] + [("critical", self.critical_rate)]
        return tuple(
            Unit(name, begin, rate, seed) for name in self.activations for seed in self.seeds for begin, rate in rates
        )


def network(activation: str, depth: int, width: int, n_in: int = 784, n_out: int = 10, seed: int = 0) -> nn.Sequential:
    """Return a stack of ``depth`` layers and a readout, at torch's own start for this seed.

    >>> len(network("tanh", 3, 5))
    7
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: list[nn.Module] = []
        for k in range(depth):
            parts += [nn.Linear(n_in if k == 0 else width, width), ACTIVATIONS[activation]()]
        return nn.Sequential(*parts, nn.Linear(width, n_out))


def start(spec: CriticalStartSpec, unit: Unit, device: str = "cpu") -> OneSegment:
    """Return a unit's run: some seconds, computed in one go. Raises ArgumentError and DataError.

    >>> spec = CriticalStartSpec(activations=("tanh",), depth=3, width=8, steps=3)
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["steps"]
    (True, [0, 3])
    """
    if not isinstance(spec, CriticalStartSpec):
        raise bad("spec", type(spec).__name__, "a CriticalStartSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    train = data.mnist("train", spec.n_train, source="embedded")
    test = data.mnist("test", spec.n_test, source="embedded")
    return OneSegment(lambda: _metrics(spec, unit, torch.device(device), train, test), datasets=(train, test))


def _metrics(spec: CriticalStartSpec, unit: Unit, device: torch.device, train, test) -> dict:
    """Train; return test accuracy and mean training loss at the looks, and the step of divergence (-1: none)."""
    (x, y), (x_test, y_test) = (
        (torch.as_tensor(data.standardise(d.flat), device=device), torch.as_tensor(d.labels, device=device))
        for d in (train, test)
    )
    model = network(unit.activation, spec.depth, spec.width, x.shape[1], len(train.classes), unit.seed)
    if unit.start == "critical":
        critical_(model, x[:256].cpu(), generator=unit.seed)
    model.to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=unit.rate)
    rng = np.random.default_rng([unit.seed, 1])
    steps, accuracy, losses, diverged = [], [], [], -1
    for step in range(spec.steps + 1):
        if losses and not losses[-1] < 1e4:
            diverged = step
            break
        if step % EVERY == 0 or step == spec.steps:
            with torch.no_grad():
                steps.append(step)
                accuracy.append(float((model(x_test).argmax(1) == y_test).double().mean()))
        if step == spec.steps:
            break
        rows = torch.as_tensor(rng.integers(0, spec.n_train, spec.batch), device=device)
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return {"steps": steps, "accuracy": accuracy, "final_accuracy": 0.0 if diverged >= 0 else accuracy[-1],
            "loss": losses[::EVERY], "diverged": diverged}  # fmt: skip


@dataclass(frozen=True, eq=False)
class CriticalStartResult:
    """Runs: ``units[i]`` gave ``metrics[i]``."""

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    provenance: str

    @classmethod
    def of(cls, results: Results) -> CriticalStartResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        return cls(tuple(Unit(**unit) for unit in results.units), results.metrics, results.provenance)

    @property
    def activations(self) -> tuple[str, ...]:
        """The activations that were run."""
        return tuple(dict.fromkeys(unit.activation for unit in self.units))

    def accuracy(self, activation: str, begin: str) -> np.ndarray:
        """Return test accuracy at the end for each seed; torch's start has its best step size a seed."""
        check_choice("begin", begin, STARTS)
        best: dict[int, float] = {}
        for unit, found in zip(self.units, self.metrics, strict=True):
            if (unit.activation, unit.start) == (activation, begin):
                best[unit.seed] = max(best.get(unit.seed, 0.0), found["final_accuracy"])
        if not best:
            raise bad("activation", activation, "one of " + ", ".join(self.activations))
        return np.array([best[seed] for seed in sorted(best)])

    def trains(self, activation: str, begin: str) -> bool:
        """Return whether test accuracy at the end is above ``TRAINS`` with every seed."""
        return bool(self.accuracy(activation, begin).min() > TRAINS)

    def stuck(self, activation: str) -> bool:
        """Return whether torch's start ends below ``STUCK`` with every seed and step size."""
        return bool(self.accuracy(activation, "torch").max() < STUCK)

    def gain(self, activation: str) -> Estimate:
        """Return the accuracy of the critical start less that of torch's, paired by seed, with its 95 % t interval."""
        return estimate(self.accuracy(activation, "critical") - self.accuracy(activation, "torch"))

    def curves(self, activation: str, begin: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps, and accuracy of shape (runs, steps), of every run that did not diverge (there may be none)."""
        chosen = [
            found
            for unit, found in zip(self.units, self.metrics, strict=True)
            if (unit.activation, unit.start) == (activation, begin) and found["diverged"] < 0
        ]
        steps = np.array(chosen[0]["steps"] if chosen else [], dtype=int)
        return steps, np.array([found["accuracy"] for found in chosen]).reshape(len(chosen), len(steps))

    def table(self):
        """Return a pandas DataFrame, a row an activation: mean accuracies at the end, and their difference."""
        import pandas

        rows = []
        for name in self.activations:
            gain = self.gain(name)
            rows.append({"activation": name, "torch": self.accuracy(name, "torch").mean(),
                         "critical": self.accuracy(name, "critical").mean(), "difference": gain.value,
                         "low": gain.low, "high": gain.high, "seeds": gain.seeds})  # fmt: skip
        return pandas.DataFrame(rows).set_index("activation")


def run(spec: CriticalStartSpec, device: str = "cpu", progress: bool = False) -> CriticalStartResult:
    """Train every unit of a specification here, on one thread. Raises ArgumentError.

    >>> spec = CriticalStartSpec(activations=("tanh",), depth=3, width=8, steps=3)
    >>> run(spec).accuracy("tanh", "critical").shape
    (1,)
    """
    if not isinstance(spec, CriticalStartSpec):
        raise bad("spec", type(spec).__name__, "a CriticalStartSpec")
    found = train_here(spec.units, lambda unit: start(spec, unit, device), "critical_start", progress)
    return CriticalStartResult(spec.units, found, "computed on this page")


def summarise(results: Results):
    """Return the table that ``ortholab show critical_start`` prints."""
    return CriticalStartResult.of(results).table().reset_index()


tiers = {
    "quick": CriticalStartSpec(),
    "full": CriticalStartSpec(activations=tuple(ACTIVATIONS), torch_rates=(0.03, 0.3), steps=60, seeds=(0, 1, 2)),
}
