"""The law of D = phi'(h)^2 for h ~ N(0, q): its atoms, its continuous part, and the averages that a spectrum needs.

One layer of the Jacobian is D_l W_l with a diagonal matrix of slopes. Random matrix theory needs of it only the law
of the squared slope D, through averages of 1/(x - D) over complex x. Where phi is piecewise linear that law is a few
atoms. Elsewhere it is an integral over z ~ N(0, 1), nearly singular when x comes close to a value that D takes; so
the panels of the quadrature form a binary tree (panels.py), and each x goes down the tree as far as it needs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ortholab._scipy import special
from ortholab.errors import ArgumentError, check_number
from ortholab.theory.activations import Activation
from ortholab.theory.panels import HALVES, ORDER, PanelTree

_REACH = 10.0  # |z| <= 10 holds all but 2e-23 of the probability
_CONSTANT = 1e-10  # a slope that varies less than this between two kinks is one number


@dataclass(frozen=True)
class Averages:
    """Averages over D at x = r exp(i theta), with w = 1 / (1 - D/x); every array has the shape of x.

    ``one`` = E[w] = 1 + m and ``m`` = E[w D/x]; ``im_one`` = -Im E[w] and ``im_ratio`` = -Im(m x conj(1 + m)) /
    |x| are sums of positive terms, so small ones keep their digits; ``slope_ratio`` = d log(m x/(1 + m)) / d log x,
    ``slope_one`` = d log(1 + m) / d log x; ``arg`` = E[arg(1 - D/x)] (or None when it was not asked for).
    """

    one: np.ndarray
    m: np.ndarray
    im_one: np.ndarray
    im_ratio: np.ndarray
    slope_ratio: np.ndarray
    slope_one: np.ndarray
    arg: np.ndarray | None


class SlopeLaw:
    """The law of D = phi'(sqrt(q) z)^2, z ~ N(0, 1).

    ``atoms`` and ``masses`` (k,): values that D takes with positive probability; ``low`` and ``high``: the ends of
    its support over all real h. Raises ArgumentError if phi' is not finite, or if q = 0 at a kink.

    >>> from ortholab.theory.activations import RELU
    >>> law = SlopeLaw(RELU, 1.0)
    >>> law.atoms.tolist(), law.masses.tolist()
    ([0.0, 1.0], [0.5, 0.5])
    """

    def __init__(self, activation: Activation, q: float):
        self.activation = activation
        q = check_number("q", q, low=0.0)
        if activation.degree_one:
            q = 1.0  # phi' has the same law at every q > 0
        if q == 0 and 0.0 in activation.kinks:
            raise ArgumentError(f"q must be positive for {activation.name}: phi' jumps at 0; got {q}")
        self.q = q
        self._root = np.sqrt(q)
        kinks = sorted(set(activation.kinks)) if q > 0 else []
        edges = np.array([-np.inf, *(k / self._root for k in kinks), np.inf])
        atoms: dict[float, float] = {}
        pieces = []
        for a, b in pairwise(edges.tolist()):
            value = self._constant(a, b)
            if value is None:
                pieces.append((max(a, -_REACH), min(b, _REACH)))
            else:
                mass = special.ndtr(b) - special.ndtr(a) if a < 0 else special.ndtr(-a) - special.ndtr(-b)
                same = next((v for v in atoms if abs(v - value) <= _CONSTANT * max(1.0, value)), value)
                atoms[same] = atoms.get(same, 0.0) + float(mass)
        self.atoms = np.array(sorted(v for v in atoms if atoms[v] > 0))
        self.masses = np.array([atoms[v] for v in self.atoms])
        self._cover([p for p in pieces if p[0] < p[1]])
        self._find_ends()

    # ---- building -------------------------------------------------------------------------------------------------

    def slope_squared(self, z: np.ndarray) -> np.ndarray:
        """D = phi'(sqrt(q) z)^2, with the shape of z."""
        with np.errstate(all="ignore"):
            d = np.square(np.asarray(self.activation.dphi(self._root * z), dtype=np.float64))
        if not np.isfinite(d).all():
            place = self._root * z[~np.isfinite(d)].flat[0]
            raise ArgumentError(f"the derivative of {self.activation.name} must be finite; it is not at {place:.6g}")
        return d

    def _constant(self, a: float, b: float) -> float | None:
        """The value of D between two kinks if it is one number (or if q is so small that it might as well be)."""
        left, right = max(a, min(b, _REACH) - 2 * _REACH), min(b, max(a, -_REACH) + 2 * _REACH)
        d = self.slope_squared(left + (right - left) * (0.5 + 0.5 * HALVES))
        return float(np.median(d)) if np.ptp(d) <= _CONSTANT * max(1.0, d.max()) else None

    def _cover(self, pieces: list[tuple[float, float]]) -> None:
        """Lay panels over the pieces on which D varies; even D is folded to z > 0."""
        self.fold = 1.0
        probe = np.linspace(0.01, _REACH, 97)
        cuts = {round(e, 12) for p in pieces for e in p}
        right, left = self.slope_squared(probe), self.slope_squared(-probe)
        if pieces and cuts == {-c for c in cuts} and np.allclose(right, left, rtol=1e-13, atol=1e-15):
            pieces = [(max(a, 0.0), b) for a, b in pieces if b > 0]
            self.fold = 2.0  # 2 if D is even in z and the panels cover z > 0 only, else 1
        self.pieces = pieces
        self.tree = PanelTree(self.slope_squared, pieces, self.fold)
        self.values, self.weights = self.tree.base_values()  # the quadrature of the continuous part

    def _find_ends(self) -> None:
        """The infimum and supremum of D over all real h, not only those that 10 standard deviations reach."""
        self.continuous = self.values.size > 0
        self.continuous_mass = float(np.sum(self.weights))
        ends = list(self.atoms)
        if self.continuous:
            wide = np.geomspace(1e-3, 1e4, 1500)
            near = np.linspace(-40, 40, 8001)
            h = np.concatenate([-wide[::-1], near, wide])
            h = h[self._in_continuous(h)]
            with np.errstate(all="ignore"):
                d = np.square(self.activation.dphi(h))
            low = min(float(np.min(d[np.isfinite(d)], initial=np.inf)), float(self.values.min()))
            high = max(self._peak(near[self._in_continuous(near)]), float(self.values.max()))
            # Slopes that fall like 1/(1 + h)^4 reach 1e-16 on the grid: their infimum is 0.
            self.continuous_low, self.continuous_high = (0.0 if low < 1e-8 * high else low), high
            ends += [self.continuous_low, self.continuous_high]
        self.low, self.high = float(min(ends)), float(max(ends))

    def _in_continuous(self, h: np.ndarray) -> np.ndarray:
        """Which h lie where the slope varies (pieces run on to infinity beyond ten standard deviations)."""
        z = h / self._root
        if self.fold == 2:
            z = np.abs(z)
        inside = np.zeros(h.shape, dtype=bool)
        for a, b in self.pieces:
            inside |= ((z > a) | (a <= -_REACH)) & ((z < b) | (b >= _REACH))
        return inside

    def _peak(self, h: np.ndarray) -> float:
        """Maximum of D on the grid, sharpened by golden sections around the best point."""

        def d(x: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                return np.nan_to_num(np.square(self.activation.dphi(x)), nan=0.0, posinf=0.0)

        if not h.size:
            return 0.0
        best = h[np.argmax(d(h))]
        width = 0.01
        for _ in range(12):
            local = best + width * np.linspace(-1, 1, 21)
            best, width = local[np.argmax(d(local))], width / 8
        return float(d(np.array([best]))[0])

    # ---- using ----------------------------------------------------------------------------------------------------

    def mean(self, power: float = 1.0) -> float:
        """E[D^power]."""
        return float(np.sum(self.masses * self.atoms**power) + np.sum(self.weights * self.values**power))

    def relative_variance(self) -> float:
        """Var(D) / E[D]^2, from centred values: right however narrow the law is."""
        mean = self.mean()
        atoms = np.sum(self.masses * (self.atoms - mean) ** 2)
        return float(atoms + np.sum(self.weights * (self.values - mean) ** 2)) / mean**2

    def averages(self, log_r: np.ndarray, theta: np.ndarray, arg: bool = False) -> Averages:
        """All averages at x = exp(log_r + i theta), 0 <= theta <= pi, of shape (n,)."""
        parts = [
            self._averages(log_r[i : i + 2000], theta[i : i + 2000], arg) for i in range(0, max(1, log_r.size), 2000)
        ]
        return Averages(*(None if f[0] is None else np.concatenate(f) for f in zip(*parts, strict=True)))

    def _averages(self, log_r: np.ndarray, theta: np.ndarray, arg: bool) -> tuple:
        n = log_r.size
        # Everything is taken relative to |x|, so that x = 1e-100 is no special case. In real arithmetic:
        # 1/(exp(i theta) - e) = (gap - i sin) down, with e = D/|x|, gap = cos - e, down = |exp(i theta) - e|^-2.
        scale = np.exp(-log_r)
        cos, sin = np.cos(theta), np.sin(theta)
        row, d, mass = self._leaves(np.exp(log_r) * (cos + 1j * sin), np.exp(log_r))
        e = d * scale[row, None]
        gap = cos[row, None] - e
        down = 1.0 / (gap * gap + (sin * sin)[row, None])

        def total(*factors: np.ndarray) -> np.ndarray:
            first, *rest = factors
            for f in rest[:-1]:
                first = first * f
            return np.bincount(row, np.einsum("kn,kn->k", first, rest[-1]), n)

        weight = mass * down
        j0, j1 = total(mass, down), total(weight, e)
        centre = j1 / j0
        shifted = e - centre[row, None]
        shifted_weight = weight * shifted
        j1c, j2c = total(weight, shifted), total(shifted_weight, shifted)
        e0 = total(weight, gap) - 1j * sin * j0
        e1c = total(shifted_weight, gap) - 1j * sin * j1c
        e1 = e1c + centre * e0
        # w^2 = (u^2 - v^2) - 2i u v with u = gap down, v = sin down
        u, v = gap * down, sin[row, None] * down
        real, imag = u * u - v * v, 2 * u * v
        shifted_mass = mass * shifted
        f0 = total(mass, real) - 1j * total(mass, imag)
        f1c = total(shifted_mass, real) - 1j * total(shifted_mass, imag)
        unit = np.exp(1j * theta)
        slope_ratio = unit * (f0 * e1c - f1c * e0) / (e0 * e1)
        slope_one = -(f1c + centre * f0) / e0
        angle = total(mass, np.arctan2(sin[row, None], gap)) - theta if arg else None
        return unit * e0, e1, sin * j1, sin * (j2c * j0 - j1c**2), slope_ratio, slope_one, angle

    def _leaves(self, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows (K,), values of D (K, 16) and masses (K, 16): the panels for each x, and the atoms as one more panel."""
        n = x.size
        row, d, mass = self.tree.leaves(x, size)
        for i in range(0, self.atoms.size, ORDER):
            part = self.atoms[i : i + ORDER]
            value, share = np.full(ORDER, part[0]), np.zeros(ORDER)  # padded with zero mass
            value[: part.size], share[: part.size] = part, self.masses[i : i + ORDER]
            row = np.concatenate([row, np.arange(n)])
            d = np.concatenate([d, np.broadcast_to(value, (n, ORDER))])
            mass = np.concatenate([mass, np.broadcast_to(share, (n, ORDER))])
        return row, d, mass
