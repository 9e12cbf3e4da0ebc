"""Products of reflections as a weight: torch's own product, their number, their gradient, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import haar
from ortholab.nn.parametrize import constrain, constraint_of, reflections_frame, release
from ortholab.theory.reflections import fixed_dimension, reflect

sys.path.insert(0, str(Path(__file__).parent))
from constrained import Own, error, move


def product(n, m, seed=0):
    return torch.from_numpy(reflect(np.random.default_rng(seed).standard_normal((n, m))))


@pytest.mark.parametrize(("n", "k", "m"), [(5, 5, 3), (6, 6, 6), (7, 3, 3), (7, 2, 5), (1, 1, 1)])
def test_the_frame_is_torchs_product_and_its_gradient_a_finite_difference(n, k, m):
    V = torch.randn(n, m, generator=torch.Generator().manual_seed(n), dtype=torch.float64).tril(-1) + torch.eye(n, m)
    theirs = torch.linalg.householder_product(V, 2 / V.square().sum(0))
    assert torch.allclose(reflections_frame(V, min(k, m)), theirs[:, : min(k, m)], atol=1e-12)
    whole = torch.from_numpy(reflect(V.numpy()))[:, :k]
    assert torch.allclose(reflections_frame(V, k), whole, atol=1e-12)
    assert torch.autograd.gradcheck(lambda X: reflections_frame(X, k), (V.requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("m", [1, 4, 9])
def test_m_reflections_stay_m_reflections(dtype, m):
    W = product(9, m).to(dtype)
    module = constrain(Own(W), "weight", "reflections", reflections=m)
    assert torch.allclose(module.weight, W, atol=1e-5)
    move(module)
    Q = module.weight.detach().double()
    assert error(Q) < (1e-5 if dtype == torch.float32 else 1e-13)
    assert (torch.linalg.svdvals(Q - torch.eye(9)) > 1e-5).sum() == m
    assert torch.linalg.det(Q).item() == pytest.approx((-1) ** m, abs=1e-5)
    assert (module.weight - W).abs().max() > 1e-2


@pytest.mark.parametrize("n", [1, 2, 5, 6])
def test_without_a_number_every_start_is_reached(n):
    for seed in range(4):
        Q = haar(n, generator=seed, dtype=torch.float64)
        module = constrain(Own(Q), "weight", "reflections")
        assert torch.allclose(module.weight, Q, atol=1e-10)
        assert constraint_of(module).reflections in (n, n - 1 or 2)
    eye = constrain(Own(torch.eye(n).double()), "weight", "reflections")
    assert torch.allclose(eye.weight, torch.eye(n).double())


def test_training_finds_a_matrix_that_is_a_product_of_as_many():
    target = product(5, 3, seed=1)
    module = constrain(Own(product(5, 3, seed=2)), "weight", "reflections", reflections=3)
    optimiser = torch.optim.Adam(module.parameters(), 0.05)
    for _ in range(300):
        optimiser.zero_grad()
        loss = (module.weight - target).square().sum()
        loss.backward()
        optimiser.step()
    assert loss.item() < 1e-4
    assert fixed_dimension(module.weight.detach().numpy()) == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: constrain(Own(product(5, 4)), "weight", "reflections", reflections=2), "product of reflections = 2"),
        (lambda: constrain(Own(product(5, 4)), "weight", "reflections", reflections=5), "m must be even"),
        (lambda: constrain(Own(product(5, 4)), "weight", "reflections", reflections=0), "reflections must be"),
        (lambda: constrain(Own(torch.ones(3, 3)), "weight", "reflections"), "orthonormal columns"),
        (lambda: release(constrain(Own(product(5, 4)), "weight", "reflections"), keep="parameter"), "another shape"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_a_zero_direction_is_named():
    module = constrain(Own(product(4, 2)), "weight", "reflections", reflections=2)
    with torch.no_grad():
        module.parametrizations.weight.original[:, 0] = 0
    with pytest.raises(ArgumentError, match="no zero column"):
        module.weight  # noqa: B018
