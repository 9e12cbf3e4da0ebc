"""Delta-orthogonal kernels: torch's own convolution is the oracle, as an isometry and through its Jacobian."""

import math

import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import delta_orthogonal_, orthogonal_

CONVOLUTIONS = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}


def layer(dims, c_out, c_in, k, sigma_w, seed, mode="circular"):
    padding = tuple(size // 2 for size in k)
    conv = CONVOLUTIONS[dims](c_in, c_out, k, padding=padding, padding_mode=mode, bias=False, dtype=torch.float64)
    assert delta_orthogonal_(conv.weight, sigma_w, seed) is conv.weight
    assert conv.weight.requires_grad
    return conv


@pytest.mark.parametrize("mode", ["circular", "zeros"])
@pytest.mark.parametrize(("dims", "k"), [(1, (5,)), (2, (3, 3)), (2, (1, 5)), (3, (3, 1, 3))])
@pytest.mark.parametrize("sigma_w", [1.0, 1.3])
def test_a_square_kernel_is_sigma_w_times_an_isometry(dims, k, sigma_w, mode):
    conv = layer(dims, 6, 6, k, sigma_w, 0, mode)
    x = torch.randn(4, 6, *([5] * dims), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ratio = conv(x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)
    assert torch.allclose(ratio, torch.full_like(ratio, sigma_w), rtol=1e-12)


@pytest.mark.parametrize("channels", [(3, 3, 3), (5, 3, 2), (2, 4, 6)])
def test_every_singular_value_of_a_linear_network(channels):
    """The Jacobian of two layers by autograd: wide layers keep sigma_w, tall ones sigma_w sqrt(c_out / c_in)."""
    c2, c1, c0 = channels
    net = torch.nn.Sequential(layer(2, c1, c0, (3, 3), 1.2, 0), layer(2, c2, c1, (3, 3), 1.2, 1))
    J = torch.autograd.functional.jacobian(net, torch.zeros(1, c0, 4, 5, dtype=torch.float64)).reshape(c2 * 20, c0 * 20)
    s = torch.linalg.svdvals(J)
    expected = 1.44 * math.sqrt(max(c2, c0) / c0)  # both layers wide, or both tall
    assert torch.allclose(s, torch.full_like(s, expected), rtol=1e-12)


def test_a_linear_network_of_fifty_layers_keeps_every_singular_value_at_one():
    net = torch.nn.Sequential(*(layer(1, 4, 4, (3,), 1.0, seed) for seed in range(50)))
    J = torch.autograd.functional.jacobian(net, torch.zeros(1, 4, 6, dtype=torch.float64)).reshape(24, 24)
    assert (torch.linalg.svdvals(J) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("shape", [(7, 1), (1, 7), (5, 3), (4, 4)])
def test_the_centre_tap_is_orthogonals_own_draw_and_the_rest_is_zero(shape):
    kernel = delta_orthogonal_(torch.full((*shape, 5, 3), torch.nan, dtype=torch.float64), 1.7, 3)
    centre = orthogonal_(torch.empty(shape, dtype=torch.float64), 1.7, 3)
    assert torch.equal(kernel[:, :, 2, 1], centre)
    kernel[:, :, 2, 1] = 0
    assert torch.equal(kernel, torch.zeros_like(kernel))


def test_float32_and_a_generator_that_goes_on():
    generator = torch.Generator().manual_seed(0)
    first, second = (delta_orthogonal_(torch.empty(3, 3, 3), 1.0, generator) for _ in range(2))
    assert first.dtype == torch.float32
    assert not torch.equal(first, second)
    assert torch.equal(first, delta_orthogonal_(torch.empty(3, 3, 3), 1.0, 0))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        ([[1.0]], "tensor must be a torch tensor"),
        (torch.empty(3, 3), r"got \(3, 3\)"),
        (torch.empty(3, 3, 3, 2), r"odd kernel sizes k and no axis empty; got \(3, 3, 3, 2\)"),
        (torch.empty(3, 0, 3), "no axis empty"),
        (torch.empty(3, 3, 1, 1, 1, 1), "one to three"),
        (torch.empty(3, 3, 3, dtype=torch.int64), "float32 or float64"),
    ],
)
def test_bad_tensors_are_named(tensor, words):
    with pytest.raises(ArgumentError, match=words):
        delta_orthogonal_(tensor)


@pytest.mark.parametrize("sigma_w", [0, -1.0, math.inf, "1"])
def test_a_bad_sigma_w_is_named(sigma_w):
    with pytest.raises(ArgumentError, match="sigma_w must be"):
        delta_orthogonal_(torch.empty(3, 3, 3), sigma_w)
