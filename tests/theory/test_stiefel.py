"""Tangent space, gradients, nearest point and distance, against null spaces, scipy and finite differences.

Seeds are fixed; shapes are square, tall, wide and degenerate; tolerances are 1e-12 in float64 unless stated.
"""

import numpy as np
import pytest
from scipy import linalg

from ortholab.errors import ArgumentError
from ortholab.theory import haar, retractions, stiefel

SHAPES = [(1, 1), (7, 1), (1, 7), (5, 5), (5, 4), (8, 3), (3, 8)]
GAINS = [1.0, 1.3]


def point(shape, gain=1.0, seed=0, batch=(), dtype=np.float64):
    n, k = shape
    Q = haar(max(n, k), min(n, k), rng=seed, batch=batch, dtype=dtype)
    return dtype(gain) * (Q if n >= k else np.swapaxes(Q, -1, -2))


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def tangent_basis(W):
    """Columns: an orthonormal basis of the vec(X) with W^T X + X^T W = 0 (W X^T + X W^T for a wide W), by scipy."""
    n, k = W.shape
    units = np.eye(n * k).reshape(-1, n, k)
    form = W.T @ units if n >= k else W @ units.transpose(0, 2, 1)
    equations = (form + form.transpose(0, 2, 1)).reshape(n * k, -1).T
    return linalg.null_space(equations, rcond=1e-10)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("shape", SHAPES)
def test_tangent_projection_is_the_orthogonal_projection_onto_the_null_space(shape, gain):
    W, Z, Y = point(shape, gain), normal(*shape), normal(*shape, seed=2)
    basis = tangent_basis(W)
    m = min(shape)
    assert basis.shape[1] == shape[0] * shape[1] - m * (m + 1) // 2  # the dimension of the manifold
    X = stiefel.tangent_projection(W, Z, gain=gain)
    np.testing.assert_allclose(X.ravel(), basis @ (basis.T @ Z.ravel()), atol=1e-12)
    np.testing.assert_allclose(stiefel.tangent_projection(W, X, gain=gain), X, atol=1e-14)
    assert abs(np.sum((Z - X) * stiefel.tangent_projection(W, Y, gain=gain))) < 1e-12


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("shape", SHAPES)
def test_inner_against_the_n_by_n_form(shape, gain):
    W, X, Y = point(shape, gain), normal(*shape), normal(*shape, seed=2)
    assert stiefel.inner(W, X, Y, gain=gain) == pytest.approx(np.trace(X.T @ Y), rel=1e-12)
    w, x, y = (W, X, Y) if shape[0] >= shape[1] else (W.T, X.T, Y.T)
    weight = np.eye(len(w)) - w @ w.T / (2 * gain**2)
    expected = np.trace(x.T @ weight @ y)
    assert stiefel.inner(W, X, Y, metric="canonical", gain=gain) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("metric", stiefel.METRICS)
@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s != (1, 1)])
def test_gradient_is_the_slope_along_every_geodesic(shape, gain, metric):
    """inner(D, X) is dLoss/dt along the geodesic of X, by central differences (h = 1e-5: 1e-8), for a whole basis."""
    W, B = point(shape, gain), normal(*shape, seed=4)
    C = normal(shape[0], shape[0], seed=3)

    def loss(W):
        return np.sum(B * W) + np.sum((C @ W) ** 2) / 2

    D = stiefel.riemannian_gradient(W, B + C.T @ C @ W, metric=metric, gain=gain)
    np.testing.assert_allclose(stiefel.tangent_projection(W, D, gain=gain), D, atol=1e-13)
    for X in tangent_basis(W).T.reshape(-1, *shape):
        ahead, back = (retractions.exponential(W, h * X, metric=metric, gain=gain) for h in (1e-5, -1e-5))
        slope = (loss(ahead) - loss(back)) / 2e-5
        assert stiefel.inner(W, D, X, metric=metric, gain=gain) == pytest.approx(slope, abs=1e-7)


