"""The hard constraint as a recurrent update: against geoopt, on the manifold at any length, resumed bit for bit."""

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn.init import haar
from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN
from ortholab.nn.stiefel_weights import StiefelWeights


def data(dtype=torch.float32, length=9, rows=6):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(length, rows, 3, generator=generator, dtype=dtype), torch.randint(
        4, (1, rows), generator=generator
    )


def trained(optimiser="adam", gain=1.1, n=8, rate=0.01, dtype=torch.float32, **settings):
    model = RNN(3, n, 4, generator=1, dtype=dtype)
    model.W.data.mul_(gain)
    update = StiefelWeights(model.W.data, rate=rate, optimiser=optimiser, gain=gain, **settings)
    return model, RecurrentStep(model, 6, 9, "adam", rate=rate, recurrent=update), update


@pytest.mark.parametrize("gain", [1.0, 1.25])
def test_a_step_of_sgd_is_the_cayley_step_written_with_an_inverse(gain):
    n, rate = 7, 0.05
    W = gain * haar(n, generator=2, dtype=torch.float64)
    G = torch.randn(n, n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    S = (G @ W.T - W @ G.T) / gain**2
    eye = torch.eye(n, dtype=torch.float64)
    expected = torch.linalg.inv(eye + rate * S / 2) @ (eye - rate * S / 2) @ W
    StiefelWeights(W, rate=rate, optimiser="sgd", gain=gain).update(W, G.clone())
    assert torch.allclose(W, expected, atol=1e-13)


@pytest.mark.parametrize(("optimiser", "gain"), [("adam", 1.025), ("sgd", 0.9)])
def test_W_stays_gain_times_orthogonal_over_thousands_of_steps(optimiser, gain):
    x, y = data()
    model, trainer, update = trained(optimiser, gain, n=16)
    first, start = trainer.step(x, y), model.W.detach().clone()
    for _ in range(2000):
        last = trainer.step(x, y)
    assert update.error() < 1e-6 * 16**0.5
    s = torch.linalg.svdvals(model.W.detach().double())
    assert (s - gain).abs().max() < 1e-6 * gain
    assert last < 0.1 * first
    assert (model.W - start).norm() > 0.1


def test_training_goes_on_bit_for_bit_from_a_saved_state():
    x, y = data()
    (model, whole, _), (_, first, _), (resumed, second, _) = (trained() for _ in range(3))
    for _ in range(60):
        whole.step(x, y)
    for _ in range(30):
        first.step(x, y)
    second.load_state_dict(first.state_dict())
    for _ in range(30):
        first.step(x, y)  # what was loaded does not follow the run it came from
    for _ in range(30):
        second.step(x, y)
    for name, p in model.named_parameters():
        assert torch.equal(p, getattr(resumed, name)), name


def test_the_rate_can_be_set_between_steps():
    (model, trainer, update), (x, y) = trained("sgd", rate=0.1), data()
    start = model.W.detach().clone()
    update.rate = 1e-12
    trainer.step(x, y)
    assert (model.W - start).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda W: StiefelWeights(W[:, :2], rate=0.1), "W must be a square matrix"),
        (lambda W: StiefelWeights(W, rate=0.1, gain=0), "gain must be"),
        (lambda W: StiefelWeights(W, rate=0), "rate must be"),
        (lambda W: StiefelWeights(W, rate=0.1, optimiser="rmsprop"), "optimiser must be one of"),
        (lambda W: StiefelWeights(W, rate=0.1, gain=1.5), "W must have orthonormal columns times gain = 1.5"),
        (lambda W: StiefelWeights(W, rate=0.1, momentum=0.9), "settings must be those of StiefelAdam"),
        (lambda W: StiefelWeights(W, rate=0.1).update(W.clone(), W), "W must be the tensor that this update"),
        (lambda W: StiefelWeights(W, rate=0.1).update(W, W * torch.nan), "the gradient must be finite"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(haar(4, generator=0))
