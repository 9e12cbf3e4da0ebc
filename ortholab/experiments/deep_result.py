"""What the runs of Figure 4 say: learning curves, steps to an accuracy at the best step size, ratios and exponents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.experiments.deep_nets import DeepNetsSpec, Unit
from ortholab.experiments.deep_tiers import tiers
from ortholab.experiments.deep_trial import start, steps_to
from ortholab.experiments.estimate import Estimate, half_width
from ortholab.experiments.trial import train_here


def log_steps(steps: np.ndarray) -> np.ndarray:
    """Return the logarithm of numbers of steps; a network that needs none counts as one that needs one."""
    return np.log(np.maximum(steps, 1))


@dataclass(frozen=True, eq=False)
class DeepNetsResult:
    """Runs (``units[i]`` gave ``metrics[i]``, see :class:`~ortholab.experiments.deep_trial.DeepTrial`) of one budget.

    Every question is asked of a network, an optimiser and a depth, at the best step size of those that were run: the
    one with the fewest steps to the threshold (geometric mean over seeds, runs cut short counted at the budget; ties:
    the highest mean accuracy of the last four measurements; then the larger; a run that diverged comes last).
    """

    units: tuple[Unit, ...]
    metrics: tuple[dict, ...]
    max_steps: int
    provenance: str = ""

    @classmethod
    def of(cls, results: object) -> DeepNetsResult:
        """Take the results that :func:`ortholab.experiments.load` read."""
        units = tuple(Unit(**fields) for fields in results.units)
        return cls(units, tuple(results.metrics), results.manifest["specification"]["max_steps"], results.provenance)

    @property
    def depths(self) -> tuple[int, ...]:
        """The depths that were run, ascending."""
        return tuple(sorted({unit.depth for unit in self.units}))

    def runs(self, network: str, optimiser: str = "sgd", depth: int | None = None, rate: float | None = None) -> list:
        """Return [(unit, metrics)] of a network in the order of the seeds. Raises ArgumentError where there is none."""
        depth = self._only_depth() if depth is None else check_int("depth", depth, 1)
        key = (network, optimiser, depth)
        found = [
            (unit, metrics)
            for unit, metrics in zip(self.units, self.metrics, strict=True)
            if (unit.network, unit.optimiser, unit.depth) == key and rate in (None, unit.rate)
        ]
        if not found:
            have = sorted({f"{u.network} {u.optimiser} depth {u.depth}" for u in self.units})
            raise ArgumentError(f"no run of {network}, {optimiser}, depth {depth}; there are {', '.join(have)}")
        return sorted(found, key=lambda run: run[0].seed)

    def best_rate(self, threshold: float, network: str, optimiser: str = "sgd", depth: int | None = None) -> float:
        """Return the best of the step sizes that were run."""
        scores: dict[float, list] = {}
        for unit, metrics in self.runs(network, optimiser, depth):
            scores.setdefault(unit.rate, []).append(self._score(metrics, threshold))
        return min(sorted(scores, reverse=True), key=lambda rate: tuple(np.mean(scores[rate], axis=0)))

    def steps_to(self, threshold: float, network: str, optimiser: str = "sgd", depth: int | None = None) -> np.ndarray:
        """Return the steps to a test accuracy for each seed, shape (seeds,); inf where it was not reached."""
        rate = self.best_rate(threshold, network, optimiser, depth)
        return np.array([steps_to(metrics, threshold) for _, metrics in self.runs(network, optimiser, depth, rate)])

    def curve(
        self, threshold: float, network: str, optimiser: str = "sgd", depth: int | None = None, name: str = "accuracy"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the measured steps (k,) and a metric (seeds, k) at the best step size; NaN where a seed has none.

        ``name`` is a metric of every record, or of the spectra: "s_max" (mean over images) and "stiefel_distance"
        (mean over the layers looked at).
        """
        names = ("accuracy", "loss", "test_loss", "gradient_norm", "gradient_first", "gradient_last")
        spectra = ("s_max", "stiefel_distance")
        if name not in names + spectra:
            raise bad("name", name, "one of " + ", ".join(names + spectra))
        rate = self.best_rate(threshold, network, optimiser, depth)
        runs = [metrics for _, metrics in self.runs(network, optimiser, depth, rate)]
        if any(name not in metrics for metrics in runs):
            raise ArgumentError(f"name = {name!r} was not recorded: the specification has jacobian_images = 0")
        at = "spectra_steps" if name in spectra else "steps"
        steps = sorted({step for metrics in runs for step in metrics[at]})
        values = np.full((len(runs), len(steps)), np.nan)
        for row, metrics in zip(values, runs, strict=True):
            found = np.mean(metrics[name], axis=1) if name in spectra else metrics[name]
            row[np.searchsorted(steps, metrics[at])] = found
        return np.array(steps), values

    def s_max(self, network: str, depth: int | None = None) -> np.ndarray:
        """Return the largest singular value of J at the start, mean over the test images looked at, for each seed."""
        optimiser = next((u.optimiser for u in self.units if u.network == network), "sgd")
        first = {unit.seed: np.mean(metrics["s_max"][0]) for unit, metrics in self.runs(network, optimiser, depth)}
        return np.array(list(first.values()))

    def speedup(
        self, threshold: float, fast: str, slow: str, optimiser: str = "sgd", depth: int | None = None
    ) -> Estimate:
        """Return steps(slow)/steps(fast): geometric mean over paired seeds with its 95 % t interval.

        A slow run that was cut short counts its budget, so the ratio is then a lower bound; a fast one must not be.
        """
        quick, late = (self.steps_to(threshold, name, optimiser, depth) for name in (fast, slow))
        if np.isinf(quick).any():
            raise ArgumentError(f"fast = {fast!r}: some runs never reached {threshold:g}, so the ratio has no bound")
        logs = log_steps(np.minimum(late, self.max_steps)) - log_steps(quick)
        return _estimate(logs, bool(np.isinf(late).any()), np.exp)

    def exponent(self, threshold: float, network: str, optimiser: str = "sgd") -> Estimate:
        """Return the slope of log steps against log depth: least squares for each seed, then mean and t interval.

        1/2 is growth like sqrt(L), 1 is growth like L. Depths at which any seed was cut short are left out.
        """
        rows = [(d, self.steps_to(threshold, network, optimiser, d)) for d in self.depths]
        rows = [(d, steps) for d, steps in rows if np.isfinite(steps).all()]
        if len(rows) < 2:
            raise ArgumentError(f"{network} reached {threshold:g} at fewer than two depths: no exponent")
        slopes = np.polyfit(np.log([d for d, _ in rows]), log_steps([steps for _, steps in rows]), 1)[0]
        return _estimate(slopes, len(rows) < len(self.depths), float)

    def _score(self, metrics: dict, threshold: float) -> tuple[float, float]:
        steps = min(steps_to(metrics, threshold), self.max_steps)
        late = math.log(max(steps, 1)) + (1.0 if metrics["diverged"] >= 0 else 0.0)
        return late, -float(np.mean(metrics["accuracy"][-4:])) if metrics["accuracy"] else 0.0

    def _only_depth(self) -> int:
        if len(self.depths) > 1:
            raise bad("depth", None, f"one of {self.depths}")
        return self.depths[0]


