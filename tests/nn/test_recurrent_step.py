"""The written-out training step of a recurrent network against autograd and torch.nn.RNN."""

import itertools
import math

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN


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


def test_forward_and_predict_agree():
    model, (x, _) = make(), batch(steps=3)
    trainer = RecurrentStep(model, 2, 12, rate=0.1, steps=3)  # five sequences, two at a time
    assert torch.allclose(trainer.predict(x), model(x, steps=3).detach(), atol=1e-14)
    assert model(x).shape == (1, 5, 4)


@pytest.mark.parametrize("activation", ["tanh", "relu", "hard_tanh", "linear"])
def test_gradients_are_those_of_autograd_through_its_own_forward(activation):
    model, (x, y) = make(activation), batch(steps=2, seed=4)
    trainer = RecurrentStep(model, 5, 12, rate=0.1, steps=2)
    trainer.backward(x, y)
    torch.nn.functional.cross_entropy(model(x, steps=2).reshape(-1, 4), y.reshape(-1)).backward()
    for name, p in model.named_parameters():
        assert torch.allclose(trainer.gradients[name], p.grad, rtol=1e-10, atol=1e-14), name


def test_the_gradient_through_time_is_that_of_the_preactivations():
    model, (x, y) = make("tanh"), batch(length=9, rows=4)
    trainer = RecurrentStep(model, 4, 9, rate=0.1)
    trainer.backward(x, y)
    h, kept = torch.zeros(4, 7, dtype=torch.float64), []
    for x_t in x:
        a = x_t @ model.W_in.T + h @ model.W.T + model.b
        a.retain_grad()
        kept.append(a)
        h = torch.tanh(a)
    torch.nn.functional.cross_entropy(h @ model.W_out.T + model.b_out, y[0]).backward()
    expected = [kept[t].grad.norm().item() for t in (0, 4, 8)]
    assert trainer.gradient_through_time([0, 4, 8]) == pytest.approx(expected, rel=1e-12)


def test_without_the_norms_through_time_the_step_is_the_same():
    (x, y), losses = batch(), []
    for through_time in (True, False):
        trainer = RecurrentStep(make(), 5, 12, "adam", rate=0.01, through_time=through_time)
        losses.append([trainer.step(x, y) for _ in range(3)])
    assert losses[0] == losses[1]
    with pytest.raises(ArgumentError, match="through_time=True"):
        trainer.gradient_through_time([0])


def test_sequences_may_lie_in_memory_in_any_way():
    x, y = batch()
    odd = torch.stack([x, -x], -1)[..., 0]
    assert not odd.is_contiguous()
    norms = []
    for inputs in (x, odd):
        trainer = RecurrentStep(make(), 5, 12, rate=0.01)
        trainer.backward(inputs, y)
        norms.append(trainer.gradient_norm)
    assert norms[0] == norms[1]


def test_orthogonal_weights_and_tanh_never_let_the_gradient_grow_on_its_way_back():
    """|D_{t}| <= |D_{t+1}| for every t, as |W| = 1 and |tanh'| <= 1; with W = 1.5 Q it does grow somewhere."""
    model, (x, y) = make("tanh", n=20), batch(length=40, rows=6)
    trainer = RecurrentStep(model, 6, 40, rate=0.1)
    trainer.backward(x, y)
    norms = trainer.gradient_through_time(list(range(40)))
    assert all(early <= late * (1 + 1e-12) for early, late in itertools.pairwise(norms))
    with torch.no_grad():
        model.W.mul_(1.5)
    trainer.backward(0.1 * x, y)
    norms = trainer.gradient_through_time(list(range(40)))
    assert any(early > late for early, late in itertools.pairwise(norms))


def test_a_step_is_torchs_rmsprop_after_clipping():
    clip = 0.05
    model, (x, y) = make(), batch()
    peer = make()
    optimiser = torch.optim.RMSprop(peer.parameters(), lr=0.01)
    trainer = RecurrentStep(model, 5, 12, "rmsprop", rate=0.01, clip=clip)
    for _ in range(4):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(peer(x)[0], y[0]).backward()
        norm = torch.nn.utils.clip_grad_norm_(peer.parameters(), clip)
        optimiser.step()
        trainer.step(x, y)
        assert trainer.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
        assert norm > clip
    for mine, theirs in zip(model.parameters(), peer.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)  # torch's clipping adds 1e-6 to the norm


