"""Retractions and geodesics: scipy's expm, qr, polar and ODE solver as oracles; the order of each by its slope."""

import numpy as np
import pytest
from scipy import integrate, linalg

from ortholab.errors import ArgumentError
from ortholab.theory import haar, retractions, stiefel
from ortholab.theory.retractions import cayley, exponential, polar, qr

SHAPES = [(1, 1), (7, 1), (1, 7), (5, 5), (5, 4), (8, 3), (3, 8)]
GAINS = [1.0, 1.3]
WAYS = {
    **retractions.RETRACTIONS,
    "euclidean": lambda W, X, gain=1.0: exponential(W, X, gain=gain),
    "canonical": lambda W, X, gain=1.0: exponential(W, X, metric="canonical", gain=gain),
}
way = pytest.mark.parametrize("move", WAYS.values(), ids=WAYS)


def setting(shape, gain=1.0, seed=0, batch=(), length=None):
    """A random point of gain St and a random tangent vector there, of the given Frobenius norm."""
    n, k = shape
    W = gain * haar(max(n, k), min(n, k), rng=seed, batch=batch)
    W = W if n >= k else np.swapaxes(W, -1, -2)
    X = stiefel.tangent_projection(W, np.random.default_rng(seed + 1).standard_normal((*batch, n, k)), gain=gain)
    return W, X if length is None else X * (length / np.linalg.norm(X))


def upright(shape, gain, *matrices):
    return [(M if shape[0] >= shape[1] else M.T) / gain for M in matrices]


def returned(shape, gain, M):
    return gain * (M if shape[0] >= shape[1] else M.T)


def dense_skew(Q, X):
    """The n x n skew S with S Q = X."""
    P = np.eye(len(Q)) - Q @ Q.T / 2
    return P @ X @ Q.T - Q @ X.T @ P


each = pytest.mark.parametrize("shape", SHAPES)
gained = pytest.mark.parametrize("gain", GAINS)


@gained
@each
def test_cayley_against_the_n_by_n_solve(shape, gain):
    W, X = setting(shape, gain)
    Q, D = upright(shape, gain, W, X)
    S = dense_skew(Q, D)
    np.testing.assert_allclose(S @ Q, D, atol=1e-13)
    unit = np.eye(len(Q))
    expected = linalg.solve(unit - S / 2, (unit + S / 2) @ Q)
    np.testing.assert_allclose(cayley(W, X, gain=gain), returned(shape, gain, expected), atol=1e-13)


def test_cayley_along_the_canonical_gradient_is_the_decks_step():
    """A = G W^T - W G^T, (I + rate/2 A)^-1 (I - rate/2 A) W: 8 x 3, gain 1, rate .3."""
    W, _ = setting((8, 3))
    G, rate = np.random.default_rng(5).standard_normal((8, 3)), 0.3
    A = G @ W.T - W @ G.T
    expected = linalg.solve(np.eye(8) + rate / 2 * A, (np.eye(8) - rate / 2 * A) @ W)
    D = stiefel.riemannian_gradient(W, G, metric="canonical")
    np.testing.assert_allclose(cayley(W, -rate * D), expected, atol=1e-13)


@gained
@each
def test_qr_and_polar_against_scipy(shape, gain):
    W, X = setting(shape, gain)
    Q, D = upright(shape, gain, W, X)
    factor, R = linalg.qr(Q + D, mode="economic")
    expected = factor * np.sign(np.diag(R))
    np.testing.assert_allclose(qr(W, X, gain=gain), returned(shape, gain, expected), atol=1e-13)
    expected = (Q + D) @ linalg.inv(linalg.sqrtm(np.eye(Q.shape[1]) + D.T @ D))
    np.testing.assert_allclose(polar(W, X, gain=gain), returned(shape, gain, expected), atol=1e-12)
    np.testing.assert_allclose(polar(W, X, gain=gain), gain * linalg.polar(W + X)[0], atol=1e-13)


@gained
@each
def test_exponential_against_scipys_expm(shape, gain):
    """Euclidean: Edelman, Arias and Smith's form with exponents that are not skew. Canonical: exp(S) Q, S n x n."""
    W, X = setting(shape, gain)
    Q, D = upright(shape, gain, W, X)
    k = Q.shape[1]
    A = Q.T @ D
    block = linalg.expm(np.block([[A, -D.T @ D], [np.eye(k), A]]))[:, :k]
    expected = np.hstack([Q, D]) @ block @ linalg.expm(-A)
    np.testing.assert_allclose(exponential(W, X, gain=gain), returned(shape, gain, expected), atol=1e-11)
    expected = linalg.expm(dense_skew(Q, D)) @ Q
    ours = exponential(W, X, metric="canonical", gain=gain)
    np.testing.assert_allclose(ours, returned(shape, gain, expected), atol=1e-12)


