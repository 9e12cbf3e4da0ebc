"""Saxe's modes: the page's learning times, descent on the curves, and which imbalance helps."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.explore import get
from ortholab.theory import deep_linear

SAXE = get("saxe_modes")


@pytest.mark.parametrize("n", [1, 2, 10, 64])
@pytest.mark.parametrize("share", [0.01, 0.9])
def test_balanced_steps_are_those_of_the_theory(n, share):
    facts = SAXE.picture(n=n, share=share, weak=0.5).facts
    assert facts["steps, strong mode"] == pytest.approx(deep_linear.steps_to_learn(share, 0.95, n), rel=1e-10)
    weak = deep_linear.scaled_learning_time(share / 2, 0.475, n, s=0.5)  # the step size is the strong mode's
    assert facts["steps, weak mode"] == pytest.approx(weak, rel=1e-10)


@pytest.mark.parametrize("ratio", [0.01, 1.0, 100.0])
def test_descent_lies_on_the_curves(ratio):
    panel = SAXE.picture(n=10, ratio=ratio).panels[0]
    for line, points in (panel.marks[:2], panel.marks[2:]):
        on_curve = np.interp(points["x"], line["x"], line["y"])
        assert len(points["x"]) >= 8
        np.testing.assert_allclose(points["y"], on_curve, atol=0.04)


def test_a_small_factor_helps_and_a_large_one_does_not():
    price = {ratio: SAXE.picture(n=64, ratio=ratio).facts["in units of two matrices"] for ratio in (0.01, 1.0, 100.0)}
    assert price[0.01] < price[1.0] / 5
    assert price[100.0] == pytest.approx(price[1.0], rel=0.01)


def test_only_declared_starts():
    with pytest.raises(ArgumentError, match="share"):
        SAXE.picture(share=0.0)
