"""Measured trainability: hand-written gradients against autograd, divergence as an outcome, and the effect itself."""

import math

import numpy as np
import pytest
import torch

from ortholab import data
from ortholab.experiments import trainability
from ortholab.experiments.trainability import TrainabilityResult, TrainabilitySpec, _Stack, run
from ortholab.nn import torch_activation

SMALL = {"depths": (3, 2), "sigma_w": (0.9, 1.6), "width": 12, "steps": 6, "batch": 16, "n_train": 60}


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "hard_tanh", torch.sin])
def test_one_step_is_a_step_of_gradient_descent(activation):
    spec = TrainabilitySpec(**{**SMALL, "steps": 1}, activation=activation, learning_rate=0.6)
    generator = torch.Generator().manual_seed(4)
    x, y = torch.randn(16, 30, generator=generator), torch.arange(16) % 10
    stack = _Stack(spec, 3, 0, 30, 10)
    phi = torch_activation(activation).phi
    expected = []
    for net in range(2):  # each network of the stack alone, by autograd
        parameters = [p[net].clone().requires_grad_(True) for p in (*stack.W, *stack.b)]
        W, b = parameters[:4], parameters[4:]
        state = x
        for i in range(4):
            state = state @ W[i] + b[i]
            state = phi(state) if i < 3 else state
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(state, y), parameters)
        expected.append([p.detach() - 0.6 / 3 * g for p, g in zip(parameters, gradients, strict=True)])
    stack.train(x, y)
    for net in range(2):
        for ours, autograd in zip((*stack.W, *stack.b), expected[net], strict=True):
            assert torch.allclose(ours[net], autograd, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_start_has_the_stated_law_and_is_shared_by_all_sigma_w(weights):
    spec = TrainabilitySpec(depths=(2,), sigma_w=(1.0, 3.0), width=80, weights=weights, sigma_b=0.5)
    stack = _Stack(spec, 2, 0, 60, 10)
    for W in stack.W:
        n_in = W.shape[1]
        assert torch.allclose(W[1], 3 * W[0])
        assert abs(W[0].square().mean().item() * n_in - 1) < 5 * math.sqrt(2 / W[0].numel())
    if weights == "orthogonal":
        assert torch.allclose(stack.W[1][0].mT @ stack.W[1][0], torch.eye(80), atol=1e-5)
    assert abs(torch.cat([b[0].ravel() for b in stack.b]).std().item() - 0.5) < 0.15


def test_repeats_itself_and_leaves_torch_as_it_was():
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    first = run(TrainabilitySpec(**SMALL, seeds=(0, 1)))
    second = run(TrainabilitySpec(**{**SMALL, "depths": (2,)}, seeds=(1,)))
    assert first.accuracy.shape == first.loss.shape == first.diverged.shape == (2, 2, 2)
    assert np.array_equal(first.loss[1:, :, 1:], second.loss)  # a run does not depend on the rest of the grid
    assert not np.array_equal(first.loss[..., 0], first.loss[..., 1])
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    assert first.data_source == "embedded"
    assert first.data_sha256 == data.mnist("train", 60, source="embedded").sha256


@pytest.mark.filterwarnings("error")
def test_divergence_is_an_outcome():
    spec = TrainabilitySpec(**{**SMALL, "steps": 40}, activation="linear", learning_rate=1e5)
    result = run(spec)
    assert result.diverged.all()
    assert (result.accuracy == 0).all()
    assert np.isposinf(result.loss).all()
    assert not np.isnan(result.loss).any()
    one_of_two = run(TrainabilitySpec(**{**SMALL, "sigma_w": (1.0, 1e20)}, activation="linear", learning_rate=1e-3))
    assert one_of_two.diverged.tolist() == [[[False], [True]]] * 2


def test_other_data_and_a_bar(capfd):
    result = run(TrainabilitySpec(**SMALL), data.digits(), progress=True)
    assert result.data_source == "scikit-learn"
    assert "trainability: 100%" in capfd.readouterr().err


def test_trainable_depth():
    spec = TrainabilitySpec(depths=(100, 1, 10), sigma_w=(1.0, 1.1, 1.2, 1.3))
    accuracy = np.array([[0.0, 0.9, 0.1, 0.4], [0.9, 0.9, 0.3, 0.6], [0.5, 0.9, 0.2, 0.5]])[..., None]
    zeros = np.zeros_like(accuracy)
    result = TrainabilityResult(spec, accuracy, zeros, zeros > 0, "", "", 0.0)
    assert np.allclose(result.trainable_depth(0.5)[:, 0], [10.0, math.inf, 0.0, 10.0])
    assert np.allclose(result.trainable_depth(0.25)[[0, 2], 0], [10 * 10**0.5, 10 * 0.1 ** (0.05 / 0.1)])


def test_the_depth_that_trains_peaks_at_the_critical_point():
    """tanh, sigma_b^2 = 0.05, critical sigma_w^2 = 1.761: shallow nets train on both sides, deep ones only there."""
    sigma_w = tuple(math.sqrt(v) for v in (1.0, 1.761, 3.6))
    spec = TrainabilitySpec(depths=(5, 40), sigma_w=sigma_w, steps=120)
    accuracy = trainability.run(spec).accuracy[..., 0]
    assert accuracy[0].min() > 0.85
    assert accuracy[1, 1] > accuracy[1, [0, 2]].max() + 0.25


def test_infinite_weights_behind_a_saturated_tanh_count_as_diverged():
    spec = TrainabilitySpec(**SMALL)
    stack = _Stack(spec, 2, 0, 30, 10)
    stack.W[0][1, 0, 0] = math.inf  # tanh hides it: the output stays finite
    accuracy, loss = stack.evaluate(torch.ones(8, 30), torch.zeros(8, dtype=torch.int64))
    assert np.isfinite(loss[0])
    assert np.isposinf(loss[1])
    assert accuracy[1] == 0
