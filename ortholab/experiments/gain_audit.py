"""The audit of the 2019 deck's own experiment: does a gain-adjusted penalty serve a recurrent network better?

Figures 7 and 8 of the deck: an Elman network with tanh reads MNIST row by row. Here stand the penalty of the code that
was published, the same with the identity, equations (8) and (10) with a sum, no penalty, and the hard constraint, each
at several gains of the start, on paired seeds; and the same question where gradients must travel further.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab.errors import bad, check_choice, check_grid, check_int, check_number
from ortholab.experiments.gain_tasks import TASKS

PENALTIES = ("published", "mean", "sum")
TREATMENTS = ("none", "glorot", "hard", *PENALTIES)
TARGETS = ("adjusted", "plain")
SOURCES = ("embedded", "full")


@dataclass(frozen=True)
class Unit:
    """One run.

    ``treatment`` is "none", "glorot" (none, from a Glorot start), "hard" (W stays gain Q), or a penalty: "published"
    (the published code's), "mean" (with the identity, mean over entries), "sum" (equations (8) and (10)), with the
    coefficient ``weight``; ``target`` "adjusted" means W^T W / gain^2, "plain" W^T W, and "" no penalty. ``gain`` is
    that of the start, or "critical": critical for the variance of W_in x_t over the training data.
    """

    treatment: str
    target: str
    weight: float
    gain: float | str
    seed: int


@dataclass(frozen=True)
class GainSpec:
    """What is trained: each row of ``plan`` (treatment, target, weight, gain) from every seed.

    ``task`` is "rows" or "pixels" (MNIST; the first ``n_train`` and the next ``n_validation`` training images of
    ``source``, pixels averaged over ``shrink`` x ``shrink``), "copying" or "adding" (``delay``; ``updates`` batches an
    epoch, ``n_validation`` sequences). Adam at ``rate`` trains all, W under the hard constraint at ``hard_rate``.
    ``clip`` bounds the norm of the gradient (None: it is free). Raises ArgumentError.

    >>> spec = GainSpec(plan=[("sum", "adjusted", 0.01, 1.025), ("none", "", 0, "critical")], seeds=(0, 1))
    >>> len(spec.units), spec.units[1]
    (4, Unit(treatment='none', target='', weight=0.0, gain='critical', seed=0))
    """

    plan: tuple[tuple[str, str, float, float | str], ...]
    seeds: tuple[int, ...] = (0,)
    task: str = "rows"
    hidden: int = 128
    batch: int = 128
    rate: float = 1e-4
    hard_rate: float = 1e-4
    clip: float | None = None
    epochs: int = 15
    source: str = "embedded"
    n_train: int = 3200
    n_validation: int = 800
    shrink: int = 1
    delay: int = 100
    updates: int = 100

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        tidy("plan", check_grid("plan", self.plan, _row))
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        check_choice("task", self.task, TASKS)
        check_choice("source", self.source, SOURCES)
        for name in ("hidden", "batch", "epochs", "n_train", "n_validation", "shrink", "updates"):
            tidy(name, check_int(name, getattr(self, name), 1))
        tidy("delay", check_int("delay", self.delay, 2))
        for name in ("rate", "hard_rate"):
            tidy(name, check_number(name, getattr(self, name), low=0, open_low=True))
        if self.clip is not None:
            tidy("clip", check_number("clip", self.clip, low=0, open_low=True))
        if 28 % self.shrink or (self.shrink > 1 and self.task != "pixels"):
            raise bad("shrink", self.shrink, "a divisor of 28, and 1 unless the task is 'pixels'")
        if self.batch > self.n_train:
            raise bad("batch", self.batch, f"at most n_train = {self.n_train}")

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate runs, one seed after another."""
        return tuple(Unit(*row, seed) for seed in self.seeds for row in self.plan)


def _row(name: str, row: object) -> tuple[str, str, float, float | str]:
    if isinstance(row, str) or not np.iterable(row) or len(row := tuple(row)) != 4:
        raise bad(name, row, "(treatment, target, weight, gain)")
    treatment = check_choice(f"{name}[0]", row[0], TREATMENTS)
    penalised = treatment in PENALTIES
    target = check_choice(f"{name}[1]", row[1], TARGETS if penalised else ("",))
    weight = check_number(f"{name}[2]", row[2], low=0, open_low=penalised)
    if weight and not penalised:
        raise bad(f"{name}[2]", row[2], f"0 for {treatment!r}, which has no penalty")
    gain = row[3]
    if isinstance(gain, str):
        check_choice(f"{name}[3]", gain, ("critical",))
    else:
        gain = check_number(f"{name}[3]", gain, low=0, open_low=True)
    if treatment == "glorot" and gain != 1:
        raise bad(f"{name}[3]", gain, "1 for the Glorot start")
    return treatment, target, weight, gain
