"""The atlas: each way does what its kind says, runs repeat their bits, results are chosen and counted as stated."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ortholab.errors import ArgumentError
from ortholab.experiments.atlas import RATES, SKETCH, WAYS, AtlasSpec, Unit, search_tiers, start, tiers
from ortholab.experiments.atlas_result import AtlasResult, run

SMALL = AtlasSpec(
    plan=[(way, 0.05) for way in WAYS], depth=3, width=12, max_steps=40, n_train=300, n_test=100, seeds=(0,)
)


@pytest.fixture(scope="module")
def small():
    return run(SMALL)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_learns_and_keeps_what_its_kind_keeps(small, way):
    (found,) = small.runs(way)
    assert found["diverged"] == -1
    assert found["final_loss"] < 0.85 * found["loss"][0]
    assert len({len(found[name]) for name in ("steps", "loss", "accuracy", "distance", "travel", "sketch")}) == 1
    kind, distance = WAYS[way].kind, np.array(found["distance"])
    if WAYS[way].start == "gaussian":
        assert distance.min() > 1
    else:
        assert distance[0] < 1e-5
    if kind == "free":
        assert distance[-1] > 1e-2
    elif way == "margin 0.1":
        assert 0.9 < min(found["smallest"]) <= max(found["largest"]) < 1.1
        assert distance[-1] > 1e-5
    elif kind != "soft":
        assert distance.max() < 1e-5
    travel = np.array(found["travel"])
    assert travel[0] == 0
    assert travel[-1] > 0
    assert (np.diff(travel) >= 0).all()


def test_a_penalty_draws_to_the_manifold(small):
    free = small.last("free", "distance")[0]
    assert all(small.last(way, "distance")[0] < free for way in WAYS if WAYS[way].kind == "soft")
    assert small.last("SO", "distance")[0] < 0.8 * free


def test_dso_is_so_with_twice_the_coefficient(small):
    one, two = small.runs("SO")[0], small.runs("DSO")[0]
    assert dict(WAYS["SO"].settings)["coefficient"] == 2 * dict(WAYS["DSO"].settings)["coefficient"]
    assert np.allclose(one["loss"], two["loss"], rtol=1e-5)


def test_all_begin_with_the_same_loss_but_the_gaussian_one(small):
    first = {way: small.runs(way)[0]["loss"][0] for way in WAYS}
    assert np.ptp([loss for way, loss in first.items() if WAYS[way].start == "orthogonal"]) < 1e-4
    assert abs(first["free, Gaussian start"] - first["free"]) > 1e-3


def test_a_run_repeats_its_bits_and_seeds_differ():
    spec = replace(SMALL, plan=[("SGD, Cayley", 0.05)], max_steps=8, seeds=(0, 1))
    unit = spec.units[0]
    one, two, other = (start(spec, u) for u in (unit, unit, Unit(unit.way, unit.rate, 1)))
    for trial in (one, two, other):
        assert trial.advance()
    first, second = ({k: v for k, v in t.metrics().items() if not k.startswith("seconds")} for t in (one, two))
    assert first == second
    assert first["loss"] != other.metrics()["loss"]


@pytest.mark.parametrize("way", ["free", "SO", "exponential", "SGD, QR"])
def test_divergence_is_recorded(way):
    trial = start(spec := replace(SMALL, plan=[(way, 1e6)]), spec.units[0])
    trial.advance()
    found = trial.metrics()
    assert 0 < found["diverged"] <= 40
    assert found["final_loss"] == math.inf
    assert np.isfinite(found["loss"]).all()


def made(**losses):
    """A result with given final losses: way -> {rate: [loss of each seed]}."""
    units, metrics = [], []
    for way, rates in losses.items():
        for rate, values in rates.items():
            for seed, loss in enumerate(values):
                units.append(Unit(way, rate, seed))
                metrics.append({"final_loss": loss, "accuracy": [0.0, 1 - loss], "sketch": [[0.0] * SKETCH] * 2})
    return AtlasResult(tuple(units), tuple(metrics), "made up")


def test_the_best_step_size_has_the_least_mean_loss():
    result = made(free={0.1: [0.5, 0.3], 0.3: [0.2, 0.5], 1.0: [0.1, math.inf]})
    assert result.rates("free") == {0.1: pytest.approx(0.4), 0.3: pytest.approx(0.35), 1.0: math.inf}
    assert result.best_rate("free") == 0.3
    assert result.last("free", "accuracy").tolist() == [0.8, 0.5]


def test_differences_are_paired_and_their_interval_is_that_of_t():
    a, b = [0.2, 0.4, 0.35, 0.1], [0.3, 0.45, 0.5, 0.12]
    result = made(free={0.1: a}, SO={0.1: b})
    mean, low, high = result.against("SO", "free", "final_loss")
    ci = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert (mean, low, high) == (pytest.approx(np.mean(b) - np.mean(a)), pytest.approx(ci.low), pytest.approx(ci.high))
    assert result.interval("SO", "final_loss")[1] == pytest.approx(stats.sem(b) * stats.t.ppf(0.975, 3))
    with pytest.raises(ArgumentError, match="two seeds"):
        made(free={0.1: [0.2]}).interval("free")


def test_paths_begin_at_one_point_and_are_no_longer_than_they_were(small):
    paths = small.paths(0)
    assert "free, Gaussian start" not in paths
    for way, path in paths.items():
        assert np.abs(path[0]).max() < 1e-6
        sketch = np.array(small.runs(way)[0]["sketch"])
        assert (np.linalg.norm(path, axis=1) <= np.linalg.norm(sketch, axis=1) + 1e-9).all()
    assert np.ptp([np.linalg.norm(path[-1]) for path in paths.values()]) > 0.01


def test_the_tiers_run_every_way_at_its_chosen_step_size():
    for spec in tiers.values():
        assert {unit.way: unit.rate for unit in spec.units} == RATES
    assert not {u.seed for u in search_tiers["full"].units} & {u.seed for s in tiers.values() for u in s.units}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan": [("SGD, Newton", 0.1)]}, r"plan\[0\]\[0\] must be one of 'free'"),
        ({"plan": [("free", -1.0)]}, r"plan\[0\]\[1\]\[0\] must be a finite number > 0"),
        ({"plan": ["free"]}, r"plan\[0\] must be \(way, step sizes\)"),
        ({"paths": 1}, "paths must be True or False"),
        ({"depth": 1}, "depth must be an integer >= 2"),
        ({"batch": 301}, "batch must be at most n_train = 300"),
    ],
)
def test_bad_specifications_are_refused(changes, words):
    with pytest.raises(ArgumentError, match=words):
        replace(SMALL, **changes)


def test_bad_questions_are_refused(small):
    for ask, words in (
        (lambda: small.best_rate("nothing"), "way must be one of free"),
        (lambda: small.paths(7), "seed must be one of 0"),
        (lambda: run("quick"), "spec must be an AtlasSpec"),
        (lambda: start(SMALL, "free"), "unit must be a Unit"),
    ):
        with pytest.raises(ArgumentError, match=words):
            ask()
