"""The map of the difference against two-dimensional quadrature, the series at one point, and known fixed points."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import ERF, TANH, c_star, chi, correlation_map, depth_scales, q_star
from ortholab.theory import difference_map as dm
from ortholab.theory.hermite import hermite_coefficients

PLANE = [("tanh", 0.9, 0.3), ("tanh", 1.3, 0.2), ("tanh", 1.04, 0.01), ("tanh", 2.0, 0.2), ("erf", 1.5, 0.1)]


@pytest.mark.parametrize("q", [0.01, 1.0, 6.0])
def test_coefficients_add_up_and_follow_the_arc_sine(q):
    for phi in (TANH, ERF):
        assert dm.squared_coefficients(phi, q).sum() == pytest.approx(phi.mean_square(q), rel=1e-5)
    t = np.pi * q / (2 + np.pi * q)  # ERF is erf(sqrt(pi) x / 2): the covariance is (2 / pi) arcsin(t c)
    first = dm.squared_coefficients("erf", q)
    assert first[1] == pytest.approx(2 / np.pi * t, rel=1e-12)
    assert first[3] == pytest.approx(2 / np.pi * t**3 / 6, rel=1e-12)
    assert np.abs(first[0::2]).max() < 1e-28
    np.testing.assert_allclose(
        dm.squared_coefficients("silu", q), hermite_coefficients("silu", q, dm.TERMS - 1) ** 2, atol=1e-13
    )


@pytest.mark.parametrize(("phi", "sigma_w", "sigma_b"), PLANE)
def test_map_and_fixed_points_are_those_of_the_plane(phi, sigma_w, sigma_b):
    q = dm.bounded_q_star(phi, sigma_w, sigma_b)
    assert q == pytest.approx(q_star(phi, sigma_w, sigma_b), rel=1e-12)
    b = dm.map_coefficients(dm.squared_coefficients(phi, q), sigma_w, sigma_b)
    c = np.array([0.0, 0.5, 0.999])
    np.testing.assert_allclose(1 - dm.difference_map(1 - c, b), correlation_map(phi, c, sigma_w, sigma_b), atol=1e-9)
    assert dm.map_slope(0.0, b) == pytest.approx(chi(phi, sigma_w, sigma_b), rel=1e-8)
    e = dm.fixed_difference(b)
    assert 1 - e == pytest.approx(c_star(phi, sigma_w, sigma_b), abs=1e-10)
    assert dm.difference_map(e, b) == pytest.approx(e, rel=1e-13, abs=1e-300)
    assert -1 / np.log(dm.map_slope(e, b)) == pytest.approx(depth_scales(phi, sigma_w, sigma_b).xi_c, rel=1e-7)


def test_whole_lines_at_once_and_tiny_differences():
    sigma_w = np.linspace(0.8, 3, 9)
    q = dm.bounded_q_star("tanh", sigma_w, 0.2)
    b = dm.map_coefficients(dm.squared_coefficients("tanh", q), sigma_w, 0.2)
    e = dm.fixed_difference(b)
    for k in (0, 4, 8):
        alone = dm.map_coefficients(dm.squared_coefficients("tanh", q[k]), sigma_w[k], 0.2)
        assert dm.fixed_difference(alone) == pytest.approx(e[k], rel=1e-12)
    assert (e[0], e[-1] > 0.9) == (0.0, True)
    tiny = dm.difference_map(np.full(9, 1e-14), b)
    np.testing.assert_allclose(tiny / 1e-14, dm.map_slope(0.0, b), rtol=1e-10)


def test_refusals():
    with pytest.raises(ArgumentError, match="without kinks"):
        dm.squared_coefficients("relu", 1.0)
    with pytest.raises(ArgumentError, match="too few"):
        dm.squared_coefficients("tanh", 100.0, terms=10)
    with pytest.raises(ArgumentError, match="bounded by 1"):
        dm.bounded_q_star("linear", 0.5, 0.1)
    with pytest.raises(ArgumentError, match="sigma_b"):
        dm.bounded_q_star("tanh", 1.5, 0.0)
