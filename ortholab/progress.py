"""What a run shows: bars with the time left on a terminal, plain lines elsewhere, JSON lines for scripts."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping

from ortholab.experiments.engine import Listener

LINE_EVERY = 30.0  # seconds between two plain lines about units that are under way
BARS = 8  # units shown at once, below the bar of the whole


@contextlib.contextmanager
def view(as_json: bool = False) -> Iterator[Listener]:
    """Yield the listener that suits the output."""
    if as_json:
        yield JsonLines()
    elif sys.stdout.isatty():
        bars = Bars()
        with bars.display:
            yield bars
    else:
        yield PlainLines()


class _Counting(Listener):
    """Counts units and estimates the time left from those of this run."""

    def begin(self, store, total: int, stored: int) -> None:
        self.total, self.stored, self.first, self.begun = total, stored, stored, time.monotonic()
        self.under_way: dict[str, float] = {}

    def progress(self, done: Mapping[str, tuple[float, float]]) -> None:
        for name, (part, whole) in done.items():
            self.under_way[name] = part / whole if whole else 0.0

    def unit(self, name: str, seconds: float, stored: int) -> None:
        self.under_way.pop(name, None)
        self.stored = stored

    def left(self) -> float | None:
        """Return the seconds left, None where nothing is known yet."""
        done = self.stored - self.first + sum(self.under_way.values())
        if done <= 0:
            return None
        return (time.monotonic() - self.begun) * (self.total - self.first - done) / done


class JsonLines(_Counting):
    """One JSON object a line: begin, unit, note."""

    def begin(self, store, total: int, stored: int) -> None:
        super().begin(store, total, stored)
        self.say(event="begin", folder=str(store.folder), units=total, stored=stored)

    def unit(self, name: str, seconds: float, stored: int) -> None:
        super().unit(name, seconds, stored)
        self.say(event="unit", unit=name, seconds=seconds, stored=stored, units=self.total, seconds_left=self.left())

    def note(self, text: str) -> None:
        self.say(event="note", text=text)

    def say(self, **words: object) -> None:
        print(json.dumps(words), flush=True)


class PlainLines(_Counting):
    """A line for each unit, and now and then one for those under way."""

    def begin(self, store, total: int, stored: int) -> None:
        super().begin(store, total, stored)
        self.spoken = time.monotonic()
        print(f"{store.folder}: {total} units, {stored} stored already", flush=True)

    def progress(self, done: Mapping[str, tuple[float, float]]) -> None:
        super().progress(done)
        if time.monotonic() - self.spoken > LINE_EVERY and self.under_way:
            self.spoken = time.monotonic()
            parts = ", ".join(f"{name} {100 * part:.0f} %" for name, part in self.under_way.items())
            print(f"under way: {parts}; {clock(self.left())}", flush=True)

    def unit(self, name: str, seconds: float, stored: int) -> None:
        super().unit(name, seconds, stored)
        self.spoken = time.monotonic()
        print(f"{stored}/{self.total} {name} {seconds:.1f} s; {clock(self.left())}", flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)


class Bars(_Counting):
    """Bars on a terminal: one of the whole with the time left, one for each unit under way."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}")
        self.display, self.bars, self.whole = Progress(*columns), {}, None

    def begin(self, store, total: int, stored: int) -> None:
        super().begin(store, total, stored)
        self.whole = self.display.add_task(str(store.folder), total=total, completed=stored, text=self.text())

    def progress(self, done: Mapping[str, tuple[float, float]]) -> None:
        super().progress(done)
        for name, part in self.under_way.items():
            if name not in self.bars and len(self.bars) < BARS:
                self.bars[name] = self.display.add_task(f"  {name}", total=1.0, text="")
            if name in self.bars:
                self.display.update(self.bars[name], completed=part, text=f"{100 * part:.0f} %")
        self.redraw()

    def unit(self, name: str, seconds: float, stored: int) -> None:
        super().unit(name, seconds, stored)
        if name in self.bars:
            self.display.remove_task(self.bars.pop(name))
        self.redraw()

    def note(self, text: str) -> None:
        self.display.console.print(text, markup=False)

    def redraw(self) -> None:
        done = self.stored + sum(self.under_way.values())
        self.display.update(self.whole, completed=done, text=self.text())

    def text(self) -> str:
        return f"{self.stored}/{self.total} units, {clock(self.left())}"


def clock(seconds: float | None) -> str:
    """Say how long it will take.

    >>> clock(8000), clock(65), clock(None)
    ('2 h 13 min left', '1 min 05 s left', 'time left not known yet')
    """
    if seconds is None:
        return "time left not known yet"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min {rest:02d} s left"
