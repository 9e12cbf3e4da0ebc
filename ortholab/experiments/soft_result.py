"""What the runs of Figure 6 say: curves over epochs, and differences from no penalty over paired seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from ortholab.errors import ArgumentError, bad, check_choice, check_int
from ortholab.experiments.estimate import Estimate, estimate
from ortholab.experiments.soft_constraints import SoftSpec, Unit, step_tiers, tiers
from ortholab.experiments.soft_trial import start


def early(metrics: dict) -> float:
    """Return the mean validation accuracy over the first half of a run's epochs, the start left out.

    >>> early({"accuracy": [0.1, 0.3, 0.5, 0.6, 0.6]})
    0.4
    """
    return float(np.mean(metrics["accuracy"][1 : 1 + max(1, (len(metrics["accuracy"]) - 1) // 2)]))


def final(metrics: dict) -> float:
    """Return the validation accuracy after the last epoch.

    >>> final({"accuracy": [0.1, 0.3, 0.2]})
    0.2
    """
    return float(metrics["accuracy"][-1])


def setbacks(metrics: dict) -> float:
    """Return how much validation accuracy is lost from one epoch to the next, summed over all epochs where it falls.

    >>> round(setbacks({"accuracy": [0.1, 0.3, 0.2, 0.4, 0.35]}), 12)
    0.15
    """
    return float(np.maximum(-np.diff(metrics["accuracy"]), 0).sum())


MEASURES: dict[str, Callable[[dict], float]] = {"early": early, "final": final, "setbacks": setbacks}


@dataclass(frozen=True, eq=False)
class SoftResult:
    """Runs of a :class:`~ortholab.experiments.soft_constraints.SoftSpec`: ``units[i]`` gave ``metrics[i]``.

    A configuration goes by its label: the penalty, with the schedule where it is not constant ("so bansal").
    """

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    provenance: str = ""

    @classmethod
    def of(cls, results: object) -> SoftResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        return cls(tuple(Unit(**fields) for fields in results.units), tuple(results.metrics), results.provenance)

    @property
    def labels(self) -> tuple[str, ...]:
        """The configurations in the order of the specification."""
        return tuple(dict.fromkeys(_label(unit) for unit in self.units))

    def runs(self, label: str) -> dict[int, dict]:
        """Return the metrics of a configuration by seed, ascending. Raises ArgumentError."""
        check_choice("label", label, self.labels)
        found = [(u.seed, m) for u, m in zip(self.units, self.metrics, strict=True) if _label(u) == label]
        if len({seed for seed, _ in found}) < len(found):
            raise ArgumentError(f"label = {label!r} stands for several coefficients: take one with dataclasses.replace")
        return dict(sorted(found))

    def curve(self, label: str, name: str = "accuracy") -> tuple[np.ndarray, np.ndarray]:
        """Return (epochs, values): a metric over epochs, shape (seeds, epochs, ...); NaN after a run has diverged."""
        runs = list(self.runs(label).values())
        if name not in runs[0] or len(runs[0][name]) != len(runs[0]["epochs"]):
            raise bad("name", name, "a metric that is recorded over epochs")
        epochs = max((run["epochs"] for run in runs), key=len)
        values = np.full((len(runs), len(epochs), *np.shape(runs[0][name])[1:]), np.nan)
        for row, run in zip(values, runs, strict=True):
            row[: len(run[name])] = run[name]
        return np.array(epochs), values

    def difference(self, measure: str, label: str, against: str = "none", other: SoftResult | None = None) -> Estimate:
        """Return measure(label) - measure(against), mean over paired seeds with its 95 % t interval.

        ``measure``: "early", "final" or "setbacks" (the functions of this module). ``against`` is a configuration of
        ``other``, by default of this result. Raises ArgumentError.
        """
        of = MEASURES[check_choice("measure", measure, tuple(MEASURES))]
        ours, theirs = self.runs(label), (other or self).runs(against)
        seeds = sorted(ours.keys() & theirs.keys())
        if not seeds:
            raise ArgumentError(f"{label} and {against} have no seed in common")
        return estimate([of(ours[seed]) - of(theirs[seed]) for seed in seeds])


def summarise(results: object):
    """Return a DataFrame of stored results, a row a configuration: the seeds side by side."""
    import pandas

    found, rows = SoftResult.of(results), []
    for label in found.labels:
        runs = list(found.runs(label).values())
        row = {"penalty": label}
        row |= {name: tuple(round(of(run), 3) for run in runs) for name, of in MEASURES.items()}
        row["|E|_F at the end"] = tuple(round(run["so"][-1], 2) for run in runs)
        row["diverged at"] = tuple(run["diverged"] for run in runs)
        rows.append(row)
    return pandas.DataFrame(rows)


def run(spec: SoftSpec, *, device: str = "cpu", progress: bool = False) -> SoftResult:
    """Train every unit of a specification here and now, on one thread; for the full tier use the engine.

    A unit that this process has trained already (a page and a claim may share some) is not trained again.

    >>> spec = SoftSpec([("none", 0, "constant"), ("so", 0.1, "constant")], n_train=200, n_test=50, pool=2, epochs=1)
    >>> result = run(spec)
    >>> result.labels, bool(result.curve("so", "so")[1][0, -1] < result.curve("none", "so")[1][0, -1])
    (('none', 'so'), True)
    """
    from tqdm import tqdm

    if not isinstance(spec, SoftSpec):
        raise bad("spec", type(spec).__name__, "a SoftSpec")
    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for unit in tqdm(spec.units, disable=not progress, desc="soft constraints", unit="run"):
            alone = replace(spec, plan=((unit.penalty, unit.coefficient, unit.schedule),), seeds=(unit.seed,))
            found.append(dict(_trained(alone, device)))
    finally:
        torch.set_num_threads(threads)
    return SoftResult(spec.units, tuple(found))


@lru_cache(maxsize=256)
def _trained(spec: SoftSpec, device: str) -> dict:
    """Return the metrics of a specification's only unit."""
    trial = start(spec, spec.units[0], device)
    while not trial.advance():
        pass
    return trial.metrics()


def claim_differences(seeds: int = 5) -> dict[str, Estimate]:
    """Return what tries claim (E): SO against no penalty in the quick tier, with more seeds; each measure's difference.

    "control" is the final accuracy of SO minus that of no penalty at the larger step size of ``step_tiers``.
    About 25 s on one core.
    """
    seeds = range(check_int("seeds", seeds, 2))
    rows = [row for row in tiers["quick"].plan if row[0] in ("none", "so") and row[2] == "constant"]
    result = run(replace(tiers["quick"], plan=rows, seeds=seeds))
    faster = run(replace(step_tiers["quick"], seeds=seeds))
    found = {measure: result.difference(measure, "so") for measure in MEASURES}
    return found | {"control": result.difference("final", "so", other=faster)}


def _label(unit: Unit) -> str:
    return unit.penalty if unit.schedule == "constant" else f"{unit.penalty} {unit.schedule}"
