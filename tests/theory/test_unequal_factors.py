"""Unequal factors: an ODE solver, the closed forms of equal factors, and a trained deep linear network."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ortholab.errors import ArgumentError
from ortholab.theory import deep_linear as dl
from ortholab.theory import haar
from ortholab.theory.unequal_factors import factors_at, unequal_learning_times


@pytest.mark.parametrize("n", [1, 2, 3, 10, 64])
@pytest.mark.parametrize(("s", "u0"), [(1.0, 0.01), (3.0, 0.2), (0.5, 1e-3)])
def test_equal_factors_are_the_known_case(n, s, u0):
    u = np.array([u0, 0.3 * s, 0.95 * s])
    known = [dl.learning_time(u0, v, n, s=s, tau=2.0) for v in u]
    times = unequal_learning_times(u, np.full(n, u0 ** (1 / n)), s=s, tau=2.0)
    np.testing.assert_allclose(times, known, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("factors", [[0.5, 0.1, 0.2], [1.0, 0.01], [0.05, 1.1, 1.0, 1.0], [3.0, 0.1, 0.1, 0.1]])
def test_unequal_factors_against_an_ode_solver(factors):
    s, u = 1.2, np.array([0.2, 0.6, 1.1])
    times = unequal_learning_times(u, factors, s=s)
    ode = solve_ivp(
        lambda t, a: np.prod(a) / a * (s - np.prod(a)),
        (0, times[-1]),
        factors,
        "DOP853",
        rtol=1e-12,
        atol=1e-14,
        t_eval=times,
    )
    np.testing.assert_allclose(ode.y.prod(axis=0), u, rtol=1e-9)
    np.testing.assert_allclose(factors_at(u, factors), ode.y.T, rtol=1e-9)


def test_a_trained_network_follows_an_unbalanced_start():
    """Three 4 x 4 matrices in random frames, one mode with the factors 0.05, 1, 0.8."""
    factors, s, step = np.array([0.05, 1.0, 0.8]), 1.5, 2e-4
    frames = [np.eye(4), haar(4, rng=1), haar(4, rng=2), np.eye(4)]
    W = [a * np.outer(frames[i + 1][:, 0], frames[i][:, 0]) for i, a in enumerate(factors)]
    target = np.zeros((4, 4))
    target[0, 0] = s
    end = unequal_learning_times(0.9 * s, factors, s=s)
    u = dl.train(W, target, step=step, steps=round(end / step), every=round(end / step))[-1][0, 0]
    assert u == pytest.approx(0.9 * s, rel=2e-3)


def test_shapes_and_refusals():
    assert isinstance(unequal_learning_times(0.5, [0.5, 0.5]), float)
    assert unequal_learning_times(np.full((2, 3), 0.5), [0.5, 0.5]).shape == (2, 3)
    assert unequal_learning_times(0.25, [0.5, 0.5]) == 0.0
    for u, factors, name in (
        (0.5, [0.0, 1.0], "factors"),
        (0.5, [2.0, 1.0], "factors"),
        (1.0, [0.5, 0.5], "u"),
        (0.1, [0.5, 0.5], "u"),
        (np.nan, [0.5, 0.5], "u"),
        (0.5, [], "factors"),
    ):
        with pytest.raises(ArgumentError, match=name):
            unequal_learning_times(u, factors)
    with pytest.raises(ArgumentError, match="u must"):
        factors_at(np.array(0.0), [0.5])
