"""The audit: specification, what a run trains on and records, pairing, resumption, and the comparisons."""

import dataclasses
import io
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from ortholab import data, sequences
from ortholab.errors import ArgumentError
from ortholab.experiments import encoding, gain_plans, gain_tasks, gain_trial
from ortholab.experiments.encoding import plain
from ortholab.experiments.gain_audit import GainSpec, Unit
from ortholab.experiments.gain_result import GainResult, holm, run, summarise
from ortholab.nn.rnn import RNN
from ortholab.theory.critical import critical_point

sys.path.insert(0, str(Path(__file__).parent))
from trials import finish, same

SUM, PLAIN, NONE, HARD = ("sum", "adjusted", 0.1, 1.2), ("sum", "plain", 0.1, 1.2), ("none", "", 0.0, 1.2), (
    "hard", "", 0.0, 1.2,
)  # fmt: skip


def small(*plan, **changes):
    fields = {"hidden": 10, "batch": 20, "epochs": 2, "n_train": 100, "n_validation": 45, "rate": 1e-2}
    return GainSpec(plan or (SUM,), **(fields | changes))


def begin(spec):
    return gain_trial.start(spec, spec.units[0])


TASKS = [
    {"task": "rows"},
    {"task": "pixels", "shrink": 4},
    {"task": "copying", "delay": 3, "updates": 4, "clip": 1.0},
    {"task": "adding", "delay": 6, "updates": 4},
]


@pytest.mark.parametrize("row", [SUM, HARD])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["task"])
def test_a_resumed_run_is_the_uninterrupted_one_and_json_holds_its_metrics(row, task):
    spec = small(row, **task)
    expected = finish(begin(spec))
    trial = begin(spec)
    trial.advance()
    stream = io.BytesIO()
    encoding.dump(trial.state_dict(), stream)
    stream.seek(0)
    resumed = begin(spec)
    resumed.load_state_dict(encoding.undump(stream))
    assert same(finish(resumed), expected)
    json.dumps(plain(expected), allow_nan=False)
    assert expected["epochs"] == [0, 1, 2]
    assert len(expected["training_loss"]) == 2


def test_a_unit_without_penalty_is_torchs_own_training_of_the_same_network():
    spec = small(NONE, epochs=1)
    trial = begin(spec)
    model = RNN(28, 10, 10, generator=0)
    peer = torch.nn.RNN(28, 10)
    readout = torch.nn.Linear(10, 10)
    with torch.no_grad():
        peer.weight_hh_l0.copy_(1.2 * model.W)
        for mine, its in ((peer.weight_ih_l0, model.W_in), (readout.weight, model.W_out)):
            mine.copy_(its)
        for bias in (peer.bias_ih_l0, peer.bias_hh_l0, readout.bias):
            bias.zero_()
    peer.bias_hh_l0.requires_grad_(False)  # torch has two biases where one would do
    optimiser = torch.optim.Adam([p for p in (*peer.parameters(), *readout.parameters()) if p.requires_grad], 1e-2)
    images = data.mnist("train", 145, source="embedded")
    rng = np.random.default_rng([0, 1])
    order = rng.permutation(100)
    for k in range(5):
        rows = order[20 * k : 20 * k + 20]
        x, y = torch.from_numpy(sequences.rows(images.images[rows])), torch.from_numpy(images.labels[rows])
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(readout(peer(x)[0][-1]), y).backward()
        optimiser.step()
    found = finish(trial)
    torch.testing.assert_close(trial.W, peer.weight_hh_l0.data, rtol=1e-4, atol=1e-5)
    s = np.linalg.svd(peer.weight_hh_l0.data.double().numpy(), compute_uv=False)
    assert found["s_mean"][-1] == pytest.approx(s.mean(), abs=1e-4)
    assert found["s_std"][-1] == pytest.approx(s.std(), abs=1e-4)
    logits = readout(peer(torch.from_numpy(sequences.rows(images.images[100:])))[0][-1])
    right = (logits.argmax(1).numpy() == images.labels[100:]).mean()
    assert found["score"][-1] == pytest.approx(right, abs=1e-5)


