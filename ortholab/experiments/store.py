"""The store: one folder a specification, with a manifest, a file for each finished unit, and checkpoints of the others.

    STORE/NAME/TIER/manifest.json             what was run, by what, and the SHA-256 of each result
    STORE/NAME/TIER/units/UNIT.json           the result of one unit
    STORE/NAME/TIER/units/UNIT.checkpoint     how far an unfinished one has come (.npz)

A file gets its name only when it is whole and on the disk, so what has a name can be trusted; hashes show damage from
outside. One process at a time writes (a lock that ends with the process); any number may read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ortholab.errors import StoreError
from ortholab.experiments.encoding import dump, sha256, undump

FORMAT = 1


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a file that gets its name when it is whole and on the disk. Raises StoreError; no traces."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise StoreError(explain(path, error)) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk too (systems that can't open a folder keep names in their own way)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def explain(path: Path, error: OSError) -> str:
    """Say in one line why a file could not be written and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: {path} was not written; nothing stored before is lost. Free space and run it again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{path} can't be written ({error.strerror}): make its folder writable, or name another with --store"
    return f"{path} can't be written: {error.strerror or error}"


class Store:
    """The folder of one specification's results. Nothing is read or made until a method is called.

    >>> Store("runs", "fig3", "quick").folder.as_posix()
    'runs/fig3/quick'
    """

    def __init__(self, root: str | Path, name: str, label: str) -> None:
        self.folder = Path(root) / name / label
        self.units = self.folder / "units"
        self.manifest_path = self.folder / "manifest.json"

    @classmethod
    def at(cls, folder: str | Path) -> Store:
        """Return the store whose manifest lies in ``folder``."""
        folder = Path(folder)
        return cls(folder.parent.parent, folder.parent.name, folder.name)

    def make(self) -> None:
        """Make the folders. Raises StoreError."""
        try:
            self.units.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(explain(self.units, error)) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[str]:
        """Hold the store as its only writer; yields a token that others can ask for with :meth:`owner`.

        Raises StoreError at once where another process holds it. The lock ends with the process, however it ends.
        """
        from filelock import FileLock, Timeout

        owner, token = self.folder / ".owner", f"{os.getpid()}@{socket.gethostname()} {secrets.token_hex(8)}"
        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            who = (self.owner() or "unknown").split()[0]
            raise StoreError(
                f"{self.folder} is in use by another run (process {who}): wait for it, or name another --store"
            ) from None
        except (OSError, NotImplementedError) as error:
            raise StoreError(explain(self.folder / ".lock", OSError(*getattr(error, "args", ())))) from error
        try:
            for part in [*self.folder.glob(".*.part"), *self.units.glob(".*.part")]:
                part.unlink(missing_ok=True)  # left by a run that was killed while it wrote
            write_atomically(owner, lambda stream: stream.write(token.encode()))
            yield token
        finally:
            with contextlib.suppress(OSError):
                owner.unlink()
            lock.release()

    def owner(self) -> str | None:
        """Return the token of the run that holds the store, None where there is none."""
        try:
            return (self.folder / ".owner").read_text(encoding="utf-8")
        except OSError:
            return None

    def in_use(self) -> str | None:
        """Return the process that runs this store now, None where none does (an owner that was killed is none)."""
        from filelock import FileLock, Timeout

        owner = self.owner()
        if owner is None:
            return None
        try:
            FileLock(self.folder / ".lock", timeout=0).acquire().lock.release()
        except Timeout:
            return owner.split()[0]
        except OSError:
            pass
        return None

    # The manifest

    def read_manifest(self) -> dict | None:
        """Return the manifest, None where there is none. Raises StoreError where it is damaged."""
        if not self.manifest_path.exists():
            return None
        return _read_signed(self.manifest_path)[0]

    def write_manifest(self, manifest: dict) -> None:
        self._write_signed(self.manifest_path, manifest, indent=1)

    # Results

    def result_path(self, unit: str) -> Path:
        return self.units / f"{unit}.json"

    def has_result(self, unit: str) -> bool:
        return self.result_path(unit).exists()

    def write_result(self, unit: str, record: dict) -> str:
        """Store what a unit gave, drop its checkpoint, and return the file's SHA-256."""
        known = self._write_signed(self.result_path(unit), record)
        for suffix in (".checkpoint", ".progress"):
            with contextlib.suppress(OSError):
                (self.units / f"{unit}{suffix}").unlink()
        return known

    def read_result(self, unit: str, specification: str, expected: str | None = None) -> tuple[dict, str]:
        """Return a unit's record and its file's SHA-256. Raises StoreError where it is missing, damaged or foreign."""
        path = self.result_path(unit)
        record, known = _read_signed(path)
        if record.get("name") != unit or record.get("specification_sha256") != specification:
            raise StoreError(f"{path} belongs to another unit or specification: move it away and run it again")
        if expected is not None and known != expected:
            raise StoreError(f"{path} is not the file that the manifest names (its SHA-256 differs)")
        return record, known

    def result_names(self) -> set[str]:
        return {path.stem for path in self.units.glob("*.json")}

    # Checkpoints

    def checkpoint_path(self, unit: str) -> Path:
        return self.units / f"{unit}.checkpoint"

    def write_checkpoint(self, unit: str, content: dict) -> None:
        write_atomically(self.checkpoint_path(unit), lambda stream: dump(content, stream))

    def read_checkpoint(self, unit: str, specification: str) -> dict | None:
        """Return the last checkpoint of a unit, None where there is none. Raises StoreError where it is damaged."""
        path = self.checkpoint_path(unit)
        try:
            with open(path, "rb") as stream:
                content = undump(stream)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} is damaged, {error}: move it away to begin this unit again") from None
        if content.get("specification_sha256") != specification or content.get("name") != unit:
            raise StoreError(f"{path} belongs to another unit or specification: move it away to begin this unit again")
        return content

    # Progress: for the eye only, so neither synced nor checked

    def write_progress(self, unit: str, done: float, total: float) -> None:
        with contextlib.suppress(OSError):
            (self.units / f"{unit}.progress").write_text(f"{done} {total}", encoding="utf-8")

    def read_progress(self) -> dict[str, tuple[float, float]]:
        found = {}
        for path in self.units.glob("*.progress"):
            with contextlib.suppress(OSError, ValueError):
                done, total = path.read_text(encoding="utf-8").split()
                found[path.stem] = (float(done), float(total))
        return found

    def _write_signed(self, path: Path, record: dict, indent: int | None = None) -> str:
        body = {"format": FORMAT, **record}
        body["sha256"] = sha256(json.dumps(body, sort_keys=True, allow_nan=False))
        blob = (json.dumps(body, indent=indent) + "\n").encode()
        write_atomically(path, lambda stream: stream.write(blob))
        return sha256(blob)


def _read_signed(path: Path) -> tuple[dict, str]:
    """Return a signed JSON file's record and the SHA-256 of the whole file."""
    try:
        blob = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path} is missing: run it again to compute it") from None
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}") from None
    try:
        record = json.loads(blob)
        signature = record.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError):
        what = "truncated" if blob[-2:] != b"}\n" else "damaged"
        raise StoreError(f"{path} is {what}: move it away and run it again") from None
    if record.get("format") != FORMAT:
        raise StoreError(f"{path} has the format {record.get('format')}; this version reads {FORMAT}")
    if sha256(json.dumps(record, sort_keys=True)) != signature:
        raise StoreError(f"{path} was changed after it was written: move it away and run it again")
    return record, sha256(blob)
