"""Constrained modules live as others do: saved, loaded, copied, pickled, compiled, mixed with free ones, released."""

import copy
import io
import pickle
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parametrize

from ortholab.nn.parametrize import constrain, constraint_of, release
from ortholab.theory.penalties import kernel_matrix

sys.path.insert(0, str(Path(__file__).parent))
from constrained import METHODS, Own, constrained, error, move, start, stiefel

every_method = pytest.mark.parametrize(("name", "method", "settings"), METHODS, ids=[m[0] for m in METHODS])


def mixed(seed):
    """A model with four constrained weights, two free layers and a recurrent part."""
    torch.manual_seed(seed)
    model = torch.nn.ModuleDict(
        {
            "first": torch.nn.Linear(6, 8),
            "exp": constrain(torch.nn.Linear(8, 8), "weight", "exponential", project=True, gain=1.1),
            "wide": constrain(torch.nn.Linear(8, 4), project=True),
            "margin": constrain(torch.nn.Linear(4, 6), "weight", "margin", project=True, margin=0.3),
            "rnn": constrain(torch.nn.RNN(6, 5), "weight_hh_l0", "scaled_cayley", negative=2, generator=seed),
            "last": torch.nn.Linear(5, 2),
        }
    )
    return model


def apply(model, x):
    for name in ("first", "exp", "wide", "margin"):
        x = torch.tanh(model[name](x))
    return model["last"](model["rnn"](x)[0])


def train(model, steps=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        apply(model, torch.randn(3, 2, 6, generator=generator)).square().mean().backward()
        optimiser.step()


def test_a_mixed_model_trains_every_parameter_and_keeps_its_constraints():
    model = mixed(0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, 30)
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert error(model["exp"].weight, 1.1) < 3e-6
    assert error(model["wide"].weight) < 3e-6
    assert error(model["rnn"].weight_hh_l0) < 3e-6
    assert (torch.linalg.svdvals(model["margin"].weight) - 1).abs().max() < 0.3
    assert error(model["first"].weight) > 0.1  # the free ones are free


def test_state_dict_loads_into_a_fresh_model_and_training_goes_on_alike():
    model, fresh = mixed(0), mixed(1)
    train(model)
    stored = io.BytesIO()
    torch.save(model.state_dict(), stored)
    stored.seek(0)
    fresh.load_state_dict(torch.load(stored, weights_only=True))
    for step in range(3):
        x = torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(9 + step))
        assert torch.equal(apply(model, x), apply(fresh, x))
        train(model, seed=step)
        train(fresh, seed=step)


def copies(model):
    """Make the copy and the two pickles of a model."""
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    return copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(stored, weights_only=False)


def test_copies_and_pickles_are_equal_and_independent():
    model = mixed(0)
    train(model)
    x = torch.randn(3, 2, 6)
    expected = apply(model, x)
    twins = copies(model)
    train(model)
    assert not torch.equal(apply(model, x), expected)
    for name in ("exp", "wide", "margin"):  # torch's own deepcopy shares the class, and the copies lose their weight
        release(model[name])
    release(model["rnn"], "weight_hh_l0")
    for twin in twins:
        assert torch.equal(apply(twin, x), expected)
        train(twin)
        assert error(twin["exp"].weight, 1.1) < 3e-6
        release(twin["exp"])
        assert isinstance(twin["exp"].weight, torch.nn.Parameter)


@every_method
def test_release_undoes(name, method, settings):
    shape = (4, 6) if method == "polar" else (4, 4)
    module, _ = constrained(method, settings, shape)
    move(module)
    value = module.weight.detach().clone()
    assert release(module) is module
    assert type(module) is Own
    assert [n for n, _ in module.named_parameters()] == ["weight"]
    assert torch.equal(module.weight, value)
    module.weight.square().sum().backward()
    assert module.weight.grad.abs().max() > 0
    assert list(module.state_dict()) == ["weight"]
    constrain(module, "weight", method, **settings)  # and again
    torch.testing.assert_close(module.weight.detach(), value, atol=1e-12, rtol=0)


def test_release_with_the_free_parameter():
    module, _ = constrained("polar", {}, (3, 5))
    V = torch.randn(3, 5, dtype=torch.float64)
    module.parametrizations.weight.original.data.copy_(V)
    assert torch.equal(release(module, keep="parameter").weight, V)


def test_two_weights_of_one_module():
    rnn = torch.nn.RNN(6, 6, dtype=torch.float64)
    for name in ("weight_hh_l0", "weight_ih_l0"):
        constrain(rnn, name, project=True)
    twin = copy.deepcopy(rnn)
    release(rnn, "weight_ih_l0")
    assert parametrize.is_parametrized(rnn, "weight_hh_l0")
    assert isinstance(rnn.weight_ih_l0, torch.nn.Parameter)
    assert error(twin.weight_ih_l0) < 1e-13


def test_the_optimiser_s_parameter_stays_the_same_object():
    layer = torch.nn.Linear(5, 3)
    weight = layer.weight
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    constrain(layer, project=True)
    assert layer.parametrizations.weight.original is weight
    before = layer.weight.detach().clone()
    layer(torch.ones(5)).square().sum().backward()
    optimiser.step()
    assert not torch.equal(layer.weight, before)
    assert error(layer.weight) < 1e-6
    assert release(layer).weight is weight


