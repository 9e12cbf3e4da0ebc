"""A start for a given depth: the critical point at which the spectrum of J J^T is as narrow as one asks for.

Source: Pennington, Schoenholz, Ganguli 2017 (arXiv 1711.04735).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab._scipy import optimize
from ortholab.errors import NoFixedPointError, check_int, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.critical import CriticalPoint, critical_at

_GRID = np.geomspace(1e-6, 50.0, 161)
_FLAT = 1e-3  # spreads that differ by less than this share are one: the larger q is kept


@dataclass(frozen=True)
class IsometricStart:
    """A critical point for ``depth`` layers: ``sigma_w``, ``sigma_b``, its ``q``, and the ``spread`` that it gives.

    ``spread`` = L (mu_2 / mu_1^2 - 1) is the variance of the spectrum of J J^T for orthogonal weights, whose mean is 1.
    ``isometric`` says whether it is as small as was asked for; for ReLU, say, it never is: it is L.

    >>> isometric_start("relu", 10).isometric, isometric_start("tanh", 10).isometric
    (False, True)
    """

    activation: str
    depth: int
    sigma_w: float
    sigma_b: float
    q: float
    spread: float
    isometric: bool


def relative_spread(activation: str | Activation, q: float) -> float:
    """Return mu_2 / mu_1^2 - 1, the variance of phi'(h)^2 over its squared mean, h ~ N(0, q).

    Raises ArgumentError. Source: Pennington et al. 2018 (arXiv 1802.09979), the variance that a layer adds.

    >>> relative_spread("relu", 1.0), relative_spread("linear", 1.0)
    (1.0, 0.0)
    """
    activation = get_activation(activation)
    mean = activation.slope_moment(q)
    return max(0.0, float(activation.slope_moment(q, 2) / mean**2 - 1)) if mean > 0 else np.inf


def isometric_start(activation: str | Activation, depth: int, spread: float = 0.25) -> IsometricStart:
    """Return the critical point at which ``depth`` orthogonal layers have spread L (mu_2/mu_1^2 - 1) = ``spread``.

    Both conditions of criticality are linear in (sigma_w^2, sigma_b^2) once q is chosen (:func:`critical_at`); this
    chooses q. For tanh mu_2/mu_1^2 - 1 = 8 q^2 + O(q^3), so q = sqrt(spread / 8 L): about 1/sqrt(L), and for
    hard-tanh about 1/log L. Where no q is good enough (ReLU, SELU, sigmoid) the critical point of least spread is
    returned, with ``isometric`` False. Infinite width; the input of the first layer must bring q^1 near q.
    Raises ArgumentError, and NoFixedPointError where the activation has no critical point at all.

    >>> start = isometric_start("tanh", 200)
    >>> round(start.sigma_w, 3), round(start.sigma_b, 5), round(start.q, 4), start.isometric
    (1.013, 0.00171, 0.0133, True)
    """
    activation = get_activation(activation)
    depth, spread = check_int("depth", depth, 1), check_number("spread", spread, low=0, open_low=True)
    if activation.degree_one:
        return _start(activation, depth, critical_at(activation, 1.0), spread)
    allowed = _allowed(activation)
    if not allowed:
        raise NoFixedPointError(f"{activation.name} has no critical point with q in [{_GRID[0]:g}, {_GRID[-1]:g}]")
    least = min(s for _, s in allowed)
    if depth * least > spread:
        q = max(q for q, s in allowed if s <= least * (1 + _FLAT))
    else:
        q = max(q for q, s in allowed if depth * s <= spread)
        wider = [(p, s) for p, s in allowed if p > q]
        if wider and depth * wider[0][1] > spread:
            q = optimize.brentq(lambda p: depth * relative_spread(activation, p) - spread, q, wider[0][0], rtol=1e-12)
    return _start(activation, depth, critical_at(activation, float(q)), spread)


def _start(activation: Activation, depth: int, point: CriticalPoint, wanted: float) -> IsometricStart:
    found = depth * relative_spread(activation, point.q)
    good = found <= wanted * (1 + 1e-6)
    return IsometricStart(activation.name, depth, point.sigma_w, point.sigma_b, point.q, found, good)


def _allowed(activation: Activation) -> list[tuple[float, float]]:
    """The q of the grid at which a critical point exists and the ends of that set, each with mu_2 / mu_1^2 - 1."""
    mean, second = activation.slope_moment(_GRID), activation.slope_moment(_GRID, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = _GRID - activation.mean_square(_GRID) / mean  # sigma_b^2, as in critical_at
        spread = np.maximum(second / mean**2 - 1, 0.0)
    good = (mean > 0) & (variance >= -1e-12 * np.maximum(_GRID, 1e-3)) & np.isfinite(spread)
    found = list(zip(_GRID[good].tolist(), spread[good].tolist(), strict=True))
    for i in np.flatnonzero(good[1:] != good[:-1]):  # an end of the critical line, where sigma_b = 0
        if mean[i] > 0 and mean[i + 1] > 0 and variance[i] * variance[i + 1] < 0:
            end = optimize.brentq(lambda q: q - activation.mean_square(q) / activation.slope_moment(q),
                                  _GRID[i], _GRID[i + 1], rtol=1e-12)  # fmt: skip
            found.append((float(end), relative_spread(activation, float(end))))
    return sorted(found)
