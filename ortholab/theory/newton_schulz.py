"""Newton-Schulz iterations: odd polynomials that drive all singular values towards 1 by matrix products alone.

X <- a X + b X X^T X + c X (X^T X)^2 keeps the singular vectors and maps each singular value s to
f(s) = a s + b s^3 + c s^5. So all that an iteration does to a matrix is in a map of the line. Two maps: the cubic of
Bjorck and Bowie 1971 converges to the polar factor U V^T from every s in (0, sqrt 3); the quintic of Muon (Jordan and
others 2024) has a steep start and does not converge at all. Matrices are arrays (..., n, k) of any library of the Array
API standard. Sources: Bjorck and Bowie 1971; Higham 2008, chapter 8; Jordan 2024 (the coefficients); Anil, Lucas,
Grosse 2019, arXiv:1811.05381.
"""

from __future__ import annotations

import math

import numpy as np

from ortholab.errors import ArgumentError, bad, check_array, check_int, check_matrices, check_number
from ortholab.theory._frame import Array, as_given

CUBIC = (1.5, -0.5, 0.0)  # Bjorck: f(1) = 1 and f'(1) = 0
QUINTIC = (3.4445, -4.7750, 2.0315)  # Muon: f'(0) = 3.4445, and no stable fixed point near 1


def check_coefficients(coefficients: object) -> tuple[float, float, float]:
    """Return (a, b, c) as floats, or raise ArgumentError unless they are three finite numbers, a > 0.

    >>> check_coefficients([2, -1, 0])
    (2.0, -1.0, 0.0)
    """
    if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
        raise bad("coefficients", coefficients, "three numbers (a, b, c)")
    a, b, c = (check_number(f"coefficients[{i}]", x) for i, x in enumerate(coefficients))
    if a <= 0:
        raise bad("coefficients[0]", a, "a number > 0: small singular values must grow with their sign")
    return a, b, c


def scalar_map(s: np.ndarray, *, coefficients: tuple[float, float, float] = QUINTIC, steps: int = 1) -> np.ndarray:
    """Return the ``steps``-fold iterate of f(s) = a s + b s^3 + c s^5: what the iteration makes of a singular value.

    ``s`` is any array, the result has its shape. A value that leaves the basin grows without bound, to inf at last.
    Raises ArgumentError for entries that are not finite, wrong coefficients or negative ``steps``.

    >>> scalar_map([0.1, 1.0], coefficients=CUBIC, steps=5).round(4).tolist()
    [0.6587, 1.0]
    """
    a, b, c = check_coefficients(coefficients)
    s = check_array("s", s)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(check_int("steps", steps)):
            s = s * (a + s**2 * (b + c * s**2))
    return np.where(np.isnan(s), np.inf, s)


def scalar_slope(s: np.ndarray, *, coefficients: tuple[float, float, float] = QUINTIC) -> np.ndarray:
    """Return f'(s) = a + 3 b s^2 + 5 c s^4. A fixed point attracts if |f'| < 1 there. Raises ArgumentError.

    >>> float(scalar_slope(1.0, coefficients=CUBIC))
    0.0
    """
    a, b, c = check_coefficients(coefficients)
    s = check_array("s", s)
    return a + s**2 * (3 * b + 5 * c * s**2)


def fixed_points(coefficients: tuple[float, float, float] = QUINTIC) -> tuple[float, ...]:
    """Return the positive s with f(s) = s, ascending: the roots of a - 1 + b s^2 + c s^4. Raises ArgumentError.

    >>> [round(s, 4) for s in fixed_points(CUBIC)], [round(s, 4) for s in fixed_points(QUINTIC)]
    ([1.0], [0.868, 1.2637])
    """
    a, b, c = check_coefficients(coefficients)
    return _positive_roots(a - 1, b, c)


def trapped_interval(coefficients: tuple[float, float, float] = QUINTIC) -> tuple[float, float]:
    """Return [low, high] between f's minimum and maximum, which f maps into itself: singular values in it stay in it.

    high = f(s_1), low = min(f(s_2), f(high)), where s_1 < s_2 are the turning points of f. Raises ArgumentError if f
    has no two positive turning points (the cubic has one), or does not map the interval into itself.

    >>> [round(s, 4) for s in trapped_interval()]
    [0.6818, 1.2024]
    """
    a, b, c = check_coefficients(coefficients)
    turns = _positive_roots(a, 3 * b, 5 * c)
    if len(turns) != 2:
        raise ArgumentError(f"coefficients must give f two turning points on s > 0; got {coefficients}, with {turns}")
    f = lambda s: float(scalar_map(s, coefficients=(a, b, c)))  # noqa: E731
    high = f(turns[0])
    low = min([f(high), *(f(s) for s in turns if s <= high)])
    inside = [low, high, *(s for s in turns if low <= s <= high)]
    if not all(low <= f(s) <= high for s in inside):
        raise ArgumentError(f"coefficients must map [{low:.4g}, {high:.4g}] into itself; got {coefficients}")
    return low, high


def newton_schulz(
    X: Array, *, coefficients: tuple[float, float, float] = QUINTIC, steps: int = 5, normalise: bool = True
) -> Array:
    """Return the matrix after ``steps`` of X <- a X + b X X^T X + c X (X^T X)^2, of shape (..., n, k).

    With ``normalise`` it starts from X / ||X||_F, all of whose singular values are at most 1; a zero matrix stays zero.
    Two products of the short side and one long one a step (the cubic: one and one). Raises ArgumentError for what is no
    finite array of float32 or float64, wrong coefficients or negative ``steps``.

    >>> newton_schulz(np.diag([3.0, 1.0]), coefficients=CUBIC, steps=9).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    xp = check_matrices("X", X)
    a, b, c = check_coefficients(coefficients)
    wide = X.shape[-2] < X.shape[-1]
    X = X.mT if wide else X
    if normalise:
        top = xp.max(xp.abs(X), axis=(-2, -1), keepdims=True)
        X = X / xp.where(top == 0, xp.ones_like(top), top)
        length = xp.sqrt(xp.sum(X * X, axis=(-2, -1), keepdims=True))
        X = X / xp.where(length == 0, xp.ones_like(length), length)
    for _ in range(check_int("steps", steps)):
        S = X.mT @ X
        X = a * X + X @ (b * S + c * (S @ S) if c else b * S)
    return as_given(X, wide)


def _positive_roots(p: float, q: float, r: float) -> tuple[float, ...]:
    """The s > 0 with p + q s^2 + r s^4 = 0, ascending."""
    squares = np.roots([r, q, p] if r else [q, p])
    return tuple(sorted(math.sqrt(y.real) for y in squares if abs(y.imag) < 1e-12 and y.real > 0))
