"""The sequence models: specification, what a run trains and records, pairing, resumption, and the comparisons."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from ortholab import figures
from ortholab.errors import ArgumentError
from ortholab.experiments import encoding, load, sequence_models, sequence_models_trial
from ortholab.experiments.encoding import plain
from ortholab.experiments.sequence_models import LONG, MODELS, QUESTIONS, SEARCHED, SequenceModelsSpec, Unit, tiers
from ortholab.experiments.sequence_models_result import SequenceModelsResult, run, summarise
from ortholab.nn.lru import LRUNetwork
from ortholab.theory import ring

sys.path.insert(0, str(Path(__file__).parent))
from trials import finish, same

KINDS = ("lru 0-1", "lru 0.99-1 fixed", "reflections 4", "orthogonal held", "glorot start", "tanh held", "lstm")


def small(*models, **changes):
    fields = {"hidden": 8, "batch": 8, "epochs": 2, "updates": 3, "n_validation": 16}
    return SequenceModelsSpec([(model, 3, 1e-2) for model in models or KINDS], **(fields | changes))


def begin(model, **changes):
    spec = small(model, **changes)
    return sequence_models_trial.start(spec, spec.units[0])


@pytest.mark.parametrize("model", KINDS)
def test_a_resumed_run_is_the_uninterrupted_one_and_json_holds_its_metrics(model):
    expected = finish(begin(model))
    trial = begin(model)
    trial.advance()
    stream = io.BytesIO()
    encoding.dump(trial.state_dict(), stream)
    stream.seek(0)
    resumed = begin(model)
    resumed.load_state_dict(encoding.undump(stream))
    assert same(finish(resumed), expected)
    json.dumps(plain(expected), allow_nan=False)
    assert expected["epochs"] == [0, 1, 2]
    assert len(expected["modulus"]) == (0 if model == "lstm" else 3)


def test_an_lru_is_trained_as_torchs_adam_trains_it():
    trial, spec = begin("lru 0-1", epochs=1), small("lru 0-1")
    peer = LRUNetwork(10, 4, 9, width=8, r_min=0.0, r_max=1.0, generator=0)
    optimiser = torch.optim.Adam(peer.parameters(), 1e-2)
    batches = begin("lru 0-1").task
    for _ in range(spec.updates):
        x, y = batches.batch()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(peer(x, len(x)).flatten(0, 1), y.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
        optimiser.step()
    finish(trial)
    for name, value in peer.state_dict().items():
        torch.testing.assert_close(trial.model.state_dict()[name], value)


def test_what_is_held_stays_and_what_is_fixed_does_not_move():
    held = begin("orthogonal held")
    few = begin("reflections 4")
    fixed, trained = begin("lru 0.99-1 fixed"), begin("lru 0.99-1")
    before = fixed.model.lru.eigenvalues().detach().clone()
    assert torch.equal(before, trained.model.lru.eigenvalues())
    start = held.model.W.detach().clone()
    for trial in (held, few, fixed, trained):
        finish(trial)
    eye = torch.eye(8)
    assert (held.model.W @ held.model.W.T - eye).abs().max() < 1e-5
    assert (held.model.W - start).abs().max() > 1e-2
    W = few.model.W.detach().double()
    assert torch.linalg.matrix_rank(W - eye.double(), tol=1e-4) == 4
    assert torch.equal(fixed.model.lru.eigenvalues(), before)
    assert not torch.equal(trained.model.lru.eigenvalues(), before)


def test_runs_of_one_seed_share_batches_and_what_they_can_of_the_start():
    trials = {model: begin(model) for model in MODELS if MODELS[model].reflections <= 8}
    x = trials["lstm"].task.batch()[0]
    assert all(torch.equal(trial.task.batch()[0], x) for name, trial in trials.items() if name != "lstm")
    one, other = trials["lru 0-0.9"].model, trials["lru 0.99-1"].model
    assert torch.equal(one.lru.C, other.lru.C)
    assert torch.equal(one.W_out, other.W_out)
    assert torch.equal(trials["orthogonal held"].model.W, trials["orthogonal start"].model.W)
    assert torch.equal(trials["reflections 4"].model.W_in, trials["glorot start"].model.W_in)


def test_energy_is_that_of_the_ring_over_the_steps_from_a_symbol_to_its_copy():
    found = begin("lru 0.9-0.999", hidden=400, n_validation=1).metrics()
    assert found["energy"][0] == pytest.approx(ring.gradient_energy(13, 0.9, 0.999), rel=0.12)
    assert found["modulus"][0][3] == pytest.approx(((0.9**2 + 0.999**2) / 2) ** 0.5, abs=0.01)
    held = begin("orthogonal held").metrics()
    assert held["energy"][0] == pytest.approx(1, abs=1e-5)


def test_divergence_is_an_outcome():
    trial = begin("lru 0-1")
    with torch.no_grad():
        trial.model.W_out.fill_(float("inf"))
    assert trial.advance()
    assert trial.metrics()["diverged"] == 0
    assert trial.advance()


def made(scores, model="lru 0-1", rate=1e-2):
    """Results with these scores at the end, one a seed."""
    units = [Unit(model, 3, rate, seed) for seed in range(len(scores))]
    both = [{"epochs": [0, 1], "score": [0.1, s], "loss": [1.0, 1 - s], "modulus": [], "diverged": -1} for s in scores]
    return units, both


def test_comparisons_are_scipys_paired_t_test():
    rng = np.random.default_rng(0)
    a, b = rng.random(6), rng.random(6)
    (ua, ma), (ub, mb) = made(a.tolist()), made(b.tolist(), "lstm")
    found = SequenceModelsResult((*ua, *ub), (*ma, *mb))
    test = scipy.stats.ttest_rel(a, b)
    answer = found.compare({"a - b": ("lru 0-1", "lstm")})["a - b"]
    assert answer.p == pytest.approx(test.pvalue)
    low, high = test.confidence_interval(0.95)
    assert (answer.difference.low, answer.difference.high) == pytest.approx((low, high))
    with pytest.raises(ArgumentError, match="measure"):
        found.final("lstm", "energy")


def test_the_best_rate_is_that_of_the_lowest_loss():
    (ua, ma), (ub, mb) = made([0.2, 0.3]), made([0.4, 0.5], rate=1e-3)
    found = SequenceModelsResult((*ua, *ub), (*ma, *mb))
    assert found.best_rate("lru 0-1") == 1e-3
    with pytest.raises(ArgumentError, match="several delays or step sizes"):
        found.runs("lru 0-1")


def test_the_plan_is_whole():
    full = tiers["full"]
    assert {row[0] for row in full.plan} == set(MODELS)
    assert {model for pair in QUESTIONS.values() for model in pair} == set(MODELS)
    assert {*SEARCHED, *LONG} <= set(MODELS)
    assert len(full.seeds) == 5
    assert not {unit.seed for unit in sequence_models.search_tiers["quick"].units} & set(full.seeds)


def test_a_small_run_makes_a_table():
    found = run(small("lru 0-1", "lstm", epochs=1))
    results = type("Results", (), {})()
    results.units = [vars(unit) for unit in found.units]
    results.metrics, results.provenance = found.metrics, "x"
    table = summarise(results)
    assert list(table.model) == ["lru 0-1", "lstm"]
    assert table.seeds.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"plan": [("gru", 3, 1e-2)]}, r"plan\[0\]\[0\] must be one of 'lru"),
        ({"plan": [("lstm", 1, 1e-2)]}, r"plan\[0\]\[1\] must be an integer >= 2"),
        ({"plan": [("lstm", 3, 0)]}, r"plan\[0\]\[2\]"),
        ({"plan": [("lstm", 3)]}, "(model, delay, rate)"),
        ({"plan": [("reflections 16", 3, 1e-2)]}, "hidden must be at least 16"),
        ({"hidden": 7}, "even"),
        ({"clip": 0}, "clip"),
    ],
)
def test_bad_specifications(changes, words):
    with pytest.raises(ArgumentError, match=words):
        replace(small("lstm"), **changes)


def test_the_figure_of_the_stored_run_has_a_line_for_each_model():
    stored = load(Path(__file__).parents[2] / "book" / "results", "sequence_models", "full")
    (ax,) = figures.sequence_models(stored).axes
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(SequenceModelsResult.of(stored).models)
