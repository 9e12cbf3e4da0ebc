"""Checks that belong to no chapter: a function against its reference, a gradient against finite differences."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator, number


def agrees(
    function: Callable,
    reference: Callable,
    inputs: Sequence[tuple],
    *,
    tol: float = 1e-8,
    describe: Callable[..., str] | None = None,
    suggests: str | Callable = "",
) -> None:
    """Check that ``function`` equals ``reference`` on each tuple of arguments in ``inputs``.

    ``describe`` names an input in the message (default: the numbers, or the shapes of arrays); ``suggests`` is a
    text, or a function of (got, want) that finds the hint. Raises CheckFailed.

    >>> agrees(lambda x: x + x, lambda x: 2 * x, [(1.0,), (np.ones(3),)])
    """
    for arguments in inputs:
        on = (describe or _describe)(*arguments)
        want = np.asarray(reference(*arguments), dtype=np.float64)
        close(call(function, *arguments, on=on), want, tol=tol, on=on, suggests=suggests)


def gradient(f: Callable, grad: Callable, shape: tuple[int, ...], *, seed: int = 0, tol: float = 1e-5) -> None:
    """Check that ``grad`` is the gradient of the scalar ``f`` at random points of ``shape``.

    For random directions V: sum(grad(W) * V) = (f(W + h V) - f(W - h V)) / (2 h) with h = 1e-5, to ``tol`` of the
    gradient's size. The check's own ``f`` sets what is right. Raises CheckFailed, and says so when the answer is off by
    one factor, or is the transpose.

    >>> gradient(lambda W: (W**2).sum(), lambda W: 2 * W, (3, 2))
    """
    rng = generator(seed)
    on = f"a random matrix of shape {shape}, seed {seed}"
    W = rng.standard_normal(shape)
    G = array(call(grad, W, on=on), shape, name="the gradient", on=on)
    pairs = []
    for _ in range(3):
        V = rng.standard_normal(shape)
        ahead, behind = (number(f(W + h * V), name="f", on=on) for h in (1e-5, -1e-5))
        pairs.append(((G * V).sum(), (ahead - behind) / 2e-5))
    got, want = np.array(pairs).T
    if np.abs(got - want).max() > tol * max(1.0, np.abs(want).max()):
        raise CheckFailed(
            f"along a random direction the gradient gives the slope {got[0]:.6g}, finite differences {want[0]:.6g}",
            on,
            _factor(got, want, tol),
        )


def tell(check: Callable, *arguments: Any, **settings: Any) -> None:
    """Run a check and print what it says instead of raising it: for a reader who tries an answer in the book.

    >>> tell(gradient, lambda W: (W**2).sum(), lambda W: 2 * W, (3, 2))
    Nothing is missing.
    >>> tell(agrees, abs, lambda x: x, [(-1.0,)])
    Not yet: the result is 1, not -1, on -1.
    """
    try:
        check(*arguments, **settings)
    except CheckFailed as failed:
        print(textwrap.fill(f"Not yet: {failed}", 78))
    else:
        print("Nothing is missing.")


def _factor(got: np.ndarray, want: np.ndarray, tol: float) -> str:
    ratio = float(got @ want / (want @ want)) if want.any() else 0.0
    if ratio and np.abs(got - ratio * want).max() <= 10 * tol * np.abs(want).max():
        return f"It is {ratio:.4g} times the right one: a factor is lost."
    return "The direction is wrong, not only the size."


def _describe(*arguments: Any) -> str:
    return ", ".join(
        f"an array of shape {a.shape}"
        if isinstance(a, np.ndarray) and a.ndim
        else f"{a:.6g}"
        if np.isscalar(a)
        else "it"
        for a in arguments
    )
