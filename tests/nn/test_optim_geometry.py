"""Muon, ManifoldMuon, Landing and OneStep: single steps against theory and torch, long runs against stated errors."""

import copy
import math

import pytest
import torch
from torch import nn

from ortholab.errors import ArgumentError
from ortholab.nn import haar
from ortholab.nn.optim import Landing, ManifoldMuon, Muon, OneStep
from ortholab.theory import spectral_step, stiefel
from ortholab.theory.newton_schulz import newton_schulz

DOUBLE = torch.float64
SHAPES = [(6, 6), (5, 5), (9, 4), (4, 9), (1, 5), (5, 1), (3, 6, 6), (2, 2, 7, 4), (3, 4, 7)]
HELD = [ManifoldMuon, Landing, OneStep]


def point(shape, seed=0, dtype=DOUBLE):
    *batch, n, k = shape
    Q = haar(max(n, k), min(n, k), generator=seed, batch=tuple(batch), dtype=DOUBLE)
    return nn.Parameter((Q if n >= k else Q.mT).to(dtype).contiguous())


def random(shape, seed=1, dtype=DOUBLE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def stepped(method, W, G, **settings):
    """W after one step along G."""
    W = nn.Parameter(W.detach().clone())
    W.grad = G.clone()
    method([W], **settings).step()
    return W.detach()


def error_of(W):
    return float(stiefel.orthogonality_error(W.detach().double()).max())


# -- Muon --------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9")
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 5)])
def test_muon_takes_the_steps_of_torchs_muon(shape, nesterov, monkeypatch):
    """In float64 throughout: torch's cast to bfloat16 is turned off."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    ours, theirs = (nn.Parameter(random(shape)) for _ in range(2))
    settings = {"lr": 0.03, "momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.2}
    pair = ((ours, Muon([ours], **settings)), (theirs, torch.optim.Muon([theirs], **settings)))
    for step in range(5):
        for W, optimiser in pair:
            W.grad = random(shape, 10 + step) + W.detach()
            optimiser.step()
    torch.testing.assert_close(ours.detach(), theirs.detach(), rtol=0, atol=1e-6)  # their eps is 1e-7


@pytest.mark.parametrize("shape", SHAPES)
def test_muons_step_is_the_polar_direction_or_its_newton_schulz_iterate(shape):
    W, G = random(shape, 2), random(shape)
    settings = {"lr": 0.1, "momentum": 0.0, "nesterov": False, "by_shape": False}
    exact, near = (stepped(Muon, W, G, steps=steps, **settings) for steps in (None, 5))
    torch.testing.assert_close((W - exact) / 0.1, spectral_step.polar_direction(G), rtol=0, atol=1e-12)
    torch.testing.assert_close((W - near) / 0.1, newton_schulz(G), rtol=0, atol=1e-12)
    factor = math.sqrt(max(1.0, shape[-2] / shape[-1]))
    long = stepped(Muon, W, G, steps=None, **(settings | {"by_shape": True}))
    torch.testing.assert_close(W - long, factor * (W - exact), rtol=0, atol=1e-12)


# -- the others --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", [Landing, OneStep])
def test_the_first_order_is_half_the_canonical_gradient(method, shape):
    W, G = point(shape).detach(), random(shape)
    D = stiefel.riemannian_gradient(W, G, metric="canonical") / 2
    lr = 1e-6
    torch.testing.assert_close((stepped(method, W, G, lr=lr) - W) / -lr, D, rtol=0, atol=2e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_manifold_muon_goes_along_the_tangent_direction_that_theory_finds(shape):
    W, G = point(shape).detach(), random(shape)
    lr = 1e-6
    X = spectral_step.tangent_direction(W, G, steps=30, tol=0).direction
    moved = stepped(ManifoldMuon, W, G, lr=lr, steps=None, solve_steps=30, tol=0)
    torch.testing.assert_close((moved - W) / -lr, X, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 6), (7, 7), (9, 4), (4, 9)])
@pytest.mark.parametrize("method", [Muon, *HELD])
def test_the_loss_falls_at_the_rate_that_the_geometry_says(method, shape):
    """Central differences of a nonlinear loss in the step size, against the inner product with the gradient."""
    W, target = point(shape).detach(), random(shape, 7)
    loss = lambda M: ((M - target).tanh() ** 2).sum()  # noqa: E731
    leaf = W.clone().requires_grad_()
    (G,) = torch.autograd.grad(loss(leaf), leaf)
    settings = {"steps": None, "momentum": 0.0, "nesterov": False} if method in (Muon, ManifoldMuon) else {}
    if method is Muon:
        settings["by_shape"] = False
    if method is ManifoldMuon:
        settings |= {"solve_steps": 200, "tol": 1e-9}
    h = 1e-5
    ends = [stepped(method, W, sign * G, lr=h, **settings) for sign in (1, -1)]  # -G goes the other way
    slope = float((loss(ends[0]) - loss(ends[1])) / (2 * h))
    if method is Muon:
        expected = torch.linalg.svdvals(G).sum()
    elif method is ManifoldMuon:
        expected = spectral_step.tangent_direction(W, G, steps=200, tol=1e-9).value
    else:
        expected = (G * stiefel.riemannian_gradient(W, G, metric="canonical")).sum() / 2
    assert slope == pytest.approx(-float(expected), rel=1e-4)


@pytest.mark.parametrize("lr", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(8, 8), (9, 4)])
def test_the_retraction_of_a_spectral_step_divides_by_a_number(shape, lr):
    """X^T X = I for an exact step, so that (W - lr X)^T (W - lr X) = (1 + lr^2) I."""
    W, G = point(shape).detach(), random(shape)
    X = spectral_step.tangent_direction(W, G, steps=200, tol=1e-12).direction
    moved = stepped(ManifoldMuon, W, G, lr=lr, steps=None, solve_steps=200, tol=1e-12)
    torch.testing.assert_close(moved, (W - lr * X) / math.sqrt(1 + lr**2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (9, 4), (4, 9)])
def test_one_step_leaves_an_error_of_the_fourth_order(shape):
    """-3 F^2 / 4 + F^3 / 4 with F = lr^2 D^T D, D = skew(G X^T) X, from the manifold."""
    W, G = point(shape).detach(), random(shape)
    D = stiefel.riemannian_gradient(W, G, metric="canonical") / 2
    D = D.mT if shape[0] < shape[1] else D
    for lr in (0.02, 0.04):
        F = lr**2 * D.mT @ D
        X = stepped(OneStep, W, G, lr=lr)
        X = X.mT if shape[0] < shape[1] else X
        E = X.mT @ X - torch.eye(X.shape[-1], dtype=DOUBLE)
        torch.testing.assert_close(E, -0.75 * F @ F + 0.25 * F @ F @ F, rtol=0, atol=1e-13)


@pytest.mark.parametrize("lr", [0.1, 10.0, 1e4])
@pytest.mark.parametrize("pull", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (3, 4, 7)])
def test_landing_never_leaves_its_tube(shape, pull, lr):
    W = point(shape)
    optimiser = Landing([W], lr=lr, pull=pull, tube=0.4)
    for step in range(60):
        W.grad = random(shape, step)
        optimiser.step()
        assert error_of(W) <= 0.4 + 1e-9
    assert optimiser.state[W]["capped"] > 0


def test_landing_comes_back_when_the_gradient_stops():
    W = point((7, 4))
    optimiser = Landing([W], lr=0.2)
    W.grad = 5 * random((7, 4))
    optimiser.step()
    away = error_of(W)
    W.grad = torch.zeros_like(W)
    for _ in range(100):
        optimiser.step()
    assert away > 0.1
    assert error_of(W) < 1e-12


@pytest.mark.parametrize("shape", [(24, 24), (40, 16), (16, 40)])
@pytest.mark.parametrize("method", HELD)
def test_long_runs_in_float32_stay_as_near_as_they_should(method, shape):
    """600 steps (ManifoldMuon 100) along random gradients. Landing: E about lr / (2 pull) D^T D. OneStep: 3/4 lr^4
    (D^T D)^2, or rounding.

    D = skew(G X^T) X; both to a factor of two. ManifoldMuon: 1e-6 sqrt(k).
    """
    W, lr = point(shape, dtype=torch.float32), 0.02
    settings = {"solve_steps": 2} if method is ManifoldMuon else {}
    optimiser = method([W], lr=lr, **settings)
    k, expected = min(shape), []
    for step in range(100 if method is ManifoldMuon else 600):
        W.grad = random(shape, step, torch.float32) / 3
        if method is not ManifoldMuon and step > 500:
            X, G = (M.detach().double().mT if shape[0] < shape[1] else M.detach().double() for M in (W, W.grad))
            D = (G @ X.mT - X @ G.mT) @ X / 2
            F = D.mT @ D
            expected.append(lr / 2 * F if method is Landing else 0.75 * lr**4 * F @ F)
        optimiser.step()
    if method is ManifoldMuon:
        assert error_of(W) < 1e-6 * math.sqrt(k)
        return
    found, size = error_of(W), float(torch.linalg.matrix_norm(torch.stack(expected).mean(0)))
    assert 0.5 * size < found < 2 * size + 1e-6 * math.sqrt(k)


@pytest.mark.parametrize("method", HELD)
def test_they_find_the_nearest_point(method):
    """min ||W - target||^2 over the manifold is the target's polar factor: stiefel.project."""
    target = random((6, 3)) + 2 * torch.eye(6, 3, dtype=DOUBLE)
    W = nn.Parameter(torch.eye(6, 3, dtype=DOUBLE))
    optimiser = method([W], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.97 if method is ManifoldMuon else 1.0)
    for _ in range(250):
        optimiser.zero_grad()
        ((W - target) ** 2).sum().backward()
        optimiser.step()
        schedule.step()
    torch.testing.assert_close(W.detach(), stiefel.project(target), rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", [Muon, *HELD])
def test_a_saved_state_goes_on(method):
    def run(steps, W, optimiser, first=0):
        for step in range(first, first + steps):
            W.grad = random((5, 3), step)
            optimiser.step()

    one = point((5, 3))
    first = method([one], lr=0.05, momentum=0.9, nesterov=True)
    run(4, one, first)
    two = point((5, 3))
    second = method([two], lr=0.05, momentum=0.9, nesterov=True)
    with torch.no_grad():  # after the constructor, which polishes a start
        two.copy_(one)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(3, one, first, 4)
    run(3, two, second, 4)
    torch.testing.assert_close(one, two, rtol=0, atol=1e-14)


def test_a_closure_is_called_and_groups_have_their_own_rates():
    W, V = point((4, 4)), point((4, 2))
    optimiser = OneStep([{"params": [W], "lr": 0.0}, {"params": [V]}], lr=0.1)
    before = W.detach().clone()

    def closure():
        optimiser.zero_grad()
        loss = (W @ V).sum()
        loss.backward()
        return loss

    first = optimiser.step(closure)
    assert optimiser.step(closure) < first
    torch.testing.assert_close(W.detach(), before, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Muon([nn.Parameter(torch.zeros(3))]), "must be a matrix .* Give vectors to another optimiser"),
        (lambda: Muon([point((3, 3))], steps=0), "steps must be an integer >= 1, or None"),
        (lambda: Muon(point((3, 3))), "params must be a module"),
        (lambda: Muon([point((3, 3))], momentum=0.0), "nesterov must go with a momentum > 0"),
        (lambda: OneStep([nn.Parameter(torch.ones(3, 3))]), "orthonormal columns"),
        (lambda: ManifoldMuon([point((3, 3))], lr=2.0), r"lr must be a number in \[0, 1\]"),
        (lambda: Landing([point((3, 3))], tube=1.0), "tube must be"),
        (lambda: Landing([point((3, 3))], lr=-1), "lr must be"),
        (lambda: stepped(OneStep, point((3, 3)), torch.full((3, 3), math.nan, dtype=DOUBLE)), "must be finite"),
    ],
)
def test_misuse_is_refused(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_landing_refuses_a_weight_that_was_moved_far_off():
    W = point((4, 4))
    optimiser = Landing([W])
    with torch.no_grad():
        W.mul_(2)
    W.grad = random((4, 4))
    with pytest.raises(ArgumentError, match="was changed to"):
        optimiser.step()
