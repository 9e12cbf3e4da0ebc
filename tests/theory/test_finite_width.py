"""Finite width: closed forms against scipy's chi-squared law and dense networks, the fast sampler against the slow."""

import numpy as np
import pytest
from scipy.stats import chi2, ks_2samp

from ortholab.errors import ArgumentError
from ortholab.theory import (
    JacobianSpectrum,
    UniversalSpectrum,
    critical_at,
    expect,
    finite_width,
    get_activation,
    simulate,
)

POINTS = {"linear": 1.0, "relu": 1.0, "tanh": 1 / 16}


def lengths(activation, kind, depth, width, networks, seed):
    point = critical_at(activation, POINTS[activation])
    return finite_width.log_lengths(
        activation, point.q, depth=depth, width=width, sigma_w=point.sigma_w, sigma_b=point.sigma_b,
        kind=kind, networks=networks, rng=seed,
    )  # fmt: skip


@pytest.mark.parametrize(("N", "L"), [(1, 1), (7, 3), (400, 50)])
def test_the_exact_law_is_that_of_scipys_chi_squared(N, L):
    mean = chi2(N).expect(lambda x: np.log(x / N), lb=1e-300)
    square = chi2(N).expect(lambda x: np.log(x / N) ** 2, lb=1e-300)
    assert np.allclose(finite_width.exact_log_length(N, L), (L * mean, L * (square - mean**2)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation", POINTS)
def test_the_fast_sampler_has_the_law_of_whole_networks(activation, kind):
    width, depth, networks = 10, 4, 700
    point, slow = critical_at(activation, POINTS[activation]), []
    rng = np.random.default_rng(1)
    for _ in range(networks):
        x = simulate.inputs_at(activation, point.q, width, rng=rng)
        x *= (width * expect(lambda h: get_activation(activation).phi(h) ** 2, point.q)) ** 0.5 / np.linalg.norm(x)
        v = rng.standard_normal(width)
        factors = simulate.jacobian_factors(
            activation, x, depth=depth, width=width, sigma_w=point.sigma_w, sigma_b=point.sigma_b, kind=kind, rng=rng
        )
        with np.errstate(divide="ignore"):
            slow.append(2 * np.log(np.linalg.norm(simulate.product(factors) @ v) / np.linalg.norm(v)))
    fast = lengths(activation, kind, depth, width, 3000, 2)[-1]
    if activation == "linear" and kind == "orthogonal":
        assert max(np.abs(slow).max(), np.abs(fast).max()) < 1e-12
    else:
        assert ks_2samp(slow, fast).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("activation", POINTS)
def test_variances_of_logarithms(activation, kind):
    width, depth, networks = 200, 10, 2000
    logs = lengths(activation, kind, depth, width, networks, 3)[-1]
    v = finite_width.slope_variance(activation, POINTS[activation])
    predicted = finite_width.log_length_variance(width, depth, slope_variance=v, weights=kind)
    if predicted == 0:
        assert np.abs(logs).max() < 1e-12
    else:
        assert abs(logs.var() / predicted - 1) < 5 * np.sqrt(2 / networks) + 0.1
    if activation == "linear" and kind == "gaussian":
        mean, variance = finite_width.exact_log_length(width, depth)
        assert abs(logs.mean() - mean) < 5 * (variance / networks) ** 0.5
        assert abs(predicted / variance - 1) < 0.02


@pytest.mark.parametrize("L", [1, 8, 64])
def test_the_edge_formula_is_the_closed_form_of_linear_networks(L):
    law = JacobianSpectrum("linear", L, weights="gaussian")
    expected = -1.2065336 / 2 * (L**3 / (L + 1) / 2) ** (1 / 3) * 100 ** (-2 / 3)
    assert np.isclose(finite_width.edge_error(law, 100), expected, rtol=1e-3)
    width = finite_width.width_for(law, 0.03)
    assert abs(finite_width.edge_error(law, width)) <= 0.03 < abs(finite_width.edge_error(law, width - 1))


def test_a_wishart_matrix_has_the_edge_that_is_predicted():
    tops = [np.linalg.norm(np.random.default_rng(i).standard_normal((150, 150)), 2) / 150**0.5 / 2 for i in range(60)]
    predicted = finite_width.edge_error(JacobianSpectrum("linear", 1, weights="gaussian"), 150)
    assert abs(np.mean(tops) - 1 - predicted) < 5 * np.std(tops) / 60**0.5 + 1e-3


def test_no_error_where_an_atom_is_at_the_top():
    law = UniversalSpectrum(0.5, "bernoulli")
    assert finite_width.edge_error(law, 10) == 0
    assert finite_width.width_for(law) == 1


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: finite_width.log_length_variance(0, 3), "width"),
        (lambda: finite_width.log_length_variance(3, 3, slope_variance=-1), "slope_variance"),
        (lambda: finite_width.log_length_variance(3, 3, weights="haar"), "weights"),
        (lambda: finite_width.exact_log_length(3, 0), "depth"),
        (lambda: finite_width.log_lengths("tanh", 1.0, depth=1, width=1, sigma_w=1, networks=1, rng=0), "width"),
        (lambda: finite_width.edge_error("tanh", 10), "law"),
        (lambda: finite_width.edge_error(JacobianSpectrum("relu", 2), 10), "law"),
        (lambda: finite_width.width_for(UniversalSpectrum(1.0), 0), "tolerance"),
        (lambda: finite_width.slope_variance("tanh", -1), "q"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ArgumentError, match=f"{name} must"):
        call()
