"""What the runs of Figure 5 say: learning curves, costs at the end, and their differences over paired seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ortholab.errors import ArgumentError, bad
from ortholab.experiments.estimate import Estimate, estimate
from ortholab.experiments.sequence_trial import start
from ortholab.experiments.spectral_margin import SpectralMarginSpec, Unit, plan, tiers
from ortholab.experiments.trial import train_here

LAST = 60  # updates whose mean cost is the cost at the end


@dataclass(frozen=True, eq=False)
class MarginResult:
    """Runs (``units[i]`` gave ``metrics[i]``, see :class:`~ortholab.experiments.sequence_trial.SequenceTrial`).

    A configuration is asked for at the best of its step sizes of W: the one of the lowest mean cost at the end, over
    the seeds. Where it ran at one step size only, that is it.
    """

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    provenance: str = ""

    @classmethod
    def of(cls, results: object) -> MarginResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        return cls(tuple(Unit(**fields) for fields in results.units), tuple(results.metrics), results.provenance)

    @property
    def configurations(self) -> tuple[str, ...]:
        """The configurations that were run."""
        return tuple(dict.fromkeys(unit.configuration for unit in self.units))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that were run."""
        return tuple(dict.fromkeys(unit.task for unit in self.units))

    def w_rates(self, configuration: str, task: str | None = None) -> tuple[float, ...]:
        """Return the step sizes of W at which a configuration was run, ascending."""
        return tuple(sorted({unit.w_rate for unit, _ in self._all(configuration, task)}))

    def best_w_rate(self, configuration: str, task: str | None = None) -> float:
        """Return the best of these step sizes."""
        rates = self.w_rates(configuration, task)
        return min(rates, key=lambda rate: self.final_cost(configuration, task, rate).mean())

    def runs(self, configuration: str, task: str | None = None, w_rate: float | None = None) -> list[dict]:
        """Return the metrics in the order of the seeds. Raises ArgumentError where there is no run."""
        if w_rate is None:
            w_rate = self.best_w_rate(configuration, task)
        found = [(unit, metrics) for unit, metrics in self._all(configuration, task) if unit.w_rate == w_rate]
        if not found:
            raise bad("w_rate", w_rate, f"one of {self.w_rates(configuration, task)}")
        return [metrics for _, metrics in sorted(found, key=lambda run: run[0].seed)]

    def final_cost(self, configuration: str, task: str | None = None, w_rate: float | None = None) -> np.ndarray:
        """Return the mean training cost of the last :data:`LAST` updates, shape (seeds,); inf for a diverged run."""
        return np.array([_final_cost(metrics) for metrics in self.runs(configuration, task, w_rate)])

    def accuracy(self, configuration: str, task: str | None = None, w_rate: float | None = None) -> np.ndarray:
        """Return the test accuracy at the end, shape (seeds,); 0 for a run that diverged."""
        runs = self.runs(configuration, task, w_rate)
        return np.array([m["accuracy"][-1] if m["diverged"] < 0 else 0.0 for m in runs])

    def curve(self, configuration: str, task: str | None = None, name: str = "cost") -> tuple[np.ndarray, np.ndarray]:
        """Return the updates (k,) and a metric (seeds, k): "cost", or "s_min", "s_median", "s_max", "distance",
        "gradient_norm".
        """
        looks = ("s_min", "s_median", "s_max", "distance", "gradient_norm")
        if name not in ("cost", *looks):
            raise bad("name", name, "one of " + ", ".join(map(repr, ("cost", *looks))))
        runs = self.runs(configuration, task)
        steps = runs[0]["cost_steps" if name == "cost" else "look_steps"]
        if any(len(m[name]) != len(steps) for m in runs):
            raise ArgumentError(f"{configuration}: a run diverged, and its curve is shorter")
        return np.array(steps), np.array([m[name] for m in runs])

    def through_time(
        self, configuration: str, task: str | None = None, look: int = -1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the times (k,) and |dLoss/da_t| / |dLoss/da_T| at the ``look``-th look, shape (seeds, k)."""
        runs = self.runs(configuration, task)
        norms = np.array([m["through_time"][look] for m in runs])
        return np.array(runs[0]["times"]), norms / norms[:, -1:]

    def difference(self, first: str, second: str, task: str | None = None) -> Estimate:
        """Return cost(first) - cost(second) at the end: mean over paired seeds and 95 % t interval.

        Raises ArgumentError where a run diverged.
        """
        costs = [self.final_cost(name, task) for name in (first, second)]
        gaps = costs[0] - costs[1]
        if not np.isfinite(gaps).all():
            raise ArgumentError(f"{first!r} and {second!r} must not diverge to be compared")
        return estimate(gaps)

    def _all(self, configuration: str, task: str | None) -> list[tuple[Unit, dict]]:
        if task is None and len(self.tasks) > 1:
            raise bad("task", task, "one of " + ", ".join(map(repr, self.tasks)))
        runs = zip(self.units, self.metrics, strict=True)
        found = [(u, m) for u, m in runs if u.configuration == configuration and task in (None, u.task)]
        if not found:
            raise bad("configuration", configuration, "one of " + ", ".join(map(repr, self.configurations)))
        return found


def _final_cost(metrics: dict) -> float:
    if metrics["diverged"] >= 0:
        return np.inf
    steps, cost = np.array(metrics["cost_steps"]), np.array(metrics["cost"])
    # The records hold means over equal numbers of updates, but for a short last one.
    weights = np.diff(steps, prepend=0)
    late = (steps - weights >= steps[-1] - LAST) | (steps == steps[-1])
    return float(np.average(cost[late], weights=weights[late]))


def run(spec: SpectralMarginSpec, *, device: str = "cpu") -> MarginResult:
    """Train every unit of a specification here and now, on one thread; for the full tier use the engine.

    >>> spec = SpectralMarginSpec([("none", 1e-3, 1e-3)], ["mnist"], hidden=16, updates=40, shrink=7, n_train=500)
    >>> bool(run(spec).final_cost("none")[0] < 2.3)
    True
    """
    if not isinstance(spec, SpectralMarginSpec):
        raise bad("spec", type(spec).__name__, "a SpectralMarginSpec")
    found = train_here(spec.units, lambda unit: start(spec, unit, device), "margins")
    return MarginResult(spec.units, found)


def summarise(results: object):
    """Return a DataFrame of stored results, a row a task, configuration and step size: the seeds side by side."""
    import pandas

    found, rows = MarginResult.of(results), []
    for key in dict.fromkeys((u.task, u.configuration, u.rate, u.w_rate) for u in found.units):
        task, name, _, w_rate = key
        row = dict(zip(("task", "configuration", "rate", "W's rate"), key, strict=True))
        runs = found.runs(name, task, w_rate)
        row["cost at end"] = tuple(round(float(c), 3) for c in found.final_cost(name, task, w_rate))
        row["test accuracy"] = tuple(round(float(a), 3) for a in found.accuracy(name, task, w_rate))
        row["singular values"] = tuple(f"{m['s_final'][-1]:.3f} to {m['s_final'][0]:.3f}" for m in runs)
        row["diverged at"] = tuple(m["diverged"] for m in runs)
        rows.append(row)
    return pandas.DataFrame(rows)


CLAIM_ROWS = ("margin 0", "margin 1", "none", "margin 0 gain 1.05", "margin 0 linear")


def claim_runs(seeds: Sequence[int] = (0, 1, 2, 3), updates: int = 100) -> MarginResult:
    """Return what tries claim (D): hard and free weights at the quick tier's size. About 20 s on one core."""
    rows = plan(CLAIM_ROWS)
    return run(replace(tiers["quick"], plan=rows, seeds=tuple(seeds), updates=updates, test_every=updates))
