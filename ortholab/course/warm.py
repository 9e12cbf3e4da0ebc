"""The warm process: it has imported what the assignments need, and forks a room for each submission.

Importing torch and the rest costs seconds; a fork costs milliseconds. It runs as ``python -m ortholab.course.warm FD``
and reads no source of an assignment, ever, so a room has nothing of them in its memory.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import signal
import socket
import sys
from typing import Any

from ortholab.course import isolate, wire

IMPORTS = """numpy scipy.linalg scipy.integrate scipy.optimize scipy.special scipy.stats pandas matplotlib.pyplot
matplotlib_inline.backend_inline torch torch.nn.functional ortholab.check ortholab.theory ortholab.nn ortholab.plot
ortholab.data ortholab.sequences ortholab.explore"""


def warm_up() -> None:
    """Import what the assignments import, and use a little of it."""
    import importlib

    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    for name in IMPORTS.split():
        importlib.import_module(name)
    import ortholab

    for name in ortholab.check.__all__:  # loads what loads lazily
        getattr(ortholab.check, name)


def make_shell() -> Any:
    """Make the IPython shell that every room starts from: no history, no colours, what is displayed goes to a list."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from matplotlib_inline.backend_inline import configure_inline_support

    class Publisher(DisplayPublisher):
        def publish(self, data: dict, metadata: dict | None = None, **_: Any) -> None:
            _keep(data)

    class Hook(DisplayHook):
        def write_format_data(self, format_dict: dict, md_dict: dict | None = None) -> None:
            _keep(format_dict)

        def write_output_prompt(self) -> None: ...

        def finish_displayhook(self) -> None: ...

    class Shell(InteractiveShell):
        outputs: Any = ()  # the list that a cell fills

        def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None: ...

        def enable_gui(self, gui: str | None = None) -> None: ...

    def _keep(data: dict) -> None:
        kept = {str(k): v for k, v in data.items() if isinstance(v, str)}
        if kept and isinstance(shell.outputs, list):
            shell.outputs.append({"data": kept})

    Shell.display_pub_class, Shell.displayhook_class = Publisher, Hook
    Shell.cache_size, Shell.history_load_length, Shell.colors = 0, 0, "nocolor"
    shell = Shell.instance()
    shell.history_manager.enabled = False
    shell.user_ns["__name__"] = "__main__"
    configure_inline_support(shell, "inline")
    return shell


def main(number: int) -> None:
    """Fork a room for every request on the socket ``number``, until it closes."""
    from ortholab.course import pristine

    isolate.die_with_parent()
    requests = socket.socket(fileno=number)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    warm_up()
    shell = make_shell()
    hooked, snapshot = pristine.watch_hooks(), pristine.Snapshot()
    gc.collect()
    gc.freeze()  # no collection in a room walks, and so copies, what it shares with this process
    wire.send(requests, {"op": "warm"})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            order = wire.receive(requests, None)
        except wire.Gone:
            return
        channels = _take_fds(requests, 2)
        if os.fork() == 0:
            with contextlib.suppress(BaseException):
                _launch(order, channels, requests, (shell, snapshot, hooked))
            os._exit(1)
        for fd in channels:
            os.close(fd)


def _take_fds(requests: socket.socket, count: int) -> list[int]:
    fds = array.array("i")
    _, ancillary, _, _ = requests.recvmsg(1, socket.CMSG_LEN(count * fds.itemsize))
    fds.frombytes(ancillary[0][2][: count * fds.itemsize])
    return list(fds)


def _launch(order: dict, channels: list[int], requests: socket.socket, parts: tuple) -> None:
    """Set up the walls, fork the room behind them, tell the grader its pid, and wait for it to end."""
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    isolate.die_with_parent()
    os.setsid()
    control = socket.socket(fileno=channels[0])
    uid = isolate.own_uid(order["grader"], order["number"])
    walls = order["wall"] and isolate.unshare()
    if uid is not None and not walls and not isolate.reads_python(uid):
        uid = None
    level = "namespaces" if walls else "plain" if uid is None else "user"
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _enter(order, level, uid, channels[1], control, parts)
        os._exit(3)
    wire.send(control, {"op": "room", "pid": child, "level": level})
    control.close()
    os.close(channels[1])
    os.waitpid(child, 0)
    os._exit(0)


def _enter(order: dict, level: str, uid: int | None, output: int, control: socket.socket, parts: tuple) -> None:
    from ortholab.course.room import Room

    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout, sys.stderr = (os.fdopen(s, "w", buffering=1, closefd=False, errors="replace") for s in (1, 2))
    limits, home = order["limits"], order["folder"]
    try:
        if level == "namespaces":
            isolate.new_root(order["folder"], limits["disk"])
            isolate.mount_proc()
            home = isolate.HOME
        elif uid is not None:
            os.chown(home, uid, uid)
        os.chdir(home)
        isolate.limit(limits["memory"], limits["file"], limits["processes"], uid is not None)
        isolate.drop(uid)
        isolate.die_with_parent()  # a change of user forgets it
    except OSError as error:
        wire.send(control, {"op": "failed", "why": str(error)})
        return
    os.environ.clear()
    os.environ.update(order["environment"] | {"HOME": home, "TMPDIR": home if level != "namespaces" else "/tmp"})
    os.closerange(3, control.fileno())
    os.closerange(control.fileno() + 1, 1024)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    room = Room(control, *parts, own_processes=level == "namespaces" or uid is not None)
    wire.send(control, {"op": "open"})
    room.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
