"""Retraction paths: laws of the circle, orders by direction and geodesic, and a step of no length."""

import numpy as np
import pytest

from ortholab.explore import get

PATHS = get("retraction_paths")
ORDERS = {  # of QR, polar, Cayley, by (metric, x, y) on frames
    ("euclidean", 0.8, 1.0): (1, 2, 1), ("euclidean", 0.0, 1.0): (2, 2, 2), ("euclidean", 0.8, 0.0): (2, 2, 1),
    ("canonical", 0.8, 1.0): (1, 1, 2), ("canonical", 0.0, 1.0): (2, 2, 2), ("canonical", 0.8, 0.0): (1, 1, 2),
}  # fmt: skip


def orders(picture):
    return [picture.facts[f"{name}: order"] for name in ("QR", "polar", "Cayley")]


@pytest.mark.parametrize(("where", "wanted"), ORDERS.items())
def test_orders_on_frames(where, wanted):
    metric, x, y = where
    assert orders(PATHS.picture(surface="frames", metric=metric, x=x, y=y)) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("surface", ["circle", "sphere"])
def test_one_column_has_one_geodesic_and_order_two(surface):
    for metric in ("euclidean", "canonical"):
        picture = PATHS.picture(surface=surface, metric=metric, x=0.6, y=0.7)
        assert orders(picture) == pytest.approx((2, 2, 2), abs=0.02)
        assert "all three" in picture.readout


def test_distances_on_the_circle_are_those_of_the_angles():
    """QR and polar turn by arctan t, Cayley by 2 arctan(t / 2), the geodesic by t: chords of the differences."""
    facts = PATHS.picture(surface="circle", x=1.2, y=-0.5).facts
    assert facts["length"] == pytest.approx(1.2)
    for name, angle in (("QR", np.arctan(1.2)), ("polar", np.arctan(1.2)), ("Cayley", 2 * np.arctan(0.6))):
        assert facts[f"{name}: distance"] == pytest.approx(2 * np.sin((1.2 - angle) / 2), abs=1e-6)


def test_the_arrow_ends_where_it_was_dragged_and_only_it_leaves():
    for surface in ("sphere", "frames"):
        view, _, off = PATHS.picture(surface=surface, x=-0.4, y=1.1).panels
        plain = view.marks[1]
        assert (plain["x"][-1], plain["y"][-1]) == pytest.approx((-0.4, 1.1))
        for path in view.marks[2:]:
            assert np.hypot(path["x"], path["y"]).max() <= 1 + 1e-12
        assert off.marks[0]["y"][-1] > 1
        assert not np.any(off.marks[1]["y"])


@pytest.mark.parametrize(("surface", "y"), [("circle", 0.8), ("sphere", 0.0), ("frames", 0.0)])
def test_no_tangent_part_is_no_step(surface, y):
    picture = PATHS.picture(surface=surface, x=0.0, y=y)
    assert "stays where it is" in picture.readout
    assert len(picture.declare()["panels"]) == 3
