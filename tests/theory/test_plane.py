"""The table of averages against the point-by-point theory, and the critical line."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import PhasePlane, chi, critical_at, own_activation, q_star


@pytest.mark.parametrize("name", ["tanh", "erf", "hard_tanh", "relu", "linear", "gelu", "silu"])
def test_the_map_is_chi_and_q_star_at_every_point(name):
    plane, rng = PhasePlane(name), np.random.default_rng(0)
    points = np.column_stack([rng.uniform(0.5, 3, 8), rng.uniform(0.02, 1, 8)])
    points = np.vstack([points, [[0.8, 0.0], [1.0, 0.0], [1.7, 0.0], [1.2, 0.3]]])
    for (w, b), found, q in zip(points, plane.chi(*points.T), plane.q_star(*points.T), strict=True):
        try:
            truth = q_star(name, w, b)
        except NoFixedPointError:
            assert np.isnan(q)
        else:
            assert q == pytest.approx(truth, rel=2e-6, abs=1e-12)
            assert plane.polished(w, b) == pytest.approx(truth, rel=1e-11, abs=1e-300)
        try:
            assert found == pytest.approx(chi(name, w, b), rel=2e-6)
        except NoFixedPointError:
            assert np.isnan(found)


@pytest.mark.parametrize("name", ["tanh", "erf", "hard_tanh", "gelu"])
def test_the_critical_line_is_critical_at_of_its_q(name):
    line = PhasePlane(name).critical_line()
    for i in range(0, line.q.size, 40):
        point = critical_at(name, line.q[i])
        assert (line.sigma_w[i], line.sigma_b[i]) == pytest.approx((point.sigma_w, point.sigma_b), rel=1e-9)


def test_there_is_no_critical_line_for_degree_one():
    assert PhasePlane("relu").critical_line().q.size == 0


def test_an_activation_that_overflows_gets_a_shorter_table():
    grows = own_activation("sinh", np.sinh, np.cosh)
    plane = PhasePlane(grows)
    assert 10 < plane.q_top < 1e4
    assert plane.chi(0.5, 0.5) == pytest.approx(chi(grows, 0.5, 0.5), rel=2e-5)  # q* is nearly marginal here
    assert np.isnan(plane.chi(2.0, 0.5))


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.0, 0.1), (1.0, -0.1), (np.nan, 0.1)])
def test_bad_points_are_refused(sigma_w, sigma_b):
    with pytest.raises(ArgumentError, match="sigma_"):
        PhasePlane("tanh").chi(sigma_w, sigma_b)
