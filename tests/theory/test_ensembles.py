"""Haar matrices: exactly orthogonal, and uniformly distributed (moments, determinant, one entry's law)."""

import numpy as np
import pytest
from scipy import stats

from ortholab.errors import ArgumentError
from ortholab.theory import gaussian, haar, weights


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (2, 2), (7, 1), (7, 3), (50, 50), (300, 299)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_columns_are_orthonormal(shape, dtype):
    Q = haar(*shape, rng=1, dtype=dtype)
    assert (Q.shape, Q.dtype) == (shape, dtype)
    assert np.linalg.norm(Q.T @ Q - np.eye(shape[1])) < 8 * np.finfo(dtype).eps * shape[0] ** 0.5


def test_law_of_the_trace_the_determinant_and_the_last_entry():
    """Diaconis and Shahshahani: E tr = 0, E tr^2 = 1, E tr^4 = 3 for n >= 4; 40,000 draws at n = 5, bars of 5 sigma."""
    n, draws = 5, 40_000
    Q = haar(n, rng=7, batch=(draws,))
    trace = np.trace(Q, axis1=1, axis2=2)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
        assert np.mean(trace**power) == pytest.approx(mean, abs=5 * (variance / draws) ** 0.5)
    assert np.mean(np.linalg.det(Q)) == pytest.approx(0, abs=5 / draws**0.5)
    # An entry of a uniform unit vector: (1 + Q_ij) / 2 is Beta((n-1)/2, (n-1)/2). First and last corner.
    for i, j in ((0, 0), (n - 1, n - 1), (2, 3)):
        result = stats.kstest((1 + Q[:, i, j]) / 2, stats.beta((n - 1) / 2, (n - 1) / 2).cdf)
        assert result.pvalue > 1e-3


def test_the_law_is_invariant_under_a_fixed_rotation():
    """Haar means Q and U Q have one law: their traces pass a two-sample test (a QR without its sign fix fails it)."""
    U = np.linalg.qr(np.arange(16.0).reshape(4, 4) + 5 * np.eye(4))[0]
    Q, other = haar(4, rng=3, batch=(20_000,)), haar(4, rng=4, batch=(20_000,))
    trace = np.trace(Q, axis1=1, axis2=2)
    assert stats.ks_2samp(trace, np.trace(U @ other, axis1=1, axis2=2)).pvalue > 1e-3
    raw = np.linalg.qr(np.random.default_rng(5).standard_normal((20_000, 4, 4)))[0]
    assert stats.ks_2samp(trace, np.trace(raw, axis1=1, axis2=2)).pvalue < 1e-6


def test_against_scipys_sampler():
    ours = haar(6, rng=0, batch=(5_000,))[:, 1, 2]
    theirs = stats.ortho_group.rvs(6, size=5_000, random_state=0)[:, 1, 2]
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_a_seed_gives_the_same_matrix():
    assert np.array_equal(haar(8, rng=3), haar(8, rng=3))
    assert not np.array_equal(haar(8, rng=3), haar(8, rng=4))


@pytest.mark.parametrize(("n", "k"), [(40, 40), (60, 20), (20, 60)])
def test_weights_have_entries_of_variance_sigma_w_squared_over_inputs(n, k):
    for kind in ("gaussian", "orthogonal"):
        W = np.stack([weights(kind, n, k, sigma_w=1.5, rng=i) for i in range(60)])
        assert np.mean(W**2) == pytest.approx(1.5**2 / k, rel=0.03)
    s = np.linalg.svd(weights("orthogonal", n, k, sigma_w=1.5, rng=0), compute_uv=False)
    assert s == pytest.approx(np.full(min(n, k), 1.5 * (max(n, k) / k) ** 0.5))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: haar(0, rng=0), "n must"),
        (lambda: haar(3.0, rng=0), "n must"),
        (lambda: haar(3, 4, rng=0), "k must"),
        (lambda: haar(3, rng=None), "rng must"),
        (lambda: haar(3, rng=-1), "rng must"),
        (lambda: haar(3, rng=0, dtype=int), "dtype must"),
        (lambda: gaussian(3, sigma_w=0, rng=0), "sigma_w must"),
        (lambda: gaussian(3, -1, rng=0), "k must"),
        (lambda: weights("normal", 3, rng=0), "kind must"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ArgumentError, match=name):
        call()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (7, 1), (7, 3), (40, 40)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_scipy_the_same_matrices_are_drawn(monkeypatch, n, k, dtype):
    """As in a browser before scipy is there: numpy's loop gives what LAPACK gives, to rounding."""
    from ortholab.theory import ensembles

    wanted = haar(n, k, rng=3, batch=(2,), dtype=dtype)

    class Absent:
        @property
        def lapack(self):
            raise ModuleNotFoundError("No module named 'scipy'")

    called = []
    monkeypatch.setattr(ensembles, "linalg", Absent())
    loop = ensembles.multiply_out
    monkeypatch.setattr(ensembles, "multiply_out", lambda *given: called.append(1) or loop(*given))
    found = haar(n, k, rng=3, batch=(2,), dtype=dtype)
    assert len(called) == 2
    assert np.abs(found - wanted).max() <= 20 * np.finfo(dtype).eps
