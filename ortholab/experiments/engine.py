"""The engine: run every unit of a specification that is not stored yet, and store each as it comes."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ortholab.errors import ArgumentError, RunError, StoreError, check_choice, check_int, check_number
from ortholab.experiments import backends, manifest
from ortholab.experiments.encoding import digest
from ortholab.experiments.registry import Experiment, find
from ortholab.experiments.specification import adjust, describe, spec_digest, unit_names
from ortholab.experiments.store import Store
from ortholab.experiments.worker import Outcome, Task

MANIFEST_EVERY = 2.0  # seconds between two writings of the manifest while units come in


class Listener:
    """What a run tells while it goes on; this one is silent."""

    def begin(self, store: Store, total: int, stored: int) -> None: ...

    def progress(self, done: Mapping[str, tuple[float, float]]) -> None: ...

    def unit(self, name: str, seconds: float, stored: int) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True)
class Plan:
    """An experiment's specification with its name in the store: ``label`` is the tier, with a hash for changed ones."""

    experiment: Experiment
    tier: str
    spec: object
    label: str
    sha256: str

    @classmethod
    def make(cls, name: str | Experiment, tier: str = "quick", seeds: int | None = None, settings=None) -> Plan:
        """Look the experiment and the tier up and apply seeds and settings. Raises ArgumentError.

        >>> Plan.make("linear_depth").label, Plan.make("linear_depth", seeds=2).label
        ('quick', 'quick-...')
        """
        experiment = find(name)
        base = experiment.spec(tier)
        spec = adjust(base, seeds, settings)
        known = spec_digest(experiment.name, spec)
        label = tier if known == spec_digest(experiment.name, base) else f"{tier}-{known[:8]}"
        return cls(experiment, tier, spec, label, known)

    def store(self, root: str | Path) -> Store:
        return Store(root, self.experiment.name, self.label)


def run(
    name: str | Experiment,
    tier: str = "quick",
    *,
    store: str | Path = "runs",
    device: str = "cpu",
    jobs: int = 1,
    seeds: int | None = None,
    settings: Mapping[str, object] | None = None,
    backend: str = "processes",
    address: str | None = None,
    gpus: float = 0,
    threads: int = 1,
    listener: Listener | None = None,
) -> Store:
    """Run what is missing of an experiment's tier and return its store, which :func:`results.load` reads.

    Stored units are checked and kept, unfinished ones go on from their last segment. ``jobs`` processes, each with
    ``threads`` threads (1 job: this process), or the cluster that ``backend`` ("dask", "ray") and ``address`` name.
    ``seeds`` and ``settings`` change the specification (:func:`specification.adjust`); what they give is stored apart.
    Equal specification, device kind, threads and versions give equal metrics, however the run was cut up.
    Raises ArgumentError, StoreError (damaged, in use, not writable, disk full, another specification: nothing is
    changed) and RunError (units that failed, dead workers, no cluster). Ctrl-C leaves a store that can go on.

    >>> import tempfile
    >>> small = {"depths": (2,), "starts": ("orthogonal",), "width": 10}
    >>> store = run("linear_depth", seeds=1, settings=small, store=tempfile.mkdtemp())
    >>> len(store.result_names())
    1
    """
    jobs, threads = check_int("jobs", jobs, 1), check_int("threads", threads, 1)
    gpus = check_number("gpus", gpus, low=0)
    check_choice("backend", backend, backends.BACKENDS)
    plan = Plan.make(name, tier, seeds, settings)
    if backend == "processes":
        if address is not None or gpus:
            raise ArgumentError("address and gpus are for the backends 'dask' and 'ray'")
        device = manifest.resolve_device(device)
    elif device == "auto":  # this machine's devices say nothing about the cluster's
        device = "cuda" if gpus else "cpu"
    target = plan.store(store)
    target.make()
    with target.locked() as token:
        sweep = _Sweep(plan, target, device, threads, listener or Listener())
        how = {"backend": backend if jobs > 1 or backend != "processes" else "serial", "jobs": jobs}
        sweep.go(how, token, address, gpus)
    return target


