"""Retractions: where a tangent step of a given length and direction ends, on a circle, a sphere and a Stiefel manifold.

All three are seen from W along its own axis, or face on: the origin of the first panel is W (its first column), and the
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
LENGTHS = np.geomspace(0.03, 3, 25)  # at which the distances are measured
REACH = 2.0
PROBE = np.array([0.1, 0.2])  # two short lengths: the distance grows between them by 2^order


def _step(surface: str, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """W and the tangent step X whose plain end (seen as the first panel shows it) is (x, y)."""
    if surface == "circle":
        W, Z = np.array([[0.0], [1.0]]), np.array([[x], [y]])
    elif surface == "sphere":
        W, Z = np.array([[1.0], [0.0], [0.0]]), np.array([[0.0], [x], [y]])
    else:  # x turns the two columns into each other, y and x tip them out of their plane
        W, Z = np.eye(3)[:, :2], np.array([[0.0, -x], [x, 0.0], [y, x]])
    return W, tangent_projection(W, Z)


def _seen(surface: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two coordinates that the first panel shows, of the first column of points (..., n, k)."""
    first = points[..., 0]
    return (first[..., 0], first[..., 1] - 1) if surface == "circle" else (first[..., 1], first[..., 2])


def _many(move, W: np.ndarray, X: np.ndarray, lengths: np.ndarray, **options) -> np.ndarray:
    """R_W(t X) at every t, shape (len(lengths), n, k)."""
    return move(np.broadcast_to(W, (len(lengths), *W.shape)), lengths[:, None, None] * X, **options)


def _gaps(W: np.ndarray, X: np.ndarray, lengths: np.ndarray, metric: str) -> dict[str, np.ndarray]:
    """Frobenius distance of each retraction from the geodesic at every length, to fourteen digits after the point."""
    goal = _many(exponential, W, X, lengths, metric=metric)
    return {
        name: np.round(np.linalg.norm(_many(move, W, X, lengths) - goal, axis=(1, 2)), 14)
        for name, (move, _) in WAYS.items()
    }


def _order(gaps: np.ndarray) -> float | None:
    """The power p - 1 of a distance like t^p from two lengths, one twice the other; None if there is no distance."""
    return round(float(np.log2(gaps[1] / gaps[0])) - 1, 2) if gaps[0] > 1e-12 else None


def compute(surface: str, metric: str, x: float, y: float) -> Picture:
    """Paths of the three retractions and of the geodesic, their distances from it, and the plain step's own error."""
    W, X = _step(surface, x, y)
    length = float(np.linalg.norm(X))
    view = Panel(title="A  one step from W", xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    angle = np.linspace(0, 2 * np.pi, 91)
    view.line(np.sin(angle), np.cos(angle) - (surface == "circle"), color="line")
    gap = Panel(
        "length of the step", "distance from the geodesic", "B  how far off", "log", "log", (0.03, 3), (1e-7, 3)
    )
    off = Panel("length of the step", "distance from orthogonal", "C  off the manifold", xlim=(0, 3), ylim=(0, 2.5))
    if length == 0:
        view.points([0], [0], label="W", color="ink")
        for panel in (gap, off):
            panel.points([np.nan], [np.nan])
        return Picture([view, gap, off], "The step has no tangent part, so W stays where it is.", {"length": 0.0})
    unit, t = X / length, np.linspace(0, length, 33)
    view.trajectory(
        [0, float(_seen(surface, W + X)[0])], [0, float(_seen(surface, W + X)[1])], label="W + X", color="muted"
    )
    view.trajectory(*_seen(surface, _many(exponential, W, unit, t, metric=metric)), label="geodesic", color="extra")
    gaps, orders = _gaps(W, unit, LENGTHS, metric), _gaps(W, unit, PROBE, metric)
    facts = {"length": length}
    for name, (move, color) in WAYS.items():
        view.trajectory(*_seen(surface, _many(move, W, unit, t)), label=name, color=color)
        gap.line(LENGTHS, np.where(gaps[name] > 0, gaps[name], np.nan), label=name, color=color)
        facts[f"{name}, distance"] = float(_gaps(W, unit, np.array([length]), metric)[name][0])
        facts[f"{name}, order"] = _order(orders[name])
    gap.guide(x=min(max(length, 0.03), 3))
    grid = np.linspace(0, 3, 31)
    off.line(grid, [float(distance(W + s * unit)) for s in grid], label="plain step", color="muted")
    for name, (move, color) in WAYS.items():
        off.line(grid, np.round(distance(_many(move, W, unit, grid)), 12), label=name, color=color)
    off.guide(x=min(length, 3))
    best = [name for name in WAYS if (facts[f"{name}, order"] or 2) > 1.5]
    readout = f"A step of length {length:.2f}. To second order in this direction: {', '.join(best) or 'none'}."
    return Picture([view, gap, off], readout, facts)


EXPLORABLE = Explorable(
    name="retraction_paths",
    title="Where does a step end?",
    question="On frames, drag the step. In which directions is QR of second order, and in which are all three?",
    answer="pending",
    caption="pending",
    alt="pending",
    controls=(
        Choice(
            "surface",
            "manifold",
            {"circle": "circle, n = 2, k = 1", "sphere": "sphere, n = 3, k = 1", "frames": "frames, n = 3, k = 2"},
            "frames",
        ),  # fmt: skip
        Choice("metric", "geodesic", {"euclidean": "Euclidean", "canonical": "canonical"}, "euclidean"),
        Plane(
            Range("x", "step, x", -REACH, REACH, 1.2, count=81, stored=5),
            Range("y", "step, y", -REACH, REACH, 0.8, count=81, stored=5),
            panel=0,
        ),
    ),
    compute=compute,
    grid=("x", "y"),
)
