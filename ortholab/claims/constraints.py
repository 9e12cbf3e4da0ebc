"""Chapter III: the Stiefel manifold, its projection and retractions, equations (8) and (9) of the 2019 deck."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize

from ortholab.claims import Verdict, claim
from ortholab.theory import gaussian, haar, penalties, retractions, stiefel

PAGES = "3-constraints/"


@claim(
    "stiefel",
    deck="slide group III, the Stiefel manifold",
    statement=r"The Stiefel manifold is the set of the $n \times k$ matrices, $n \ge k$, with $W W^\top = I$.",
    page=PAGES + "stiefel",
    recorded="fails",
    recorded_number=2**0.5,
    tolerance=1e-3,
)
def rows_cannot_be_orthonormal() -> Verdict:
    """5 x 3: minimise ||W W^T - I||_F from ten random starts; at a point with W^T W = I it is the same number."""
    shape, rng = (5, 3), np.random.default_rng(31)

    def long_side(w):
        W = w.reshape(shape)
        E = W @ W.T - np.eye(5)
        return np.sum(E**2), (4 * E @ W).ravel()

    found = [minimize(long_side, rng.standard_normal(15), jac=True, tol=1e-12).fun for _ in range(10)]
    least = math.sqrt(min(found))
    Q = haar(*shape, rng=rng)
    short = float(stiefel.orthogonality_error(Q))
    at_q = float(np.linalg.norm(Q @ Q.T - np.eye(5)))
    impossible = least > 1 and short < 1e-12 and abs(at_q - least) < 1e-6
    return Verdict(
        "fails" if impossible else "holds",
        least,
        r"least $\lVert WW^\top - I\rVert_F$ that ten minimisations over $5 \times 3$ matrices found",
        r"$WW^\top$ has rank at most $k$, so it is not $I_n$ unless $n = k$. The definition that works is "
        r"$W^\top W = I_k$: orthonormal columns; for a wide matrix, orthonormal rows.",
    )


@claim(
    "project",
    deck="slide group III, steps on the manifold",
    statement="The Cayley transform and the QR decomposition project a step back onto the manifold.",
    page=PAGES + "stiefel",
    recorded="fails",
    recorded_number=1.056,
    tolerance=0.02,
)
def retractions_do_not_project() -> Verdict:
    """1000 steps of length 2 on St(6, 3): distance from W + X to its QR, Cayley and nearest point."""
    rng, count = np.random.default_rng(32), 1000
    W = haar(6, 3, rng=rng, batch=(count,))
    X = stiefel.tangent_projection(W, rng.standard_normal((count, 6, 3)))
    X *= 2 / np.linalg.norm(X, axis=(1, 2), keepdims=True)
    gap = {name: np.linalg.norm(W + X - R(W, X), axis=(1, 2)) for name, R in retractions.RETRACTIONS.items()}
    nearest = stiefel.distance(W + X)
    farther = {name: gap[name] / nearest for name in ("qr", "cayley")}
    wrong = np.allclose(gap["polar"], nearest) and all((ratio > 1 + 1e-9).all() for ratio in farther.values())
    return Verdict(
        "fails" if wrong else "holds",
        float(farther["qr"].mean()),
        r"distance from $W + X$ to its QR point, over that to the nearest point; mean of 1000 steps of length 2",
        f"The Cayley point is {farther['cayley'].mean():.2f} times as far. Both are retractions: they stay on the "
        "manifold and agree with $W + X$ to first order. The projection is the polar factor.",
    )


@claim(
    "cayley-pi",
    deck="slide group III, the Cayley transform (a question that it leaves open)",
    statement="The Cayley transform leads from one orthogonal matrix to any other.",
    page=PAGES + "stiefel",
    recorded="holds if",
    recorded_number=179.885,
    tolerance=1e-4,
)
def cayley_cannot_turn_round() -> Verdict:
    """The angle of one Cayley step in the plane, lengths to 2000; 1000 solves for the step between two rotations."""
    turn, rng = np.array([[0.0, -1.0], [1.0, 0.0]]), np.random.default_rng(33)
    R = np.array([retractions.cayley(np.eye(2), t * turn) for t in np.geomspace(0.01, 2000, 200)])
    largest = float(np.max(np.arctan2(R[:, 1, 0], R[:, 0, 0])))
    start = haar(5, rng=rng)
    ends = haar(5, rng=rng, batch=(1000,))
    ends = ends[np.linalg.det(ends) * np.linalg.det(start) > 0]
    B = ends @ start.T
    # B = (I - S/2)^(-1) (I + S/2) solved for S: possible unless -1 is an eigenvalue of B
    S = 2 * np.linalg.solve((B + np.eye(5)).mT, (B - np.eye(5)).mT).mT
    reached = all(
        np.allclose(retractions.cayley(start, s @ start), end, atol=1e-6) for s, end in zip(S, ends, strict=True)
    )
    right = reached and largest < math.pi
    return Verdict(
        "holds if" if right else "fails",
        math.degrees(largest),
        r"largest angle, in degrees, of 200 Cayley steps in the plane, up to length $2000\sqrt2$; 180 is never reached",
        f"Of 1000 random targets on $O(5)$ one step reached all {len(ends)} in the start's component; the others have "
        r"another determinant. A turn by exactly $\pi$ has probability zero, but its neighbours need huge steps.",
        condition=r"the matrix between the two has no eigenvalue $-1$; a different determinant forces one"
        if right
        else "",
    )


@claim(
    "8",
    deck="slide group III, equation (8)",
    statement=r"The gradient of $\lambda \lVert W W^\top - I\rVert_F^2$ is $4\lambda W (W W^\top - I)$.",
    page=PAGES + "stiefel",
    recorded="fails",
    recorded_number=0.908,
    tolerance=0.02,
)
def printed_gradient_of_so() -> Verdict:
    """Twenty 4 x 4 Gaussian matrices, lambda = 1: both orders against central finite differences."""
    rng, printed, right = np.random.default_rng(34), [], []
    for _ in range(20):
        W = gaussian(4, rng=rng) * 2
        true = _central_differences(penalties.so, W)
        size = np.linalg.norm(true)
        printed.append(np.linalg.norm(4 * W @ (W @ W.T - np.eye(4)) - true) / size)
        right.append(np.linalg.norm(penalties.so_gradient(W) - true) / size)
    wrong = min(printed) > 1e-3 and max(right) < 1e-7
    return Verdict(
        "fails" if wrong else "holds",
        float(np.median(printed)),
        r"relative error of the printed form against finite differences, median of twenty $4 \times 4$ matrices",
        r"The order is wrong, and for $W$ that is not square the product does not exist. True is "
        rf"$4\lambda W(W^\top W - I) = 4\lambda (WW^\top - I)W$: error at most {max(right):.0e}.",
    )


def _central_differences(f, W: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """The matrix of partial derivatives of f at W."""
    D = np.empty_like(W)
    for index in np.ndindex(W.shape):
        e = np.zeros_like(W)
        e[index] = h
        D[index] = (f(W + e) - f(W - e)) / (2 * h)
    return D


@claim(
    "9",
    deck="slide group III, equation (9)",
    statement=r"The squared Frobenius norm is a trace: "
    r"$\lVert A\rVert_F^2 = \operatorname{tr}(A^\top A) = \sum_i s_i^2$, with the singular values $s_i$ of $A$.",
    page=PAGES + "stiefel",
    recorded="holds",
)
def frobenius_is_a_trace() -> Verdict:
    """A hundred Gaussian matrices of random shapes up to 30 x 30: the three sums, largest relative difference."""
    rng, gaps = np.random.default_rng(35), []
    for _ in range(100):
        A = rng.standard_normal(rng.integers(1, 31, 2))
        entries = np.sum(A**2)
        s = np.linalg.svd(A, compute_uv=False)
        gaps.append(max(abs(np.trace(A.T @ A) - entries), abs(np.sum(s**2) - entries)) / entries)
    worst = float(max(gaps))
    return Verdict(
        "holds" if worst < 1e-12 else "fails",
        worst,
        "largest relative difference of the three sums, a hundred matrices of random shapes",
        r"With $A = W^\top W - I$ it turns the penalty into $\sum_i (s_i^2 - 1)^2$ over the singular values of $W$.",
    )
