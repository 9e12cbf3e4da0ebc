"""Compare two answers of an explorable: words and shapes equal, numbers within 1e-12 of the array's largest."""

from __future__ import annotations

import numpy as np

TOLERANCE = 1e-12


def differences(a: object, b: object, at: str = "") -> list[str]:
    """List where two decoded JSON answers differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{at}: the names are {sorted(a)} and {sorted(b)}"]
        return [line for key in a for line in differences(a[key], b[key], f"{at}.{key}")]
    left, right = _array(a), _array(b)
    if left is not None and right is not None:
        return _numbers(left, right, at)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [line for i, pair in enumerate(zip(a, b, strict=True)) for line in differences(*pair, f"{at}[{i}]")]
    return [] if type(a) is type(b) and a == b else [f"{at}: {str(a)[:200]!r} and {str(b)[:200]!r}"]


def _numbers(a: np.ndarray, b: np.ndarray, at: str) -> list[str]:
    if a.shape != b.shape:
        return [f"{at}: the shapes are {a.shape} and {b.shape}"]
    if (np.isnan(a) != np.isnan(b)).any():
        return [f"{at}: the gaps are not at the same places"]
    largest = max(np.nanmax(np.abs(a)), np.nanmax(np.abs(b))) if a.size and not np.isnan(a).all() else 0.0
    error = np.nanmax(np.abs(a - b)) if largest else 0.0
    return [f"{at}: off by {error / largest:.2g} of the largest, {largest:.6g}"] if error > TOLERANCE * largest else []


def _array(value: object) -> np.ndarray | None:
    """Return numbers and gaps, nested or not, as an array; None if ``value`` holds anything else."""
    if isinstance(value, bool | str | dict):
        return None
    try:
        array = np.array(value, dtype=object)
        plain = all(isinstance(v, int | float | None) and not isinstance(v, bool) for v in array.flat)
        return array.astype(np.float64) if plain else None  # None becomes NaN
    except ValueError:
        return None
