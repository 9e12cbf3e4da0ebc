"""The correlation map, c*, and the depth scales, against closed forms and simulated pairs of inputs."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import (
    c_star,
    chi,
    correlation_map,
    correlation_slope,
    covariance_map,
    critical_point,
    depth_scales,
    q_star,
    simulate,
)


def test_relu_is_the_arc_cosine_kernel():
    c = np.linspace(-1, 1, 9)
    angle = np.arccos(c)
    want = (np.sin(angle) + (np.pi - angle) * c) / np.pi
    np.testing.assert_allclose(correlation_map("relu", c, 2**0.5), want, atol=1e-13)


def test_erf_is_the_arc_sine_law():
    sigma_w, sigma_b = 1.5, 0.3
    q = q_star("erf", sigma_w, sigma_b)
    want = sigma_w**2 * 2 / np.pi * np.arcsin(np.pi * q * 0.4 / (2 + np.pi * q)) + sigma_b**2
    assert covariance_map("erf", q, 0.4, sigma_w, sigma_b) == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "hard_tanh", "erf"])
def test_one_is_always_fixed_and_chi_decides_whether_it_attracts(activation):
    for sigma_w in (0.8, 1.8):
        assert correlation_map(activation, 1.0, sigma_w, 0.2) == pytest.approx(1.0, abs=1e-12)
        inside = c_star(activation, sigma_w, 0.2)
        assert (inside == 1.0) == (chi(activation, sigma_w, 0.2) <= 1)
        assert correlation_map(activation, inside, sigma_w, 0.2) == pytest.approx(inside, abs=1e-10)
        assert correlation_slope(activation, inside, sigma_w, 0.2) < 1


def test_slope_by_finite_differences():
    step = 1e-5
    slope = (correlation_map("tanh", 0.5 + step, 1.7, 0.2) - correlation_map("tanh", 0.5 - step, 1.7, 0.2)) / (2 * step)
    assert correlation_slope("tanh", 0.5, 1.7, 0.2) == pytest.approx(slope, rel=1e-8)


def test_depth_scales_diverge_towards_the_edge_and_xi_c_is_minus_one_over_log_chi_in_order():
    edge = critical_point("tanh", 0.3).sigma_w
    far, near = depth_scales("tanh", edge - 0.1, 0.3), depth_scales("tanh", edge - 0.01, 0.3)
    assert near.xi_c > 5 * far.xi_c
    assert near.xi_c == pytest.approx(-1 / np.log(chi("tanh", edge - 0.01, 0.3)), rel=1e-9)
    assert depth_scales("tanh", edge + 0.01, 0.3).xi_c > 5 * depth_scales("tanh", edge + 0.1, 0.3).xi_c
    assert depth_scales("tanh", edge, 0.3).xi_c == np.inf
    assert near.xi_q < near.xi_c


@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("sigma_w", [1.0, 2.5])
def test_a_simulated_pair_follows_the_map(kind, sigma_w):
    """N = 500, 6 layers, 16 networks, two inputs at correlation .5 and variance q*: within .03 of the iterated map."""
    sigma_b, width, depth = 0.3, 500, 6
    q = q_star("tanh", sigma_w, sigma_b)
    wanted = [0.5]
    for _ in range(depth - 1):
        wanted.append(correlation_map("tanh", wanted[-1], sigma_w, sigma_b))
    measured = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        # Two inputs whose first pre-activations have covariance q* and correlation .5.
        gram = (q * np.array([[1, 0.5], [0.5, 1]]) - sigma_b**2) / sigma_w**2
        z = np.linalg.qr(rng.standard_normal((width, 2)))[0] * np.sqrt(width)
        x = (z @ np.linalg.cholesky(gram).T).T
        signals = simulate.propagate(
            "tanh", x, depth=depth, width=width, sigma_w=sigma_w, sigma_b=sigma_b, kind=kind, rng=rng
        )
        measured.append(signals.correlation[:, 0, 1])
    assert np.abs(np.mean(measured, axis=0) - wanted).max() < 0.03


def test_where_correlations_mean_nothing_it_is_said():
    with pytest.raises(NoFixedPointError, match=r"q\* = 0"):
        depth_scales("tanh", 0.8)
    with pytest.raises(NoFixedPointError, match="does not exist"):
        c_star("relu", 1.5, 0.1)
    for bad in (1.1, -2, np.nan):
        with pytest.raises(ArgumentError, match="c must"):
            correlation_map("tanh", bad, 1.5)
    with pytest.raises(ArgumentError, match="q must"):
        correlation_map("tanh", 0.5, 1.5, q=0.0)
