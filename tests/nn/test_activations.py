"""The torch activations agree with the theory's, and their derivatives with autograd."""

import numpy as np
import pytest
import torch

from ortholab.nn.activations import BUILTIN, torch_activation
from ortholab.theory.activations import get_activation

H = torch.linspace(-6, 6, 1201, dtype=torch.float64)


@pytest.mark.parametrize("name", BUILTIN)
def test_agrees_with_the_theory(name):
    ours, theory = torch_activation(name), get_activation(name)
    smooth = np.ones(len(H), dtype=bool)
    for kink in theory.kinks:
        smooth &= np.abs(H.numpy() - kink) > 1e-9
    assert np.allclose(ours.phi(H).numpy(), theory.phi(H.numpy()), rtol=1e-12, atol=1e-15)
    assert np.allclose(ours.dphi(H).numpy()[smooth], theory.dphi(H.numpy())[smooth], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", BUILTIN)
def test_derivative_agrees_with_autograd(name):
    act = torch_activation(name)
    h = H.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(act.phi(h).sum(), h)
    smooth = ~torch.isclose(H.abs(), torch.tensor(1.0).double()) if name == "hard_tanh" else torch.ones_like(H).bool()
    assert torch.allclose(act.dphi(H)[smooth], slope[smooth], rtol=1e-10, atol=1e-14)
    assert torch.allclose(act.slope(H, act.phi(H))[smooth], slope[smooth], rtol=1e-9, atol=1e-14)


def test_slope_of_a_saturated_unit_is_small_and_not_zero():
    h = torch.tensor([20.0, 300.0], dtype=torch.float64)
    assert torch.allclose(torch_activation("tanh").dphi(h), 4 * torch.exp(-2 * h), rtol=1e-12, atol=0)
    assert torch_activation("tanh").dphi(torch.tensor([1e4])).item() == 0


def test_own_torch_function():
    act = torch_activation(torch.sin)
    assert torch.allclose(act.dphi(H), torch.cos(H))
    assert torch_activation(torch.nn.ELU()).name == "ELU"


def test_theory_builtin_passes_through():
    assert torch_activation(get_activation("erf")) is BUILTIN["erf"]
