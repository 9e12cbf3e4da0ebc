"""Products of matrices: one growing product against numpy, its law against quantiles, and the gain as a shift."""

import numpy as np
import pytest

from ortholab.explore import get
from ortholab.explore.gallery.matrix_products import DEPTHS, law, sampled
from ortholab.theory import fuss_catalan_cdf, fuss_catalan_edge

PRODUCTS = get("matrix_products")


def test_depths_are_those_of_the_control():
    assert next(c for c in PRODUCTS.controls if c.name == "depth").values == DEPTHS


def test_the_product_is_one_that_grows_and_follows_the_law():
    logs = sampled("gaussian")
    for d, values in zip(DEPTHS, logs, strict=True):
        rank = (np.arange(values.size) + 0.5) / values.size
        assert np.abs(fuss_catalan_cdf(10 ** np.sort(values), d) - rank).max() < 0.13
    assert np.all(np.diff(logs[:, -1]) < 0)
    assert np.all(sampled("orthogonal") == 0)


@pytest.mark.parametrize("depth", [1, 8, 32])
def test_quantiles_and_density_are_fuss_catalan(depth):
    place, density, at = law("gaussian", depth)
    assert fuss_catalan_cdf(10 ** at[:3], depth) == pytest.approx([0.25, 0.5, 0.75], abs=2e-3)
    assert 10 ** at[3] == pytest.approx(fuss_catalan_edge(depth))
    below = fuss_catalan_cdf(10 ** place[0], depth)
    assert np.trapezoid(density, place) + below == pytest.approx(1, abs=0.04)


def test_a_gain_shifts_the_logarithms_and_nothing_else():
    at_one, at_two = (PRODUCTS.picture(depth=16, gain=g).facts for g in (1.0, 1.41))
    assert at_two["median s"] / at_one["median s"] == pytest.approx(1.41**16)
    name = "condition number of the product"
    assert at_two[name] == pytest.approx(at_one[name])
    turned = PRODUCTS.picture(kind="orthogonal", depth=16, gain=1.41)
    assert turned.facts["largest s"] == pytest.approx(1.41**16)
    assert "only turns" in turned.readout
