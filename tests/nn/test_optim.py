"""StiefelSGD and StiefelAdam: one step against theory.retractions and autograd, trajectories, the tolerance, the state."""

import copy
import math

import pytest
import torch
from torch import nn

from ortholab.nn import haar
from ortholab.nn.optim import StiefelAdam, StiefelSGD
from ortholab.theory import retractions, stiefel

DOUBLE = torch.float64
SHAPES = [(6, 6), (9, 4), (4, 9), (1, 5), (5, 1), (3, 6, 6), (2, 2, 7, 4), (3, 4, 7)]
WAYS = ["cayley", "qr", "polar"]


def point(shape, gain=1.0, seed=0, dtype=DOUBLE):
    """A random point of gain St as a parameter."""
    *batch, n, k = shape
    Q = haar(max(n, k), min(n, k), generator=seed, batch=tuple(batch), dtype=DOUBLE)
    return nn.Parameter((gain * (Q if n >= k else Q.mT)).to(dtype).contiguous())


def random(shape, seed=1, dtype=DOUBLE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def layer_at(shape, gain=1.0, bias=True, seed=0, dtype=DOUBLE):
    layer = nn.utils.skip_init(nn.Linear, shape[1], shape[0], bias=bias, dtype=dtype)
    layer.weight = point(shape, gain, seed, dtype)
    if bias:
        layer.bias = nn.Parameter(0.1 * random(shape[:1], 5, dtype))
    return layer


def error_of(W, gain=1.0):
    return float(stiefel.orthogonality_error(W.detach().double(), gain=gain).max())


@pytest.mark.parametrize("metric", ["canonical", "euclidean"])
@pytest.mark.parametrize("gain", [1.0, 1.3])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_one_step_is_the_retraction_of_the_riemannian_gradient(shape, way, gain, metric):
    """Float64, ||step / gain|| about .5 to .8: the dense paths against theory.retractions, 1e-12."""
    W, G = point(shape, gain), random(shape)
    D = stiefel.riemannian_gradient(W.detach(), G, metric=metric, gain=gain)
    lr = 0.8 * gain / float(torch.linalg.matrix_norm(D, 2).max())
    expected = retractions.RETRACTIONS[way](W.detach(), -lr * D, gain=gain)
    W.grad = G
    StiefelSGD([W], lr=lr, retraction=way, metric=metric, gain=gain).step()
    torch.testing.assert_close(W.detach(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lr", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("gain", [1.0, 1.3])
@pytest.mark.parametrize("shape", [(40, 40), (60, 40), (40, 60)])
def test_the_low_rank_step_is_the_full_cayley_step(shape, gain, bias, lr):
    """Float64, batch 3: from X, Y and D, against theory.cayley along autograd's gradient, 1e-12."""
    layer = layer_at(shape, gain, bias)
    x, y = random((3, shape[1]), 2), random((3, shape[0]), 3)
    W = layer.weight.detach().clone().requires_grad_()
    b = layer.bias.detach() if bias else None
    (G,) = torch.autograd.grad(((nn.functional.linear(x, W, b).tanh() - y) ** 2).mean(), W)
    W = W.detach()
    D = stiefel.riemannian_gradient(W, G, metric="canonical", gain=gain)
    expected = retractions.cayley(W, -lr * D, gain=gain)
    optimiser = StiefelSGD(layer, lr=lr, constrained=[layer], gain=gain)
    assert "low-rank" in optimiser.describe()
    ((layer(x).tanh() - y) ** 2).mean().backward()
    assert layer.weight.grad.isnan().all()  # the stand-in
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), expected, rtol=0, atol=1e-12)
    assert float((expected - W).abs().max()) > 1e-4


def net(dtype=DOUBLE, width=24, depth=3, seed=0, bias=True):
    """3 hidden layers of 24 and free layers around them."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [10] + [width] * (depth + 1) + [4]
    layers = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layer = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias, dtype=dtype)
        with torch.no_grad():
            if n_in == n_out:
                layer.weight.copy_(haar(n_in, generator=generator, dtype=dtype))
            else:
                layer.weight.normal_(std=n_in**-0.5, generator=generator)
            if bias:
                layer.bias.normal_(std=0.1, generator=generator)
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def hidden(model):
    return [m for m in model if isinstance(m, nn.Linear) and m.in_features == m.out_features]


def data(rows=8, dtype=DOUBLE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(64, 10, generator=generator, dtype=dtype)
    y = torch.randint(4, (64,), generator=generator)
    return [(x[i : i + rows], y[i : i + rows]) for i in range(0, 64, rows)]


def train(model, optimiser, steps, batches):
    losses = []
    for k in range(steps):
        x, y = batches[k % len(batches)]
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def by_hand(model, steps, batches, lr, momentum=0.0, retraction="cayley"):
    """SGD with theory's retraction and autograd's gradients, the momentum carried along by the step itself."""
    constrained = {m.weight for m in hidden(model)}
    buffers = {}
    losses = []
    for k in range(steps):
        x, y = batches[k % len(batches)]
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for p in model.parameters():
                if p in constrained:
                    S = p.grad @ p.mT - p @ p.grad.mT  # the canonical gradient is S p
                    buffers[p] = momentum * buffers.get(p, 0) + S
                    p.copy_(retractions.RETRACTIONS[retraction](p, -lr * buffers[p] @ p))
                else:
                    buffers[p] = momentum * buffers.get(p, 0) + p.grad
                    p.sub_(buffers[p], alpha=lr)
    return losses


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("retraction", WAYS)
@pytest.mark.parametrize("low_rank", [True, False])
@pytest.mark.parametrize("rows", [4, 16])
def test_a_trajectory_equals_one_by_hand(rows, low_rank, retraction, momentum):
    """40 steps in float64 with mixed parameters, of 4 rows (low rank at width 24) and 16 (not): to 1e-9."""
    model, twin = net(), net()
    optimiser = StiefelSGD(
        model, lr=0.1, momentum=momentum, constrained=hidden(model), retraction=retraction, low_rank=low_rank
    )
    ours = train(model, optimiser, 40, data(rows))
    theirs = by_hand(twin, 40, data(rows), 0.1, momentum, retraction)
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=0, atol=1e-9)
