"""The spectrum of J J^T at infinite width, for Gaussian and orthogonal weights, any depth and any activation.

J = D_L W_L ... D_1 W_1 with D_l = diag phi'(h), h ~ N(0, q). As the width goes to infinity at fixed depth the factors
are free, and the law of lambda = s^2 (s the singular values of J) follows from the law of phi'^2 alone: equations
(6), (7) and all that lies between. Source: Pennington, Schoenholz, Ganguli 2017 (arXiv 1711.04735) for the
S-transform; the solution along a curve, in s_transform.py, is what keeps it right at every depth.
"""

from __future__ import annotations

import numpy as np

from ortholab.errors import ArgumentError, NoFixedPointError, bad, check_array, check_choice, check_int, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.curve import Curve
from ortholab.theory.free_moments import free_moments
from ortholab.theory.mean_field import q_star
from ortholab.theory.one_layer import OneLayer
from ortholab.theory.s_transform import LayerPlane
from ortholab.theory.slopes import SlopeLaw

_MAX_LOG = 700.0


class Spectrum:
    """A law of lambda >= 0: a continuous part on bands and atoms. Made by JacobianSpectrum and UniversalSpectrum.

    ``log_atoms``: list of (log location, mass), -inf for an atom at 0. ``log_edges`` = (log lambda_min, log
    lambda_max) of the whole support, atoms counted.
    """

    def __init__(self, part: Curve | OneLayer, log_atoms: list[tuple[float, float]], log_mean: float):
        self._part, self.log_atoms, self.log_mean = part, log_atoms, log_mean
        ends = [e for band in part.log_bands for e in band] + [a for a, _ in log_atoms]
        self.log_edges = (min(ends), max(ends))

    def _exp(self, value: float, what: str) -> float:
        if value > _MAX_LOG:
            raise ArgumentError(f"{what} = exp({value:.6g}) overflows; use log_{what}")
        return float(np.exp(value))

    @property
    def atoms(self) -> list[tuple[float, float]]:
        """The atoms as (location of lambda, mass), ascending; [] if there are none."""
        return [(self._exp(place, "atoms"), mass) for place, mass in self.log_atoms]

    @property
    def continuous_mass(self) -> float:
        """Mass of the continuous part: 1 minus the atoms."""
        return self._part.mass

    @property
    def bands(self) -> list[tuple[float, float]]:
        """The intervals of lambda that carry the continuous part, ascending: its exact edges, atoms not counted."""
        return [(self._exp(a, "bands"), self._exp(b, "bands")) for a, b in self._part.log_bands]

    @property
    def log_bands(self) -> list[tuple[float, float]]:
        """The bands as intervals of log lambda; the lowest may begin at -inf."""
        return list(self._part.log_bands)

    @property
    def edges(self) -> tuple[float, float]:
        """(lambda_min, lambda_max) of the whole support, atoms counted."""
        return self.lambda_min, self.lambda_max

    @property
    def lambda_min(self) -> float:
        """The smallest lambda of the support (0 if it reaches 0, even with next to no mass: see quantile)."""
        return self._exp(self.log_edges[0], "edges")

    @property
    def lambda_max(self) -> float:
        """The largest lambda of the support, an atom at the top counted."""
        return self._exp(self.log_edges[1], "edges")

    @property
    def s_min(self) -> float:
        """sqrt(lambda_min)."""
        return self._exp(0.5 * self.log_edges[0], "edges")

    @property
    def s_max(self) -> float:
        """sqrt(lambda_max), the largest singular value of J."""
        return self._exp(0.5 * self.log_edges[1], "edges")

    @property
    def mean(self) -> float:
        """E[lambda]."""
        return self._exp(self.log_mean, "mean")

    def density_of_log(self, log_lambda: np.ndarray | float) -> np.ndarray:
        """Density of log lambda at ``log_lambda``, any shape: -Im m / pi. Atoms are not in it; 0 off the bands."""
        points = check_array("log_lambda", log_lambda)
        return self._part.density_of_log(points.reshape(-1)).reshape(points.shape)

    def density(self, lam: np.ndarray | float) -> np.ndarray:
        """Density of lambda at ``lam`` > 0, any shape. Atoms are not in it."""
        lam = check_array("lam", lam)
        if lam.size and lam.min() <= 0:
            raise ArgumentError(f"lam must be positive (the density may be infinite at 0); got {lam.min():g}")
        return self.density_of_log(np.log(lam)) / lam

    def density_of_s(self, s: np.ndarray | float) -> np.ndarray:
        """Density of s = sqrt(lambda), the singular values of J, at ``s`` > 0, any shape. Atoms are not in it."""
        s = check_array("s", s)
        if s.size and s.min() <= 0:
            raise ArgumentError(f"s must be positive (the density may be infinite at 0); got {s.min():g}")
        return 2 * self.density_of_log(2 * np.log(s)) / s

    def cdf_of_log(self, log_lambda: np.ndarray | float) -> np.ndarray:
        """P(log lambda' <= log_lambda), atoms counted, any shape; -inf is allowed and gives the atom at 0."""
        points = np.maximum(np.asarray(log_lambda, dtype=np.float64), -1e300)  # -inf: the atom at 0
        if np.isnan(points).any():
            raise ArgumentError("log_lambda must not be NaN")
        below = self._part.cdf_of_log(points.reshape(-1)).reshape(points.shape)
        # An atom counts from the last digit below it on, so that cdf(location of the atom) has it.
        return below + sum(m * (points >= place - 1e-14 * max(1.0, abs(place))) for place, m in self._finite_atoms())

    def _finite_atoms(self) -> list[tuple[float, float]]:
        """The atoms with -inf replaced by a number that comparisons can be made with."""
        return [(max(place, -1e300), mass) for place, mass in self.log_atoms]

    def cdf(self, lam: np.ndarray | float) -> np.ndarray:
        """P(lambda' <= lam), atoms counted, any shape."""
        lam = check_array("lam", lam)
        with np.errstate(divide="ignore"):
            return np.where(lam >= 0, self.cdf_of_log(np.log(np.maximum(lam, 0.0))), 0.0)

    def cdf_of_s(self, s: np.ndarray | float) -> np.ndarray:
        """P(s' <= s), atoms counted, any shape."""
        s = check_array("s", s)
        with np.errstate(divide="ignore"):
            return np.where(s >= 0, self.cdf_of_log(2 * np.log(np.maximum(s, 0.0))), 0.0)

    def log_quantile(self, u: np.ndarray | float) -> np.ndarray:
        """log of the smallest lambda with P(lambda' <= lambda) >= u, any shape; -inf is an atom at 0."""
        u = check_array("u", u, low=0.0, high=1.0)
        flat = u.reshape(-1)
        events = sorted(self.log_atoms)
        out = np.full(flat.shape, np.nan)
        below = np.zeros(flat.shape)  # atoms' mass that lies below the answer
        for place, mass in events:
            before = float(self._part.cdf_of_log(np.array([place]))[0]) + sum(m for a, m in events if a < place)
            # Rounding must not leave u = 1 above the topmost atom.
            after = before + mass if place < self.log_edges[1] else 2.0
            out = np.where((flat > before) & (flat <= after), place, out)
            below = below + mass * (flat > after)
        rest = np.isnan(out)
        if rest.any():
            out[rest] = self._part.log_quantile((flat - below)[rest])
        return out.reshape(u.shape)

    def quantile(self, u: np.ndarray | float) -> np.ndarray:
        """The smallest lambda with P(lambda' <= lambda) >= u; quantile(rng.random(n)) samples the spectrum."""
        return np.exp(self.log_quantile(u))

    def expect(self, f) -> float:
        """E[f(log lambda)] by quadrature of the density plus the atoms; f maps an array, -inf included, to an array.

        The density is integrated in log |x| along the curve, where both its edges and its tail at 0 are smooth.
        """
        place, weight = self._part.nodes()
        total = float(np.sum(weight * f(place))) if place.size else 0.0
        for where, mass in self.log_atoms:
            total += mass * float(np.asarray(f(np.array([where])))[0])
        return total


