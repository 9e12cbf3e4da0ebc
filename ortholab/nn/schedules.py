"""Coefficients that change while a network trains: functions of the number of steps done.

Source: Bansal, Chen, Wang 2018 (arXiv 1810.09102).
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from ortholab.errors import bad, check_grid, check_int, check_number


@dataclass(frozen=True)
class Piecewise:
    """values[i] from step starts[i] on, until the next start; starts[0] = 0 and they increase. Raises ArgumentError.

    >>> schedule = Piecewise([0, 10], [1e-2, 0])
    >>> [schedule(step) for step in (0, 9, 10, 500)]
    [0.01, 0.01, 0.0, 0.0]
    """

    starts: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        starts = check_grid("starts", self.starts, check_int)
        try:
            values = tuple(check_number(f"values[{i}]", v, low=0) for i, v in enumerate(self.values))
        except TypeError:
            raise bad("values", self.values, "a sequence of numbers >= 0") from None
        if starts[0] != 0 or list(starts) != sorted(starts):
            raise bad("starts", self.starts, "increasing integers, the first of them 0")
        if len(values) != len(starts):
            raise bad("values", self.values, f"{len(starts)} numbers, one for each start")
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "values", values)

    def __call__(self, step: int) -> float:
        return self.values[bisect.bisect_right(self.starts, step) - 1]


@dataclass(frozen=True)
class LinearDecay:
    """From ``first`` at step 0 to ``last`` at step ``steps`` on a straight line, ``last`` from then on.

    >>> [LinearDecay(1.0, 10)(step) for step in (0, 5, 10, 99)]
    [1.0, 0.5, 0.0, 0.0]
    """

    first: float
    steps: int
    last: float = 0.0

    def __post_init__(self) -> None:
        _tidy(self)

    def __call__(self, step: int) -> float:
        return self.last + (self.first - self.last) * (1 - min(step / self.steps, 1.0))


@dataclass(frozen=True)
class CosineDecay:
    """From ``first`` at step 0 to ``last`` at step ``steps`` along half a period of the cosine, ``last`` from then on.

    >>> [round(CosineDecay(1.0, 10)(step), 3) for step in (0, 5, 10, 99)]
    [1.0, 0.5, 0.0, 0.0]
    """

    first: float
    steps: int
    last: float = 0.0

    def __post_init__(self) -> None:
        _tidy(self)

    def __call__(self, step: int) -> float:
        share = min(step / self.steps, 1.0)
        return self.last + (self.first - self.last) * (1 + math.cos(math.pi * share)) / 2


# (share of the run, what the first coefficient is divided by): in Bansal, Chen and Wang's published code, which begins
# at 1e-2, epochs 0, 20, 50, 70 and 120 of 200.
BANSAL = ((0.0, 1), (0.1, 10), (0.25, 100), (0.35, 10_000), (0.6, math.inf))


def bansal(steps: int, first: float = 1e-2) -> Piecewise:
    """Return Bansal, Chen and Wang's schedule, stretched to a run of ``steps`` steps and to begin at ``first``.

    Their published code holds 1e-2 and goes to 1e-3, 1e-4, 1e-6 and 0 from epochs 20, 50, 70 and 120 of 200.
    Raises ArgumentError for fewer than 20 steps, which cannot hold the five levels.

    >>> schedule = bansal(200)
    >>> [schedule(step) for step in (0, 19, 20, 50, 70, 120)]
    [0.01, 0.01, 0.001, 0.0001, 1e-06, 0.0]
    """
    steps, first = check_int("steps", steps, 20), check_number("first", first, low=0)
    return Piecewise([round(share * steps) for share, _ in BANSAL], [first / divisor for _, divisor in BANSAL])


def _tidy(decay: LinearDecay | CosineDecay) -> None:
    for name in ("first", "last"):
        object.__setattr__(decay, name, check_number(name, getattr(decay, name), low=0))
    object.__setattr__(decay, "steps", check_int("steps", decay.steps, 1))
