"""The start for a depth: both conditions of criticality, the spread asked for, the narrowest where none is."""

import numpy as np
import pytest
from scipy import integrate, stats

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import ELU, GELU, SELU, SIGMOID, SOFTPLUS, isometric_start, leaky_relu, relative_spread
from ortholab.theory.activations import get_activation


def average(f, q):
    """E f(h), h ~ N(0, q), by scipy's adaptive quadrature: an oracle that is not ours."""
    root = np.sqrt(q)
    parts = [(-12, -1 / root), (-1 / root, 0), (0, 1 / root), (1 / root, 12)] if 1 / root < 12 else [(-12, 0), (0, 12)]
    return sum(integrate.quad(lambda z: f(root * z) * stats.norm.pdf(z), a, b, limit=200)[0] for a, b in parts)


@pytest.mark.parametrize("depth", [10, 200])
@pytest.mark.parametrize("activation", ["tanh", "erf", "hard_tanh", "silu", GELU, ELU, SELU])
def test_it_is_critical_and_as_narrow_as_asked_for(activation, depth):
    start = isometric_start(activation, depth)
    phi = get_activation(activation)
    f = lambda g: average(lambda h: float(g(np.array([h]))[0]), start.q)  # noqa: E731
    slope, fourth = f(lambda h: phi.dphi(h) ** 2), f(lambda h: phi.dphi(h) ** 4)
    assert start.sigma_w**2 * slope == pytest.approx(1, abs=1e-6)
    assert start.sigma_w**2 * f(lambda h: phi.phi(h) ** 2) + start.sigma_b**2 == pytest.approx(start.q, rel=1e-5)
    assert start.spread == pytest.approx(depth * (fourth / slope**2 - 1), rel=1e-4)
    assert start.isometric == (activation is not SELU)
    if start.isometric:
        assert start.spread == pytest.approx(0.25, rel=1e-5)


def test_tanh_wants_q_like_one_over_the_root_of_the_depth():
    for depth in (1000, 10_000):
        assert isometric_start("tanh", depth).q == pytest.approx(1 / np.sqrt(32 * depth), rel=0.05)


def test_functions_that_cannot_be_isometric():
    assert isometric_start("relu", 50).spread == pytest.approx(50)
    leaky = isometric_start(leaky_relu(0.5), 10)
    assert leaky.sigma_w**2 == pytest.approx(2 / 1.25)
    assert leaky.spread == pytest.approx(10 * (0.5 * (1 + 0.5**4) / 0.625**2 - 1))
    assert not isometric_start(SIGMOID, 10).isometric
    sigmoid = isometric_start(SIGMOID, 200)  # its critical line begins at q = 45.6, and there it is narrowest
    assert sigmoid.sigma_b == pytest.approx(0, abs=1e-4)
    q = sigmoid.q
    phi = average(lambda h: float(SIGMOID.phi(np.array([h]))[0]) ** 2, q)
    slope = average(lambda h: float(SIGMOID.dphi(np.array([h]))[0]) ** 2, q)
    assert phi / slope == pytest.approx(q, rel=1e-5)
    assert relative_spread(SIGMOID, q) < relative_spread(SIGMOID, 1.02 * q)
    with pytest.raises(NoFixedPointError, match="softplus"):
        isometric_start(SOFTPLUS, 10)


def test_selu_keeps_variance_one_at_sigma_w_one():
    assert SELU.mean_square(1.0) == pytest.approx(1, abs=1e-9)
    assert relative_spread("linear", 2.0) == 0


@pytest.mark.parametrize(("depth", "spread", "name"), [(0, 0.25, "depth"), (3, 0.0, "spread"), (2.5, 1, "depth")])
def test_bad_input(depth, spread, name):
    with pytest.raises(ArgumentError, match=name):
        isometric_start("tanh", depth, spread)
