"""The law of D = phi'(h)^2 for h ~ N(0, q): its atoms, its continuous part, and the averages that a spectrum needs.

One layer of the Jacobian is D_l W_l with a diagonal matrix of slopes. Random matrix theory needs of it only the law
of the squared slope D, through averages of 1/(x - D) over complex x. Where phi is piecewise linear that law is a few
atoms. Elsewhere it is an integral over z ~ N(0, 1), and it is nearly singular when x comes close to a value that D
takes; so the panels of the quadrature form a binary tree and each x goes down the tree as far as it needs to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ortholab.errors import ArgumentError, check_number
from ortholab.theory.activations import Activation

_ORDER = 16
_X, _W = np.polynomial.legendre.leggauss(_ORDER)
_REACH = 10.0  # |z| <= 10 holds all but 2e-23 of the probability
_NEAR = 0.7  # a panel serves x from a distance of 0.7 times its range of D on: 16 nodes then give 1e-15
_CONSTANT = 1e-10  # a slope that varies less than this between two kinks is one number
_HALVES = np.concatenate([(_X - 1) / 2, (_X + 1) / 2])  # the nodes of both halves of a panel, seen from the panel


def _interpolation() -> np.ndarray:
    """Matrix (2n, n) that carries values at a panel's nodes to the nodes of its halves."""
    legendre = np.polynomial.legendre
    return legendre.legvander(_HALVES, _ORDER - 1) @ np.linalg.inv(legendre.legvander(_X, _ORDER - 1))


