"""What the engine asks of one unit of work: segments, a state that can be saved between them, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Trial(Protocol):
    """One unit being computed, segment by segment (an epoch, or a fixed number of steps).

    The engine saves the state after every segment, so one should last some seconds: much longer than writing the state.
    Divergence is an outcome, recorded in the metrics; an exception is a mistake in the code. A trial draws random
    numbers from its own generators only, whose states belong to its state. It may have an attribute ``datasets``, the
    :class:`ortholab.data.Dataset` objects that it uses: their names and hashes go to the manifest.

    >>> class Nothing:
    ...     def advance(self):
    ...         return True
    ...     def state_dict(self):
    ...         return {}
    ...     def load_state_dict(self, state):
    ...         assert state == {}
    ...     def metrics(self):
    ...         return {"accuracy": 0.1}
    ...     def progress(self):
    ...         return 1.0, 1.0
    >>> isinstance(Nothing(), Trial)
    True
    """

    def advance(self) -> bool:
        """Compute one segment; return True when the unit is finished."""

    def state_dict(self) -> dict:
        """Return all that is needed to go on bit for bit: tensors, arrays, numbers, strings, nested dicts and lists."""

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state that ``state_dict`` returned, perhaps in another process (tensors come on the CPU)."""

    def metrics(self) -> dict:
        """Return the result: lists, arrays, numbers, strings, bools by name.

        Two runs of a unit must give equal metrics, save those whose names begin with "seconds".
        """

    def progress(self) -> tuple[float, float]:
        """Return how much is done, and of how much: (done, total)."""


def train_here(
    units: Iterable, begin: Callable[[object], Trial], title: str, progress: bool = False
) -> tuple[dict, ...]:
    """Return the metrics of units trained one after another here, on one thread; ``progress`` shows a bar."""
    import torch
    from tqdm import tqdm

    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for unit in tqdm(units, disable=not progress, desc=title, unit="run"):
            trial = begin(unit)
            while not trial.advance():
                pass
            found.append(trial.metrics())
    finally:
        torch.set_num_threads(threads)
    return tuple(found)


class OneSegment:
    """A trial that is computed in one go by ``compute()``, which returns the metrics; for units of some seconds.

    >>> trial = OneSegment(lambda: {"accuracy": 0.5})
    >>> trial.progress(), trial.advance(), trial.progress(), trial.metrics()
    ((0, 1), True, (1, 1), {'accuracy': 0.5})
    """

    def __init__(self, compute: Callable[[], dict], datasets: tuple = ()) -> None:
        self.compute, self.datasets, self.found = compute, datasets, None

    def advance(self) -> bool:
        if self.found is None:
            self.found = self.compute()
        return True

    def state_dict(self) -> dict:
        return {"found": self.found}

    def load_state_dict(self, state: dict) -> None:
        self.found = state["found"]

    def metrics(self) -> dict:
        return self.found

    def progress(self) -> tuple[int, int]:
        return int(self.found is not None), 1
