"""CIFAR-10's loader on small made-up copies: JPEG trees and archives, canonical archives, and what is refused."""

import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image

from ortholab import _cifar, data
from ortholab.errors import ArgumentError, DataError


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data set of 20 training and 10 test images, an empty cache, and a folder that ORTHOLAB_DATA names."""
    monkeypatch.setattr(_cifar, "COUNT", {"train": 20, "test": 10})
    monkeypatch.setattr(_cifar, "cache_folder", lambda: tmp_path / "cache" / "cifar10")
    monkeypatch.setattr(_cifar, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")  # port 9: nothing answers
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("ORTHOLAB_DATA", str(root))
    return root


def pixels(split, count):
    return np.random.default_rng([len(split), count]).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def jpeg_tree(folder):
    for split, count in _cifar.COUNT.items():
        for i, image in enumerate(pixels(split, count)):
            path = folder / split / _cifar.CLASSES[i % 10] / f"{i:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path, quality=95)
    return folder


def binary_archive(path):
    with tarfile.open(path, "w:gz") as archive:
        for split, names in _cifar.BATCHES.items():
            images = pixels(split, _cifar.COUNT[split]).transpose(0, 3, 1, 2).reshape(-1, 3072)
            labels = (np.arange(len(images)) % 10).astype(np.uint8)
            for name, part in zip(names, np.array_split(np.column_stack([labels, images]), len(names)), strict=True):
                _add(archive, f"cifar-10-batches-bin/{name}.bin", part.tobytes())
    return path


def python_archive(path):
    with tarfile.open(path, "w:gz") as archive:
        for split, names in _cifar.BATCHES.items():
            images = pixels(split, _cifar.COUNT[split]).transpose(0, 3, 1, 2).reshape(-1, 3072)
            for name, rows in zip(names, np.array_split(np.arange(len(images)), len(names)), strict=True):
                batch = {b"data": images[rows], b"labels": (rows % 10).tolist()}
                _add(archive, f"cifar-10-batches-py/{name}", pickle.dumps(batch))
    return path


def _add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def known(monkeypatch, path):
    monkeypatch.setitem(_cifar.SHA256, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_jpeg_tree_is_read_and_named_as_a_jpeg_copy(small):
    jpeg_tree(small)
    train, test = data.cifar10(), data.cifar10("test")
    assert (train.name, train.split, train.source, len(train), len(test)) == ("CIFAR-10", "train", "JPEG copy", 20, 10)
    assert train.images.shape == (20, 32, 32, 3)
    assert train.classes == _cifar.CLASSES
    assert np.bincount(train.labels).tolist() == [2] * 10
    decoded = np.asarray(Image.open(small / "test" / "cat" / "0003.jpg"), dtype=np.float32) / 255
    assert np.array_equal(test.images[test.labels == 3][0], decoded)
    assert repr(train) == "Dataset(CIFAR-10 train, 20 images of 32x32x3, JPEG copy)"


def test_the_images_are_mixed_and_their_order_depends_on_the_pixels_only(small, tmp_path):
    jpeg_tree(small / "cifar10")
    first = data.cifar10()
    assert sorted(first.labels.tolist()) != first.labels.tolist()
    renamed = small / "cifar10" / "train" / "cat" / "0003.jpg"
    renamed.rename(renamed.with_name("9999.jpg"))
    assert data.cifar10().sha256 == first.sha256
    assert data.cifar10(n=7).labels.tolist() == first.labels[:7].tolist()


def test_an_archive_gives_what_its_tree_gives(small, tmp_path):
    tree = jpeg_tree(tmp_path / "tree")
    (small / "cifar10-jpeg").mkdir()
    with tarfile.open(small / "cifar10-jpeg" / "cifar10-jpeg.tar.xz", "w:xz") as archive:
        archive.add(tree, arcname="./")
    of_archive = data.cifar10()
    (small / "cifar10-jpeg" / "cifar10-jpeg.tar.xz").unlink()
    jpeg_tree(small)
    assert data.cifar10().sha256 == of_archive.sha256


def test_it_is_decoded_once_and_a_damaged_copy_is_made_again(small, monkeypatch):
    jpeg_tree(small)
    first = data.cifar10()
    (copy,) = _cifar.cache_folder().glob("*.npz")
    monkeypatch.setattr(_cifar, "_jpeg_split", lambda *_: pytest.fail("decoded twice"))
    assert data.cifar10().sha256 == first.sha256
    monkeypatch.undo()
    monkeypatch.setenv("ORTHOLAB_DATA", str(small))
    monkeypatch.setattr(_cifar, "COUNT", {"train": 20, "test": 10})
    monkeypatch.setattr(_cifar, "cache_folder", lambda: copy.parent)
    for damage in (b"", copy.read_bytes()[:-500], copy.read_bytes()[:2000] + b"x" + copy.read_bytes()[2001:]):
        copy.write_bytes(damage)
        assert data.cifar10().sha256 == first.sha256
    with np.load(copy) as whole:
        parts = dict(whole)
    parts["labels"][0] ^= 1
    np.savez(copy, **parts)
    assert data.cifar10().sha256 == first.sha256
    assert [p.name for p in copy.parent.iterdir()] == [copy.name]


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_without_a_cache_it_works_too(small, tmp_path):
    jpeg_tree(small)
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(data.cifar10("test")) == 10


@pytest.mark.parametrize("make", [binary_archive, python_archive])
def test_canonical_archives_are_preferred_and_keep_their_order(small, monkeypatch, make):
    jpeg_tree(small)
    path = make(small / f"cifar-10-{make.__name__.split('_')[0]}.tar.gz")
    known(monkeypatch, path)
    train = data.cifar10()
    assert train.source == "canonical"
    assert train.labels.tolist() == [*range(10)] * 2
    assert np.array_equal(train.images, pixels("train", 20).astype(np.float32) / 255)
    assert len(data.cifar10("test", 3)) == 3


def test_an_archive_with_another_hash_is_refused_by_name(small):
    path = binary_archive(small / "cifar-10-binary.tar.gz")
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz is corrupt or truncated: sha256"):
        data.cifar10()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="delete it"):
        data.cifar10("test")


def test_a_jpeg_copy_that_is_not_whole_is_refused(small):
    jpeg_tree(small)
    victim = small / "train" / "dog" / "0005.jpg"
    whole = victim.read_bytes()
    victim.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0005\.jpg is no JPEG image"):
        data.cifar10()
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(victim)
    with pytest.raises(DataError, match=r"0005\.jpg has shape \(8, 8, 3\)"):
        data.cifar10()
    victim.unlink()
    with pytest.raises(DataError, match=r"must hold 2 images a class; got .*dog 1"):
        data.cifar10()
    victim.write_bytes(whole)
    (small / "train" / "yeti").mkdir()
    (small / "train" / "yeti" / "1.jpg").write_bytes(whole)
    with pytest.raises(DataError, match="'yeti' is no class"):
        data.cifar10()


def test_a_truncated_jpeg_archive_is_refused(small, tmp_path):
    tree, path = jpeg_tree(tmp_path / "tree"), small / "cifar10-jpeg.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tree, arcname="cifar")
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(DataError, match="cifar10-jpeg"):
        data.cifar10()


def test_when_it_is_nowhere_the_message_says_what_to_do(small, monkeypatch):
    with pytest.raises(DataError, match=r"cifar10\(download=True\)"):
        data.cifar10()
    with pytest.raises(DataError, match="could not be fetched"):
        data.cifar10(download=True, progress=False)
    assert not list(_cifar.cache_folder().iterdir())
    monkeypatch.setenv("ORTHOLAB_DATA", str(small / "absent"))
    with pytest.raises(DataError, match="ORTHOLAB_DATA must name a folder"):
        data.cifar10()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"split": "valid"}, "split"), ({"n": 0}, "n"), ({"n": 21}, "n"), ({"download": 1}, "download")],
)
def test_bad_arguments_are_named(small, arguments, name):
    jpeg_tree(small)
    with pytest.raises(ArgumentError, match=f"^{name} must be"):
        data.cifar10(**arguments)
