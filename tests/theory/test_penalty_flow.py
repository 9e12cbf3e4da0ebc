"""The flow of a penalty on singular values: closed forms against scipy's integrators, matrices and finite differences.

Oracles: scipy.integrate.solve_ivp on the gradient itself (relative 1e-7), gradient descent with small steps on full
matrices (5e-3), numpy.roots for the cubic, the step matrices by hand. Seeds are fixed.
"""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import haar, penalties, penalty_flow

GAINS = [0.7, 1.0, 1.25]
gained = pytest.mark.parametrize("gain", GAINS)
STARTS = np.array([0.02, 0.4, 1.0, 1.3, 3.0])


def spectrum(W):
    return np.linalg.svd(W, compute_uv=False)


def flow_of_matrices(gradient, W, t):
    """Follow dW/dt = -gradient(W) by an integrator of high order."""
    found = solve_ivp(
        lambda _, w: -gradient(w.reshape(W.shape)).ravel(), (0, t), W.ravel(), method="DOP853", rtol=1e-10, atol=1e-12
    )
    return found.y[:, -1].reshape(W.shape)


@gained
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (7, 3), (3, 7)])
@pytest.mark.parametrize("t", [0.0, 0.05, 0.6])
def test_closed_form_is_the_flow_of_the_matrix(shape, gain, t):
    W = 1.3 * np.random.default_rng(2).standard_normal(shape) / max(shape) ** 0.5
    coefficient = 0.6
    end = flow_of_matrices(lambda X: coefficient * penalties.so_gradient(X, gain=gain), W, t)
    expected = penalty_flow.singular_value(spectrum(W), t, coefficient=coefficient, gain=gain)
    np.testing.assert_allclose(spectrum(end), expected, rtol=1e-7)


@gained
def test_singular_vectors_stay(gain):
    W = np.random.default_rng(3).standard_normal((6, 4)) / 2
    U, _, Vt = np.linalg.svd(W, full_matrices=False)
    inner = U.T @ flow_of_matrices(lambda X: penalties.so_gradient(X, gain=gain), W, 0.2) @ Vt.T
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-9)


@gained
def test_small_steps_follow_the_flow(gain):
    W = np.random.default_rng(4).standard_normal((8, 8)) / 8**0.5
    start, rate = spectrum(W), 2e-4
    for _ in range(1000):
        W = W - rate * penalties.so_gradient(W, gain=gain)
    np.testing.assert_allclose(spectrum(W), penalty_flow.singular_value(start, 0.2, gain=gain), atol=5e-3)


def test_ends_of_the_range():
    huge, tiny = 1e6, 1e-200
    values = penalty_flow.singular_value([0.0, tiny, tiny, huge, huge], [1e9, 0.0, 1e9, 0.0, 1e9], gain=2.0)
    np.testing.assert_allclose(values, [0, tiny, 2, huge, 2], rtol=1e-12)
    assert penalty_flow.singular_value(1.25, 10.0, coefficient=0.0) == 1.25
    assert penalty_flow.singular_value(STARTS[:, None], np.zeros(3)).shape == (5, 3)


@gained
def test_rate_is_the_slope_of_the_velocity(gain):
    """At the gain and at 0: central differences of -lambda gradient for 1 x 1 matrices."""

    def velocity(s):
        return -0.3 * penalties.so_gradient(np.array([[s]]), gain=gain)[0, 0]

    h = 1e-5
    slope = [(velocity(s + h) - velocity(s - h)) / (2 * h) for s in (gain, 0.0)]
    rate = penalty_flow.decay_rate(coefficient=0.3, gain=gain)
    np.testing.assert_allclose(slope, [-rate, rate / 2], rtol=1e-8)


@pytest.mark.parametrize(("start", "end", "gain"), [(1.25, 1.01, 1.0), (0.1, 0.99, 1.0), (3.0, 1.3, 1.25), (1, 1, 2)])
def test_time_between_is_the_inverse_of_the_flow(start, end, gain):
    t = penalty_flow.time_between(start, end, coefficient=0.4, gain=gain)
    assert penalty_flow.singular_value(start, t, coefficient=0.4, gain=gain) == pytest.approx(end, rel=1e-12)
    event = solve_ivp(
        lambda _, s: -1.6 / gain**2 * s * (s**2 / gain**2 - 1), (0, 50), [start], rtol=1e-11, atol=1e-13,
        events=lambda _, s: s[0] - end,
    )  # fmt: skip
    assert start == end or event.t_events[0][0] == pytest.approx(t, rel=1e-6)


@gained
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.2])
def test_descent_is_that_of_the_matrix(gain, rate):
    Q, V = haar(5, rng=1), haar(5, rng=2)
    start = gain * np.linspace(0.1, 1.4, 5)
    path = penalty_flow.descend(start, 12, rate=rate, coefficient=0.6, gain=gain)
    W = Q * start @ V
    for values in path:
        np.testing.assert_allclose(spectrum(W), np.sort(values)[::-1], rtol=1e-9)
        W = W - rate * 0.6 * penalties.so_gradient(W, gain=gain)


