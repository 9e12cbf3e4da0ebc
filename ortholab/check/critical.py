"""Check of the critical line of any activation."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator
from ortholab.check._mistakes import recognise
from ortholab.theory import expect

# name, phi, phi': smooth, so that any quadrature will do; the last has phi(0) != 0
CURVES = (
    ("tanh", np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    ("arctan", np.arctan, lambda h: 1 / (1 + h * h)),
    ("h / sqrt(1 + h^2)", lambda h: h / np.sqrt(1 + h * h), lambda h: (1 + h * h) ** -1.5),
    ("sin", np.sin, np.cos),
    ("tanh(h + 1/2)", lambda h: np.tanh(h + 0.5), lambda h: 1 - np.tanh(h + 0.5) ** 2),
)

REFUSED = (
    "sigma_b^2 came out negative, so an expectation is off: is h = sqrt(q) z, do the weights sum to 1, "
    "does chi hold the mean of phi'^2, not the square of the mean?"
)


def critical_line(line: Callable, seed: int = 0) -> None:
    """Check that ``line(phi, dphi, q)`` is the (sigma_w, sigma_b) at which q is a fixed point and chi = 1.

    sigma_w^2 = 1 / E[phi'(h)^2], sigma_b^2 = q - sigma_w^2 E[phi(h)^2], h ~ N(0, q), to 1e-4; a ValueError where that
    sigma_b^2 is negative. Raises CheckFailed.

    >>> def line(phi, dphi, q):
    ...     sigma_w = expect(lambda h: dphi(h) ** 2, q) ** -0.5
    ...     square = q - sigma_w**2 * expect(lambda h: phi(h) ** 2, q)
    ...     if square < 0:
    ...         raise ValueError("no critical point has this q")
    ...     return sigma_w, square**0.5
    >>> critical_line(line)
    """
    rng = generator(seed)
    order = [0, *rng.integers(1, len(CURVES), size=2)]
    for (name, phi, dphi), low in zip((CURVES[k] for k in order), (1.3, *rng.choice([0.2, 0.5], 2)), strict=True):
        q = float(low + rng.uniform(0, 0.1))
        on = f"phi = {name}, q = {q:.3f}"
        try:
            want = _critical(phi, dphi, q)
        except ValueError:
            continue
        got = call(_guarded(line), phi, dphi, q, on=on)
        if isinstance(got, ValueError):
            raise CheckFailed(f"ValueError is raised ({got}) where a critical point exists", on, REFUSED)
        got = array(got, (2,), name="(sigma_w, sigma_b)", on=on)
        noise = "Off by less than 2 %: an expectation by too few nodes, or by random numbers? Use a quadrature."
        otherwise = noise if np.abs(got / want - 1).max() < 0.02 else ""
        hint = recognise(_line_mistakes(phi, dphi, q), tol=1e-3, otherwise=otherwise)
        close(got, want, tol=1e-4, name="(sigma_w, sigma_b)", on=on, suggests=hint)
    on = "phi = cos, q = 0.5, where sigma_b^2 would be negative"
    if not isinstance(call(_guarded(line), np.cos, lambda h: -np.sin(h), 0.5, on=on), ValueError):
        raise CheckFailed("a point was returned where none exists", on, "Raise ValueError there.")


def _guarded(line: Callable) -> Callable:
    """The answer, which returns a ValueError instead of raising it."""

    @functools.wraps(line)
    def guarded(*arguments: object) -> object:
        with np.errstate(invalid="ignore"):  # a root of a negative number is told by the check, not by a warning
            try:
                return line(*arguments)
            except ValueError as error:
                return error

    return guarded


def _critical(phi: Callable, dphi: Callable, q: float, at: float | None = None) -> np.ndarray:
    """The point of the critical line, with both moments taken at the variance ``at`` (default q)."""
    at = q if at is None else at
    w2 = 1 / expect(lambda h: dphi(h) ** 2, at)
    b2 = q - w2 * expect(lambda h: phi(h) ** 2, at)
    if b2 < 0:
        raise ValueError
    return np.sqrt([w2, b2])


def _line_mistakes(phi: Callable, dphi: Callable, q: float) -> list[tuple]:
    right = _critical(phi, dphi, q)
    slope, square = expect(dphi, q), expect(lambda h: phi(h) ** 2, q)
    normal = (2 * np.pi) ** 0.5
    pairs = [
        (right**2, "These are the variances sigma_w^2 and sigma_b^2: take the roots."),
        ((1 / slope, _root(q - square / slope**2)), "It squares the mean slope: chi asks for the mean square slope."),
        (
            (right[0], _root(q - square)),
            "sigma_w^2 is missing in the equation (3), q = sigma_w^2 V + sigma_b^2.",
        ),
        ((right[0] / normal**0.5, right[1]), "The quadrature weights do not sum to 1: divide by sqrt(2 pi)."),
    ]
    for at, words in (
        (1.0, "The expectations do not depend on q: h = sqrt(q) z, and z is standard normal."),
        (q * q, "h = q z was used: q is a variance, the standard deviation is sqrt(q)."),
        (
            q / 2,
            "The variance of h is q/2: `hermgauss` is for exp(-x^2), `hermegauss` for exp(-x^2/2).",
        ),
    ):
        w2 = 1 / expect(lambda h: dphi(h) ** 2, at)
        pairs.append(((w2**0.5, _root(q - w2 * expect(lambda h: phi(h) ** 2, at))), words))
    return pairs


def _root(value: float) -> float:
    return max(value, 0.0) ** 0.5
