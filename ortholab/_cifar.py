"""CIFAR-10's files: where they may lie, how they are checked and fetched, and the copies that are decoded once.

Three forms are known, taken in this order in each folder: the canonical archives (binary, then Python), known by their
SHA-256; and a JPEG copy, a tree train/CLASS/*.jpg and test/CLASS/*.jpg or a tar archive of one. JPEG is lossy: the
images are not CIFAR-10's to the bit, so such a data set says in its source that it is a JPEG copy.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ortholab.errors import DataError

ENV = "ORTHOLAB_DATA"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNT = {"train": 50000, "test": 10000}
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = {
    "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
}
BATCHES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
JPEG_ARCHIVES = tuple(f"cifar10-jpeg.tar{end}" for end in ("", ".xz", ".gz", ".bz2"))
CANONICAL, JPEG = "canonical", "JPEG copy"

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Found:
    """A form of the data set on this machine: its source string, a key for the decoded copy, and how to decode it."""

    source: str
    key: str
    decode: Callable[[str], Arrays]


def cache_folder() -> Path:
    """Return the user's cache folder for CIFAR-10 (it may not exist yet)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("ortholab")) / "cifar10"


def folders() -> list[Path]:
    """Return the folders that are searched, in order; raise DataError when ORTHOLAB_DATA is set but is no folder."""
    named = os.environ.get(ENV)
    if not named:
        return [cache_folder()]
    root = Path(named).expanduser()
    if not root.is_dir():
        raise DataError(f"{ENV} must name a folder; {named!r} is not one")
    return [root / "cifar10", root / "cifar10-jpeg", root, cache_folder()]


