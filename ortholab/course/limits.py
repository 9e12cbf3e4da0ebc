"""What a submission may use: time, memory, files, processes, output. One dataclass, in seconds and bytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

MB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one submission.

    ``cell``, ``test``: seconds of processor time for each of the student's cells and for each test; ``whole``: for
    everything; by the clock four times as long, for code that waits. ``memory``: address space beyond what the warm
    process has already mapped. ``file``: one file; ``disk``: all of them (with namespaces). ``processes``: at once
    (with a user of its own). ``output``: what is kept of a cell's text.

    >>> Limits(cell=5).cell
    5
    """

    cell: float = 30.0
    test: float = 30.0
    whole: float = 120.0
    memory: int = 3072 * MB
    file: int = 64 * MB
    disk: int = 128 * MB
    processes: int = 64
    output: int = 20_000

    def as_dict(self) -> dict:
        """Return the limits as a dictionary of numbers, for the wire."""
        return asdict(self)
