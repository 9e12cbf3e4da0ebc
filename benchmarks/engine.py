"""What the engine costs beside the training itself, and how busy it keeps two processes.

Run: python benchmarks/engine.py      (two idle cores; about 5 minutes)

The units are networks of Figure 4 with 100 layers of width 200, in segments of 40 steps. Their own time (start,
segments, metrics) is taken inside the run, so that other work on the machine meets both sides of the ratio; all the
rest is the engine's: looking up the commit, locks, checkpoints of 16 MB put on the disk, results, manifest.
"""

from _compare import machine  # isort: skip  # first: it sets the threads

import os
import statistics
import tempfile
import time

from ortholab.experiments import Experiment, run
from ortholab.experiments.deep_nets import DeepNetsSpec
from ortholab.experiments.deep_trial import start as start_network

NETWORKS = (("tanh1.05-orthogonal", "sgd", (0.01,)), ("relu-gaussian", "sgd", (0.01,)))
tiers = {
    "quick": DeepNetsSpec(
        NETWORKS, depths=(100,), seeds=(0, 1), width=200, max_steps=80, segment=40, n_test=100, per_decade=4,
        jacobian_images=0,
    )
}  # fmt: skip
EXPERIMENT = Experiment("benchmark", "", "", tiers="engine:tiers", start="engine:start", data=("mnist",))
own = {"seconds": 0.0}


def start(spec, unit, device):
    """Start a unit whose ``advance`` and ``metrics`` note the time that they take."""
    begun = time.perf_counter()
    trial = start_network(spec, unit, device)
    for name in ("advance", "metrics"):
        setattr(trial, name, _timed(getattr(trial, name)))
    own["seconds"] += time.perf_counter() - begun
    return trial


def _timed(function):
    def call():
        begun = time.perf_counter()
        try:
            return function()
        finally:
            own["seconds"] += time.perf_counter() - begun

    return call


def sweep(jobs: int = 1, **settings) -> tuple[float, float]:
    """Run the units; return the seconds that it took, and the sum of those that the manifest has for the units."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        store = run("engine:EXPERIMENT", store=folder, jobs=jobs, settings=settings)
        seconds = time.perf_counter() - begun
        return seconds, sum(entry["seconds"] for entry in store.read_manifest()["units"].values())


def overhead(repeats: int = 5) -> None:
    """Print the time of a run over that of its units themselves."""
    ratios = []
    sweep(seeds=(0,))  # imports and data
    for _ in range(repeats):
        own["seconds"] = 0.0
        seconds, _ = sweep()
        ratios.append(seconds / own["seconds"])
    units = len(tiers["quick"].units)
    print(f"run / its units' own time: median {statistics.median(ratios):.4f}, all {[round(r, 4) for r in ratios]}")
    print(f"({units} units in one process, {own['seconds'] / units:.1f} s each)")


def throughput() -> None:
    """Print what two processes gain on 8 units; the ratio of times tells something on two idle cores only."""
    (one, _), (two, work) = (sweep(jobs, seeds=(0, 1, 2, 3), max_steps=240) for jobs in (1, 2))
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"8 units: one process {one:.0f} s, two {two:.0f} s: {one / two:.2f}x; units at work {work / two:.2f} of 2")
    print(f"(load {load:.1f} on {cores} cores{': others were at work' if load > cores + 0.5 else ''})")


def main() -> None:
    print(machine())
    overhead()
    throughput()


if __name__ == "__main__":
    import engine  # as the workers know it, and as the engine loads it

    engine.main()