def test_an_rnn_uses_the_constrained_weight():
    """torch's RNN keeps a list of its parameters: its outputs and gradients against a loop written out."""
    rnn = torch.nn.RNN(3, 5, dtype=torch.float64)
    constrain(rnn, "weight_hh_l0", "exponential", project=True)
    move(rnn, 0.2)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    h = torch.zeros(2, 5, dtype=torch.float64)
    for inputs in x:
        h = torch.tanh(inputs @ rnn.weight_ih_l0.mT + h @ rnn.weight_hh_l0.mT + rnn.bias_ih_l0 + rnn.bias_hh_l0)
    free = rnn.parametrizations.weight_hh_l0.original
    expected = torch.autograd.grad(h.square().sum(), free)[0]
    with parametrize.cached():
        out = rnn(x)[0][-1]
    torch.testing.assert_close(out, h, atol=1e-13, rtol=0)
    torch.testing.assert_close(torch.autograd.grad(out.square().sum(), free)[0], expected, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("method", ["cayley", "polar", "margin"])
@pytest.mark.parametrize(("out", "inside"), [(4, 3), (40, 3)])
def test_a_convolution_s_kernel_is_one_matrix(method, out, inside):
    conv = constrain(torch.nn.Conv2d(inside, out, 3), "weight", method, project=True)
    assert conv.weight.shape == (out, inside, 3, 3)
    move(conv, 0.1)
    K = kernel_matrix(conv.weight.detach())
    if method == "margin":
        assert (torch.linalg.svdvals(K) - 1).abs().max() < 0.1
    else:
        assert error(K) < 5e-6
    conv(torch.randn(2, inside, 6, 6)).square().mean().backward()
    assert all(p.grad.abs().max() > 0 for p in conv.parameters())


def test_centring_and_groups_of_a_convolution():
    conv = constrain(torch.nn.Conv2d(2, 24, 3), "weight", "polar", project=True, centring=True, groups=2)
    assert conv.weight.sum((1, 2, 3)).abs().max() < 1e-6
    assert error(kernel_matrix(conv.weight.detach()), groups=2) < 3e-6


@every_method
def test_project_starts_from_the_nearest(name, method, settings):
    if "base" in settings:
        pytest.skip("the plain transform does not reach every nearest matrix")
    W = torch.randn(4, 6 if method == "polar" else 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    module = constrain(Own(3 * W), "weight", method, project=True, gain=2.0, **settings)
    groups = settings.get("groups", 1)
    assert error(module.weight, 2.0, groups) < 1e-13
    if not settings.get("centring") and groups == 1:
        U, _, Vh = torch.linalg.svd(W, full_matrices=False)
        torch.testing.assert_close(module.weight.detach(), 2 * U @ Vh, atol=1e-12, rtol=0)
    module.weight = 5 * W  # an assignment is projected too
    assert error(module.weight, 2.0, groups) < 1e-13


@every_method
def test_a_module_moves_between_float32_and_float64(name, method, settings):
    shape = (4, 6) if method == "polar" else (4, 4)
    module, _ = constrained(method, settings, shape, dtype=torch.float32)
    module.double()
    assert module.weight.dtype == torch.float64
    module.weight = start(settings, shape, seed=3)
    torch.testing.assert_close(module.weight.detach(), start(settings, shape, seed=3), atol=1e-12, rtol=0)


@pytest.mark.parametrize("method", ["cayley", "scaled_cayley", "exponential", "polar", "margin"])
def test_torch_compile_gives_the_same_values_and_gradients(method):
    """The whole graph, without a break; the backend that generates no machine code, so that no compiler is needed."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(constrain(torch.nn.Linear(4, 4), "weight", method, project=True), torch.nn.Tanh())
    move(net, 0.1)
    x = torch.randn(3, 4)
    found = []
    try:
        compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
        for f in (net, compiled):
            net.zero_grad()
            y = f(x)
            y.square().sum().backward()
            found.append([y.detach(), *(p.grad.clone() for p in net.parameters())])
    except RuntimeError as refused:
        if "not supported" not in str(refused):
            raise
        pytest.skip(f"torch.compile does not run here: {refused}")
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@every_method
def test_on_a_gpu(name, method, settings):
    shape = (4, 6) if method == "polar" else (4, 4)
    module, W = constrained(method, settings, shape)
    module.cuda()
    module.weight = W.cuda()
    torch.testing.assert_close(module.weight.detach().cpu(), W, atol=1e-12, rtol=0)
    module.weight.sum().backward()


def test_constraint_of_shows_what_holds_a_weight():
    layer = constrain(torch.nn.Linear(3, 3), "weight", "margin", project=True, margin=0.25, gain=1.5)
    assert constraint_of(layer).margin == 0.25
    assert "gain=1.5" in repr(layer)


def test_a_start_is_not_changed_by_more_than_its_rounding():
    W = stiefel((30, 30), dtype=torch.float32)
    module = constrain(Own(W), "weight", "cayley")
    assert (module.weight - W).abs().max() < 2e-6
    assert error(module.weight) < 1e-6
