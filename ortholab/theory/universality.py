"""The two limits of infinitely deep isometric networks: L -> infinity at fixed sigma0^2 = L (mu_2/mu_1^2 - 1), chi = 1.

Orthogonal weights with q* -> 0 like 1/L. Only how phi'^2 approaches 1 is left of the activation (Pennington,
Schoenholz, Ganguli 2018, arXiv 1802.09979):

    smooth (tanh, erf, ...)            S = exp(-sigma0^2 m),             log lambda = log x + sigma0^2 / (x - 1),
    Bernoulli (hard-tanh and its like) S = exp(-sigma0^2 m / (1 + m)),   log lambda = log x + sigma0^2 / x,

with x = (1 + m)/m. They are curves of s_transform.py with nu one point mass, sigma0^2 at 1 or at 0; the second is
explicit: |x| = sigma0^2 sin(theta)/theta.

Source: Pennington, Schoenholz, Ganguli 2018 (arXiv 1802.09979).
"""

from __future__ import annotations

import numpy as np

from ortholab.errors import check_choice, check_number
from ortholab.theory.curve import Curve
from ortholab.theory.s_transform import Image
from ortholab.theory.spectrum import Spectrum


class _LimitPlane:
    """x -> log lambda for one of the two classes."""

    def __init__(self, sigma0: float, smooth_class: bool):
        self.square, self.pole = sigma0**2, 1.0 if smooth_class else 0.0
        self.smooth = (np.inf, -np.inf)
        self.spread = min(1e-2 * sigma0, 1e-2) if smooth_class else 1e-10
        self.centres = np.array([1.0] if smooth_class else [1.0, self.square])
        # Towards 0 the Bernoulli class has theta = pi - pi |x| / sigma0^2, which a double holds down to here; the mass
        # below is about |x|.
        self.lowest = -25.0
        # For the Bernoulli class d log lambda / d log x = 1 - sigma0^2 / x: beyond x = 0 there is no other support.
        self.bottom, self.top = (1.0, 1.0) if smooth_class else (0.0, 1e-3 * self.square)

    def image(self, log_r: np.ndarray, theta: np.ndarray, above: bool = False) -> Image:
        """Map x = exp(log_r + i theta)."""
        r, cos, sin = np.exp(log_r), np.cos(theta), np.sin(theta)
        x = r * (cos + 1j * sin)
        # |x - pole|^2 and |x - 1|^2 without the cancellation of r^2 + 1 - 2 r cos
        to_one = np.expm1(log_r) ** 2 + 4 * r * np.sin(0.5 * theta) ** 2
        to_pole = to_one if self.pole else r * r
        away = (np.expm1(log_r) - 2 * r * np.sin(0.5 * theta) ** 2 if self.pole else r * cos) + 1j * r * sin
        turn = self.square * r * sin / to_pole
        log_lambda = log_r + self.square * away.real / to_pole
        slope = 1 - self.square * x / away**2
        weight = r * sin / to_one / np.pi
        tail = None
        if above:
            arg = np.arctan2(r * sin, np.expm1(log_r) - 2 * r * np.sin(0.5 * theta) ** 2) - theta  # of 1 - 1/x
            if self.pole:
                tail = (arg + 0.5 * self.square * np.imag(away**-2)) / np.pi
            else:
                tail = ((1 - self.square) * arg + theta) / np.pi  # theta = V = sigma0^2 sin / r on the curve
        return Image(log_lambda, turn, slope, weight, tail)


class UniversalSpectrum(Spectrum):
    """The law of lambda in the limit L -> infinity at fixed ``sigma0``, for ``kind`` "smooth" or "bernoulli".

    Mean 1, variance sigma0^2. Edges: smooth lambda = x exp(sigma0^2/(x - 1)) at
    x = 1 + sigma0^2/2 -+ sigma0 sqrt(1 + sigma0^2/4); Bernoulli [0, e sigma0^2], and for sigma0 < 1 an atom of mass
    1 - sigma0^2 at exp(sigma0^2) above the band. See :class:`ortholab.theory.spectrum.Spectrum` for what it can do.
    Raises ArgumentError unless sigma0 > 0. Source: arXiv 1802.09979, and the module.

    >>> [round(UniversalSpectrum(1.0, "smooth").s_min, 4), round(UniversalSpectrum(1.0, "smooth").s_max, 4)]
    [0.2752, 2.2039]
    """

    def __init__(self, sigma0: float, kind: str = "smooth"):
        self.sigma0 = check_number("sigma0", sigma0, low=1e-3, high=30)
        self.kind = check_choice("kind", kind, ("smooth", "bernoulli"))
        square = self.sigma0**2
        atoms = []
        if kind == "bernoulli" and square < 1:
            atoms.append((square, 1 - square))
        self.variance = square
        part = Curve(_LimitPlane(self.sigma0, kind == "smooth"), float(np.log1p(square)))
        super().__init__(part, atoms, 0.0)

    def __repr__(self) -> str:
        return f"UniversalSpectrum(sigma0={self.sigma0:g}, kind={self.kind!r})"
