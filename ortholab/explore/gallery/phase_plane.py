"""The phase plane: where a deep network is ordered or chaotic, for a built-in activation or the reader's own."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Plane, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.gallery._shared import NETWORKS, directions, mean_and_interval, phi_controls, pick, send
from ortholab.explore.markup import number
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import Activation, CorrelationSeries, PhasePlane

WIDE, HIGH = (0.5, 3.0), (0.0, 1.0)
LAYERS, WIDTH = 20, 80
STARTS = (0.2, 3.0)  # variances
PAIRS = (0.2, 0.9)  # correlations
Q_TOP, Q_LARGE = 5.0, 1e6
LAYER, SHOWN = np.arange(1, LAYERS + 1), np.arange(0, LAYERS, 4)


@functools.lru_cache(maxsize=8)
def _plane(f: Activation) -> PhasePlane:
    return PhasePlane(f)


@functools.lru_cache(maxsize=8)
def _map(f: Activation) -> tuple[np.ndarray, ...]:
    x, y = np.linspace(*WIDE, 21), np.linspace(*HIGH, 15)
    line = _plane(f).critical_line()
    inside = (line.sigma_w >= WIDE[0]) & (line.sigma_w <= WIDE[1]) & (line.sigma_b <= HIGH[1])
    return x, y, _plane(f).chi(*np.meshgrid(x, y)), line.sigma_w[inside][::3], line.sigma_b[inside][::3]


def compute(phi: str, formula: str, sigma_w: float, sigma_b: float) -> Picture:
    """The map of chi with the critical line, and what 20 layers do to a variance and to a correlation."""
    f = pick(phi, formula)
    q = _plane(f).polished(sigma_w, sigma_b)
    chi = np.nan
    if f.degree_one or np.isfinite(q):
        chi = sigma_w**2 * f.slope_moment(1.0 if f.degree_one else q)
    # A network of degree one without biases treats every variance alike: take 1.
    at = 1.0 if f.degree_one and sigma_b == 0 else q
    h = _network(f, at if 1e-9 < at < Q_LARGE else 1.0, sigma_w, sigma_b)
    panels = [_heat(f), _variance(f, q, sigma_w, sigma_b, h), _correlation(f, at, sigma_w, sigma_b, h)]
    return Picture(panels, _words(chi, q), {"χ": chi, "q^{*}": q})


def _heat(f: Activation) -> Panel:
    x, y, z, line_x, line_y = _map(f)
    panel = Panel("σ_w", "σ_b", title="χ", xlim=WIDE, ylim=HIGH)
    if np.isfinite(z).any():
        panel.heat(x, y, z, label="χ", limits=(0.0, 2.0))
    if line_x.size:
        panel.line(line_x, line_y, label="χ = 1", color="ink")
    return panel


def _network(f: Activation, q: float, sigma_w: float, sigma_b: float) -> np.ndarray:
    """Pre-activations (LAYERS, NETWORKS, 2 + 2 pairs, WIDTH): two sizes, and two pairs of variance q."""
    one, *others = directions(1 + len(PAIRS), WIDTH, 2)
    inputs = [np.sqrt(size) * z for size, z in zip(STARTS, others, strict=True)]
    for c, other in zip(PAIRS, others, strict=True):
        inputs += [np.sqrt(q) * one, np.sqrt(q) * (c * one + np.sqrt(1 - c * c) * other)]
    with np.errstate(all="ignore"):  # what overflows leaves the picture
        return send(f, np.array(inputs), sigma_w, sigma_b, NETWORKS, LAYERS)


def _variance(f: Activation, q: float, sigma_w: float, sigma_b: float, h: np.ndarray) -> Panel:
    panel = Panel("layer", "variance q", title="two sizes enter", xlim=(1, LAYERS), ylim=(0, Q_TOP))
    if np.isfinite(q) and q <= Q_TOP:
        panel.guide(y=q, label="q^{*}")
    lines, top = np.empty((LAYERS, len(STARTS))), _plane(f).q_top
    lines[0] = STARTS
    for i in range(1, LAYERS):
        lines[i] = sigma_w**2 * f.mean_square(np.minimum(lines[i - 1], top)) + sigma_b**2
    with np.errstate(all="ignore"):
        measured, half = mean_and_interval(np.mean(h[SHOWN, :, : len(STARTS)] ** 2, axis=3))
    for k in range(len(STARTS)):
        panel.line(LAYER, np.where(lines[:, k] < 2 * Q_TOP, lines[:, k], np.nan))
        inside = measured[:, k] < Q_TOP
        panel.points(LAYER[SHOWN], np.where(inside, measured[:, k], np.nan), np.where(inside, half[:, k], np.nan))
    return panel


def _correlation(f: Activation, q: float, sigma_w: float, sigma_b: float, h: np.ndarray) -> Panel:
    panel = Panel("layer", "correlation c", title="two pairs enter", xlim=(1, LAYERS), ylim=(-0.2, 1.05))
    panel.guide(y=1.0)
    if not 1e-9 < q < Q_LARGE:
        return panel
    series = CorrelationSeries(f, q, sigma_w, sigma_b, order=64)
    lines = series.trajectory(np.array(PAIRS), LAYERS)
    a, b = h[SHOWN, :, len(STARTS) :: 2], h[SHOWN, :, len(STARTS) + 1 :: 2]
    with np.errstate(all="ignore"):
        c = np.sum(a * b, axis=3) / np.sqrt(np.sum(a * a, axis=3) * np.sum(b * b, axis=3))
        measured, half = mean_and_interval(c)
    for k in range(len(PAIRS)):
        panel.line(LAYER, lines[:, k]).points(LAYER[SHOWN], measured[:, k], half[:, k])
    return panel


def _words(chi: float, q: float) -> str:
    if np.isnan(chi):
        return "No single stable q^{*} here: the variance grows without bound, or where it ends depends on its start."
    growth = chi ** (LAYERS - 1)
    times = f"grows {number(growth)}-fold" if growth >= 1 else f"shrinks to {number(growth, 2)} of itself"
    where = "critical" if abs(chi - 1) < 0.005 else "chaotic" if chi > 1 else "ordered"
    words = f"χ = {chi:.3f}, {where}: from layer {LAYERS} back to layer 1 a squared gradient {times}."
    return words if np.isfinite(q) else words + " But no variance is fixed here."


EXPLORABLE = Explorable(
    name="phase_plane",
    title="Order or chaos?",
    question="Stay at σ_b = 0.3 and find the σ_w at which tanh is critical. Then keep that σ_w and raise σ_b to 1: "
    "order or chaos, and why? What is different for ReLU?",
    answer="σ_w = 1.40 (χ = 1.003). At σ_b = 1 the same σ_w is deep in the ordered phase, χ = 0.682: large biases "
    "push the units to where tanh is flat, so the critical line leans to the right, up to σ_w = 1.86. For "
    "ReLU χ does not depend on σ_b and the line stands upright at √2; but with a bias no variance is fixed "
    "on it.",
    caption="tanh at σ_w = 1.5, σ_b = 0.3, a little inside the chaotic phase: χ = 1.061. Two signals of very "
    "different size are within 4 % of one variance from the sixth layer on; two pairs of inputs draw together far more "
    "slowly, and have correlations of 0.66 and 0.84 after 20 layers. Lines: theory. Crosses: means of six networks of "
    "width 80, with 95 % intervals.",
    alt="Left: a map of χ, low on the left and high on the right, with the critical line rising from σ_w = 1 at "
    "σ_b = 0 to 1.86 at σ_b = 1. Middle: two lines of variance against layer that meet near 0.96. Right: "
    "two lines of correlation against layer that draw together and have not met after 20 layers.",
    controls=(
        *phi_controls(),
        Plane(
            Range("sigma_w", "σ_w", *WIDE, 1.5, count=126, stored=6),
            Range("sigma_b", "σ_b", *HIGH, 0.3, stored=5),
            panel=0,
        ),
    ),
    compute=compute,
    grid=("sigma_w", "sigma_b"),
)
