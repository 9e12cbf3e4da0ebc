"""Newton-Schulz: the scalar maps against brute force and numpy's roots, matrices against singular values."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import haar, stiefel
from ortholab.theory.newton_schulz import (
    CUBIC,
    QUINTIC,
    fixed_points,
    newton_schulz,
    scalar_map,
    scalar_slope,
    trapped_interval,
)

MAPS = pytest.mark.parametrize("coefficients", [CUBIC, QUINTIC, (2.0, -1.5, 0.5)])


@MAPS
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 5), (2, 3, 7, 4)])
def test_the_matrix_iteration_is_the_scalar_map_on_singular_values(shape, coefficients):
    X = np.random.default_rng(0).standard_normal(shape)
    U, s, Vh = np.linalg.svd(X, full_matrices=False)
    s = s / np.linalg.norm(X, axis=(-2, -1))[..., None]
    expected = (U * scalar_map(s, coefficients=coefficients, steps=3)[..., None, :]) @ Vh
    np.testing.assert_allclose(newton_schulz(X, coefficients=coefficients, steps=3), expected, atol=1e-12)


@MAPS
def test_the_slope_is_the_maps_derivative(coefficients):
    s, h = np.linspace(0.0, 1.5, 31), 1e-6
    f = lambda x: scalar_map(x, coefficients=coefficients)  # noqa: E731
    np.testing.assert_allclose(scalar_slope(s, coefficients=coefficients), (f(s + h) - f(s - h)) / (2 * h), atol=1e-7)


def test_the_cubic_converges_quadratically_and_from_nowhere_above_sqrt_5():
    error = np.abs(scalar_map(np.array([0.9, 1.1]), coefficients=CUBIC) - 1)
    assert (error < 1.6 * 0.01).all()
    assert np.abs(scalar_map(np.linspace(0.05, 1.73, 200), coefficients=CUBIC, steps=60) - 1).max() < 1e-12
    assert scalar_map(5**0.5 + 0.01, coefficients=CUBIC, steps=60) == np.inf
    assert abs(scalar_map(1.8, coefficients=CUBIC, steps=60)) == pytest.approx(1)
    assert scalar_map(1.8, coefficients=CUBIC, steps=60) < 0  # a singular value that is turned over


def test_the_cubic_gives_the_polar_factor():
    X = np.random.default_rng(1).standard_normal((7, 4))
    np.testing.assert_allclose(newton_schulz(X, coefficients=CUBIC, steps=40), stiefel.project(X), atol=1e-12)


def test_fixed_points_are_fixed_and_the_quintics_repel():
    for coefficients in (CUBIC, QUINTIC):
        points = np.array(fixed_points(coefficients))
        np.testing.assert_allclose(scalar_map(points, coefficients=coefficients), points, rtol=1e-12)
    assert (np.abs(scalar_slope(np.array(fixed_points(QUINTIC)))) > 1.5).all()
    assert abs(scalar_slope(1.0, coefficients=CUBIC)) < 1e-12


def test_the_trapped_interval_is_what_brute_force_finds():
    low, high = trapped_interval()
    grid = np.linspace(0.01, 1.0, 200_001)
    after = scalar_map(grid, steps=5)
    assert low - 1e-9 <= after.min() < low + 1e-6
    assert after.max() == pytest.approx(1.1344, abs=1e-4)  # the top of the interval is not reached from here,
    assert abs(scalar_map(np.geomspace(0.001, 0.01, 20_001), steps=5).max() - high) < 1e-6  # but from below
    inside = scalar_map(np.linspace(low, high, 100_001))
    assert inside.min() >= low - 1e-12
    assert inside.max() <= high + 1e-12


def test_a_zero_matrix_stays_zero_and_huge_or_tiny_ones_do_not_matter():
    assert not newton_schulz(np.zeros((3, 2))).any()
    X = np.random.default_rng(2).standard_normal((5, 3))
    for factor in (1e-200, 1e200):
        np.testing.assert_allclose(newton_schulz(factor * X), newton_schulz(X), rtol=1e-12)


def test_an_odd_polynomial_of_a_skew_matrix_is_skew():
    S = np.random.default_rng(3).standard_normal((7, 7))
    out = newton_schulz(S - S.T)
    np.testing.assert_allclose(out, -out.T, atol=1e-12)


def test_torch_takes_the_same_steps():
    torch = pytest.importorskip("torch")
    X = haar(6, rng=0) @ np.diag([1, 0.5, 0.3, 0.2, 0.1, 0.05])
    np.testing.assert_allclose(newton_schulz(torch.from_numpy(X)).numpy(), newton_schulz(X), atol=1e-13)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: scalar_map(0.5, coefficients=(1, 2)), r"coefficients must be three numbers"),
        (lambda: scalar_map(0.5, coefficients=(0, 1, 1)), r"coefficients\[0\] must be a number > 0"),
        (lambda: scalar_map(np.nan), "s must"),
        (lambda: scalar_map(0.5, steps=-1), "steps must be an integer >= 0"),
        (lambda: trapped_interval(CUBIC), "two turning points"),
        (lambda: newton_schulz(np.zeros(3)), "X must"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
