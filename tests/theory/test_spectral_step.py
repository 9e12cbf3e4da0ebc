"""Steepest ascent under the spectral norm: closed forms, random rivals, duality, and scipy's solver as the oracle."""

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.optimize import minimize

from ortholab.errors import ArgumentError
from ortholab.theory import haar
from ortholab.theory.spectral_step import polar_direction, tangent_direction

SHAPES = [(2, 2), (3, 3), (4, 4), (3, 2), (5, 2), (6, 4), (7, 1), (2, 4), (1, 6)]


def problem(shape, seed=0):
    """A point of the manifold and a gradient."""
    n, k = max(shape), min(shape)
    rng = np.random.default_rng([seed, *shape])
    W = haar(n, rng=rng)[:, :k]
    return (W if shape[0] >= shape[1] else W.T), rng.standard_normal(shape)


def upright(W, *others):
    return (W, *others) if W.shape[0] >= W.shape[1] else (W.T, *(M.T for M in others))


def by_scipy(W, G, seed=0):
    """The maximum of <G, X> over tangent X with ||X||_2 <= 1, by SLSQP on X's free coordinates, no code of ours.

    With X = B x for a basis B of the tangent space, and the spectral norm's convex constraint I - X^T X >= 0 written as
    the ratio <G, X> / ||X||_2, smoothed: ||X||_2 becomes the Schatten norm of order p, p growing.
    """
    n, k = W.shape
    rows = []
    for i in range(k):
        for j in range(i + 1):
            E = np.zeros((k, k))
            E[i, j] = E[j, i] = 1.0
            rows.append((W @ E).ravel())
    B = null_space(np.array(rows))
    g = B.T @ G.ravel()
    x = g + 0.1 * np.random.default_rng(seed).standard_normal(len(g))

    def objective(x, p):
        U, s, Vh = np.linalg.svd((B @ x).reshape(n, k), full_matrices=False)
        top = s[0]
        size = top * np.sum((s / top) ** p) ** (1 / p)
        slope = (U * (s / size) ** (p - 1)) @ Vh
        value = g @ x / size
        return -value, -(g / size - value / size * (B.T @ slope.ravel()))

    for p in (2, 4, 8, 16, 64, 256, 1024, 4096):
        x = minimize(objective, x / np.linalg.norm(x), args=(p,), jac=True, method="BFGS", options={"maxiter": 500}).x
    X = (B @ x).reshape(n, k)
    return g @ x / np.linalg.norm(X, 2)


@pytest.mark.parametrize("shape", [(3, 3), (6, 4), (4, 6), (2, 5, 3)])
def test_the_polar_direction_has_the_nuclear_norm_and_nothing_has_more(shape):
    rng = np.random.default_rng(0)
    G = rng.standard_normal(shape)
    X = polar_direction(G)
    values = np.sum(G * X, axis=(-2, -1))
    np.testing.assert_allclose(values, np.linalg.svd(G, compute_uv=False).sum(-1), rtol=1e-12)
    for _ in range(200):
        Y = rng.standard_normal(shape)
        Y /= np.linalg.norm(Y, 2, axis=(-2, -1))[..., None, None]
        assert (np.sum(G * Y, axis=(-2, -1)) <= values + 1e-12).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_direction_is_feasible_and_meets_its_bound(shape):
    W, G = problem(shape)
    found = tangent_direction(W, G, steps=400)
    V, X = upright(W, found.direction)
    np.testing.assert_allclose(V.T @ X + X.T @ V, 0, atol=1e-12)
    assert np.linalg.norm(X, 2) <= 1 + 1e-12
    assert found.value == pytest.approx(np.sum(G * found.direction), rel=1e-12)
    assert found.bound - found.value + 1e-10 >= 0
    assert found.bound - found.value <= 1e-6 * found.bound


@pytest.mark.parametrize("shape", SHAPES)
def test_scipy_finds_the_same_maximum(shape):
    W, G = problem(shape, seed=1)
    found = tangent_direction(W, G, steps=400)
    assert by_scipy(*upright(W, G)) == pytest.approx(float(found.value), rel=2e-3)
    assert by_scipy(*upright(W, G)) <= float(found.bound) * (1 + 1e-9)


@pytest.mark.parametrize("shape", [(5, 2), (6, 4)])
def test_first_order_conditions_hold(shape):
    """At the optimum G + W L = X H with H symmetric and not negative: G - X H is normal to the tangent space."""
    W, G = problem(shape, seed=2)
    found = tangent_direction(W, G, steps=800, tol=1e-12)
    M, X = G + W @ found.multiplier, found.direction
    H = X.T @ M
    np.testing.assert_allclose(H, H.T, atol=2e-3)
    assert np.linalg.eigvalsh((H + H.T) / 2).min() > -2e-3
    assert np.trace(H) == pytest.approx(float(found.bound), rel=1e-6)


@pytest.mark.parametrize("n", [2, 4, 5])
def test_a_square_matrix_has_a_closed_form(n):
    W, G = problem((n, n))
    S = (W.T @ G - G.T @ W) / 2
    found = tangent_direction(W, G, steps=0)
    np.testing.assert_allclose(found.direction, W @ polar_direction(S), atol=1e-12)
    assert found.value == pytest.approx(np.linalg.svd(S, compute_uv=False).sum(), rel=1e-12)
    assert found.value == pytest.approx(found.bound, rel=1e-12)


@pytest.mark.parametrize("shape", [(8, 5), (12, 4), (20, 10)])
def test_ascent_and_reweighting_end_at_one_value_and_the_bound_never_rises(shape):
    W, G = problem(shape, seed=3)
    one = tangent_direction(W, G, steps=300)
    two = tangent_direction(W, G, method="ascent", steps=1500)
    assert one.bound == pytest.approx(two.bound, rel=1e-6)
    bounds = []
    for steps in range(8):
        L = tangent_direction(W, G, steps=steps, tol=0).multiplier
        bounds.append(np.linalg.svd(G + W @ L, compute_uv=False).sum())
    assert (np.diff(bounds) <= 1e-12).all()


def test_batches_are_their_matrices():
    pairs = [problem((5, 3), seed) for seed in range(4)]
    W, G = (np.stack(part).reshape(2, 2, 5, 3) for part in zip(*pairs, strict=True))
    found = tangent_direction(W, G, steps=15, tol=0)
    for i, (w, g) in enumerate(pairs):
        alone = tangent_direction(w, g, steps=15, tol=0)
        np.testing.assert_allclose(found.direction.reshape(4, 5, 3)[i], alone.direction, atol=1e-10)
        assert found.value.ravel()[i] == pytest.approx(float(alone.value))


def test_bad_arguments_are_refused():
    W, G = problem((4, 2))
    for call, words in (
        (lambda: tangent_direction(2 * W, G), "W must have orthonormal columns"),
        (lambda: tangent_direction(W, G[:3]), "G must have shape"),
        (lambda: tangent_direction(W, G, method="newton"), "method must be one of 'reweighted', 'ascent'"),
        (lambda: tangent_direction(W, G, rate=0.0), "rate must be"),
        (lambda: polar_direction(np.full((2, 2), np.inf)), "G must"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
