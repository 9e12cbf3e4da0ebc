"""The MLP: shapes, laws, reproducibility, and the variance recursion at finite width."""

import math

import pytest
import torch

from ortholab.nn import MLP, pick_device


@pytest.mark.parametrize("weights", ["orthogonal", "gaussian"])
@pytest.mark.parametrize("n_out", [None, 3])
@pytest.mark.parametrize("batch", [(), (2,), (2, 5)])
def test_shapes(weights, n_out, batch):
    model = MLP(7, 11, 4, n_out, sigma_w=1.2, sigma_b=0.1, weights=weights, generator=0)
    assert model(torch.ones(*batch, 7)).shape == (*batch, n_out or 11)
    hidden = model.preactivations(torch.ones(*batch, 7))
    assert [tuple(h.shape) for h in hidden] == [(*batch, 11)] * 4


def test_widths_as_a_sequence():
    model = MLP(5, [8, 3, 6], activation="relu", sigma_w=1.0, generator=0)
    assert model.widths == (5, 8, 3, 6)
    assert model.depth == 3
    assert [tuple(layer.weight.shape) for layer in model.layers] == [(8, 5), (3, 8), (6, 3)]


def test_forward_is_the_last_activation_of_the_preactivations():
    model = MLP(6, 9, 3, 2, activation="gelu", sigma_w=1.3, sigma_b=0.2, generator=1, dtype=torch.float64)
    x = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state = x
    for layer, h in zip(model.layers, model.preactivations(x), strict=True):
        assert torch.allclose(h, state @ layer.weight.T + layer.bias)
        state = torch.nn.functional.gelu(h)
    assert torch.allclose(model(x), state @ model.readout.weight.T + model.readout.bias)


def test_a_seed_gives_one_network_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    a, b = (MLP(4, 4, 3, 2, sigma_w=1.0, sigma_b=0.5, generator=5) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    c = MLP(4, 4, 3, 2, sigma_w=1.0, sigma_b=0.5, generator=6)
    assert not torch.equal(a.layers[0].weight, c.layers[0].weight)
    assert not torch.equal(a.layers[0].weight, a.layers[1].weight)


@pytest.mark.parametrize("weights", ["orthogonal", "gaussian"])
def test_variance_of_the_preactivations_follows_equation_two(weights):
    """With linear phi and q^0 = 1: q^l = sigma_w^2 q^(l-1) + sigma_b^2, at width 1000, within 4 standard errors."""
    sigma_w, sigma_b, width = 0.9, 0.4, 1000
    model = MLP(
        width, width, 4, activation="linear", sigma_w=sigma_w, sigma_b=sigma_b, weights=weights, generator=0,
        dtype=torch.float64,
    )  # fmt: skip
    x = torch.ones(width, dtype=torch.float64)
    q = 1.0
    for h in model.preactivations(x):
        q = sigma_w**2 * q + sigma_b**2
        assert abs(h.square().mean().item() / q - 1) < 4 * math.sqrt(2 * 4 / width)


def test_trains_with_ordinary_torch():
    model = MLP(6, 20, 3, 2, sigma_w=1.2, generator=0)
    x = torch.randn(30, 6, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] > 0).long()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_state_dict_round_trip():
    a, b = (MLP(3, 4, 2, sigma_w=1.0, generator=seed) for seed in (0, 1))
    b.load_state_dict(a.state_dict())
    x = torch.ones(3)
    assert torch.equal(a(x), b(x))


def test_device_auto_is_one_of_torchs():
    assert pick_device("auto").type in ("cuda", "mps", "cpu")
    assert (
        MLP(3, 4, 2, sigma_w=1.0, generator=0, device="auto").layers[0].weight.device.type == pick_device("auto").type
    )
