"""A binary tree of Gauss-Legendre panels for E f(D(z)), z ~ N(0, 1), with integrands as sharp as 1/(x - D)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ORDER = 16
NODES, WEIGHTS = np.polynomial.legendre.leggauss(ORDER)
_NEAR = 0.7  # a panel serves x from a distance of 0.7 times its range of D on: 16 nodes then give 1e-15
HALVES = np.concatenate([(NODES - 1) / 2, (NODES + 1) / 2])  # the nodes of both halves of a panel, seen from the panel
_COEFFICIENTS = np.linalg.inv(np.polynomial.legendre.legvander(NODES, ORDER - 1))
_TO_HALVES = np.polynomial.legendre.legvander(HALVES, ORDER - 1) @ _COEFFICIENTS
_SLOPE = np.polynomial.legendre.legder(_COEFFICIENTS)  # values at the nodes -> coefficients of the derivative
_LIMIT = 60_000  # panels kept (16 MB); beyond, those that single requests made are forgotten


class PanelTree:
    """Panels over ``pieces`` of the z axis, each with D at its nodes, its weights, and the range of D on it.

    The base panels resolve D and the normal weight. Their halves are made when a request needs them and are kept.
    """

    def __init__(self, d: Callable[[np.ndarray], np.ndarray], pieces: list[tuple[float, float]], fold: float):
        self._d, self._fold, self.size = d, fold, 0
        self._z, self._child = np.empty((0, 2)), np.empty(0, dtype=int)
        self._nodes, self._weight, self._range = np.empty((0, ORDER)), np.empty((0, ORDER)), np.empty((0, 2))
        grid = np.arange(-40.0, 41.0, 2.0)
        ends = [np.unique(np.clip(np.append(grid, [a, b]), a, b)) for a, b in pieces]
        if ends:
            self._append(np.concatenate([np.stack([e[:-1], e[1:]], axis=1) for e in ends]))
        self.base = self._plant()
        self._first = self.size

    def _plant(self) -> np.ndarray:
        todo, done = np.arange(self.size), []
        for _ in range(40):
            if not todo.size:
                break
            good = self._resolved(todo)
            done.append(todo[good])
            todo = self._children(todo[~good]).ravel()
        base = np.concatenate([*done, todo])
        base = base[np.sum(self._weight[base], axis=1) > 1e-26]
        return base[np.argsort(self._z[base, 0])]

    def _append(self, z: np.ndarray) -> None:
        """Add panels with ends z (m, 2)."""
        half, middle = 0.5 * (z[:, 1] - z[:, 0]), z.mean(axis=1)
        inside = middle[:, None] + half[:, None] * NODES
        d = self._d(inside)
        weight = self._fold * half[:, None] * WEIGHTS * np.exp(-0.5 * inside**2) / np.sqrt(2 * np.pi)
        inset = 2e-12 * half  # an end may be a kink: look just inside
        seen = np.concatenate([d, self._d(z + np.stack([inset, -inset], axis=1))], axis=1)
        old, self.size = self.size, self.size + len(z)
        if self.size > len(self._z):
            grow = max(len(self._z), 2 * len(z), 256)
            for name in ("_z", "_child", "_nodes", "_weight", "_range"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.empty((grow, *array.shape[1:]), dtype=array.dtype)]))
        part = slice(old, self.size)
        self._z[part], self._child[part], self._nodes[part], self._weight[part] = z, -1, d, weight
        self._range[part, 0], self._range[part, 1] = seen.min(axis=1), seen.max(axis=1)

    def _children(self, panels: np.ndarray) -> np.ndarray:
        """Indices (len(panels), 2) of the two halves of each panel."""
        new = np.unique(panels[self._child[panels] < 0])
        if new.size:
            self._child[new] = self.size + 2 * np.arange(new.size)
            a, b = self._z[new].T
            middle = 0.5 * (a + b)
            self._append(np.stack([a, middle, middle, b], axis=1).reshape(-1, 2))
        left = self._child[panels]
        return np.stack([left, left + 1], axis=1)

    def _resolved(self, panels: np.ndarray) -> np.ndarray:
        """Whether 16 nodes carry D, relative to its size on the panel, and the weight itself across the panel."""
        d = self._nodes[self._children(panels)].reshape(len(panels), -1)
        half, middle = 0.5 * np.diff(self._z[panels], axis=1), self._z[panels].mean(axis=1)[:, None]
        density = np.exp(-0.5 * (middle + half * HALVES) ** 2)
        coarse = np.exp(-0.5 * (middle + half * NODES) ** 2)
        wrong_d = np.abs(self._nodes[panels] @ _TO_HALVES.T - d) * density
        wrong_w = np.abs(coarse @ _TO_HALVES.T - density)
        scale = np.maximum(self._range[panels, 1], 1e-280)
        easy = (coarse.max(axis=1) < 1e-22) | (half[:, 0] < 1e-9)
        return easy | ((wrong_d.max(axis=1) < 1e-13 * scale) & (wrong_w.max(axis=1) < 1e-13))

    def base_values(self) -> tuple[np.ndarray, np.ndarray]:
        """D and weights at the nodes of the base panels, both (nodes,)."""
        return self._nodes[self.base].ravel(), self._weight[self.base].ravel()

    def log_derivative(self, z: np.ndarray) -> np.ndarray:
        """d log D / dz from the panels' polynomials, for z (n,) that they cover."""
        panel = self.base[np.clip(np.searchsorted(self._z[self.base, 0], z) - 1, 0, self.base.size - 1)]
        half = 0.5 * np.diff(self._z[panel], axis=1)[:, 0]
        t = (z - self._z[panel].mean(axis=1)) / half
        slope = np.einsum("kn,kn->k", np.polynomial.legendre.legvander(t, ORDER - 2), self._nodes[panel] @ _SLOPE.T)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(slope / half / self._d(z), nan=0.0, posinf=1e300, neginf=-1e300)

    def leaves(self, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each complex x (n,) the panels that are fine enough for 1/(x - D): (rows (K,), D (K, 16), weights).

        ``size`` = |x|; distances are compared relative to it.
        """
        if self.size > max(_LIMIT, 2 * self._first):
            self.size = self._first
            self._child[: self.size][self._child[: self.size] >= self.size] = -1
        row, panel = np.repeat(np.arange(x.size), self.base.size), np.tile(self.base, x.size)
        rows, panels = [], []
        while row.size:
            low, high = self._range[panel].T
            off = np.maximum(np.maximum(low - x.real[row], x.real[row] - high), 0.0)
            near = np.hypot(off / size[row], x.imag[row] / size[row]) < _NEAR * (high - low) / size[row]
            near &= self._z[panel, 1] - self._z[panel, 0] > 1e-14
            rows.append(row[~near])
            panels.append(panel[~near])
            panel = self._children(panel[near]).ravel()
            row = np.repeat(row[near], 2)
        panel = np.concatenate([np.empty(0, dtype=int), *panels])
        return np.concatenate([np.empty(0, dtype=int), *rows]), self._nodes[panel], self._weight[panel]
