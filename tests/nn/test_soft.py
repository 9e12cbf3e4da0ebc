"""The hook that adds a penalty's gradient: against theory.penalties, autograd, finite differences and torch.optim."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

from ortholab.errors import ArgumentError
from ortholab.nn import soft_gradients
from ortholab.nn.schedules import CosineDecay, LinearDecay, Piecewise, bansal
from ortholab.nn.soft import PENALTIES, SMALL, SoftOrthogonality
from ortholab.theory import penalties as exact

SHAPES = [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1), (4, 6, 3), (2, 3, 3), (2, 3, 8)]
KERNELS = [(6, 4, 3, 3), (20, 2, 3, 3), (4, 1, 5, 5), (3, 2, 2, 2, 2)]


def draw(shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype) / max(shape[-2:]) ** 0.5)


def norm_of_error(W, gain, penalty):
    """The penalty of one matrix, written with torch's own operations, for autograd."""
    short = W @ W.T if W.shape[0] < W.shape[1] else W.T @ W
    E = short / gain**2 - torch.eye(len(short), dtype=W.dtype)
    if penalty == "dso":
        long = W.T @ W if W.shape[0] < W.shape[1] else W @ W.T
        return E.square().sum() + (long / gain**2 - torch.eye(len(long), dtype=W.dtype)).square().sum()
    if penalty == "mc":
        return E.abs().max()
    return torch.linalg.matrix_norm(E, 2) if penalty == "srip" else E.square().sum()


def added(W, penalty, weight=1.0, gain=1.0, before=None):
    """What the hook adds to .grad of a parameter."""
    W.grad = None if before is None else before.clone()
    SoftOrthogonality([W], penalty, weight, gain=gain).add_gradients()
    return W.grad if before is None else W.grad - before


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("gain", [1.0, 1.7])
def test_gradient_equals_autograd(penalty, shape, gain):
    W = draw(shape)
    torch.manual_seed(1)
    got = added(W, penalty, 0.3, gain, before=torch.randn(shape, dtype=W.dtype))
    X = W.detach().clone().requires_grad_()
    loss = sum(norm_of_error(M, gain, penalty) for M in (X if X.ndim == 3 else [X]))
    (want,) = torch.autograd.grad(loss, X)
    # the power of SRIP's Gram error is finite: 2^8 steps of the power iteration
    torch.testing.assert_close(got, 0.3 * want, rtol=1e-3 if penalty == "srip" else 1e-10, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (6, 4, 3, 3)], ids=str)
def test_gradient_equals_central_differences(penalty, shape):
    W, gain, h = draw(shape, 2), 1.3, 1e-6
    got = added(W, penalty, 1.0, gain)
    Z = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values = []
    for sign in (1, -1):
        moved = nn.Parameter(W.detach() + sign * h * Z)
        values.append(SoftOrthogonality([moved], penalty, gain=gain).value())
    slope = (values[0] - values[1]) / (2 * h)
    assert float((got * Z).sum()) == pytest.approx(slope, rel=1e-3 if penalty == "srip" else 1e-6)


def test_the_published_penaltys_gradient_is_that_of_the_theory():
    W = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grad = torch.ones_like(W)
    soft_gradients.add_published(grad, W, 0.7, 1.2)
    torch.testing.assert_close(grad, 1 + 0.7 * exact.published_gradient(W, gain=1.2), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("shape", KERNELS, ids=str)
def test_kernels_go_by_the_convention_of_the_theory(penalty, shape):
    W = draw(shape)
    name = "SO" if penalty == "gain_adjusted" else penalty.upper()
    matrix = exact.kernel_matrix(W.detach().numpy())
    want = exact.PENALTIES[name].gradient(matrix, gain=1.2).reshape(shape)
    got = added(W, penalty, 1.0, 1.2).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-3 if penalty == "srip" else 1e-10, atol=1e-6)
    value = SoftOrthogonality([W], penalty, gain=1.2).value()
    assert value == pytest.approx(float(exact.PENALTIES[name].value(matrix, gain=1.2)), rel=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_layout_in_memory_changes_nothing(penalty):
    plain = draw((6, 4, 3, 3))
    want, G = added(plain, penalty, gain=1.1), torch.ones_like(plain)
    last = nn.Parameter(plain.detach().clone(memory_format=torch.channels_last))
    odd = nn.Parameter(plain.detach().permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0))
    for W in (plain, last, odd):
        for layout in (torch.contiguous_format, torch.channels_last):
            W.grad = G.clone(memory_format=layout)
            SoftOrthogonality([W], penalty, 1.0, gain=1.1).add_gradients()
            torch.testing.assert_close(W.grad - G, want, rtol=1e-6, atol=1e-9)


