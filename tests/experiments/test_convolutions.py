"""The plain convolutional networks: units share what they should, runs repeat their bits, divergence is recorded."""

import math
from dataclasses import replace

import matplotlib.figure
import pytest

from ortholab import figures
from ortholab.errors import ArgumentError
from ortholab.experiments import load, run
from ortholab.experiments.convolutions import RATES, ConvolutionsSpec, Unit, search_tiers, start, tiers
from ortholab.nn.plain_cnn import KERNELS

SMALL = ConvolutionsSpec(
    plan=[(kernels, 1.0) for kernels in KERNELS], depths=[6], seeds=[0], channels=6, batch=16, n_test=50, max_steps=25
)


def metrics(spec, unit):
    trial = start(spec, unit)
    assert trial.advance()
    return {k: v for k, v in trial.metrics().items() if k != "seconds_a_step"}


@pytest.mark.parametrize("unit", SMALL.units)
def test_a_shallow_network_learns_from_any_start_and_repeats_its_bits(unit):
    found = metrics(SMALL, unit)
    assert found == metrics(SMALL, unit)
    assert found["diverged"] == -1
    assert found["steps"] == [0, 20, 25]
    assert len(found["loss"]) == 25
    assert found["final_loss"] == pytest.approx(sum(found["loss"][-10:]) / 10)
    assert found["final_loss"] < 0.95 * found["loss"][0]
    assert found["final_accuracy"] == found["accuracy"][-1] > found["accuracy"][0]
    assert min(found["gradient_first"], found["gradient_last"]) > 0
    assert found["loss"] != metrics(SMALL, replace(unit, seed=1))["loss"]


def test_divergence_is_recorded():
    spec = replace(SMALL, plan=[("gaussian", 1e7)])
    found = metrics(spec, spec.units[0])
    assert found["diverged"] > 0
    assert math.isinf(found["final_loss"])
    assert found["final_accuracy"] == 0


def test_all_laws_run_at_one_step_size_of_the_searched_ones():
    assert {unit.rate for spec in tiers.values() for unit in spec.units} == {1.0} == set(RATES.values())
    searched = {unit.seed for unit in search_tiers["quick"].units}
    assert not searched & {unit.seed for spec in tiers.values() for unit in spec.units}


def test_the_figure_is_drawn_from_a_store(tmp_path):
    small = {"depths": (2, 4), "max_steps": 2, "n_test": 20, "channels": 4}
    store = run("convolutions", store=tmp_path, settings=small)
    assert isinstance(figures.convolutions(load(store.folder)), matplotlib.figure.Figure)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: replace(SMALL, plan=[("delta", 1)]), "must be one of"),
        (lambda: replace(SMALL, plan=["gaussian"]), "law of the kernels, step sizes"),
        (lambda: replace(SMALL, plan=[("gaussian", -1)]), "plan"),
        (lambda: replace(SMALL, depths=[0]), "depths"),
        (lambda: start("spec", SMALL.units[0]), "spec must be a ConvolutionsSpec"),
        (lambda: start(SMALL, "unit"), "unit must be a Unit"),
        (lambda: start(replace(SMALL, batch=10**6), Unit("gaussian", 1.0, 2, 0)), "batch"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