@pytest.mark.parametrize("metric", stiefel.METRICS)
@pytest.mark.parametrize("shape", [(7, 1), (5, 5), (5, 4), (8, 3)])
def test_exponential_solves_the_geodesic_equation(shape, metric):
    """Y'' = -Y Y'^T Y' and Y'' = -Y' Y'^T Y - Y ((Y^T Y')^2 + Y'^T Y'), by an ODE solver from t = 0 to 1."""
    W, X = setting(shape, length=2.0)

    def right(_, state):
        Y, V = state.reshape(2, *shape)
        force = -Y @ (V.T @ V)
        if metric == "canonical":
            force += -V @ (V.T @ Y) - Y @ (Y.T @ V @ (Y.T @ V))
        return np.concatenate([V.ravel(), force.ravel()])

    start = np.concatenate([W.ravel(), X.ravel()])
    ode = integrate.solve_ivp(right, (0, 1), start, "DOP853", rtol=1e-12, atol=1e-13)
    end = ode.y[:, -1].reshape(2, *shape)[0]
    np.testing.assert_allclose(exponential(W, X, metric=metric), end, atol=1e-9)


# The power of t in ||R(tX) - geodesic(tX)||: (shape, retraction, Euclidean geodesic, canonical geodesic).
ORDERS = [
    *[(s, "cayley", 2, 3) for s in ((8, 3), (5, 4), (3, 8))],
    *[(s, "polar", 3, 2) for s in ((8, 3), (5, 4), (3, 8))],
    *[(s, "qr", 2, 2) for s in ((8, 3), (5, 4), (3, 8), (5, 5))],
    *[(s, r, 3, 3) for s, r in (((5, 5), "cayley"), ((5, 5), "polar"))],
    *[((7, 1), r, 3, 3) for r in ("cayley", "polar", "qr")],  # a sphere: one geodesic, and QR is the polar factor
]


@gained
@pytest.mark.parametrize(("shape", "name", "euclidean", "canonical"), ORDERS)
def test_the_order_of_each_retraction(shape, name, euclidean, canonical, gain):
    """Slope of log error against log t over t = .1 to .01, five points, unit direction: within .05 of the integer."""
    W, X = setting(shape, gain, length=1.0)
    t = np.geomspace(1e-1, 1e-2, 5)
    for metric, order in (("euclidean", euclidean), ("canonical", canonical)):
        gaps = [
            np.linalg.norm(WAYS[name](W, s * X, gain=gain) - exponential(W, s * X, metric=metric, gain=gain)) for s in t
        ]
        assert np.polyfit(np.log(t), np.log(gaps), 1)[0] == pytest.approx(order, abs=0.05)


@way
@gained
@each
def test_starts_at_w_in_the_direction_x(shape, gain, move):
    W, X = setting(shape, gain)
    np.testing.assert_allclose(move(W, 0 * X, gain=gain), W, atol=1e-14)
    np.testing.assert_allclose(move(W, 1e-6 * X, gain=gain), W + 1e-6 * X, atol=1e-11)
    slope = (move(W, 1e-6 * X, gain=gain) - move(W, -1e-6 * X, gain=gain)) / 2e-6
    np.testing.assert_allclose(slope, X, atol=1e-8)


@way
@gained
@each
def test_stays_on_the_manifold_from_short_to_absurd_steps(shape, gain, move):
    """Error at most 1e-12 at every length; for Cayley, which forms K^T K, 1e-16 ||X||^2 from length 100 on."""
    W, X = setting(shape, gain)
    size = max(np.linalg.norm(X), 1e-300)
    for length in (1e-8, 1.0, 10.0, 100.0, 1e4):
        bar = max(1e-12, 1e-16 * length**2 if move is cayley else 0)
        assert stiefel.orthogonality_error(move(W, X * (length / size), gain=gain), gain=gain) < bar


