"""The geometry experiment: ways do what their kind says, share the atlas's problem, and are compared as stated."""

import math

import numpy as np
import pytest
from scipy import stats

from ortholab.errors import ArgumentError
from ortholab.experiments import atlas, geometry_result
from ortholab.experiments.atlas import AtlasSpec, Unit
from ortholab.experiments.atlas_result import AtlasResult
from ortholab.experiments.geometry import RATES, REST, WAYS, GeometrySpec, grid, search_tiers, start, tiers
from ortholab.experiments.specification import spec_digest

RATE = {way: 0.02 if "Muon" in way else 0.003 if "Adam" in way else 0.1 for way in WAYS}
SMALL = {"depth": 3, "width": 12, "max_steps": 30, "n_train": 300, "n_test": 100, "seeds": (0,)}


@pytest.fixture(scope="module")
def small():
    return geometry_result.run(GeometrySpec(plan=[(way, RATE[way]) for way in WAYS], **SMALL))


@pytest.mark.parametrize("way", WAYS)
def test_each_way_learns_and_keeps_what_its_kind_keeps(small, way):
    (found,) = small.runs(way)
    assert found["diverged"] == -1
    assert found["final_loss"] < 0.95 * found["loss"][0]
    distance = np.array(found["distance"])
    assert distance[0] < 1e-5
    if WAYS[way].kind in ("free", "spectral"):
        assert distance[-1] > 1e-2
    elif way.startswith("one step"):
        assert distance.max() < 1e-4
    elif way == "landing":
        assert 1e-6 < distance.max() < 0.25
    else:
        assert distance.max() < 1e-5


def test_the_references_are_the_atlass_at_its_step_size():
    """At REST for all parameters a reference way is a run of the atlas."""
    for way, other in (("SGD", "free"), ("SGD, QR", "SGD, QR"), ("scaled Cayley", "scaled Cayley")):
        new = start(spec := GeometrySpec(plan=[(way, REST)], **SMALL), spec.units[0])
        old = atlas.start(spec := AtlasSpec(plan=[(other, REST)], **SMALL), spec.units[0])
        for trial in (new, old):
            trial.advance()
        for metric in ("loss", "accuracy", "largest", "travel"):
            np.testing.assert_allclose(new.metrics()[metric], old.metrics()[metric], rtol=1e-4, atol=1e-5)


def test_averages_of_sgd_are_the_averages_of_the_others():
    import torch

    from ortholab.experiments.geometry import OPTIMISERS
    from ortholab.nn.optim._matrix import MatrixOptimiser

    class Plain(MatrixOptimiser):
        starts_on_manifold = False

        def _move(self, X, G, group, state):
            return X - group["lr"] * G

    one, two = (torch.nn.Parameter(torch.zeros(3, 2, dtype=torch.float64)) for _ in range(2))
    settings = dict(WAYS["SGD, averaged"].settings)
    first = OPTIMISERS["averaged sgd"]([one], lr=0.1, **settings)
    second = Plain([two], {"lr": 0.1, **settings})
    for step in range(6):
        one.grad = two.grad = torch.randn(3, 2, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        first.step()
        second.step()
    torch.testing.assert_close(one.detach(), two.detach(), rtol=0, atol=1e-14)


def test_the_tiers_run_every_way_at_its_chosen_step_size_on_seeds_of_their_own():
    for spec in tiers.values():
        assert {unit.way: unit.rate for unit in spec.units} == RATES
    assert not {u.seed for u in search_tiers["full"].units} & {u.seed for s in tiers.values() for u in s.units}
    assert all(RATES[way] in grid(way) for way in WAYS)


def test_the_tables_of_ways_are_apart():
    with pytest.raises(ArgumentError, match=r"plan\[0\]\[0\] must be one of 'free'"):
        AtlasSpec(plan=[("Muon", 0.1)])
    with pytest.raises(ArgumentError, match=r"plan\[0\]\[0\] must be one of 'SGD'"):
        GeometrySpec(plan=[("free", 0.1)])
    assert len(spec_digest("geometry", tiers["full"])) == 64
    assert atlas.AtlasSpec(plan=[("free", 0.1)]).ways is atlas.WAYS


def made(**ways):
    """A result: way -> (seconds a step, loss of each seed at step 0, slope)."""
    units, metrics = [], []
    for way, (seconds, first, slope) in ways.items():
        for seed, loss in enumerate(first):
            units.append(Unit(way, 0.1, seed))
            steps = [0, 10, 20, 40]
            middles = [0, 5, 15, 30]
            metrics.append({
                "steps": steps, "loss": [loss - slope * m for m in middles], "final_loss": loss - 40 * slope,
                "accuracy": [s / 100 for s in steps], "seconds_median": seconds,
            })  # fmt: skip
    return AtlasResult(tuple(units), tuple(metrics), "made up", WAYS)


def test_equal_seconds_stop_the_dearer_way_earlier():
    a, b = np.array([3.0, 3.1, 3.3]), np.array([3.0, 3.2, 3.1])
    result = made(**{"SGD": (1.0, a, 0.01), "Muon": (2.0, b, 0.03)})
    assert geometry_result.cost(result, "Muon") == 2
    np.testing.assert_allclose(geometry_result.at_step(result, "SGD", 12.5), a - 0.125)
    mean, low, high = geometry_result.at_equal_seconds(result, "Muon", "SGD", share=0.5)
    ci = stats.ttest_rel(b - 10 * 0.03, a - 20 * 0.01).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((np.mean(b - 0.3 - a + 0.2), ci.low, ci.high))
    accuracy = geometry_result.at_equal_seconds(result, "Muon", "SGD", "accuracy")[0]
    assert accuracy == pytest.approx(0.2 - 0.4)
    np.testing.assert_allclose(geometry_result.at_rate(result, "SGD", 0.1), a - 0.4)
    with pytest.raises(ArgumentError, match=r"rate must be a step size that was run: 0\.1"):
        geometry_result.at_rate(result, "SGD", 0.2)
    with pytest.raises(ArgumentError, match="share must be"):
        geometry_result.at_equal_seconds(result, "Muon", "SGD", share=0.0)
    with pytest.raises(ArgumentError, match="step must be"):
        geometry_result.at_step(result, "SGD", 41)


@pytest.mark.parametrize("way", ["SGD", "one step", "landing"])
def test_a_step_size_far_too_long_is_an_outcome_and_no_error(way):
    trial = start(spec := GeometrySpec(plan=[(way, 1e6)], **SMALL), spec.units[0])
    trial.advance()
    found = trial.metrics()
    assert found["diverged"] >= -1
    assert (found["final_loss"] == math.inf) is (found["diverged"] >= 0)
