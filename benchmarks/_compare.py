"""Ratios of running times, taken side by side: one process, one thread, runs interleaved, medians."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # read when numpy is imported: import this module first


def machine() -> str:
    """One line on what the numbers come from: processor, Python, numpy, torch, threads."""
    import numpy
    import torch

    torch.set_num_threads(1)
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as info:
            model = next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return (
        f"{model}; Python {platform.python_version()}, numpy {numpy.__version__}, torch {torch.__version__}; 1 thread"
    )


def medians(
    functions: dict[str, Callable[[], object]], repeats: int = 7, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each function. They take turns, so that a slow spell of the machine meets all of them.

    ``clock``: time.process_time counts what the processor spent, where other work shares it.
    """
    for function in functions.values():
        function()  # warm-up: caches, lazy imports
    times = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = clock()
            function()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def row(label: str, seconds: dict[str, float], ours: str) -> str:
    """A line of the table: milliseconds of each, and how many times longer than ours the others take."""
    cells = [f"{name} {1e3 * value:.2f} ms" for name, value in seconds.items()]
    ratios = [f"{value / seconds[ours]:.1f}x {name}" for name, value in seconds.items() if name != ours]
    return f"{label:28s} {' | '.join(cells)}   ratios: {', '.join(ratios)}"
