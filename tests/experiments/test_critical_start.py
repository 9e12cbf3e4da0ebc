"""The stuck network and its cure: units, repeated bits, paired seeds, and what diverges counts as nothing."""

import numpy as np
import pytest
import torch
from scipy import stats

from ortholab.errors import ArgumentError
from ortholab.experiments.critical_start import (
    ACTIVATIONS,
    CriticalStartSpec,
    network,
    run,
    start,
    tiers,
)  # fmt: skip

SMALL = CriticalStartSpec(
    activations=("tanh",), torch_rates=(0.03, 0.3), depth=20, width=16, steps=12, n_train=200, n_test=100, seeds=(0, 1)
)


@pytest.fixture(scope="module")
def small():
    return run(SMALL)


def test_the_units_are_every_run_once():
    units = SMALL.units
    assert len(units) == len(set(units)) == 6
    assert {u.rate for u in units if u.start == "critical"} == {0.003}
    assert set(tiers["full"].activations) == set(ACTIVATIONS)
    assert len(tiers["full"].seeds) >= 3


def test_runs_repeat_their_bits_and_look_at_the_stated_steps(small):
    trial = start(SMALL, SMALL.units[-1])
    assert trial.advance()
    assert trial.metrics() == small.metrics[-1]
    assert trial.metrics()["steps"] == [0, 10, 12]


def test_the_difference_is_paired_and_its_interval_scipys(small):
    a, b = small.accuracy("tanh", "critical"), small.accuracy("tanh", "torch")
    gain = small.gain("tanh")
    wanted = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert gain.value == pytest.approx((a - b).mean())
    assert (gain.low, gain.high) == pytest.approx((wanted.low, wanted.high))
    best = [max(m["final_accuracy"] for u, m in zip(small.units, small.metrics, strict=True)
                if (u.start, u.seed) == ("torch", seed)) for seed in (0, 1)]  # fmt: skip
    assert np.array_equal(b, best)
    assert small.table().loc["tanh", "seeds"] == 2


def test_what_diverges_scores_nothing():
    spec = CriticalStartSpec(activations=("elu",), critical_rate=1e4, depth=4, width=8, steps=6, n_train=64)
    found = run(spec)
    assert found.metrics[1]["diverged"] > 0
    assert found.accuracy("elu", "critical")[0] == 0


def test_the_network_is_torchs_and_leaves_its_generator():
    state = torch.get_rng_state()
    one, two = network("erf", 2, 5, seed=3), network("erf", 2, 5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one[0].weight, two[0].weight)
    assert one[0].weight.abs().max() <= 1 / np.sqrt(784)  # torch's own start


@pytest.mark.parametrize(
    ("change", "name"),
    [({"activations": ("sine",)}, "activations"), ({"critical_rate": 0}, "critical_rate"), ({"steps": 0}, "steps"),
     ({"batch": 9999}, "batch"), ({"seeds": ()}, "seeds")],
)  # fmt: skip
def test_bad_specifications_are_named(change, name):
    with pytest.raises(ArgumentError, match=name):
        CriticalStartSpec(**change)
    with pytest.raises(ArgumentError, match="unit"):
        start(SMALL, "unit")
