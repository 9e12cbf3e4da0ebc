"""Figure 4 of the 2019 deck: networks of depth 200 trained on CIFAR-10 from isometric and from other critical starts.

The figure is Pennington, Schoenholz and Ganguli's (2017, arXiv 1711.04735). Six networks, three points of the critical
line by two laws of the weights, learn at very different speeds; how fast is measured in steps to a test accuracy, each
network at its own best step size. The companion asks how the steps grow with depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab.errors import bad, check_choice, check_grid, check_int, check_number
from ortholab.nn.step_rules import RULES


@dataclass(frozen=True)
class Network:
    """A point of the critical line and a law of the weights. sigma_w and sigma_b are standard deviations."""

    activation: str
    sigma_w: float
    sigma_b: float
    weights: str


# The deck's three points: (activation, sigma_w^2, sigma_b^2).
POINTS = {"tanh1.05": ("tanh", 1.05, 2.01e-5), "tanh2": ("tanh", 2.0, 0.104), "relu": ("relu", 2.0, 0.0)}
NETWORKS = {
    f"{point}-{weights}": Network(activation, ww**0.5, bb**0.5, weights)
    for point, (activation, ww, bb) in POINTS.items()
    for weights in ("orthogonal", "gaussian")
}
DATASETS = ("mnist", "cifar10")
OPTIMISERS = tuple(RULES)


@dataclass(frozen=True)
class Unit:
    """One run: a network, an optimiser and its step size, a depth and a seed."""

    network: str
    optimiser: str
    rate: float
    depth: int
    seed: int

    @property
    def what(self) -> Network:
        """The network's point and law."""
        return NETWORKS[self.network]


@dataclass(frozen=True)
class DeepNetsSpec:
    """What is trained: every row of ``plan`` (network, optimiser, step sizes) at every depth and seed.

    A run ends after ``max_steps`` steps, at the first measured test accuracy >= ``stop_at`` (None: never before), or
    when it diverges. It is measured at log-spaced steps, ``per_decade`` to a factor of 10, on the first ``n_test`` test
    images; ``thresholds`` are the accuracies whose steps are noted. J at the first ``jacobian_images`` test images and
    chosen weights are looked at ``spectra_per_decade`` times to a factor of 10 (0: only at the start; 0 images: never).
    ``segment`` is the number of steps between checkpoints. ``n_train`` None means all. Raises ArgumentError.

    >>> spec = DeepNetsSpec(plan=[("relu-gaussian", "sgd", [0.01, 0.1])], seeds=[0, 1])
    >>> len(spec.units), spec.units[0]
    (4, Unit(network='relu-gaussian', optimiser='sgd', rate=0.01, depth=64, seed=0))
    """

    plan: tuple[tuple[str, str, tuple[float, ...]], ...]
    depths: tuple[int, ...] = (64,)
    seeds: tuple[int, ...] = (0,)
    width: int = 100
    batch: int = 64
    dataset: str = "mnist"
    n_train: int | None = None
    n_test: int = 1000
    max_steps: int = 200
    stop_at: float | None = None
    thresholds: tuple[float, ...] = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
    per_decade: int = 16
    segment: int = 25
    jacobian_images: int = 2
    spectra_per_decade: int = 0

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        tidy("plan", check_grid("plan", self.plan, _row))
        tidy("depths", check_grid("depths", self.depths, lambda name, v: check_int(name, v, 1)))
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        tidy("thresholds", check_grid("thresholds", self.thresholds, lambda k, v: check_number(k, v, low=0, high=1)))
        for name in ("width", "batch", "n_test", "max_steps", "per_decade", "segment"):
            tidy(name, check_int(name, getattr(self, name), 1))
        for name in ("jacobian_images", "spectra_per_decade"):
            tidy(name, check_int(name, getattr(self, name)))
        if self.n_train is not None:
            tidy("n_train", check_int("n_train", self.n_train, 1))
        if self.stop_at is not None:
            tidy("stop_at", check_number("stop_at", self.stop_at, low=0, high=1))
        check_choice("dataset", self.dataset, DATASETS)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate runs; the outcome of one does not depend on the others."""
        return tuple(
            Unit(network, optimiser, rate, depth, seed)
            for network, optimiser, rates in self.plan
            for rate in rates
            for depth in self.depths
            for seed in self.seeds
        )


def _row(name: str, row: object) -> tuple[str, str, tuple[float, ...]]:
    if isinstance(row, str) or not np.iterable(row) or len(row := tuple(row)) != 3:
        raise bad(name, row, "(network, optimiser, step sizes)")
    network = check_choice(f"{name}[0]", row[0], tuple(NETWORKS))
    optimiser = check_choice(f"{name}[1]", row[1], OPTIMISERS)
    rates = row[2] if np.iterable(row[2]) else (row[2],)
    return network, optimiser, check_grid(f"{name}[2]", rates, lambda k, v: check_number(k, v, low=0, open_low=True))
