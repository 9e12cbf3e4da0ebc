"""StiefelSGD and StiefelAdam: one step against theory.retractions, trajectories, the tolerance, the state."""

import copy
import itertools
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
    for n_in, n_out in itertools.pairwise(sizes):
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
@pytest.mark.parametrize(("rows", "low_rank"), [(4, True), (4, False), (16, True)])
def test_a_trajectory_equals_one_by_hand(rows, low_rank, retraction, momentum):
    """40 steps in float64 with mixed parameters, of 4 rows (low rank at width 24) and 16 (not): to 1e-9."""
    model, twin = net(), net()
    optimiser = StiefelSGD(
        model, lr=0.1, momentum=momentum, constrained=hidden(model), retraction=retraction, low_rank=low_rank
    )
    ours = train(model, optimiser, 40, data(rows))
    theirs = by_hand(twin, 40, data(rows), 0.1, momentum, retraction)
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (3, 6, 6), (3, 4, 7)])
@pytest.mark.parametrize(
    "make", [lambda p: StiefelSGD(p, 0.1, momentum=0.9, gain=1.3), lambda p: StiefelAdam(p, 0.05, gain=1.3)]
)
def test_what_momentum_remembers_stays_tangent(make, shape):
    """20 steps at random gradients, float64: a square W's buffer is skew; another's is in the tangent space of W."""
    W = point(shape, 1.3)
    optimiser = make([W])
    for k in range(20):
        W.grad = random(shape, 10 + k)
        optimiser.step()
    state = optimiser.state[W]
    v = state.get("momentum_buffer", state.get("exp_avg"))
    if shape[-1] == shape[-2]:
        torch.testing.assert_close(v, -v.mT, rtol=0, atol=1e-14)
    else:
        upright = W.detach() if shape[-2] > shape[-1] else W.detach().mT
        torch.testing.assert_close(v, stiefel.tangent_projection(upright, v, gain=1.3), rtol=0, atol=1e-13)
    assert float(v.abs().max()) > 1e-3
    assert error_of(W, 1.3) < 1e-13


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (2, 5, 5)])
def test_adam_by_its_definition(shape):
    """15 steps in float64, gain 1.3, against the formulas on the full matrices with theory's retractions: 1e-11."""
    gain, lr, beta1, beta2, eps = 1.3, 0.05, 0.9, 0.99, 1e-8
    W = point(shape, gain)
    V = W.detach().clone()
    optimiser = StiefelAdam([W], lr, betas=(beta1, beta2), eps=eps, gain=gain)
    square = shape[-1] == shape[-2]
    way = retractions.RETRACTIONS["cayley" if square else "polar"]
    m, v = torch.zeros_like(V), torch.zeros((*shape[:-2], 1, 1), dtype=DOUBLE)
    for t in range(1, 16):
        W.grad = random(shape, 10 + t)
        optimiser.step()
        D = stiefel.riemannian_gradient(V, W.grad, metric="canonical", gain=gain)
        m = beta1 * m + (1 - beta1) * D
        v = beta2 * v + (1 - beta2) * (D**2).mean((-2, -1), keepdim=True)
        step = lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
        new = way(V, -step, gain=gain)
        # For a square V, m = S V with S skew, and S stays.
        m = m @ V.mT @ new / gain**2 if square else stiefel.tangent_projection(new, m, gain=gain)
        V = new
        torch.testing.assert_close(W.detach(), V, rtol=0, atol=1e-11)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_trajectory_equals_geoopts(momentum):
    """Tall 9 x 4, QR in the Euclidean metric, 30 steps in float64, a quadratic loss."""
    geoopt = pytest.importorskip("geoopt")
    W = point((9, 4))
    theirs = geoopt.ManifoldParameter(W.detach().clone(), manifold=geoopt.Stiefel(canonical=False))
    ours = StiefelSGD([W], 0.05, momentum=momentum, retraction="qr", metric="euclidean")
    # geoopt starts its buffer with the plain gradient: with the projected one both are alike.
    other = geoopt.optim.RiemannianSGD([theirs], 0.05, momentum=momentum)
    A, B = random((9, 9), 3), random((9, 4), 4)
    for k in range(30):
        for p, optimiser in ((W, ours), (theirs, other)):
            optimiser.zero_grad()
            ((A @ p - B) ** 2).mean().backward()
            if momentum and k == 0 and p is theirs:
                p.grad = theirs.manifold.proju(p.data, p.grad)
                optimiser.state[p]["momentum_buffer"] = torch.zeros_like(p)
            optimiser.step()
    torch.testing.assert_close(W.detach(), theirs.detach(), rtol=0, atol=1e-10)