_TO_HALVES = _interpolation()
# Legendre coefficients (n - 1) of the derivative, from the values (n) at the nodes.
_SLOPE = np.polynomial.legendre.legder(np.linalg.inv(np.polynomial.legendre.legvander(_X, _ORDER - 1)))


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
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            value = self._constant(a, b)
            if value is None:
                pieces.append((max(a, -_REACH), min(b, _REACH)))
            else:
                mass = ndtr(b) - ndtr(a) if a < 0 else ndtr(-a) - ndtr(-b)
                same = next((v for v in atoms if abs(v - value) <= _CONSTANT * max(1.0, value)), value)
                atoms[same] = atoms.get(same, 0.0) + float(mass)
        self.atoms = np.array(sorted(v for v in atoms if atoms[v] > 0))
        self.masses = np.array([atoms[v] for v in self.atoms])
        self._plant([p for p in pieces if p[0] < p[1]])
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
        d = self.slope_squared(left + (right - left) * (0.5 + 0.5 * _HALVES))
        return float(np.median(d)) if np.ptp(d) <= _CONSTANT * max(1.0, d.max()) else None

    def _plant(self, pieces: list[tuple[float, float]]) -> None:
        """Make the base panels: even D is folded to z > 0; panels halve until both D and the weight are resolved."""
        self._fold = 1.0
        probe = np.linspace(0.01, _REACH, 97)
        cuts = {round(e, 12) for p in pieces for e in p}
        even = cuts == {-c for c in cuts} and np.allclose(self.slope_squared(probe), self.slope_squared(-probe), rtol=1e-13, atol=1e-15)
        if even and pieces:
            pieces = [(max(a, 0.0), b) for a, b in pieces if b > 0]
            self._fold = 2.0
        self.pieces = pieces  # the intervals of z that the panels cover
        grid = np.arange(-_REACH, _REACH + 1, 2.0)
        ends = [np.unique(np.clip(np.append(grid, [a, b]), a, b)) for a, b in pieces]
        self._a = np.concatenate([e[:-1] for e in ends]) if ends else np.empty(0)
        self._b = np.concatenate([e[1:] for e in ends]) if ends else np.empty(0)
        self._fill()
        base = np.arange(self._a.size)
        done = [base[:0]]
        for _ in range(40):
            split = ~self._resolved(base)
            done.append(base[~split])
            if not split.any():
                break
            base = self._children(base[split]).ravel()
        self._base = np.concatenate(done)
        keep = np.sum(self._weight[self._base], axis=1) > 1e-26
        self._base = self._base[keep]

    def _fill(self) -> None:
        """Evaluate D and the weights on the panels that have none yet."""
        old = self._nodes.shape[0] if hasattr(self, "_nodes") else 0
        a, b = self._a[old:], self._b[old:]
        z = (0.5 * (a + b))[:, None] + (0.5 * (b - a))[:, None] * _X
        d = self.slope_squared(z)
        weight = self._fold * (0.5 * (b - a))[:, None] * _W * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
        inset = 1e-12 * (b - a)  # an end may be a kink: look just inside
        ends = self.slope_squared(np.stack([a + inset, b - inset], axis=1))
        low = np.minimum(d.min(axis=1, initial=np.inf), ends.min(axis=1, initial=np.inf))
        high = np.maximum(d.max(axis=1, initial=-np.inf), ends.max(axis=1, initial=-np.inf))
        child = np.full(a.size, -1)
        if old == 0:
            self._nodes, self._weight, self._low, self._high, self._child = d, weight, low, high, child
            return
        for name, new in (("_nodes", d), ("_weight", weight), ("_low", low), ("_high", high), ("_child", child)):
            setattr(self, name, np.concatenate([getattr(self, name), new]))

    def _children(self, panels: np.ndarray) -> np.ndarray:
        """Indices (len(panels), 2) of the two halves of each panel, made when they are first asked for."""
        new = np.unique(panels[self._child[panels] < 0])
        if new.size:
            first = self._a.size
            middle = 0.5 * (self._a[new] + self._b[new])
            self._child[new] = first + 2 * np.arange(new.size)
            self._a = np.append(self._a, np.stack([self._a[new], middle], axis=1).ravel())
            self._b = np.append(self._b, np.stack([middle, self._b[new]], axis=1).ravel())
            self._fill()
        left = self._child[panels]
        return np.stack([left, left + 1], axis=1)

    def _resolved(self, panels: np.ndarray) -> np.ndarray:
        """Whether 16 nodes carry D (where it has weight) and the weight itself across the panel."""
        if not panels.size:
            return np.ones(0, dtype=bool)
        halves = self._children(panels)
        d = self._nodes[halves].reshape(len(panels), -1)
        z = np.stack([self._a[panels], self._b[panels]], axis=1)
        z = z.mean(axis=1, keepdims=True) + 0.5 * np.diff(z, axis=1) * _HALVES
        density = np.exp(-0.5 * z * z)
        coarse = (self._weight[panels] / _W) / (0.5 * self._fold * (self._b - self._a)[panels, None])
        scale = max(1.0, float(self._high.max()))
        wrong_d = np.abs(self._nodes[panels] @ _TO_HALVES.T - d) * density
        wrong_w = np.abs(coarse @ _TO_HALVES.T * np.sqrt(2 * np.pi) - density)
        tiny = np.max(self._weight[panels], axis=1) < 1e-22
        narrow = (self._b - self._a)[panels] < 1e-9
        return tiny | narrow | ((wrong_d.max(axis=1) < 1e-13 * scale) & (wrong_w.max(axis=1) < 1e-13))

    def _find_ends(self) -> None:
        """The infimum and supremum of D over all real h, not only those that 10 standard deviations reach."""
        self.continuous = self._base.size > 0
        self.continuous_mass = float(np.sum(self._weight[self._base]))
        ends = list(self.atoms)
        if self.continuous:
            wide = np.geomspace(1e-3, 1e4, 1500)
            near = np.linspace(-40, 40, 8001)
            h = np.concatenate([-wide[::-1], near, wide])
            h = h[self._in_continuous(h)]
            with np.errstate(all="ignore"):
                d = np.square(self.activation.dphi(h))
            low = min(float(np.min(d[np.isfinite(d)], initial=np.inf)), float(self._low[self._base].min()))
            high = max(self._peak(near[self._in_continuous(near)]), float(self._high[self._base].max()))
            # Slopes that fall like 1/(1 + h)^4 reach 1e-16 on the grid: their infimum is 0.
            self.continuous_low, self.continuous_high = (0.0 if low < 1e-8 * high else low), high
            ends += [self.continuous_low, self.continuous_high]
        self.low, self.high = float(min(ends)), float(max(ends))

    def _in_continuous(self, h: np.ndarray) -> np.ndarray:
        """Which h lie where the slope varies (pieces run on to infinity beyond ten standard deviations)."""
        z = h / self._root
        if self._fold == 2:
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

    def panels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The base panels: ends a and b (P,), values of D and weights at their nodes (P, 16)."""
        base = self._base
        return self._a[base], self._b[base], self._nodes[base], self._weight[base]

    def log_derivative(self, z: np.ndarray) -> np.ndarray:
        """d log D / dz from the panels' polynomials, for z (n,) that the panels cover."""
        base = self._base[np.argsort(self._a[self._base])]
        panel = base[np.clip(np.searchsorted(self._a[base], z) - 1, 0, base.size - 1)]
        half = 0.5 * (self._b - self._a)[panel]
        t = (z - 0.5 * (self._a + self._b)[panel]) / half
        slopes = np.einsum("kn,kn->k", np.polynomial.legendre.legvander(t, _ORDER - 2), self._nodes[panel] @ _SLOPE.T)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(slopes / half / self.slope_squared(z), nan=0.0, posinf=1e300, neginf=-1e300)

    @property
    def fold(self) -> float:
        """2 if D is even in z and the panels cover z > 0 only, else 1."""
        return self._fold

    def mean(self, power: float = 1.0) -> float:
        """E[D^power]."""
        _, _, d, w = self.panels()
        return float(np.sum(self.masses * self.atoms**power) + np.sum(w * d**power))

    def relative_variance(self) -> float:
        """Var(D) / E[D]^2, from centred values: right however narrow the law is."""
        _, _, d, w = self.panels()
        mean = self.mean()
        return float(np.sum(self.masses * (self.atoms - mean) ** 2) + np.sum(w * (d - mean) ** 2)) / mean**2

    def mass_at(self, value: float) -> float:
        """P(D = value)."""
        close = np.abs(self.atoms - value) <= _CONSTANT * max(1.0, value)
        return float(self.masses[close].sum())

    def averages(self, log_r: np.ndarray, theta: np.ndarray, arg: bool = False) -> Averages:
        """All averages at x = exp(log_r + i theta), 0 <= theta <= pi, both of shape (n,); off the support if theta = 0."""
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
        row, d, mass = self._leaves(np.exp(log_r) * cos, np.exp(log_r) * sin, scale)
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

    def _leaves(self, re: np.ndarray, im: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows (K,), values of D (K, 16) and masses (K, 16): for each x the panels that are fine enough for it."""
        n = re.size
        row = np.repeat(np.arange(n), self._base.size)
        panel = np.tile(self._base, n)
        rows, panels = [], []
        while row.size:
            low, high = self._low[panel], self._high[panel]
            off = np.maximum(np.maximum(low - re[row], re[row] - high), 0.0)
            near = np.hypot(off * scale[row], im[row] * scale[row]) < _NEAR * (high - low) * scale[row]
            near &= self._b[panel] - self._a[panel] > 1e-14
            rows.append(row[~near])
            panels.append(panel[~near])
            panel = self._children(panel[near]).ravel()
            row = np.repeat(row[near], 2)
        row = np.concatenate(rows) if rows else np.empty(0, dtype=int)
        panel = np.concatenate(panels) if panels else np.empty(0, dtype=int)
        d, mass = self._nodes[panel], self._weight[panel]
        for i in range(0, self.atoms.size, _ORDER):  # atoms ride along as one more panel, padded with zero mass
            value, share = np.zeros(_ORDER), np.zeros(_ORDER)
            part = self.atoms[i : i + _ORDER]
            value[: part.size], share[: part.size] = part, self.masses[i : i + _ORDER]
            value[part.size :] = part[0]
            row = np.concatenate([row, np.arange(n)])
            d = np.concatenate([d, np.broadcast_to(value, (n, _ORDER))])
            mass = np.concatenate([mass, np.broadcast_to(share, (n, _ORDER))])
        return row, d, mass
