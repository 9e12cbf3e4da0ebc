"""Products of reflections against LAPACK's, and how many an orthogonal matrix needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group

from ortholab.errors import ArgumentError
from ortholab.theory.reflections import fixed_dimension, generalised, reflect, reflectors


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 1), (5, 5), (7, 3), (4, 9)])
def test_the_compact_form_is_the_product(n, m):
    V = np.random.default_rng(n + m).standard_normal((n, m))
    product = np.eye(n)
    for v in V.T:
        product = product @ (np.eye(n) - 2 * np.outer(v, v) / (v @ v))
    Q = reflect(V)
    assert pytest.approx(product, abs=1e-12) == Q
    assert np.linalg.det(Q) == pytest.approx((-1) ** m)
    assert fixed_dimension(Q) == max(n - m, (n - m) % 2 if m > n else 0)
    assert reflect(V * np.arange(1, m + 1)) == pytest.approx(Q, abs=1e-12)  # lengths do not matter


def test_lapacks_reflectors_are_ours():
    """scipy's QR keeps its reflectors v (v_1 = 1) and tau; H = I - tau v v^T is a reflection, tau = 2 / |v|^2."""
    from scipy.linalg import qr

    (packed, tau), _ = qr(np.random.default_rng(0).standard_normal((6, 4)), mode="raw")
    V = np.tril(packed, -1) + np.eye(6, 4)
    assert tau == pytest.approx(2 / (V**2).sum(0))
    Q = qr(np.random.default_rng(0).standard_normal((6, 4)))[0]
    assert reflect(V) == pytest.approx(Q, abs=1e-12)


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_an_orthogonal_matrix_takes_the_rank_of_its_difference_from_the_identity(n):
    for seed in range(4):
        Q = ortho_group.rvs(n, random_state=seed)
        V = reflectors(Q)
        assert reflect(V) == pytest.approx(Q, abs=1e-10)
        assert V.shape[1] == n - fixed_dimension(Q) == np.linalg.matrix_rank(Q - np.eye(n), tol=1e-9)
        few = reflect(np.random.default_rng(seed).standard_normal((n, 2)))
        assert reflectors(few).shape == (n, 2)
        assert reflect(reflectors(few, 6)) == pytest.approx(few, abs=1e-10)
        with pytest.raises(ArgumentError, match="m must be"):
            reflectors(few, 1)
        with pytest.raises(ArgumentError, match="m must be even"):
            reflectors(few, 3)
    assert reflectors(np.eye(n)).shape == (n, 0)


@pytest.mark.parametrize(("n", "k"), [(5, 3), (4, 1), (9, 8)])
@pytest.mark.parametrize("more", [0, 1, 2])
def test_a_tall_frame_takes_k_of_any_number(n, k, more):
    frame = ortho_group.rvs(n, random_state=n)[:, :k]
    V = reflectors(frame, k + more)
    assert V.shape == (n, k + more)
    assert np.linalg.norm(V, axis=0) == pytest.approx(1)
    assert reflect(V)[:, :k] == pytest.approx(frame, abs=1e-10)


def test_generalised_reflections_keep_project_and_reflect():
    k = np.array([1.0, 2.0, -2.0])
    for beta in (0.0, 0.3, 1.0, 1.7, 2.0):
        values = np.sort(np.linalg.eigvalsh(generalised(k, beta)))
        assert values == pytest.approx(np.sort([1 - beta, 1, 1]), abs=1e-12)
    assert generalised(k, 2.0) == pytest.approx(reflect(k[:, None]), abs=1e-12)
    assert np.linalg.norm(generalised(k, 2.2), 2) > 1.1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: reflect(np.zeros((3, 1))), "zero column"),
        (lambda: reflectors(np.ones((3, 3))), "orthonormal"),
        (lambda: reflectors(np.eye(2, 3)), "orthonormal"),
        (lambda: reflectors(np.eye(3), 0), "m must be"),
        (lambda: fixed_dimension(np.ones((2, 3))), "square"),
        (lambda: generalised(np.zeros(3), 1.0), "k must not be zero"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