@way
@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (12, 10)])
def test_a_thousand_steps_without_repair(shape, move):
    """Random directions of about .1 a column. float64: 1e-12. float32: 2e-6 sqrt(n), near the floor of storing W.

    At 16 x 16 and 12 x 10 that catches a Cayley step with K made in one product, or of the form (2 W + K) (...) - W.
    """
    directions = 0.1 * np.random.default_rng(3).standard_normal((1000, *shape)) / shape[0] ** 0.5
    for dtype, bar in ((np.float64, 1e-12), (np.float32, 2e-6 * shape[0] ** 0.5)):
        W = haar(*shape, rng=0, dtype=dtype)
        for X in directions.astype(dtype):
            W = move(W, X)
        assert W.dtype == dtype
        assert stiefel.orthogonality_error(W.astype(np.float64)) < bar


@way
@gained
@each
def test_the_normal_part_of_a_direction_has_no_effect(shape, gain, move):
    W, _ = setting(shape, gain)
    Z = np.random.default_rng(8).standard_normal(shape)
    tangent = stiefel.tangent_projection(W, Z, gain=gain)
    assert np.linalg.norm(Z - tangent) > 0.01  # there is a normal part
    np.testing.assert_allclose(move(W, Z, gain=gain), move(W, tangent, gain=gain), atol=1e-13)


def test_cayley_cannot_turn_by_pi_and_the_exponential_can():
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(exponential(np.eye(2), np.pi * turn), -np.eye(2), atol=1e-14)
    for length in (1.0, np.pi, 10.0, 1000.0):
        R = cayley(np.eye(2), length * turn)
        angle = np.arctan2(R[1, 0], R[0, 0])
        assert angle == pytest.approx(2 * np.arctan(length / 2), rel=1e-12)
        assert angle < np.pi


@way
@each
def test_a_batch_is_a_loop(shape, move):
    W, X = setting(shape, 1.3, batch=(2, 3))
    together = move(W, X, gain=1.3)
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(together[i], move(W[i], X[i], gain=1.3), atol=1e-13)


@way
@each
def test_torch_and_numpy_agree_in_both_precisions(shape, move):
    torch = pytest.importorskip("torch")
    W, X = setting(shape, 1.3, batch=(2,))
    exact = move(W, X, gain=1.3)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        ours = move(torch.tensor(W, dtype=dtype), torch.tensor(X, dtype=dtype), gain=1.3)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.numpy(), exact, atol=tolerance)
    single = move(W.astype(np.float32), X.astype(np.float32), gain=1.3)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-5)


W, X = setting((4, 2))


@pytest.mark.parametrize("move", [cayley, qr, polar, exponential])
@pytest.mark.parametrize(
    ("arguments", "gain", "message"),
    [
        ((W.tolist(), X), 1.0, "W must be an array of numpy, torch"),
        ((np.ones(4), X), 1.0, "W must be a matrix or a batch"),
        ((W * np.nan, X), 1.0, "W must be finite; 8 entries"),
        ((W.astype(int), X), 1.0, "W must have dtype"),
        ((1.3 * W, X), 1.0, "W must have orthonormal columns times gain = 1"),
        ((W, X), 1.3, "W must have orthonormal columns times gain = 1.3"),
        ((W, X), 0.0, "gain must be"),
        ((W, X), None, "gain must be"),
        ((W, X.T), 1.0, r"direction must have shape \(4, 2\)"),
        ((W, X[None]), 1.0, r"direction must have shape \(4, 2\)"),
        ((W, X * np.inf), 1.0, "direction must be finite"),
        ((W, X.astype(np.float32)), 1.0, "direction must have W's dtype"),
        ((W, 0.1), 1.0, "direction must be an array of the same library as W"),
    ],
)
def test_bad_input_is_named(move, arguments, gain, message):
    with np.errstate(invalid="ignore"), pytest.raises(ArgumentError, match=message):
        move(*arguments, gain=gain)


@pytest.mark.parametrize(
    ("shape", "dtype", "length"), [((8, 3), np.float32, 1e3), ((8, 3), float, 1e8), ((5, 5), float, 1e15)]
)
def test_a_cayley_step_that_rounding_would_spoil_is_refused(shape, dtype, length):
    """Half a percent of these lengths passes; the error is then at most .01, as is promised."""
    W, X = setting(shape, length=length)
    with pytest.raises(ArgumentError, match="direction must be shorter for a Cayley step in float"):
        cayley(W.astype(dtype), X.astype(dtype))
    assert stiefel.orthogonality_error(cayley(W.astype(dtype), (0.005 * X).astype(dtype))) < 0.01


def test_an_unknown_metric_is_named():
    with pytest.raises(ArgumentError, match="metric must be one of 'euclidean', 'canonical'; got 'polar'"):
        exponential(W, X, metric="polar")
