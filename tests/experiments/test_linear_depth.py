"""Figure 3 A: the data a linear network sees, the batched descent against the plain one, and the acceptance ratios."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ortholab import data
from ortholab.errors import ArgumentError
from ortholab.experiments import linear_depth as ld
from ortholab.experiments.linear_depth import Descent, LinearDepthSpec, Unit, run
from ortholab.theory import deep_linear

SMALL = {"depths": (5, 2), "width": 12, "seeds": (3, 1), "max_steps": 30, "n_train": 300}


@pytest.mark.parametrize("start", ld.STARTS)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_batched_descent_equals_the_plain_one(start, depth):
    spec = LinearDepthSpec(**SMALL)
    problem = ld.prepare(spec)
    weights = ld.start_weights(spec, Unit(start, depth, 0), problem)
    sizes = np.array([0.05, 0.2, 0.4]) / depth
    descent = Descent(weights, problem, sizes)
    plain = [deep_linear.train(weights, problem.T, step=size, steps=25) for size in sizes]
    for step in range(26):
        for copy, products in enumerate(plain):
            np.testing.assert_allclose(descent.product[copy].numpy(), products[step], atol=1e-10, rtol=0)
            error = np.sum((problem.T - products[step]) ** 2) / np.sum(problem.T**2)
            assert descent.error()[copy] == pytest.approx(error, rel=1e-9)
        descent.step()


def test_unwhitened_descent_equals_autograd_on_the_images():
    spec = LinearDepthSpec(**SMALL, whiten=False)
    dataset = data.mnist("train", 300, source="embedded")
    problem = ld.prepare(spec, dataset)
    weights = ld.start_weights(spec, Unit("gaussian", 3, 0), problem)
    # the same inputs, from the pixels: components of the uncentred second moment, one common unit
    p = dataset.flat.astype(float)
    moments, axes = np.linalg.eigh(p.T @ p / 300)
    x = p @ axes[:, :-13:-1]
    x *= np.sign(axes[:, :-13:-1].sum(0)) / math.sqrt(moments[:-13:-1].mean())
    y = np.eye(10)[dataset.labels] * math.sqrt(10)
    layers = [torch.tensor(w, requires_grad=True) for w in weights]
    out = torch.tensor(x).T
    for w in layers:
        out = w @ out
    loss = ((torch.tensor(y).T - out) ** 2).sum() / 600
    loss.backward()
    descent = Descent(weights, problem, [0.01])
    descent.step()
    for w, ours in zip(layers, descent.W, strict=True):
        np.testing.assert_allclose(ours[0].numpy(), (w - 0.01 * w.grad).detach().numpy(), atol=1e-10)
    # the error is the part of the loss that can be removed
    best = np.linalg.lstsq(x, y, rcond=None)[0].T
    floor = np.mean(np.sum((y - x @ best.T) ** 2, axis=1)) / 2
    share = (loss.item() - floor) / (np.mean(np.sum((x @ best.T) ** 2, axis=1)) / 2)
    assert Descent(weights, problem, [0.01]).error()[0] == pytest.approx(share, rel=1e-8)


def test_the_problem_is_whitened_and_states_what_it_keeps():
    spec = LinearDepthSpec(width=30, n_train=500)
    white, plain = ld.prepare(spec), ld.prepare(replace(spec, whiten=False))
    assert np.array_equal(white.C, np.eye(30))
    assert 0 < white.strengths.min() < white.strengths.max() < 1.1  # correlations, but for unequal class counts
    assert np.trace(plain.C) == pytest.approx(30)
    assert np.allclose(plain.C, np.diag(np.diag(plain.C)), atol=1e-9)
    assert plain.C[0, 0] / plain.C[-1, -1] == pytest.approx(white.condition)
    assert 0.7 < white.kept < ld.prepare(replace(spec, width=60)).kept < 1


def test_starts_share_draws_and_have_the_stated_laws():
    spec = LinearDepthSpec(width=40)
    problem = ld.prepare(spec)
    g, q, a = (ld.start_weights(spec, Unit(kind, 4, 7), problem) for kind in ld.STARTS)
    assert [w.shape for w in g] == [(40, 40)] * 3 + [(10, 40)]
    assert np.mean([np.mean(w**2) * 40 for w in g]) == pytest.approx(1, abs=0.1)
    for w, polar in zip(g, q, strict=True):
        assert np.allclose(polar @ polar.T, np.eye(len(w)), atol=1e-12)
        symmetric = polar.T @ w  # w = polar (w^T w)^(1/2)
        assert np.allclose(symmetric, symmetric.T, atol=1e-12)
    assert np.array_equal(a[-1], g[-1])
    for trained, polar in zip(a[:-1], q[:-1], strict=True):
        off = np.sort(np.linalg.svd(trained - polar, compute_uv=False))
        assert off[-3] < 0.01  # all but the directions that the Gaussian start had all but lost
    assert not np.array_equal(g[0], ld.start_weights(spec, Unit("gaussian", 5, 7), problem)[0])


def test_pretraining_follows_its_closed_form_and_refuses_to_diverge():
    s0, rate, steps = np.array([0.2, 0.9, 1.6]), 1e-3, 700
    W = ld.pretrain([np.diag(s0)], np.eye(3), rate=rate, steps=steps)[0]
    expected = 1 / np.sqrt(1 + (1 / s0**2 - 1) * np.exp(-4 * rate * steps))
    np.testing.assert_allclose(np.diag(W), expected, rtol=5e-3)
    with pytest.raises(ArgumentError, match="pretrain_rate must be smaller: layer 1"):
        ld.pretrain([3 * np.eye(3)], np.eye(3), rate=1.0, steps=100)
    two = ld.pretrain([np.eye(3) * 0.5, np.eye(3) * 1.2], np.diag([4.0, 1.0, 0.5]), rate=0.1, steps=400)
    assert all(np.allclose(w, np.eye(3), atol=1e-3) for w in two)


def test_repeats_itself_unit_by_unit():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    spec = LinearDepthSpec(**SMALL)
    result = run(spec)
    assert len(spec.units) == 12
    assert result.steps.shape == (3, 2, 2)
    for i, unit in enumerate(spec.units):
        alone = ld.run_unit(spec, unit, result.problem)
        place = np.unravel_index(i, result.steps.shape)
        for name in ("steps", "step_size", "error", "at_edge", "diverged", "distance"):
            assert getattr(result, name)[place] == getattr(alone, name)
    part = run(replace(spec, starts=("orthogonal",), depths=(2,), seeds=(1,)))
    assert part.steps[0, 0, 0] == result.of("orthogonal")[1, 1]
    assert part.error[0, 0, 0] == result.of("orthogonal", "error")[1, 1]
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_both_precisions_count_the_same_steps():
    spec = LinearDepthSpec(**{**SMALL, "depths": (2, 6), "max_steps": 60}, dtype="float64")
    double, single = run(spec), run(replace(spec, dtype="float32"))
    assert np.isfinite(double.of("orthogonal")).all()
    assert np.array_equal(double.steps, single.steps)
    np.testing.assert_allclose(double.error, single.error, rtol=1e-3)


def test_one_whitened_layer_is_learnt_in_one_step():
    result = run(LinearDepthSpec(**{**SMALL, "depths": (1,)}))
    assert (result.steps == 1).all()
    assert (result.step_size == 1).all()
    assert (result.error < 1e-10).all()


def test_runs_that_never_get_there_are_kept_as_such():
    spec = LinearDepthSpec(**{**SMALL, "depths": (2, 30), "max_steps": 10}, starts=("gaussian",))
    result = run(spec)
    assert np.isposinf(result.of("gaussian")[1]).all()
    assert np.isfinite(result.of("gaussian", "error")).all()
    assert (result.of("gaussian", "error")[1] > spec.threshold).all()
    assert (result.at_least("gaussian")[1] == 10).all()
    assert result.ratio("gaussian", 30, 2).lower_bound
    assert result.spread("gaussian").lower_bound
    with pytest.raises(ArgumentError, match="shallow = 30: some runs were cut short"):
        result.ratio("gaussian", 2, 30)


@pytest.mark.filterwarnings("error")
def test_divergence_is_an_outcome():
    spec = LinearDepthSpec(**{**SMALL, "depths": (5,), "seeds": (0,)}, starts=("orthogonal",))
    lost = run(replace(spec, rates=(50.0, 1e200)))
    assert np.isposinf(lost.steps).all()
    assert np.isposinf(lost.error).all()
    assert (lost.diverged == 2).all()
    assert lost.at_edge.all()
    mixed = run(replace(spec, rates=(1.0, 1e5)))
    alone = run(replace(spec, rates=(1.0,)))
    assert np.isfinite(mixed.steps).all()
    assert mixed.steps == alone.steps
    assert mixed.diverged == 1


def test_statistics():
    spec = LinearDepthSpec(depths=(2, 8), starts=("orthogonal",), seeds=(0, 1, 2))
    zeros = np.zeros((1, 2, 3))
    steps = np.array([[[2.0, 2.0, 2.0], [4.0, 4.0, 8.0]]])
    result = ld.LinearDepthResult(spec, None, steps, zeros + 1, zeros, zeros, zeros, zeros, 0.0)
    ratio = result.ratio("orthogonal", 8, 2)
    logs = np.log([2, 2, 4])
    half = 4.302653 * logs.std(ddof=1) / math.sqrt(3)  # t with 2 degrees of freedom
    assert np.log([ratio.value, ratio.low, ratio.high]) == pytest.approx(logs.mean() + np.array([0, -half, half]))
    spread = result.spread("orthogonal")
    assert spread.value == pytest.approx(16 / 6)
    assert (spread.low, spread.high) == (2.0, 4.0)
    mean, low, high = result.interval("orthogonal")
    assert mean[0] == low[0] == high[0] == 2
    assert low[1] < mean[1] < high[1]


def test_acceptance_on_mnist():
    """The 2019 deck's Figure 3 A: flat for orthogonal starts, growing for Gaussian ones."""
    flat, grows = ld.claim_ratios()
    assert flat.value <= 2
    assert not flat.lower_bound
    assert grows.value >= 6
    assert grows.low >= 6