def test_groups_of_a_convolution_are_penalised_one_by_one():
    layer = nn.Conv2d(4, 6, 3, groups=2, dtype=torch.float64)
    soft = SoftOrthogonality(layer, "so", 1.0)
    soft.add_gradients()
    halves = layer.weight.detach().reshape(2, 3, -1).numpy()
    np.testing.assert_allclose(layer.weight.grad.reshape(2, 3, -1).numpy(), exact.so_gradient(halves), atol=1e-12)
    assert soft.value() == pytest.approx(float(exact.so(halves).sum()))


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


def data(rows=6):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows, 1, 8, 8, generator=generator), torch.arange(rows) % 5


@pytest.mark.parametrize("penalty", ["so", "dso", "mc", "srip"])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_training_equals_a_penalty_in_the_loss(penalty, kind):
    x, y = data()
    ours, theirs = model().double(), model().double()
    a, b = kind(ours.parameters(), lr=0.01), kind(theirs.parameters(), lr=0.01)
    soft = SoftOrthogonality(ours, penalty, 0.05).attach(a)
    for _ in range(5):
        a.zero_grad()
        nn.functional.cross_entropy(ours(x.double()), y).backward()
        a.step()
        b.zero_grad()
        loss = nn.functional.cross_entropy(theirs(x.double()), y)
        loss = loss + 0.05 * sum(norm_of_error(theirs[i].weight.flatten(1), 1.0, penalty) for i in (0, 3))
        loss.backward()
        b.step()
    rtol = 1e-3 if penalty == "srip" else 1e-8
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=rtol, atol=1e-5 if penalty == "srip" else 1e-10)
    assert soft.steps == 5


def test_attached_and_detached():
    net, (x, y) = model(), data()
    plain = copy.deepcopy(net)
    optimiser, other = torch.optim.SGD(net.parameters(), lr=0.1), torch.optim.SGD(plain.parameters(), lr=0.1)
    soft = SoftOrthogonality(net, "so", 0.1).attach(optimiser)
    assert soft.detach() is soft
    for network, opt in ((net, optimiser), (plain, other)):
        nn.functional.cross_entropy(network(x), y).backward()
        opt.step()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), plain.parameters(), strict=True))
    assert soft.steps == 0
    soft.detach().attach(optimiser)  # detach twice is allowed, and it can be attached again
    optimiser.step()
    assert soft.steps == 1
    assert not torch.equal(net[0].weight, plain[0].weight)


def test_a_zero_coefficient_leaves_bits_alone_and_counts():
    W = draw((3, 5))
    before = W.grad = torch.randn(3, 5, dtype=torch.float64)
    soft = SoftOrthogonality([W], "srip", Piecewise([0, 1], [0.0, 1.0]))
    soft.add_gradients()
    assert torch.equal(W.grad, before)
    assert (soft.steps, soft.weight) == (1, 1.0)


@pytest.mark.parametrize("penalty", ["so", "srip"])
def test_a_saved_run_goes_on_bit_for_bit(penalty):
    def begin():
        W = draw((SMALL + 2, SMALL + 40), 4, torch.float32)
        optimiser = torch.optim.SGD([W], lr=0.1, momentum=0.9)
        return W, optimiser, SoftOrthogonality([W], penalty, LinearDecay(0.1, 10)).attach(optimiser)

    W, optimiser, soft = begin()
    for _ in range(3):
        optimiser.zero_grad()
        optimiser.step()
    file = io.BytesIO()
    torch.save({"W": W.detach().clone(), "optimiser": optimiser.state_dict(), "soft": soft.state_dict()}, file)
    W2, optimiser2, soft2 = begin()
    file.seek(0)
    saved = torch.load(file)
    W2.data.copy_(saved["W"])
    optimiser2.load_state_dict(saved["optimiser"])
    soft2.load_state_dict(saved["soft"])
    for opt in (optimiser, optimiser2):
        for _ in range(4):
            opt.zero_grad()
            opt.step()
    assert torch.equal(W, W2)


def test_schedules_give_the_coefficient_of_their_step():
    W = draw((3, 3))
    for schedule in (
        Piecewise([0, 2], [1.0, 0.5]),
        LinearDecay(1.0, 4, 0.2),
        CosineDecay(1.0, 4),
        lambda step: 2.0**-step,
    ):
        soft = SoftOrthogonality([W], "so", schedule)
        unit = added(W, "so", 1.0).clone()
        for step in range(6):
            W.grad = None
            soft.add_gradients()
            got = torch.zeros_like(unit) if W.grad is None else W.grad
            torch.testing.assert_close(got, schedule(step) * unit, rtol=1e-12, atol=1e-14)


def test_bansals_schedule_at_their_own_length():
    an_epoch = 391  # of 50,000 images in batches of 128
    schedule = bansal(200 * an_epoch)
    for epoch, value in ((0, 1e-2), (19, 1e-2), (20, 1e-3), (50, 1e-4), (70, 1e-6), (120, 0.0), (300, 0.0)):
        assert schedule(epoch * an_epoch) == pytest.approx(value)
    with pytest.raises(ArgumentError, match="steps must be an integer >= 20; got 19"):
        bansal(19)