@gained
def test_half_the_largest_rate_is_bjorcks_step(gain):
    rate = penalty_flow.largest_rate(coefficient=0.3, gain=gain) / 2
    W = gain * (haar(4, rng=5) + 0.1 * np.random.default_rng(5).standard_normal((4, 4)))
    bjorck = W @ (3 * np.eye(4) - W.T @ W / gain**2) / 2
    np.testing.assert_allclose(W - rate * 0.3 * penalties.so_gradient(W, gain=gain), bjorck, rtol=1e-12)
    error = np.abs(penalty_flow.descend(1.1 * gain, 4, rate=rate, coefficient=0.3, gain=gain) / gain - 1)
    assert np.all(error[1:4] <= 1.6 * error[:3] ** 2)
    assert error[4] < 1e-6


@gained
def test_stability_ends_at_the_largest_rate(gain):
    limit = penalty_flow.largest_rate(coefficient=0.3, gain=gain)
    assert limit * penalty_flow.decay_rate(coefficient=0.3, gain=gain) == pytest.approx(2)
    near = {f: penalty_flow.descend(1.001 * gain, 500, rate=f * limit, coefficient=0.3, gain=gain) for f in (0.9, 1.1)}
    assert abs(near[0.9][-1] / gain - 1) < 1e-12
    assert abs(near[1.1][-1] / gain - 1) > 0.1


@pytest.mark.parametrize("a", [0.05, 0.5, 0.95, 1.5, 2.0])
def test_bounded_below_the_limit_and_divergent_above(a):
    limit = (1 + 2 / a) ** 0.5
    path = penalty_flow.descend(np.linspace(0, limit, 400), 300, rate=a / 4)
    assert np.all(path <= limit)
    if a < 1:  # 0 and the limit are fixed; almost all else comes to 1
        assert np.mean(np.abs(path[-1] - 1) < 1e-6) > 0.98
    s = 1.001 * limit
    for _ in range(12):
        s = abs(s * (1 + a - a * s * s))
    assert s > 2 * limit
    with pytest.raises(ArgumentError, match="start must be at most"):
        penalty_flow.descend(1.001 * limit, 1, rate=a / 4)


@gained
@pytest.mark.parametrize("share", [-5.0, -1.0, -0.3, 0.0, 0.3, 0.999])
def test_balance_is_the_largest_root_and_attracts(gain, share):
    force = share * penalty_flow.breaking_force(coefficient=0.7, gain=gain)
    s = float(penalty_flow.balance(force, coefficient=0.7, gain=gain))
    roots = np.roots([2.8 / gain**4, 0, -2.8 / gain**2, force])
    assert s == pytest.approx(max(roots.real[np.abs(roots.imag) < 1e-9]), rel=1e-7)
    end = solve_ivp(
        lambda _, x: -force - 2.8 / gain**2 * x * (x**2 / gain**2 - 1), (0, 400), [1.2 * gain], rtol=1e-10, atol=1e-12
    ).y[0, -1]
    assert s == pytest.approx(end, rel=1e-5)


@gained
def test_small_forces_shift_by_force_over_rate(gain):
    rate = penalty_flow.decay_rate(coefficient=0.7, gain=gain)
    h = 1e-5
    high, low = penalty_flow.balance([h, -h], coefficient=0.7, gain=gain)
    assert (high - low) / (2 * h) == pytest.approx(-1 / rate, rel=1e-6)


@gained
def test_breaking_force_is_the_maximum_of_the_penalty_force(gain):
    s = np.linspace(0, gain, 200_001)
    pull = 2.8 / gain**2 * s * (1 - s**2 / gain**2)
    assert penalty_flow.breaking_force(coefficient=0.7, gain=gain) == pytest.approx(pull.max(), rel=1e-9)
    assert s[pull.argmax()] == pytest.approx(gain / 3**0.5, rel=1e-4)


@pytest.mark.parametrize(("force", "end"), [(0.2, 1.2), (0.2, 0.75), (-0.2, 1.3)])
def test_coefficient_to_hold_inverts_the_balance(force, end):
    coefficient = penalty_flow.coefficient_to_hold(force, end, gain=1.25)
    assert penalty_flow.balance(force, coefficient=coefficient, gain=1.25) == pytest.approx(end, rel=1e-7)