def test_canonical_gradient_is_the_skew_matrix_of_the_cayley_step_times_w():
    W, G = point((8, 3), 1.3), normal(8, 3)
    D = stiefel.riemannian_gradient(W, G, metric="canonical", gain=1.3)
    np.testing.assert_allclose(D, (G @ W.T - W @ G.T) @ W / 1.3**2, atol=1e-13)
    square, G = point((5, 5)), normal(5, 5)
    D = [stiefel.riemannian_gradient(square, G, metric=m) for m in stiefel.METRICS]
    np.testing.assert_allclose(D[1], 2 * D[0], atol=1e-14)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("shape", SHAPES)
def test_project_against_scipys_polar_factor_and_every_other_point(shape, gain):
    W = normal(*shape)
    Q = stiefel.project(W, gain=gain)
    np.testing.assert_allclose(Q, gain * linalg.polar(W)[0], atol=1e-12)
    near = np.linalg.norm(W - Q)
    assert stiefel.distance(W, gain=gain) == pytest.approx(near, rel=1e-12)
    others = point(shape, gain, seed=5, batch=(500,))
    assert np.linalg.norm(W - others, axis=(1, 2)).min() >= near - 1e-12


def test_project_moves_no_point_of_the_manifold():
    W = point((8, 3), 2.0)
    np.testing.assert_allclose(stiefel.project(W, gain=2.0), W, atol=1e-14)
    assert stiefel.distance(W, gain=2.0) < 1e-14


def test_neither_qr_nor_cayley_projects():
    """The deck calls all three projections: of a 5 x 5 Gaussian V (seed 1) the polar factor is nearer than QR's."""
    V = normal(5, 5)
    Q, R = linalg.qr(V)
    assert np.linalg.norm(V - Q * np.sign(np.diag(R))) > stiefel.distance(V) + 0.05


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonality_error_is_of_the_short_side(shape, gain):
    W = normal(*shape)
    grams = W.T @ W / gain**2 - np.eye(shape[1]), W @ W.T / gain**2 - np.eye(shape[0])
    short, long = grams if shape[0] >= shape[1] else grams[::-1]
    assert stiefel.orthogonality_error(W, gain=gain) == pytest.approx(np.linalg.norm(short), rel=1e-12)
    assert stiefel.orthogonality_error(point(shape, gain), gain=gain) < 1e-14
    assert np.linalg.norm(long) >= abs(shape[0] - shape[1]) ** 0.5 - 1e-12


def test_near_the_manifold_the_distance_is_half_the_gain_times_the_error():
    W = point((8, 3), 1.3) + 1e-6 * normal(8, 3)
    ratio = stiefel.distance(W, gain=1.3) / stiefel.orthogonality_error(W, gain=1.3)
    assert ratio == pytest.approx(1.3 / 2, rel=1e-5)


CALLS = {
    "tangent_projection": lambda W, Z: stiefel.tangent_projection(W, Z, gain=1.3),
    "inner": lambda W, Z: stiefel.inner(W, Z, Z, metric="canonical", gain=1.3),
    "riemannian_gradient": lambda W, Z: stiefel.riemannian_gradient(W, Z, metric="canonical", gain=1.3),
    "project": lambda W, Z: stiefel.project(W + 0.1 * Z, gain=1.3),
    "distance": lambda W, Z: stiefel.distance(W + Z, gain=1.3),
    "orthogonality_error": lambda W, Z: stiefel.orthogonality_error(W + Z, gain=1.3),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_batch_is_a_loop(call, shape):
    W, Z = point(shape, 1.3, batch=(2, 3)), normal(2, 3, *shape)
    together = call(W, Z)
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(together[i], call(W[i], Z[i]), atol=1e-13)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_torch_and_numpy_agree_and_float32_stays_float32(call, shape):
    torch = pytest.importorskip("torch")
    W, Z = point(shape, 1.3, batch=(2,)), normal(2, *shape)
    exact = call(W, Z)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        ours = call(torch.tensor(W, dtype=dtype), torch.tensor(Z, dtype=dtype))
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.numpy(), exact, atol=tolerance * max(1, np.abs(exact).max()))
    single = call(W.astype(np.float32), Z.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-5 * max(1, np.abs(exact).max()))


