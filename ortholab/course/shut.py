"""The grader's side of one room: what it prints, what it answers, the time and the memory that it takes."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

from ortholab.course import memory, wire
from ortholab.course.limits import Limits
from ortholab.errors import RunError

PATIENCE = 90.0  # seconds for what takes a moment, on a machine that is busy with other things
# Note [Which seconds]. Limits count processor time, so that a busy machine costs nobody a mark; a process that waits
# instead of working gets IDLE times as long by the clock.
IDLE = 4
LOOK = 0.25  # seconds between two looks at the memory of a room


class Shut:
    """The grader's side of one room."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.pid, self.level = limits, 0, "none"
        self.folder = tempfile.mkdtemp(prefix="ortholab-room-")
        self.channel, self.theirs = socket.socketpair()
        self.output, self.output_end = os.pipe()
        self.text, self.count, self.lock = bytearray(), 0, threading.Lock()
        self.overfull, self.closed = False, threading.Event()
        self.guard: threading.Thread | None = None

    def begin(self) -> None:
        """Wait until the room is open; raise RunError if it can't be."""
        self.theirs.close()
        os.close(self.output_end)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            for _ in range(2):  # the launcher's message and the room's own, in any order
                message = wire.receive(self.channel, PATIENCE)
                self.pid, self.level = message.get("pid", self.pid), message.get("level", self.level)
                if message["op"] == "failed":
                    raise RunError(f"a room could not be shut: {message['why']}")
        except (wire.Gone, wire.Late):
            raise RunError("a room did not open") from None
        self.guard = threading.Thread(target=self._watch, daemon=True)
        self.guard.start()

    def _watch(self) -> None:
        """End what a room has started, or the room, while all its processes together use more than one may."""
        most = memory.used([self.pid], 0) + 1.1 * self.limits.memory  # a single process meets its own limit before
        while not self.closed.wait(LOOK):
            if memory.used(members := memory.members(self.pid, self.level), most) > most:
                self.overfull = True
                for pid in [m for m in members if m != self.pid] or members:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)

    def _read(self) -> None:
        """Take what the room prints, keep its beginning, and count the rest: a flood never fills the memory."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            while True:
                data = os.read(self.output, 1 << 16)
                if not data:
                    os.close(self.output)
                    return
                with self.lock:
                    self.count += len(data)
                    self.text += data[: max(0, self.limits.output - len(self.text))]

    def printed(self) -> tuple[str, int]:
        """Return what was printed since the last call, cut, and the number of bytes that it was."""
        time.sleep(0.002)
        with self.lock:
            text, count = self.text.decode(errors="replace"), self.count
            self.text, self.count = bytearray(), 0
        return text, count

    def ask(self, message: dict, seconds: float) -> dict:
        """Send a message and return the answer; after ``seconds`` interrupt the room, and after three more give up."""
        wire.send(self.channel, message)
        begin, wall = self.spent(), time.monotonic()
        while not select.select([self.channel], [], [], 0.2)[0]:
            if max(self.spent() - begin, (time.monotonic() - wall) / IDLE) > seconds:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGINT)
                return wire.receive(self.channel, 3)
        return wire.receive(self.channel, PATIENCE)

    def spent(self) -> float:
        """Return the processor time of the room so far, ended children included."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End everything in the room; with namespaces, whatever it started dies with it."""
        self.closed.set()
        if self.guard is not None:
            self.guard.join(5)  # or it might name processes by numbers that others have by now
        for pid, send in ((self.pid, os.kill), (_session(self.pid), os.killpg)):
            if pid > 1:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    send(pid, signal.SIGKILL)
        self.channel.close()
        self.reader.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)


def _session(pid: int) -> int:
    """Return the process group that the launcher leads, or 0 when it has ended or is this process's own."""
    try:
        group = os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return 0
    return 0 if group == os.getpgrp() else group
