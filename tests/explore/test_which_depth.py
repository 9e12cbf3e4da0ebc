"""Which depth: the scales of the theory, a sampled network near it, and points without a fixed point."""

import numpy as np
import pytest

from ortholab.explore import get
from ortholab.explore.gallery._deep_sample import AMPLIFIED, LOOKS
from ortholab.theory import JacobianSpectrum, chi, correlation_map, depth_scales

DEPTH = get("which_depth")


@pytest.mark.parametrize(("phi", "sigma_w"), [("tanh", 1.1), ("tanh", 2.0), ("erf", 1.3), ("relu", 1.2)])
def test_scale_and_both_directions_are_those_of_the_theory(phi, sigma_w):
    picture = DEPTH.picture(phi=phi, sigma_w=sigma_w, depth=2)
    assert picture.facts["χ"] == pytest.approx(chi(phi, sigma_w, 0.2), rel=1e-8)
    assert picture.facts["ξ_c"] == pytest.approx(depth_scales(phi, sigma_w, 0.2).xi_c, rel=1e-5)
    two = correlation_map(phi, correlation_map(phi, 0.5, sigma_w, 0.2), sigma_w, 0.2)
    assert picture.facts["1 − c at this depth"] == pytest.approx(1 - two, rel=1e-6)
    assert picture.panels[2].marks[0]["y"][-1] == pytest.approx(chi(phi, sigma_w, 0.2) ** 50, rel=1e-6)


def test_the_sampled_network_follows_where_it_is_wide_enough():
    ahead, back = DEPTH.picture(sigma_w=1.3, weights="orthogonal").panels[1:]
    layers = np.array(ahead.marks[2]["x"], dtype=int)
    wide = np.array(ahead.marks[0]["y"])[layers]
    np.testing.assert_allclose(ahead.marks[2]["y"][:8], wide[:8], rtol=0.15)  # later depth comes near the width of 60
    np.testing.assert_allclose(ahead.marks[2]["y"], wide, rtol=0.5)
    assert tuple(layers) == LOOKS
    assert np.abs(np.log(back.marks[2]["y"])).max() < 1


@pytest.mark.parametrize(("weights", "least"), [("gaussian", 0.5), ("orthogonal", 0.7)])
def test_the_largest_singular_value_is_the_ensembles(weights, least):
    top = DEPTH.picture(sigma_w=1.04, sigma_b=0.01, weights=weights).facts["largest, squared, 50 layers"]
    wide = JacobianSpectrum("tanh", 50, weights=weights, sigma_w=1.04, sigma_b=0.01).lambda_max
    assert least * wide < top < 1.05 * wide


def test_relu_without_a_fixed_point_says_so():
    picture = DEPTH.picture(phi="relu", sigma_w=1.5)
    assert "no fixed point" in picture.readout
    assert picture.declare()["facts"][1] == ["ξ_c", None]
    assert picture.facts["χ"] == pytest.approx(1.125)


def test_chaos_is_sampled_only_as_far_as_rounding_allows():
    picture = DEPTH.picture(sigma_w=3.0)
    last = picture.panels[1].marks[2]["x"][-1]
    assert picture.facts["χ"] ** (last / 2) <= AMPLIFIED
    assert picture.facts["largest, squared, 50 layers"] is None


def test_the_rule_is_read_right():
    assert "beyond it" in DEPTH.picture(sigma_w=0.9).readout
    assert "at its edge" in DEPTH.picture().readout
    assert "within it" in DEPTH.picture(depth=4).readout
    assert "no limit" in DEPTH.picture(sigma_w=1.04, sigma_b=0.01).readout
