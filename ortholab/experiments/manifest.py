"""The manifest's facts: which code, libraries, machine and data a result comes from."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import ortholab
from ortholab.errors import ArgumentError

LIBRARIES = ("numpy", "scipy", "torch")


def versions() -> dict[str, str]:
    """Return the versions of Python, of this library and of those that it computes with.

    >>> sorted(versions())
    ['numpy', 'ortholab', 'python', 'scipy', 'torch']
    """
    found = {"python": platform.python_version(), "ortholab": ortholab.__version__}
    return found | {name: metadata.version(name) for name in LIBRARIES}


def commit() -> str | None:
    """Return the commit of the checkout that this library runs from, with "+" where files were changed since.

    None where it is not a checkout (an installed package).
    """
    here = Path(ortholab.__file__).resolve()

    def git(*words: str) -> str:
        command = ["git", "-C", str(here.parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # not the checkout of something around an installed package
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(here.parent))
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def seeds(spec: object) -> list[int]:
    """Return the different seeds of a specification's units, sorted."""
    return sorted({unit.seed for unit in spec.units if hasattr(unit, "seed")})


def data_record(datasets: object) -> list[dict[str, str]]:
    """Return name, split, source and SHA-256 of the data sets that a trial names.

    >>> from ortholab import data
    >>> data_record([data.digits(10)])[0]["name"]
    'digits'
    """
    keys = ("name", "split", "source", "sha256")
    try:
        return [{key: str(getattr(one, key)) for key in keys} for one in datasets]
    except (TypeError, AttributeError):
        raise ArgumentError(f"a trial's datasets must be data sets of ortholab.data; got {datasets!r:.80}") from None


def resolve_device(device: str) -> str:
    """Return the torch device that is meant by cpu, cuda, mps or auto; ArgumentError where it is not on this machine.

    >>> resolve_device("cpu")
    'cpu'
    """
    kind, _, number = str(device).partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise ArgumentError(f"device must be 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'; got {device!r}")
    if kind == "cpu":
        return "cpu"  # torch need not be loaded for that
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        return next((name for name, yes in there.items() if yes), "cpu")
    if not there[kind] or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise ArgumentError(f"device {device!r} is not on this machine: take 'auto' or 'cpu'")
    return device


def describe_python() -> str:
    """Return the system's name, for the manifest."""
    return f"{platform.system()} {platform.machine()}, {sys.implementation.name}"
