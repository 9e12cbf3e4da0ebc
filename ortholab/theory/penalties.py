"""Soft orthogonality: penalties that are zero on the Stiefel manifold, and their gradients.

Each is a function of E = W^T W / gain^2 - I_k for a tall or square W (n >= k) and of E = W W^T / gain^2 - I_n for a
wide one: the Gram matrix of the **short side**. The long side's has rank min(n, k), so max(n, k) - min(n, k)
eigenvalues of its error stay at -1 whatever W is. There SRIP is stuck: its value is 1 and its gradient 0 as long as
every s_i^2 < 2 gain^2; MC drives entries that cannot all vanish; SO changes by the constant |n - k| alone, and its
gradient not at all.

W is an array (..., n, k) of any library of the Array API standard, values have shape (...,), gradients that of W.
Nothing here holds a coefficient: lambda is the caller's. Every function raises ArgumentError for what is no finite
array of float32 or float64 with two axes or more, for entries whose fourth powers overflow, and for a gain outside
[1e-6, 1e6]. Sources: Bansal, Chen, Wang 2018 (SO, DSO, MC, SRIP); the deck, equations (8) to (10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ortholab.errors import ArgumentError, check_matrices
from ortholab.theory._frame import Array, as_given, gram_error, upright
from ortholab.theory.srip import power_iteration, srip, srip_gradient

__all__ = [
    "PENALTIES", "Penalty", "dso", "dso_gradient", "gain_adjusted", "gain_adjusted_gradient", "kernel_matrix", "mc",
    "mc_gradient", "power_iteration", "published", "published_gradient", "so", "so_gradient", "srip", "srip_gradient",
]  # fmt: skip


def so(W: Array, *, gain: float = 1.0) -> Array:
    """Soft orthogonality, ||W^T W / gain^2 - I||_F^2 on the short side: sum_i (s_i^2 / gain^2 - 1)^2.

    Zero only for orthonormal columns (rows of a wide W) times the gain. The deck's equations (8), and (10) with a gain.
    W (..., n, k) gives (...,).

    >>> import numpy as np
    >>> float(so(np.diag([2.0, 1.0]))), float(so(np.diag([2.0, 2.0]), gain=2.0))
    (9.0, 0.0)
    """
    xp, X, _ = upright(W, gain)
    return xp.sum(gram_error(xp, X) ** 2, axis=(-2, -1))


def so_gradient(W: Array, *, gain: float = 1.0) -> Array:
    """Gradient of :func:`so`: (4 / gain^2) W (W^T W / gain^2 - I), which equals (4 / gain^2) (W W^T / gain^2 - I) W.

    The deck prints W (W W^T - I), which does not exist unless W is square. Shape (..., n, k).

    >>> import numpy as np
    >>> so_gradient(np.diag([2.0, 1.0])).tolist()
    [[24.0, 0.0], [0.0, 0.0]]
    """
    xp, X, wide = upright(W, gain)
    return as_given(4 / gain * (X @ gram_error(xp, X)), wide)


def gain_adjusted(W: Array, gain: float) -> Array:
    """The gain-adjusted penalty ||W^T W / gain^2 - I||_F^2: :func:`so` with a gain that must be named.

    The deck's equation (10), where sigma_w stands for the gain. It is zero at gain Q for every orthogonal Q; the
    spectral norm is then the gain, not its square. A penalty on W^T W - I would pull the singular values from the gain
    back to 1. W (..., n, k) gives (...,).

    >>> import numpy as np
    >>> float(gain_adjusted(np.diag([1.5, 1.5]), 1.5)), float(so(np.diag([1.5, 1.5])))
    (0.0, 3.125)
    """
    return so(W, gain=gain)


def gain_adjusted_gradient(W: Array, gain: float) -> Array:
    """Gradient of :func:`gain_adjusted`: (4 / gain^2) W (W^T W / gain^2 - I). Zero at W = gain Q.

    The report behind the deck prints (4 / gain^4) W (W^T W - I), which is not zero there. The shape is
    that of W, (..., n, k).

    >>> import numpy as np
    >>> gain_adjusted_gradient(np.diag([1.5, 1.5]), 1.5).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return so_gradient(W, gain=gain)


def published(W: Array, *, gain: float = 1.0) -> Array:
    """The penalty of the code that was published with the deck: the mean over all entries of (W^T W / gain^2 - 1)^2.

    The 1 is a number, so it is taken from every entry: the matrix subtracted is all ones, not the identity. At an
    orthogonal W (gain 1) the value is (k - 1)/k, not 0; it is 0 where all k columns are equal and as long as the gain:
    there W has rank one and the singular value gain sqrt(k). Always of W^T W, (k, k), as in that code.

    >>> import numpy as np
    >>> float(published(np.eye(4))), float(published(np.ones((4, 4)) / 2))
    (0.75, 0.0)
    """
    xp, X, k = _columns(W, gain)
    return xp.sum((X.mT @ X - 1) ** 2, axis=(-2, -1)) / k**2


