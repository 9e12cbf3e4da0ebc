"""A mean over seeds with its interval: the one place where the experiments compute it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval over ``seeds`` seeds; ``lower_bound``: it is no less, since a run was cut short."""

    value: float
    low: float
    high: float
    seeds: int
    lower_bound: bool = False


def half_width(values: np.ndarray) -> np.ndarray:
    """Return half the width of the 95 % t interval of the mean over the last axis; inf for a single value.

    >>> float(half_width([1.0, 3.0]).round(4)), float(half_width([1.0]))
    (12.7062, inf)
    """
    values = np.asarray(values, dtype=float)
    n = values.shape[-1]
    if n < 2:
        return np.full(values.shape[:-1], np.inf)
    return stdtrit(n - 1, 0.975) * values.std(axis=-1, ddof=1) / n**0.5


def estimate(values: np.ndarray) -> Estimate:
    """Return the mean of values, one a seed, with its 95 % t interval."""
    mean, half = float(np.mean(values)), float(half_width(values))
    return Estimate(mean, mean - half, mean + half, len(values))
