"""Gaussian expectations in one and two dimensions, exact at kinks and at every scale of the activation.

All of mean-field theory is made of two integrals, E f(h) with h ~ N(0, q) and E f(u) g(v) with (u, v) jointly
Gaussian. Gauss-Hermite quadrature is the usual tool and is wrong for both ReLU (a kink: error 1/nodes) and tanh at
large q (a step that lies between two nodes). Here the line is cut into panels at the kinks and, ever finer, around
each of them and around zero; each panel gets a Gauss-Legendre rule. The panels depend on q only through sorted
edges, so an array of q is one vectorised call.

Source: Poole et al. 2016 (arXiv 1606.05340) for the averages; the panels are this book's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ortholab.errors import ArgumentError, check_array, check_number, show

Function = Callable[[np.ndarray], np.ndarray]

TAIL = 13.0  # the standard normal holds less than 1e-37 beyond; that leaves room for integrands that grow
_UNIFORM = np.arange(-TAIL, TAIL + 0.5)
_GRADES = 2.0 ** np.arange(-4, 6)
_OFFSETS = np.concatenate([-_GRADES[::-1], [0.0], _GRADES])  # from a centre, in units of the activation's own scale
_CHUNK = 2_000_000  # nodes evaluated at once: 16 MB an array


@cache
def _legendre(order: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(order)


def _rule(edges: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for E over z ~ N(0, 1) on the panels between sorted ``edges`` (..., e); shapes (..., nodes)."""
    x, w = _legendre(order)
    half = 0.5 * np.diff(edges, axis=-1)[..., None]
    z = 0.5 * (edges[..., 1:] + edges[..., :-1])[..., None] + half * x
    weight = half * w * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return z.reshape(*edges.shape[:-1], -1), weight.reshape(*edges.shape[:-1], -1)


