"""Errors that name the argument, the value that was given, and what is allowed."""

from __future__ import annotations

import math
import numbers
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np


class OrtholabError(Exception):
    """Base class of every error that this library raises on purpose."""


class ArgumentError(OrtholabError, ValueError):
    """An argument has a value, a type or a shape that is not allowed."""


class NoFixedPointError(OrtholabError, ArithmeticError):
    """The quantity that was asked for does not exist at this point, or is not unique."""


class DataError(OrtholabError, OSError):
    """A data file is missing, truncated or corrupt, or could not be fetched or stored."""


class DerivationError(OrtholabError, AssertionError):
    """A step of a derivation is false (or a step that is meant to fail holds)."""


class StoreError(OrtholabError, RuntimeError):
    """A store of results is damaged, in use, not writable, or of another specification; nothing in it was changed."""


class RunError(OrtholabError, RuntimeError):
    """A sweep could not finish: a unit failed, a worker died too often, or a cluster is not there."""


def show(value: object, limit: int = 80) -> str:
    """Shorten ``repr(value)`` for an error message."""
    text = repr(value).replace("\n", " ")
    return text if len(text) <= limit else text[: limit - 3] + "..."


def bad(name: str, value: object, allowed: str) -> ArgumentError:
    """Make (not raise) the error for a bad argument.

    >>> str(bad("sigma_w", -1, "a positive number"))
    'sigma_w must be a positive number; got -1'
    """
    return ArgumentError(f"{name} must be {allowed}; got {show(value)}")


def check_number(
    name: str,
    value: object,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return ``value`` as a float, or raise ArgumentError unless it is a finite real number in the range."""
    if low > -math.inf and high < math.inf:
        allowed = f"a number in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
    elif low > -math.inf:
        allowed = f"a finite number {'>' if open_low else '>='} {low:g}"
    else:
        allowed = "a finite number"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if not isinstance(value, numbers.Real) or isinstance(value, bool | np.bool_) or not math.isfinite(value):
        raise bad(name, value, allowed)
    if value < low or value > high or (open_low and value == low) or (open_high and value == high):
        raise bad(name, value, allowed)
    return float(value)


def check_int(name: str, value: object, low: int = 0) -> int:
    """Return ``value`` as an int, or raise ArgumentError unless it is an integer >= low."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool | np.bool_) or value < low:
        raise bad(name, value, f"an integer >= {low}")
    return int(value)


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return ``value``, or raise ArgumentError unless it is one of ``choices``."""
    if value not in choices:
        raise bad(name, value, "one of " + ", ".join(map(repr, choices)))
    return value


def check_grid(name: str, values: object, check) -> tuple:
    """Return ``values`` as a tuple, each passed through ``check(name, value)``; at least one, none twice.

    >>> check_grid("depths", [4, 8], check_int)
    (4, 8)
    """
    try:
        listed = () if isinstance(values, str) else tuple(values)
    except TypeError:
        listed = ()
    if not listed:
        raise bad(name, values, "a sequence of at least one value")
    checked = tuple(check(f"{name}[{i}]", v) for i, v in enumerate(listed))
    if len(set(checked)) < len(checked):
        raise ArgumentError(f"{name} must not hold a value twice; got {listed}")
    return checked


def check_array(
    name: str,
    value: object,
    *,
    ndim: int | None = None,
    low: float = -math.inf,
    high: float = math.inf,
    dtype: object = np.float64,
) -> np.ndarray:
    """Return ``value`` as an array of ``dtype``; all entries must be finite and in [low, high]."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
        array = array.astype(dtype, copy=False)
    except (TypeError, ValueError):
        raise bad(name, value, "an array of real numbers") from None
    if ndim is not None and array.ndim != ndim:
        raise ArgumentError(f"{name} must have {ndim} dimension(s); got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ArgumentError(
            f"{name} must be finite; {int((~np.isfinite(array)).sum())} entries of shape {array.shape} are not"
        )
    if array.size and (array.min() < low or array.max() > high):
        raise ArgumentError(
            f"{name} must lie in [{low:g}, {high:g}]; got values from {array.min():g} to {array.max():g}"
        )
    return array


def check_matrices(name: str, value: Any) -> ModuleType:
    """Return the Array API namespace of ``value``, or raise ArgumentError unless it is a matrix or a batch of them.

    ``value``: an array of numpy, torch or another library of the standard, of shape (..., n, k) with n, k >= 1, float32
    or float64, every entry finite.

    >>> xp = check_matrices("W", np.eye(3))
    >>> xp.linalg.matrix_rank(np.eye(3)).item()
    3
    """
    try:
        xp = array_api_compat.array_namespace(value)
    except (TypeError, ValueError):
        raise bad(name, value, "an array of numpy, torch or another library of the Array API standard") from None
    if value.dtype not in (xp.float32, xp.float64):
        raise ArgumentError(f"{name} must have dtype float32 or float64; got {value.dtype}")
    shape = tuple(value.shape)
    if len(shape) < 2 or 0 in shape[-2:]:
        raise ArgumentError(f"{name} must be a matrix or a batch of them, (..., n, k), n, k >= 1; got shape {shape}")
    finite = xp.isfinite(value)
    if not bool(xp.all(finite)):
        count = int(xp.sum(xp.astype(~finite, xp.int64)))
        raise ArgumentError(f"{name} must be finite; {count} entries of shape {shape} are not")
    return xp


def check_like(name: str, value: Any, model_name: str, model: Any, *, shape: tuple[int, ...] | None = None) -> None:
    """Raise ArgumentError unless ``value`` is a finite array of ``model``'s library, dtype, device and shape.

    ``model`` has passed :func:`check_matrices`; ``shape`` replaces its shape where the two should differ.
    """
    shape = tuple(model.shape) if shape is None else shape
    xp = array_api_compat.array_namespace(model)
    if not array_api_compat.is_array_api_obj(value) or array_api_compat.array_namespace(value) is not xp:
        raise bad(name, value, f"an array of the same library as {model_name}")
    if tuple(value.shape) != shape:
        raise ArgumentError(f"{name} must have shape {shape}, to go with {model_name}; got {tuple(value.shape)}")
    if value.dtype != model.dtype:
        raise ArgumentError(f"{name} must have {model_name}'s dtype, {model.dtype}; got {value.dtype}")
    if array_api_compat.device(value) != array_api_compat.device(model):
        places = [array_api_compat.device(x) for x in (model, value)]
        raise ArgumentError(f"{name} must be on {model_name}'s device, {places[0]}; got {places[1]}")
    if not bool(xp.all(xp.isfinite(value))):
        raise ArgumentError(f"{name} must be finite; some entries of shape {shape} are not")


def check_generator(rng: object) -> np.random.Generator:
    """Return ``rng`` if it is a numpy Generator, make one from an int seed, or raise ArgumentError."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, numbers.Integral) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng))
    raise bad("rng", rng, "a numpy.random.Generator or a seed (an integer >= 0)")
