"""Random matrices: Haar orthogonal (and Stiefel) matrices, Gaussian matrices.

Sources: Stewart 1980; Mezzadri 2007 (arXiv math-ph/0609050).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ortholab._scipy import linalg
from ortholab.errors import bad, check_generator, check_int, check_number


def haar(
    n: int,
    k: int | None = None,
    *,
    rng: np.random.Generator | int,
    batch: tuple[int, ...] = (),
    dtype: type = np.float64,
) -> np.ndarray:
    """Draw Q with Q^T Q = I_k from the Haar (uniform) distribution, shape (*batch, n, k); k <= n defaults to n.

    Stewart 1980: the QR factorisation of a Gaussian matrix is a product of Householder reflectors, and column j's
    reflector depends only on an independent Gaussian vector of length n - j. So the vectors are drawn and the
    factorisation, half of the usual cost, is never made. The signs of R's diagonal go into Q's columns; without
    them Q is orthogonal but not uniform. Float32 or float64. Raises ArgumentError for sizes, k > n, other dtypes.

    >>> Q = haar(4, 2, rng=0)
    >>> Q.shape, bool(abs(Q.T @ Q - np.eye(2)).max() < 1e-15)
    ((4, 2), True)
    """
    n = check_int("n", n, 1)
    k = n if k is None else check_int("k", k, 1)
    if k > n:
        raise bad("k", k, f"at most n = {n} (an n x k matrix with orthonormal columns)")
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise bad("dtype", dtype, "float32 or float64")
    rng = check_generator(rng)
    form = _former(np.dtype(dtype))
    out = np.empty((*batch, n, k), dtype=dtype)
    for index in np.ndindex(*batch):
        out[index] = _stewart(n, k, rng, form, np.dtype(dtype))
    return out


def _former(dtype: np.dtype) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the function that multiplies out reflectors: LAPACK's, or where there is no scipy (yet) numpy's loop."""
    try:
        orgqr = linalg.lapack.dorgqr if dtype == np.float64 else linalg.lapack.sorgqr
    except ModuleNotFoundError:
        return multiply_out

    def form(x: np.ndarray, tau: np.ndarray) -> np.ndarray:
        q, _, info = orgqr(x, tau, lwork=64 * x.shape[1], overwrite_a=True)
        if info != 0:
            raise ArithmeticError(f"LAPACK orgqr failed with info = {info}")
        return q

    return form


def multiply_out(x: np.ndarray, tau: np.ndarray) -> np.ndarray:
    """Return H_1 H_2 ... H_k applied to the first k columns of the identity, (n, k), as LAPACK's orgqr does.

    H_j = I - tau_j v_j v_j^T with v_j = (0, ..., 0, 1, x[j + 1, j], ..., x[n - 1, j]); x is (n, k), tau (k,).

    >>> multiply_out(np.array([[1.0], [1.0]]), np.array([1.0])).ravel().tolist()
    [0.0, -1.0]
    """
    q = np.eye(*x.shape, dtype=x.dtype)
    for j in reversed(range(x.shape[1])):
        v = x[j:, j].copy()
        v[0] = 1.0
        q[j:, j:] -= np.outer(tau[j] * v, v @ q[j:, j:])
    return q


def _stewart(n: int, k: int, rng: np.random.Generator, form, dtype: np.dtype) -> np.ndarray:
    x = rng.standard_normal((k, n), dtype=dtype).T  # column j is used from row j down; Fortran order, as LAPACK wants
    diagonal = np.arange(k)
    length = np.sqrt([np.dot(v, v) for v in (x[j:, j] for j in range(k))]).astype(dtype)
    head = x[diagonal, diagonal].copy()
    sign = np.where(head >= 0, 1.0, -1.0).astype(dtype)
    # LAPACK's convention: v = x + sign |x| e_1 divided by its head, H = I - tau v v^T, H x = -sign |x| e_1.
    pivot = head + sign * length
    tau = pivot / (sign * length)
    x /= pivot
    # The last column of a square matrix is a scalar: its reflector is the identity, its sign a fair coin.
    if k == n:
        tau[-1] = 0.0
        sign[-1] = -sign[-1]
    q = form(x, tau)
    q *= -sign
    return q


def gaussian(
    n: int, k: int | None = None, *, sigma_w: float = 1.0, rng: np.random.Generator | int, batch: tuple[int, ...] = ()
) -> np.ndarray:
    """Draw an n x k matrix (k defaults to n) of independent N(0, sigma_w^2 / k) entries, shape (*batch, n, k).

    k is the number of inputs, so that the product with a vector of mean square 1 has mean square sigma_w^2.

    >>> gaussian(3, 2, rng=0).shape
    (3, 2)
    """
    n = check_int("n", n, 1)
    k = n if k is None else check_int("k", k, 1)
    sigma_w = check_number("sigma_w", sigma_w, low=0.0, open_low=True)
    return check_generator(rng).standard_normal((*batch, n, k)) * (sigma_w / np.sqrt(k))


def weights(
    kind: str, n: int, k: int | None = None, *, sigma_w: float = 1.0, rng: np.random.Generator | int
) -> np.ndarray:
    """Draw a layer's n x k weight matrix with entries of variance sigma_w^2 / k; ``kind`` "gaussian" or "orthogonal".

    The orthogonal one is sigma_w times a Haar matrix when n = k. Otherwise it is a semi-orthogonal matrix (orthonormal
    columns if n > k, rows if n < k) times sigma_w sqrt(max(n, k) / k), which keeps the entries' variance.

    >>> W = weights("orthogonal", 3, sigma_w=2.0, rng=0)
    >>> bool(abs(W @ W.T - 4 * np.eye(3)).max() < 1e-14)
    True
    """
    if kind == "gaussian":
        return gaussian(n, k, sigma_w=sigma_w, rng=rng)
    if kind != "orthogonal":
        raise bad("kind", kind, "'gaussian' or 'orthogonal'")
    sigma_w = check_number("sigma_w", sigma_w, low=0.0, open_low=True)
    n = check_int("n", n, 1)
    k = n if k is None else check_int("k", k, 1)
    q = haar(max(n, k), min(n, k), rng=rng)
    return (q if n >= k else q.T) * (sigma_w * np.sqrt(max(n, k) / k))
