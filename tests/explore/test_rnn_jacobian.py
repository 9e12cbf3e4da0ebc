"""The Jacobian through time: its critical gain, its rates and its points against the library's other ways to them."""

from __future__ import annotations

import numpy as np
import pytest

from ortholab import explore
from ortholab.errors import ArgumentError
from ortholab.explore.gallery import rnn_jacobian as this
from ortholab.theory import chi, critical_gain, expect, log_singular_values, q_star
from ortholab.theory.recurrent import trajectory

EXPLORABLE = explore.get("rnn_jacobian")


@pytest.mark.parametrize("variance", [0.001, 0.1, 1.0])
def test_critical_gain(variance):
    facts = EXPLORABLE.picture(variance=variance).facts
    assert facts["critical gain"] == pytest.approx(critical_gain("tanh", variance), abs=1e-9)


def test_rates_over_the_gain():
    """The curves are solved for the gain; the library iterates the map at that gain instead."""
    gains, rms, mean, _ = this._rates(0.1)
    for k in (12, 24, 36):
        q = q_star("tanh", gains[k], 0.1**0.5)
        assert rms[k] == pytest.approx(0.5 * np.log(chi("tanh", gains[k], 0.1**0.5)), abs=1e-8)
        slope = expect(lambda h: np.log(1 / np.cosh(h) ** 2), q)
        assert mean[k] == pytest.approx(np.log(gains[k]) + slope, abs=1e-8)


@pytest.mark.parametrize("kind", ["orthogonal", "gaussian"])
def test_points_are_singular_values_of_the_product(kind):
    W, drive = this._draws(kind)
    factors = trajectory("tanh", 1.5 * W, 0.1**0.5 * drive).factors(0, 8)
    logs = log_singular_values(factors)  # never forms the product
    largest, rms, mean = this._measured(kind, 1.5, 0.1)[:, this.MEASURED.index(8)]
    expected = logs.max(), 0.5 * np.log(np.mean(np.exp(2 * logs))), logs.mean()
    np.testing.assert_allclose((largest, rms, mean), expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["orthogonal", "gaussian"])
@pytest.mark.parametrize(("gain", "variance"), [(0.8, 0.01), (1.4, 0.1), (1.8, 1.0)])
def test_theory_meets_one_network(kind, gain, variance):
    """One network of 64 units scatters about the theory, Gaussian weights more than orthogonal ones."""
    facts = EXPLORABLE.picture(kind=kind, gain=gain, variance=variance).facts
    assert facts["log rms s, measured"] == pytest.approx(facts["log rms s, theory"], abs=0.9)
    assert facts["mean log s, measured"] == pytest.approx(facts["mean log s, theory"], abs=1.2)


def test_no_gain_holds_the_typical_one():
    for variance in (0.001, 0.01, 0.1, 1.0):
        assert EXPLORABLE.picture(variance=variance).facts["best rate of mean log s"] < 0


def test_bad_values_are_named():
    with pytest.raises(ArgumentError, match="variance"):
        EXPLORABLE.picture(variance=0.0)
    with pytest.raises(ArgumentError, match="kind"):
        EXPLORABLE.picture(kind="haar")
