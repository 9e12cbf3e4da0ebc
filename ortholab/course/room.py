"""Inside the room: run a student's cells in one IPython shell, then each test in a forked child of its own.

Note [Where the tests are]. While the student's cells run, no test is anywhere in this process or in a file that it can
see. Afterwards each test comes over the wire to a freshly forked child, which puts back what was patched, runs the text
in a namespace of its own, answers, and ends. A test sees what the student's cells defined, and leaves no trace for the
next one; if it hangs or dies, only the child is lost. What remains possible: the student's function is called by the
test, in the same process, and could look up the stack to read it or forge an answer, but has nowhere to send the text
other than the message of its own failure, from which :mod:`ortholab.course.driver` strikes lines of the tests.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from ortholab.course import wire

RICH = 2_000_000
TEXT = 2_000


class OutOfTime(BaseException):
    """The alarm of a test."""


class Room:
    """One submission's shell and its channel to the grader."""

    def __init__(self, channel: socket.socket, shell: Any, snapshot: Any, hooked: Any, own_processes: bool) -> None:
        self.channel, self.shell, self.snapshot, self.hooked = channel, shell, snapshot, hooked
        self.own_processes, self.pid = own_processes, os.getpid()
        self.builtins = dict(vars(builtins))
        self.kept: dict[str, Any] = {}

    def serve(self) -> None:
        """Answer the grader's messages until it goes."""
        send, receive = wire.send, wire.receive  # as they are now, before any student's code
        actions = {"cell": self.cell, "keep": self.keep, "test": self.test}
        while True:
            try:
                message = receive(self.channel, None)
                send(self.channel, actions[message["op"]](message))
            except wire.Gone:
                return
            except KeyboardInterrupt:  # it came too late: the cell was done
                continue

    def cell(self, message: dict) -> dict:
        """Run one of the student's cells; tell how it ended and what it showed."""
        shown: list[dict] = []
        self.shell.outputs = shown
        try:
            result = self.shell.run_cell(message["code"], store_history=True)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as caught:  # from IPython itself, or an interrupt between two of its steps
            error = caught
        self._only(self.pid)
        _flush()
        late = isinstance(error, KeyboardInterrupt)
        answer = {"op": "cell", "status": "timeout" if late else "error" if error else "ok", "shown": _fit(shown)}
        return answer | (_error(error) if error else {})

    def keep(self, message: dict) -> dict:
        """Remember the names of a part as they are where its tests stand: a later part may use a name again."""
        self.kept |= {name: self.shell.user_ns[name] for name in message["names"] if name in self.shell.user_ns}
        return {"op": "kept"}

    def test(self, message: dict) -> dict:
        """Fork a child that runs one test, and see that it ends in time."""
        self._alone()
        child = os.fork()
        if child == 0:
            try:
                self._child(message["seconds"])
            finally:
                os._exit(1)
        end = time.monotonic() + 4 * message["seconds"] + 5
        while time.monotonic() < end:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return {"op": "ended", "status": os.waitstatus_to_exitcode(status)}
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return {"op": "ended", "status": "timeout"}

    @staticmethod
    def _only(pid: int) -> None:
        """End a copy of this process that the student's code has forked and let run on: it must not answer too."""
        if os.getpid() != pid:
            os._exit(0)

    def _alone(self) -> None:
        """End whatever the student's code has started; at the level "plain" it is left, as others run beside it."""
        if self.own_processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)

    def _child(self, seconds: float) -> None:
        changed = self._clean()
        wire.send(self.channel, {"op": "ready"})
        order = wire.receive(self.channel, 10)
        space = self._space(order.pop("given"))
        code = compile(order.pop("code"), "<test>", "exec")  # no frame holds the text
        signal.signal(signal.SIGPROF, _ring)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # processor time, see Note [Which seconds] in the driver
        pid = os.getpid()
        error = _run(code, space)
        self._only(pid)
        signal.setitimer(signal.ITIMER_PROF, 0)
        meanwhile = self.snapshot.restore()  # a function that the test called may patch what judges it
        answer = {"op": "test", "status": "ok", "changed": changed + meanwhile}
        if error is not None:
            answer |= {"status": "timeout" if isinstance(error, OutOfTime) else "error"} | _error(error)
        elif meanwhile:
            answer |= {"status": "forged"}
        wire.send(self.channel, answer)
        os._exit(wire.receive(self.channel, 10)["exit"])

    def _clean(self) -> list[str]:
        """Undo what the student's code may have done to the interpreter; return the names of what it changed."""
        sys.settrace(None)
        sys.setprofile(None)
        threading.settrace(None)
        gc.callbacks.clear()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        changed = self.snapshot.restore()
        vars(builtins).update(self.builtins)
        return changed + (["sys.addaudithook"] if self.hooked() else [])

    def _space(self, given: str) -> dict:
        """Return the names that a test sees: the student's, with no builtin shadowed, and what the release gives."""
        shadowed = self.builtins.keys() - {"__name__", "__doc__", "__loader__", "__spec__", "__package__", "_"}
        space = {name: value for name, value in (self.shell.user_ns | self.kept).items() if name not in shadowed}
        space |= {"__builtins__": builtins, "__name__": "__main__"}
        exec(compile(given, "<given>", "exec"), space)
        return space


def _run(code: Any, space: dict) -> BaseException | None:
    try:
        exec(code, space)
    except BaseException as error:
        return error
    return None


def _ring(number: int, frame: Any) -> None:
    raise OutOfTime


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue


def _error(error: BaseException) -> dict:
    """Return what a message needs of an exception; its own methods are the student's and may fail."""
    try:
        text = str(error)[:TEXT]
    except BaseException:
        text = ""
    found: dict = {"ename": type(error).__name__, "evalue": text}
    from ortholab.check import CheckFailed

    if isinstance(error, CheckFailed):
        found["check"] = {k: str(getattr(error, k, ""))[:TEXT] for k in ("property", "on", "suggests")}
    if isinstance(error, NameError):
        found["missing"] = str(error.name or "")
    if isinstance(error, SyntaxError):
        found["line"] = error.lineno or 0
    return found


def _fit(shown: list[dict]) -> list[dict]:
    """Keep what was shown (pictures, tables) while it is small enough."""
    kept, size = [], 0
    for output in shown:
        size += sum(len(str(v)) for v in output["data"].values())
        if size > RICH:
            break
        kept.append(output)
    return kept
