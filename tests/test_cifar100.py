"""CIFAR-100's loader on small made-up archives, and what is refused."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest

from ortholab import _cifar, _cifar100, data
from ortholab.errors import ArgumentError, DataError

NAMES = tuple(f"class{i}" for i in range(100))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data set of 120 training and 100 test images, an empty cache, and a folder that ORTHOLAB_DATA names."""
    monkeypatch.setattr(_cifar100, "COUNT", {"train": 120, "test": 100})
    monkeypatch.setattr(_cifar, "cache_folder", lambda: tmp_path / "cache" / "cifar10")
    monkeypatch.setattr(_cifar100, "URL", "http://127.0.0.1:9/cifar-100-binary.tar.gz")  # port 9: nothing answers
    root = tmp_path / "data"
    (root / "cifar100").mkdir(parents=True)
    monkeypatch.setenv("ORTHOLAB_DATA", str(root))
    return root


def pixels(split):
    count = _cifar100.COUNT[split]
    return np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def archive(path, monkeypatch):
    python = "python" in path.name
    with tarfile.open(path, "w:gz") as out:
        for split in ("train", "test"):
            flat = pixels(split).transpose(0, 3, 1, 2).reshape(-1, 3072)
            fine = np.arange(len(flat)) % 100
            if python:
                packed = {b"data": flat, b"fine_labels": fine.tolist(), b"coarse_labels": (fine // 5).tolist()}
                _add(out, f"cifar-100-python/{split}", pickle.dumps(packed))
            else:
                rows = np.column_stack([fine // 5, fine, flat]).astype(np.uint8)
                _add(out, f"cifar-100-binary/{split}.bin", rows.tobytes())
        if python:
            _add(out, "cifar-100-python/meta", pickle.dumps({b"fine_label_names": [n.encode() for n in NAMES]}))
        else:
            _add(out, "cifar-100-binary/fine_label_names.txt", ("\n".join(NAMES) + "\n").encode())
    monkeypatch.setitem(_cifar100.SHA256, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def _add(out, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    out.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_both_archives_give_the_images_and_the_fine_classes(small, monkeypatch, kind):
    archive(small / "cifar100" / f"cifar-100-{kind}.tar.gz", monkeypatch)
    train, test = data.cifar100(), data.cifar100("test", 50)
    assert repr(train) == "Dataset(CIFAR-100 train, 120 images of 32x32x3, canonical)"
    np.testing.assert_array_equal(train.images, pixels("train").astype(np.float32) / 255)
    assert train.labels.tolist() == [i % 100 for i in range(120)]
    assert train.classes == NAMES
    assert len(test) == 50


def test_a_changed_archive_is_refused_by_name(small, monkeypatch):
    path = archive(small / "cifar-100-binary.tar.gz", monkeypatch)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"cifar-100-binary.tar.gz is corrupt or truncated: sha256"):
        data.cifar100()


def test_an_archive_of_another_size_is_refused(small, monkeypatch):
    archive(small / "cifar-100-binary.tar.gz", monkeypatch)
    monkeypatch.setattr(_cifar100, "COUNT", {"train": 121, "test": 100})
    with pytest.raises(DataError, match="does not hold CIFAR-100's train set of 121 images"):
        data.cifar100()


def test_without_a_copy_it_says_what_to_do(small):
    with pytest.raises(DataError, match=r"CIFAR-100 is not on this machine .* cifar100\(download=True\)"):
        data.cifar100()
    with pytest.raises(DataError, match="could not be fetched"):
        data.cifar100(download=True, progress=False)


@pytest.mark.parametrize("arguments", [{"split": "valid"}, {"n": 0}, {"download": 1}])
def test_misuse(small, arguments):
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        data.cifar100(**arguments)
