"""The variance map, its fixed points and chi, against closed forms and finite-width networks."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import (
    LINEAR,
    RELU,
    chi,
    critical_point,
    fixed_points,
    get_activation,
    own_activation,
    phase,
    q_star,
    simulate,
    variance_map,
    variance_trajectory,
    weights,
)

SQRT2 = 2**0.5


def test_linear_fixed_point_is_the_geometric_series():
    assert q_star("linear", 0.5**0.5, 0.1**0.5) == pytest.approx(0.2, rel=1e-14)
    assert fixed_points("linear", 0.5).points[0].q == 0.0


def test_every_q_is_fixed_is_said_and_is_never_a_number():
    for activation, sigma_w in (("linear", 1.0), ("relu", SQRT2)):
        answer = fixed_points(activation, sigma_w)
        assert (answer.kind, answer.points) == ("every q", ())
        with pytest.raises(NoFixedPointError, match="every q is fixed"):
            q_star(activation, sigma_w)


def test_no_fixed_point_is_said():
    assert fixed_points("relu", SQRT2, 0.1).kind == "none"
    assert fixed_points("linear", 1.2, 0.1).kind == "none"
    with pytest.raises(NoFixedPointError, match=r"grows by a factor of at least 1\.44"):
        q_star("linear", 1.2, 0.1)
    assert fixed_points("relu", 2.0).grows_from == 0.0


@pytest.mark.parametrize("activation", ["tanh", "erf", "hard_tanh"])
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.5, 0.1), (1.3, 0.0), (1.5, 0.3), (3.0, 0.05), (20.0, 1.0)])
def test_the_fixed_point_is_fixed_unique_and_what_iteration_reaches(activation, sigma_w, sigma_b):
    q = q_star(activation, sigma_w, sigma_b)
    assert variance_map(activation, q, sigma_w, sigma_b) == pytest.approx(q, rel=1e-12)
    assert variance_trajectory(activation, 5.0, sigma_w, sigma_b, depth=400)[-1] == pytest.approx(q, rel=1e-9)
    at = {p.q: p for p in fixed_points(activation, sigma_w, sigma_b).points}
    assert at[q].stability == "stable"
    # A start that is off by 1 % comes back by the factor that the slope names.
    step = variance_map(activation, q * 1.0001, sigma_w, sigma_b) - q
    assert step == pytest.approx(at[q].slope * q * 1e-4, rel=1e-3)


def test_zero_loses_its_stability_where_the_ordered_phase_ends():
    assert fixed_points("tanh", 0.9).points[0].stability == "stable"
    marginal = fixed_points("tanh", 1.0).points
    assert [(p.q, p.stability, p.attracts) for p in marginal] == [(0.0, "marginal", True)]
    unstable, stable = fixed_points("tanh", 1.2).points
    assert (unstable.q, unstable.stability, stable.stability) == (0.0, "unstable", "stable")
    assert [p.q for p in fixed_points("hard_tanh", 1.0).points] == [0.0]


def test_gelu_has_two_fixed_points_and_escapes_above_the_second():
    low, high = fixed_points("gelu", 1.5, 0.1).points
    assert (low.stability, high.stability) == ("stable", "unstable")
    assert variance_trajectory("gelu", 0.99 * high.q, 1.5, 0.1, depth=3000)[-1] == pytest.approx(low.q, rel=1e-6)
    assert variance_trajectory("gelu", 1.01 * high.q, 1.5, 0.1, depth=3000)[-1] == np.inf
    assert fixed_points("gelu", 1.5, 0.1).grows_from == high.q
    assert not fixed_points("gelu", 2.0).points[0].attracts  # marginal, and it repels
    with pytest.raises(NoFixedPointError):
        q_star("gelu", 2.0)


def test_several_stable_points_are_not_silently_one():
    # A small step near zero and a large one far out give V(q) two rises, so two stable fixed points.
    steps = own_activation("steps", lambda x: np.tanh(x) * 0.3 + np.tanh((x / 6) ** 3) * 9)
    stable = fixed_points(steps, 1.6, 0.05).stable
    assert len(stable) > 1
    for p in stable:
        assert variance_map(steps, p.q, 1.6, 0.05) == pytest.approx(p.q, rel=1e-10)
    with pytest.raises(NoFixedPointError, match="not unique"):
        q_star(steps, 1.6, 0.05)


def test_a_tangent_fixed_point_is_found():
    # x^2: V = 3 q^2, so q = s q^2 + b touches at s b = 1/4 with q = 1/(2 s), s = 3 sigma_w^2.
    square = own_activation("square", np.square, lambda x: 2 * x)
    sigma_w = 0.7
    q = 1 / (6 * sigma_w**2)
    answer = fixed_points(square, sigma_w, (q / 2) ** 0.5)
    assert any(abs(p.q / q - 1) < 1e-5 for p in answer.points)


def test_chi_of_scale_free_activations_needs_no_q():
    assert chi("relu", 1.3) == pytest.approx(1.3**2 / 2, rel=1e-14)
    assert chi("linear", 1.3, 0.2) == pytest.approx(1.3**2, rel=1e-14)


def test_chi_is_the_slope_that_finite_differences_of_the_correlation_map_see():
    from ortholab.theory import correlation_map

    c = 1 - 1e-6
    slope = (1 - correlation_map("tanh", c, 1.5, 0.2)) / (1 - c)
    assert slope == pytest.approx(chi("tanh", 1.5, 0.2), rel=1e-5)


def test_phase():
    assert (phase("tanh", 0.9), phase("tanh", 1.0), phase("tanh", 1.5)) == ("ordered", "critical", "chaotic")
    edge = critical_point("tanh", 0.3)
    assert phase("tanh", edge.sigma_w, 0.3) == "critical"
    assert phase("tanh", edge.sigma_w - 1e-4, 0.3) == "ordered"
    assert phase("tanh", edge.sigma_w + 1e-4, 0.3) == "chaotic"


def test_overflow_is_infinity_not_nan():
    out = variance_trajectory(LINEAR, 1.0, 10.0, depth=200)
    assert out[-1] == np.inf
    assert not np.isnan(out).any()
    assert variance_trajectory(RELU, 1.0, SQRT2, depth=50) == pytest.approx(np.ones(50), rel=1e-13)


@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
def test_q_and_chi_against_networks_of_width_2000(kind):
    """N = 2000, L = 4, 3 networks, 16 probes of J: within 4 standard errors; three activations share the weights."""
    width, depth, networks, probes = 2000, 4, 3, 16
    cases = [("tanh", 1.5, 0.3), ("hard_tanh", 1.3, 0.1), ("relu", SQRT2, 0.0)]
    starts = [1.0 if activation == "relu" else q_star(activation, sw, sb) for activation, sw, sb in cases]
    rng = np.random.default_rng(2)
    q, gain = np.empty((len(cases), networks, depth)), np.empty((len(cases), networks))
    for k in range(networks):
        at, probe = [], [rng.standard_normal((width, probes))] * len(cases)
        for (activation, sigma_w, sigma_b), start in zip(cases, starts, strict=True):
            x = simulate.inputs_at(activation, start, width, rng=rng)
            at.append(x * np.sqrt((start - sigma_b**2) / sigma_w**2 / np.mean(x**2)))  # so that q^1 = q* in the mean
        for layer in range(depth):
            W = weights(kind, width, rng=rng)
            for i, (activation, sigma_w, sigma_b) in enumerate(cases):
                phi = get_activation(activation)
                h = sigma_w * (W @ at[i]) + sigma_b * rng.standard_normal(width)
                q[i, k, layer] = np.mean(h**2)
                at[i], probe[i] = phi.phi(h), phi.dphi(h)[:, None] * (sigma_w * (W @ probe[i]))
        gain[:, k] = [np.mean(V**2) for V in probe]  # E |J v|^2 / |v|^2 is the mean squared singular value
    # One layer adds a relative variance of at most 6 / N to q and 3 / N to the gain, probes 2 / (N probes); the
    # spread comes from that count and not from the sample, so that a lucky seed cannot shrink it.
    spread = 4 * np.sqrt(6 * depth / width / networks)
    for i, (activation, sigma_w, sigma_b) in enumerate(cases):
        assert np.abs(q[i].mean(axis=0) / starts[i] - 1).max() < spread, activation
        assert gain[i].mean() / chi(activation, sigma_w, sigma_b) ** depth == pytest.approx(1.0, abs=spread), activation


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: variance_map("tanh", 1.0, 0.0), "sigma_w"),
        (lambda: variance_map("tanh", 1.0, -1.0), "sigma_w"),
        (lambda: variance_map("tanh", 1.0, float("nan")), "sigma_w"),
        (lambda: variance_map("tanh", 1.0, 1.0, -0.1), "sigma_b"),
        (lambda: variance_map("tanh", -1.0, 1.0), "q must"),
        (lambda: variance_map("tanh", np.array([1.0, np.nan]), 1.0), "q must"),
        (lambda: variance_map("tahn", 1.0, 1.0), "activation"),
        (lambda: variance_trajectory("tanh", 1.0, 1.0, depth=0), "depth"),
        (lambda: variance_trajectory("tanh", 1.0, 1.0, depth=2.5), "depth"),
        (lambda: fixed_points("tanh", "1"), "sigma_w"),
        (lambda: chi("tanh", 1.0, 0.0, q=-1), "q must"),
        (lambda: chi("tanh", True), "sigma_w"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ArgumentError, match=name):
        call()
