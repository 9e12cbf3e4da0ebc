"""Activation functions with what mean-field theory needs of them: phi, phi', kinks, moments.

Built in: linear, ReLU, hard-tanh, tanh, erf, GELU, SiLU. :func:`own_activation` takes any other function.

Source: Pennington, Schoenholz, Ganguli 2017 (arXiv 1711.04735) for the moments that its theory needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ortholab._scipy import special
from ortholab.errors import ArgumentError, bad, check_int, show
from ortholab.theory.gaussian import expect

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Activation:
    """A pointwise non-linearity phi with its derivative.

    ``kinks`` are the points where phi' jumps; phi must be smooth elsewhere. ``degree_one`` says that
    phi(a x) = a phi(x) for a > 0 (linear, ReLU): then V(q) = E[phi(sqrt(q) z)^2] is proportional to q, and a fixed
    point q* exists either at every q, at one point, or not at all. ``closed`` may hold closed forms, by name:
    ``"square"``: q -> E[phi^2], ``"slope"``: (q, k) -> E[|phi'|^(2k)], used instead of quadrature.

    >>> TANH.mean_square(0.0), RELU.mean_square(2.0)
    (0.0, 1.0)
    """

    name: str
    phi: Function
    dphi: Function
    kinks: tuple[float, ...] = ()
    degree_one: bool = False
    latex: str = ""
    closed: dict[str, Callable] = field(default_factory=dict, compare=False, repr=False)

    def mean_square(self, q: float | np.ndarray) -> float | np.ndarray:
        """E[phi(h)^2], h ~ N(0, q): the V(q) of equation (2), with the shape of ``q``."""
        return self._moment("square", lambda h: self.phi(h) ** 2, q)

    def slope_moment(self, q: float | np.ndarray, k: int = 1) -> float | np.ndarray:
        """mu_k = E[phi'(h)^(2k)], h ~ N(0, q), with the shape of ``q``; equation (4) uses k = 1."""
        k = check_int("k", k, 1)
        return self._moment("slope", lambda h: np.abs(self.dphi(h)) ** (2 * k), q, k)

    def mean_square_slope(self, q: float) -> float:
        """dV/dq = E[z phi(sqrt(q) z) phi'(sqrt(q) z)] / sqrt(q), a float; at q = 0 the limit from above."""
        q = max(float(q), 1e-14)
        return float(expect(lambda h: h * self.phi(h) * self.dphi(h), q, kinks=self.kinks)) / q

    def at_zero(self) -> float:
        """phi(0), a float."""
        return float(self.phi(np.zeros(1))[0])

    def _moment(self, key: str, f: Function, q: float | np.ndarray, *args: int) -> float | np.ndarray:
        if key not in self.closed:
            return expect(f, q, kinks=self.kinks)
        expect(np.ones_like, q)  # refuses a bad q in the same words
        value = self.closed[key](np.asarray(q, dtype=np.float64), *args)
        return value if np.ndim(q) else float(value)


def _erf_square(q: np.ndarray) -> np.ndarray:
    return 2 / np.pi * np.arcsin(np.pi * q / (2 + np.pi * q))


def _hard_tanh_square(q: np.ndarray) -> np.ndarray:
    # E[h^2; |h| < 1] + P(|h| > 1). Below q = 1e-3 the wall is 30 standard deviations away.
    root = np.sqrt(np.maximum(q, 1e-3))
    inside = special.erf(1 / (np.sqrt(2) * root))
    value = q * inside - np.sqrt(2 * q / np.pi) * np.exp(-0.5 / root**2) + special.erfc(1 / (np.sqrt(2) * root))
    return np.where(q > 1e-3, value, q)


def _hard_tanh_slope(q: np.ndarray, k: int) -> np.ndarray:
    return special.erf(1 / np.sqrt(2 * np.maximum(q, 1e-6)))


def _sigmoid_weighted_slope(x: np.ndarray) -> np.ndarray:
    s = special.expit(x)
    return s * (1 + x * (1 - s))


LINEAR = Activation(
    "linear",
    lambda x: np.asarray(x, dtype=np.float64) * 1.0,
    lambda x: np.ones_like(x, dtype=np.float64),
    degree_one=True,
    latex=r"\phi(x) = x",
    closed={"square": lambda q: q * 1.0, "slope": lambda q, k: np.ones_like(q)},
)
RELU = Activation(
    "relu",
    lambda x: np.maximum(x, 0.0),
    lambda x: (np.asarray(x) > 0).astype(np.float64),
    kinks=(0.0,),
    degree_one=True,
    latex=r"\phi(x) = \max(x, 0)",
    closed={"square": lambda q: q / 2, "slope": lambda q, k: np.full_like(q, 0.5)},
)
HARD_TANH = Activation(
    "hard_tanh",
    lambda x: np.clip(x, -1.0, 1.0),
    lambda x: (np.abs(x) < 1).astype(np.float64),
    kinks=(-1.0, 1.0),
    latex=r"\phi(x) = \min(1, \max(-1, x))",
    closed={"square": _hard_tanh_square, "slope": _hard_tanh_slope},
)
TANH = Activation("tanh", np.tanh, lambda x: 1.0 - np.tanh(x) ** 2, latex=r"\phi(x) = \tanh x")
ERF = Activation(
    "erf",
    lambda x: special.erf(np.sqrt(np.pi) / 2 * x),
    lambda x: np.exp(-np.pi / 4 * np.square(x)),
    latex=r"\phi(x) = \operatorname{erf}(\tfrac{\sqrt\pi}{2} x)",
    closed={"square": _erf_square, "slope": lambda q, k: 1 / np.sqrt(1 + k * np.pi * q)},
)
GELU = Activation(
    "gelu",
    lambda x: x * special.ndtr(x),
    lambda x: special.ndtr(x) + x * np.exp(-0.5 * np.square(x)) / np.sqrt(2 * np.pi),
    latex=r"\phi(x) = x\,\Phi(x)",
)
SILU = Activation("silu", lambda x: x * special.expit(x), _sigmoid_weighted_slope, latex=r"\phi(x) = x / (1 + e^{-x})")

ACTIVATIONS = {a.name: a for a in (LINEAR, RELU, HARD_TANH, TANH, ERF, GELU, SILU)}


def get_activation(activation: str | Activation) -> Activation:
    """Return the activation of this name; an :class:`Activation` passes through.

    Raises ArgumentError, with the known names, for any other.

    >>> get_activation("tanh") is TANH
    True
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation.lower() in ACTIVATIONS:
        return ACTIVATIONS[activation.lower()]
    known = ", ".join(map(repr, ACTIVATIONS))
    raise bad("activation", activation, f"one of {known}, or an Activation (make your own with own_activation)")


def own_activation(
    name: str, phi: Function, dphi: Function | None = None, kinks: tuple[float, ...] = (), degree_one: bool = False
) -> Activation:
    """Make an activation from the reader's own function.

    ``phi`` maps an array to an array of its shape. Without ``dphi`` the derivative is an eighth-order central
    difference that never steps across a kink (about 1e-12 for functions that vary over lengths of order one).
    ``kinks`` must name every point in [-8, 8] where phi' jumps. Raises ArgumentError if phi is not finite or changes
    shape, if dphi is not its derivative, or if a kink is missing; the message names the place.

    >>> softsign = own_activation("softsign", lambda x: x / (1 + abs(x)), kinks=(0.0,))
    >>> round(softsign.slope_moment(1.0), 6)
    0.227671
    """
    if not callable(phi):
        raise bad("phi", phi, "a function of an array")
    try:
        places = tuple(sorted(float(k) for k in kinks))
    except (TypeError, ValueError):
        raise bad("kinks", kinks, "a tuple of numbers") from None
    if not np.isfinite(places).all():
        raise bad("kinks", kinks, "a tuple of finite numbers")
    slope = dphi if dphi is not None else _difference(phi, np.array(places))
    made = Activation(str(name), phi, slope, kinks=places, degree_one=degree_one)
    _verify(made)
    return made


# Weights of the eighth-order central difference at offsets 1, 2, 3, 4.
_STENCIL = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))


def _difference(phi: Function, kinks: np.ndarray) -> Function:
    def derivative(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        step = np.full_like(x, 2.0**-6)
        if kinks.size:
            room = np.min(np.abs(x[..., None] - kinks), axis=-1)
            step = np.clip(room / 4.5, 1e-7, step)
        return sum(w * (phi(x + j * step) - phi(x - j * step)) for j, w in _STENCIL) / step

    return derivative


def _verify(activation: Activation) -> None:
    """Check on [-8, 8] that phi is finite and that dphi integrates to it between the kinks that were named."""
    name, kinks = activation.name, np.array(activation.kinks)
    # Edges that no one's kink is likely to hit; a jump of phi' inside a panel spoils that panel's integral.
    edges = np.unique(np.concatenate([np.arange(-8.0, 8.0, 0.25) + 0.0371, kinks[np.abs(kinks) < 8]]))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    x = middle[:, None] + half[:, None] * nodes
    try:
        with np.errstate(all="ignore"):
            ends, inside, slope = (
                np.asarray(f(v), dtype=float)
                for f, v in ((activation.phi, edges), (activation.phi, x), (activation.dphi, x))
            )
    except Exception as error:
        raise ArgumentError(f"phi of activation {name!r} fails on an array: {show(error)}") from error
    if ends.shape != edges.shape or slope.shape != x.shape or inside.shape != x.shape:
        raise ArgumentError(f"phi of activation {name!r} must return an array of its argument's shape")
    finite = np.isfinite(inside).all(axis=1) & np.isfinite(slope).all(axis=1) & np.isfinite(ends[1:])
    if not finite.all():
        raise ArgumentError(f"phi of activation {name!r} is not finite near x = {middle[~finite][0]:.3g}")
    gap = np.abs(np.diff(ends) - half * (slope @ weights))
    wrong = gap > 1e-7 * max(1.0, np.max(np.abs(slope)))
    if wrong.any():
        raise ArgumentError(
            f"activation {name!r}: the derivative does not integrate to phi near "
            f"x = {middle[np.argmax(gap)]:.3g}; name a kink there in kinks=, or mend dphi"
        )
