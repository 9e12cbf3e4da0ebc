"""The Stiefel manifold St(n, k) = {W : W^T W = I_k}, n >= k: tangent space, gradients, nearest point, distance.

Matrices are arrays (..., n, k) of any library of the Array API standard: numpy in a browser, torch on a GPU. If n < k
the rows are the orthonormal side, and each formula is read for W^T. A gain g makes it g St = {g Q}; random points are g
times :func:`ortholab.theory.haar`. The ways along the manifold are in :mod:`ortholab.theory.retractions`. Sources:
Edelman, Arias, Smith 1998 (SIAM J. Matrix Anal. Appl. 20); Absil, Mahony, Sepulchre 2008. The deck writes W W^T = I_k
for an n x k matrix, which no n > k allows: the rank of W W^T is k.
"""

from __future__ import annotations

from ortholab.errors import ArgumentError, check_choice
from ortholab.theory._frame import Array, as_given, frame, gram_error, upright

METRICS = ("euclidean", "canonical")


def tangent_projection(W: Array, Z: Array, *, gain: float = 1.0) -> Array:
    """Project Z orthogonally onto the tangent space at W: Z - W sym(W^T Z) / gain^2, sym(S) = (S + S^T) / 2.

    Tangent at W are the X with W^T X + X^T W = 0. W, Z and the result have shape (..., n, k). It also carries a tangent
    vector of another point to W (the vector transport that momentum needs). Raises ArgumentError if W is off the
    manifold by more than 0.01 in an entry of W^T W / gain^2, or if Z does not match W. Edelman et al. 1998, section
    2.2.

    >>> import numpy as np
    >>> tangent_projection(np.eye(2), np.array([[5.0, 3.0], [1.0, 7.0]])).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    at = frame(W, gain)
    A, K = at.split(at.take("Z", Z))
    return at.give(at.Q @ A + K)


def inner(W: Array, X: Array, Y: Array, *, metric: str = "euclidean", gain: float = 1.0) -> Array:
    """Return the inner product of tangent vectors X, Y at W: tr X^T Y, or canonical tr X^T (I - W W^T / (2 gain^2)) Y.

    X = W A + K (A skew, W^T K = 0) has the squared length gain^2 ||A||_F^2 + ||K||_F^2, canonical gain^2 ||A||_F^2 / 2
    + ||K||_F^2: there each of the skew matrix's free entries counts once. Shapes (..., n, k), result (...,). Raises
    ArgumentError as tangent_projection does, and for another metric. Edelman et al. 1998, section 2.4.

    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> float(inner(np.eye(2), X, X)), float(inner(np.eye(2), X, X, metric="canonical"))
    (2.0, 1.0)
    """
    check_choice("metric", metric, METRICS)
    at = frame(W, gain)
    X, Y = at.take("X", X), at.take("Y", Y)
    product = at.xp.sum(X * Y, axis=(-2, -1))
    if metric == "canonical":
        product = product - at.xp.sum((at.Q.mT @ X) * (at.Q.mT @ Y), axis=(-2, -1)) / 2
    return at.gain**2 * product


def riemannian_gradient(W: Array, G: Array, *, metric: str = "euclidean", gain: float = 1.0) -> Array:
    """Return the tangent vector D at W with inner(W, D, X) = tr G^T X for every tangent X; G = dLoss/dW.

    Euclidean: D = G - W sym(W^T G) / gain^2, the tangent projection. Canonical: D = G - W G^T W / gain^2, which is A W
    with the skew A = (G W^T - W G^T) / gain^2 of the Cayley step. Shapes (..., n, k). For square W the canonical one is
    twice the Euclidean. Raises ArgumentError as tangent_projection does, and for another metric. Edelman et al. 1998,
    section 2.4.

    >>> import numpy as np
    >>> riemannian_gradient(np.eye(2), np.array([[5.0, 3.0], [1.0, 7.0]]), metric="canonical").tolist()
    [[0.0, 2.0], [-2.0, 0.0]]
    """
    check_choice("metric", metric, METRICS)
    at = frame(W, gain)
    A, K = at.split(at.take("G", G))
    return at.give(at.Q @ (A if metric == "euclidean" else 2 * A) + K)


def project(W: Array, *, gain: float = 1.0) -> Array:
    """Return the point of gain St nearest to W in the Frobenius norm: gain U V^T for the thin W = U S V^T.

    It is gain times the orthogonal polar factor W (W^T W)^(-1/2). W is any matrix (..., n, k) of full rank. Raises
    ArgumentError if the rank is lower within rounding, for then many points are equally near. This is the projection;
    QR and Cayley are retractions and give other points. Higham 1989; Absil and Malick 2012.

    >>> import numpy as np
    >>> project(np.array([[3.0, 0.0], [0.0, 0.1], [0.0, 0.0]])).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    """
    xp, X, wide = upright(W, gain, power=2)
    U, s, Vh = xp.linalg.svd(X, full_matrices=False)
    smallest = X.shape[-2] * xp.finfo(X.dtype).eps * s[..., :1]
    if not bool(xp.all(s[..., -1:] > smallest)):
        least = float(xp.min(s)) * gain
        raise ArgumentError(
            f"W must have full rank, or its nearest point is not unique; got a singular value {least:.3g}"
        )
    return float(gain) * as_given(U @ Vh, wide)


def distance(W: Array, *, gain: float = 1.0) -> Array:
    """Return the distance from W to gain St in the Frobenius norm: sqrt(sum_i (s_i - gain)^2), s_i W's singular values.

    W is any matrix (..., n, k), the result has shape (...,). It is ||W - project(W)||_F where that is unique. Raises
    ArgumentError for a wrong array or gain. Near the manifold it is gain / 2 times the orthogonality error.

    >>> import numpy as np
    >>> float(distance(np.array([[4.0, 0.0], [0.0, 5.0], [0.0, 0.0]])))
    5.0
    """
    xp, X, _ = upright(W, gain, power=2)
    return float(gain) * xp.sqrt(xp.sum((xp.linalg.svdvals(X) - 1) ** 2, axis=-1))


def orthogonality_error(W: Array, *, gain: float = 1.0) -> Array:
    """Return ||W^T W / gain^2 - I_k||_F, for a wide W ||W W^T / gain^2 - I_n||_F: the side that can reach the identity.

    W is any matrix (..., n, k), the result has shape (...,). On the long side the norm is at least sqrt(|n - k|)
    whatever W is. The rounding of the product itself is about 1e-7 sqrt(k) in float32: convert to float64 to see below
    it. Raises ArgumentError for a wrong array or gain.

    >>> import numpy as np
    >>> float(orthogonality_error(np.ones((1, 4)) / 2)), float(orthogonality_error(np.ones((1, 4))))
    (0.0, 3.0)
    """
    xp, X, _ = upright(W, gain)
    return xp.sqrt(xp.sum(gram_error(xp, X) ** 2, axis=(-2, -1)))
