"""The record of one experiment: dotted names, so that nothing heavy loads until it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ortholab.errors import bad
from ortholab.experiments.worker import load_object

TIERS = ("quick", "full", "paper")


@dataclass(frozen=True)
class Cost:
    """What a tier costs: its number of units, and seconds on one core for all of them, from measured unit times."""

    units: int
    seconds: float

    def __str__(self) -> str:
        if self.seconds < 90:
            return f"{self.units} units, {self.seconds:.0f} s"
        if self.seconds < 5400:
            return f"{self.units} units, {self.seconds / 60:.0f} min"
        return f"{self.units} units, {self.seconds / 3600:,.0f} h"


@dataclass(frozen=True)
class Experiment:
    """One experiment. ``tiers``, ``start``, ``summarise`` and ``figure`` are dotted names, ``module:attribute``.

    ``tiers`` names a dict from tier to specification, ``start`` a function (spec, unit, device) -> Trial,
    ``summarise`` one from Results to a pandas DataFrame and ``figure`` one from Results to a matplotlib Figure.
    ``shows`` says which figure of the deck it is for; ``costs`` what each tier takes.

    >>> Experiment("toy", "A toy", "nothing", "home:tiers", "home:start", costs={"quick": Cost(2, 200)}).costs["quick"]
    Cost(units=2, seconds=200)
    """

    name: str
    title: str
    shows: str
    tiers: str
    start: str
    data: tuple[str, ...] = ()
    summarise: str | None = None
    figure: str | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict)

    def spec(self, tier: str) -> object:
        """Return the specification of a tier. Raises ArgumentError."""
        tiers = load_object(self.tiers)
        if tier not in tiers:
            raise bad("tier", tier, f"one of {', '.join(map(repr, tiers))} for {self.name}")
        return tiers[tier]
