"""The flow of three penalties: its numbers against an integrator, against its own points, and at its ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ortholab import explore
from ortholab.errors import ArgumentError
from ortholab.explore.gallery import penalty_flow as this
from ortholab.theory import penalties

EXPLORABLE = explore.get("penalty_flow")


def marks(picture, kind, panel=0):
    """The marks of one kind in a panel."""
    return [mark for mark in picture.panels[panel].marks if mark["kind"] == kind]


@pytest.mark.parametrize("penalty", this.PENALTIES)
@pytest.mark.parametrize("start", this.STARTS)
def test_the_flow_is_that_of_the_matrix(penalty, start):
    """scipy's integrator on the 8 x 8 matrix, at a time at which each of the three is on its way."""
    gain, time = 1.4, 3.162 if penalty == "published" else 0.1
    gradient = penalties.published_gradient if penalty == "published" else penalties.so_gradient
    target = 1.0 if penalty == "plain" else gain

    def slope(_, w):
        return -gradient(w.reshape(8, 8), gain=target).ravel()

    W = this._start(start, gain)
    end = solve_ivp(slope, (0, time), W.ravel(), method="DOP853", rtol=1e-10, atol=1e-12).y[:, -1].reshape(8, 8)
    picture = EXPLORABLE.picture(penalty=penalty, start=start, gain=gain, time=time)
    now = marks(picture, "points", panel=1)[1]["y"]
    np.testing.assert_allclose(now, np.linalg.svd(end, compute_uv=False), rtol=1e-7)


@pytest.mark.parametrize("penalty", this.PENALTIES)
@pytest.mark.parametrize("start", this.STARTS)
def test_points_lie_on_their_lines(penalty, start):
    """Descent has finite steps, so it is near the flow and not on it."""
    picture = EXPLORABLE.picture(penalty=penalty, start=start, gain=1.0)
    for line, points in zip(marks(picture, "line"), marks(picture, "points"), strict=True):
        on_line = np.interp(np.log(points["x"]), np.log(line["x"]), line["y"])
        np.testing.assert_allclose(points["y"], on_line, atol=0.05)


def test_where_each_ends():
    at_end = {p: EXPLORABLE.picture(penalty=p, time=1000).facts for p in this.PENALTIES}
    assert at_end["plain"]["largest s"] == pytest.approx(1, abs=1e-9)
    assert at_end["adjusted"]["smallest s"] == pytest.approx(1.25, abs=1e-9)
    assert at_end["published"]["largest s"] == pytest.approx(1.25 * 8**0.5, abs=1e-9)
    assert at_end["published"]["smallest s"] == pytest.approx(1.25 / (1 + 80) ** 0.5, abs=1e-9)
    assert "nearly rank one" in EXPLORABLE.picture(time=1000).readout
    assert "1.000, away from the gain" in EXPLORABLE.picture(penalty="plain").readout
    assert "1.250, the gain" in EXPLORABLE.picture(penalty="adjusted").readout


def test_bad_values_are_named():
    with pytest.raises(ArgumentError, match="gain"):
        EXPLORABLE.picture(gain=2.0)
    with pytest.raises(ArgumentError, match="penalty"):
        EXPLORABLE.picture(penalty="none")
