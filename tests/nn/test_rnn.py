"""The written-out training step of a recurrent network against autograd and torch.nn.RNN."""

import math

import pytest
import torch

from ortholab.nn.rnn import RNN, RecurrentStep


def batch(n_in=3, length=12, rows=5, n_out=4, steps=1, seed=0, loss="softmax"):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(length, rows, n_in, generator=generator, dtype=torch.float64)
    if loss == "softmax":
        return x, torch.randint(n_out, (steps, rows), generator=generator)
    return x, torch.randn(steps, rows, n_out, generator=generator, dtype=torch.float64)


def make(activation="tanh", start="orthogonal", n_in=3, n=7, n_out=4):
    model = RNN(n_in, n, n_out, activation=activation, start=start, generator=1, dtype=torch.float64)
    with torch.no_grad():
        for name in ("b", "b_out"):
            getattr(model, name).copy_(torch.linspace(-0.3, 0.4, len(getattr(model, name))))
    return model


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(
    ("steps", "loss"), [(1, "softmax"), (4, "softmax"), (12, "softmax"), (1, "squared"), (3, "squared")]
)
def test_gradients_are_those_of_autograd_through_torch_nn_rnn(activation, steps, loss):
    model = make(activation)
    x, y = batch(steps=steps, loss=loss)
    trainer = RecurrentStep(model, 8, 20, rate=0.1, steps=steps, loss=loss)
    found = trainer.backward(x, y)

    peer = torch.nn.RNN(3, 7, nonlinearity=activation, dtype=torch.float64)
    with torch.no_grad():
        peer.weight_hh_l0.copy_(model.W)
        peer.weight_ih_l0.copy_(model.W_in)
        peer.bias_ih_l0.copy_(model.b)
        peer.bias_hh_l0.zero_()
    readout = torch.nn.Linear(7, 4, dtype=torch.float64)
    with torch.no_grad():
        readout.weight.copy_(model.W_out)
        readout.bias.copy_(model.b_out)
    out = readout(peer(x)[0][-steps:])
    if loss == "softmax":
        expected = torch.nn.functional.cross_entropy(out.reshape(-1, 4), y.reshape(-1))
    else:
        expected = torch.nn.functional.mse_loss(out, y) / 2
    expected.backward()
    assert found == pytest.approx(expected.item(), rel=1e-13)
    theirs = {
        "W": peer.weight_hh_l0, "W_in": peer.weight_ih_l0, "b": peer.bias_ih_l0,
        "W_out": readout.weight, "b_out": readout.bias,
    }  # fmt: skip
    for name, p in theirs.items():
        error = (trainer.gradients[name] - p.grad).abs().max() / p.grad.abs().max()
        assert error < 1e-10, name
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in theirs.values()))
    assert trainer.gradient_norm == pytest.approx(norm, rel=1e-12)
