"""Sequence tasks: what the targets ask for, and the statistics of what is drawn."""

import math

import numpy as np
import pytest

from ortholab import data, sequences
from ortholab.errors import ArgumentError


def test_pixels_come_row_by_row_and_a_permutation_is_undone_by_its_inverse():
    images = data.mnist("test", 7, source="embedded").images
    x = sequences.pixels(images)
    assert x.shape == (784, 7, 1)
    assert np.array_equal(x[:, 3, 0], images[3].ravel())
    order = sequences.permutation(784, seed=0)
    mixed = sequences.pixels(images, order)
    assert np.array_equal(mixed[np.argsort(order)], x)
    assert not np.array_equal(mixed, x)


def test_a_permutation_depends_on_its_seed_alone():
    first = sequences.permutation(784, seed=0)
    assert np.array_equal(first, sequences.permutation(784, seed=0))
    assert not np.array_equal(first, sequences.permutation(784, seed=1))
    assert np.array_equal(np.sort(first), np.arange(784))
    # Neighbours of a random order are 784/3 apart on average, with a standard error of 6.6.
    assert abs(np.abs(np.diff(first)).mean() - 784 / 3) < 30


def test_rows_and_shrink_keep_the_image():
    images = data.mnist("test", 5, source="embedded").images
    x = sequences.rows(images)
    assert x.shape == (28, 5, 28)
    assert np.array_equal(x[10, 2], images[2, 10])
    small = sequences.shrink(images, 4)
    assert small.shape == (5, 7, 7)
    assert small[2, 3, 1] == pytest.approx(images[2, 12:16, 4:8].mean(), rel=1e-6)


def test_copying_asks_for_the_symbols_after_the_delay():
    delay = 6
    x, y = sequences.copying(2000, delay, rng=0)
    said = x.argmax(2)
    assert x.sum() == said.size  # one-hot
    assert np.array_equal(said[:10], y[-10:])
    assert (y[:-10] == 8).all()
    assert (said[10 : 10 + delay - 1] == 8).all()
    assert (said[10 + delay - 1] == 9).all()
    assert (said[10 + delay :] == 8).all()
    counts = np.bincount(said[:10].ravel(), minlength=10)
    # 20,000 symbols of 8: chi^2 with 7 degrees of freedom, whose 99.99 % point is 29.9
    assert (((counts[:8] - 2500) ** 2) / 2500).sum() < 29.9
    assert counts[8:].sum() == 0


def test_the_copying_baseline_is_the_loss_of_a_network_without_memory():
    delay = 15
    _, y = sequences.copying(50, delay, rng=1)
    p = np.full((*y.shape, 9), 1e-300)
    p[:-10, :, 8] = 1
    p[-10:, :, :8] = 1 / 8
    loss = -np.log(np.take_along_axis(p, y[:, :, None], 2)).mean()
    assert sequences.copying_baseline(delay) == pytest.approx(loss, rel=1e-12)


def test_adding_asks_for_the_sum_of_two_marked_numbers():
    x, y = sequences.adding(20_000, 9, rng=0)
    marks = x[:, :, 1]
    assert (marks[:4].sum(0) == 1).all()
    assert (marks[4:].sum(0) == 1).all()
    assert np.allclose((x[:, :, 0] * marks).sum(0), y[0, :, 0])
    assert y.shape == (1, 20_000, 1)
    assert y.dtype == np.float32
    # Mean 1 and variance 1/6; their standard errors are .003 and .0014.
    assert abs(y.mean() - 1) < 0.012
    assert abs(y.var() - sequences.ADDING_BASELINE) < 0.006
    assert abs(x[:, :, 0].mean() - 0.5) < 0.005
    places = np.bincount(marks.argmax(0), minlength=4)  # uniform over the first half
    assert (((places - 5000) ** 2) / 5000).sum() < 21.1  # chi^2 of 3 degrees of freedom, 99.99 %


@pytest.mark.parametrize("draw", [sequences.copying, sequences.adding])
def test_a_seed_is_a_generator(draw):
    first, again = draw(3, 8, rng=5), draw(3, 8, rng=np.random.default_rng(5))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], draw(3, 8, rng=6)[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sequences.pixels(np.zeros((2, 4))), "images must be an array of shape"),
        (lambda: sequences.pixels(np.zeros((2, 2, 2)), np.array([0, 1, 2, 2])), "order must be each of 0 to 3 once"),
        (lambda: sequences.pixels(np.full((1, 2, 2), math.nan)), "images must be finite"),
        (lambda: sequences.shrink(np.zeros((1, 28, 28)), 3), "factor must be a divisor"),
        (lambda: sequences.permutation(5, -1), "seed must be an integer"),
        (lambda: sequences.copying(4, 0, rng=0), "delay must be an integer >= 1"),
        (lambda: sequences.adding(4, 1, rng=0), "length must be an integer >= 2"),
        (lambda: sequences.adding(4, 9, rng=None), "rng must be"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
