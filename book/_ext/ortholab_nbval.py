"""What nbval has run the build need not run again: ``--fill-cache FOLDER`` keeps each notebook that passed.

The notebooks then run as the build runs them, with stored values for widgets. nbval stays their judge. What it hears
from the kernel is also handed to nbclient, which the build runs them with, so that the outputs kept are the build's.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbval.plugin import IPyNbCell, IPyNbFile

from ortholab_explore import stored_values_only
from ortholab_runs import LONGEST, keep, library_hash, share_verdicts


class Run:
    """One notebook under nbval, and its outputs so far."""

    def __init__(self, file: IPyNbFile) -> None:
        self.file = file
        self.hash = library_hash()
        self.notebook = copy.deepcopy(file.nb)
        self.client = NotebookClient(self.notebook, record_timing=False)
        self.places = [i for i, cell in enumerate(self.notebook.cells) if cell.cell_type == "code"]
        self.passed: list[int] = []
        self.seconds = 0.0
        self.reason = ""  # why it can't be kept
        self.messages: list[dict] = []
        hear = file.get_kernel_message

        def listen(*arguments: object, **options: object) -> dict:
            message = hear(*arguments, **options)
            self.messages.append(message)
            return message

        file.get_kernel_message = listen

    def add(self, number: int) -> None:
        """Make the outputs of a code cell that has passed, from the messages since the last."""
        self.passed.append(number)
        place = self.places[number]
        cell = self.notebook.cells[place]
        cell.outputs = []
        self.client.clear_before_next_output = False  # as nbclient itself begins a cell
        asked = self.messages[-1]["parent_header"]["msg_id"]  # nbval stops listening when this cell's kernel is idle
        for message in (m for m in self.messages if m["parent_header"].get("msg_id") == asked):
            if message["msg_type"].startswith("comm"):
                self.reason = "a cell makes a widget, which needs a front end"
            elif message["msg_type"] == "error":
                self.reason = "a cell shows an exception"  # its words hold the cell's number, and nbval counts none
            if "execution_count" in message["content"]:
                message["content"]["execution_count"] = number + 1
            try:
                self.client.process_message(message, cell, place)
            except CellExecutionComplete:
                break
        self.messages.clear()

    def finish(self, caches: Path) -> str:
        """Keep the notebook if every cell has passed, in order; return why it could not be kept, if it could not."""
        if self.passed != list(range(len(self.places))):
            return ""  # more to come
        if library_hash() != self.hash:
            self.reason = "the library changed while it ran"
        if not self.reason:
            info = self.file.kernel.kc.kernel_info(reply=True, timeout=60)
            self.notebook.metadata["language_info"] = info["content"]["language_info"]
            keep(caches / self.hash, self.file.path, self.notebook, self.seconds)
        return self.reason


RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--fill-cache", metavar="FOLDER", help="keep each notebook that nbval has run and passed there")


def pytest_configure(config: pytest.Config) -> None:
    """Set what the build sets, before a kernel starts."""
    if config.getoption("--fill-cache"):
        stored_values_only()
        share_verdicts()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest notebook, so that no process is left alone with it (with ``--no-loadscope-reorder``)."""
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Listen while a cell runs. One that fails or is skipped raises here, and its notebook is never complete."""
    caches = item.config.getoption("--fill-cache")
    if not caches or not isinstance(item, IPyNbCell):
        return (yield)
    stash = item.parent.stash
    if RUN not in stash:
        stash[RUN] = Run(item.parent)
    run, began = stash[RUN], time.perf_counter()
    run.messages.clear()
    result = yield
    run.seconds += time.perf_counter() - began
    run.add(item.cell_num)
    if reason := run.finish(Path(caches).resolve()):
        item.warn(pytest.PytestWarning(f"{item.parent.path.name} is not kept for the build: {reason}"))
    return result
