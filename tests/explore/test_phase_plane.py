"""The phase plane: map, line and panels against the theory, and points where there is no answer."""

import json

import numpy as np
import pytest

from ortholab.explore import get
from ortholab.explore.gallery import _shared
from ortholab.theory import CorrelationSeries, chi, critical_point, q_star, simulate, variance_trajectory

PLANE = get("phase_plane")


@pytest.mark.parametrize(("phi", "w", "b"), [("tanh", 1.4, 0.3), ("hard_tanh", 0.9, 0.1), ("silu", 1.2, 0.5)])
def test_the_facts_are_those_of_the_theory(phi, w, b):
    facts = PLANE.picture(phi=phi, sigma_w=w, sigma_b=b).facts
    assert facts["χ"] == pytest.approx(chi(phi, w, b), rel=1e-10)
    assert facts["q^{*}"] == pytest.approx(q_star(phi, w, b), rel=1e-10)


def test_a_typed_formula_is_the_activation_that_it_writes():
    built_in = PLANE.picture(phi="tanh", sigma_w=2.0)
    typed = PLANE.picture(phi="own", formula="(exp(x) - exp(-x)) / (exp(x) + exp(-x)) + 0", sigma_w=2.0)
    for known, found in zip(built_in.panels, typed.panels, strict=True):
        for a, b in zip(known.marks, found.marks, strict=True):
            for key in set(a) & {"x", "y", "z"}:
                np.testing.assert_allclose(np.array(b[key], float), np.array(a[key], float), atol=1e-9)


def test_map_line_and_layers():
    heat, line = PLANE.picture().panels[0].marks
    assert heat["z"][3][8] == pytest.approx(chi("tanh", heat["x"][8], heat["y"][3]), rel=1e-5)
    for k in (5, len(line["x"]) - 1):
        assert line["x"][k] == pytest.approx(critical_point("tanh", line["y"][k]).sigma_w, rel=1e-9)
    layers = [m for m in PLANE.picture(sigma_w=2.0).panels[1].marks if m["kind"] == "line"]
    assert layers[1]["y"] == pytest.approx(variance_trajectory("tanh", 3.0, 2.0, 0.3, 20), rel=1e-12)
    pairs = [m for m in PLANE.picture(sigma_w=2.0).panels[2].marks if m["kind"] == "line"]
    series = CorrelationSeries("tanh", q_star("tanh", 2.0, 0.3), 2.0, 0.3)
    assert pairs[1]["y"] == pytest.approx(series.trajectory(0.9, 20), abs=1e-9)


def test_the_networks_are_those_of_simulate_and_scatter_about_the_theory():
    h = _shared.send(simulate.get_activation("tanh"), np.ones((1, 30)), 1.3, 0.0, 2, 3)
    W, _ = _shared.drawn_networks(2, 2, 30, 0)
    by_hand = 1.3 * W[1, 1] @ np.tanh(1.3 * W[0, 1] @ np.tanh(np.ones(30)))
    np.testing.assert_allclose(h[2, 1, 0], by_hand, rtol=1e-12)
    for panel in PLANE.picture(sigma_w=1.4).panels[1:]:
        lines, points = ([m for m in panel.marks if m["kind"] == kind] for kind in ("line", "points"))
        for line, point in zip(lines, points, strict=True):
            wide = np.array(line["y"])[np.array(point["x"], int) - 1]
            assert np.abs(np.array(point["y"]) - wide).max() < 0.35


def test_the_interval_is_students():
    from scipy import stats

    assert pytest.approx(stats.t.ppf(0.975, _shared.NETWORKS - 1), abs=1e-4) == _shared.T_OF_SIX


def test_where_there_is_no_answer_the_picture_says_so():
    gelu = PLANE.picture(phi="gelu", sigma_w=2.0)
    assert np.isnan(gelu.facts["χ"])
    assert "No single stable" in gelu.readout
    assert [m["kind"] for m in gelu.panels[2].marks] == ["guide"]
    relu = PLANE.picture(phi="relu", sigma_w=1.42)
    assert relu.facts["χ"] == pytest.approx(1.42**2 / 2)
    assert "no variance is fixed" in relu.readout
    assert len(PLANE.picture(phi="relu", sigma_w=1.4, sigma_b=0.0).panels[2].marks) == 5
    steep = json.loads(PLANE.answer_text('{"phi": "own", "formula": "exp(x) - 1", "sigma_w": 3.0}'))
    assert "No single stable" in steep["picture"]["readout"]


@pytest.mark.parametrize("formula", ["log(x)", "x^2", "__import__('os')", "1/x"])
def test_a_bad_formula_is_a_message(formula):
    answer = json.loads(PLANE.answer_text(json.dumps({"phi": "own", "formula": formula})))
    assert answer["error"].startswith("the formula ")
