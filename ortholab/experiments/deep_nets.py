"""Figure 4 of the 2019 deck: networks of depth 200 trained on CIFAR-10 from isometric and from other critical starts.

The figure is Pennington, Schoenholz and Ganguli's (2017, arXiv 1711.04735). Six networks, three points of the critical
line by two laws of the weights, learn at very different speeds; how fast is measured in steps to a test accuracy, each
network at its own best step size. The companion asks how the steps grow with depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ortholab.errors import bad, check_choice, check_grid, check_int, check_number
from ortholab.experiments.deep_trial import DeepTrial
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


def _row(name: str, row: object) -> tuple[str, str, tuple[float, ...]]:
    if isinstance(row, str) or not np.iterable(row) or len(row := tuple(row)) != 3:
        raise bad(name, row, "(network, optimiser, step sizes)")
    network = check_choice(f"{name}[0]", row[0], tuple(NETWORKS))
    optimiser = check_choice(f"{name}[1]", row[1], OPTIMISERS)
    rates = row[2] if np.iterable(row[2]) else (row[2],)
    return network, optimiser, check_grid(f"{name}[2]", rates, lambda k, v: check_number(k, v, low=0, open_low=True))


SEARCH_SEED = 100
# The grid of step sizes, half a decade apart; an adaptive rule moves each weight by about the step size itself, however
# small its gradient, so its grid lies lower.
SEARCH_RATES = {
    optimiser: tuple(10 ** (-k / 2) for k in (range(4, 13) if optimiser in ("adam", "rmsprop") else range(9)))
    for optimiser in OPTIMISERS
}

# The step sizes at which the tiers run: the winners of ``search_tiers`` below. A network that no step size had brought
# clearly off chance level by the end of its search (accuracy below .15) runs at its two best for the whole budget.
RATES = {
    "full": {
        ("tanh1.05-orthogonal", "sgd"): (1e-2,),
        ("tanh1.05-gaussian", "sgd"): (10**-2.5,),
        ("tanh2-orthogonal", "sgd"): (10**-2.5,),
        ("tanh2-gaussian", "sgd"): (10**-2.5, 1e-3),
        ("relu-orthogonal", "sgd"): (10**-2.5, 1e-3),
        ("relu-gaussian", "sgd"): (10**-2.5, 1e-3),
    },
    "quick": {
        ("tanh1.05-orthogonal", "sgd"): (10**-1.5,),
        ("tanh1.05-gaussian", "sgd"): (1e-2,),
        ("tanh2-orthogonal", "sgd"): (1e-2,),
        ("tanh2-gaussian", "sgd"): (1e-2,),
        ("relu-orthogonal", "sgd"): (1e-2,),
        ("relu-gaussian", "sgd"): (1e-2,),
        ("tanh1.05-orthogonal", "momentum"): (10**-1.5,),
        ("tanh1.05-gaussian", "momentum"): (1e-2,),
        ("tanh2-orthogonal", "momentum"): (10**-2.5,),
        ("tanh2-gaussian", "momentum"): (1e-3,),
        ("relu-orthogonal", "momentum"): (10**-2.5,),
        ("relu-gaussian", "momentum"): (10**-2.5,),
        ("tanh1.05-orthogonal", "adam"): (1e-3,),
        ("tanh1.05-gaussian", "adam"): (10**-3.5,),
        ("tanh2-orthogonal", "adam"): (1e-4,),
        ("tanh2-gaussian", "adam"): (1e-4,),
        ("relu-orthogonal", "adam"): (1e-4,),
        ("relu-gaussian", "adam"): (10**-3.5,),
        ("tanh1.05-orthogonal", "rmsprop"): (1e-4,),
        ("tanh1.05-gaussian", "rmsprop"): (10**-4.5,),
        ("tanh2-orthogonal", "rmsprop"): (10**-4.5,),
        ("tanh2-gaussian", "rmsprop"): (10**-4.5,),
        ("relu-orthogonal", "rmsprop"): (10**-4.5,),
        ("relu-gaussian", "rmsprop"): (1e-4,),
    },
}


def plan(optimisers: tuple[str, ...] = ("sgd",), tier: str = "full") -> tuple[tuple[str, str, tuple[float, ...]], ...]:
    """Return the six networks at the step sizes that the search of a tier ("full" or "quick") chose.

    >>> plan()[0]
    ('tanh1.05-orthogonal', 'sgd', (0.01,))
    """
    rates = RATES[check_choice("tier", tier, tuple(RATES))]
    for optimiser in optimisers:
        known = tuple(sorted({name for _, name in rates}))
        check_choice("optimisers", optimiser, known)
    return tuple((network, optimiser, rates[network, optimiser]) for optimiser in optimisers for network in NETWORKS)


def search(spec: DeepNetsSpec, target: float, max_steps: int) -> DeepNetsSpec:
    """Return the search for step sizes: the rows of ``spec`` at every one of SEARCH_RATES, on a seed of its own.

    A run stops at the accuracy ``target`` or after ``max_steps``. :meth:`DeepNetsResult.best_rate` then chooses.

    >>> search(tiers["full"], 0.3, 150).seeds
    (100,)
    """
    rows = tuple((network, optimiser, SEARCH_RATES[optimiser]) for network, optimiser, _ in spec.plan)
    return replace(spec, plan=rows, seeds=(SEARCH_SEED,), max_steps=max_steps, stop_at=target)


_CIFAR = {"depths": (200,), "width": 400, "dataset": "cifar10", "n_test": 1000}
tiers = {
    # MNIST's embedded images; SGD; shows the order of the six networks.
    "quick": DeepNetsSpec(plan(tier="quick"), depths=(50,), n_test=500, max_steps=120, stop_at=0.8),
    # The paper's networks and data, for as many steps as the claim needs.
    "full": DeepNetsSpec(plan(), seeds=(0, 1), batch=128, max_steps=800, stop_at=0.35, spectra_per_decade=4, **_CIFAR),
    # As in the paper, from memory of it: mini-batches of 1,000, 10^5 steps, one step size an optimiser.
    "paper": DeepNetsSpec(
        tuple((n, o, (1e-3 if o in ("sgd", "momentum") else 1e-4,)) for o in OPTIMISERS for n in NETWORKS),
        seeds=(0, 1, 2),
        batch=1000,
        max_steps=100_000,
        segment=500,
        **(_CIFAR | {"n_test": 10_000}),
    ),
}

# The searches. The small one tries the whole grid; at full size each network is asked about three or four neighbours on
# it, where a pilot and the small search had its best. ReLU with plain gradient descent is not searched at full size:
# a pilot found it at chance level after 150 steps at all of 10^-2.5 to 10^-4.5; in runs of 800 steps it did best at
# 10^-2.5, and worse at 10^-2 and 10^-4.
_BRACKETS = {
    "adam": {"tanh1.05-orthogonal": (8, 9, 10, 11), "tanh1.05-gaussian": (9, 10, 11),
             "tanh2-orthogonal": (9, 10, 11), "tanh2-gaussian": (9, 10, 11),
             "relu-orthogonal": (9, 10, 11, 12), "relu-gaussian": (9, 10, 11, 12)},
    "sgd": {"tanh1.05-orthogonal": (3, 4, 5), "tanh1.05-gaussian": (4, 5, 6),
            "tanh2-orthogonal": (4, 5, 6), "tanh2-gaussian": (4, 5, 6)},
}  # fmt: skip
_ALL = tuple((network, optimiser, (1.0,)) for optimiser in OPTIMISERS for network in NETWORKS)
search_tiers = {
    "quick": search(replace(tiers["quick"], plan=_ALL, depths=(64,), jacobian_images=0), 0.5, 150),
    "full": replace(
        tiers["full"],
        plan=tuple(
            (network, optimiser, tuple(10 ** (-k / 2) for k in ks))
            for optimiser, brackets in _BRACKETS.items()
            for network, ks in brackets.items()
        ),
        seeds=(SEARCH_SEED,),
        max_steps=120,
        stop_at=0.3,
        jacobian_images=0,
        spectra_per_decade=0,
    ),
}

# The other optimisers: all of them in small, Adam at full size.
optimiser_tiers = {
    "quick": DeepNetsSpec(
        plan(OPTIMISERS[1:], "quick"), depths=(50,), n_test=500, seeds=(0, 1, 2), max_steps=120, stop_at=0.8
    ),
}

# The companion: steps to an accuracy against depth, isometric and Gaussian start, the best of a grid at each depth.
_PAIR = ("tanh1.05-orthogonal", "tanh1.05-gaussian")
depth_tiers = {
    "quick": DeepNetsSpec(
        tuple((network, "sgd", (10**-1.25, 10**-2.0)) for network in _PAIR),
        depths=(8, 32, 128),
        n_test=500,
        max_steps=100,
        stop_at=0.5,
        per_decade=40,
        jacobian_images=0,
    ),
    "full": DeepNetsSpec(
        tuple((network, "sgd", tuple(10 ** (-k / 4) for k in range(4, 11))) for network in _PAIR),
        depths=(8, 16, 32, 64, 128, 256),
        seeds=range(3),
        width=200,
        max_steps=400,
        stop_at=0.5,
        per_decade=40,
        jacobian_images=0,
    ),
}