def published_gradient(W: Array, *, gain: float = 1.0) -> Array:
    """Gradient of :func:`published`: 4 / (gain^2 k^2) W (W^T W / gain^2 - 1 1^T), (..., n, k).

    >>> import numpy as np
    >>> published_gradient(np.eye(2)).tolist()
    [[0.0, -1.0], [-1.0, 0.0]]
    """
    _, X, k = _columns(W, gain)
    return 4 / (gain * k**2) * (X @ (X.mT @ X - 1))


def _columns(W: Array, gain: float) -> tuple:
    """Return the array library, W / gain and the number k of columns, checked."""
    xp, X, wide = upright(W, gain)
    return xp, X.mT if wide else X, W.shape[-1]


def dso(W: Array, *, gain: float = 1.0) -> Array:
    """Double soft orthogonality, ||W^T W / gain^2 - I_k||_F^2 + ||W W^T / gain^2 - I_n||_F^2.

    Both have the same trace terms, so it is exactly 2 so(W) + |n - k|: its minimum is |n - k|, and training with it is
    training with SO at twice the coefficient. Bansal et al. 2018. W (..., n, k) gives (...,).

    >>> import numpy as np
    >>> float(dso(np.eye(3)[:, :1])), float(dso(np.diag([2.0, 1.0])))
    (2.0, 18.0)
    """
    return 2 * so(W, gain=gain) + abs(W.shape[-2] - W.shape[-1])


def dso_gradient(W: Array, *, gain: float = 1.0) -> Array:
    """Gradient of :func:`dso`, of W's shape (..., n, k): twice that of :func:`so`.

    >>> import numpy as np
    >>> dso_gradient(np.diag([2.0, 1.0])).tolist()
    [[48.0, 0.0], [0.0, 0.0]]
    """
    return 2 * so_gradient(W, gain=gain)


def mc(W: Array, *, gain: float = 1.0) -> Array:
    """Mutual coherence, the largest entry of |W^T W / gain^2 - I| on the short side.

    Bansal et al. 2018 write it with an infinity norm and mean this. It counts lengths too: an entry of the diagonal is
    s^2 / gain^2 - 1 for a column of length s.

    >>> import numpy as np
    >>> float(mc(np.array([[1.0, 0.6], [0.0, 0.8]])))
    0.6
    """
    xp, X, _ = upright(W, gain)
    return xp.max(xp.abs(gram_error(xp, X)), axis=(-2, -1))


def mc_gradient(W: Array, *, gain: float = 1.0) -> Array:
    """Gradient of :func:`mc`: (W / gain^2) (T + T^T), T = sign(E) at the largest entries of |E|, over their number.

    Only the two columns that meet at the largest entry move. Where several entries tie it is the mean of their
    gradients, a subgradient; where E = 0 it is 0.

    >>> import numpy as np
    >>> mc_gradient(np.array([[1.0, 0.6], [0.0, 0.8]])).tolist()
    [[0.6, 1.0], [0.8, 0.0]]
    """
    xp, X, wide = upright(W, gain)
    E = gram_error(xp, X)
    size = xp.abs(E)
    largest = xp.astype(size == xp.max(size, axis=(-2, -1), keepdims=True), E.dtype)
    T = xp.sign(E) * largest / xp.sum(largest, axis=(-2, -1), keepdims=True)
    return as_given(X @ (T + T.mT) / gain, wide)


def kernel_matrix(kernel: Array) -> Array:
    """Return the matrix that a penalty sees of a convolution kernel (out, in, h, w): (out, in h w), one filter a row.

    Reshape a gradient to ``kernel.shape`` to go back. Bansal et al. 2018 put filters in columns: the transpose, with
    the same short side. An orthogonal one makes the filters orthonormal, which is not an orthogonal convolution: the
    patches that the filters see overlap. Raises ArgumentError unless the kernel is a floating array of 3 dimensions or
    more (one or more for the window).

    >>> import numpy as np
    >>> kernel_matrix(np.zeros((16, 3, 5, 5))).shape
    (16, 75)
    """
    xp = check_matrices("kernel", kernel)
    if kernel.ndim < 3 or 0 in kernel.shape:
        raise ArgumentError(f"kernel must have shape (out, in, h, w); got {tuple(kernel.shape)}")
    return xp.reshape(kernel, (kernel.shape[0], -1))


class Penalty(NamedTuple):
    """A penalty's value and its gradient, both functions of (W, *, gain).

    >>> import numpy as np
    >>> PENALTIES["SO"].value(np.eye(3, 2)).item(), PENALTIES["SO"].gradient(np.eye(3, 2)).shape
    (0.0, (3, 2))
    """

    value: Callable[..., Array]
    gradient: Callable[..., Array]


PENALTIES = {
    "SO": Penalty(so, so_gradient),
    "DSO": Penalty(dso, dso_gradient),
    "MC": Penalty(mc, mc_gradient),
    "SRIP": Penalty(srip, srip_gradient),
}