class Recorder:
    """A recurrent update that only looks."""

    def __init__(self):
        self.seen = []

    def update(self, W, G):
        self.seen.append(G.clone())

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        self.seen = []


def test_a_recurrent_update_gets_the_gradient_and_nobody_else_moves_W():
    model, (x, y) = make(), batch()
    W, recorder = model.W.detach().clone(), Recorder()
    trainer = RecurrentStep(model, 5, 12, rate=0.1, recurrent=recorder)
    trainer.step(x, y)
    fresh = make()
    torch.nn.functional.cross_entropy(fresh(x)[0], y[0]).backward()
    assert torch.allclose(recorder.seen[0], fresh.W.grad, atol=1e-14)
    assert torch.equal(model.W.data, W)
    assert not torch.equal(model.W_in.data, fresh.W_in.data)


def test_training_goes_on_bit_for_bit_from_a_saved_state():
    def fresh():
        return RecurrentStep(make(), 5, 12, "adam", rate=0.01)

    x, y = batch()
    whole, first, second = fresh(), fresh(), fresh()
    for _ in range(6):
        whole.step(x, y)
    for _ in range(3):
        first.step(x, y)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        second.step(x, y)
    assert all(torch.equal(whole.parameters[name], second.parameters[name]) for name in whole.parameters)


def test_a_gradient_that_overflows_changes_nothing():
    model = make("linear")
    with torch.no_grad():
        model.W.mul_(1e30)
    x, y = batch()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert RecurrentStep(model, 5, 12, rate=0.1).step(x, y) == math.inf
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_starts_share_their_other_weights():
    models = {start: RNN(2, 6, 3, start=start, generator=4) for start in ("orthogonal", "glorot", "identity")}
    for name in ("W_in", "W_out"):
        assert torch.equal(getattr(models["glorot"], name), getattr(models["identity"], name))
        assert torch.equal(getattr(models["glorot"], name), getattr(models["orthogonal"], name))
    assert torch.allclose(models["orthogonal"].W @ models["orthogonal"].W.T, torch.eye(6), atol=1e-6)
    assert torch.equal(models["identity"].W.data, torch.eye(6))
    assert models["glorot"].W.abs().max() <= math.sqrt(6 / 12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t, x, y: RNN(2, 3, 4, start="random", generator=0), "start must be one of"),
        (lambda t, x, y: RNN(0, 3, 4, generator=0), "n_in must be an integer >= 1"),
        (lambda t, x, y: RecurrentStep(torch.nn.Linear(2, 2), 4, 4, rate=0.1), "model must be an ortholab.nn.rnn.RNN"),
        (lambda t, x, y: RecurrentStep(t.model, 4, 4, rate=0.1, steps=5), "steps must be at most length"),
        (lambda t, x, y: RecurrentStep(t.model, 4, 4, rate=0.1, clip=0), "clip must be"),
        (lambda t, x, y: RecurrentStep(t.model, 4, 4, rate=0.1, loss="hinge"), "loss must be one of"),
        (lambda t, x, y: t.gradient_through_time([0]), "gradient_through_time needs a step before it"),
        (lambda t, x, y: t.step(x, y + 4), "y must be in 0 to 3"),
        (lambda t, x, y: t.step(x * math.nan, y), "x must be finite"),
        (lambda t, x, y: t.step(x[:0], y), "x must be a tensor of shape"),
        (lambda t, x, y: t.step(x[:, :, :2], y), "x must be a tensor of shape"),
        (lambda t, x, y: t.step(x.float(), y), "x must be torch.float64"),
        (lambda t, x, y: t.step(x, y[0]), "y must be int64 classes"),
        (lambda t, x, y: t.step(x, y.double()), "y must be int64 classes"),
        (lambda t, x, y: t.load_state_dict(RecurrentStep(make(n=8), 5, 12, rate=0.1).state_dict()), "state must come"),
    ],
)
def test_bad_arguments_are_named(call, words):
    x, y = batch()
    with pytest.raises(ArgumentError, match=words):
        call(RecurrentStep(make(), 5, 12, rate=0.1), x, y)