@gained
@pytest.mark.parametrize("t", [0.0, 3.0, 60.0])
def test_published_flow_is_that_of_the_matrix(gain, t):
    """The gradient of mean((W^T W / gain^2 - 1)^2) by hand, from an orthogonal start."""
    n, coefficient = 6, 0.8
    end = flow_of_matrices(
        lambda X: 4 * coefficient / (n * gain) ** 2 * X @ (X.T @ X / gain**2 - np.ones((n, n))),
        gain * haar(n, rng=3), t,
    )  # fmt: skip
    along, others = penalty_flow.published_flow(t, width=n, coefficient=coefficient, gain=gain)
    np.testing.assert_allclose(spectrum(end), [along, *[others] * (n - 1)], rtol=1e-7)
    one = np.ones(n) / n**0.5
    assert np.linalg.norm(end @ one) == pytest.approx(float(along), rel=1e-7)


def test_published_flow_at_width_1_is_the_identity_one():
    t = np.linspace(0, 3, 5)
    along, _ = penalty_flow.published_flow(t, width=1, gain=1.3)
    np.testing.assert_allclose(along, penalty_flow.singular_value(1.3, t, gain=1.3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: penalty_flow.singular_value(-0.1, 1.0), "start must lie in"),
        (lambda: penalty_flow.singular_value(np.nan, 1.0), "start must be finite"),
        (lambda: penalty_flow.singular_value(1e7, 1.0), "start must lie in"),
        (lambda: penalty_flow.singular_value("1", 1.0), "start must be an array"),
        (lambda: penalty_flow.singular_value(1.0, -1.0), "t must lie in"),
        (lambda: penalty_flow.singular_value(1.0, 1.0, gain=0), "gain must be"),
        (lambda: penalty_flow.singular_value(1.0, 1.0, gain=-1.0), "gain must be"),
        (lambda: penalty_flow.singular_value(1.0, 1.0, coefficient=-1), "coefficient must be"),
        (lambda: penalty_flow.decay_rate(gain=np.inf), "gain must be"),
        (lambda: penalty_flow.time_between(1.25, 1.0), "end must be between"),
        (lambda: penalty_flow.time_between(0.5, 1.5), "end must be between"),
        (lambda: penalty_flow.time_between(0.0, 0.5), "start must be"),
        (lambda: penalty_flow.time_between(1.25, 1.1, coefficient=0), "coefficient must be"),
        (lambda: penalty_flow.descend(1.0, -1, rate=0.1), "steps must be"),
        (lambda: penalty_flow.descend(1.0, 1, rate=0), "rate must be"),
        (lambda: penalty_flow.descend(1.0, 1, rate=0.51), "rate must be such that"),
        (lambda: penalty_flow.largest_rate(coefficient=0), "coefficient must be"),
        (lambda: penalty_flow.balance(np.nan), "force must be finite"),
        (lambda: penalty_flow.coefficient_to_hold(0.0, 0.9), "force must be"),
        (lambda: penalty_flow.coefficient_to_hold(0.1, 0.5), "end must be in"),
        (lambda: penalty_flow.coefficient_to_hold(0.1, 1.0), "end must be in"),
        (lambda: penalty_flow.coefficient_to_hold(-0.1, 0.9), "end must be > 1"),
        (lambda: penalty_flow.published_flow(1.0, width=0), "width must be"),
        (lambda: penalty_flow.published_flow(-1.0, width=3), "t must lie in"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ArgumentError, match=words):
        make()


def test_no_balance_beyond_the_breaking_force():
    limit = penalty_flow.breaking_force(coefficient=0.7, gain=1.25)
    assert penalty_flow.balance(limit, coefficient=0.7, gain=1.25) == pytest.approx(1.25 / 3**0.5)
    with pytest.raises(NoFixedPointError, match="force must be at most"):
        penalty_flow.balance(1.01 * limit, coefficient=0.7, gain=1.25)


@gained
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (7, 3)])
@pytest.mark.parametrize("t", [0.0, 0.7, 20.0])
def test_published_spectrum_from_any_start(shape, gain, t):
    W = np.random.default_rng(3).standard_normal(shape)
    end = flow_of_matrices(lambda X: 0.7 * penalties.published_gradient(X, gain=gain), W, t)
    found = penalty_flow.published_spectrum(W, [t], coefficient=0.7, gain=gain)
    np.testing.assert_allclose(found, spectrum(end)[None], rtol=1e-6)


@gained
def test_published_spectrum_from_an_orthogonal_start(gain):
    t = np.array([0.0, 3.0, 1e3, 1e6])  # far beyond where exp(x) would overflow
    along, others = penalty_flow.published_flow(t, width=6, gain=gain)
    found = penalty_flow.published_spectrum(gain * haar(6, rng=1), t, gain=gain)
    np.testing.assert_allclose(found[:, 0], along, rtol=1e-12)
    np.testing.assert_allclose(found[:, 1:], np.tile(others, (5, 1)).T, rtol=1e-12)


@pytest.mark.parametrize("W", [np.ones((3, 3)), np.ones((2, 3)), np.zeros((2, 2)), 1e7 * np.eye(2), np.ones((0, 0))])
def test_published_spectrum_refuses(W):
    with pytest.raises(ArgumentError, match="W"):
        penalty_flow.published_spectrum(W, [1.0])
