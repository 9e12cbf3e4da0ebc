"""What the runs of the audit say: curves over epochs, and paired differences with intervals and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ortholab.errors import ArgumentError, bad, check_choice
from ortholab.experiments.estimate import Estimate, estimate
from ortholab.experiments.gain_audit import GainSpec, Unit
from ortholab.experiments.gain_plans import QUESTIONS, Row
from ortholab.experiments.gain_trial import start
from ortholab.experiments.trial import train_here

MEASURES = ("score", "loss", "s_mean", "s_std")


@dataclass(frozen=True)
class Comparison:
    """A mean paired difference: its 95 % t interval, the two-sided p value of the paired t test, and Holm's.

    ``p_holm`` is corrected for all comparisons that were made together.
    """

    difference: Estimate
    p: float
    p_holm: float

    @property
    def found(self) -> bool:
        """Whether a difference may be claimed: p_holm below 0.05 (the interval then excludes 0)."""
        return self.p_holm < 0.05


@dataclass(frozen=True, eq=False)
class GainResult:
    """Runs of a :class:`~ortholab.experiments.gain_audit.GainSpec`: ``units[i]`` gave ``metrics[i]``.

    A configuration goes by its row of the plan, (treatment, target, weight, gain).
    """

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    provenance: str = ""

    @classmethod
    def of(cls, results: object) -> GainResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        return cls(tuple(Unit(**fields) for fields in results.units), tuple(results.metrics), results.provenance)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The configurations in the order of the specification."""
        return tuple(dict.fromkeys(_row(unit) for unit in self.units))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(sorted({unit.seed for unit in self.units}))

    def runs(self, row: Row) -> dict[int, dict]:
        """Return the metrics of a configuration by seed, ascending. Raises ArgumentError."""
        row = check_choice("row", tuple(row), self.rows)
        return dict(
            sorted((u.seed, m) for u, m in zip(self.units, self.metrics, strict=True) if _row(u) == row)
        )  # no two runs of a row share a seed, so metrics are never compared

    def curve(self, row: Row, name: str = "score") -> tuple[np.ndarray, np.ndarray]:
        """Return (epochs, values): a metric over epochs, shape (seeds, epochs, ...); NaN after a run has diverged."""
        runs = list(self.runs(row).values())
        if name not in runs[0] or len(runs[0][name]) != len(runs[0]["epochs"]):
            raise bad("name", name, "a metric that is recorded over epochs")
        epochs = max((run["epochs"] for run in runs), key=len)
        values = np.full((len(runs), len(epochs), *np.shape(runs[0][name])[1:]), np.nan)
        for into, run in zip(values, runs, strict=True):
            into[: len(run[name])] = run[name]
        return np.array(epochs), values

    def final(self, row: Row, measure: str = "score") -> Estimate:
        """Return a measure after the last epoch, mean over seeds with its 95 % t interval."""
        check_choice("measure", measure, MEASURES)
        return estimate([run[measure][-1] for run in self.runs(row).values()])

    def gain(self, row: Row) -> float:
        """Return the gain of the start of a configuration."""
        return next(iter(self.runs(row).values()))["gain"]

    def differences(self, more: Row, less: Row, measure: str = "score") -> np.ndarray:
        """Return measure(more) - measure(less) after the last epoch, one number a common seed. Raises ArgumentError."""
        check_choice("measure", measure, MEASURES)
        ours, theirs = self.runs(more), self.runs(less)
        seeds = sorted(ours.keys() & theirs.keys())
        if not seeds:
            raise ArgumentError(f"{more} and {less} have no seed in common")
        return np.array([ours[seed][measure][-1] - theirs[seed][measure][-1] for seed in seeds])

    def compare(
        self, questions: Mapping[str, tuple[Row, Row]] = QUESTIONS, measure: str = "score"
    ) -> dict[str, Comparison]:
        """Answer each question (more, less) whose rows were both run: differences over paired seeds.

        Needs two seeds or more. Raises ArgumentError.
        """
        asked = {name: pair for name, pair in questions.items() if {*pair} <= {*self.rows}}
        if not asked:
            raise ArgumentError("questions must compare rows that were run")
        found = {name: self.differences(*pair, measure) for name, pair in asked.items()}
        return compare_paired(found)


def compare_paired(differences: Mapping[str, np.ndarray]) -> dict[str, Comparison]:
    """Return each question's mean paired difference, interval and p values, Holm's over all of them.

    ``differences`` holds one number a seed for each question, two seeds or more. Raises ArgumentError.

    >>> compare_paired({"a": np.array([0.1, 0.2, 0.3]), "b": np.array([-1.0, 1.0, 0.5])})["a"].found
    False
    """
    if any(len(values) < 2 for values in differences.values()):
        raise ArgumentError("seeds must be two or more for a comparison")
    p = [_p_value(values) for values in differences.values()]
    return {
        name: Comparison(estimate(values), *both)
        for (name, values), both in zip(differences.items(), zip(p, holm(p), strict=True), strict=True)
    }


def holm(p: np.ndarray) -> list[float]:
    """Return Holm's corrected p values: the k-th smallest of m times (m - k + 1), made monotone, at most 1.

    With all below 0.05 called differences, the chance of any false one is at most 0.05. Source: Holm 1979.

    >>> [round(v, 6) for v in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(steps, 1)
    return corrected.tolist()


def summarise(results: object):
    """Return a DataFrame of stored results, a row a configuration: means over seeds at the end."""
    import pandas

    found = GainResult.of(results)
    table = []
    for row in found.rows:
        record = dict(zip(("treatment", "target", "weight"), row[:3], strict=True)) | {"gain": found.gain(row)}
        record |= {name: round(found.final(row, name).value, 4) for name in MEASURES}
        record["seeds"] = len(found.runs(row))
        record["diverged"] = sum(run["diverged"] >= 0 for run in found.runs(row).values())
        table.append(record)
    return pandas.DataFrame(table)


def run(spec: GainSpec, *, device: str = "cpu", progress: bool = False) -> GainResult:
    """Train every unit of a specification here and now, on one thread; for the full tier use the engine.

    >>> spec = GainSpec([("none", "", 0, 1.1)], hidden=8, n_train=200, n_validation=50, epochs=1)
    >>> run(spec).curve(("none", "", 0.0, 1.1))[1].shape
    (1, 2)
    """
    if not isinstance(spec, GainSpec):
        raise bad("spec", type(spec).__name__, "a GainSpec")
    metrics = train_here(spec.units, lambda unit: start(spec, unit, device), "audit", progress)
    return GainResult(spec.units, metrics)


def _p_value(differences: np.ndarray) -> float:
    if np.ptp(differences) == 0:  # the t statistic is 0/0 or infinite
        return 1.0 if differences[0] == 0 else 0.0
    return float(stats.ttest_1samp(differences, 0).pvalue)


def _row(unit: Unit) -> Row:
    return unit.treatment, unit.target, unit.weight, unit.gain