def load(split: str, *, download: bool = False, progress: bool = True) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (pixels (n, 32, 32, 3) uint8, labels (n,) uint8, source); raise DataError."""
    found = next(filter(None, map(_look_in, folders())), None)
    if found is None and download:
        found = _archive(fetch(URL, SHA256, cache_folder(), progress))
    if found is None:
        raise DataError(
            f"CIFAR-10 is not on this machine (looked in {', '.join(map(str, folders()))}): call "
            f"cifar10(download=True), or name the folder that holds cifar-10-binary.tar.gz in the variable {ENV}"
        )
    return *_decoded_once(found, split), found.source


def _look_in(folder: Path) -> Found | None:
    for name in SHA256:
        if (folder / name).is_file():
            return _archive(folder / name)
    if all((folder / split / CLASSES[0]).is_dir() for split in COUNT):
        classes = [folder / split / name for split in COUNT for name in CLASSES]
        return Found(JPEG, _key(classes), partial(_jpeg_split, partial(_from_tree, folder)))
    for path in (folder / name for name in JPEG_ARCHIVES):
        if path.is_file():
            return Found(JPEG, _key([path]), partial(_jpeg_split, partial(_from_tar, path)))
    return None


def _archive(path: Path) -> Found:
    read = _binary if "binary" in path.name else _pickled
    return Found(CANONICAL, SHA256[path.name], lambda split: _canonical_split(path, split, read))


def _canonical_split(path: Path, split: str, read: Callable[[bytes], Arrays]) -> Arrays:
    check_archive(path, SHA256[path.name])
    with tarfile.open(path) as archive:
        members = {Path(m.name).stem: m for m in archive if m.isfile()}
        parts = [read(archive.extractfile(members[name]).read()) for name in BATCHES[split]]
    pixels, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def check_archive(path: Path, wanted: str) -> None:
    """Raise DataError unless the file has this SHA-256."""
    if (digest := _sha256_of(path)) != wanted:
        raise DataError(f"{path} is corrupt or truncated: sha256 {digest}, not {wanted}; delete it")


def _binary(data: bytes) -> Arrays:
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, 1 + 3072)
    return rows[:, 1:], rows[:, 0]


def _pickled(data: bytes) -> Arrays:
    batch = pickle.loads(data, encoding="bytes")  # only after the archive's hash was found right
    return batch[b"data"], np.array(batch[b"labels"], dtype=np.uint8)


def _sha256_of(path: Path) -> str:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} could not be read: {error.strerror or error}") from None


def _key(paths: list[Path]) -> str:
    """A key that changes with the sizes and times of files, and with the times and numbers of entries of folders."""
    lines = []
    for path in paths:
        if path.exists():
            size = len(os.listdir(path)) if path.is_dir() else path.stat().st_size
            lines.append(f"{path.resolve()} {size} {path.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _from_tree(folder: Path, split: str) -> Iterator[tuple[str, str, bytes]]:
    for path in sorted(folder.glob(f"{split}/*/*.jpg")):
        yield path.parent.name, str(path), path.read_bytes()


def _from_tar(path: Path, split: str) -> Iterator[tuple[str, str, bytes]]:
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                parts = Path(member.name).parts
                if member.isfile() and parts[-3:-2] == (split,) and parts[-1].endswith(".jpg"):
                    yield parts[-2], f"{member.name} in {path}", archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} is corrupt or truncated: {error}") from None


def _jpeg_split(files: Callable[[str], Iterator[tuple[str, str, bytes]]], split: str) -> Arrays:
    """Decode a split, mixed by the SHA-256 of the pixels so that any first n images hold all classes."""
    from PIL import Image, UnidentifiedImageError

    found = []
    for label, name, packed in files(split):
        if label not in CLASSES:
            raise DataError(f"{name}: {label!r} is no class of CIFAR-10; they are {', '.join(CLASSES)}")
        try:
            image = np.asarray(Image.open(io.BytesIO(packed)).convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise DataError(f"{name} is no JPEG image that can be read: {error}") from None
        if image.shape != (32, 32, 3):
            raise DataError(f"{name} has shape {image.shape}, not (32, 32, 3)")
        found.append((hashlib.sha256(image.tobytes()).digest(), CLASSES.index(label), image))
    counts = np.bincount([label for _, label, _ in found], minlength=10)
    if len(found) != COUNT[split] or counts.min() != counts.max():
        short = ", ".join(f"{c} {k}" for c, k in zip(CLASSES, counts, strict=True))
        raise DataError(f"the JPEG copy's {split} set must hold {COUNT[split] // 10} images a class; got {short}")
    found.sort(key=lambda entry: entry[:2])
    return np.stack([image for *_, image in found]), np.array([label for _, label, _ in found], dtype=np.uint8)


def _decoded_once(found: Found, split: str) -> Arrays:
    """Return the split from the decoded copy in the cache, if it is whole; else decode it and keep a copy."""
    path = cache_folder() / f"{found.source.split()[0].lower()}-{split}-{found.key[:16]}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            pixels, labels, digest = stored["pixels"], stored["labels"], str(stored["sha256"])
        if digest == _digest(pixels, labels):
            return pixels, labels
    except Exception:  # absent, truncated or foreign in any way: it is only a copy, so it is made again
        pass
    pixels, labels = (np.ascontiguousarray(part, dtype=np.uint8) for part in found.decode(split))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix="part-", suffix=".npz", delete=False) as part:
            np.savez(part, pixels=pixels, labels=labels, sha256=_digest(pixels, labels))
        os.replace(part.name, path)
    except OSError:
        pass  # without the copy the next start is slower, no more
    return pixels, labels


def _digest(pixels: np.ndarray, labels: np.ndarray) -> str:
    digest = hashlib.sha256(pixels)
    digest.update(labels)
    return digest.hexdigest()


def fetch(url: str, known: dict[str, str], folder: Path, progress: bool) -> Path:
    """Fetch an archive into a folder; it gets its name only when its hash is the one in ``known``. Raises DataError."""
    import pooch
    import requests

    name = url.rpartition("/")[2]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="part-") as part:
            target = Path(part) / name
            pooch.HTTPDownloader(progressbar=progress, timeout=30)(url, str(target), None)
            if (digest := _sha256_of(target)) != known[name]:
                raise DataError(f"{url} gave a file with sha256 {digest}, not {known[name]}: nothing was kept")
            return target.replace(folder / name)
    except requests.RequestException as error:
        raise DataError(
            f"{url} could not be fetched ({type(error).__name__}): put {name} in a folder and name it in {ENV}"
        ) from None
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"the cache folder {folder} cannot be written ({error.strerror or error})") from None