def _edges(centres: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Panel edges (..., e) that shrink around ``centres`` (..., k), in units of ``length`` (...,) on the z axis."""
    around = (centres[..., :, None] + _OFFSETS * length[..., None, None]).reshape(*centres.shape[:-1], -1)
    uniform = np.broadcast_to(_UNIFORM, (*centres.shape[:-1], _UNIFORM.size))
    return np.sort(np.clip(np.concatenate([uniform, around], axis=-1), -TAIL, TAIL), axis=-1)


def _call(f: Function, h: np.ndarray, name: str = "f") -> np.ndarray:
    with np.errstate(all="ignore"):  # an overflow is reported below, by name, instead of as a warning
        value = np.asarray(f(h), dtype=np.float64)
    if value.shape != h.shape:
        raise ArgumentError(f"{name} must return an array of its argument's shape {h.shape}; got shape {value.shape}")
    return value


def _finite(value: np.ndarray, q: object, what: str) -> np.ndarray:
    if not np.isfinite(value).all():
        raise ArgumentError(f"{what} is not finite at q = {show(q)}: the function overflows or is undefined there")
    return value


def _rows(points: int, order: int) -> int:
    """How many rows of nodes fit in memory at once."""
    return max(1, _CHUNK // ((_UNIFORM.size + points * _OFFSETS.size) * order))


def expect(f: Function, q: float | np.ndarray, kinks: tuple[float, ...] = (), order: int = 16) -> float | np.ndarray:
    """Return E[f(h)] for h = sqrt(q) z, z ~ N(0, 1).

    Parameters: ``f`` maps an array to an array of its shape; ``q`` >= 0 is the variance, any shape (...); ``kinks``
    are the points where f or one of its derivatives jumps (a jump that is not named costs digits); ``order`` is the
    number of Gauss-Legendre nodes a panel. Returns the expectation with the shape of ``q``. About 1e-14 relative
    for piecewise smooth f whose scale is of order one, for q from 0 to 1e8. Raises ArgumentError if q is negative
    or if f is not finite.

    >>> round(expect(lambda h: np.maximum(h, 0) ** 2, 3.0, kinks=(0.0,)), 12)
    1.5
    """
    q = check_array("q", q, low=0.0)
    flat = q.reshape(-1)
    root = np.sqrt(flat)
    safe = np.where(root > 0, root, 1.0)
    points = np.array(sorted({0.0, *map(float, kinks)}))
    out = np.empty_like(flat)
    rows = _rows(points.size, order)
    for i in range(0, flat.size, rows):
        part = slice(i, i + rows)
        length = 1.0 / safe[part]
        z, w = _rule(_edges(points * length[:, None], length), order)
        # A far tail can overflow (h^4 cannot, exp(h^2) can); there the expectation itself is infinite.
        with np.errstate(all="ignore"):
            out[part] = np.sum(w * _call(f, root[part, None] * z), axis=-1)
    out = _finite(out, q, "E[f(sqrt(q) z)]").reshape(q.shape)
    return out if q.ndim else float(out)


def nodes(q: float, kinks: tuple[float, ...] = (), order: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes z and weights w, each (n,), with which :func:`expect` averages over z ~ N(0, 1) at one ``q``.

    For sums over several functions of the same h = sqrt(q) z: E[f(h)] = sum w f(sqrt(q) z).

    >>> z, w = nodes(2.0, kinks=(0.0,))
    >>> round(float(np.sum(w * np.abs(z))), 12) == round((2 / np.pi) ** 0.5, 12)
    True
    """
    q = check_number("q", q, low=0.0)
    length = 1.0 / np.sqrt(q) if q > 0 else 1.0
    points = np.array(sorted({0.0, *map(float, kinks)}))
    return _rule(_edges(points * length, np.array(length)), order)


def expect2(
    f: Function,
    g: Function,
    q: float,
    c: float,
    q2: float | None = None,
    kinks: tuple[float, ...] = (),
    order: int = 12,
) -> float:
    """Return E[f(u) g(v)] for u = sqrt(q) z1 and v = sqrt(q2) (c z1 + sqrt(1 - c^2) z2).

    Parameters: ``q``, ``q2`` >= 0 variances (q2 defaults to q), ``c`` in [-1, 1] the correlation of u and v,
    ``kinks`` the points where f or g (or a derivative) jumps. Returns a float. The inner integral over z2 moves its
    panels with z1, so it stays exact at kinks of g; seen from outside, g is smoothed over a width sqrt(1 - c^2),
    which the outer panels resolve. Raises ArgumentError for a variance or a correlation out of range.

    >>> round(expect2(lambda u: u, lambda v: v, q=2.0, c=0.25), 12)
    0.5
    """
    q = check_number("q", q, low=0.0)
    q2 = q if q2 is None else check_number("q2", q2, low=0.0)
    c = check_number("c", c, low=-1.0, high=1.0)
    if c in (-1.0, 1.0):
        ratio = c * np.sqrt(q2 / q) if q > 0 else 0.0
        extra = tuple(k / ratio for k in kinks) if ratio else ()
        return float(expect(lambda u: _call(f, u, "f") * _call(g, ratio * u, "g"), q, kinks=tuple(kinks) + extra))
    root1, root2 = np.sqrt(q), np.sqrt(q2)
    rest = np.sqrt((1.0 - c) * (1.0 + c))
    points = np.array(sorted({0.0, *map(float, kinks)}))
    z1, w1 = _rule(_outer_edges(points, root1, root2, c, rest), order)
    length2 = 1.0 / (root2 * rest) if root2 > 0 else 1.0
    inner = np.empty_like(z1)
    rows = _rows(points.size, order)
    for i in range(0, z1.size, rows):
        a = c * z1[i : i + rows, None]
        crossing = (points / root2 - a) / rest if root2 > 0 else points - a
        z2, w2 = _rule(_edges(crossing, np.full(a.shape[0], length2)), order)
        with np.errstate(all="ignore"):
            inner[i : i + rows] = np.sum(w2 * _call(g, root2 * (a + rest * z2), "g"), axis=-1)
    with np.errstate(all="ignore"):
        total = np.sum(w1 * _call(f, root1 * z1, "f") * inner)
    return float(_finite(total, q, "E[f(u) g(v)]"))


def _outer_edges(points: np.ndarray, root1: float, root2: float, c: float, rest: float) -> np.ndarray:
    """Panels for z1: around f's own points, and around g's, where z1 carries v across them, at both of their scales."""
    length1 = 1.0 / root1 if root1 > 0 else 1.0
    edges = [_edges(points * length1, np.array(length1))]
    if c and root2 > 0:
        crossing = np.clip(points / (root2 * c), -2 * TAIL, 2 * TAIL)
        edges += [_edges(crossing, np.array(length)) for length in (1.0 / (root2 * abs(c)), rest / abs(c))]
    return np.unique(np.concatenate(edges))
