"""Figure 6 of the 2019 deck: residual networks trained with each soft orthogonality penalty, and with none.

The figure is Bansal, Chen and Wang's (2018, arXiv 1810.09102): validation accuracy against epoch of ResNet-110 on
CIFAR-100, original, with SO, DSO, MC and SRIP, and with a coefficient that decays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ortholab.errors import bad, check_choice, check_grid, check_int, check_number

PENALTIES = ("none", "so", "dso", "mc", "srip")
SCHEDULES = ("constant", "bansal", "linear", "cosine")
# Where the paper's published code begins, for every penalty. A pilot (two epochs of the full tier, one seed of its own)
# had no reason to leave it: at 1e-1 SO and SRIP were 2 and 3 points of accuracy behind 1e-2.
COEFFICIENTS = {"none": 0.0, "so": 1e-2, "dso": 1e-2, "mc": 1e-2, "srip": 1e-2}
DATASETS = ("mnist", "cifar10", "cifar100")


@dataclass(frozen=True)
class Unit:
    """One run: a penalty, the coefficient that it begins with, how that changes, and a seed."""

    penalty: str
    coefficient: float
    schedule: str
    seed: int


@dataclass(frozen=True)
class SoftSpec:
    """What is trained: every row of ``plan`` (penalty, coefficient, schedule) at every seed, all rows of a seed first.

    A residual network of ``depth`` and ``width`` on the first ``n_train`` images (None: all), ``epochs`` times, in
    batches of ``batch``, by SGD with ``momentum`` and ``weight_decay``; the step size ``rate`` is divided by 10 at the
    shares ``drops`` of the run. Images are averaged over blocks of ``pool`` x ``pool`` pixels. Those to train on are
    moved by up to ``pad`` pixels each way (black comes in) and, with ``flip``, mirrored half the time. Validation is
    on the first ``n_test`` test images, after each epoch. The penalty is on all convolution kernels. Schedules of its
    coefficient are stretched to the run. Raises ArgumentError.

    >>> spec = SoftSpec(plan=[("none", 0, "constant"), ("so", 0.01, "bansal")], seeds=[0, 1])
    >>> len(spec.units), spec.units[1]
    (4, Unit(penalty='so', coefficient=0.01, schedule='bansal', seed=0))
    """

    plan: tuple[tuple[str, float, str], ...]
    seeds: tuple[int, ...] = (0,)
    depth: int = 8
    width: int = 8
    dataset: str = "mnist"
    n_train: int | None = 1000
    n_test: int = 500
    pool: int = 1
    pad: int = 0
    flip: bool = False
    batch: int = 100
    epochs: int = 4
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    drops: tuple[float, ...] = (0.5, 0.75)

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        tidy("plan", check_grid("plan", self.plan, _row))
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        tidy("drops", check_grid("drops", self.drops, lambda k, v: check_number(k, v, low=0, high=1)))
        for name in ("depth", "width", "n_test", "batch", "epochs", "pool"):
            tidy(name, check_int(name, getattr(self, name), 1))
        tidy("pad", check_int("pad", self.pad))
        tidy("rate", check_number("rate", self.rate, low=0, open_low=True))
        tidy("momentum", check_number("momentum", self.momentum, low=0, high=1, open_high=True))
        tidy("weight_decay", check_number("weight_decay", self.weight_decay, low=0))
        if self.n_train is not None:
            tidy("n_train", check_int("n_train", self.n_train, 1))
        if not isinstance(self.flip, bool):
            raise bad("flip", self.flip, "True or False")
        check_choice("dataset", self.dataset, DATASETS)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate runs; the outcome of one does not depend on the others."""
        return tuple(Unit(*row, seed) for seed in self.seeds for row in self.plan)


def _row(name: str, row: object) -> tuple[str, float, str]:
    if isinstance(row, str) or not np.iterable(row) or len(row := tuple(row)) != 3:
        raise bad(name, row, "(penalty, coefficient, schedule)")
    penalty = check_choice(f"{name}[0]", row[0], PENALTIES)
    coefficient = check_number(f"{name}[1]", row[1], low=0)
    if penalty == "none" and coefficient:
        raise bad(f"{name}[1]", row[1], "0 for no penalty")
    return penalty, coefficient, check_choice(f"{name}[2]", row[2], SCHEDULES)


_ROWS = tuple((penalty, lam, "constant") for penalty, lam in COEFFICIENTS.items())
_PLAN = (*_ROWS, ("so", COEFFICIENTS["so"], "bansal"))
tiers = {
    # MNIST's embedded images at half their resolution, a network of 8 layers: shows what each penalty does to kernels.
    "quick": SoftSpec(_PLAN, seeds=(0, 1), n_train=800, pool=2, batch=50, epochs=4),
    # The network and the data set of the deck's paper in small: ResNet-20, a tenth of CIFAR-10 at half its resolution,
    # 10 epochs.
    "full": SoftSpec(
        _PLAN, seeds=(0, 1), depth=20, width=16, dataset="cifar10", n_train=5120, n_test=2000, pool=2, pad=2, flip=True,
        batch=64, epochs=10,
    ),
    # The paper's network, data set and number of epochs, from memory of it; step sizes as in He et al. 2016.
    "paper": SoftSpec(
        _PLAN, seeds=(0, 1, 2, 3, 4), depth=110, width=16, dataset="cifar100", n_train=None, n_test=10_000, pad=4,
        flip=True, batch=128, epochs=200,
    ),
}  # fmt: skip

# The control: no penalty, at a larger step size. Behind batch normalisation a step turns a kernel by an angle that goes
# like rate / |K|_F^2, and the penalties shorten the kernels: from 1.16 to 0.96 (quick) and from 1.27 to 1.0 (full) in
# units of an orthonormal one, so their steps are 1.4 and 1.6 times as large.
step_tiers = {
    "quick": replace(tiers["quick"], plan=(("none", 0.0, "constant"),), rate=0.14),
    "full": replace(tiers["full"], plan=(("none", 0.0, "constant"),), rate=0.16),
}
