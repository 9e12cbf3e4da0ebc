"""What the sequence models' runs say: curves over epochs, spectra, and paired differences with Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ortholab.errors import ArgumentError, bad, check_choice
from ortholab.experiments.estimate import Estimate, estimate
from ortholab.experiments.gain_result import Comparison, compare_paired
from ortholab.experiments.sequence_models import QUESTIONS, SequenceModelsSpec, Unit
from ortholab.experiments.sequence_models_trial import start
from ortholab.experiments.trial import train_here

MEASURES = ("score", "loss", "energy", "s_max")
MIDDLE = 3  # the median's place in QUANTILES


@dataclass(frozen=True, eq=False)
class SequenceModelsResult:
    """Runs of a :class:`~ortholab.experiments.sequence_models.SequenceModelsSpec`: ``units[i]`` gave ``metrics[i]``.

    A model goes by its name; where it ran at several delays or step sizes, choose with :meth:`where`.
    """

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    provenance: str = ""

    @classmethod
    def of(cls, results: object) -> SequenceModelsResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        return cls(tuple(Unit(**fields) for fields in results.units), tuple(results.metrics), results.provenance)

    @property
    def models(self) -> tuple[str, ...]:
        """The models in the order of the specification."""
        return tuple(dict.fromkeys(unit.model for unit in self.units))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(sorted({unit.seed for unit in self.units}))

    def where(self, **fields: object) -> SequenceModelsResult:
        """Return the runs whose units have these values. Raises ArgumentError where there is none."""
        keep = [i for i, u in enumerate(self.units) if all(getattr(u, k) == v for k, v in fields.items())]
        if not keep:
            raise ArgumentError(f"no unit has {fields}")
        return SequenceModelsResult(
            tuple(self.units[i] for i in keep), tuple(self.metrics[i] for i in keep), self.provenance
        )

    def runs(self, model: str) -> dict[int, dict]:
        """Return the metrics of a model by seed, ascending. Raises ArgumentError."""
        check_choice("model", model, self.models)
        pairs = [(u.seed, m) for u, m in zip(self.units, self.metrics, strict=True) if u.model == model]
        if len({seed for seed, _ in pairs}) < len(pairs):
            raise ArgumentError(f"{model!r} ran at several delays or step sizes: choose one with where(...)")
        return dict(sorted(pairs, key=lambda pair: pair[0]))

    def curve(self, model: str, name: str = "score") -> tuple[np.ndarray, np.ndarray]:
        """Return (epochs, values): a metric over epochs, (seeds, epochs, ...); NaN after a run has diverged."""
        runs = list(self.runs(model).values())
        if name not in runs[0] or len(runs[0][name]) != len(runs[0]["epochs"]):
            raise bad("name", name, f"a metric that {model!r} records over epochs")
        epochs = max((run["epochs"] for run in runs), key=len)
        values = np.full((len(runs), len(epochs), *np.shape(runs[0][name])[1:]), np.nan)
        for into, run in zip(values, runs, strict=True):
            into[: len(run[name])] = run[name]
        return np.array(epochs), values

    def final(self, model: str, measure: str = "score") -> Estimate:
        """Return a measure after the last epoch, mean over seeds with its 95 % t interval."""
        return estimate(self._last(model, measure))

    def moduli(self, model: str, epoch: int = -1) -> np.ndarray:
        """Return the quantiles of |lambda| after an epoch (0: the start), mean over seeds."""
        return self.curve(model, "modulus")[1][:, epoch].mean(axis=0)

    def best_rate(self, model: str) -> float:
        """Return the step size with the lowest validation loss at the end, mean over seeds."""
        rates = sorted({unit.rate for unit in self.units if unit.model == model})
        if not rates:
            raise bad("model", model, f"one of {', '.join(self.models)}")
        return min(rates, key=lambda rate: self.where(model=model, rate=rate).final(model, "loss").value)

    def differences(self, more: str, less: str, measure: str = "score") -> np.ndarray:
        """Return measure(more) - measure(less) after the last epoch, one number a common seed. Raises ArgumentError."""
        ours, theirs = (dict(zip(self.runs(m), self._last(m, measure), strict=True)) for m in (more, less))
        seeds = sorted(ours.keys() & theirs.keys())
        if not seeds:
            raise ArgumentError(f"{more} and {less} have no seed in common")
        return np.array([ours[seed] - theirs[seed] for seed in seeds])

    def compare(
        self, questions: Mapping[str, tuple[str, str]] = QUESTIONS, measure: str = "score"
    ) -> dict[str, Comparison]:
        """Answer each question (more, less) whose models were both run. Needs two seeds. Raises ArgumentError."""
        asked = {name: pair for name, pair in questions.items() if {*pair} <= {*self.models}}
        if not asked:
            raise ArgumentError("questions must compare models that were run")
        return compare_paired({name: self.differences(*pair, measure) for name, pair in asked.items()})

    def _last(self, model: str, measure: str) -> list[float]:
        check_choice("measure", measure, MEASURES)
        runs = self.runs(model).values()
        if not all(run.get(measure) for run in runs):
            raise bad("measure", measure, f"one that {model!r} records")
        return [run[measure][-1] for run in runs]


def summarise(results: object):
    """Return a DataFrame of stored results, a row a model, delay and step size: means over seeds at the end."""
    import pandas

    found = SequenceModelsResult.of(results)
    table = []
    for model, delay, rate in dict.fromkeys((u.model, u.delay, u.rate) for u in found.units):
        here = found.where(model=model, delay=delay, rate=rate)
        runs = here.runs(model).values()
        record = {"model": model, "delay": delay, "rate": rate}
        record |= {name: round(here.final(model, name).value, 4) for name in ("score", "loss")}
        if all(run["modulus"] for run in runs):
            first, last = (here.moduli(model, epoch)[MIDDLE] for epoch in (0, -1))
            record |= {"median |lambda|, start": round(first, 4), "end": round(last, 4)}
        record |= {"seeds": len(runs), "diverged": sum(run["diverged"] >= 0 for run in runs)}
        table.append(record)
    return pandas.DataFrame(table)


def run(spec: SequenceModelsSpec, *, device: str = "cpu", progress: bool = False) -> SequenceModelsResult:
    """Train every unit of a specification here and now, on one thread; for the full tier use the engine.

    >>> spec = SequenceModelsSpec([("lru 0-1", 3, 3e-3)], hidden=8, epochs=1, updates=2, n_validation=8)
    >>> run(spec).curve("lru 0-1")[1].shape
    (1, 2)
    """
    if not isinstance(spec, SequenceModelsSpec):
        raise bad("spec", type(spec).__name__, "a SequenceModelsSpec")
    metrics = train_here(spec.units, lambda unit: start(spec, unit, device), "copying", progress)
    return SequenceModelsResult(spec.units, metrics)
