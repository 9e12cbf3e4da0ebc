"""Retractions: where a tangent step ends on a circle, a sphere and a Stiefel manifold, by each way of staying on it.

The first panel looks at W (at its first column) along its own axis, or at the circle face on. Its origin is W, and the
point that the reader drags is the end of the plain step.
"""

from __future__ import annotations

import numpy as np

from ortholab.explore.controls import Choice, Plane, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory.retractions import cayley, exponential, polar, qr
from ortholab.theory.stiefel import distance, tangent_projection

WAYS = {"QR": (qr, "gaussian"), "polar": (polar, "relu"), "Cayley": (cayley, "orthogonal")}
REACH = 1.3
LENGTHS = np.geomspace(0.03, 3, 21)  # of the curves of distance
PROBE = np.array([0.005, 0.01])  # the distance grows between them by 2^(order + 1)
PATH = np.linspace(0, 1, 25)
GRID = np.linspace(0, 3, 31)


def _step(surface: str, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """W and the tangent step X, as the first panel shows it from W at (0, 0) to (x, y)."""
    if surface == "circle":  # y is the normal part, which has no effect
        W, Z = np.array([[0.0], [1.0]]), np.array([[x], [y]])
    elif surface == "sphere":
        W, Z = np.array([[1.0], [0.0], [0.0]]), np.array([[0.0], [x], [y]])
    else:  # x turns the two columns into each other; y tips the first out of their plane, x the second
        W, Z = np.eye(3)[:, :2], np.array([[0.0, -x], [x, 0.0], [y, x]])
    return W, tangent_projection(W, Z)


def _seen(surface: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two coordinates of the first column of points (..., n, k) that the first panel shows."""
    first = points[..., 0]
    return (first[..., 0], first[..., 1] - 1) if surface == "circle" else (first[..., 1], first[..., 2])


def _many(move, W: np.ndarray, X: np.ndarray, lengths: np.ndarray, **options) -> np.ndarray:
    """R_W(t X) at every t, shape (len(lengths), n, k)."""
    return move(np.broadcast_to(W, (len(lengths), *W.shape)), lengths[:, None, None] * X, **options)


def _resting(view: Panel, gap: Panel, off: Panel) -> Picture:
    """The picture of no step at all."""
    view.points([0], [0], label="W", color="ink")
    gap.guide(x=LENGTHS[0], label="no step")
    off.points([0], [0], label="no step", color="ink")
    return Picture([view, gap, off], "The step has no tangent part, so W stays where it is.", {"length": 0.0})


def compute(surface: str, metric: str, x: float, y: float) -> Picture:
    """Paths of the retractions and of the geodesic, their distances from it, and the plain step's own error."""
    W, X = _step(surface, x, y)
    length = float(np.linalg.norm(X))
    view = Panel(title="A  one step from W", xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    turn = np.linspace(0, 2 * np.pi, 73)
    view.line(np.sin(turn), np.cos(turn) - (surface == "circle"), color="line")
    gap = Panel("length of step", "distance", "B  from the geodesic", "log", "log", (0.03, 3), (1e-6, 5))
    off = Panel("length of step", "distance", "C  from the manifold", xlim=(0, 3), ylim=(0, 2.5))
    if length == 0:
        return _resting(view, gap, off)
    unit = X / length
    lengths = np.concatenate([LENGTHS, PROBE, [length], PATH * length, GRID])
    goal = _many(exponential, W, unit, lengths, metric=metric)
    cut = LENGTHS.size, LENGTHS.size + 2, LENGTHS.size + 3, LENGTHS.size + 3 + PATH.size
    plain = _seen(surface, W + PATH[:, None, None] * X)
    view.trajectory(*plain, label="W + X", color="muted")
    view.trajectory(*_seen(surface, goal[cut[2] : cut[3]]), label="geodesic", color="extra")
    facts, left = {"length": length}, np.zeros(GRID.size)
    for name, (move, color) in WAYS.items():
        ends = _many(move, W, unit, lengths)
        view.trajectory(*_seen(surface, ends[cut[2] : cut[3]]), color=color)
        far = np.linalg.norm(ends - goal, axis=(1, 2))
        gap.line(LENGTHS, far[: cut[0]], label=name, color=color)
        near = far[cut[0] : cut[1]]
        facts[f"{name}: distance"] = round(float(far[cut[1]]), 6)
        facts[f"{name}: order"] = round(float(np.log2(near[1] / near[0])) - 1, 2)
        left = np.maximum(left, distance(ends[cut[3] :]))
    gap.guide(x=min(max(length, LENGTHS[0]), LENGTHS[-1]))
    off.line(GRID, distance(W + GRID[:, None, None] * unit), label="plain", color="muted")
    off.line(GRID, np.round(left, 12), label="the others").guide(x=min(length, GRID[-1]))
    second = [name for name in WAYS if facts[f"{name}: order"] > 1.5]
    who = " and ".join(second) if len(second) < 3 else "all three"
    part = "Only its tangent part counts. " if surface == "circle" else ""
    readout = f"{part}A step of length {length:.2f}. Of second order in this direction: {who or 'none'}."
    return Picture([view, gap, off], readout, facts)


EXPLORABLE = Explorable(
    name="retraction_paths",
    title="Where does a step end?",
    question="On frames, against the Euclidean geodesic: into which directions can you drag the step so that QR is of "
    "second order? And Cayley?",
    answer="QR: straight up or down, and straight sideways. There the columns of X are perpendicular, X^{T}X is "
    "diagonal, and Gram and Schmidt have nothing to correct between them. Cayley: only straight up or down, where "
    "the columns do not turn into each other (K A = 0). Polar is of second order everywhere. Against the canonical "
    "geodesic Cayley and polar change places.",
    caption="One step on the frames of two columns in three dimensions, seen along the first column. Left: paths of "
    "that column; the plain step leaves the sphere (grey). Middle: for short steps the distance of polar from the "
    "geodesic falls with the third power of the length, that of QR and Cayley with the second only. Right: the plain "
    "step's end is off the manifold, the others' are not.",
    alt="Left, a circle with five arrows from its centre to the upper right: the plain step ends farthest out, the "
    "others curve. Middle, distance against length on log axes: polar is steeper and lower than QR and Cayley. "
    "Right, a rising curve for the plain step and a flat line at zero.",
    controls=(
        Choice(
            "surface",
            "manifold",
            {
                "circle": "circle (n = 2, k = 1)",
                "sphere": "sphere (n = 3, k = 1)",
                "frames": "frames (n = 3, k = 2)",
            },
            "frames",
        ),
        Choice("metric", "geodesic", {"euclidean": "Euclidean", "canonical": "canonical"}, "euclidean"),
        Plane(
            Range("x", "step to the side", -REACH, REACH, 1.0, count=53, stored=5),
            Range("y", "step up", -REACH, REACH, 0.4, count=53, stored=5),
            panel=0,
        ),
    ),
    compute=compute,
    grid=("x", "y"),
)
