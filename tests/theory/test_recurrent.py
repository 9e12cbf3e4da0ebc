"""The mean field of recurrent networks against quadrature, simulation and published numbers."""

from __future__ import annotations

import pytest

from ortholab.errors import ArgumentError
from ortholab.theory.recurrent import critical_gain


@pytest.mark.parametrize(("variance", "gain"), [(2e-5, 1.025), (0.01, 1.193), (0.1, 1.409), (0.5, 1.686)])
def test_critical_gain_of_tanh(variance: float, gain: float):
    assert critical_gain("tanh", variance) == pytest.approx(gain, abs=6e-4)


@pytest.mark.parametrize("variance", [-1.0, float("nan"), "much", None])
def test_bad_variance_is_named(variance):
    with pytest.raises(ArgumentError, match="input_variance"):
        critical_gain("tanh", variance)