def test_a_weight_without_a_gradient_gets_the_penalty_alone():
    W = draw((3, 5))
    got = added(W, "so", 0.5)
    np.testing.assert_allclose(got.numpy(), 0.5 * exact.so_gradient(W.detach().numpy()), rtol=1e-12)


@pytest.mark.parametrize("shape", [(16, 144), (64, 576), (100, 100), (300, 300), (700, 300)], ids=str)
@pytest.mark.parametrize("coefficient", [1e-2, 1e-1])
def test_srip_is_within_one_percent_of_the_exact_norm_all_along(shape, coefficient):
    """Along a training with the penalty alone, which makes the leading eigenvalues meet."""
    W = draw(shape, 1, torch.float32)
    optimiser = torch.optim.SGD([W], lr=0.1, momentum=0.9)
    soft, worst = SoftOrthogonality([W], "srip", coefficient).attach(optimiser), 0.0
    assert bool(soft.vectors) == (min(shape) > SMALL)
    for _ in range(40):
        before = W.detach().clone()
        E = soft_gradients.gram_error(before, 1.0)
        optimiser.zero_grad()
        optimiser.step()
        v = soft.vectors.get("weights[0]", soft_gradients.leading(E))
        found = torch.linalg.vector_norm(soft_gradients.times_error(before, v, 1.0)).item()
        worst = max(worst, abs(found / torch.linalg.matrix_norm(E.double(), 2).item() - 1))
    assert worst < 0.01


def closure_step(optimiser):
    optimiser.step(lambda: torch.tensor(0.0))


MISUSE = {
    "penalty": (lambda: SoftOrthogonality(model(), "spectral"), "penalty must be one of 'so'"),
    "negative coefficient": (lambda: SoftOrthogonality(model(), "so", -1), "coefficient must be a finite number >= 0"),
    "NaN coefficient": (lambda: SoftOrthogonality(model(), "so", float("nan")), "coefficient must be a finite number"),
    "gain left out": (lambda: SoftOrthogonality(model(), "gain_adjusted"), "gain must be given"),
    "gain 0": (lambda: SoftOrthogonality(model(), "so", gain=0), "gain must be a number in"),
    "nothing to penalise": (lambda: SoftOrthogonality(nn.ReLU()), "weights must be a module or parameters with at"),
    "a number": (lambda: SoftOrthogonality(3), "weights must be a module or parameters; got 'int'"),
    "a bias": (lambda: SoftOrthogonality([nn.Parameter(torch.ones(3))]), r"weights\[0\] must be of shape"),
    "frozen": (lambda: SoftOrthogonality([torch.ones(3, 3)]), r"weights\[0\] must be a parameter that requires a grad"),
    "half precision": (lambda: SoftOrthogonality([draw((3, 3), dtype=torch.bfloat16)]), "of dtype float32 or float64"),
    "twice": (lambda: SoftOrthogonality([W := draw((3, 3)), W]), "weights must not hold one twice"),
    "no optimiser": (lambda: SoftOrthogonality(model()).attach(model()), "optimiser must be a torch.optim.Optimizer"),
    "another's optimiser": (
        lambda: SoftOrthogonality(model()).attach(torch.optim.SGD(model().parameters(), lr=1)),
        "optimiser must train every weight of the penalty; it lacks 0.weight, 3.weight",
    ),
    "srip_steps": (lambda: SoftOrthogonality(model(), "srip", srip_steps=0), "srip_steps must be an integer >= 1"),
    "starts": (lambda: Piecewise([1, 2], [1, 2]), "starts must be increasing integers, the first of them 0"),
    "values": (lambda: Piecewise([0, 2], [1]), "values must be 2 numbers, one for each start"),
    "decay": (lambda: LinearDecay(1.0, 0), "steps must be an integer >= 1; got 0"),
}


@pytest.mark.parametrize("case", MISUSE, ids=str)
def test_misuse_is_named(case):
    call, message = MISUSE[case]
    with pytest.raises(ArgumentError, match=message):
        call()


def test_misuse_after_the_start_is_named():
    W = draw((3, 3))
    optimiser = torch.optim.SGD([W], lr=0.1)
    soft = SoftOrthogonality([W], "so").attach(optimiser)
    with pytest.raises(ArgumentError, match="attached already"):
        soft.attach(optimiser)
    with pytest.raises(ArgumentError, match="closure must be None"):
        closure_step(optimiser)
    with pytest.raises(ArgumentError, match="state must be of this penalty and these weights"):
        soft.load_state_dict({"steps": 1, "vectors": {"weights[0]": torch.ones(3)}})
    W.data[0, 0] = torch.nan
    with pytest.raises(ArgumentError, match="W must be finite"):
        soft.value()
