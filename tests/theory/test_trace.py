"""The traced spectrum against the spectrum that answers any request."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import JacobianSpectrum, fuss_catalan_density, trace_spectrum

CASES = [
    ("tanh", 1.0, 4, "orthogonal"), ("tanh", 1 / 64, 32, "orthogonal"), ("tanh", 0.25, 8, "gaussian"),
    ("erf", 0.25, 8, "orthogonal"), ("hard_tanh", 0.25, 8, "orthogonal"), ("hard_tanh", 0.1, 32, "orthogonal"),
    ("hard_tanh", 1.0, 16, "gaussian"), ("relu", 1.0, 16, "orthogonal"), ("gelu", 0.5, 8, "orthogonal"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "q", "depth", "kind"), CASES)
def test_every_point_is_on_the_spectrum(name, q, depth, kind):
    trace = trace_spectrum(name, depth, q=q, weights=kind, lowest=-14)
    truth = JacobianSpectrum(name, depth, q=q, weights=kind)
    np.testing.assert_allclose(trace.density, truth.density_of_log(trace.log_lambda), rtol=1e-5, atol=3e-6)
    assert trace.log_max == pytest.approx(truth.log_edges[1], abs=1e-9)
    assert trace.sigma_w == pytest.approx(truth.sigma_w, rel=1e-13)
    assert trace.relative_variance == pytest.approx(truth.relative_variance, rel=1e-12)
    for found, known in zip(trace.atoms, truth.log_atoms, strict=True):
        assert found == pytest.approx(known, rel=1e-11)
    assert np.all(np.diff(trace.log_lambda) >= 0)
    # The trapezoid under the points, the atoms above 0 and what lies below the first point make up the whole.
    mass = np.trapezoid(trace.density, trace.log_lambda) + sum(m for at, m in trace.atoms if at > -np.inf)
    assert mass + truth.cdf_of_log(trace.log_lambda[0]) == pytest.approx(1, abs=0.02)


def test_linear_gaussian_is_fuss_catalan_and_linear_orthogonal_one_atom():
    trace = trace_spectrum("linear", 6, weights="gaussian", lowest=-14)
    s = np.exp(trace.log_lambda[:-1] / 2)
    np.testing.assert_allclose(trace.density[:-1], s / 2 * fuss_catalan_density(s, 6), rtol=1e-6)
    atom = trace_spectrum("linear", 6)
    assert (atom.log_lambda.size, atom.atoms, atom.log_max) == (0, ((0.0, 1.0),), 0.0)


@pytest.mark.parametrize("bad", [{"depth": 1}, {"q": -1.0}, {"weights": "uniform"}, {"lowest": 0.5}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        trace_spectrum("tanh", **({"depth": 4} | bad))
