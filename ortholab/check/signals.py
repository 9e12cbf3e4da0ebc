"""Checks of chapter I: the ordered Jacobian, and an audit of isometry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator
from ortholab.check._mistakes import recognise
from ortholab.theory import haar


def ordered_jacobian(jacobian: Callable, seed: int = 0) -> None:
    """Check that ``jacobian(weights, slopes)`` is D_L W_L ... D_1 W_1, the latest layer leftmost.

    ``weights`` is a list of L matrices (n_l, n_{l-1}), ``slopes`` of L vectors (n_l,); the first layer comes first.
    Raises CheckFailed.

    >>> ordered_jacobian(lambda W, d: d[0][:, None] * W[0] if len(W) == 1 else W[0])
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: J is off by ...
    """
    rng = generator(seed)
    for widths in ((4, 4), (4, 4, 4, 4), (3, 5, 2), (2, 6, 6, 4)):
        pairs = list(zip(widths[1:], widths[:-1], strict=True))
        weights = [rng.standard_normal(pair) for pair in pairs]
        slopes = [rng.uniform(0.2, 1.0, n) * (rng.uniform(size=n) > 0.2) for n, _ in pairs]
        on = f"{len(pairs)} layer(s) of widths {widths}, seed {seed}"
        factors = [d[:, None] * W for W, d in zip(weights, slopes, strict=True)]
        want = _chain(factors)
        got = call(jacobian, weights, slopes, on=on)
        close(got, want, name="J", on=on, suggests=recognise(_order_mistakes(factors, weights, slopes)))


def _chain(factors: list[np.ndarray]) -> np.ndarray:
    J = factors[0]
    for factor in factors[1:]:
        J = factor @ J
    return J


def _order_mistakes(factors: list, weights: list, slopes: list) -> list[tuple]:
    mistakes = [
        (_chain(weights), "It is the product of the weights alone: the slopes are missing."),
        (_chain(factors).T, "It is the transpose of J: that is what carries errors back."),
    ]
    if len({W.shape for W in weights}) == 1 and weights[0].shape[0] == weights[0].shape[1]:
        by_columns = [W * d for W, d in zip(weights, slopes, strict=True)]
        turned = _chain([d[:, None] * W for W, d in zip(weights, slopes[::-1], strict=True)])
        separate = np.prod(slopes, axis=0)[:, None] * _chain(weights)
        mistakes += [
            (_chain(factors[::-1]), "The order is turned round: layer 1 acts first, so it stands rightmost."),
            (_chain(by_columns), "The slopes multiply columns (W D): D stands left of W and multiplies rows."),
            (turned, "Each W meets the slopes of another layer."),
            (separate, "The slopes were gathered in front: D and W do not commute, so each D stays by its own W."),
        ]
    return mistakes


def isometry_audit(audit: Callable, seed: int = 0) -> None:
    """Check that ``audit(J)`` is (s_max, s_min, defect) of J (m, n), m >= n; defect = ||J^T J - I_n||_2.

    The defect is the largest |s_i^2 - 1|: 0 for an isometry, and only then. Raises CheckFailed.

    >>> def audit(J):
    ...     s = np.linalg.svd(J, compute_uv=False)
    ...     return s[0], s[-1], abs(s**2 - 1).max()
    >>> isometry_audit(audit)
    """
    rng = generator(seed)
    n = int(rng.integers(4, 8))
    Q = haar(n, rng=rng)
    matrices = [
        (Q, f"an orthogonal {n} x {n} matrix"),
        (np.array([[1.0, 30.0], [0.0, 1.0]]), "the shear [[1, 30], [0, 1]]"),
        (0.5 * Q, "half an orthogonal matrix"),
        (haar(n + 3, n, rng=rng), f"an isometry of shape ({n + 3}, {n})"),
        (rng.standard_normal((n + 2, n)), f"a Gaussian matrix of shape ({n + 2}, {n})"),
        (np.diag([1.0, -1.0, 0.0]) @ haar(3, rng=rng), "a rotation after which one direction is lost"),
    ]
    for J, what in matrices:
        on = f"{what}, seed {seed}"
        got = call(audit, J, on=on)
        if not isinstance(got, tuple | list | np.ndarray) or len(got) != 3:
            raise CheckFailed("three numbers are expected: s_max, s_min, defect", on)
        s = np.linalg.svd(J, compute_uv=False)
        for value, want, name in zip(got, _audit_of(s), ("s_max", "s_min", "the defect"), strict=True):
            close(value, want, tol=1e-6, name=name, on=on, suggests=recognise(_audit_mistakes(J, s, name)))


def _audit_of(s: np.ndarray) -> tuple[float, float, float]:
    # rounded, so that the message says 0 and not 4e-16
    return float(s[0]), float(s[-1]), round(float(np.abs(s**2 - 1).max()), 12)


def _audit_mistakes(J: np.ndarray, s: np.ndarray, name: str) -> list[tuple]:
    m, n = J.shape
    if name != "the defect":
        size = np.abs(np.linalg.eigvals(J)) if m == n else s
        end = size.max() if name == "s_max" else size.min()
        square = s[0] ** 2 if name == "s_max" else s[-1] ** 2
        other = s[-1] if name == "s_max" else s[0]
        return [
            (end, "That is the modulus of an eigenvalue: lengths are a matter of singular values."),
            (square, "It is s^2, an eigenvalue of J^T J: take the root."),
            (other, "The largest and the smallest are swapped."),
        ]
    one_side, other_side = J.T @ J, J @ J.T
    norm = np.linalg.norm
    ones = "A matrix of ones was subtracted, not the identity: a scalar 1 is taken from every entry."
    wrong_side = "J J^T was compared with I: for a tall J it has rank n < m and can't be the identity."
    return [
        (norm(one_side - 1.0, 2), ones),
        (norm(other_side - 1.0, 2), ones),
        (norm(other_side - np.eye(m), 2), wrong_side),
        (np.abs(s - 1).max(), "It compares s with 1: the defect compares s^2, the eigenvalues of J^T J."),
        (norm(one_side - np.eye(n)), "It is the Frobenius norm: the defect is the spectral norm, the worst direction."),
        (np.abs(one_side - np.eye(n)).max(), "It is the largest entry: the defect is the spectral norm."),
    ]


def audit_witnesses(witnesses: Callable, seed: int = 0) -> None:
    """Check that ``witnesses()`` is three matrices (m, n), m >= n, that convict three wrong audits, in this order.

    On the first an audit is wrong that takes eigenvalues for singular values (of square matrices), on the second one
    that subtracts 1 from every entry of J^T J, on the third one that compares J J^T with the identity. Each has its
    one mistake only. ``seed`` is not used. Raises CheckFailed.

    >>> shear, tall = np.array([[1.0, 30.0], [0.0, 1.0]]), np.eye(3)[:, :2]
    >>> audit_witnesses(lambda: (shear, np.eye(2), tall))
    """
    got = call(witnesses)
    if not isinstance(got, tuple | list) or len(got) != 3:
        raise CheckFailed("three matrices are expected, in a list or a tuple")
    wrong = (
        (_with_eigenvalues, "eigenvalues for singular values", "For which square matrices do the two differ?"),
        (_with_ones, "1 subtracted from every entry", "At which J is J^T J - 1 far from J^T J - I, in norm?"),
        (
            _with_other_side,
            "J J^T for J^T J",
            "A square J has the same defect on both sides. What shape tells them apart?",
        ),
    )
    for J, (audit, mistake, hint), place in zip(got, wrong, ("first", "second", "third"), strict=True):
        J = array(J, (-1, -1), name=f"the {place} matrix")
        if J.shape[0] < J.shape[1] or 0 in J.shape:
            raise CheckFailed(f"the {place} matrix has shape {J.shape}", suggests="At least as many rows as columns.")
        right = np.array(_audit_of(np.linalg.svd(J, compute_uv=False)))
        if np.abs(audit(J) - right).max() < 0.1:
            raise CheckFailed(
                f"the audit with {mistake} is right (to 0.1) on the {place} matrix, of shape {J.shape}", "", hint
            )


def _with_eigenvalues(J: np.ndarray) -> np.ndarray:
    s = np.linalg.svd(J, compute_uv=False)
    size = np.abs(np.linalg.eigvals(J)) if len(J) == s.size else s
    return np.array([size.max(), size.min(), _audit_of(s)[2]])


def _with_ones(J: np.ndarray) -> np.ndarray:
    s = np.linalg.svd(J, compute_uv=False)
    return np.array([s[0], s[-1], np.linalg.norm(J.T @ J - 1.0, 2)])


def _with_other_side(J: np.ndarray) -> np.ndarray:
    s = np.linalg.svd(J, compute_uv=False)
    return np.array([s[0], s[-1], np.linalg.norm(J @ J.T - np.eye(len(J)), 2)])
