"""The critical line: the book's table, Figure 2's points, and a second quadrature that shares no code."""

import itertools

import numpy as np
import pytest
from scipy import integrate, optimize

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import chi, critical_at, critical_point, critical_points, get_activation, own_activation

# sigma_b: (sigma_w, q*) for tanh, hard-tanh, erf
TABLE = {
    0.0: ((1, 0), (1, 0), (1, 0)),
    0.05: ((1.12254, 0.15369), (1.00885, 0.17705), (1.11199, 0.16839)),
    0.1: ((1.19340, 0.27330), (1.02570, 0.25915), (1.17657, 0.29167)),
    0.3: ((1.39558, 0.76348), (1.11614, 0.60157), (1.36230, 0.77802)),
    1.0: ((1.85559, 3.03640), (1.43969, 2.38781), (1.79532, 2.98859)),
}
ROWS = [(b, name, row[i]) for b, row in TABLE.items() for i, name in enumerate(("tanh", "hard_tanh", "erf"))]


@pytest.mark.parametrize(("sigma_b", "name", "want"), ROWS)
def test_the_table_of_critical_points(sigma_b, name, want):
    point = critical_point(name, sigma_b)
    assert (point.sigma_w, point.q) == pytest.approx(want, abs=1e-4)


def _quad(f, q):
    breaks = sorted({0.0, 1 / q**0.5, -1 / q**0.5})
    edges = [-12, *breaks, 12] if breaks[-1] < 12 else [-12, 0, 12]
    density = lambda z: f(q**0.5 * z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    return sum(
        integrate.quad(density, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0] for a, b in itertools.pairwise(edges)
    )


@pytest.mark.parametrize(("sigma_b", "name"), [(b, n) for b, n, _ in ROWS if b > 0])
def test_against_an_independent_quadrature(sigma_b, name):
    """scipy.integrate.quad (QUADPACK) and Newton on both conditions at once, to 1e-8."""
    activation = get_activation(name)

    def gap(v):
        square, slope = _quad(lambda h: activation.phi(h) ** 2, v[1]), _quad(lambda h: activation.dphi(h) ** 2, v[1])
        return [v[0] ** 2 * slope - 1, v[0] ** 2 * square + sigma_b**2 - v[1]]

    point = critical_point(name, sigma_b)
    other = optimize.fsolve(gap, [point.sigma_w * 1.01, point.q * 0.99], xtol=1e-13)
    assert (point.sigma_w, point.q) == pytest.approx(tuple(other), abs=1e-8)


@pytest.mark.parametrize(("b2", "w2", "q"), [(0.05, 1.7610, 0.570), (0.15, 2.1505, 0.997), (0.25, 2.4015, 1.318)])
def test_the_points_of_figure_2(b2, w2, q):
    point = critical_point("tanh", b2**0.5)
    assert (point.sigma_w**2, point.q) == pytest.approx((w2, q), abs=1e-3)


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "erf"])
@pytest.mark.parametrize("q", [0.05, 0.4, 3.0])
def test_the_line_by_q_meets_both_conditions(name, q):
    point = critical_at(name, q)
    assert chi(name, point.sigma_w, point.sigma_b) == pytest.approx(1.0, abs=1e-10)
    assert critical_point(name, point.sigma_b).sigma_w == pytest.approx(point.sigma_w, abs=1e-8)
    assert point.is_stable(name)


def test_rounding_near_the_axis_is_no_critical_point():
    softsign = own_activation("softsign", lambda x: x / (1 + np.abs(x)), kinks=(0.0,))
    assert [p.q for p in critical_points(softsign, 0.0)] == [0.0]
    assert critical_point(softsign, 0.2).q > 0.1


def test_activations_that_do_not_saturate():
    (edge,) = critical_points("gelu", 0.05)
    assert chi("gelu", edge.sigma_w, 0.05, q=edge.q) == pytest.approx(1.0, abs=1e-12)
    assert not edge.is_stable("gelu")  # critical on paper, but no deep layer stays there
    (start,) = critical_points("gelu", 0.0)
    assert (start.sigma_w, start.q, start.is_stable("gelu")) == (2.0, 0.0, False)  # marginal, and it repels
    assert critical_point("tanh", 0.0).is_stable("tanh") is True
    assert critical_point("gelu", 0.5).is_stable("gelu")  # further out GELU's critical points attract
    with pytest.raises(NoFixedPointError, match=r"only at sigma_w = 1\.41421"):
        critical_points("relu", 0.1)
    with pytest.raises(ArgumentError, match="sigma_b"):
        critical_points("tanh", -0.1)
    with pytest.raises(ArgumentError, match="q must"):
        critical_at("tanh", -0.1)
