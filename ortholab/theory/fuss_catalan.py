"""The linear Gaussian network: the Fuss-Catalan law of s for a product of L Gaussian matrices, fast and to 1e-13.

With D = 1 the curve of s_transform.py has a parametrisation by one angle f in (0, pi/(L+1)):

    s^2 = sin^(L+1)((L+1) f) / (sin f sin^L(L f)),
    rho(s) = (2/pi) sqrt(sin^3 f sin^(L-2)(L f) / sin^(L-1)((L+1) f)),
    P(s' > s) = ((L+1) f - L sin f sin((L+1) f) / sin(L f)) / pi.

So a density is one inverse function: interpolation in a table of 400 angles, then Newton steps, all vectorised.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ortholab.errors import ArgumentError, check_array, check_int

_STEPS = 4


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


def _depth_below(w: np.ndarray, L: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """y = log(s_max^2 / s^2) at the angle f = pi/(L+1) / (1 + exp(-w)): y, dy/dw, f and rest = pi - (L+1) f.

    L f = pi - (rest + f), so that every sine has its argument to full relative accuracy at both ends.
    """
    grown = np.exp(-np.abs(w))
    share = np.where(w > 0, 1.0, grown) / (1 + grown)  # u = 1/(1 + exp(-w))
    other = np.where(w > 0, grown, 1.0) / (1 + grown)  # 1 - u
    f, rest = np.pi / (L + 1) * share, np.pi * other
    sum_ = rest + f
    # log s_max^2 cancels against the sines' leading terms: log(sin t / t) is left, and y keeps its digits at f = 0.
    y = _log_sinc(f) + L * _log_sinc(L * f, sum_) - (L + 1) * _log_sinc((L + 1) * f, rest)
    # df/dw = pi/(L+1) u (1 - u); d rest = -(L+1) df, d(L f) = L df, and cot(L f) = -cot(rest + f)
    slope = (L + 1) ** 2 / np.tan(rest) + 1 / np.tan(f) - L * L / np.tan(sum_)
    return y, slope * np.pi / (L + 1) * share * other, f, rest


_SERIES = [1 / 6, 1 / 180, 1 / 2835, 1 / 37800, 1 / 467775, 691 / 3831077250, 2 / 127702575, 3617 / 2605132530000]


def _log_sinc(t: np.ndarray, supplement: np.ndarray | None = None) -> np.ndarray:
    """log(sin t / t) to relative accuracy for t in (0, pi); ``supplement`` is pi - t where that is known better."""
    small = t < 0.4
    square = np.where(small, t, 0.0) ** 2
    series = np.zeros(t.shape)
    for coefficient in _SERIES[::-1]:
        series = (series + coefficient) * square
    with np.errstate(divide="ignore"):
        return np.where(small, -series, np.log(np.sin(t if supplement is None else supplement)) - np.log(t))


@lru_cache(maxsize=64)
def _table(L: int) -> tuple[np.ndarray, np.ndarray]:
    """log y and w on a grid that covers every double s: log s^2 >= -1500."""
    w = np.concatenate([np.linspace(-9, 6, 300), np.linspace(6.2, min(690.0, 1600 / (L + 1) + 40), 100)])
    y = _depth_below(w, L)[0]
    return np.log(y), w


def _angle(s: np.ndarray, L: int) -> tuple[np.ndarray, np.ndarray]:
    """f and pi - (L+1) f for s inside the support."""
    edge = fuss_catalan_edge(L)
    target = -2 * np.where(s > 0.5 * edge, np.log1p((s - edge) / edge), np.log(s) - np.log(edge))
    log_target = np.log(target)
    log_y, w_table = _table(L)
    w = np.interp(log_target, log_y, w_table)
    low = log_target < log_y[0]  # y goes like f^2 at the edge
    w[low] = w_table[0] + 0.5 * (log_target[low] - log_y[0])
    for _ in range(_STEPS):
        y, slope, _, _ = _depth_below(w, L)
        y = np.maximum(y, 1e-300)
        w -= np.where(low, 0.0, (np.log(y) - log_target) * y / slope)
    _, _, f, rest = _depth_below(w, L)
    return f, rest