def test_full_tier_is_the_same_code():
    spec = ld.full()
    assert max(spec.depths) == 100
    assert len(spec.units) == 3 * 14 * 10
    tiny = replace(spec, depths=(2,), seeds=(0,), width=12, starts=("orthogonal",))
    assert np.isfinite(run(tiny, progress=False).steps).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depths": ()}, "depths must be"),
        ({"depths": (2, 2)}, "depths must not hold a value twice"),
        ({"depths": (0,)}, r"depths\[0\] must be"),
        ({"starts": ("glorot",)}, r"starts\[0\] must be one of"),
        ({"seeds": (-1,)}, r"seeds\[0\] must be"),
        ({"rates": (0.0,)}, r"rates\[0\] must be"),
        ({"threshold": 1.0}, "threshold must be"),
        ({"width": 9}, "width must be"),
        ({"max_steps": 0}, "max_steps must be"),
        ({"n_train": 2.5}, "n_train must be"),
        ({"whiten": 1}, "whiten must be"),
        ({"pretrain_steps": -1}, "pretrain_steps must be"),
        ({"pretrain_rate": 0}, "pretrain_rate must be"),
        ({"dtype": "float16"}, "dtype must be one of"),
    ],
)
def test_bad_specifications(change, message):
    with pytest.raises(ArgumentError, match=message):
        LinearDepthSpec(**change)


def test_bad_arguments():
    spec = LinearDepthSpec(**SMALL)
    with pytest.raises(ArgumentError, match="spec must be a LinearDepthSpec"):
        run("quick")
    with pytest.raises(ArgumentError, match="dataset must be"):
        run(spec, np.zeros(3))
    with pytest.raises(ArgumentError, match="n_train must be at most 200"):
        run(spec, data.mnist("train", 200, source="embedded"))
    with pytest.raises(ArgumentError, match="width must be between 10 and the rank"):
        ld.prepare(replace(spec, width=700))
    with pytest.raises(ArgumentError, match="device must be"):
        run(replace(spec, dtype="float64"), device="mps")
    with pytest.raises(ArgumentError, match="start must be one of"):
        run(replace(spec, starts=("orthogonal",))).of("gaussian")
