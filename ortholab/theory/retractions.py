"""Ways along the Stiefel manifold gain St(n, k) from W in a tangent direction X: three retractions and the geodesics.

A retraction R(X) stays on the manifold and agrees with W + X to first order. All take W and ``direction`` of shape
(..., n, k) of any library of the Array API standard (n < k: the rows are orthonormal), and all go along the direction's
tangent part: its normal part W sym(W^T X) / gain^2 has no effect, so -rate * G with a plain gradient G may be passed.
With W = gain Q and direction = gain X each formula below is that of Q and X = Q A + K, A skew, Q^T K = 0.

How far R(t X) is from the geodesic: QR t^2; Cayley t^3 from the canonical geodesic, t^2 from the Euclidean one; polar
t^3 from the Euclidean, t^2 from the canonical. Both geodesics are one if n = k or k = 1, or where A = 0 or K = 0.
Sources: Edelman, Arias, Smith 1998, section 2; Absil, Mahony, Sepulchre 2008, section 4.1; Wen and Yin 2013.
"""

from __future__ import annotations

from ortholab.errors import ArgumentError, check_choice
from ortholab.theory._frame import TOLERANCE, Array, eye, frame
from ortholab.theory.stiefel import METRICS


def cayley(W: Array, direction: Array, *, gain: float = 1.0) -> Array:
    """Return (I - S/2)^(-1) (I + S/2) Q, S = P X Q^T - Q X^T P with P = I - Q Q^T / 2: the skew S with S Q = X.

    S has rank 2k, so only k x k equations are solved, Q + (X - Q K^T K / 2) (I + K^T K / 4 - A / 2)^(-1): O(n k^2)
    work, and S is never formed. For X = -rate * (canonical gradient) it is the deck's step by the skew G W^T - W G^T.
    It turns by less than pi: an eigenvalue -1 of a square R(X) W^T is out of reach. Second order in the canonical
    metric. Rounding grows like ||K||^2: in float64 the result is orthonormal to 1e-14 for ||X|| <= 10, to 1e-8 at 10^4.
    Raises ArgumentError if W is off the manifold by more than 0.01, if ``direction`` does not match it, or if it is so
    long that the result could be off by as much. Wen and Yin 2013, Lemma 4.

    >>> import numpy as np
    >>> cayley(np.eye(2), np.array([[0.0, -2.0], [2.0, 0.0]])).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    at = frame(W, gain)
    A, K = at.split(at.take("direction", direction))
    C = K.mT @ K
    _check_rounding(at.xp, A, K)
    # With S written in the columns of [Q, K], the lower block of the equations gives N = (I + M) / 2 for Q M + K N, and
    # the upper one (I + C/4 - A/2)(I + M) = 2 I. What is added to Q is formed apart: a small step keeps its digits.
    step = at.Q @ (A - C / 2) + K
    equations = eye(at.xp, at.Q, C.shape[-1]) + C / 4 - A / 2
    return at.give(at.Q + at.xp.linalg.solve(equations.mT, step.mT).mT)


def _check_rounding(xp, A: Array, K: Array) -> None:
    """Raise ArgumentError if the rounding of I + K^T K / 4 - A / 2 could put W off the manifold by TOLERANCE."""
    axes = (-2, -1)
    error = xp.finfo(A.dtype).eps * (xp.sum(K * K, axis=axes) + xp.sqrt(xp.sum(A * A, axis=axes)))
    if not bool(xp.all(error <= TOLERANCE)):
        length = float(xp.max(xp.sqrt(xp.sum(K * K, axis=axes) + xp.sum(A * A, axis=axes))))
        raise ArgumentError(
            f"direction must be shorter for a Cayley step in {A.dtype}; got length / gain {length:.3g}, "
            f"where rounding may reach {float(xp.max(error)):.2g}"
        )


def qr(W: Array, direction: Array, *, gain: float = 1.0) -> Array:
    """Return the Q factor of Q + X, with signs that make R's diagonal positive.

    Without the signs LAPACK's R may have a negative diagonal, and R(0) is W with columns turned round. First order. It
    always exists: (Q + X)^T (Q + X) = I + X^T X. Raises ArgumentError as cayley does. Absil et al. 2008, section 4.1.

    >>> import numpy as np
    >>> qr(np.eye(2), np.array([[0.0, -0.75], [0.75, 0.0]])).round(15).tolist()
    [[0.8, -0.6], [0.6, 0.8]]
    """
    at = frame(W, gain)
    A, K = at.split(at.take("direction", direction))
    Q, R = at.xp.linalg.qr(at.Q + (at.Q @ A + K))
    signs = at.xp.sign(at.xp.linalg.diagonal(R))
    return at.give(Q * signs[..., None, :])


def polar(W: Array, direction: Array, *, gain: float = 1.0) -> Array:
    """Return (Q + X) (I + X^T X)^(-1/2), the point of the manifold nearest to Q + X.

    Second order in the Euclidean metric. Computed as U V^T from the thin singular value decomposition, which always
    exists: no singular value of Q + X is below 1. Raises ArgumentError as cayley does. Absil et al. 2008, section 4.1.

    >>> import numpy as np
    >>> polar(np.eye(2), np.array([[0.0, -0.75], [0.75, 0.0]])).round(15).tolist()
    [[0.8, -0.6], [0.6, 0.8]]
    """
    at = frame(W, gain)
    A, K = at.split(at.take("direction", direction))
    U, _, Vh = at.xp.linalg.svd(at.Q + (at.Q @ A + K), full_matrices=False)
    return at.give(U @ Vh)


def exponential(W: Array, direction: Array, *, metric: str = "euclidean", gain: float = 1.0) -> Array:
    """Return the point at time 1 on the geodesic that starts at W with velocity X: the exponential map.

    With K = V R (thin QR) and [M; N] the first k columns of exp [[c A, -R^T], [R, 0]]: (Q M + V N) exp(-A) with c = 2
    for the metric "euclidean" (Edelman et al., section 2.2, in the form with skew exponents of Zimmermann and Hueper
    2022), Q M + V N with c = 1 for "canonical" (Edelman et al., theorem 2.1); Q exp(A) in both if n = k. Geodesics are
    straight as seen in the manifold: ambient acceleration -W (X^T X) / gain^2 in the Euclidean metric. Raises
    ArgumentError as cayley does, and for another metric. Costs an eigendecomposition of a complex 2k x 2k matrix: a
    reference, not a fast step.

    >>> import numpy as np
    >>> exponential(np.eye(2), np.array([[0.0, -np.pi], [np.pi, 0.0]])).round(12).tolist()
    [[-1.0, -0.0], [0.0, -1.0]]
    """
    check_choice("metric", metric, METRICS)
    at = frame(W, gain)
    xp = at.xp
    A, K = at.split(at.take("direction", direction))
    n, k = at.Q.shape[-2:]
    if n == k:
        return at.give(at.Q + at.Q @ _exp_minus_one(xp, A))
    # Where K's rank is below k (as if n < 2k) V's surplus columns are arbitrary, and harmless: N = R (...) and V R = K.
    V, R = xp.linalg.qr(K)
    top = xp.concat([2 * A if metric == "euclidean" else A, -R.mT], axis=-1)
    block = xp.concat([top, xp.concat([R, xp.zeros_like(A)], axis=-1)], axis=-2)
    change = _exp_minus_one(xp, block)[..., :k]
    Y = at.Q + (at.Q @ change[..., :k, :] + V @ change[..., k:, :])
    return at.give(Y + Y @ _exp_minus_one(xp, -A) if metric == "euclidean" else Y)


def _exp_minus_one(xp, S: Array) -> Array:
    """exp(S) - I for skew S: i S is Hermitian with unitary eigenvectors, so exp(S) is orthogonal however long S is.

    In double precision also for float32, and without the I, whose rounding would pull W off, step after step.
    """
    angles, V = xp.linalg.eigh(1j * xp.astype(S, xp.complex128))
    turns = xp.exp(-1j * xp.astype(angles, xp.complex128)) - 1
    return xp.astype(xp.real((V * turns[..., None, :]) @ xp.conj(V).mT), S.dtype)


RETRACTIONS = {"cayley": cayley, "qr": qr, "polar": polar}
