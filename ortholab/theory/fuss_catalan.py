"""The linear Gaussian network: the Fuss-Catalan law of s for a product of L Gaussian matrices, fast and to 1e-13.

With D = 1 the curve of s_transform.py has a parametrisation by one angle f in (0, pi/(L+1)):

    s^2 = sin^(L+1)((L+1) f) / (sin f sin^L(L f)),
    rho(s) = (2/pi) sqrt(sin^3 f sin^(L-2)(L f) / sin^(L-1)((L+1) f)),
    P(s' > s) = ((L+1) f - L sin f sin((L+1) f) / sin(L f)) / pi.

So a density is one inverse function: cubic interpolation in a fine table of angles, made once for each depth.

Sources: Penson, Zyczkowski 2011 (arXiv 1103.3453); Haagerup, Larsen 2000.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ortholab.errors import ArgumentError, check_array, check_int


def fuss_catalan_edge(depth: int) -> float:
    """s_max = sqrt((L+1)^(L+1) / L^L), the largest singular value; s_max^2 is e L + e/2 + O(1/L).

    >>> round(fuss_catalan_edge(100), 3)
    16.528
    """
    L = check_int("depth", depth, 1)
    return float(np.sqrt(L + 1.0) * np.exp(0.5 * L * np.log1p(1.0 / L)))


def fuss_catalan_density(s: np.ndarray | float, depth: int) -> np.ndarray:
    """Density of the singular values s of a product of ``depth`` N x N matrices with entries of variance 1/N.

    ``s`` >= 0 of any shape, and the result has the same; 0 beyond the edge. At s = 0 the density is infinite for
    depth > 1, and 1/pi for depth 1 (the quarter circle law). Holds for N -> infinity. Raises ArgumentError for s < 0,
    or s = 0 with depth > 1. Source: the equations above; Penson, Zyczkowski 2011 (arXiv 1103.3453).

    >>> bool(abs(fuss_catalan_density(1.0, 1) - 3**0.5 / 3.141592653589793) < 1e-15)
    True
    """
    s, L = _checked(s, depth)
    if L > 1 and s.size and s.min() == 0:
        raise ArgumentError("s must be positive for depth > 1 (the density is infinite at 0); got 0")
    out = np.zeros(s.shape)
    if L == 1:
        return np.sqrt(np.maximum(4 - s * s, 0.0)) / np.pi
    inside = s < fuss_catalan_edge(L)
    f, rest = _angle(s[inside], L)
    out[inside] = 2 / np.pi * np.exp(_log_density(f, rest, L))
    return out


def fuss_catalan_cdf(s: np.ndarray | float, depth: int) -> np.ndarray:
    """P(s' <= s) for the singular values of a product of ``depth`` Gaussian matrices, any shape.

    >>> fuss_catalan_cdf([0.0, 2.0], 1).tolist()
    [0.0, 1.0]
    """
    s, L = _checked(s, depth)
    out = np.where(s > 0, 1.0, 0.0)
    inside = (s > 0) & (s < fuss_catalan_edge(L))
    f, rest = _angle(s[inside], L)
    # 1 - (L+1) f / pi is rest / pi: no cancellation in the lower tail.
    out[inside] = (rest + L * np.sin(f) * np.sin(rest) / np.sin(rest + f)) / np.pi
    return out


def _checked(s: np.ndarray | float, depth: int) -> tuple[np.ndarray, int]:
    return check_array("s", s, low=0.0), check_int("depth", depth, 1)


def _log_density(f: np.ndarray, rest: np.ndarray, L: int) -> np.ndarray:
    return 1.5 * np.log(np.sin(f)) + 0.5 * (L - 2) * np.log(np.sin(rest + f)) - 0.5 * (L - 1) * np.log(np.sin(rest))


_SERIES = np.array(  # -log(sin t / t) = sum of these times t^2, t^4, ...
    [1 / 6, 1 / 180, 1 / 2835, 1 / 37800, 1 / 467775, 691 / 3831077250, 2 / 127702575, 3617 / 2605132530000]
)
_SMALL = 0.12  # of the range of f: below, the series has 1e-14


@lru_cache(maxsize=64)
def _edge_series(L: int) -> np.ndarray:
    """Coefficients of y in powers of ((L+1) f)^2: log s_max^2 cancels against the leading terms of the sines."""
    power = 2 * np.arange(1, len(_SERIES) + 1)
    ratio = L / (L + 1.0)
    return _SERIES * (L + 1) * -np.expm1((power + 1) * np.log(ratio)) - _SERIES * (1.0 / (L + 1)) ** power


def _depth_below(w: np.ndarray, L: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """y = log(s_max^2 / s^2) at the angle f = pi/(L+1) / (1 + exp(-w)): y, dy/dw, f and rest = pi - (L+1) f.

    L f = pi - (rest + f), so that every sine has its argument to full relative accuracy at both ends.
    """
    f, rest, share, other = _angles(w, L)
    sum_ = rest + f
    sin_f, sin_rest, sin_sum = np.sin(f), np.sin(rest), np.sin(sum_)
    y = 2 * np.log(fuss_catalan_edge(L)) + np.log(sin_f / sin_rest) + L * np.log(sin_sum / sin_rest)
    # df/dw = pi/(L+1) u (1 - u); d rest = -(L+1) df, d(L f) = L df, and cot(L f) = -cot(rest + f)
    slope = (L + 1) ** 2 * np.cos(rest) / sin_rest + np.cos(f) / sin_f - L * L * np.cos(sum_) / sin_sum
    slope *= np.pi / (L + 1) * share * other
    small = np.flatnonzero(share < _SMALL)
    if small.size:
        square = (np.pi * share[small]) ** 2
        edge, edge_slope = 0.0, 0.0  # y and square dy/d(square), as polynomials in the square of (L+1) f
        for k, coefficient in enumerate(_edge_series(L)[::-1]):
            edge = (edge + coefficient) * square
            edge_slope = (edge_slope + (len(_SERIES) - k) * coefficient) * square
        y[small], slope[small] = edge, 2 * other[small] * edge_slope
    return y, slope, f, rest


def _angles(w: np.ndarray, L: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """f, pi - (L+1) f, u = 1/(1 + exp(-w)) and 1 - u."""
    grown = np.exp(-np.abs(w))
    large = 1 / (1 + grown)
    share = np.where(w > 0, large, grown * large)
    other = np.where(w > 0, grown * large, large)
    return np.pi / (L + 1) * share, np.pi * other, share, other


@lru_cache(maxsize=64)
def _table(L: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log y, w and dw / d log y on a grid that covers every double s: log s^2 >= -1500. About 5 ms."""
    # w = -36 is where f^2 no longer counts beside 1; above 8, w is next to linear in y
    w = np.concatenate([np.linspace(-36, 8, 20_000), np.linspace(8.01, min(690.0, 1600 / (L + 1) + 40), 4000)])
    y, slope, _, _ = _depth_below(w, L)
    return np.log(y), w, y / slope


def _angle(s: np.ndarray, L: int) -> tuple[np.ndarray, np.ndarray]:
    """f and pi - (L+1) f for s inside the support: a cubic through the table, to 1e-13 in w."""
    edge = fuss_catalan_edge(L)
    near = np.log1p((np.maximum(s, 0.5 * edge) - edge) / edge)  # no digits are lost next to the edge
    target = -2 * np.where(s > 0.5 * edge, near, np.log(s) - np.log(edge))
    log_target = np.log(np.maximum(target, 1e-17))
    log_y, w_table, rate = _table(L)
    i = np.clip(np.searchsorted(log_y, log_target) - 1, 0, len(log_y) - 2)
    step = log_y[i + 1] - log_y[i]
    t = (log_target - log_y[i]) / step
    a, b = rate[i] * step, rate[i + 1] * step
    rise = w_table[i + 1] - w_table[i]
    w = w_table[i] + t * (a + t * (3 * rise - 2 * a - b + t * (a + b - 2 * rise)))
    w = np.where(t < 0, w_table[0] + 0.5 * (log_target - log_y[0]), w)  # y goes like f^2 at the edge
    return _angles(w, L)[:2]
