"""The edges: closed forms against the library's spectra on both sides of L(1 - p) = 1, and sampled products."""

import numpy as np
import pytest
from scipy.special import erfcinv

from ortholab.explore import get
from ortholab.explore.gallery.edge_laws import MEASURED, WIDTH, log_edge, log_printed, measured
from ortholab.theory import JacobianSpectrum

LAWS = get("edge_laws")


@pytest.mark.parametrize("kind", ["orthogonal", "gaussian"])
@pytest.mark.parametrize("dead", [0.01, 0.2])
@pytest.mark.parametrize("depth", [3, 8, 40])
def test_the_exact_edge_is_the_librarys(kind, dead, depth):
    q = 0.5 / erfcinv(dead) ** 2  # hard-tanh with this share of dead units
    truth = JacobianSpectrum("hard_tanh", depth, q=q, weights=kind)
    assert log_edge(np.array([float(depth)]), 1 - dead, kind)[0] == pytest.approx(truth.log_edges[1], abs=1e-9)
    near = LAWS.picture(kind=kind, dead=0.05, depth=8).facts["variance"]
    assert near == pytest.approx(8 * (0.05 if kind == "orthogonal" else 1) / 0.95)


def test_the_printed_edge_is_too_low_exactly_in_the_isometric_regime():
    L, p = np.arange(2.0, 60.0), 0.95
    gap = log_edge(L, p, "orthogonal") - log_printed(L, p, "orthogonal")
    assert np.all(gap[L * 0.05 < 0.99] > 0)
    assert np.all(gap[L * 0.05 > 1.01] == 0)
    late = np.array([1e5])
    assert log_edge(late, p, "gaussian") - log_printed(late, p, "gaussian") == pytest.approx(1, abs=1e-4)


def test_sampled_products_keep_their_unharmed_directions():
    top, _ = measured(0.995, "orthogonal")
    for depth, found in zip(MEASURED, top, strict=True):
        if depth * 0.005 < 0.3:  # enough directions are left in 60 that none is met by a dead unit
            assert found == pytest.approx(0.995**-depth, rel=1e-10)
    _, variance = measured(0.5, "gaussian")
    assert np.abs(np.log2(variance[:3] * 0.5 / MEASURED[:3])).max() < 1
    assert WIDTH == 60  # the caption says so


def test_the_readout_names_the_regime():
    assert "no dead unit meets" in LAWS.picture(depth=19).readout
    assert "(7) is exact" in LAWS.picture(depth=23).readout
    assert "the factor is e" in LAWS.picture(kind="gaussian").readout
