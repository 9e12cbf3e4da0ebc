"""What the runs of the geometry experiment say: the atlas's questions, and losses at equal seconds."""

from __future__ import annotations

import numpy as np

from ortholab.errors import bad, check_number
from ortholab.experiments.atlas_result import AtlasResult, run_with
from ortholab.experiments.estimate import half_width
from ortholab.experiments.geometry import WAYS, GeometrySpec, start
from ortholab.experiments.results import Results


def of(results: Results) -> AtlasResult:
    """Take the results that :func:`ortholab.experiments.load` read, with this experiment's table of ways."""
    return AtlasResult.of(results, WAYS)


def run(spec: GeometrySpec, device: str = "cpu", progress: bool = False) -> AtlasResult:
    """Train every unit of a specification here, on one thread. Raises ArgumentError.

    >>> spec = GeometrySpec(plan=[("SGD", 0.1), ("one step", 0.1)], depth=2, width=8, max_steps=3, seeds=(0,))
    >>> bool(run(spec).last("one step", "distance")[0] < 1e-3)
    True
    """
    return run_with(start, spec, device, progress)


def summarise(results: Results):
    """Return the table that ``ortholab show geometry`` prints."""
    return of(results).table()


def cost(result: AtlasResult, way: str, unit: str = "SGD") -> float:
    """Return how many times longer a step of a way takes than one of ``unit``: medians over runs of processor time."""
    return float(np.median(result.last(way, "seconds_median")) / np.median(result.last(unit, "seconds_median")))


def at_rate(result: AtlasResult, way: str, rate: float, metric: str = "final_loss") -> np.ndarray:
    """Return the last value of a metric for each seed, in their order, at a step size that need not be the best.

    Raises ArgumentError if the way was not run at that step size.
    """
    pairs = zip(result.units, result.metrics, strict=True)
    found = sorted((u.seed, np.ravel(m[metric])[-1]) for u, m in pairs if (u.way, u.rate) == (way, rate))
    if not found:
        raise bad("rate", rate, "a step size that was run: " + ", ".join(f"{r:g}" for r in result.rates(way)))
    return np.array([value for _, value in found], dtype=float)


def at_step(result: AtlasResult, way: str, step: float, metric: str = "loss") -> np.ndarray:
    """Return a metric of each seed at a step, between the steps that were measured on a straight line; (seeds,).

    ``loss`` is the mean over the batches since the measured step before, and is taken at the middle of them. Raises
    ArgumentError for a step outside the run.
    """
    values = []
    for found in result.runs(way):
        steps = np.array(found["steps"], dtype=float)
        check_number("step", step, low=0, high=float(steps[-1]))
        if metric == "loss":
            steps = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2])
        values.append(np.interp(step, steps, found[metric]))
    return np.array(values)


def at_equal_seconds(
    result: AtlasResult, way: str, other: str, metric: str = "loss", share: float = 1.0
) -> tuple[float, float, float]:
    """Return the mean of way - other over paired seeds and its 95 % t interval, both stopped at the same time.

    The time is ``share`` of what the one with the shorter steps takes for all of them; the other has made fewer. Raises
    ArgumentError for a share outside (0, 1].
    """
    share = check_number("share", share, low=0, high=1, open_low=True)
    costs = {name: cost(result, name) for name in (way, other)}
    last = min(found["steps"][-1] for name in costs for found in result.runs(name))
    time = share * last * min(costs.values())
    here, there = (at_step(result, name, time / costs[name], metric) for name in (way, other))
    mean, half = float(np.mean(here - there)), float(half_width(here - there))
    return mean, mean - half, mean + half
