"""Figure 5: the specification, one run's records, determinism and resumption, and what the results say."""

import copy
import io
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
from ortholab.experiments import encoding, margin_result, sequence_trial
from ortholab.experiments.margin_result import MarginResult, summarise
from ortholab.experiments.spectral_margin import CONFIGURATIONS, FIGURE_5, SpectralMarginSpec, Unit, rival_tiers, tiers

sys.path.insert(0, str(Path(__file__).parent))
from trials import finish, same


def small(configuration="margin 0.1", rate=1e-2, w_rate=1e-2, **changes):
    fields = {
        "tasks": ("permuted",), "hidden": 12, "batch": 20, "updates": 12, "n_train": 100, "n_test": 45, "shrink": 4,
        "cost_every": 5, "look_every": 4, "test_every": 6, "segment": 5,
    }  # fmt: skip
    return SpectralMarginSpec([(configuration, rate, w_rate)], **(fields | changes))


def begin(spec):
    return sequence_trial.start(spec, spec.units[0])


@pytest.mark.parametrize("configuration", ["none", "margin 0.1", "margin 0 rmsprop"])
def test_resumed_at_any_segment_it_is_the_uninterrupted_run(configuration):
    spec = small(configuration)
    expected = finish(begin(spec))
    for cut in (1, 2):
        trial = begin(spec)
        for _ in range(cut):
            trial.advance()
        stream = io.BytesIO()
        encoding.dump(trial.state_dict(), stream)  # as the engine writes it
        stream.seek(0)
        resumed = begin(spec)
        resumed.load_state_dict(encoding.undump(stream))
        assert same(finish(resumed), expected)


def test_the_segment_changes_nothing():
    a, b = (finish(begin(small(segment=segment))) for segment in (1, 100))
    assert same(a, b)


def test_records_come_when_the_specification_says():
    found = finish(begin(small()))
    assert found["cost_steps"] == [5, 10, 12]
    assert found["look_steps"] == [0, 4, 8]
    assert found["test_steps"] == [6, 12]
    assert found["times"][0] == 0
    assert found["times"][-1] == 48
    assert [len(row) for row in found["through_time"]] == [15] * 3
    assert found["epochs"] == 12 * 20 / 100
    assert found["diverged"] == -1
    assert len(found["s_final"]) == 12


def test_it_is_torchs_rmsprop_on_the_stated_images():
    """The whole run again by autograd: the same weights, batches, permutation and clipping."""
    spec = small("none", rate=1e-2, w_rate=1e-3, clip=0.5)
    found = finish(begin(spec))
    model = copy.deepcopy(begin(spec).model)
    others = [p for name, p in model.named_parameters() if name != "W"]
    optimiser = torch.optim.RMSprop([{"params": others}, {"params": [model.W], "lr": 1e-3}], lr=1e-2)
    order = sequences.permutation(49, 0)
    train = data.mnist("train", 100, source="embedded")
    test = data.mnist("test", 45, source="embedded")
    rng, losses, norms = np.random.default_rng([0, 1]), [], []

    def batch(dataset, rows):
        images = dataset.images[rows].reshape(len(rows), 7, 4, 7, 4).mean((2, 4)).reshape(len(rows), 49)
        return torch.from_numpy(images[:, order].T[:, :, None].copy()), torch.from_numpy(dataset.labels[rows])

    for step in range(12):
        if step % 5 == 0:
            rows = rng.permutation(100)
        x, y = batch(train, rows[20 * (step % 5) : 20 * (step % 5) + 20])
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x)[0], y)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        losses.append(loss.item())
        optimiser.step()
    costs = [np.mean(losses[:5]), np.mean(losses[5:10]), np.mean(losses[10:])]
    assert found["cost"] == pytest.approx(costs, rel=1e-4)
    assert found["gradient_norm"] == pytest.approx(norms[::4], rel=1e-3)
    x, y = batch(test, np.arange(45))
    with torch.no_grad():
        logits = model(x)[0]
    assert found["test_loss"][-1] == pytest.approx(torch.nn.functional.cross_entropy(logits, y).item(), rel=1e-4)
    assert found["accuracy"][-1] == pytest.approx((logits.argmax(1) == y).double().mean().item(), abs=0.03)


@pytest.mark.parametrize(
    ("configuration", "low", "high"),
    [
        ("margin 0", 1, 1),
        ("margin 0.01", 0.99, 1.01),
        ("margin 0.1 rmsprop", 0.9, 1.1),
        ("margin 0 gain 1.05", 1.05, 1.05),
    ],
)
def test_singular_values_stay_within_the_margin(configuration, low, high):
    found = finish(begin(small(configuration, rate=0.1)))
    assert min(found["s_min"]) > low - 1e-5
    assert max(found["s_max"]) < high + 1e-5
    assert found["s_final"][-1] > low - 1e-5
    assert found["distance"][0] == pytest.approx(math.sqrt(12) * (found["s_max"][0] - 1), abs=1e-5)
    if low == high:
        assert found["s_final"] == pytest.approx([low] * 12, abs=1e-5)
    else:
        assert found["s_final"][0] - found["s_final"][-1] > 1e-4  # they do move