def plain_pair(make_ours, make_torch):
    """Free parameters alone: our optimiser beside torch's."""
    model, twin = net(), net()
    ours = make_ours([{"params": model.parameters(), "stiefel": False}])
    theirs = make_torch(twin.parameters())
    return train(model, ours, 20, data()), train(twin, theirs, 20, data())


@pytest.mark.parametrize(
    "options",
    [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.01}, {"maximize": True}],
)
def test_free_parameters_are_torchs_sgd(options):
    ours, theirs = plain_pair(lambda p: StiefelSGD(p, 0.05, **options), lambda p: torch.optim.SGD(p, 0.05, **options))
    assert ours == theirs


@pytest.mark.parametrize("options", [{}, {"betas": (0.8, 0.9)}, {"weight_decay": 0.01}, {"maximize": True}])
def test_free_parameters_are_torchs_adam(options):
    ours, theirs = plain_pair(lambda p: StiefelAdam(p, 0.01, **options), lambda p: torch.optim.Adam(p, 0.01, **options))
    assert ours == theirs


@pytest.mark.parametrize("rows", [4, 32])
@pytest.mark.parametrize(
    "make",
    [
        lambda m: StiefelSGD(m, 0.1, constrained=hidden(m)),
        lambda m: StiefelSGD(m, 0.02, momentum=0.9, constrained=hidden(m)),
        lambda m: StiefelSGD(m, 0.02, momentum=0.9, nesterov=True, constrained=hidden(m), retraction="qr"),
        lambda m: StiefelSGD(m, 0.1, constrained=hidden(m), retraction="polar"),
        lambda m: StiefelAdam(m, 0.003, constrained=hidden(m)),
    ],
)
def test_float32_stays_within_the_tolerance_at_every_step(make, rows):
    """Width 64, batch 4 (low rank) and 32, 200 steps, of plain SGD 2000: at most 1e-6 sqrt(64) after every one."""
    model = net(torch.float32, width=64)
    optimiser = make(model)
    batches = data(rows, torch.float32)
    worst = 0.0
    plain = isinstance(optimiser, StiefelSGD) and optimiser.defaults["momentum"] == 0
    for k in range(2000 if plain and optimiser.defaults["retraction"] == "auto" else 200):
        x, y = batches[k % len(batches)]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
        W = torch.stack([m.weight.detach() for m in hidden(model)]).double()
        worst = max(worst, float(torch.linalg.matrix_norm(W @ W.mT - torch.eye(64, dtype=DOUBLE)).max()))
    assert worst <= 1e-6 * 8
    assert math.isfinite(float(sum(p.detach().square().sum() for p in model.parameters())))


@pytest.mark.parametrize(("way", "gain"), [("auto", 1.0), *((way, 1.3) for way in ("auto", *WAYS))])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (3, 16, 16), (2, 9, 16)])
def test_every_shape_and_way_stays_within_the_tolerance(shape, way, momentum, gain):
    """A noisy quadratic loss in float32, 300 steps of ||step|| about .05: at most 1e-6 sqrt(k) after every one."""
    W = point(shape, gain, dtype=torch.float32)
    optimiser = StiefelSGD([W], 0.02, momentum=momentum, retraction=way, gain=gain)
    target = point(shape, gain, seed=9, dtype=torch.float32).detach()
    worst = 0.0
    for k in range(300):
        W.grad = W.detach() - target + random(shape, k, torch.float32) / 4
        optimiser.step()
        worst = max(worst, error_of(W, gain))
    assert worst <= 1e-6 * min(shape[-2:]) ** 0.5


