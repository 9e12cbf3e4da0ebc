"""One unit, from its last checkpoint to its metrics: what runs in this process, in another, or on a cluster."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ortholab.errors import ArgumentError, DataError, OrtholabError, RunError, StoreError
from ortholab.experiments.encoding import plain
from ortholab.experiments.manifest import data_record
from ortholab.experiments.store import Store

_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
ASIDE = "move it away to begin this unit again"
PROGRESS_EVERY = 0.5  # seconds between two notes for the progress bars


@dataclass(frozen=True)
class Task:
    """A unit and all that a worker needs for it. ``token`` is the run's: a worker stops when the store has another."""

    name: str
    start: str
    spec: object
    unit: object
    specification_sha256: str
    folder: str
    device: str = "cpu"
    threads: int = 1
    token: str | None = None
    parent: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a unit: its metrics (as JSON can hold them), or the ``error`` that stopped it."""

    name: str
    metrics: dict | None = None
    seconds: float = 0.0
    segments: int = 0
    data: list = field(default_factory=list)
    error: str | None = None
    fatal: type[OrtholabError] | None = None  # the error that ends the whole run, not this unit alone
    trace: str = ""
    checkpoints: bool = True


class Stopped(Exception):
    """The run that asked for this unit is over."""


def load_object(name: str) -> object:
    """Return what a dotted name ``package.module:attribute`` names.

    >>> load_object("math:tau")
    6.283185307179586
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArgumentError(f"{name!r} can't be loaded: {error}") from None


def in_worker(task: Task) -> Outcome:
    """Compute a task in a process that a pool or a cluster has made for it: errors come back as values."""
    for name in _THREAD_SETTINGS:
        os.environ[name] = str(task.threads)  # read by numpy and torch when they are loaded
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's affair
    return compute(task, restore=False)  # other threads of this process may be at other units


def compute(task: Task, listen: Callable[[str, float, float], None] | None = None, *, restore: bool = True) -> Outcome:
    """Compute a task; an exception of its code becomes the outcome's error.

    ``listen(name, done, total)`` hears of progress; ``restore`` sets the numbers of threads back afterwards.
    """
    try:
        start = load_object(task.start)
        with limited_threads(task.threads, restore), repeatable(task.device):
            return _compute(task, start, listen)
    except Stopped:
        return Outcome(task.name, error="the run that asked for this unit is over", fatal=RunError)
    except StoreError as error:
        return Outcome(task.name, error=str(error), fatal=StoreError)
    except DataError as error:  # no unit will find its data
        return Outcome(task.name, error=str(error), fatal=RunError)
    except Exception as error:
        text = str(error) if isinstance(error, OrtholabError) else f"{type(error).__name__}: {error}"
        return Outcome(task.name, error=text, trace=traceback.format_exc())


def _compute(task: Task, start: Callable, listen: Callable[[str, float, float], None] | None) -> Outcome:
    store = Store.at(task.folder)
    shared = store.manifest_path.exists()  # a worker on a machine that does not see the store goes without checkpoints
    saved = store.read_checkpoint(task.name, task.specification_sha256) if shared else None
    if saved and saved["finished"]:
        return Outcome(task.name, saved["metrics"], saved["seconds"], saved["segments"], saved["data"])
    begun = time.perf_counter()
    trial = start(task.spec, task.unit, task.device)
    facts = {"name": task.name, "specification_sha256": task.specification_sha256}
    facts["data"] = data_record(getattr(trial, "datasets", ()))
    before, segments = 0.0, 0
    if saved:
        if saved["data"] != facts["data"]:
            raise StoreError(f"{store.checkpoint_path(task.name)} was made with other data ({saved['data']}): {ASIDE}")
        trial.load_state_dict(saved["state"])
        before, segments = saved["seconds"], saved["segments"]
        del saved
    note = _Notes(task, store if shared else None, listen)
    finished = False
    while not finished:
        note(trial)
        finished = trial.advance()
        segments += 1
        facts |= {"finished": finished, "segments": segments, "seconds": before + time.perf_counter() - begun}
        if shared:
            _check_wanted(task, store)
            if not finished:
                store.write_checkpoint(task.name, facts | {"state": trial.state_dict()})
    metrics = plain(trial.metrics())
    if shared and task.token is not None:  # it waits here until the coordinator has stored it
        store.write_checkpoint(task.name, facts | {"metrics": metrics})
    return Outcome(task.name, metrics, facts["seconds"], segments, facts["data"], checkpoints=shared)


class _Notes:
    """Tells how far a unit is, to a listener in this process or by a note in the store, twice a second at most."""

    def __init__(self, task: Task, store: Store | None, listen) -> None:
        self.name, self.store, self.listen, self.last = task.name, store, listen, -1e9

    def __call__(self, trial) -> None:
        if time.monotonic() - self.last < PROGRESS_EVERY:
            return
        self.last = time.monotonic()
        done, total = trial.progress()
        if self.listen is not None:
            self.listen(self.name, done, total)
        elif self.store is not None:
            self.store.write_progress(self.name, done, total)


def _check_wanted(task: Task, store: Store) -> None:
    """Stop a worker whose coordinator was killed or has stopped: another run may have the store by now."""
    if task.parent is not None and os.getppid() != task.parent:
        raise Stopped
    if task.token is not None and store.owner() != task.token:
        raise Stopped


@contextlib.contextmanager
def limited_threads(threads: int, restore: bool = True) -> Iterator[None]:
    """Let numpy, scipy and torch (where it is loaded) use this many threads, and restore their numbers afterwards."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    limits = threadpool_limits(threads)
    if torch:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if restore:
            limits.restore_original_limits()
            if torch:
                torch.set_num_threads(before)


@contextlib.contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Let CUDA use only algorithms that give the same bits each time (it warns where it has none), and set that back.

    On a CPU the same bits come from the same number of threads, and nothing is to be done.
    """
    if not device.startswith("cuda"):
        yield
        return
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when a process first uses it
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
