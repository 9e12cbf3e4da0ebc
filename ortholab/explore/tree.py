"""A formula as a small tree: its value, its exact derivative, and the kinks where that derivative jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab.explore.dual import ONE, ONE_KINKS, Dual, larger, smaller

REACH = 8.0  # kinks are looked for in [-REACH, REACH], where own_activation wants them named


@dataclass(frozen=True)
class Tree:
    """A node of a formula: ``kind`` is "x", "number", an operator (``+ - * / **``, "neg") or a function's name."""

    kind: str
    parts: tuple[Tree, ...] = ()
    value: float = 0.0

    @property
    def constant(self) -> bool:
        """Whether x does not occur."""
        return self.kind != "x" and all(part.constant for part in self.parts)

    def at(self, x: Dual) -> Dual:
        """Compute the node and its derivative at the values of ``x``; overflows stay infinite, 0/0 stays NaN."""
        if self.kind == "x":
            return x
        if self.kind == "number":
            return Dual(np.full_like(x.value, self.value), np.zeros_like(x.value))
        parts = [part.at(x) for part in self.parts]
        if self.kind in ONE:
            return parts[0].through(*ONE[self.kind])
        return _JOIN[self.kind](*parts)

    def switches(self, x: Dual) -> list[np.ndarray]:
        """Arrays, one for each way in which the slope may jump; it jumps where their sign changes."""
        found = [array for part in self.parts for array in part.switches(x)]
        if self.kind in ONE_KINKS:
            found += [self.parts[0].at(x).value - kink for kink in ONE_KINKS[self.kind]]
        elif self.kind in ("max", "min", "clip"):
            first, *others = (part.at(x).value for part in self.parts)
            found += [first - other for other in others]
        return found


_JOIN = {
    "+": Dual.__add__, "-": Dual.__sub__, "*": Dual.__mul__, "/": Dual.__truediv__, "**": Dual.power,
    "neg": Dual.__neg__, "max": larger, "min": smaller, "clip": lambda u, low, high: smaller(larger(u, low), high),
}  # fmt: skip


def evaluate(tree: Tree, x: np.ndarray) -> Dual:
    """Compute phi(x) and phi'(x), arrays of the shape of ``x``; infinite or NaN where the formula is.

    >>> evaluate(Tree("*", (Tree("x"), Tree("x"))), np.array([3.0])).slope.tolist()
    [6.0]
    """
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(all="ignore"):
        return tree.at(Dual(x, np.ones_like(x)))


def kinks(tree: Tree) -> tuple[float, ...]:
    """Find the points in [-8, 8] where phi' may jump: sign changes inside abs, max, min, clip, relu and their like.

    >>> kinks(Tree("hardtanh", (Tree("x"),)))
    (-1.0, 1.0)
    """
    # An odd number of intervals about 0, so that 0 is not a grid point and a kink there is a change of sign.
    grid = np.linspace(-REACH, REACH, 4098)
    with np.errstate(all="ignore"):
        arrays = tree.switches(Dual(grid, np.ones_like(grid)))
        found: list[float] = []
        for which, values in enumerate(arrays):
            sign = np.sign(values)
            for i in np.flatnonzero(sign[1:] * sign[:-1] < 0):
                found.append(_bisect(tree, which, grid[i], grid[i + 1], sign[i]))
            zeros = np.flatnonzero((sign == 0) & np.append(True, sign[:-1] != 0))
            found += [float(grid[i]) for i in zeros]
    return tuple(dict.fromkeys(round(float(k), 15) + 0.0 for k in sorted(found)))


def _bisect(tree: Tree, which: int, low: float, high: float, sign_low: float) -> float:
    # Simple numbers first: a kink typed as 1 is found as 1.0, not as its neighbour.
    for digits in (0, 1, 2, 3):
        guess = round((low + high) / 2, digits)
        if low < guess < high and _switch_at(tree, which, guess) == 0:
            return guess
    for _ in range(70):
        middle = 0.5 * (low + high)
        value = _switch_at(tree, which, middle)
        if value == 0 or not low < middle < high:
            return middle
        low, high = (middle, high) if np.sign(value) == sign_low else (low, middle)
    return 0.5 * (low + high)


def _switch_at(tree: Tree, which: int, x: float) -> float:
    return float(tree.switches(Dual(np.array([x]), np.ones(1)))[which][0])
