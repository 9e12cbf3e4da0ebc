"""The written-out training step: gradients, optimisers, determinism and resumption, and what it refuses."""

import copy

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import MLP
from ortholab.nn.deep_step import DeepStep
from ortholab.nn.step_rules import RULES, rule

TORCH = {
    "sgd": lambda p, rate: torch.optim.SGD(p, rate),
    "momentum": lambda p, rate: torch.optim.SGD(p, rate, momentum=0.9),
    "adam": lambda p, rate: torch.optim.Adam(p, rate),
    "rmsprop": lambda p, rate: torch.optim.RMSprop(p, rate),
}
ACTIVATIONS = ("tanh", "relu", "hard_tanh", "linear")


def network(activation="tanh", *, width=9, depth=6, dtype=torch.float64, seed=0):
    return MLP(7, width, depth, 3, activation=activation, sigma_w=1.3, sigma_b=0.2, generator=seed, dtype=dtype)


def batches(count, rows=12, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        x = torch.randn(rows, 7, generator=generator, dtype=dtype)
        yield x, torch.randint(3, (rows,), generator=generator)


def loss_of(model, x, y):
    return torch.nn.functional.cross_entropy(model(x), y)


def distance(a, b):
    return max((p - q).abs().max().item() for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("optimiser", TORCH)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_autograd_and_torch_optim(activation, optimiser, dtype):
    model = network(activation, dtype=dtype)
    twin = copy.deepcopy(model)
    trainer, other = DeepStep(model, 12, optimiser, rate=0.01), TORCH[optimiser](twin.parameters(), 0.01)
    for x, y in batches(20, dtype=dtype):
        loss = trainer.step(x, y)
        expected = loss_of(twin, x, y)
        other.zero_grad()
        expected.backward()
        other.step()
        assert loss == pytest.approx(expected.item(), rel=1e-10 if dtype == torch.float64 else 1e-3)
    # Adam and RMSProp divide by sqrt(v): where a gradient is near 0, a rounding of float32 moves a weight by the rate.
    assert distance(model, twin) < (1e-10 if dtype == torch.float64 else 2e-3)


@pytest.mark.parametrize("width", [[9, 4, 11], [5], [3, 3]])
def test_unequal_widths(width):
    model = network(width=width, depth=None)
    twin = copy.deepcopy(model)
    trainer, other = DeepStep(model, 20, "momentum", rate=0.1), TORCH["momentum"](twin.parameters(), 0.1)
    for x, y in batches(5):
        trainer.step(x, y)
        other.zero_grad()
        loss_of(twin, x, y).backward()
        other.step()
    assert distance(model, twin) < 1e-12


def test_at_depth_200():
    """At the depth it is made for, where a wrong factor a layer would show 200 times."""
    model = MLP(7, 20, 200, 3, sigma_w=1.05**0.5, generator=0, dtype=torch.float64)
    twin = copy.deepcopy(model)
    (x, y), *_ = batches(1)
    trainer = DeepStep(model, 12, "sgd", rate=1.0)
    trainer.step(x * 0.1, y, norms=True)
    loss_of(twin, x * 0.1, y).backward()
    expected = [layer.weight.grad.norm().item() for layer in [*twin.layers, twin.readout]]
    assert trainer.gradient_norms == pytest.approx(expected, rel=1e-10)
    with torch.no_grad():
        for p in twin.parameters():
            p -= p.grad
    assert distance(model, twin) < 1e-12


@pytest.mark.parametrize("activation", ["tanh", "hard_tanh", "relu"])
def test_against_finite_differences(activation):
    """One SGD step of rate r moves W by -r times the gradient: held against central differences of the loss."""
    model = network(activation)
    before = copy.deepcopy(model)
    (x, y), *_ = batches(1)
    DeepStep(model, 12, "sgd", rate=1e-3).step(x, y)
    for k, i, j in [(0, 2, 3), (3, 8, 0), (5, 4, 4)]:
        moved = (model.layers[k].weight - before.layers[k].weight)[i, j].item() / -1e-3
        values = []
        for shift in (1e-5, -1e-5):
            probe = copy.deepcopy(before)
            with torch.no_grad():
                probe.layers[k].weight[i, j] += shift
            values.append(loss_of(probe, x, y).item())
        assert moved == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("optimiser", TORCH)
def test_two_runs_agree_bit_for_bit_and_so_does_a_resumed_one(optimiser):
    runs = [network(dtype=torch.float32) for _ in range(3)]
    trainers = [DeepStep(model, 12, optimiser, rate=0.05) for model in runs]
    steps = list(batches(9, dtype=torch.float32))
    for x, y in steps:
        trainers[0].step(x, y)
        trainers[1].step(x, y, norms=True)  # looking at the gradient changes nothing
    for x, y in steps[:4]:
        trainers[2].step(x, y)
    state = copy.deepcopy(trainers[2].state_dict())
    fresh = network(dtype=torch.float32, seed=5)
    resumed = DeepStep(fresh, 12, optimiser, rate=0.05)
    resumed.load_state_dict(state)
    for x, y in steps[4:]:
        resumed.step(x, y)
    assert distance(runs[0], runs[1]) == 0
    assert distance(runs[0], fresh) == 0


def test_a_small_batch_uses_part_of_the_buffers():
    model = network()
    twin = copy.deepcopy(model)
    trainer = DeepStep(model, 50, rate=0.1)
    for rows in (12, 1, 50):
        (x, y), *_ = batches(1, rows)
        trainer.step(x, y)
        twin.zero_grad()
        loss_of(twin, x, y).backward()
        with torch.no_grad():
            for p in twin.parameters():
                p -= 0.1 * p.grad
    assert distance(model, twin) < 1e-13


@pytest.mark.parametrize("chunk", [1, 5, 500])
def test_predict_is_the_models_output(chunk):
    model = network("hard_tanh")
    (x, _), *_ = batches(1)
    assert torch.allclose(DeepStep(model, 12, rate=0.1).predict(x, chunk), model(x), atol=1e-14)


def test_a_loss_that_is_not_finite_is_returned_and_changes_nothing():
    model = network("relu")
    with torch.no_grad():
        model.readout.bias[0] = float("inf")
    before = copy.deepcopy(model)
    trainer = DeepStep(model, 12, "adam", rate=0.1)
    (x, y), *_ = batches(1)
    assert not torch.isfinite(torch.tensor(trainer.step(x, y, norms=True)))
    assert trainer.rule.count == 0
    assert trainer.gradient_norms == []
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before.parameters(), strict=True))