W, Z = point((4, 2)), normal(4, 2)
NAN = np.where(np.eye(4, 2) > 0, np.nan, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stiefel.distance([[1.0, 0.0], [0.0, 1.0]]), "W must be an array of numpy, torch"),
        (lambda: stiefel.distance(None), "W must be an array of numpy, torch"),
        (lambda: stiefel.distance(np.eye(3, dtype=int)), "W must have dtype float32 or float64; got int64"),
        (lambda: stiefel.distance(np.eye(3, dtype=complex)), "W must have dtype .* got complex128"),
        (lambda: stiefel.distance(np.eye(3, dtype=np.float16)), "W must have dtype .* got float16"),
        (lambda: stiefel.distance(np.ones(3)), r"W must be a matrix or a batch .* shape \(3,\)"),
        (lambda: stiefel.distance(np.array(1.0)), r"W must be a matrix or a batch .* shape \(\)"),
        (lambda: stiefel.distance(np.ones((3, 0))), r"W must be a matrix or a batch .* shape \(3, 0\)"),
        (lambda: stiefel.project(NAN), "W must be finite; 2 entries"),
        (lambda: stiefel.orthogonality_error(np.full((2, 2), np.inf)), "W must be finite; 4 entries"),
        (lambda: stiefel.project(np.zeros((2, 2))), "W must have full rank"),
        (lambda: stiefel.project(np.ones((3, 2))), "W must have full rank"),
        (lambda: stiefel.project(np.ones((2, 3), dtype=np.float32)), "W must have full rank"),
        (lambda: stiefel.distance(W, gain=0), r"gain must be a number in \[1e-06, 1e\+06\]; got 0"),
        (lambda: stiefel.distance(W, gain=-1.0), r"gain must be a number in \[1e-06, 1e\+06\]; got -1.0"),
        (lambda: stiefel.distance(W, gain=np.nan), r"gain must be a number in \[1e-06, 1e\+06\]; got nan"),
        (lambda: stiefel.distance(W, gain="1"), r"gain must be a number in \[1e-06, 1e\+06\]; got '1'"),
        (lambda: stiefel.distance(W * 1e160), r"W / gain must have entries of at most .* \(float64, overflow beyond\)"),
        (lambda: stiefel.orthogonality_error(W * 1e80), "W / gain must have entries of at most"),
        (lambda: stiefel.tangent_projection(W, 1e160 * np.ones((4, 2))), r"Z / gain must have .* got 1e\+160"),
        (lambda: stiefel.tangent_projection(2 * W, Z), r"W must have orthonormal columns times gain = 1, .* is 3$"),
        (lambda: stiefel.tangent_projection(W.T, Z.T, gain=2), r"orthonormal rows .* \|W W\^T / 2\^2 - I\| is 0.75"),
        (lambda: stiefel.tangent_projection(W, Z.T), r"Z must have shape \(4, 2\), to go with W; got \(2, 4\)"),
        (lambda: stiefel.tangent_projection(W, Z.tolist()), "Z must be an array of the same library as W"),
        (lambda: stiefel.tangent_projection(W, Z.astype(np.float32)), "Z must have W's dtype, float64; got float32"),
        (lambda: stiefel.tangent_projection(W, NAN), "Z must be finite"),
        (lambda: stiefel.riemannian_gradient(W, Z, metric="flat"), "metric must be one of 'euclidean', 'canonical'"),
        (lambda: stiefel.riemannian_gradient(W, Z[:1]), r"G must have shape \(4, 2\)"),
        (lambda: stiefel.inner(W, Z, Z, metric=None), "metric must be one of"),
        (lambda: stiefel.inner(W, Z, Z[0]), r"Y must have shape \(4, 2\), to go with W; got \(2,\)"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_arrays_of_two_libraries_or_devices_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentError, match="Z must be an array of the same library as W"):
        stiefel.tangent_projection(W, torch.tensor(Z))
    with pytest.raises(ArgumentError, match="Z must be on W's device, cpu; got meta"):
        stiefel.tangent_projection(torch.tensor(W), torch.tensor(Z, device="meta"))
    with pytest.raises(ArgumentError, match=r"W must have dtype float32 or float64; got torch\.bfloat16"):
        stiefel.distance(torch.eye(3, dtype=torch.bfloat16))
