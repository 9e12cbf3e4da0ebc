"""The power series of the correlation map against the double integral."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import (
    CorrelationSeries,
    c_star,
    chi,
    correlation_map,
    expect2,
    get_activation,
    hermite_coefficients,
    q_star,
)

C = np.array([-1.0, -0.6, 0.0, 0.3, 0.9, 0.99, 1.0])


@pytest.mark.parametrize(
    ("name", "tol"), [("tanh", 1e-12), ("erf", 1e-12), ("gelu", 1e-12), ("hard_tanh", 3e-5), ("relu", 3e-5)]
)
def test_the_series_is_the_map(name, tol):
    series = CorrelationSeries(name, 1.3, 1.2, 0.3)
    gap = series(C) - correlation_map(name, C, 1.2, 0.3, q=1.3)
    assert np.abs(gap).max() < tol
    assert np.abs(gap[[0, 2, -1]]).max() < 1e-13  # exact at -1, 0 and 1, however short the series
    assert gap.min() > -1e-13  # what is put into the last powers makes it too high, never too low


def test_coefficients_are_those_of_a_hermite_polynomial():
    from ortholab.theory import own_activation

    # x^3 = He_3 + 3 He_1, with q = 1
    cube = own_activation("cube", lambda x: x**3, lambda x: 3 * x**2)
    assert hermite_coefficients(cube, 1.0, 4) == pytest.approx([0, 3, 0, 6**0.5, 0], abs=1e-12)


def test_the_squares_sum_to_the_mean_square():
    for name in ("tanh", "silu"):
        f = get_activation(name)
        assert np.sum(hermite_coefficients(f, 0.8, 200) ** 2) == pytest.approx(f.mean_square(0.8), rel=1e-13)
    a, f = hermite_coefficients("hard_tanh", 0.8, 60), get_activation("hard_tanh").phi
    assert np.sum(a**2 * 0.5 ** np.arange(61)) == pytest.approx(expect2(f, f, 0.8, 0.5, kinks=(-1, 1)), rel=1e-12)


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.2, 0.3), (1.5, 0.3), (2.0, 0.0), (2.5, 0.1)])
def test_the_fixed_point_is_c_star(sigma_w, sigma_b):
    q = q_star("tanh", sigma_w, sigma_b)
    series = CorrelationSeries("tanh", q, sigma_w, sigma_b)
    found = series.fixed_point(chi("tanh", sigma_w, sigma_b, q=q))
    assert found == pytest.approx(c_star("tanh", sigma_w, sigma_b), abs=1e-9)
    assert series.trajectory(0.4, 300)[-1] == pytest.approx(found, abs=1e-6)


def test_trajectories_of_several_pairs_go_side_by_side():
    series = CorrelationSeries("tanh", 1.0, 1.5, 0.3)
    both = series.trajectory(np.array([0.1, 0.8]), 5)
    assert both.shape == (5, 2)
    np.testing.assert_allclose(both[:, 1], series.trajectory(0.8, 5), rtol=1e-14)


@pytest.mark.parametrize(("q", "c", "word"), [(0.0, 0.1, "q"), (-1.0, 0.1, "q"), (1.0, 1.2, "c")])
def test_bad_arguments_are_refused(q, c, word):
    with pytest.raises(ArgumentError, match=f"^{word} must"):
        CorrelationSeries("tanh", q, 1.5)(c)
