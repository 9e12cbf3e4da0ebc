"""Figure 5 of the 2019 deck: a recurrent network whose singular values stay within a margin of 1 reads images by pixel.

The figure is Vorontsov, Trabelsi, Kadoury and Pal's (2017, arXiv 1702.00071): the cost against the epoch for margins
from 0 (a hard constraint) to 1, for free weights, and for free weights from a Glorot and from the identity start.
Beside them stand the margins 0 and 0.1 with another optimiser of the bases U and V: what the margin does and what the
optimiser does are two questions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ortholab.errors import bad, check_choice, check_grid, check_int, check_number


@dataclass(frozen=True)
class Configuration:
    """A start of W, the margin, optimiser of its bases and gain (``margin`` None: W is free), and phi."""

    start: str = "orthogonal"
    margin: float | None = None
    bases: str = "sgd"
    gain: float = 1.0
    activation: str = "tanh"


CONFIGURATIONS = {
    **{f"margin {m:g}": Configuration(margin=m) for m in (0.0, 0.001, 0.01, 0.1, 1.0)},
    "none": Configuration(),
    "glorot": Configuration("glorot"),
    "identity": Configuration("identity"),
    "margin 0 rmsprop": Configuration(margin=0.0, bases="rmsprop"),
    "margin 0.1 rmsprop": Configuration(margin=0.1, bases="rmsprop"),
    **{f"margin 0 gain {g:g}": Configuration(margin=0.0, bases="rmsprop", gain=g) for g in (1.02, 1.05, 1.1, 1.2)},
    "margin 0 linear": Configuration(margin=0.0, bases="rmsprop", activation="linear"),
    "none linear": Configuration(activation="linear"),
}
FIGURE_5 = (
    "none", "margin 0", "margin 0.1", "margin 0 rmsprop", "margin 0.01", "margin 1", "margin 0.001", "glorot",
    "identity", "margin 0.1 rmsprop",
)  # fmt: skip
TASKS = ("mnist", "permuted")
SOURCES = ("embedded", "full")


@dataclass(frozen=True)
class Unit:
    """One run. ``rate`` is RMSprop's for all but W; ``w_rate`` is that of W, or of its bases U and V."""

    configuration: str
    rate: float
    w_rate: float
    task: str
    seed: int

    @property
    def what(self) -> Configuration:
        """The start and the margin."""
        return CONFIGURATIONS[self.configuration]


