"""Log singular values against 250-digit arithmetic, and where plain floating point is wrong."""

import itertools

import mpmath as mp
import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import gaussian, haar, log_singular_values, simulate


def exact(factors):
    with mp.workdps(250):
        product = mp.eye(factors[0].shape[1])
        for w in factors:
            product = mp.matrix(w.tolist()) * product
        if product.rows < product.cols:
            product = product.T
        return np.sort([float(mp.log(s)) for s in mp.svd_r(product, compute_uv=False)])[::-1]


@pytest.mark.parametrize(
    "sides", [(6,) * 41, (5, 8, 4, 9, 5, 8, 4, 9), (3, 7, 7), (9, 4, 6), (1, 1, 1), (1, 5, 2), (4, 1, 4)]
)
def test_every_value_against_250_digits(sides):
    rng = np.random.default_rng(0)
    factors = [gaussian(n, k, rng=rng) for k, n in itertools.pairwise(sides)]
    ours = log_singular_values(factors)
    assert ours.shape == (min(sides),)
    np.testing.assert_allclose(ours, exact(factors)[: min(sides)], atol=1e-12)


def test_the_sum_is_log_det_where_plain_arithmetic_loses_half_of_it():
    """n = L = 100, seed 0: the sum is log |det| (within 1e-6; the bar is 1), while the plain product gives half."""
    rng = np.random.default_rng(0)
    factors = [gaussian(100, rng=rng) for _ in range(100)]
    truth = sum(np.linalg.slogdet(w)[1] for w in factors)
    assert log_singular_values(factors).sum() == pytest.approx(truth, abs=1e-6)
    plain = np.linalg.svd(simulate.product(factors), compute_uv=False)
    assert np.log(plain).sum() > truth / 2 - 200
    np.testing.assert_allclose(log_singular_values(factors)[:3], np.log(plain[:3]), atol=1e-12)


def test_an_orthogonal_product_stays_flat_and_close_values_are_told_apart():
    factors = [1.1 * haar(60, rng=i) for i in range(30)]
    np.testing.assert_allclose(log_singular_values(factors), 30 * np.log(1.1), atol=1e-12)
    d = np.linspace(1, 1 + 1e-9, 20)
    U, V = haar(20, rng=1), haar(20, rng=2)
    np.testing.assert_allclose(log_singular_values([np.diag(d) @ V, U]), np.log(d)[::-1], atol=1e-14)


def test_exact_zeros_are_minus_infinity():
    assert log_singular_values([np.diag([1.0, 0.0])] * 3).tolist() == [0.0, -np.inf]
    assert log_singular_values([np.zeros((3, 2))]).tolist() == [-np.inf, -np.inf]
    assert log_singular_values([np.ones((2, 2))] * 3)[0] == pytest.approx(np.log(8))
    relu = simulate.jacobian_factors(
        "relu",
        np.random.default_rng(0).standard_normal(100),
        depth=20,
        width=100,
        sigma_w=2**0.5,
        rng=1,
        kind="orthogonal",
    )
    alive = min(np.any(w != 0, axis=1).sum() for w in relu)
    assert np.isfinite(log_singular_values(relu)).sum() == alive
    assert log_singular_values([np.diag([1.0, 1e-200])] * 5)[1] == pytest.approx(-1000 * np.log(10))


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([], "at least one"),
        ([np.ones((2, 3)), np.ones((2, 3))], r"factors\[1\] must have 2 columns"),
        ([np.array([[np.nan]])], r"factors\[0\] must be finite"),
        ([np.ones(3)], "2 dimension"),
        ([np.ones((0, 3))], "length 0"),
        ([[["a"]]], "real numbers"),
    ],
)
def test_bad_input_is_named(factors, message):
    with pytest.raises(ArgumentError, match=message):
        log_singular_values(factors)
