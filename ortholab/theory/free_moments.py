"""Moments of free products, from the power series of the S-transform.

Sources: Voiculescu 1987; Mingo, Speicher 2017.
"""

from __future__ import annotations

import numpy as np


def free_moments(slopes: np.ndarray, depth: int, gaussian: bool) -> np.ndarray:
    """Moments of the free product of ``depth`` laws with moments ``slopes`` (k,), times as many Marchenko-Pastur laws.

    With chi(m) the inverse series of psi(z) = sum_j mu_j z^j, S_D = chi (1 + m)/m; the product's inverse series is
    S_D^L (1 + m)^(-L [Gaussian]) m/(1 + m), and Lagrange's formula inverts it back:
    E[lambda^k] = [m^(k-1)] (m / series)^k / k.

    >>> free_moments(np.array([1.0, 1.0, 1.0]), depth=2, gaussian=True).tolist()  # Fuss-Catalan numbers
    [1.0, 3.0, 12.0]
    """
    k = len(slopes)
    inverse = _revert(np.asarray(slopes, dtype=np.float64))  # chi(m)/m, coefficients of m^0..m^(k-1)
    log_one = np.array([0.0, *((-1.0) ** (j + 1) / j for j in range(1, k))])  # log(1 + m)
    # log of series/m: L log(chi/m) + (L - 1 - L [Gaussian]) log(1 + m)
    exponent = depth * _log(inverse) + ((-1) if gaussian else (depth - 1)) * log_one
    return np.array([_exp_series(-j * exponent)[j - 1] / j for j in range(1, k + 1)])


def _revert(moments: np.ndarray) -> np.ndarray:
    """chi(m)/m for the inverse chi of psi(z) = sum_j moments_j z^j (Lagrange)."""
    log_ratio = _log(moments)  # log(psi(z)/z)
    return np.array([_exp_series(-j * log_ratio)[j - 1] / j for j in range(1, len(moments) + 1)])


def _log(series: np.ndarray) -> np.ndarray:
    """Coefficients of the logarithm of a power series with positive constant term."""
    out = np.zeros(len(series))
    out[0] = np.log(series[0])
    for n in range(1, len(series)):
        out[n] = (series[n] - sum(j * out[j] * series[n - j] for j in range(1, n)) / n) / series[0]
    return out


def _exp_series(series: np.ndarray) -> np.ndarray:
    """Coefficients of the exponential of a power series."""
    out = np.zeros(len(series))
    out[0] = np.exp(series[0])
    for n in range(1, len(series)):
        out[n] = sum(j * series[j] * out[n - j] for j in range(1, n + 1)) / n
    return out
