"""The variance map and the correlation map as cobwebs: how layer after layer walks to a fixed point."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.gallery._shared import phi_controls, pick
from ortholab.explore.markup import number
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import Activation, CorrelationSeries, PhasePlane

Q_TOP = 4.0
GRID_Q = np.linspace(0, Q_TOP, 81)
GRID_C = np.linspace(0, 1, 61)
STEPS = 12


@functools.lru_cache(maxsize=8)
def _averages(f: Activation) -> tuple[PhasePlane, np.ndarray]:
    return PhasePlane(f), f.mean_square(GRID_Q)


def staircase(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a cobweb through v_1, v_2, ...: up to the map, across to the diagonal, shape (2n - 1,)."""
    x = np.repeat(values[:-1], 2)
    y = np.repeat(values[1:], 2)
    return np.append(x, values[-1]), np.concatenate([[values[0]], y])


def compute(phi: str, formula: str, sigma_w: float, sigma_b: float, start_q: float, start_c: float) -> Picture:
    """Two maps with their diagonals, their fixed points and the staircases of twelve layers."""
    f = pick(phi, formula)
    plane, square = _averages(f)
    q_star = plane.polished(sigma_w, sigma_b)
    steps = np.empty(STEPS + 1)
    steps[0] = start_q
    for i in range(STEPS):
        steps[i + 1] = min(sigma_w**2 * f.mean_square(steps[i]) + sigma_b**2, plane.q_top)
    left = Panel("variance q", "next variance", title="variance map", xlim=(0, Q_TOP), ylim=(0, Q_TOP))
    left.line([0, Q_TOP], [0, Q_TOP], color="line", dashed=True)
    left.line(GRID_Q, sigma_w**2 * square + sigma_b**2, label="one layer")
    inside = steps[: max(2, int(np.argmax(np.append(steps > Q_TOP, True))) + 1)]
    left.trajectory(*staircase(inside))
    if np.isfinite(q_star) and q_star <= Q_TOP:
        left.points([q_star], [q_star], label="q^{*}", color="orthogonal")
    right, facts, words = _correlations(f, q_star, sigma_w, sigma_b, start_c)
    facts = {"q^{*}": q_star, f"q after {STEPS} layers": float(steps[-1])} | facts
    return Picture([left, right], _variance_words(q_star, float(steps[-1])) + words, facts)


def _variance_words(q_star: float, last: float) -> str:
    if q_star == 0:
        return f"The variance dies out: after {STEPS} layers it is {number(last)}. "
    if np.isfinite(q_star):
        return f"The variance goes to q^{{*}} = {q_star:.3f}; after {STEPS} layers it is {last:.3f}. "
    return f"No single q^{{*}} holds the variance: after {STEPS} layers it is {number(last)}. "


def _correlations(
    f: Activation, q: float, sigma_w: float, sigma_b: float, start: float
) -> tuple[Panel, dict[str, float | None], str]:
    panel = Panel("correlation c", "next correlation", title="correlation map", xlim=(0, 1), ylim=(0, 1))
    panel.line([0, 1], [0, 1], color="line", dashed=True)
    if f.degree_one and sigma_b == 0:
        q = 1.0
    if not np.isfinite(q) or q < 1e-9:
        return panel, {"χ": None, "c^{*}": None}, "There is no correlation map without a q^{*} above 0."
    series = CorrelationSeries(f, q, sigma_w, sigma_b)
    chi = sigma_w**2 * f.slope_moment(q)
    c_star = series.fixed_point(chi)
    panel.line(GRID_C, series(GRID_C), label="one layer")
    panel.trajectory(*staircase(series.trajectory(start, STEPS + 1)))
    panel.points([c_star], [c_star], label="c^{*}", color="orthogonal")
    word = "critical" if abs(chi - 1) < 0.005 else "chaotic" if chi > 1 else "ordered"
    return panel, {"χ": chi, "c^{*}": c_star}, f"At c = 1 the slope is χ = {chi:.3f}, {word}: c goes to {c_star:.3f}."


EXPLORABLE = Explorable(
    name="cobwebs",
    title="Layer after layer",
    question="Set σ_b = 0 and bring σ_w down to 1 (tanh). The staircase on the left walks to 0: does it get there "
    "like a power of a number, as it does at σ_w = 0.9? Then go back to σ_b = 0.3: at which σ_w does the "
    "end of the right staircase leave 1?",
    answer="No. At σ_w = 1 map and diagonal touch at 0 with one slope, and the steps get ever shorter: after 12 "
    "layers q is still 0.045, close to 1/(2l), and at σ_w = 0.9, where each layer takes off a fifth, it is "
    "0.009. At σ_b = 0.3 the end of the correlation leaves 1 between σ_w = 1.38 and 1.40, where the slope χ "
    "of its map at c = 1 passes 1.",
    caption="tanh at σ_w = 1.5, σ_b = 0.3. Up to the map, across to the diagonal: each corner is a layer. From q = "
    "3 the variance is at q^{*} = 0.961 after a few layers. The map of correlations hugs the diagonal (χ = "
    "1.061), and twelve layers leave the pair short of c^{*} = 0.767.",
    alt="Two squares with a diagonal, a curve and a staircase between them. Left: the staircase falls from 3 to "
    "the crossing near 1 in four steps. Right: curve and diagonal nearly coincide, and many small steps "
    "climb from 0.2.",
    controls=(
        *phi_controls(),
        Range("sigma_w", "σ_w", 0.5, 3.0, 1.5, count=126),
        Range("sigma_b", "σ_b", 0.0, 1.0, 0.3),
        Range("start_q", "first variance q", 0.0, 4.0, 3.0),
        Range("start_c", "first correlation c", 0.0, 1.0, 0.2),
    ),
    compute=compute,
)
