"""Shut a process in: its own network, processes, mounts and user where the machine allows, limits everywhere.

Note [What each level keeps out]. ``namespaces``: the process sees a root of its own with Python, the system's libraries
and the package, all read-only, and an empty folder in memory; there is no network and no other process, so it can
neither read nor write the instructor's files or another submission. ``user``: an unprivileged user of its own; it can
read what everybody on the machine can read. ``plain``: limits only; it can read
and write what the grader's account can.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048  # in a user namespace a remount must repeat what the mount has locked
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
FIRST_UID = 200_000
HOME = "/home/student"
SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt/python", "/etc/ld.so.cache", "/etc/fonts"]
SYSTEM += ["/etc/localtime", "/etc/alternatives", "/etc/mime.types", "/nix/store"]
DEVICES = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/full"]


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    names = [None if t is None else os.fsencode(t) for t in (source, target, kind)]
    _done(_libc().mount(*names, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {target}")


def unshare() -> bool:
    """Leave the machine's namespaces for new ones; return False, and change nothing, where that is not allowed."""
    if not sys.platform.startswith("linux") or os.uname().machine not in PIVOT_ROOT:
        return False
    uid, gid = os.getuid(), os.getgid()
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    if uid == 0 and _libc().unshare(flags) == 0:
        return True
    if _libc().unshare(flags | NEWUSER) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return True


def visible() -> list[str]:
    """List the folders that a room shows, read-only: the system's, Python's, and of this project the package alone."""
    package = str(Path(__file__).resolve().parents[1])
    project = os.path.dirname(package)
    paths = [*SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, package, *sys.path]
    # A path that holds the project would show the sources of the assignments.
    paths = {os.path.realpath(p) if p not in SYSTEM else p for p in paths if os.path.isabs(p) and os.path.exists(p)}
    paths = {p for p in paths if p != "/" and not f"{project}/".startswith(f"{p}/")}
    return sorted(p for p in paths if not any(p.startswith(f"{q}/") for q in paths))


def new_root(base: str, disk: int) -> None:
    """Make ``base`` the root: read-only views of :func:`visible`, devices, and ``disk`` bytes in memory to write."""
    _mount("none", "/", None, REC | PRIVATE)
    _mount("room", base, "tmpfs", NOSUID | NODEV, f"size={disk},mode=755,nr_inodes=20000")
    for path in [*visible(), *DEVICES]:
        if os.path.islink(path):
            _parent(base + path)
            os.symlink(os.readlink(path), base + path)
        elif os.path.exists(path):
            _show(path, base + path)
    for name, mode in (("/tmp", 0o1777), ("/dev/shm", 0o1777), (HOME, 0o777), ("/proc", 0o755), ("/old", 0o700)):
        os.makedirs(base + name, exist_ok=True)
        os.chmod(base + name, mode)
    os.chdir(base)
    number = PIVOT_ROOT[os.uname().machine]
    _done(_libc().syscall(number, os.fsencode("."), os.fsencode("old")), "pivot_root")
    os.chdir("/")
    _done(_libc().umount2(b"/old", 2), "umount")
    os.rmdir("/old")


def _parent(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)


def _show(path: str, at: str) -> None:
    """Bind ``path`` read-only."""
    if os.path.isdir(path):
        os.makedirs(at, exist_ok=True)
    else:
        _parent(at)
        with open(at, "w"):
            pass
    _mount(path, at, None, BIND | REC)
    kept = os.statvfs(at).f_flag & KEPT_FLAGS
    device = path.startswith("/dev/")
    with contextlib.suppress(OSError) if device else contextlib.nullcontext():
        _mount("none", at, None, BIND | REMOUNT | RDONLY | NOSUID | kept)


def mount_proc() -> None:
    """Give the room its own /proc, where the machine allows it; without one, it has none."""
    with contextlib.suppress(OSError):
        _mount("proc", "/proc", "proc", NOSUID | NODEV | 8)


def limit(memory: int, file: int, processes: int, own_user: bool) -> None:
    """Set the limits that the kernel enforces: address space beyond today's, size of a file, processes of the user."""
    with contextlib.suppress(OSError, ValueError):  # not on macOS
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if own_user:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def own_uid(grader: int, number: int) -> int | None:
    """Return a user's number for room ``number`` of the process ``grader``: no account's, no other grader's.

    None unless this process is root and the machine lets it be that user (a rootless container may not).
    """
    if os.getuid() != 0:
        return None
    uid = FIRST_UID + (grader * 64 + number % 64) % 1_000_000
    return uid if _as_user(uid, lambda: True) else None


def reads_python(uid: int) -> bool:
    """Tell whether user ``uid`` can read this Python and the package: not if they lie in a closed home, say."""
    folders = [os.path.dirname(path) for path in (os.__file__, __file__)]
    return _as_user(uid, lambda: all(os.listdir(folder) for folder in folders))


def _as_user(uid: int, ask: Callable[[], bool]) -> bool:
    """Ask in a child that has become ``uid``."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os._exit(0 if ask() else 1)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends: a grader that is killed leaves no loop behind."""
    if sys.platform.startswith("linux"):
        _libc().prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL


def drop(uid: int | None) -> None:
    """Become user ``uid`` (None: stay), without capabilities, and without a way to regain any."""
    if uid is not None:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    if sys.platform.startswith("linux"):
        _libc().prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        _libc().capset(header, nothing)
