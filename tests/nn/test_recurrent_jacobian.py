"""The Jacobian of a recurrent network against torch.autograd, and its logarithms against multiprecision."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import RNN, recurrent_jacobian, recurrent_log_singular_values, recurrent_slopes


def network(activation: str = "tanh", gain: float = 1.3, n: int = 9) -> RNN:
    model = RNN(3, n, 2, activation=activation, generator=0, dtype=torch.float64)
    model.W.data *= gain
    model.b.data = torch.linspace(-0.2, 0.2, n, dtype=torch.float64)
    return model


def inputs(steps: int = 6, batch: int = 4) -> torch.Tensor:
    return torch.randn(steps, batch, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def run(model: RNN, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """h after the inputs x (T, n_in), written out with torch's own functions."""
    phi = {"tanh": torch.tanh, "relu": torch.relu, "hard_tanh": torch.nn.functional.hardtanh, "linear": lambda a: a}
    for u in x:
        h = phi[model.activation](model.W @ h + model.W_in @ u + model.b)
    return h


@pytest.mark.parametrize("activation", ["tanh", "relu", "hard_tanh", "linear"])
@pytest.mark.parametrize(("start", "stop"), [(0, 6), (0, 1), (2, 5), (5, 6)])
def test_against_autograd(activation: str, start: int, stop: int):
    model, x = network(activation), inputs()
    J = recurrent_jacobian(model, x, start, stop)
    assert J.shape == (4, 9, 9)
    for k in range(4):
        h = run(model, torch.zeros(9, dtype=torch.float64), x[:start, k]).detach()
        expected = torch.autograd.functional.jacobian(lambda v, k=k: run(model, v, x[start:stop, k]), h)
        assert torch.allclose(J[k], expected, atol=1e-12, rtol=1e-10)


def test_slopes_against_autograd():
    model, x = network(), inputs()
    h = torch.zeros(9, dtype=torch.float64)
    for t in range(6):
        a = (model.W @ h + model.W_in @ x[t, 2] + model.b).detach().requires_grad_(True)
        h = torch.tanh(a)
        (slope,) = torch.autograd.grad(h.sum(), a)
        assert torch.allclose(recurrent_slopes(model, x)[t, 2], slope, atol=1e-13)


def test_logarithms_against_svd():
    model, x = network(), inputs()
    found = recurrent_log_singular_values(model, x)
    expected = torch.linalg.svdvals(recurrent_jacobian(model, x)).log()
    assert torch.allclose(found, expected, atol=1e-9)


def test_logarithms_far_below_underflow():
    """300 steps, n = 4, gain 0.2: s from 1e-210 to 1e-300, against 700 digits (all values within 1e-9)."""
    model = network(gain=0.2, n=4)
    x = inputs(300, 1)
    found = recurrent_log_singular_values(model, x)[0].numpy()
    with mpmath.workdps(700):
        J = mpmath.eye(4)
        W = mpmath.matrix(model.W.detach().tolist())
        for d in recurrent_slopes(model, x)[:, 0]:
            J = mpmath.diag([mpmath.mpf(float(v)) for v in d]) * W * J
        squares = sorted(mpmath.eigsy(J * J.T, eigvals_only=True), reverse=True)
        expected = np.array([float(mpmath.log(v) / 2) for v in squares])
    assert expected[0] < -450
    assert np.abs(found - expected).max() < 1e-8


def test_float32_network_in_float64():
    model = RNN(3, 9, 2, generator=0)
    x = inputs().float()
    assert recurrent_jacobian(model, x).dtype == torch.float32
    assert torch.allclose(recurrent_jacobian(model, x).double(), recurrent_jacobian(model, x.double()), atol=1e-5)
    assert recurrent_log_singular_values(model, x).dtype == torch.float64


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (None, "x must be"),
        (torch.zeros(6, 3), "x must be"),
        (torch.zeros(0, 2, 3), "x must be"),
        (torch.zeros(6, 2, 4), "x must be"),
        (torch.zeros(6, 2, 3, dtype=torch.float16), "x must be"),
        (torch.full((6, 2, 3), float("nan")), "x must be finite"),
    ],
)
def test_bad_inputs_are_named(x, words):
    with pytest.raises(ArgumentError, match=words):
        recurrent_jacobian(network(), x)


def test_bad_ranges_models_and_overflow_are_named():
    with pytest.raises(ArgumentError, match="start < stop <= T = 6"):
        recurrent_jacobian(network(), inputs(), 3, 3)
    with pytest.raises(ArgumentError, match="stop"):
        recurrent_log_singular_values(network(), inputs(), 0, 7)
    with pytest.raises(ArgumentError, match="model"):
        recurrent_slopes(torch.nn.RNN(3, 9), inputs())
    wild = network("linear", gain=1e4)
    with pytest.raises(ArgumentError, match="state that overflows"):
        recurrent_slopes(wild, inputs(100))
    wild.b.data.zero_()
    with pytest.raises(ArgumentError, match="J that overflows"):
        recurrent_jacobian(wild, torch.zeros(100, 1, 3, dtype=torch.float64))
