"""The spectrum: theory against the library's own, networks against simulate, atoms and edges."""

import numpy as np
import pytest

from ortholab.explore import get
from ortholab.explore.gallery.jacobian_spectrum import WIDTH, sampled, share_above
from ortholab.theory import JacobianSpectrum, critical_at, trace_spectrum

SPECTRA = get("jacobian_spectrum")
Q = next(c for c in SPECTRA.controls if c.name == "q").values


@pytest.mark.parametrize(("phi", "kind", "depth"), [
    ("tanh", "orthogonal", 8), ("erf", "gaussian", 32), ("hard_tanh", "orthogonal", 16), ("relu", "orthogonal", 4),
])  # fmt: skip
def test_facts_and_lines_are_the_spectrums(phi, kind, depth):
    picture = SPECTRA.picture(phi=phi, kind=kind, depth=depth)
    truth = JacobianSpectrum(phi, depth, q=0.25, weights=kind)
    assert picture.facts["s_{max}"] == pytest.approx(truth.s_max, rel=1e-9)
    assert picture.facts["variance of s^{2}"] == pytest.approx(truth.variance, rel=1e-9)
    line = next(m for m in picture.panels[0].marks if m["kind"] == "line")
    log_lambda = 2 * np.log(10) * np.array(line["x"])
    np.testing.assert_allclose(line["y"], truth.density_of_log(log_lambda) * 2 * np.log(10), atol=1e-5)
    share, place = share_above(trace_spectrum(phi, depth, q=0.25, weights=kind, lowest=-14))
    inside = slice(2, None, 7)
    above = 1 - truth.cdf_of_s(10 ** place[inside] * (1 + 1e-12))
    np.testing.assert_allclose(share[inside], above, atol=0.02)


@pytest.mark.parametrize(("phi", "kind"), [("tanh", "orthogonal"), ("hard_tanh", "orthogonal"), ("relu", "gaussian")])
def test_the_networks_have_the_critical_point_and_follow_the_law(phi, kind):
    point = critical_at(phi, 0.25) if phi != "relu" else None
    sigma_w = point.sigma_w if point else 2**0.5
    s = sampled(phi, kind, 8, 0.25, sigma_w)
    assert s.shape == (2, WIDTH)
    law = JacobianSpectrum(phi, 8, q=0.25, weights=kind)
    gap = np.abs(law.cdf_of_s(np.sort(s, axis=None)) - (np.arange(s.size) + 0.5) / s.size)
    ordered = np.sort(s, axis=None)
    spread = (ordered > 1e-6) & (ordered < 0.999 * sigma_w**8) if phi == "hard_tanh" else ordered > 1e-6
    assert gap[spread].max() < 0.08
    if phi == "hard_tanh":  # the unharmed directions are exact at every width
        assert s[:, 0] == pytest.approx(sigma_w**8, rel=1e-12)


def test_an_atom_is_a_level_piece_and_a_guide():
    picture = SPECTRA.picture(phi="hard_tanh", q=min(Q, key=lambda q: abs(q - 0.25)))
    guide = next(m for m in picture.panels[0].marks if m["kind"] == "guide")
    assert guide["label"] == "64% at one s"  # 1 - 8 P(|h| > 1) with P = erfc(sqrt 2)
    level = next(m for m in picture.panels[1].marks if m["kind"] == "line")
    assert level["y"][:2] == pytest.approx([picture.facts["s_{max}"]] * 2)
    assert level["x"][1] == pytest.approx(1 - 8 * 0.04550026, abs=1e-6)


def test_the_linear_orthogonal_network_is_isometric():
    picture = SPECTRA.picture(phi="linear", depth=32)
    assert picture.facts["s_{max}"] == 1.0
    assert picture.facts["variance of s^{2}"] == 0.0
    assert "the smallest is 1.00" in picture.readout


def test_what_is_dead_is_said():
    assert "of the s are below 0.1" in SPECTRA.picture(phi="relu").readout
