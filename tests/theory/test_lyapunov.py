"""Lyapunov exponents at infinite width against closed forms, deep spectra and sampled products."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from ortholab.errors import ArgumentError
from ortholab.theory import JacobianSpectrum, critical_point, haar, log_singular_values, lyapunov_exponents

POINT = critical_point("tanh", 0.1**0.5)
SHARE = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def test_linear_closed_forms():
    found = lyapunov_exponents("linear", SHARE, gain=1.5, q=1.0, weights="gaussian")
    assert np.allclose(found, np.log(1.5) + 0.5 * np.log(SHARE), atol=1e-12)
    assert np.allclose(lyapunov_exponents("linear", SHARE, gain=1.5, q=1.0), np.log(1.5), atol=1e-12)


def test_relu_closed_form():
    """D is 0 or 1, each half of the time: S = (1 + m)/(m + 1/2), so exp(2 gamma) = g^2 (u - 1/2)/u for u > 1/2."""
    share = np.array([0.2, 0.4, 0.6, 0.9])
    found = lyapunov_exponents("relu", share, gain=1.3, q=2.0)
    assert np.all(found[:2] == -np.inf)
    assert np.allclose(found[2:], np.log(1.3) + 0.5 * np.log((share[2:] - 0.5) / share[2:]), atol=1e-10)


@pytest.mark.parametrize(("kind", "less"), [("orthogonal", 0.0), ("gaussian", 0.5)])
def test_ends_and_mean(kind: str, less: float):
    """The top is log(chi)/2 = 0 here; the mean is log g + E log phi' (by scipy), less 1/2 for Gaussian weights."""

    def rate(u: float) -> float:
        return float(lyapunov_exponents("tanh", u, gain=POINT.sigma_w, q=POINT.q, weights=kind))

    assert abs(rate(1 - 1e-9)) < 1e-8
    density = lambda z: -2 * np.log(np.cosh(POINT.q**0.5 * z)) * np.exp(-z * z / 2) / (2 * np.pi) ** 0.5  # noqa: E731
    expected = np.log(POINT.sigma_w) + quad(density, -12, 12)[0] - less
    assert quad(rate, 0, 1, epsabs=1e-6, limit=100)[0] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("kind", ["orthogonal", "gaussian"])
def test_deep_spectra_grow_at_these_rates(kind: str):
    """Between t = 400 and 800 the quantiles of log s, per step, move as the exponents say; the ends less well."""
    s = [JacobianSpectrum("tanh", t, q=POINT.q, weights=kind).log_quantile(SHARE) / 2 for t in (400, 800)]
    expected = lyapunov_exponents("tanh", SHARE, gain=POINT.sigma_w, q=POINT.q, weights=kind)
    assert np.abs((s[1] - s[0]) / 400 - expected).max() < 2e-3


def test_sampled_product_with_one_matrix():
    """n = 100, t = 400, one Haar matrix at all steps and fresh slopes: quantiles within 0.03 a step."""
    rng, n, t = np.random.default_rng(1), 100, 400
    W = POINT.sigma_w * haar(n, rng=rng)
    slopes = np.cosh(POINT.q**0.5 * rng.standard_normal((t, n))) ** -2.0
    s = log_singular_values([d[:, None] * W for d in slopes]) / t
    found = np.quantile(s, SHARE)
    assert np.abs(found - lyapunov_exponents("tanh", SHARE, gain=POINT.sigma_w, q=POINT.q)).max() < 0.03


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"share": [0.0, 0.5]}, "share"),
        ({"share": [0.5, 1.0]}, "share"),
        ({"share": [np.nan]}, "share"),
        ({"gain": 0.0}, "gain"),
        ({"q": -1.0}, "q"),
        ({"weights": "haar"}, "weights"),
        ({"activation": "swish"}, "activation"),
    ],
)
def test_bad_arguments_are_named(change, name):
    arguments = {"activation": "tanh", "share": [0.5], "gain": 1.0, "q": 0.1} | change
    with pytest.raises(ArgumentError, match=name):
        lyapunov_exponents(arguments.pop("activation"), arguments.pop("share"), **arguments)
