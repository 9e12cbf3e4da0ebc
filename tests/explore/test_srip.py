"""SRIP's power iteration: readings in the eigenbasis against real products, the ends of the gap, monotone growth."""

import numpy as np
import pytest

from ortholab.explore import get
from ortholab.explore.gallery.srip import LOOKS, RUNS, _readings, eigenvalues
from ortholab.theory import haar
from ortholab.theory.srip import power_iteration, srip

SRIP = get("srip")


def test_readings_are_those_of_the_iteration():
    """The same starts in the eigenbasis, through theory.srip on a matrix that has been turned."""
    n, e = 16, eigenvalues(16, 0.7)
    starts = np.random.default_rng(n).standard_normal((n, 200)).T[:20]
    Q = haar(n, rng=3)
    W = np.broadcast_to((Q * np.sqrt(1 + e)) @ Q.T, (20, n, n))
    for j in (0, 1, 7):
        seen = srip(W, v=power_iteration(W, starts @ Q.T, steps=j))
        np.testing.assert_allclose(_readings(e)[j, :20], seen, rtol=1e-9)


def test_real_iterations_lie_where_the_random_starts_do():
    picture = SRIP.picture()
    band, line, points = picture.panels[1].marks[:3]
    runs = np.array(points["y"]).reshape(len(LOOKS), RUNS)
    assert np.all(runs <= 1 + 1e-12)
    assert np.all(np.diff(runs, axis=0) >= -1e-12)
    inside = np.mean((runs[1] > band["low"][1]) & (runs[1] < band["high"][1]))
    assert inside > 0.5
    assert line["y"][8] == picture.facts["share read"]


@pytest.mark.parametrize("ratio", [0.5, 0.8])
def test_the_error_falls_like_the_gap(ratio):
    line = SRIP.picture(ratio=ratio).panels[2].marks[0]["y"]
    j = 12 if ratio == 0.5 else 25
    assert line[j + 1] / line[j] == pytest.approx(ratio**2, rel=0.07)


def test_a_lone_eigenvalue_is_seen_at_once_and_a_close_second_hardly_matters():
    read = {r: SRIP.picture(ratio=r).facts["share read, published"] for r in (0.0, 0.5, 1.0)}
    assert read[0.0] == pytest.approx(1, abs=1e-12)
    assert read[0.5] < 0.6 < read[1.0]
