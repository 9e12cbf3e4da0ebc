"""The penalty SRIP, spectral restricted isometry: the spectral norm of the Gram error, exact and by power iteration.

As in :mod:`ortholab.theory.penalties`, which holds the other penalties: the short side, (..., n, k), any array library.

Source: Bansal, Chen, Wang 2018 (arXiv 1810.09102).
"""

from __future__ import annotations

from ortholab.errors import bad, check_int, check_like
from ortholab.theory._frame import Array, as_given, gram_error, upright


def srip(W: Array, *, gain: float = 1.0, v: Array | None = None) -> Array:
    """Spectral norm of E = W^T W / gain^2 - I on the short side: max_i |s_i^2 / gain^2 - 1|, s_i W's singular values.

    Exact by the eigenvalues of E, O(n k^2), if ``v`` is None; otherwise ||E v|| / ||v||, a lower bound in O(n k), for
    the vector ``v`` of shape (..., min(n, k)) that :func:`power_iteration` improves. Raises ArgumentError also for a
    ``v`` that is zero or of another shape. Bansal et al. 2018.

    >>> import numpy as np
    >>> float(srip(np.diag([2.0, 1.0, 0.5]))), float(srip(np.diag([2.0, 1.0, 0.5]), v=np.array([0.0, 0.0, 1.0])))
    (3.0, 0.75)
    """
    xp, X, _ = upright(W, gain)
    if v is None:
        return xp.max(xp.abs(xp.linalg.eigvalsh(gram_error(xp, X))), axis=-1)
    return _length(xp, _times_error(X, _unit(xp, X, "v", v)))[..., 0]


def srip_gradient(W: Array, *, gain: float = 1.0, v: Array | None = None) -> Array:
    """Gradient of :func:`srip`: (W / gain^2) (v u^T + u v^T), with a unit vector v and u = E v / ||E v||.

    With v None it is the eigenvector of E with the largest |eigenvalue|, and u = +-v: (2 / gain^2) sign W v v^T. With
    another v it is the exact gradient of ||E v|| at fixed v. That is safe where the eigenvalues a and -a tie: there the
    iteration never settles and v^T E v may cancel to 0, yet this is a subgradient. Zero where E v = 0.

    >>> import numpy as np
    >>> srip_gradient(np.diag([2.0, 1.0, 0.5])).tolist()
    [[4.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    xp, X, wide = upright(W, gain)
    v = _leading(xp, gram_error(xp, X)) if v is None else _unit(xp, X, "v", v)
    u = _times_error(X, v)
    u = u / _nonzero(xp, _length(xp, u))
    return as_given(((X @ v[..., None]) * u[..., None, :] + (X @ u[..., None]) * v[..., None, :]) / gain, wide)


def power_iteration(W: Array, start: Array, *, steps: int, gain: float = 1.0) -> Array:
    """Return v after ``steps`` of v <- E v / ||E v||, E = W^T W / gain^2 - I on the short side, which is never formed.

    ``start`` and v have shape (..., min(n, k)); a step costs two products with W. The error falls like |e_2 /
    e_1|^steps, e_i the eigenvalues by size, so hand on the v of the last training step rather than a new random one.
    Raises ArgumentError also for a zero ``start`` or steps < 0.

    >>> import numpy as np
    >>> power_iteration(np.diag([2.0, 1.0, 0.5]), np.ones(3), steps=30).round(9).tolist()
    [1.0, 0.0, 0.0]
    """
    xp, X, _ = upright(W, gain)
    v = _unit(xp, X, "start", start)
    for _ in range(check_int("steps", steps)):
        moved = _times_error(X, v)
        length = _length(xp, moved)
        v = xp.where(length > 0, moved / _nonzero(xp, length), v)
    return v


def _times_error(X: Array, v: Array) -> Array:
    """(X^T X - I) v, without X^T X."""
    return (X.mT @ (X @ v[..., None]))[..., 0] - v


def _length(xp, v: Array) -> Array:
    """Euclidean length over the last axis, which is kept with length 1."""
    return xp.sqrt(xp.sum(v * v, axis=-1, keepdims=True))


def _nonzero(xp, length: Array) -> Array:
    return xp.where(length > 0, length, xp.ones_like(length))


def _unit(xp, X: Array, name: str, v: Array) -> Array:
    check_like(name, v, "W", X, shape=(*X.shape[:-2], X.shape[-1]))
    length = _length(xp, v)
    if not bool(xp.all(length > 0)):
        raise bad(name, v, "nonzero in every matrix of the batch")
    return v / length


def _leading(xp, E: Array) -> Array:
    """The unit eigenvector of the symmetric E whose eigenvalue is largest in size."""
    e, V = xp.linalg.eigh(E)  # ascending, so it is the first or the last
    return xp.where(xp.abs(e[..., :1]) > xp.abs(e[..., -1:]), V[..., :, 0], V[..., :, -1])
