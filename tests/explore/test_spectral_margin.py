"""The spectral margin: products against plain linear algebra, the bound, and the ring of the eigenvalues."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.explore import get
from ortholab.explore.gallery.spectral_margin import STEPS, _factor_a_step, _turns, _unit_parameters, band
from ortholab.theory import haar, log_singular_values

MARGIN = get("spectral_margin")


def marks(**values):
    return MARGIN.picture(**values).panels[1].marks[3:]


@pytest.mark.parametrize("each", ["same", "new"])
def test_both_ends_against_an_accurate_product(each):
    s = np.array(MARGIN.picture(margin=0.5, each=each).panels[0].marks[3]["y"])
    turns = _turns()[:16] if each == "new" else [_turns()[0]] * 16
    top, low = (series["y"][STEPS.index(16)] for series in marks(margin=0.5, each=each))
    used = band(2 * _unit_parameters(), 0.5)  # the panel shows them sorted, the product needs their order
    np.testing.assert_allclose(np.sort(used), s)
    logs = log_singular_values([Q * used for Q in turns]) / 16
    assert (top, low) == pytest.approx((np.exp(logs[0]), np.exp(logs[-1])), rel=1e-10)


@pytest.mark.parametrize("each", ["same", "new"])
@pytest.mark.parametrize("margin", [0.1, 1.0])
def test_the_bound_holds_and_is_met_by_one_step(each, margin):
    top, low = (np.array(series["y"]) for series in marks(margin=margin, spread=4.0, each=each))
    assert np.all(top <= 1 + margin)
    assert np.all(low >= 1 - margin)
    assert top[0] > 1 + 0.9 * margin
    assert np.all(top[1:] < top[0])


def test_no_margin_is_no_growth():
    facts = MARGIN.picture(margin=0.0).facts
    assert facts["powers of ten allowed"] == 0
    assert facts["powers of ten made"] == pytest.approx(0, abs=1e-10)


def test_wide_matrices_reach_the_root_mean_square():
    """The dashed lines: the outer radius of the ring, and the factor a step of a product of new matrices."""
    s = 1 + 0.5 * np.tanh(np.linspace(-2, 2, 300))
    rms = np.sqrt(np.mean(s**2))
    assert np.abs(np.linalg.eigvals(haar(300, rng=0) * s)).max() == pytest.approx(rms, rel=0.03)
    s = np.random.default_rng(0).permutation(1 + 0.5 * np.tanh(np.linspace(-2, 2, 60)))
    factors = haar(60, rng=1, batch=(STEPS[-1],)) * s
    assert _factor_a_step(factors)[-1] == pytest.approx(np.sqrt(np.mean(s**2)), rel=0.02)


def test_margins_stay_in_their_range():
    with pytest.raises(ArgumentError, match="margin"):
        MARGIN.picture(margin=1.5)
