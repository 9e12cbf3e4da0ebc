"""critical_: what it sets is what the theory says, a stuck network trains, and what it can't treat it names."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import orthogonal

from ortholab.errors import ArgumentError
from ortholab.experiments.critical_start import CriticalStartSpec, network, run
from ortholab.nn import MLP, ResNet, critical_
from ortholab.nn.diagnosis import diagnose
from ortholab.nn.diagnosis.patients import LastStep, Tokens, images, plain_cnn, tokens, vectors
from ortholab.theory import isometric_start


def orthogonal_up_to(W, sigma_w, tol=1e-5):
    n_out, n_in = W.shape
    gram = W @ W.T if n_out <= n_in else W.T @ W
    square = sigma_w**2 * max(n_out, n_in) / n_in
    return torch.allclose(gram, square * torch.eye(min(W.shape)), atol=tol)


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "erf", "elu", "relu"])
def test_the_start_is_the_theorys(name):
    model = network(name, 30, 40, n_in=40)
    found = critical_(model, vectors(64, 40), generator=0)
    start = isometric_start(found.starts[name].activation if name != "elu" else _elu(), 30)
    linears = [m for m in model if isinstance(m, nn.Linear)]
    assert found.depth == 30
    assert len(found.rows) == len(linears) == 31
    assert all(orthogonal_up_to(layer.weight, start.sigma_w) for layer in linears[1:-1])
    assert orthogonal_up_to(linears[-1].weight, 1.0)
    assert (linears[-1].bias == 0).all()
    biases = torch.cat([layer.bias for layer in linears[:-1]])
    assert biases.std().item() == pytest.approx(start.sigma_b, rel=0.1, abs=1e-9)
    if name != "relu":
        q = model[0](vectors(64, 40)).square().mean().item()
        assert q == pytest.approx(start.q, rel=0.1)


def _elu():
    from ortholab.theory import ELU

    return ELU


def test_a_call_and_the_order_of_modules_agree():
    one, two = network("tanh", 5, 8, n_in=8), network("tanh", 5, 8, n_in=8)
    with_batch, without = critical_(one, vectors(9, 8), generator=0), critical_(two, generator=0)
    assert [r.activation for r in with_batch.rows] == [r.activation for r in without.rows]
    assert torch.equal(one[2].weight, two[2].weight)
    assert orthogonal_up_to(two[0].weight, without.starts["tanh"].sigma_w)


def test_kernels_are_delta_orthogonal_where_they_can_be():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1, groups=2), nn.Tanh(),
                          nn.Conv2d(8, 8, 2), nn.Tanh(), nn.ConvTranspose2d(8, 4, 3), nn.Tanh())  # fmt: skip
    found = critical_(model, torch.randn(4, 4, 8, 8), generator=0)
    assert [r.how for r in found.rows] == ["delta-orthogonal"] + ["orthogonal, kernel as a matrix"] * 3
    assert int((model[0].weight != 0).sum()) == 32
    sigma_w = found.starts["tanh"].sigma_w
    for block in model[2].weight.split(4):
        assert orthogonal_up_to(block.flatten(1), sigma_w)
    assert orthogonal_up_to(model[4].weight.flatten(1), sigma_w)
    assert orthogonal_up_to(model[6].weight.transpose(0, 1).flatten(1), sigma_w)


def test_a_deep_cnn_keeps_most_directions_with_tanh():
    """A delta kernel treats each pixel on its own, so pixels must be of one size: then (r-1)/(m-1) = 0.8."""
    x = images(4, 8)
    x = x / x.square().mean(1, keepdim=True).sqrt()
    relu = plain_cnn(depth=20, width=24)
    tanh = nn.Sequential(*(nn.Tanh() if isinstance(m, nn.ReLU) else m for m in relu))
    before = diagnose(tanh, x[:1], samples=1).body.share
    critical_(tanh, x, generator=0)
    found = diagnose(tanh, x[:1], samples=1)
    assert found.sound
    assert found.body.share == pytest.approx(1 / 1.25, abs=0.15)
    assert found.body.share > 3 * before


def test_in_a_narrow_cnn_with_relu_half_of_the_units_go_to_sleep_and_the_report_may_call_them_dead():
    """All pixels become alike (the correlation goes to 1), so a unit is off for all or for none; half are, or more."""
    shares = {}
    for width in (8, 32):
        model = plain_cnn(depth=60, width=width)
        critical_(model, generator=0)
        x = images(4, 4)
        late = []
        with torch.no_grad():
            for layer in model[:-2]:
                x = layer(x)
                if isinstance(layer, nn.ReLU):
                    late.append(float((x == 0).all(0).all(-1).all(-1).double().mean()))
        shares[width] = late[40:]
    assert all(np.mean(s) == pytest.approx(0.5, abs=0.15) for s in shares.values())
    assert np.max(shares[32]) < 0.75 <= np.max(shares[8])


def test_recurrent_layers():
    model = LastStep()
    x = torch.randn(2, 60, 4, generator=torch.Generator().manual_seed(0))
    assert diagnose(model, x).verdict == "vanish"
    found = critical_(model, x, generator=0)
    assert found.family == "recurrent"
    assert all(orthogonal_up_to(block, 1.0) for block in model.lstm.weight_hh_l0.split(16))
    assert torch.allclose(model.lstm.bias_ih_l0[16:32], torch.tensor(math.log(60)))
    assert model.lstm.bias_hh_l0.abs().max() == 0
    assert diagnose(model, x).sound
    assert "memory" in critical_(nn.GRU(3, 4), torch.randn(7, 2, 3), generator=0).rows[0].how
    assert critical_(nn.RNN(3, 4), torch.randn(7, 2, 3), generator=0).rows[0].how == "orthogonal gates"


def test_residual_branches_and_attention():
    model = Tokens()
    found = critical_(model, tokens(), generator=0)
    assert found.family == "attention"
    for block in model.blocks.layers:
        assert orthogonal_up_to(block.self_attn.out_proj.weight, 0.5)  # four branches
        assert orthogonal_up_to(block.linear2.weight, 0.5)
        assert all(orthogonal_up_to(p, 1.0) for p in block.self_attn.in_proj_weight.split(16))
    assert diagnose(model, tokens()).sound
    normed = critical_(ResNet(8, width=4, generator=0), images(4), generator=0)
    assert normed.family == "residual"
    assert {round(r.sigma_w, 4) for r in normed.rows} == {1.4142, 1.0}  # normalised branches keep their gain


def test_the_same_seed_gives_the_same_network_and_torchs_generator_stays():
    one, two = MLP(5, 6, 3, sigma_w=1.0, generator=1), MLP(5, 6, 3, sigma_w=2.0, generator=2)
    state = torch.get_rng_state()
    critical_(one, vectors(4, 5), generator=7)
    critical_(two, vectors(4, 5), generator=7)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(one.layers[1:].parameters(), two.layers[1:].parameters(), strict=True))


@pytest.mark.parametrize("name", ["tanh", "hard_tanh"])
def test_a_stuck_network_of_200_layers_trains(name):
    result = run(CriticalStartSpec(activations=(name,), width=40, steps=12, n_train=500, n_test=300))
    assert result.accuracy(name, "torch")[0] < 0.2
    assert result.accuracy(name, "critical")[0] > 0.4
    assert result.gain(name).value > 0.2


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(3))

    def forward(self, x):
        return torch.tanh(x @ self.matrix)


BAD = {
    "model": (lambda: critical_("model"), "model"),
    "no layer": (lambda: critical_(nn.Tanh(), vectors(2, 3)), "model must have a layer"),
    "weights of its own": (lambda: critical_(nn.Sequential(nn.Linear(3, 3), Own()), vectors(2, 3)), "Own"),
    "functions without a batch": (lambda: critical_(MLP(3, 3, 2, sigma_w=1.0, generator=0)), "batch must be given"),
    "constrained": (lambda: critical_(nn.Sequential(orthogonal(nn.Linear(3, 3)), nn.Tanh()), vectors(2, 3)),
                    "constrained"),
    "softplus": (lambda: critical_(nn.Sequential(nn.Linear(3, 3), nn.Softplus()), vectors(2, 3)), "softplus"),
    "lazy": (lambda: critical_(nn.Sequential(nn.LazyLinear(3), nn.Tanh())), "lazy"),
    "spread": (lambda: critical_(nn.Linear(3, 3), spread=0), "spread"),
    "depth": (lambda: critical_(nn.Linear(3, 3), depth=0), "depth"),
    "generator": (lambda: critical_(nn.Linear(3, 3), generator="0"), "generator"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_it_cannot_treat_is_named(name):
    call, words = BAD[name]
    with pytest.raises(ArgumentError, match=words):
        call()


def test_an_error_changes_nothing():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), Own())
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ArgumentError):
        critical_(model, vectors(2, 3))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