class _Sweep:
    """One call of :func:`run`, on a store that it holds."""

    def __init__(self, plan: Plan, store: Store, device: str, threads: int, listener: Listener) -> None:
        self.plan, self.store, self.listener = plan, store, listener
        self.device, self.threads = device, threads
        self.units = unit_names(plan.spec)
        self.manifest = store.read_manifest() or self._fresh()
        self._check_same()
        self.failed: list[Outcome] = []
        self.written = time.monotonic()

    def _fresh(self) -> dict:
        return {
            "experiment": self.plan.experiment.name,
            "tier": self.plan.tier,
            "specification": describe(self.plan.spec),
            "specification_sha256": self.plan.sha256,
            "seeds": manifest.seeds(self.plan.spec),
            "device": self.device,
            "threads": self.threads,
            "data": [],
            "runs": [],
            "total": len(self.units),
            "units": {},
            "complete": False,
        }

    def _check_same(self) -> None:
        """Refuse a store of another specification, device or number of threads: its results would not be comparable."""
        folder = self.store.folder
        if self.manifest["specification_sha256"] != self.plan.sha256:
            there = difference(self.manifest["specification"], describe(self.plan.spec))
            raise StoreError(
                f"{folder} holds results of another specification ({there}): nothing was changed; move that folder "
                f"away, or name another --store"
            )
        for key, ours in (("device", self.device), ("threads", self.threads)):
            if self.manifest[key] != ours and (self.manifest["units"] or self.store.result_names()):
                raise StoreError(
                    f"{folder} was begun with {key} {self.manifest[key]!r}, this run has {ours!r}: take the same, or "
                    f"name another --store"
                )
            self.manifest[key] = ours

    def go(self, how: dict, token: str, address: str | None, gpus: float) -> None:
        for name in self.units:  # what is there must be whole before more is added
            if self.store.has_result(name):
                entry = self.manifest["units"].get(name, {})
                record, known = self.store.read_result(name, self.plan.sha256, entry.get("sha256"))
                self._enter(name, record, known)
            elif name in self.manifest["units"]:
                raise StoreError(
                    f"{self.store.result_path(name)} is missing although the manifest names it: put it back, or move "
                    f"the whole folder away"
                )
        missing = [name for name in self.units if name not in self.manifest["units"]]
        if missing:
            self._open_run(how)  # before anything is said of the run: who hears of it finds its manifest
        self.listener.begin(self.store, len(self.units), len(self.units) - len(missing))
        if not missing:
            if not self.manifest["complete"]:
                self._finish(0.0)
            return
        begun = time.monotonic()
        tasks = [self._task(name, how["backend"], token) for name in missing]
        outcomes = self._outcomes(how, tasks, address, gpus)
        try:
            with contextlib.closing(outcomes), self._watch(how):
                for outcome in outcomes:
                    self._take(outcome)
        finally:
            self._finish(time.monotonic() - begun)
        if self.failed:
            order = [*self.units]  # of the specification: which worker failed first is chance
            first = min(self.failed, key=lambda outcome: order.index(outcome.name))
            raise RunError(
                f"{len(self.failed)} of {len(self.units)} units failed, the others are stored; first {first.name}: "
                f"{first.error} (traceback beside the results)"
            )

    def _open_run(self, how: dict) -> None:
        facts = {"commit": manifest.commit(), "versions": manifest.versions(), "system": manifest.describe_python()}
        self.manifest["runs"].append(
            {"started": manifest.now(), "processor": manifest.processor(), "seconds": 0.0, **facts, **how}
        )
        self.store.write_manifest(self.manifest)

    def _task(self, name: str, backend: str, token: str) -> Task:
        return Task(
            name=name,
            start=self.plan.experiment.start,
            spec=self.plan.spec,
            unit=self.units[name],
            specification_sha256=self.plan.sha256,
            folder=str(self.store.folder.resolve()),
            device=self.device,
            threads=self.threads,
            token=None if backend == "serial" else token,
            parent=os.getpid() if backend == "processes" else None,
        )

    def _outcomes(self, how: dict, tasks: list[Task], address: str | None, gpus: float) -> Iterator[Outcome]:
        match how["backend"]:
            case "serial":
                return backends.serial(tasks, lambda name, done, total: self.listener.progress({name: (done, total)}))
            case "processes":
                return backends.processes(tasks, how["jobs"])
            case "dask":
                return backends.dask(tasks, address)
            case _:
                return backends.ray(tasks, address, how["jobs"], gpus)

    @contextlib.contextmanager
    def _watch(self, how: dict) -> Iterator[None]:
        """Tell the listener how far the units are that other processes compute."""
        if how["backend"] == "serial":
            yield
            return
        over = threading.Event()

        def look() -> None:
            while not over.wait(1.0):
                self.listener.progress(self.store.read_progress())

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _take(self, outcome: Outcome) -> None:
        """Store what came of a unit. What is fatal stops the run; a failed unit waits until the others are done."""
        if outcome.fatal:
            raise outcome.fatal(outcome.error)
        if outcome.error is not None:
            self.failed.append(outcome)
            with contextlib.suppress(OSError):
                (self.store.units / f"{outcome.name}.traceback").write_text(outcome.trace or outcome.error, "utf-8")
            self.listener.note(f"{outcome.name} failed: {outcome.error}")
            return
        if not outcome.checkpoints and not any(run.get("checkpoints") is False for run in self.manifest["runs"]):
            self.manifest["runs"][-1]["checkpoints"] = False
            self.listener.note("the workers don't see the store: a unit that is cut short begins again")
        record = {
            "name": outcome.name,
            "specification_sha256": self.plan.sha256,
            "unit": describe(self.units[outcome.name]),
            "metrics": outcome.metrics,
            "data": outcome.data,
            "seconds": round(outcome.seconds, 3),
            "segments": outcome.segments,
            "run": len(self.manifest["runs"]) - 1,
        }
        self._check_data(outcome.name, outcome.data)
        self._enter(outcome.name, record, self.store.write_result(outcome.name, record))
        self.listener.unit(outcome.name, outcome.seconds, len(self.manifest["units"]))
        if time.monotonic() - self.written > MANIFEST_EVERY:
            self.store.write_manifest(self.manifest)
            self.written = time.monotonic()

    def _check_data(self, name: str, data: list[dict]) -> None:
        """Refuse a unit whose data are not those of the others."""
        for one in data:
            for known in self.manifest["data"]:
                if (one["name"], one["split"]) == (known["name"], known["split"]) and one != known:
                    raise StoreError(
                        f"{name} used {one['name']} {one['split']} from {one['source']}, but the units stored in "
                        f"{self.store.folder} used it from {known['source']} (SHA-256 {known['sha256'][:12]})"
                    )

    def _enter(self, name: str, record: dict, known: str) -> None:
        self.manifest["units"][name] = {"sha256": known, "seconds": record["seconds"], "run": record["run"]}
        for one in record["data"]:
            if one not in self.manifest["data"]:
                self.manifest["data"].append(one)

    def _finish(self, seconds: float) -> None:
        if self.manifest["runs"]:
            self.manifest["runs"][-1]["seconds"] += round(seconds, 3)
        entries = self.manifest["units"]
        self.manifest["units"] = {name: entries[name] for name in self.units if name in entries}  # in their order
        self.manifest["complete"] = len(self.manifest["units"]) == len(self.units)
        self.store.write_manifest(self.manifest)


def difference(old: dict, new: dict, most: int = 3) -> str:
    """Say in which fields two descriptions of a specification differ.

    >>> difference({"width": 80, "depth": 4}, {"width": 100, "depth": 4})
    'width 80 there, 100 here'
    """
    keys = [k for k in sorted({*old, *new}) if digest(old.get(k)) != digest(new.get(k))]
    texts = [f"{k} {old.get(k)!r:.40} there, {new.get(k)!r:.40} here" for k in keys[:most]]
    return "; ".join(texts + (["..."] if len(keys) > most else [])) or "the experiment's name"