def test_configurations_of_a_seed_share_images_and_starts():
    trials = [begin(small(name)) for name in ("none", "margin 0", "margin 1", "glorot")]
    batches = [trial._next_batch() for trial in trials]
    for trial, (x, y) in zip(trials, batches, strict=True):
        assert torch.equal(x, batches[0][0])
        assert torch.equal(y, batches[0][1])
        assert torch.equal(trial.model.W_in.data, trials[0].model.W_in.data)
    assert torch.equal(trials[1].model.W.data, trials[0].model.W.data)
    assert not torch.equal(trials[3].model.W.data, trials[0].model.W.data)


def test_permuted_is_the_same_pixels_in_the_stated_order():
    plain, permuted = (begin(small(tasks=(task,)))._next_batch()[0] for task in ("mnist", "permuted"))
    assert torch.equal(plain[sequences.permutation(49, 0)], permuted)
    assert not torch.equal(plain, permuted)


def test_a_run_that_blows_up_is_recorded():
    found = finish(begin(small("none linear", rate=1e30, w_rate=1e30)))
    assert found["diverged"] > 0
    result = MarginResult((Unit("none", 1, 1, "mnist", 0),), (found,))
    assert result.final_cost("none").tolist() == [math.inf]
    assert result.accuracy("none").tolist() == [0.0]


def test_the_full_tier_is_figure_5():
    spec = tiers["full"]
    assert (spec.source, spec.n_train, spec.shrink) == ("full", None, 1)  # 60,000 images of 784 pixels
    first = [unit for unit in spec.units if unit.seed == 0]
    assert list(spec.units[: len(first)]) == first
    assert [u.configuration for u in first[: len(FIGURE_5)]] == list(FIGURE_5)
    assert {u.task for u in first[: len(FIGURE_5)]} == {"mnist"}
    margins = {CONFIGURATIONS[name].margin for name in FIGURE_5}
    assert margins == {0, 0.001, 0.01, 0.1, 1, None}
    assert {CONFIGURATIONS[name].start for name in FIGURE_5} == {"orthogonal", "glorot", "identity"}
    assert set(rival_tiers["full"].seeds) == set(spec.seeds)
    for name in ("updates", "batch", "hidden", "source", "clip"):
        assert getattr(rival_tiers["full"], name) == getattr(spec, name)


def made(costs, w_rate=0.1, name="none", task="mnist"):
    """Results with these costs at the end, one a seed, the means of the last 60 of 100 updates."""
    units = [Unit(name, 1e-3, w_rate, task, seed) for seed in range(len(costs))]
    fields = {"cost_steps": [40, 70, 100], "diverged": -1, "accuracy": [0.5], "look_steps": [0], "times": [0, 5]}
    metrics = [{**fields, "cost": [9.0, c - 0.5, c + 0.5], "through_time": [[1.0, 2.0]], "s_max": [1.5]} for c in costs]
    return units, metrics


def test_differences_are_paired_t_intervals():
    a, b = [1.0, 1.5, 2.5], [1.2, 2.0, 2.6]
    rows = [made(a, name="none"), made(b, name="glorot")]
    result = MarginResult(tuple(rows[0][0] + rows[1][0]), tuple(rows[0][1] + rows[1][1]))
    assert result.final_cost("none") == pytest.approx(a)
    found = result.difference("glorot", "none")
    peer = scipy.stats.ttest_rel(b, a).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(np.subtract(b, a)))
    assert (found.low, found.high) == pytest.approx((peer.low, peer.high))
    assert found.seeds == 3
    steps, costs = result.curve("none")
    assert steps.tolist() == [40, 70, 100]
    assert costs.shape == (3, 3)
    times, norms = result.through_time("none")
    assert times.tolist() == [0, 5]
    assert norms.tolist() == [[0.5, 1.0]] * 3


def test_the_best_step_size_has_the_lowest_mean_cost():
    rows = [made([1.0, 3.0], 0.1), made([1.9, 1.9], 0.2), made([2.5, 2.4], 0.3)]
    result = MarginResult(tuple(u for r in rows for u in r[0]), tuple(m for r in rows for m in r[1]))
    assert result.w_rates("none") == (0.1, 0.2, 0.3)
    assert result.best_w_rate("none") == 0.2
    assert result.final_cost("none").tolist() == pytest.approx([1.9, 1.9])
    assert result.final_cost("none", w_rate=0.3).tolist() == pytest.approx([2.5, 2.4])
    frame = summarise(
        types.SimpleNamespace(
            units=[vars(u) for u in result.units], metrics=with_spectrum(result.metrics), provenance=""
        )
    )
    assert frame["cost at end"].tolist() == [(1.0, 3.0), (1.9, 1.9), (2.5, 2.4)]


def with_spectrum(metrics):
    return [m | {"s_final": [1.5, 0.5]} for m in metrics]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SpectralMarginSpec([("margin 2", 1, 1)]), "must be one of"),
        (lambda: SpectralMarginSpec([("none", 1)]), "W's rate"),
        (lambda: SpectralMarginSpec([("none", 0, 1)]), "must be"),
        (lambda: small(shrink=3), "shrink must be a divisor of 28"),
        (lambda: small(tasks=("cifar",)), "must be one of 'mnist', 'permuted'"),
        (lambda: small(source="auto"), "source must be one of"),
        (lambda: begin(small(batch=101)), "batch must be at most 100"),
        (lambda: MarginResult(*map(tuple, made([1.0]))).runs("glorot"), "configuration must be one of 'none'"),
        (lambda: MarginResult(*map(tuple, made([1.0]))).runs("none", w_rate=9.0), "w_rate must be one of"),
        (lambda: margin_result.run("full"), "spec must be a SpectralMarginSpec"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
