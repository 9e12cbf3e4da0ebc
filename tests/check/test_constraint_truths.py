"""What the checks of chapters III and IV take for true agrees with the library."""

from __future__ import annotations

import numpy as np
import pytest

from ortholab import check
from ortholab.check import gains, manifold, retractions
from ortholab.theory import critical_gain, haar, penalties, stiefel
from ortholab.theory.retractions import RETRACTIONS

SHAPES = ((6, 3), (4, 4), (5, 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_directions_and_cayley_s_step_are_the_library_s(shape):
    rng = np.random.default_rng(0)
    W, Z = haar(*shape, rng=rng), rng.standard_normal(shape)
    X = manifold.tangent(W, Z)
    assert np.allclose(X, stiefel.tangent_projection(W, Z))
    assert np.allclose(retractions.cayley(W, X), RETRACTIONS["cayley"](W, X))


def test_the_library_s_functions_pass():
    check.tangent_projection(stiefel.tangent_projection)
    for move in RETRACTIONS.values():
        check.retraction(move)
    check.qr_retraction(RETRACTIONS["qr"])
    check.cayley_retraction(RETRACTIONS["cayley"])
    check.lean(RETRACTIONS["cayley"])
    check.srip(penalties.srip)
    check.srip_gradient(penalties.srip_gradient)


def test_equal_gains_give_the_gain_adjusted_penalty():
    W = np.random.default_rng(0).standard_normal((5, 3))
    right, _ = gains._gradients(W, np.full(3, 1.3))
    assert np.allclose(right, penalties.gain_adjusted_gradient(W, 1.3))
    assert np.sum(gains._error(W, np.full(3, 1.3)) ** 2) == pytest.approx(float(penalties.gain_adjusted(W, 1.3)))


def test_equal_drives_give_the_critical_gain():
    check.alternating_gain(lambda v_on, v_off: critical_gain("tanh", v_on), drives=((0.1, 0.1), (0.5, 0.5)))
