"""Cobwebs: the staircases walk on the maps of the theory, to its fixed points."""

import numpy as np
import pytest

from ortholab.explore import get
from ortholab.explore.gallery.cobwebs import staircase
from ortholab.theory import c_star, chi, correlation_map, q_star, variance_map, variance_trajectory

WEBS = get("cobwebs")


def mark(panel, kind, which=0):
    return [m for m in panel.marks if m["kind"] == kind][which]


def test_a_staircase_goes_up_to_the_map_and_across_to_the_diagonal():
    x, y = staircase(np.array([3.0, 2.0, 1.5]))
    assert x.tolist() == [3.0, 3.0, 2.0, 2.0, 1.5]
    assert y.tolist() == [3.0, 2.0, 2.0, 1.5, 1.5]


@pytest.mark.parametrize(("phi", "w", "b"), [("tanh", 2.0, 0.3), ("hard_tanh", 1.2, 0.1), ("gelu", 1.2, 0.3)])
def test_maps_stairs_and_fixed_points_are_the_theorys(phi, w, b):
    picture = WEBS.picture(phi=phi, sigma_w=w, sigma_b=b)
    left, right = picture.panels
    curve = mark(left, "line", 1)
    assert curve["y"] == pytest.approx(variance_map(phi, np.array(curve["x"]), w, b), rel=1e-12)
    path = variance_trajectory(phi, 3.0, w, b, 13)
    assert picture.facts["q after 12 layers"] == pytest.approx(path[-1], rel=1e-12)
    assert mark(left, "trajectory")["x"][-1] == pytest.approx(path[-1], rel=1e-12)
    q = q_star(phi, w, b)
    assert (picture.facts["q^{*}"], picture.facts["χ"]) == pytest.approx((q, chi(phi, w, b)), rel=1e-10)
    curve = mark(right, "line", 1)
    at = slice(0, None, 20)
    assert curve["y"][at] == pytest.approx(correlation_map(phi, np.array(curve["x"][at]), w, b, q=q), abs=3e-5)
    assert picture.facts["c^{*}"] == pytest.approx(c_star(phi, w, b), abs=2e-4)


def test_the_end_leaves_one_where_chi_passes_one():
    below, above = (WEBS.picture(sigma_w=w).facts for w in (1.38, 1.4))
    assert below["χ"] < 1 < above["χ"]
    assert below["c^{*}"] == 1.0 > above["c^{*}"]


def test_death_growth_and_every_variance_are_said():
    dead = WEBS.picture(sigma_w=0.9, sigma_b=0.0)
    assert "dies out" in dead.readout
    assert dead.facts["c^{*}"] is None
    grows = WEBS.picture(phi="relu", sigma_w=2.0)
    assert "No single q^{*}" in grows.readout
    assert np.isnan(grows.facts["q^{*}"])
    free = WEBS.picture(phi="relu", sigma_w=1.4, sigma_b=0.0)  # the correlation does not ask for a fixed variance
    assert free.facts["c^{*}"] == 1.0


def test_a_start_at_a_fixed_point_stays():
    assert mark(WEBS.picture(start_c=1.0).panels[1], "trajectory")["x"] == pytest.approx([1.0] * 25, abs=1e-12)
    assert WEBS.picture(sigma_b=0.0, start_q=0.0).facts["q after 12 layers"] == 0.0
