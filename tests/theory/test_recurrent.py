"""Recurrent networks: the mean field against quadrature by scipy and against simulated networks; critical gains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import JacobianSpectrum, critical_point, log_singular_values, simulate, weights
from ortholab.theory.recurrent import (
    critical_gain,
    critical_gain_over_time,
    input_variances,
    log_chis,
    trajectory,
    variances,
)

KINDS = ("gaussian", "orthogonal")


def moment(f, q: float) -> float:
    """E f(sqrt(q) z), by scipy."""
    return quad(lambda z: f(q**0.5 * z) * np.exp(-z * z / 2) / (2 * np.pi) ** 0.5, -12, 12, epsabs=1e-13, limit=200)[0]


def sech4(a: float) -> float:
    return np.cosh(a) ** -4.0


# ---- critical gains -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("variance", "gain"), [(2e-5, 1.025), (0.01, 1.193), (0.1, 1.409), (0.5, 1.686)])
def test_critical_gains_of_tanh(variance: float, gain: float):
    assert critical_gain("tanh", variance) == pytest.approx(gain, abs=6e-4)


@pytest.mark.parametrize("variance", [0.01, 0.5])
def test_at_the_critical_gain_both_equations_hold(variance: float):
    """chi = 1 at the fixed point that iterating the map (scipy's quadrature) arrives at."""
    g, q = critical_gain("tanh", variance), variance
    for _ in range(400):
        q = g**2 * moment(lambda a: np.tanh(a) ** 2, q) + variance
    assert g**2 * moment(sech4, q) == pytest.approx(1, abs=2e-6)


def test_closed_forms():
    """erf: E phi'^2 = (1 + pi q)^(-1/2), E phi^2 = (2/pi) arcsin(pi q/(2 + pi q)), so v is a formula in q."""
    for q in (0.01, 0.3, 2.0):
        g2 = (1 + np.pi * q) ** 0.5
        variance = q - g2 * 2 / np.pi * np.arcsin(np.pi * q / (2 + np.pi * q))
        assert critical_gain("erf", variance) == pytest.approx(g2**0.5, rel=1e-9)
    assert critical_gain("linear", 0.7) == 1
    assert critical_gain("relu", 0.7) == pytest.approx(2**0.5, rel=1e-14)
    assert critical_gain("tanh", 0) == 1


def test_over_time_one_variance_is_the_fixed_point():
    """The start from h_0 = 0 shifts the answer by c/T: extrapolate it away from T = 100 and 200."""
    short, long = (critical_gain_over_time("tanh", np.full(steps, 0.1)) for steps in (100, 200))
    assert short < long < critical_gain("tanh", 0.1)
    assert 2 * long - short == pytest.approx(critical_gain("tanh", 0.1), abs=1e-3)


def test_over_time_by_hand_for_three_steps():
    """T = 3: the root of the sum of log chi_t, where every moment is scipy's."""
    drive = np.array([0.2, 0.0, 0.4])
    g = critical_gain_over_time("tanh", drive)
    q, total = 0.2, 0.0
    for v in (0.0, 0.4, None):
        total += np.log(g**2 * moment(sech4, q))
        q = None if v is None else g**2 * moment(lambda a: np.tanh(a) ** 2, q) + v
    assert total == pytest.approx(0, abs=1e-8)


def test_blank_steps_lower_the_critical_gain():
    busy = np.full(28, 0.06)
    blank = busy.copy()
    blank[:6] = 0
    assert critical_gain_over_time("tanh", blank) < critical_gain_over_time("tanh", busy) < critical_gain("tanh", 0.06)


# ---- the mean field -----------------------------------------------------------------------------------------------


def test_variances_against_scipy():
    drive = np.array([[0.3, 0.0, 0.1], [0.0, 0.5, 0.2]])
    found = variances("tanh", 1.3, drive, start=0.2)
    for row, v in zip(found, drive, strict=True):
        q = 1.69 * 0.2 + v[0]
        for t in range(3):
            assert row[t] == pytest.approx(q, rel=1e-10)
            if t < 2:
                q = 1.69 * moment(lambda a: np.tanh(a) ** 2, q) + v[t + 1]
    assert log_chis("tanh", 1.3, found)[0, 2] == pytest.approx(np.log(1.69 * moment(sech4, found[0, 2])), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("constant", [False, True], ids=["fresh", "constant"])
def test_one_matrix_at_all_steps_follows_the_map(kind: str, constant: bool):
    """n = 300, T = 12, 40 networks, g = 1.4, v = 0.1: the mean of |a_t|^2/n within 6 % at each step."""
    n, steps, g, v = 300, 12, 1.4, 0.1
    measured = np.zeros(steps)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        W = weights(kind, n, sigma_w=g, rng=rng)
        u = v**0.5 * rng.standard_normal((1 if constant else steps, n))
        measured += np.mean(trajectory("tanh", W, np.broadcast_to(u, (steps, n))).a ** 2, axis=1) / 40
    assert np.abs(measured / variances("tanh", g, np.full(steps, v)) - 1).max() < 0.05


def test_orthogonal_mean_square_of_the_jacobian():
    """n = 500, T = 8, 6 networks: log of the mean of s^2 of J_t within 0.12 of the sum of log chi_t, at each t."""
    n, steps, g, v = 500, 8, 1.5, 0.1
    measured = np.zeros((6, steps))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        run = trajectory("tanh", weights("orthogonal", n, sigma_w=g, rng=rng), v**0.5 * rng.standard_normal((steps, n)))
        J = np.eye(n)
        for t, F in enumerate(run.factors()):
            J = F @ J
            measured[seed, t] = np.sum(J * J) / n
    theory = np.cumsum(log_chis("tanh", g, variances("tanh", g, np.full(steps, v))))
    assert np.abs(np.log(measured.mean(axis=0)) - theory).max() < 0.12


@pytest.mark.parametrize("kind", KINDS)
def test_spectrum_of_one_shared_matrix_is_that_of_fresh_ones(kind: str):
    """n = 200, t = 10, 4 networks at the critical point for v = 0.1: distribution functions within 0.05.

    They are compared at every fourth of 800 values. Both rise, so that between two of those the difference grows by
    0.005 at most.
    """
    point, n, t = critical_point("tanh", 0.1**0.5), 200, 10
    values = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        W = weights(kind, n, sigma_w=point.sigma_w, rng=rng)
        h = simulate.inputs_at("tanh", point.q, n, rng=rng)
        run = trajectory("tanh", W, 0.1**0.5 * rng.standard_normal((t, n)), h)
        values.append(log_singular_values(run.factors()))
    values = np.sort(np.concatenate(values))
    theory = JacobianSpectrum("tanh", t, q=point.q, weights=kind).cdf_of_log(2 * values[::4])
    empirical = (np.arange(values.size) + 0.5) / values.size
    assert np.abs(theory - empirical[::4]).max() < 0.05 - 4 / values.size


# ---- runs ---------------------------------------------------------------------------------------------------------


def test_factors_are_the_jacobian_by_finite_differences():
    rng, n, t, step = np.random.default_rng(0), 12, 6, 1e-5
    W, u, h = weights("orthogonal", n, sigma_w=1.4, rng=rng), rng.standard_normal((t, n)), rng.standard_normal(n)
    run = trajectory("tanh", W, u, h)
    ends = [[trajectory("tanh", W, u, h + sign * step * e).h[-1] for e in np.eye(n)] for sign in (1, -1)]
    measured = (np.array(ends[0]) - np.array(ends[1])).T / (2 * step)
    assert np.linalg.norm(simulate.product(run.factors()) - measured) < 1e-7 * np.linalg.norm(measured)
    assert len(run.factors(2, 5)) == 3


def test_input_variances_over_draws_of_the_weights():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 3, 7))
    W_in, b = 0.3**0.5 * rng.standard_normal((200_000, 7)), 0.2**0.5 * rng.standard_normal(200_000)
    measured = np.mean((x @ W_in.T + b) ** 2, axis=2).T
    assert np.allclose(input_variances(x, 0.3, 0.2), measured, rtol=0.02)