@dataclass(frozen=True)
class SpectralMarginSpec:
    """What is trained: every row of ``plan`` (configuration, rate, W's rate) on every task from every seed.

    Images are read pixel by pixel, in the order of a permutation of ``permutation_seed`` in the task "permuted", after
    blocks of ``shrink`` x ``shrink`` pixels were averaged; pixels are in [0, 1]. ``source`` is the embedded or the full
    MNIST, ``n_train`` and ``n_test`` None all its images. ``updates`` of ``batch`` images are made. The cost is the
    mean over ``cost_every`` batches; spectrum and gradients are looked at every ``look_every`` updates and the test
    images every ``test_every`` and at the end. ``segment`` is the number of updates between checkpoints.
    Raises ArgumentError.

    >>> spec = SpectralMarginSpec(plan=[("margin 0", 1e-3, 0.1), ("none", 1e-3, 1e-4)], tasks=["mnist"], seeds=[0, 1])
    >>> len(spec.units), spec.units[1]
    (4, Unit(configuration='none', rate=0.001, w_rate=0.0001, task='mnist', seed=0))
    """

    plan: tuple[tuple[str, float, float], ...]
    tasks: tuple[str, ...] = TASKS
    seeds: tuple[int, ...] = (0,)
    hidden: int = 64
    batch: int = 100
    updates: int = 100
    clip: float = 1.0
    source: str = "embedded"
    n_train: int | None = None
    n_test: int | None = None
    shrink: int = 1
    permutation_seed: int = 0
    cost_every: int = 20
    look_every: int = 50
    test_every: int = 100
    segment: int = 50

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        tidy("plan", check_grid("plan", self.plan, _row))
        tidy("tasks", check_grid("tasks", self.tasks, lambda name, v: check_choice(name, v, TASKS)))
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        for name in ("hidden", "batch", "updates", "shrink", "cost_every", "look_every", "test_every", "segment"):
            tidy(name, check_int(name, getattr(self, name), 1))
        tidy("permutation_seed", check_int("permutation_seed", self.permutation_seed))
        tidy("clip", check_number("clip", self.clip, low=0, open_low=True))
        for name in ("n_train", "n_test"):
            if getattr(self, name) is not None:
                tidy(name, check_int(name, getattr(self, name), 1))
        if 28 % self.shrink:
            raise bad("shrink", self.shrink, "a divisor of 28")
        check_choice("source", self.source, SOURCES)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate runs, one seed after another: half of the seeds is half of the figure."""
        return tuple(Unit(*row, task, seed) for seed in self.seeds for task in self.tasks for row in self.plan)


def _row(name: str, row: object) -> tuple[str, float, float]:
    if isinstance(row, str) or not np.iterable(row) or len(row := tuple(row)) != 3:
        raise bad(name, row, "(configuration, rate, W's rate)")
    configuration = check_choice(f"{name}[0]", row[0], tuple(CONFIGURATIONS))
    rate, w_rate = (check_number(f"{name}[{k}]", row[k], low=0, open_low=True) for k in (1, 2))
    return configuration, rate, w_rate


# W's step sizes, the winners of the searches. The margins share one for each optimiser of the bases, as in the paper.
W_RATES = {"sgd": 0.01, "rmsprop": 1e-4, "free": 1e-4}


def plan(names: tuple[str, ...] = FIGURE_5, rate: float = 1e-3) -> tuple[tuple[str, float, float], ...]:
    """Return rows of a plan at the step sizes that the search chose.

    >>> plan(("margin 0", "none"))
    (('margin 0', 0.001, 0.01), ('none', 0.001, 0.0001))
    """
    kinds = (CONFIGURATIONS[check_choice("names", name, tuple(CONFIGURATIONS))] for name in names)
    keys = ("free" if kind.margin is None else kind.bases for kind in kinds)
    return tuple((name, rate, W_RATES[key]) for name, key in zip(names, keys, strict=True))


tiers = {
    "quick": SpectralMarginSpec(
        plan(("margin 0", "margin 0.1", "margin 1", "none", "glorot")), ("mnist",), hidden=32, batch=50, updates=160,
        n_test=500, shrink=2, test_every=160,
    ),
    # Half an epoch: what an hour of a shared core allowed. Tested on the first 5,000 test images.
    "full": SpectralMarginSpec(
        plan(), seeds=(0, 1), batch=50, updates=600, source="full", n_test=5000, look_every=60, test_every=600,
        segment=60,
    ),
    # The paper's width, batch and (from memory) order of epochs, at the same step sizes.
    "paper": SpectralMarginSpec(
        plan(), seeds=(0, 1, 2), hidden=128, batch=50, updates=120_000, source="full", cost_every=200,
        look_every=1200, test_every=1200, segment=200,
    ),
}  # fmt: skip

# What is it that a margin gives: another optimiser, another gain, or another activation would give it too?
_RIVALS = (
    *(("margin 0", w) for w in (0.003, 0.01, 0.03)),
    *(("margin 0 rmsprop", w) for w in (1e-4, 3e-4, 1e-3)),
    ("margin 0.1", 0.01),
    ("margin 0.1 rmsprop", 3e-4),
    ("margin 1", 0.01),
    *(("none", w) for w in (1e-4, 3e-4)),
    *((name, 1e-4) for name in CONFIGURATIONS if "gain" in name or "linear" in name),
    ("glorot", 1e-4),
    ("identity", 1e-4),
)
# Over 784 steps a turn of W by a small angle is a large one: the linear networks need smaller steps than over 196.
_RIVALS_IN_FULL = (
    ("margin 0 linear", 3e-5),
    ("margin 0 gain 1.05", 1e-4),
    ("none linear", 1e-4),
    ("margin 0 linear", 1e-5),
    ("none linear", 3e-5),
    ("margin 0 linear", 1e-4),
)
rival_tiers = {
    "quick": SpectralMarginSpec(
        tuple((name, 1e-3, w) for name, w in _RIVALS), ("mnist",), seeds=range(4), hidden=32, batch=50, updates=240,
        n_test=1000, shrink=2, test_every=240,
    ),
    "full": replace(
        tiers["full"],
        plan=tuple((name, 1e-3, w) for name, w in _RIVALS_IN_FULL),
        tasks=("mnist",),
    ),
}  # fmt: skip