def similarity(spec: DeepNetsSpec, unit: Unit, images: int = 50) -> float:
    """Return the mean correlation of h_L between different test images at the start: near 1, they look all alike.

    c(a, b) = h(a) . h(b) / (|h(a)| |h(b)|), over all pairs of the first ``images``. What s_max leaves out: a critical
    network may carry gradients and still have forgotten which image it saw. Raises ArgumentError and DataError.

    >>> spec = DeepNetsSpec([(n, "sgd", [0.1]) for n in ("tanh1.05-orthogonal", "relu-orthogonal")], n_test=50)
    >>> [round(similarity(spec, unit), 2) for unit in spec.units]
    [0.29, 0.97]
    """
    images = check_int("images", images, 2)
    trial = start(spec, unit)
    with torch.no_grad():
        h = trial.model.preactivations(trial.x_test[:images])[-1].double()
    h = torch.nn.functional.normalize(h, dim=1)
    return float((h.sum(0).square().sum() - len(h)) / (len(h) * (len(h) - 1)))


def summarise(results: object):
    """Return a DataFrame of stored results, a row a network, optimiser, depth and step size: the seeds side by side."""
    import pandas

    found, rows = DeepNetsResult.of(results), []
    for key in dict.fromkeys((u.network, u.optimiser, u.depth, u.rate) for u in found.units):
        runs = [metrics for _, metrics in found.runs(*key)]
        row = dict(zip(("network", "optimiser", "depth", "rate"), key, strict=True))
        row["s_max at start"] = tuple(round(float(np.mean(m["s_max"][0])), 2) for m in runs if "s_max" in m)
        for name in (name for name in runs[0] if name.startswith("steps_to_")):
            row[name.replace("_", " ")] = tuple(metrics[name] for metrics in runs)
        row["last step"] = tuple(metrics["last_step"] for metrics in runs)
        row["diverged at"] = tuple(metrics["diverged"] for metrics in runs)
        rows.append(row)
    return pandas.DataFrame(rows)


def run(spec: DeepNetsSpec, *, device: str = "cpu", progress: bool = False) -> DeepNetsResult:
    """Train every unit of a specification here and now, on one thread; for the full tier use the engine.

    >>> spec = DeepNetsSpec(plan=[("tanh1.05-orthogonal", "sgd", [0.03])], depths=[10], max_steps=20, n_test=200)
    >>> bool(run(spec).steps_to(0.5, "tanh1.05-orthogonal")[0] < 20)
    True
    """
    if not isinstance(spec, DeepNetsSpec):
        raise bad("spec", type(spec).__name__, "a DeepNetsSpec")
    found = train_here(spec.units, lambda unit: start(spec, unit, device), "deep networks", progress)
    return DeepNetsResult(spec.units, found, spec.max_steps)


def _estimate(values: Sequence[float], bound: bool, back) -> Estimate:
    mean, half = float(np.mean(values)), float(half_width(values))
    return Estimate(*(float(back(x)) for x in (mean, mean - half, mean + half)), len(values), bound)


def claim_speedups(seeds: tuple[int, ...] = (0, 1, 2, 3, 4), max_steps: int = 200) -> dict[str, Estimate]:
    """Return what tries claim (C): how much later than the isometric network each ReLU network reaches accuracy .3.

    The quick tier's networks and step sizes, a larger budget and more seeds. About 30 s on one core.
    """
    rows = [row for row in tiers["quick"].plan if row[0] == "tanh1.05-orthogonal" or row[0].startswith("relu")]
    spec = replace(tiers["quick"], plan=rows, seeds=seeds, max_steps=max_steps, stop_at=0.3, jacobian_images=0)
    result = run(spec)
    return {row[0]: result.speedup(0.3, "tanh1.05-orthogonal", row[0]) for row in rows[1:]}
