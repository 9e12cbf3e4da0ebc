"""The recurrent network behind autograd: gradients against torch.nn.RNN, plain autograd and finite differences."""

import math

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import recurrence
from ortholab.nn.rnn import RNN

ACTIVATIONS = ["tanh", "relu", "hard_tanh", "linear", "modrelu"]


def make(activation="tanh", n_in=3, n=7, n_out=4, dtype=torch.float64, **options):
    model = RNN(n_in, n, n_out, activation=activation, generator=1, dtype=dtype, **options)
    with torch.no_grad():
        model.b.copy_(torch.linspace(-0.3, 0.2, n))
        model.b_out.copy_(torch.linspace(-0.3, 0.4, n_out))
    return model


def sequences(length=12, rows=5, n_in=3, dtype=torch.float64, seed=0):
    return torch.randn(length, rows, n_in, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_loss(out):
    """No loss that anybody ships."""
    return (out.sin() * torch.linspace(0.5, 2, out.shape[-1], dtype=out.dtype)).sum() + out.square().mean().sqrt()


def compare(model, x, steps, tolerance):
    found, expected = [], []
    for call, into in ((model.forward, found), (model.plain, expected)):
        leaf = x.detach().clone().requires_grad_()
        model.zero_grad()
        out = call(leaf, steps)
        some_loss(out).backward()
        into += [out.detach(), leaf.grad, *(p.grad.clone() for p in model.parameters())]
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("steps", [1, 5, 12])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_values_and_gradients_are_those_of_plain_autograd(activation, steps, dtype, tolerance):
    compare(make(activation, dtype=dtype), sequences(dtype=dtype), steps, tolerance)


@pytest.mark.parametrize("activation", ["tanh", "modrelu"])
@pytest.mark.parametrize("chunk", [1, 2, 5])
@pytest.mark.parametrize("steps", [1, 4, 12])
def test_chunks_of_times_change_nothing(monkeypatch, activation, chunk, steps):
    monkeypatch.setattr(recurrence, "CHUNK_BYTES", chunk * 5 * 7 * 8)
    compare(make(activation), sequences(), steps, 1e-12)


@pytest.mark.parametrize("signal", [1e-6, 1e-3, 0.03, 0.3, 30.0])
def test_the_fast_tanh_keeps_the_digits_of_small_and_large_signals(signal):
    model = make(n=32, dtype=torch.float32)
    with torch.no_grad():
        model.b.zero_()
    compare(model, signal * sequences(40, dtype=torch.float32), 1, 1e-5)
    compare(model, signal * sequences(40, dtype=torch.float32), 40, 1e-5)


def test_wide_networks_take_the_other_layout():
    compare(make(n=recurrence.TRANSPOSED + 3, gain=0.9), sequences(4, 3), 2, 1e-11)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("steps", [1, 4])
def test_gradcheck(activation, steps):
    model, x = make(activation, n_in=2, n=4, n_out=2), sequences(4, 2, 2, seed=3).requires_grad_()

    def states(x, *parameters):
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x, steps))

    names, parameters = zip(*model.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(states, (x, *parameters))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_many_to_many_is_torch_nn_rnn(activation):
    model, x = make(activation), sequences()
    peer = torch.nn.RNN(3, 7, nonlinearity=activation, dtype=torch.float64)
    with torch.no_grad():
        for theirs, mine in zip(peer.parameters(), (model.W_in, model.W, model.b, 0 * model.b), strict=True):
            theirs.copy_(mine)
    expected = torch.nn.functional.linear(peer(x)[0], model.W_out, model.b_out)
    assert torch.allclose(model(x, steps=12), expected, rtol=1e-12, atol=1e-13)
    assert torch.equal(model(x), model(x, steps=12)[-1:])


def test_modrelu_keeps_the_sign_and_shifts_the_modulus():
    model = RNN(1, 3, 1, activation="modrelu", start="identity", generator=0, dtype=torch.float64)
    with torch.no_grad():
        model.W_in.copy_(torch.tensor([[2.0], [-2.0], [0.25]]))
        model.W_out.copy_(torch.ones(1, 3))
        model.b.copy_(torch.tensor([-0.5, 0.25, -0.5]))
    # h_1 = (1.5, -2.25, 0); then x = 0: a_2 = h_1, h_2 = (1, -2.5, 0).
    out = model(torch.tensor([[[1.0]], [[0.0]]], dtype=torch.float64), steps=2)
    assert out.flatten().tolist() == [1.5 - 2.25, 1.0 - 2.5]


def test_length_one_has_no_recurrence():
    model, x = make(), sequences(1)
    expected = torch.tanh(x @ model.W_in.T + model.b) @ model.W_out.T + model.b_out
    assert torch.allclose(model(x), expected, atol=1e-14)
    model(x).sum().backward()
    assert torch.equal(model.W.grad, torch.zeros(7, 7, dtype=torch.float64))
    compare(model, x, 1, 1e-12)


def test_inputs_may_lie_in_memory_in_any_way():
    model, x = make(), sequences()
    for odd in (x.transpose(0, 1).contiguous().transpose(0, 1), x.repeat(1, 1, 2)[..., ::2], x.flip(2).flip(2)):
        odd = odd if odd.shape == x.shape and torch.equal(odd, x) else x.expand(x.shape)
        assert torch.equal(model(odd), model(x))
    wide = torch.stack([x, -x], -1)[..., 0]
    assert not wide.is_contiguous()
    compare(model, wide, 3, 1e-12)
    model.W.data = model.W.data.T.contiguous().T
    compare(model, wide, 3, 1e-12)


def test_only_what_needs_a_gradient_gets_one():
    model, x = make(), sequences()
    model.W.requires_grad_(False)
    model(x).sum().backward()
    assert model.W.grad is None
    assert x.grad is None
    with torch.no_grad():
        assert not model(x).requires_grad


def test_the_plain_form_can_be_differentiated_twice_and_the_fast_one_says_that_it_cannot():
    model, x = make(), sequences(4).requires_grad_()
    (g,) = torch.autograd.grad(model.plain(x).sum(), x, create_graph=True)
    assert torch.autograd.grad(g.square().sum(), model.W)[0].abs().max() > 0
    (g,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.square().sum().backward()


@pytest.mark.parametrize("start", ["orthogonal", "glorot", "identity"])
def test_the_gain_multiplies_the_start_and_nothing_else(start):
    one, other = (RNN(2, 6, 3, start=start, gain=g, generator=4, dtype=torch.float64) for g in (1.0, 1.25))
    assert torch.allclose(other.W, 1.25 * one.W, rtol=1e-15)
    for name in ("W_in", "W_out", "b", "b_out"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    if start == "orthogonal":
        assert torch.allclose(torch.linalg.svdvals(other.W), torch.full((6,), 1.25, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x: RNN(2, 3, 4, gain=0, generator=0), "gain must be a finite number > 0; got 0"),
        (lambda m, x: RNN(2, 3, 4, gain=-1.0, generator=0), "gain must be"),
        (lambda m, x: RNN(2, 3, 4, gain=math.nan, generator=0), "gain must be"),
        (lambda m, x: RNN(2, 3, 4, dtype=torch.float16, generator=0), "dtype must be torch.float32 or torch.float64"),
        (lambda m, x: RNN(2, 3, 4, activation="gelu", generator=0), "activation must be one of"),
        (lambda m, x: m(x[:0]), "x must be a tensor of shape .at least 1"),
        (lambda m, x: m(x[:, :0]), "x must be a tensor of shape"),
        (lambda m, x: m(x[:, :, :2]), "x must be a tensor of shape"),
        (lambda m, x: m(x[0]), "x must be a tensor of shape"),
        (lambda m, x: m(x.numpy()), "x must be a tensor"),
        (lambda m, x: m(x, steps=13), "x must be a tensor of shape .at least 13"),
        (lambda m, x: m(x, steps=0), "steps must be an integer >= 1"),
        (lambda m, x: m(x.half()), "x must be torch.float64 on cpu, as the network is; got 'torch.float16 on cpu'"),
        (lambda m, x: m.half()(x.half()), "the network must be float32 or float64; it is torch.float16"),
        (lambda m, x: m(x.index_fill(0, torch.tensor([3]), math.nan)), "x must be finite"),
        (lambda m, x: m(x.index_fill(0, torch.tensor([3]), -math.inf)), "x must be finite"),
        (lambda m, x: m.plain(x[:, :, :2]), "x must be a tensor of shape"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call(make(), sequences())


def test_large_finite_inputs_are_no_error():
    x = sequences(50, 50, dtype=torch.float32).abs() * 1e37
    assert not torch.isfinite(x.sum())
    out = make("tanh", dtype=torch.float32)(x)
    assert torch.isfinite(out).all()
