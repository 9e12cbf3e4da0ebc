"""A spectrum of J J^T for the eye: its density at some hundred points, without tables or requests.

:class:`ortholab.theory.spectrum.JacobianSpectrum` answers any request to many digits, and for that it finds all bands
and tabulates them. A picture needs less. The density lives on the curve arg lambda(x) = 0 of s_transform.py, which has
one point for each modulus |x|: take moduli, solve for their angles, and read off (log lambda, density). Each point is
as exact as the spectrum's own.

Source: Pennington, Schoenholz, Ganguli 2017 (arXiv 1711.04735) for the spectrum; the curve is this book's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ortholab.errors import bad, check_choice, check_int, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.s_transform import FLOOR, LayerPlane, angle, outer_edge
from ortholab.theory.slopes import SlopeLaw
from ortholab.theory.spectrum import layer_atoms


@dataclass(frozen=True)
class Trace:
    """Points of a spectrum, from low to high: ``log_lambda`` and ``density`` of log lambda, each (n,).

    Between two bands the density is 0. ``atoms`` lists (log lambda, mass), -inf for an atom at 0; the density does not
    hold them. ``log_max`` = log of the largest lambda, atoms counted. ``sigma_w`` is the critical one.
    ``relative_variance`` = Var(lambda) / E[lambda]^2, in closed form.

    >>> found = trace_spectrum("tanh", 8, q=0.25)
    >>> bool((found.log_lambda[1:] >= found.log_lambda[:-1]).all()), bool((found.density >= 0).all())
    (True, True)
    """

    log_lambda: np.ndarray
    density: np.ndarray
    atoms: tuple[tuple[float, float], ...]
    log_max: float
    sigma_w: float
    relative_variance: float


def trace_spectrum(
    activation: str | Activation, depth: int, *, q: float = 1.0, weights: str = "orthogonal", lowest: float = -20.0
) -> Trace:
    """Trace the critical spectrum (chi = 1) of ``depth`` >= 2 layers at variance ``q``, above log lambda = ``lowest``.

    Parts of the density below 1e-5 of its peak are left out. Raises ArgumentError as
    :class:`~ortholab.theory.spectrum.JacobianSpectrum`, and for a depth of 1, where orthogonal weights leave the law of
    phi'^2 itself and no curve. Holds for N -> infinity; source arXiv 1711.04735.

    >>> round(float(np.exp(trace_spectrum("relu", 8).log_max / 2)), 2)
    4.51
    """
    activation, depth = get_activation(activation), check_int("depth", depth, 2)
    orthogonal = check_choice("weights", weights, ("orthogonal", "gaussian")) == "orthogonal"
    lowest = check_number("lowest", lowest, low=-600.0, high=-1.0)
    law = _law(activation, check_number("q", q, low=0.0))
    mean = law.mean()
    if mean < 1e-250:
        raise bad("q", q, f"a variance at which phi' of {activation.name} does not vanish")
    log_gain = -float(np.log(mean))
    atoms = tuple(layer_atoms(law, depth, log_gain, orthogonal))
    spread = depth * (law.relative_variance() + (not orthogonal))
    place, density, top = np.empty(0), np.empty(0), -np.inf
    if spread > 1e-14:
        place, density, top = _follow(LayerPlane(law, depth, log_gain, orthogonal), lowest)
    log_max = max([top, *(where for where, _ in atoms)])
    return Trace(place, density, atoms, float(log_max), float(np.exp(0.5 * log_gain)), float(spread))


@lru_cache(maxsize=8)
def _law(activation: Activation, q: float) -> SlopeLaw:
    """Kept while the depth changes: most of the work is in the panels that it has grown."""
    return SlopeLaw(activation, q)


_POINTS, _CHUNK = 64, 32
_FAINT = 1e-5  # of the peak


def _follow(plane: LayerPlane, lowest: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Go down the curve from its top edge; where small angles are dear, stop as soon as nothing more can be seen."""
    top = outer_edge(plane, True, nearest=1e-7, count=60, rounds=9)
    dear = plane.law.continuous
    log_r, log_lambda, density = [top], [], [0.0]
    log_lambda.append(float(plane.image(np.array([top]), np.full(1, FLOOR)).log_lambda[0]))
    # Square roots at the edge want points that crowd there, powers far below want them by factors.
    steps = np.geomspace(1e-4, 1.2 * max(log_lambda[0] - lowest, 1.0), _POINTS)
    for i in range(0, _POINTS, _CHUNK):
        part = _points(plane, top - steps[i : i + _CHUNK])
        for known, new in zip((log_r, log_lambda, density), part, strict=True):
            known.extend(new.tolist())
        peak = max(density)
        if log_lambda[-1] < lowest or (dear and peak > 0 and density[-1] < _FAINT * peak):
            break
    columns = np.array([log_r, log_lambda, density])
    if not dear:
        columns = _sharpen(plane, columns)
    _, place, height = columns[:, np.argsort(columns[0])]
    seen = np.flatnonzero((height > _FAINT * height.max()) & (place > lowest))
    if not seen.size:
        return np.empty(0), np.empty(0), -np.inf
    first, last = max(seen[0] - 1, 0), min(seen[-1] + 1, place.size - 1)
    return place[first : last + 1], height[first : last + 1], float(place[last])


def _points(plane: LayerPlane, log_r: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    theta = angle(plane, log_r)
    image = plane.image(log_r, np.maximum(theta, FLOOR))
    return log_r, image.log_lambda, np.where(theta > 2 * FLOOR, image.weight, 0.0)


def _sharpen(plane: LayerPlane, columns: np.ndarray) -> np.ndarray:
    """Bisect to each end of a band below the top (under an atom), and add points that crowd towards it."""
    order = np.argsort(columns[0])
    columns = columns[:, order]
    on = columns[2] > 0
    added = [columns]
    for i in np.flatnonzero(on[1:] != on[:-1]):
        if i == on.size - 2:  # the top edge is known, and the steps crowd there already
            continue
        off, inside = (columns[0, i + 1], columns[0, i]) if on[i] else (columns[0, i], columns[0, i + 1])
        for _ in range(3):
            cuts = np.linspace(off, inside, 17)
            first = int(np.argmax(np.append(angle(plane, cuts[1:-1]) > 2 * FLOOR, True)))
            off, inside = cuts[first], cuts[first + 1]
        width = columns[0, max(i - 1, 0)] - off if on[i] else columns[0, min(i + 2, on.size - 1)] - off
        added.append(np.array(_points(plane, off + width * (np.arange(0, 12) / 12) ** 2)))
    return np.concatenate(added, axis=1)
