"""What the runs of the atlas say: each way at its best step size, with intervals over seeds, and their paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ortholab.errors import ArgumentError, bad
from ortholab.experiments.atlas import WAYS, AtlasSpec, Unit, Way, start
from ortholab.experiments.estimate import half_width
from ortholab.experiments.results import Results
from ortholab.experiments.trial import Trial, train_here


@dataclass(frozen=True, eq=False)
class AtlasResult:
    """Runs: ``units[i]`` gave ``metrics[i]``. A way with several step sizes is looked at at its best.

    Best is the least ``final_loss`` (of the last 20 batches), mean over the seeds; a run that diverged has none.
    ``table_of_ways`` is that of the specification: the atlas's, or another experiment's of its kind.
    """

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    provenance: str
    table_of_ways: Mapping[str, Way] = field(default_factory=lambda: WAYS)

    @classmethod
    def of(cls, results: Results, table_of_ways: Mapping[str, Way] = WAYS) -> AtlasResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        units = tuple(Unit(**unit) for unit in results.units)
        return cls(units, results.metrics, results.provenance, table_of_ways)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that were run, in the order of their table (:data:`~ortholab.experiments.atlas.WAYS`)."""
        run = {unit.way for unit in self.units}
        return tuple(way for way in self.table_of_ways if way in run)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(sorted({unit.seed for unit in self.units}))

    def rates(self, way: str) -> dict[float, float]:
        """Return the step sizes of a way with the mean final loss of each. Raises ArgumentError."""
        scores: dict[float, list[float]] = {}
        for unit, found in self._of(way):
            scores.setdefault(unit.rate, []).append(found["final_loss"])
        return {rate: float(np.mean(losses)) for rate, losses in sorted(scores.items())}

    def best_rate(self, way: str) -> float:
        """Return the step size with the least loss."""
        losses = self.rates(way)
        return min(losses, key=losses.get)

    def runs(self, way: str) -> tuple[dict, ...]:
        """Return the metrics of all seeds, in their order, at the best step size."""
        rate = self.best_rate(way)
        chosen = [(u.seed, found) for u, found in self._of(way) if u.rate == rate]
        return tuple(found for _, found in sorted(chosen, key=lambda pair: pair[0]))

    def last(self, way: str, metric: str) -> np.ndarray:
        """Return the last value of a metric for each seed, shape (seeds,)."""
        return np.array([np.ravel(found[metric])[-1] for found in self.runs(way)], dtype=float)

    def against(self, way: str, other: str, metric: str = "accuracy") -> tuple[float, float, float]:
        """Return the mean of way - other over paired seeds, and its 95 % t interval."""
        mean, half = _interval(self.last(way, metric) - self.last(other, metric))
        return mean, mean - half, mean + half

    def interval(self, way: str, metric: str = "accuracy") -> tuple[float, float]:
        """Return the mean over seeds and half the width of its 95 % t interval."""
        return _interval(self.last(way, metric))

    def table(self):
        """Return a pandas DataFrame, a row a way: means over the seeds at the end of training."""
        import pandas

        free = np.median(self.last("free", "seconds_a_step")) if "free" in self.ways else 1.0
        rows = [
            {
                "way": way, "kind": self.table_of_ways[way].kind, "step size": self.best_rate(way),
                "loss": self.last(way, "final_loss").mean(), "accuracy": self.last(way, "accuracy").mean(),
                "±": self.last(way, "accuracy").std(ddof=1) if len(self.seeds) > 1 else np.nan,
                "distance": self.last(way, "distance").mean(), "s_min": self.last(way, "smallest").mean(),
                "s_max": self.last(way, "largest").mean(),
                "time": np.median(self.last(way, "seconds_a_step")) / free,
            }
            for way in self.ways
        ]  # fmt: skip
        return pandas.DataFrame(rows).set_index("way")

    def paths(self, seed: int, ways: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Return each way's path of the first treated matrix from the common start, (records, 2).

        The plane is that of the two leading principal directions of all points together, so distances are shortened
        and never stretched (but for the sketch's tenth). ``ways`` None: all; those that begin elsewhere are left out.
        Raises ArgumentError.
        """
        if seed not in self.seeds:
            raise bad("seed", seed, "one of " + ", ".join(map(str, self.seeds)))
        at = self.seeds.index(seed)
        if not np.size(self.metrics[0]["sketch"]):
            raise ArgumentError("paths were not recorded: the specification has paths=False")
        table = self.table_of_ways
        own = [way for way in ways or self.ways if way not in table or table[way].start == "orthogonal"]
        found = {way: np.array(self.runs(way)[at]["sketch"]) for way in own}
        _, _, directions = np.linalg.svd(np.concatenate([*found.values()]), full_matrices=False)
        return {way: points @ directions[:2].T for way, points in found.items()}

    def _of(self, way: str) -> list[tuple[Unit, dict]]:
        found = [pair for pair in zip(self.units, self.metrics, strict=True) if pair[0].way == way]
        if not found:
            raise bad("way", way, "one of " + ", ".join(self.ways))
        return found


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2:
        raise ArgumentError("an interval must have two seeds or more; got one")
    return float(values.mean()), float(half_width(values))


def run(spec: AtlasSpec, device: str = "cpu", progress: bool = False) -> AtlasResult:
    """Train every unit of a specification here, on one thread. ``progress`` shows a bar. Raises ArgumentError.

    >>> spec = AtlasSpec(plan=[("free", 0.1), ("SGD, QR", 0.1)], depth=2, width=8, max_steps=3, seeds=(0,))
    >>> bool(run(spec).last("SGD, QR", "distance")[0] < 1e-5)
    True
    """
    if not isinstance(spec, AtlasSpec):
        raise bad("spec", type(spec).__name__, "an AtlasSpec")
    return run_with(start, spec, device, progress)


def run_with(begin: Callable[..., Trial], spec: AtlasSpec, device: str = "cpu", progress: bool = False) -> AtlasResult:
    """Train every unit as :func:`run` does, by another experiment's ``start`` of the atlas's kind."""
    found = train_here(spec.units, lambda unit: begin(spec, unit, device), "atlas", progress)
    return AtlasResult(spec.units, found, "computed on this page", spec.ways)


def summarise(results: Results):
    """Return the table that ``ortholab show atlas`` prints."""
    return AtlasResult.of(results).table()
