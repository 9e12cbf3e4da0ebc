"""Outside the rooms: send a submission's cells, then its tests, keep the time, and collect what happened."""

from __future__ import annotations

import array
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

from ortholab.course import wire
from ortholab.course.limits import Limits
from ortholab.course.shut import IDLE, PATIENCE, Shut
from ortholab.errors import RunError

# Fails in every honest room. A room in which it passes forges its answers.
CANARY = "from ortholab.check import CheckFailed\nraise CheckFailed({!r})"
KEPT = ("PATH", "LANG", "LC_ALL", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MPLBACKEND", "TZ")


@dataclass(frozen=True)
class Cell:
    """A piece of code to run: the student's, or a test; ``key`` names it in the answers.

    With ``names`` there is no code: the tests of a part stand here, and see these names as they are now.
    """

    key: str
    code: str = ""
    names: tuple[str, ...] = ()


@dataclass
class Job:
    """What a room has to do: the student's cells, then the tests, after the release's own definitions."""

    cells: list[Cell]
    tests: list[Cell]
    given: str = ""


@dataclass
class Outcome:
    """What came of it: an answer by cell and by test, notes, the level of isolation, seconds."""

    cells: dict[str, dict] = field(default_factory=dict)
    tests: dict[str, dict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    level: str = "none"
    seconds: float = 0.0

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)


class Warm:
    """The warm process, a context manager: it warms while the grader prepares.

    ``wall=False`` uses no namespaces, for tests of the other levels.
    """

    def __init__(self, wall: bool = True) -> None:
        self.wall, self.lock, self.count = wall, threading.Lock(), 0

    def __enter__(self) -> Warm:
        self.socket, theirs = socket.socketpair()
        environment = {k: v for k, v in os.environ.items() if k in KEPT or k in ("PYTHONPATH", "HOME", "MPLCONFIGDIR")}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.folder = tempfile.TemporaryDirectory(prefix="ortholab-grade-")
        self.environment = {k: v for k, v in environment.items() if k not in ("PYTHONPATH", "HOME", "MPLCONFIGDIR")}
        environment["IPYTHONDIR"] = self.folder.name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ortholab.course.warm", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            cwd=self.folder.name,
        )
        theirs.close()
        return self

    def _wait(self) -> None:
        """Wait until it is warm, the first time."""
        if self.count == 0:
            try:
                wire.receive(self.socket, 240)
            except (wire.Gone, wire.Late):
                raise RunError("the warm process did not start; its error stands above") from None

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()

    def open(self, limits: Limits) -> Shut:
        """Fork a room."""
        with self.lock:
            self._wait()
            self.count += 1
            room = Shut(limits)
            order = {"limits": limits.as_dict(), "grader": os.getpid(), "number": self.count, "wall": self.wall}
            wire.send(self.socket, order | {"folder": room.folder, "environment": self.environment})
            fds = array.array("i", [room.theirs.fileno(), room.output_end])
            self.socket.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        room.begin()
        return room


def run(warm: Warm, job: Job, limits: Limits) -> Outcome:
    """Run a submission: its cells in order, then its tests; whatever dies or hangs costs no more than itself.

    A cell that ends the whole room is left out, and a new room runs the rest again, at most three times.
    """
    outcome, start = Outcome(), None
    lost, spent = set(), 0.0
    for _ in range(4):
        room = warm.open(limits)
        outcome.level = room.level
        start = start or time.monotonic()  # from here: the first room waits for the warm process
        try:
            dead = _visit(room, job, limits, outcome, lost, _Budget(room, limits.whole, spent, start))
            spent += room.spent()
        finally:
            room.close()
        if room.overfull:
            outcome.note(f"its processes together used more than {limits.memory >> 20} MB of memory: ended")
        if dead is None:
            break
        lost.add(dead)
    for cell in job.tests:
        outcome.tests.setdefault(cell.key, {"status": "lost", "ename": "NotRun", "evalue": "time or memory ran out"})
    outcome.seconds = time.monotonic() - start
    return outcome


@dataclass(frozen=True)
class _Budget:
    """What is left of a submission's time, over all its rooms."""

    room: Shut
    whole: float
    spent: float
    start: float

    def left(self) -> float:
        return self.whole - max(self.spent + self.room.spent(), (time.monotonic() - self.start) / IDLE)


def _visit(room: Shut, job: Job, limits: Limits, outcome: Outcome, lost: set[str], budget: _Budget) -> str | None:
    """Run what is left in one room; return the key of the cell that killed it, or None when all is done."""
    for cell in [c for c in job.cells if c.key not in lost]:
        rest = budget.left()
        if rest <= 0:
            outcome.note(f"it took longer than {limits.whole:g} s in all: the rest was not run")
            return None
        order = {"op": "keep", "names": list(cell.names)} if cell.names else {"op": "cell", "code": cell.code}
        try:
            answer = room.ask(order, min(limits.cell, rest))
        except (wire.Gone, wire.Late, OSError) as gone:
            status = "timeout" if isinstance(gone, wire.Late) else "died"
            outcome.cells[cell.key] = {"status": status, "printed": room.printed()[0]}
            return cell.key
        if cell.names:
            continue
        text, count = room.printed()
        outcome.cells[cell.key] = answer | {"printed": text, "bytes": count}
    words = [f"canary {random.random()}" for _ in range(2)]
    canaries = {w: Cell(w, CANARY.format(w)) for w in words}
    rest = [c for c in job.tests if c.key not in outcome.tests]
    for test in sorted([*rest, *canaries.values()], key=lambda _: random.random()):
        left = budget.left()
        if left <= 0:
            outcome.note(f"it took longer than {limits.whole:g} s in all: the rest was not tested")
            return None
        answer = _test(room, test, job.given, min(limits.test, left))
        if test.key in canaries:
            if answer["status"] != "error" or answer.get("evalue") != f"{test.key}.":
                outcome.note("a test that must fail did not: the code interferes with the grading; look at it by hand")
        elif answer["status"] != "lost" or test.key in lost:
            outcome.tests[test.key] = answer
        if answer["status"] == "lost":
            return test.key  # the room is gone; a test gets a second chance in the next
    return None


def _test(room: Shut, test: Cell, given: str, seconds: float) -> dict:
    """Run one test in a child of the room: its text is sent when the child is ready, and to nobody else."""
    exit_code = random.randrange(10, 250)
    answer: dict = {"status": "died", "ename": "Died", "evalue": ""}
    try:
        wire.send(room.channel, {"op": "test", "seconds": seconds})
        message = wire.receive(room.channel, PATIENCE)
        if message.get("op") == "ready":
            wire.send(room.channel, {"code": test.code, "given": given})
            message = wire.receive(room.channel, IDLE * seconds + PATIENCE)
        if message.get("op") == "test":
            answer = message
            wire.send(room.channel, {"exit": exit_code})
            message = wire.receive(room.channel, PATIENCE)
        ended = message
    except (wire.Gone, wire.Late, OSError) as error:
        return {"status": "lost", "ename": "Died", "evalue": repr(error)}
    finally:
        text, count = room.printed()
    if ended.get("status") == "timeout":
        answer = {"status": "timeout", "ename": "TooSlow", "evalue": ""}
    elif answer["status"] == "ok" and ended.get("status") != exit_code:
        answer = {"status": "forged", "ename": "Forged", "evalue": "the test did not end as a test ends"}
    return answer | {"printed": text, "bytes": count}