# ---- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", [-1.0, float("nan"), float("inf"), "much", None, True])
def test_bad_variance_is_named(variance):
    with pytest.raises(ArgumentError, match="input_variance"):
        critical_gain("tanh", variance)


def test_bad_arguments_are_named():
    with pytest.raises(ArgumentError, match="activation"):
        critical_gain("swish", 0.1)
    with pytest.raises(ArgumentError, match="gain"):
        variances("tanh", 0.0, np.ones(3))
    for drive in (np.array(1.0), np.ones(0), -np.ones(3), np.array([np.nan]), "abc"):
        with pytest.raises(ArgumentError, match="input_variances"):
            variances("tanh", 1.0, drive)
        with pytest.raises(ArgumentError, match="input_variances"):
            critical_gain_over_time("tanh", drive)
    with pytest.raises(ArgumentError, match="q must lie"):
        log_chis("tanh", 1.0, np.array([-1.0]))
    with pytest.raises(ArgumentError, match="overflows at step"):
        variances("linear", 1e3, np.ones(100))
    with pytest.raises(ArgumentError, match="x must have 3"):
        input_variances(np.ones((2, 2)), 1.0)
    with pytest.raises(ArgumentError, match="weight_variance"):
        input_variances(np.ones((2, 2, 2)), -1.0)


def test_no_critical_gain_is_said():
    """A sequence of full saturation: hard-tanh has almost no slope left at any gain."""
    with pytest.raises(NoFixedPointError, match="no gain up to 1000"):
        critical_gain_over_time("hard_tanh", np.full(3, 1e15))


@pytest.mark.parametrize(
    ("W", "drive", "h", "name"),
    [
        (np.ones((2, 3)), np.ones((4, 2)), None, "W"),
        (np.full((2, 2), np.nan), np.ones((4, 2)), None, "W"),
        (np.eye(2), np.ones((4, 3)), None, "drive"),
        (np.eye(2), np.ones((0, 2)), None, "drive"),
        (np.eye(2), np.ones((4, 2)), np.ones(3), "h"),
        (1e200 * np.eye(2), np.ones((400, 2)), None, "W is too large"),
    ],
)
def test_bad_runs_are_named(W, drive, h, name):
    activation = "linear" if name == "W is too large" else "tanh"
    with pytest.raises(ArgumentError, match=name):
        trajectory(activation, W, drive, h)
