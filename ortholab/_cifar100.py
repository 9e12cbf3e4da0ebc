"""CIFAR-100's canonical archives, found, checked and fetched as CIFAR-10's are (:mod:`ortholab._cifar`)."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np

from ortholab import _cifar
from ortholab.errors import DataError

COUNT = {"train": 50000, "test": 10000}
URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
SHA256 = {
    "cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}


def cache_folder() -> Path:
    """Return the user's cache folder for CIFAR-100 (it may not exist yet)."""
    return _cifar.cache_folder().parent / "cifar100"


def folders() -> list[Path]:
    """Return the folders that are searched, in order; raise DataError when ORTHOLAB_DATA is set but is no folder."""
    _cifar.folders()  # checks the variable
    named = os.environ.get(_cifar.ENV)
    root = [Path(named).expanduser()] if named else []
    return [*(folder / "cifar100" for folder in root), *root, cache_folder()]


def load(split: str, *, download: bool, progress: bool) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return (pixels (n, 32, 32, 3) uint8, fine labels (n,) uint8, the 100 names of classes); raise DataError."""
    path = next((p for folder in folders() for p in (folder / name for name in SHA256) if p.is_file()), None)
    if path is None and download:
        path = _cifar.fetch(URL, SHA256, cache_folder(), progress)
    if path is None:
        raise DataError(
            f"CIFAR-100 is not on this machine (looked in {', '.join(map(str, folders()))}): call "
            f"cifar100(download=True), or name the folder that holds cifar-100-binary.tar.gz in the variable "
            f"{_cifar.ENV}"
        )
    _cifar.check_archive(path, SHA256[path.name])
    with tarfile.open(path) as archive:
        members = {Path(m.name).name: m for m in archive if m.isfile()}

        def read(name: str) -> bytes:
            return archive.extractfile(members[name]).read()

        pixels, labels, classes = (_binary if "binary" in path.name else _pickled)(read, split)
    if pixels.shape != (COUNT[split], 3072) or labels.max() > 99 or len(classes) != 100:
        raise DataError(f"{path} does not hold CIFAR-100's {split} set of {COUNT[split]} images of 100 classes")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels, classes


def _binary(read, split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    rows = np.frombuffer(read(f"{split}.bin"), dtype=np.uint8).reshape(-1, 2 + 3072)  # coarse label, fine label, pixels
    return rows[:, 2:], rows[:, 1], tuple(read("fine_label_names.txt").decode("ascii").split())


def _pickled(read, split: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    batch, meta = (pickle.loads(read(name), encoding="bytes") for name in (split, "meta"))  # the hash was right
    names = tuple(name.decode("ascii") for name in meta[b"fine_label_names"])
    return batch[b"data"], np.array(batch[b"fine_labels"], dtype=np.uint8), names
