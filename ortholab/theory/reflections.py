r"""Products of Householder reflections H(v) = I - 2 v v^T / |v|^2, and how many of them an orthogonal matrix needs.

m reflections keep every vector that is orthogonal to their m directions, so their product fixes a subspace of dimension
n - m or more, and its determinant is (-1)^m. The other way round an orthogonal Q is a product of exactly
rank(Q - I) <= n reflections, and of no fewer. Sources: Householder 1958; Mhammedi, Hellicar, Rahman, Bailey 2017
(arXiv 1612.00188) for recurrent networks.
"""

from __future__ import annotations

import numpy as np

from ortholab.errors import ArgumentError, bad, check_array, check_int, check_number


def reflect(V: np.ndarray) -> np.ndarray:
    """Return H(v_1) H(v_2) ... H(v_m), the v_j being the columns of V (n, m): I - V T V^T, T upper triangular.

    T^(-1) has the diagonal |v_j|^2 / 2 and above it the entries of V^T V. Cost: n m^2 + m n^2 multiplications in a few
    matrix products instead of m steps. Raises ArgumentError for a zero column. Source: Joffrain et al. 2006.

    >>> reflect(np.array([[1.0], [0.0]])).tolist()
    [[-1.0, 0.0], [0.0, 1.0]]
    """
    V = check_array("V", V, ndim=2)
    if not (np.linalg.norm(V, axis=0) > 0).all():
        raise ArgumentError("V must have no zero column: there is no reflection along it")
    V = V / np.linalg.norm(V, axis=0)
    inverse = np.triu(V.T @ V, 1) + np.eye(V.shape[1]) / 2
    return np.eye(len(V)) - V @ np.linalg.solve(inverse, V.T)


def reflectors(Q: np.ndarray, m: int | None = None, *, tolerance: float = 1e-9) -> np.ndarray:
    """Return V (n, m) with unit columns and ``reflect(V)[:, :k]`` = Q, for Q (n, k) with orthonormal columns.

    One column after another is reflected onto its unit vector e_i, by v = Q e_i - e_i. This v is orthogonal to every
    e_j that is fixed already, so the fixed ones stay. A square Q takes rank(Q - I) steps, the fewest; a tall one at
    most k. ``m`` asks for that many: what is left over is filled by pairs v, v, whose product is I, and for a tall Q
    by a reflection in the last coordinates. A column that is off by less than ``tolerance`` counts as fixed. Raises
    ArgumentError where Q is no product of m reflections.

    >>> V = reflectors(np.array([[0.0, -1.0], [1.0, 0.0]]))  # a quarter turn: two reflections
    >>> V.shape, (reflect(V).round(12) + 0.0).tolist()
    ((2, 2), [[0.0, -1.0], [1.0, 0.0]])
    """
    tolerance = check_number("tolerance", tolerance, low=0, open_low=True)
    Q = check_array("Q", Q, ndim=2).copy()
    n, k = Q.shape
    if n < k or np.abs(Q.T @ Q - np.eye(k)).max() > 1e-6:
        raise ArgumentError(f"Q must have orthonormal columns, no more than rows; got shape {Q.shape}")
    eye, found = np.eye(n, k), []
    while True:
        off = np.linalg.norm(Q - eye, axis=0)
        i = int(off.argmax())
        if off[i] < tolerance or len(found) == k:
            break
        v = (Q[:, i] - eye[:, i]) / off[i]
        found.append(v)
        Q -= 2 * np.outer(v, v @ Q)
    V = np.array(found).reshape(-1, n).T
    return V if m is None else _fill(V, check_int("m", m, 1), n, k)


def _fill(V: np.ndarray, m: int, n: int, k: int) -> np.ndarray:
    """Return V with pairs of equal columns added, and one that the first k coordinates do not see if m asks for it."""
    left = m - V.shape[1]
    if left < 0:
        raise bad("m", m, f"at least rank(Q - I) = {V.shape[1]}")
    last = np.eye(n)[:, -1:]
    if left % 2:
        if n == k:
            raise bad("m", m, "even for a Q with determinant 1, odd for one with determinant -1")
        V = np.concatenate([V, last], axis=1)
    return np.concatenate([V, np.repeat(np.eye(n)[:, np.arange(left // 2) % n], 2, axis=1)], axis=1)


def fixed_dimension(Q: np.ndarray) -> int:
    """Return the dimension of {x : Q x = x}, n - rank(Q - I), for a square matrix Q.

    It is n or less by the number of reflections that Q needs. Raises ArgumentError.

    >>> fixed_dimension(np.diag([1.0, 1.0, -1.0]))
    2
    """
    Q = check_array("Q", Q, ndim=2)
    if Q.shape[0] != Q.shape[1]:
        raise bad("Q", Q.shape, "a square matrix")
    return len(Q) - int((np.linalg.svd(Q - np.eye(len(Q)), compute_uv=False) > 1e-9).sum())


def generalised(k: np.ndarray, beta: float) -> np.ndarray:
    """Return I - beta k k^T / |k|^2: eigenvalue 1 - beta along k and 1 across it.

    beta = 0 keeps, 1 projects k out, 2 reflects; between 0 and 2 no vector grows. It is the transition of DeltaNet and,
    several of them multiplied, of DeltaProduct. Raises ArgumentError. Sources: Yang et al. 2024 (arXiv 2406.06484);
    Siems et al. 2025 (2502.10297).

    >>> generalised(np.array([2.0, 0.0]), 1.0).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    k = check_array("k", k, ndim=1)
    size = float(k @ k)
    if size == 0:
        raise ArgumentError("k must not be zero")
    return np.eye(len(k)) - float(beta) * np.outer(k, k) / size
