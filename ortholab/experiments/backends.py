"""Where units run: in this process, in processes of this machine (joblib), on a Dask or on a Ray cluster.

Each is a generator of outcomes in the order in which they come. Closing it stops the work. All run the same function,
:func:`ortholab.experiments.worker.in_worker`, so their results are equal. A unit whose worker was killed is given to
another, which goes on from its checkpoint. On clusters the clients are used directly and not through joblib's own
backends: those can't be told to give up a unit, nor that a unit wants a GPU, nor do they survive a lost Ray worker.
"""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from ortholab.errors import RunError
from ortholab.experiments.worker import Outcome, Task, compute, in_worker

BACKENDS = ("processes", "dask", "ray")
DEATHS = 4  # of workers in a row, with no unit finished between them, until a run gives up
WAIT = 20  # seconds for a cluster to answer


def serial(tasks: Sequence[Task], listen: Callable[[str, float, float], None] | None = None) -> Iterator[Outcome]:
    """Compute one unit after the other in this process."""
    for task in tasks:
        yield compute(task, listen)


def processes(tasks: Sequence[Task], jobs: int) -> Iterator[Outcome]:
    """Compute in ``jobs`` processes of this machine, by joblib's loky. Raises RunError when they keep dying."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    pending = {task.name: task for task in tasks}
    deaths = 0
    with warnings.catch_warnings():
        # joblib warns of tasks that are given up; they are stored as checkpoints, and we say so
        warnings.filterwarnings("ignore", message=r"\d+ tasks", category=UserWarning, module=r"joblib\.parallel")
        try:
            while pending:
                pool = Parallel(jobs, backend="loky", batch_size=1, pre_dispatch=jobs, return_as="generator_unordered")
                try:
                    for outcome in pool(delayed(in_worker)(task) for task in list(pending.values())):
                        del pending[outcome.name]
                        deaths = 0
                        yield outcome
                except BrokenProcessPool:
                    deaths += 1
                    if deaths >= DEATHS:
                        raise RunError(_died(deaths)) from None
        finally:
            get_reusable_executor(max_workers=jobs).shutdown(wait=True, kill_workers=True)


def dask(tasks: Sequence[Task], address: str | None) -> Iterator[Outcome]:
    """Compute on the Dask cluster whose scheduler is at ``address``. Raises RunError."""
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise RunError(f"the Dask backend needs another package: pip install 'ortholab[dask]' ({error})") from None
    if address is None:
        raise RunError("the Dask backend needs the scheduler's address: --address tcp://HOST:PORT")
    _reach(address, "Dask scheduler")
    try:
        client = Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise RunError(f"no Dask scheduler answers at {address} ({type(error).__name__})") from None
    running = as_completed([], loop=client.loop)
    try:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError:
            raise RunError(f"the Dask scheduler at {address} has no workers: start some, then run it again") from None
        waiting, names = list(reversed(tasks)), {}

        def submit() -> None:
            task = waiting.pop()
            future = client.submit(in_worker, task, key=f"{task.name}-{task.token}", pure=False)
            names[future.key] = task.name
            running.add(future)

        for _ in range(min(len(waiting), 2 * sum(client.nthreads().values()))):
            submit()
        for future in running:
            name = names.pop(future.key)
            if future.status in ("cancelled", "lost"):
                raise RunError(f"the Dask scheduler at {address} went away: run it again when it is back")
            failure = future.exception() if future.status == "error" else None
            outcome = _cluster_failure(name, failure, KilledWorker) if failure else future.result()
            future.release()
            yield outcome
            if waiting:
                submit()
    finally:
        with contextlib.suppress(Exception):
            client.cancel([*running.futures], force=True)
        client.close(timeout=5)


def ray(tasks: Sequence[Task], address: str | None, jobs: int, gpus: float) -> Iterator[Outcome]:
    """Compute on a Ray cluster, or a local one of ``jobs`` workers; a unit asks for ``gpus``. Raises RunError."""
    try:
        import ray as client
    except ImportError as error:
        raise RunError(f"the Ray backend needs another package: pip install 'ortholab[ray]' ({error})") from None
    if address not in (None, "auto", "local"):
        _reach(address, "Ray head node")
    ours = not client.is_initialized()
    if ours:
        _start_ray(client, address, jobs)
    try:
        have = client.cluster_resources()
        if gpus and have.get("GPU", 0) < gpus:
            raise RunError(f"each unit asks for {gpus:g} GPU, but the Ray cluster has {have.get('GPU', 0):g}")
        remote = client.remote(in_worker).options(num_cpus=1, num_gpus=gpus, max_retries=DEATHS - 1)
        waiting, running = list(reversed(tasks)), {}
        while waiting or running:
            while waiting and len(running) < 2 * max(int(have.get("CPU", 1)), 1):
                task = waiting.pop()
                running[remote.remote(task)] = task.name
            done, _ = client.wait([*running], num_returns=1, timeout=1)  # short, so that Ctrl-C is heard
            for reference in done:
                name = running.pop(reference)
                try:
                    outcome = client.get(reference)
                except client.exceptions.RayError as error:
                    outcome = _cluster_failure(name, error, client.exceptions.WorkerCrashedError)
                yield outcome
    finally:
        with contextlib.suppress(Exception):
            for reference in running:
                client.cancel(reference, force=True)
        if ours:
            client.shutdown()


def _start_ray(client, address: str | None, jobs: int) -> None:
    """Connect to a Ray cluster, or start one of ``jobs`` workers here: twice if need be, a busy machine can be slow."""
    words = {"address": (address or "local").removeprefix("tcp://"), "log_to_driver": False, "logging_level": "error"}
    if words["address"] == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        words |= {"num_cpus": jobs, "include_dashboard": False, "object_store_memory": 200 * 2**20}
    for attempt in (1, 2):
        try:
            client.init(**words)
            return
        except Exception as error:  # Ray raises bare ones too
            client.shutdown()
            if attempt == 2 or words["address"] != "local":
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise RunError(f"no Ray answers at {words['address']} ({reason})") from None


def _cluster_failure(name: str, error: BaseException, killed: type) -> Outcome:
    """Make the outcome of a unit that the cluster itself could not run."""
    if isinstance(error, killed):
        return Outcome(name, error=_died(DEATHS))
    if isinstance(error, ImportError):
        return Outcome(
            name, error=f"the cluster's workers can't load it ({error}): install ortholab there too", fatal=RunError
        )
    return Outcome(name, error=f"{type(error).__name__}: {str(error).splitlines()[0]}", trace=str(error))


def _died(times: int) -> str:
    return f"workers died {times} times without finishing a unit (killed by the system, perhaps for want of memory?)"


def _reach(address: str, what: str) -> None:
    """Raise RunError unless something listens at the address."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = parts.hostname, parts.port
        if not host or not port:
            raise ValueError
    except ValueError:
        raise RunError(f"address must be like tcp://HOST:PORT; got {address!r}") from None
    try:
        socket.create_connection((host, port), timeout=WAIT).close()
    except OSError as error:
        raise RunError(f"no {what} at {address} ({error.strerror or error}): start it, or correct --address") from None