def test_runs_of_one_seed_share_the_start_and_the_batches():
    trials = [gain_trial.start(small(), Unit(*row, 3)) for row in (SUM, HARD, NONE, ("glorot", "", 0.0, 1.0))]
    first = trials[0].task.batch()
    for trial in trials[1:]:
        assert torch.equal(trial.model.W_in, trials[0].model.W_in)
        assert torch.equal(trial.model.W_out, trials[0].model.W_out)
        x, y = trial.task.batch()
        assert torch.equal(x, first[0])
        assert torch.equal(y, first[1])
    assert torch.equal(trials[1].W, trials[0].W)
    assert torch.linalg.svdvals(trials[0].W).numpy() == pytest.approx(1.2, abs=1e-5)
    assert torch.linalg.svdvals(trials[3].W).std() > 0.2


def test_penalties_move_the_spectrum_to_their_targets_and_the_hard_constraint_keeps_it():
    strong = {"rate": 3e-3, "epochs": 12}
    plan = [(kind, target, weight, 1.3) for kind, target, weight in (
        ("sum", "adjusted", 3.0), ("sum", "plain", 3.0), ("mean", "plain", 300.0), ("hard", "", 0.0))]  # fmt: skip
    found = run(small(*plan, hard_rate=1e-2, **strong))
    ends = [(found.final(row, "s_mean").value, found.final(row, "s_std").value) for row in found.rows]
    for (mean, std), target in zip(ends, (1.3, 1.0, 1.0, 1.3), strict=True):
        assert mean == pytest.approx(target, abs=0.03)
        assert std < 0.05
    assert ends[-1][1] < 1e-6


def test_the_critical_gain_is_that_of_the_inputs():
    trial = begin(small(("none", "", 0, "critical"), n_train=300))
    images = data.mnist("train", 300, source="embedded").images.astype(float)
    W_in = torch.nn.init.xavier_uniform_(torch.empty(10, 28), generator=torch.Generator().manual_seed(0))
    variance = float(W_in.double().var(correction=0)) * (images**2).sum(2).mean()
    assert trial.input_variance == pytest.approx(variance, rel=0.15)  # 280 entries were drawn
    assert trial.gain == critical_point("tanh", trial.input_variance**0.5).sigma_w
    assert torch.linalg.svdvals(trial.W).numpy() == pytest.approx(trial.gain, rel=1e-5)


def test_losses_of_generated_tasks_count_no_memory_as_one():
    for task, delay in (("copying", 5), ("adding", 8)):
        spec = small(task=task, delay=delay, n_validation=4000)
        made = gain_tasks.make(spec, 0)
        if task == "copying":  # blanks where due, any symbol at the end
            out = torch.full((*made.y.shape, 9), -60.0)
            out[:-10, :, 8] = 0
            out[-10:, :, 8], out[-10:, :, :8] = -60, 0
            expected_score = 0.125
        else:
            out = torch.ones(1, 4000, 1)
            expected_score = ((made.y - 1).abs() < 0.1).double().mean().item()
        loss, score = made.judge(lambda x, out=out: out)
        assert loss == pytest.approx(1, abs=0.06)
        assert score == pytest.approx(expected_score, abs=0.02)