def layer_atoms(law: SlopeLaw, depth: int, log_gain: float, orthogonal: bool) -> list[tuple[float, float]]:
    """Atoms (log lambda, mass) of the product: one at a^L of mass 1 - L P(D != a), and the largest of those at 0."""
    atoms = []
    for value, mass in zip(law.atoms, law.masses, strict=True):
        # 1 - mass would lose the digits of a small probability: add up the others instead.
        missing = law.masses[law.atoms != value].sum() + law.continuous_mass
        if value == 0:
            atoms.append((-np.inf, float(mass)))
        elif orthogonal and 1 - depth * missing > 0:
            atoms.append((depth * (log_gain + float(np.log(value))), float(1 - depth * missing)))
    return atoms


class JacobianSpectrum(Spectrum):
    """The law of lambda = s^2, s the singular values of the Jacobian of ``depth`` random layers, at infinite width.

    Parameters: ``activation``; ``depth`` L >= 1; ``weights`` "orthogonal" (sigma_w times Haar) or "gaussian"
    (variance sigma_w^2/N). The point: ``q`` alone is the critical one, sigma_w^2 = 1/E[phi'^2]; ``sigma_w`` (and
    ``sigma_b``) alone takes q = q*; both ``q`` and ``sigma_w`` is any point, critical or not. Linear and ReLU need
    no q. With chi = sigma_w^2 mu_1 and mu_k = E[phi'^(2k)]:

        mean chi^L,   variance / mean^2 = L (mu_2/mu_1^2 - 1)  [+ L for Gaussian weights].

    Everything else is documented at :class:`Spectrum`. Holds for N -> infinity at fixed L (in practice N >> L).
    Raises ArgumentError for bad arguments, NoFixedPointError where q* does not exist or is not unique, and
    ArgumentError where the spectrum's mass cannot be resolved. Source: arXiv 1711.04735; equations (5)-(7).

    >>> isometric = JacobianSpectrum("tanh", 8, q=1 / 64)
    >>> round(isometric.s_max, 3), round(isometric.variance, 3)
    (1.082, 0.014)
    """

    def __init__(
        self,
        activation: str | Activation,
        depth: int,
        *,
        q: float | None = None,
        sigma_w: float | None = None,
        sigma_b: float | None = None,
        weights: str = "orthogonal",
    ):
        self.activation = get_activation(activation)
        self.depth = check_int("depth", depth, 1)
        self.weights = check_choice("weights", weights, ("orthogonal", "gaussian"))
        self.q = self._variance(q, sigma_w, sigma_b)
        self.law = SlopeLaw(self.activation, self.q)
        mu1 = self.law.mean()
        if mu1 < 1e-250:
            raise NoFixedPointError(f"{self.activation.name} at q = {self.q:g}: phi' vanishes, and J with it")
        self.sigma_w = mu1**-0.5 if sigma_w is None else check_number("sigma_w", sigma_w, low=0.0, open_low=True)
        log_gain = 2 * np.log(self.sigma_w)
        log_mean = self.depth * (log_gain + np.log(mu1))
        orthogonal = self.weights == "orthogonal"
        if orthogonal and self.depth == 1:
            part: Curve | OneLayer = OneLayer(self.law, log_gain)
        else:
            spread = self.depth * (self.law.relative_variance() + (not orthogonal))
            part = Curve(LayerPlane(self.law, self.depth, log_gain, orthogonal), 2 * log_mean + np.log1p(spread))
        super().__init__(part, layer_atoms(self.law, self.depth, log_gain, orthogonal), float(log_mean))
        total = part.mass + sum(mass for _, mass in self.log_atoms)
        if not abs(total - 1) < 1e-9:
            raise ArgumentError(
                f"the spectrum of {self.activation.name} at depth = {self.depth}, q = {self.q:g} is outside what this "
                f"method resolves: its mass sums to {total:.12g}, not to 1"
            )

    def _variance(self, q: float | None, sigma_w: float | None, sigma_b: float | None) -> float:
        if q is not None:
            if sigma_b is not None:
                raise bad("sigma_b", sigma_b, "left out when q is given (q is then not the fixed point's)")
            return check_number("q", q, low=0.0)
        if self.activation.degree_one:
            if sigma_b is not None:
                check_number("sigma_b", sigma_b, low=0.0)
            return 1.0  # the law of phi'(h) is the same for every q > 0
        if sigma_w is None:
            raise bad("q", None, "given, or sigma_w (with sigma_b), whose fixed point q* is then used")
        return q_star(self.activation, sigma_w, 0.0 if sigma_b is None else sigma_b)

    def __repr__(self) -> str:
        return (
            f"JacobianSpectrum({self.activation.name!r}, depth={self.depth}, q={self.q:.6g}, "
            f"sigma_w={self.sigma_w:.6g}, weights={self.weights!r})"
        )

    @property
    def chi(self) -> float:
        """chi = sigma_w^2 E[phi'^2]: the mean for one layer; 1 at a critical point."""
        return float(np.exp(self.log_mean / self.depth))

    @property
    def relative_variance(self) -> float:
        """Var(lambda) / E[lambda]^2 = L (mu_2/mu_1^2 - 1), plus L for Gaussian weights."""
        return self.depth * (self.law.relative_variance() + (self.weights == "gaussian"))

    @property
    def variance(self) -> float:
        """Var(lambda), in closed form."""
        return self.relative_variance * self._exp(2 * self.log_mean, "mean")

    def moment(self, k: int) -> float:
        """E[lambda^k] for k >= 1, from the series of the S-transform by Lagrange inversion; see free_moments."""
        k = check_int("k", k, 1)
        mu1 = self.law.mean()
        slopes = np.array([self.law.mean(j) / mu1**j for j in range(1, k + 1)])
        return free_moments(slopes, self.depth, self.weights == "gaussian")[-1] * self._exp(k * self.log_mean, "mean")
