"""Sequence tasks: images read pixel by pixel or row by row, and the generated copying and adding tasks.

Every sequence is (T, batch, n_in), time first, as :class:`ortholab.nn.rnn.RNN` reads it.

Sources: Le, Jaitly, Hinton 2015 (arXiv 1504.00941); Hochreiter and Schmidhuber 1997; Arjovsky, Shah, Bengio 2016 (arXiv
1511.06464).
"""

from __future__ import annotations

import math

import numpy as np

from ortholab.errors import bad, check_array, check_generator, check_int

SYMBOLS = 8
COPIED = 10


def pixels(images: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Return images (n, height, width) as sequences of single pixels, (height * width, n, 1), row by row.

    ``order`` is the order in which the pixels come, an array of the integers 0 ... height * width - 1; see
    :func:`permutation`. The dtype is kept. Raises ArgumentError.

    >>> pixels(np.array([[[0.0, 0.1], [0.2, 0.3]]]), order=np.array([3, 0, 1, 2]))[:, 0, 0].tolist()
    [0.3, 0.0, 0.1, 0.2]
    """
    flat = _images(images).reshape(len(images), -1)
    if order is not None:
        order = np.asarray(order)
        if order.dtype.kind not in "iu" or not np.array_equal(np.sort(order), np.arange(flat.shape[1])):
            raise bad("order", order, f"each of 0 to {flat.shape[1] - 1} once")
        flat = flat[:, order]
    return np.ascontiguousarray(flat.T)[:, :, None]


def permutation(length: int, seed: int) -> np.ndarray:
    """Return a random order (length,) of the integers 0 ... length - 1, the same for the same seed.

    Raises ArgumentError.

    >>> permutation(6, seed=0).tolist()
    [3, 2, 5, 4, 0, 1]
    """
    length = check_int("length", length, 1)
    return np.random.default_rng(check_int("seed", seed)).permutation(length)


def rows(images: np.ndarray) -> np.ndarray:
    """Return images (n, height, width) as sequences of rows from the top, (height, n, width). Raises ArgumentError.

    >>> rows(np.zeros((5, 28, 20))).shape
    (28, 5, 20)
    """
    return np.ascontiguousarray(_images(images).transpose(1, 0, 2))


def shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Return images (n, height, width) with each block of factor x factor pixels replaced by its mean.

    The factor divides height and width. Raises ArgumentError.

    >>> shrink(np.arange(16.0).reshape(1, 4, 4), 2).tolist()
    [[[2.5, 4.5], [10.5, 12.5]]]
    """
    images, factor = _images(images), check_int("factor", factor, 1)
    n, height, width = images.shape
    if height % factor or width % factor:
        raise bad("factor", factor, f"a divisor of the height {height} and the width {width}")
    return images.reshape(n, height // factor, factor, width // factor, factor).mean(axis=(2, 4))


def copying(batch: int, delay: int, *, rng: np.random.Generator | int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the copying task: ten symbols, a wait, a signal, and the ten symbols to be said again.

    Inputs (delay + 20, batch, 10), one-hot in float32: ten symbols out of 8, then delay - 1 blanks (number 8), the
    signal (number 9), ten blanks. Targets (delay + 20, batch), int64: delay + 10 blanks, then the ten symbols. Without
    memory nothing beats :func:`copying_baseline`. Raises ArgumentError. Source: Hochreiter and Schmidhuber 1997;
    Arjovsky, Shah and Bengio 2016 (arXiv 1511.06464), section 4.1.

    >>> x, y = copying(3, 5, rng=0)
    >>> x.shape, y.shape, bool((y[-10:] == x[:10].argmax(2)).all())
    ((25, 3, 10), (25, 3), True)
    """
    batch, delay = check_int("batch", batch, 1), check_int("delay", delay, 1)
    symbols = check_generator(rng).integers(SYMBOLS, size=(COPIED, batch))
    blank, signal, length = SYMBOLS, SYMBOLS + 1, delay + 2 * COPIED
    said = np.full((length, batch), blank)
    said[:COPIED] = symbols
    said[COPIED + delay - 1] = signal
    targets = np.full((length, batch), blank)
    targets[-COPIED:] = symbols
    return np.eye(SYMBOLS + 2, dtype=np.float32)[said], targets


def copying_baseline(delay: int) -> float:
    """Return 10 ln 8 / (delay + 20): the mean cross-entropy of blanks where due and uniform guesses at the end.

    >>> round(copying_baseline(100), 4)
    0.1733
    """
    return COPIED * math.log(SYMBOLS) / (check_int("delay", delay, 1) + 2 * COPIED)


def adding(batch: int, length: int, *, rng: np.random.Generator | int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the adding task: of ``length`` numbers two are marked, and their sum is asked for at the end.

    Inputs (length, batch, 2), float32: numbers uniform in [0, 1], and marks, 1 at one place of each half (drawn
    uniformly) and 0 elsewhere. Targets (1, batch, 1). The constant answer 1 has the mean squared error
    :data:`ADDING_BASELINE` = 1/6, the variance of a sum of two. Raises ArgumentError. Source: Hochreiter and
    Schmidhuber 1997; Arjovsky et al. 2016, section 4.2.

    >>> x, y = adding(4, 10, rng=0)
    >>> x.shape, x[:, :, 1].sum(0).tolist(), bool(np.allclose((x[:, :, 0] * x[:, :, 1]).sum(0), y[0, :, 0]))
    ((10, 4, 2), [2.0, 2.0, 2.0, 2.0], True)
    """
    batch, length = check_int("batch", batch, 1), check_int("length", length, 2)
    rng = check_generator(rng)
    x = np.zeros((length, batch, 2), dtype=np.float32)
    x[:, :, 0] = rng.random((length, batch))
    half, columns = length // 2, np.arange(batch)
    x[rng.integers(half, size=batch), columns, 1] = 1
    x[rng.integers(half, length, size=batch), columns, 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(0)[None, :, None]


ADDING_BASELINE = 1 / 6


def _images(images: np.ndarray) -> np.ndarray:
    if not isinstance(images, np.ndarray) or images.ndim != 3 or images.size == 0:
        raise bad("images", getattr(images, "shape", type(images).__name__), "an array of shape (n, height, width)")
    return check_array("images", images, dtype=images.dtype)
