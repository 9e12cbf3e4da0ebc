"""How much memory all processes of a room use together: the kernel limits each one, not their sum.

Note [Whose processes]. With namespaces they are those that share the room's numbering of processes; with a user of its
own, that user's; at the level "plain", those of the room's session, which a process can leave.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

PAGE = resource.getpagesize()


def members(pid: int, level: str) -> list[int]:
    """Return the process ids of a room, its own among them; empty where it has ended or the machine has no /proc.

    >>> os.getpid() in members(os.getpid(), "plain")
    True
    """
    key = {"namespaces": _namespace, "user": _user}.get(level, os.getsid)
    try:
        own = key(pid)
        found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    return [other for other in found if _is(key, other, own)]


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")


def _user(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


def _is(key, pid: int, own: object) -> bool:
    try:
        return key(pid) == own
    except OSError:  # it has ended
        return False


def used(pids: list[int], limit: float) -> int:
    """Return the bytes that processes use together; exactly only above ``limit``, where it takes milliseconds each.

    Below it, memory that a fork shares with its parent counts for both.
    """
    total = sum(_private(pid) for pid in pids)
    return total if total <= limit else sum(_share(pid) for pid in pids)


def _private(pid: int) -> int:
    """Return the resident bytes that belong to no file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
        return (int(resident) - int(shared)) * PAGE
    return 0


def _share(pid: int) -> int:
    """Return the process's part of its anonymous memory: a page that n processes share counts 1/n."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return _private(pid)
