"""The four MNIST files: where they may lie, how they are fetched, and why one is refused."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ortholab.errors import DataError

ENV = "ORTHOLAB_DATA"

# Mirrors pack the files in different ways, so the checks are made on the unpacked bytes, which are the same everywhere.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


@dataclass(frozen=True)
class IdxFile:
    """What an IDX file must be: its name, the shape of its uint8 array, and the hashes of its unpacked bytes."""

    name: str
    shape: tuple[int, ...]
    md5: str
    sha256: str

    @property
    def header(self) -> bytes:
        """The first bytes: magic number (two zeros, 8 for uint8, number of dimensions), then the dimensions."""
        return b"".join(n.to_bytes(4, "big") for n in (0x0800 + len(self.shape), *self.shape))


FILES = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte",
            (60000, 28, 28),
            "6bbc9ace898e44ae57da46a324031adb",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60000,),
            "a25bea736e30d166cdddb491f175f624",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10000, 28, 28),
            "2646ac647ad5339dbf082846283269ea",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10000,),
            "27ae3e4e09519cfbb04c329615203637",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
}


def cache_folder() -> Path:
    """Return the user's cache folder for MNIST (it may not exist yet)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("ortholab")) / "mnist"


def folders() -> list[Path]:
    """Return the folders that are searched, in order; raise DataError when ORTHOLAB_DATA is set but is no folder."""
    named = os.environ.get(ENV)
    if not named:
        return [cache_folder()]
    root = Path(named).expanduser()
    if not root.is_dir():
        raise DataError(f"{ENV} must name a folder; {named!r} is not one")
    return [root / "mnist", root, cache_folder()]


def find(split: str) -> list[Path] | None:
    """Return the paths of a split's two files in the first folder that holds any, or None; a half pair is refused."""
    for folder in folders():
        found = [_in_folder(folder, file.name) for file in FILES[split]]
        if all(found):
            return found
        for file, path in zip(FILES[split], found, strict=True):
            if path is None and any(found):
                raise DataError(f"{folder} holds only half of MNIST's {split} set: {file.name}.gz is missing")
    return None


def _in_folder(folder: Path, name: str) -> Path | None:
    for variant in (name + ".gz", name, name.replace("-idx", ".idx")):
        if (folder / variant).is_file():
            return folder / variant
    return None


def read(path: Path, file: IdxFile) -> np.ndarray:
    """Return the file's uint8 array; raise DataError, with the path, unless its unpacked bytes are exactly right."""
    data = _unpack(path, len(file.header) + int(np.prod(file.shape)))
    wanted = len(file.header) + int(np.prod(file.shape))
    if data[:4] != file.header[:4]:
        raise DataError(f"{path} is not {file.name}: magic number {data[:4].hex()}, not {file.header[:4].hex()}")
    if data[: len(file.header)] != file.header:
        got = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, len(file.header), 4))
        raise DataError(f"{path} is not {file.name}: its header gives shape {got}, not {file.shape}")
    if len(data) != wanted:
        what = "is truncated" if len(data) < wanted else "is too long"
        raise DataError(f"{path} {what}: {min(len(data), wanted + 1)} bytes unpacked, not {wanted}; delete it")
    for algorithm in ("md5", "sha256"):
        digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
        if digest != getattr(file, algorithm):
            raise DataError(f"{path} is corrupt: {algorithm} {digest}, not {getattr(file, algorithm)}; delete it")
    return np.frombuffer(data, dtype=np.uint8, offset=len(file.header)).reshape(file.shape)


def _unpack(path: Path, size: int) -> bytes:
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed and path.suffix == ".gz":
                raise DataError(f"{path} is corrupt: it does not start like a gzip file; delete it")
            with gzip.open(raw) if packed else raw as stream:
                return stream.read(size + 1)  # one byte more than allowed shows that it is too long
    except EOFError:
        raise DataError(f"{path} is truncated: the gzip stream ends early; delete it") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is corrupt: {error}; delete it") from None
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}") from None


def download(split: str, mirrors: Sequence[str] | None = None, progress: bool = True) -> list[Path]:
    """Fetch a split's two files into the user's cache and return their paths.

    Each file is checked before it gets its name, and moved in one step: a broken download leaves nothing behind.
    Raises DataError when the cache can't be written or no mirror gives the right file.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="part-") as part:
            return [_fetch(file, Path(part), folder, mirrors or MIRRORS, progress) for file in FILES[split]]
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"the cache folder {folder} cannot be written ({error.strerror or error}): put the files in a folder of "
            f"your own and name it in the environment variable {ENV}"
        ) from None


def _fetch(file: IdxFile, part: Path, folder: Path, mirrors: Sequence[str], progress: bool) -> Path:
    import pooch
    import requests

    failures = []
    for mirror in mirrors:
        url, target = f"{mirror}{file.name}.gz", part / f"{file.name}.gz"
        try:
            pooch.HTTPDownloader(progressbar=progress, timeout=30)(url, str(target), None)
            read(target, file)
        except requests.RequestException as error:
            failures.append(f"{url}: {type(error).__name__}")
        except DataError as error:
            failures.append(f"{url}: {error}")
        else:
            return target.replace(folder / target.name)
    raise DataError(
        f"{file.name}.gz could not be fetched ({'; '.join(failures)}). With no network, put the four .gz files in a "
        f"folder and name it in the environment variable {ENV}, or use mnist(source='embedded')"
    )