@pytest.mark.parametrize("shape", [(60, 40), (40, 60)])
def test_low_rank_steps_of_rectangles_stay_within_the_tolerance(shape):
    """Batch 3 in float32, 600 steps, gain 1.3."""
    layer = layer_at(shape, 1.3, dtype=torch.float32)
    optimiser = StiefelSGD(layer, 0.05, constrained=[layer], gain=1.3)
    worst = 0.0
    for k in range(600):
        optimiser.zero_grad()
        x, y = random((3, shape[1]), k, torch.float32), random((3, shape[0]), 10_000 + k, torch.float32)
        ((layer(x).tanh() - y) ** 2).mean().backward()
        optimiser.step()
        worst = max(worst, error_of(layer.weight, 1.3))
    assert worst <= 1e-6 * 40**0.5


@pytest.mark.parametrize("way", ["auto", *WAYS])
@pytest.mark.parametrize("lr", [30.0, 1e12])
@pytest.mark.parametrize("rows", [3, 32])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_step_too_long_is_caught(lr, way, rows, momentum):
    """Float32, widths 40: ||step|| up to 1e12 is cut to 1, counted, and leaves W on the manifold."""
    for shape in ((40, 40), (60, 40), (40, 60)):
        layer = layer_at(shape, dtype=torch.float32)
        optimiser = StiefelSGD(layer, lr, momentum=momentum, constrained=[layer], retraction=way)
        optimiser.param_groups[1]["lr"] = 0.0  # the bias
        for k in range(3):
            optimiser.zero_grad()
            x, y = random((rows, shape[1]), k, torch.float32), random((rows, shape[0]), 50 + k, torch.float32)
            (30 * (layer(x) - y) ** 2).mean().backward()
            before = layer.weight.detach().clone()
            optimiser.step()
            assert error_of(layer.weight) <= 1e-6 * 40**0.5
            moved = torch.linalg.matrix_norm(layer.weight.detach() - before, 2)
            assert moved <= 1.0001
        assert optimiser.state[layer.weight]["capped"] == 3


def test_a_cut_step_keeps_most_of_its_length():
    """The bound of ||step|| is within k^(1/16) of it: the step that is taken turns by nearly max_step."""
    layer = layer_at((40, 40))
    W = layer.weight.detach().clone()
    x, y = random((3, 40), 2), random((3, 40), 3)
    optimiser = StiefelSGD(layer, 1e4, constrained=[layer], max_step=0.5)
    (((layer(x) - y) ** 2).mean()).backward()
    optimiser.step()
    C = layer.weight.detach() @ W.T  # Cayley of S with eigenvalues i s: tan of half the angle is s / 2
    angle = float(torch.linalg.eigvals(C).angle().abs().max())
    assert 0.8 * 0.5 <= 2 * math.tan(angle / 2) <= 0.5 + 1e-9


@pytest.mark.parametrize("rows", [4, 16])
@pytest.mark.parametrize(
    "make",
    [
        lambda m: StiefelSGD(m, 0.1, constrained=hidden(m)),
        lambda m: StiefelSGD(m, 0.05, momentum=0.9, constrained=hidden(m)),
        lambda m: StiefelAdam(m, 0.01, constrained=hidden(m)),
    ],
)
def test_resuming_from_a_state_gives_the_same_bits(make, rows, tmp_path):
    """40 + 40 steps in float32, saved and loaded in between, against 80 without."""
    batches = data(rows, torch.float32)
    model, whole = net(torch.float32), net(torch.float32)
    straight = make(whole)
    first = train(whole, straight, 80, batches)
    optimiser = make(model)
    train(model, optimiser, 40, batches)
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    fresh = net(torch.float32, seed=7)
    resumed = make(fresh)
    fresh.load_state_dict(saved["model"])
    resumed.load_state_dict(saved["optimiser"])
    rest = train(fresh, resumed, 40, batches[40 % len(batches) :] + batches[: 40 % len(batches)])
    assert rest == first[40:]
    for p, q in zip(whole.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_deepcopy_trains_on_alone():
    """Model and optimiser copied together go the same way; the model's copy alone is an ordinary network."""
    batches = data(4)
    model = net()
    optimiser = StiefelSGD(model, 0.1, momentum=0.0, constrained=hidden(model))
    train(model, optimiser, 10, batches)
    twin, other = copy.deepcopy((model, optimiser))
    assert train(model, optimiser, 10, batches) == train(twin, other, 10, batches)
    alone = copy.deepcopy(model)
    nn.functional.cross_entropy(alone(batches[0][0]), batches[0][1]).backward()
    assert all(torch.isfinite(p.grad).all() for p in alone.parameters())
    assert str(alone) == str(net())
