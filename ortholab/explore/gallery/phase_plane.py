"""The phase plane: where a deep network is ordered or chaotic, for a built-in activation or the reader's own."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Plane, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.gallery._shared import directions, phi_controls, pick, send
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import Activation, CorrelationSeries, PhasePlane

WIDE, HIGH = (0.5, 3.0), (0.0, 1.0)
LAYERS, WIDTH = 20, 200
STARTS = (0.2, 3.0)  # variances
PAIRS = (0.2, 0.9)  # correlations
Q_TOP = 5.0


@functools.lru_cache(maxsize=8)
def _plane(f: Activation) -> PhasePlane:
    return PhasePlane(f)


@functools.lru_cache(maxsize=8)
def _map(f: Activation) -> tuple[np.ndarray, ...]:
    x, y = np.linspace(*WIDE, 26), np.linspace(*HIGH, 17)
    line = _plane(f).critical_line()
    inside = (line.sigma_w >= WIDE[0]) & (line.sigma_w <= WIDE[1]) & (line.sigma_b <= HIGH[1])
    return x, y, _plane(f).chi(*np.meshgrid(x, y)), line.sigma_w[inside], line.sigma_b[inside]


def compute(phi: str, formula: str, sigma_w: float, sigma_b: float) -> Picture:
    """The map of chi with the critical line, and what 20 layers do to a variance and to a correlation."""
    f = pick(phi, formula)
    q = float(_plane(f).polished(sigma_w, sigma_b))
    chi = sigma_w**2 * f.slope_moment(1.0 if f.degree_one else q) if f.degree_one or np.isfinite(q) else np.nan
    facts = {"χ": chi, "q^{*}": q, f"χ^{{{LAYERS}}}": chi**LAYERS}
    panels = [_heat(f), _variance(f, q, sigma_w, sigma_b), _correlation(f, q, sigma_w, sigma_b)]
    return Picture(panels, _words(chi, q), facts)


def _heat(f: Activation) -> Panel:
    x, y, z, line_x, line_y = _map(f)
    panel = Panel("σ_w", "σ_b", title="χ", xlim=WIDE, ylim=HIGH)
    if np.isfinite(z).any():
        panel.heat(x, y, z, label="χ", limits=(0.0, 2.0))
    if line_x.size:
        panel.line(line_x, line_y, label="χ = 1")
    return panel


def _variance(f: Activation, q: float, sigma_w: float, sigma_b: float) -> Panel:
    layer = np.arange(1, LAYERS + 1)
    panel = Panel("layer", "variance q", title="two sizes enter", xlim=(1, LAYERS), ylim=(0, Q_TOP))
    lines = np.empty((LAYERS, len(STARTS)))
    lines[0] = STARTS
    for i in range(1, LAYERS):
        known = np.minimum(lines[i - 1], 1e30)  # beyond, phi^2 may overflow: the line has left the picture long ago
        lines[i] = sigma_w**2 * f.mean_square(known) + sigma_b**2
    start = np.sqrt(STARTS)[:, None] * directions(2, WIDTH, 1)
    with np.errstate(over="ignore", invalid="ignore"):
        measured = np.mean(send(f, start, sigma_w, sigma_b, LAYERS) ** 2, axis=2)
    for k in range(len(STARTS)):
        shown = np.where(lines[:, k] <= 2 * Q_TOP, lines[:, k], np.nan)
        panel.line(layer, shown)
        panel.points(layer, np.where(measured[:, k] <= Q_TOP, measured[:, k], np.nan))
    if np.isfinite(q) and q <= Q_TOP:
        panel.guide(y=q, label="q^{*}")
    return panel


def _correlation(f: Activation, q: float, sigma_w: float, sigma_b: float) -> Panel:
    layer = np.arange(1, LAYERS + 1)
    panel = Panel("layer", "correlation c", title="two pairs enter", xlim=(1, LAYERS), ylim=(-0.2, 1.05))
    if f.degree_one and sigma_b == 0:
        q = 1.0  # every q gives the same correlations
    if not np.isfinite(q) or q < 1e-9:
        return panel.guide(y=1.0, label="no fixed variance to compare at")
    series = CorrelationSeries(f, q, sigma_w, sigma_b)
    one, *others = directions(1 + len(PAIRS), WIDTH, 2)
    for c, other in zip(PAIRS, others, strict=True):
        h = send(f, np.sqrt(q) * np.array([one, c * one + np.sqrt(1 - c * c) * other]), sigma_w, sigma_b, LAYERS)
        size = np.sqrt(np.sum(h[:, 0] ** 2, axis=1) * np.sum(h[:, 1] ** 2, axis=1))
        panel.line(layer, series.trajectory(c, LAYERS))
        panel.points(layer, np.sum(h[:, 0] * h[:, 1], axis=1) / size)
    return panel


def _words(chi: float, q: float) -> str:
    if np.isnan(chi):
        return "No single stable q^{*} here: the variance grows without bound, or its end depends on its start."
    growth = chi**LAYERS
    times = f"times {growth:.3g}" if growth >= 0.01 else f"divided by {1 / growth:.3g}"
    where = "critical" if abs(chi - 1) < 0.005 else "chaotic" if chi > 1 else "ordered"
    words = f"χ = {chi:.3f}, {where}: over {LAYERS} layers a squared gradient is {times}."
    return words if np.isfinite(q) else words + " The variance has no fixed point here."


EXPLORABLE = Explorable(
    name="phase_plane",
    title="Order or chaos?",
    question="Drag the point until χ = 1. Which way must σ_w go when σ_b grows?",
    answer="Up: the critical line of tanh rises.",
    caption="The plane of initialisations.",
    alt="A map of chi over the plane of sigma_w and sigma_b.",
    controls=(
        *phi_controls(),
        Plane(Range("sigma_w", "σ_w", *WIDE, 1.5, count=126), Range("sigma_b", "σ_b", *HIGH, 0.3), panel=0),
    ),
    compute=compute,
    grid=("sigma_w", "sigma_b"),
)