def test_divergence_is_recorded():
    spec = small(("sum", "adjusted", 1e6, 1.2), rate=1e15, epochs=3)  # W^3 overflows
    found = finish(begin(spec))
    assert found["diverged"] >= 0
    json.dumps(plain(found), allow_nan=False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("none", "", 0.1, 1.0), "0 for 'none'"), (("sum", "adjusted", 0, 1.0), "must be"), (("sum", "", 1, 1.0), "be"),
        (("hard", "plain", 0, 1.0), "must be"), (("soft", "", 0, 1.0), "must be"), (("none", "", 0, 0), "must be"),
        (("none", "", 0, "large"), "must be"), (("none", "", 0, -1.5), "must be"), (("glorot", "", 0, 1.1), "Glorot"),
        (("none", "", 0), "gain"), ("none", "gain"), (("sum", "adjusted", math.nan, 1.0), "must be"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(row, message):
    with pytest.raises(ArgumentError, match=message):
        small(row)


@pytest.mark.parametrize(
    "changes",
    [{"task": "digits"}, {"shrink": 3, "task": "pixels"}, {"shrink": 2}, {"clip": 0}, {"batch": 101}, {"rate": 0},
     {"delay": 1}, {"epochs": 0}, {"seeds": ()}, {"source": "web"}],
)  # fmt: skip
def test_a_bad_setting_is_named(changes):
    with pytest.raises(ArgumentError, match="|".join(changes)):
        small(**changes)


def test_too_few_images_are_named():
    with pytest.raises(ArgumentError, match="4000"):
        begin(small(n_train=3900, n_validation=200))


def made_up(scores, rows=(SUM, NONE)):
    """Results with these final scores, a row of ``scores`` for a configuration."""
    units = [Unit(*row, seed) for seed in range(len(scores[0])) for row in rows]
    values = [scores[k][seed] for seed in range(len(scores[0])) for k in range(len(rows))]
    fields = {"loss": [1.0], "s_mean": [1.0], "s_std": [0.0], "epochs": [0], "gain": 1.2, "diverged": -1}
    return GainResult(tuple(units), tuple({"score": [v], **fields} for v in values))


def test_comparisons_are_scipys_paired_t_tests():
    rng = np.random.default_rng(0)
    scores = rng.random((4, 10)) + np.array([[0.6], [0], [0.1], [0.05]])
    rows = (SUM, NONE, PLAIN, HARD)
    result = made_up(scores, rows)
    questions = {"a": (SUM, NONE), "b": (PLAIN, NONE), "c": (PLAIN, HARD), "not run": (SUM, ("mean", *SUM[1:]))}
    found = result.compare(questions)
    assert list(found) == ["a", "b", "c"]
    p = []
    for name, (i, j) in {"a": (0, 1), "b": (2, 1), "c": (2, 3)}.items():
        test = scipy.stats.ttest_rel(scores[i], scores[j])
        p.append(test.pvalue)
        low, high = test.confidence_interval(0.95)
        assert (found[name].difference.low, found[name].difference.high) == pytest.approx((low, high))
        assert found[name].p == pytest.approx(test.pvalue)
    assert [c.p_holm for c in found.values()] == pytest.approx(holm(p))
    assert found["a"].found
    assert not found["b"].found


def test_holm_against_its_definition():
    rng = np.random.default_rng(1)
    for m in (1, 2, 7):
        p = rng.random(m) ** 3
        order = np.argsort(p)
        expected = np.empty(m)
        for rank, k in enumerate(order):
            expected[k] = min(1, max((m - i) * p[order[i]] for i in range(rank + 1)))
        assert holm(p) == pytest.approx(expected)


def test_differences_without_spread():
    assert made_up([[0.5, 0.6], [0.5, 0.6]]).compare({"same": (SUM, NONE)})["same"].p == 1
    shifted = made_up([[0.75, 0.5], [0.5, 0.25]]).compare({"shifted": (SUM, NONE)})["shifted"]
    assert (shifted.p, shifted.found) == (0, True)


def test_comparisons_that_cannot_be_made_are_named():
    with pytest.raises(ArgumentError, match="rows that were run"):
        made_up([[0.5, 0.6], [0.5, 0.6]]).compare({"other": (HARD, PLAIN)})
    with pytest.raises(ArgumentError, match="two or more"):
        made_up([[0.5], [0.5]]).compare({"one seed": (SUM, NONE)})
    with pytest.raises(ArgumentError, match="row must be"):
        made_up([[0.5], [0.5]]).runs(HARD)


def test_every_question_of_the_plan_has_its_cells():
    rows = set(gain_plans.tiers["full"].plan)
    assert {row for pair in gain_plans.QUESTIONS.values() for row in pair} <= rows
    assert len(gain_plans.tiers["full"].seeds) >= 10
    assert len(gain_plans.code_tiers["full"].seeds) >= 10


def test_the_table_names_every_configuration():
    found = run(small(SUM, NONE, seeds=(0, 1), epochs=1))
    stored = types.SimpleNamespace(
        units=[dataclasses.asdict(u) for u in found.units], metrics=found.metrics, provenance=""
    )
    table = summarise(stored)
    assert list(table["treatment"]) == ["sum", "none"]
    assert list(table["seeds"]) == [2, 2]