def test_adam_is_the_same_where_there_is_no_fused_kernel():
    p = [torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    q = [tensor.clone() for tensor in p]
    fused, plain = rule("adam", p, 0.1), rule("adam", q, 0.1)
    plain._fused = False
    for seed in range(8):
        for opt, tensors in ((fused, p), (plain, q)):
            opt.begin()
            for k, tensor in enumerate(tensors):
                g = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(10 * seed + k))
                opt.apply(k, tensor, g)
    assert all((a - b).abs().max() < 1e-13 for a, b in zip(p, q, strict=True))


def test_settings_are_torchs():
    p = [torch.ones(2)]
    assert rule("adam", p, 0.1).beta2 == 0.999
    assert rule("momentum", p, 0.1, momentum=0.5).momentum == 0.5
    model = network()
    twin = copy.deepcopy(model)
    trainer = DeepStep(model, 12, "rmsprop", rate=0.01, alpha=0.9, eps=1e-4)
    other = torch.optim.RMSprop(twin.parameters(), 0.01, alpha=0.9, eps=1e-4)
    for x, y in batches(5):
        trainer.step(x, y)
        other.zero_grad()
        loss_of(twin, x, y).backward()
        other.step()
    assert distance(model, twin) < 1e-12


X, Y = torch.zeros(4, 7, dtype=torch.float64), torch.zeros(4, dtype=torch.int64)


@pytest.mark.parametrize(
    ("x", "y", "name"),
    [
        (X[0], Y, "x"),
        (X[:, :3], Y, "x"),
        (torch.zeros(13, 7, dtype=torch.float64), torch.zeros(13, dtype=torch.int64), "x"),
        (X[:0], Y[:0], "x"),
        (X.float(), Y, "x"),
        (X.numpy(), Y, "x"),
        (X, Y.int(), "y"),
        (X, Y[:3], "y"),
        (X, Y + 3, "y"),
        (X, Y - 1, "y"),
        (X, [0, 0, 0, 0], "y"),
    ],
)
def test_bad_batches_are_named(x, y, name):
    with pytest.raises(ArgumentError, match=rf"^{name} must be"):
        DeepStep(network(), 12, rate=0.1).step(x, y)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"model": MLP(3, 4, 2, sigma_w=1.0)}, "model"),
        ({"model": torch.nn.Linear(2, 2)}, "model"),
        ({"model": network("gelu")}, "model.activation"),
        ({"batch": 0}, "batch"),
        ({"rate": 0.0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"optimiser": "lion"}, "optimiser"),
        ({"optimiser": "momentum", "momentum": 1.0}, "momentum"),
        ({"optimiser": "adam", "eps": 0.0}, "eps"),
        ({"optimiser": "sgd", "momentum": 0.5}, "Sgd takes no settings"),
    ],
)
def test_bad_arguments_are_named(change, name):
    arguments = {"model": network(), "batch": 4, "optimiser": "sgd", "rate": 0.1} | change
    with pytest.raises(ArgumentError, match=f"^{name}"):
        DeepStep(**arguments)


def test_a_state_of_another_network_or_optimiser_is_refused():
    a, b, c = (DeepStep(network(depth=d), 4, o, rate=0.1) for d, o in ((6, "sgd"), (5, "sgd"), (6, "adam")))
    with pytest.raises(ArgumentError, match=r"^state must come from a network"):
        a.load_state_dict(b.state_dict())
    with pytest.raises(ArgumentError, match=r"^state must be of the same optimiser"):
        a.load_state_dict(c.state_dict())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("optimiser", RULES)
def test_on_cuda(optimiser):
    cpu, gpu = network(), network().to("cuda")
    here, there = (DeepStep(model, 12, optimiser, rate=0.01) for model in (cpu, gpu))
    for x, y in batches(5):
        here.step(x, y)
        there.step(x.cuda(), y.cuda())
    assert distance(cpu, gpu.cpu()) < 1e-9
