"""The right answer to a wrong question: known mistakes, each with the values it gives and the words that help."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Hint = Callable[[np.ndarray, np.ndarray], str]


def recognise(mistakes: Iterable[tuple[Any, str]], *, tol: float = 1e-6, otherwise: str = "") -> Hint:
    """Return the ``suggests`` of ``_core.close``: the words of the first mistake that gives the values that were got.

    ``mistakes`` are pairs (values, words). A mistake that gives the right values here is passed over, and so is one
    with another shape. ``otherwise`` is said where none fits.

    >>> recognise([(2.0, "Twice too much.")])(np.array(2.0), np.array(1.0))
    'Twice too much.'
    """
    known = [(np.asarray(values, dtype=np.float64), words) for values, words in mistakes]

    def hint(got: np.ndarray, want: np.ndarray) -> str:
        for values, words in known:
            if values.shape == got.shape and _near(got, values, tol) and not _near(values, want, tol):
                return words
        return otherwise

    return hint


def _near(a: np.ndarray, b: np.ndarray, tol: float) -> bool:
    return bool(np.abs(a - b).max(initial=0.0) <= tol * max(1e-3, np.abs(b).max(initial=0.0)))
