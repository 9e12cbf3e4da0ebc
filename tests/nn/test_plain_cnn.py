"""Ring layers and the plain CNN against torch's own convolution and its derivatives."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ortholab.errors import ArgumentError
from ortholab.nn import PlainCNN, ring_layers
from ortholab.nn.plain_cnn import KERNELS


def reference(x, kernels, bias):
    """The same layers by torch.nn.functional.conv2d after circular padding."""
    tall, wide = (k // 2 for k in kernels.shape[3:])
    for W, b in zip(kernels, bias, strict=True):
        x = torch.tanh(F.conv2d(F.pad(x, (wide, wide, tall, tall), mode="circular"), W, b))
    return x


@pytest.mark.parametrize(("size", "taps"), [((3, 4), (3, 3)), ((5, 3), (1, 3)), ((4, 3), (3, 1))])
def test_ring_layers_and_their_gradients_are_those_of_torchs_convolution(size, taps):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 2, *size), (4, 2, 2, *taps), (4, 2), (2, 2, *size))
    x, W, b, v = (torch.randn(shape, generator=generator, dtype=torch.float64) / 2 for shape in shapes)
    inputs = [value.requires_grad_() for value in (x, W, b)]
    ours, theirs = ring_layers(*inputs), reference(*inputs)
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-13)
    for found, known in zip(*(torch.autograd.grad((y * v).sum(), inputs) for y in (ours, theirs)), strict=True):
        assert torch.allclose(found, known, rtol=1e-11, atol=1e-13)
    assert torch.autograd.gradcheck(ring_layers, inputs, fast_mode=True)


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_network_is_its_layers_one_by_one(kernels):
    net = PlainCNN((1, 20, 28), 5, 6, 10, sigma_w=1.1, sigma_b=0.1, kernels=kernels, generator=0)
    x = torch.randn(3, 1, 20, 28, generator=torch.Generator().manual_seed(1))
    h = x
    for weight, bias in net.stem:
        h = torch.tanh(F.conv2d(h, weight, bias, stride=2, padding=1))
    assert h.shape == (3, 5, 3, 4)
    h = reference(h, net.kernels, net.bias)
    weight, bias = net.readout
    assert torch.allclose(net(x), h.flatten(1) @ weight.flatten(1).T + bias, atol=1e-5)
    net(x).sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())


def test_all_laws_of_a_seed_share_everything_but_the_kernels_and_the_sum_of_their_variances():
    nets = [PlainCNN((1, 28, 28), 16, 40, 10, sigma_w=1.3, sigma_b=0.2, kernels=k, generator=3) for k in KERNELS]
    for net in nets[1:]:
        for name, value in net.named_parameters():
            assert torch.equal(value, dict(nets[0].named_parameters())[name]) == (name != "kernels")
    for net in nets:
        fan = net.kernels.double().square().sum((2, 3, 4))  # over all that leads to one output: sigma_w^2
        assert abs(fan.mean().item() - 1.69) < 5 * 1.69 * np.sqrt(2 / 144 / fan.numel())
    rows = nets[1].kernels.double().flatten(2)
    assert torch.allclose(rows @ rows.mT, 1.69 * torch.eye(16, dtype=torch.float64).expand(40, 16, 16), atol=1e-5)


def test_reshaped_orthogonal_is_the_law_of_torchs_own_initialiser():
    """The same Gram matrix, and the same mean square of the centre taps' traces, over many draws."""
    torch.manual_seed(0)
    ours, theirs = torch.empty(1000, 3, 3, 3, 3), torch.empty(1000, 3, 3, 3, 3)
    generator = torch.Generator().manual_seed(1)
    for a, b in zip(ours, theirs, strict=True):
        KERNELS["reshaped orthogonal"](a, 1.3, generator)
        torch.nn.init.orthogonal_(b, 1.3)
    flat = [x.flatten(2) for x in (ours, theirs)]
    assert all(torch.allclose(x @ x.mT, 1.69 * torch.eye(3).expand(1000, 3, 3), atol=1e-5) for x in flat)
    a, b = (x[..., 1, 1].diagonal(dim1=1, dim2=2).sum(-1).square() for x in (ours, theirs))
    assert abs(a.mean() - b.mean()) < 5 * ((a.var() + b.var()) / 1000).sqrt()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ring_layers(torch.ones(2, 3), torch.ones(1, 3, 3, 3, 3), torch.ones(1, 3)), "x must have shape"),
        (lambda: ring_layers(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 2, 3, 3), torch.ones(1, 3)), "kernels must"),
        (lambda: ring_layers(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 3, 2, 3), torch.ones(1, 3)), "odd k_1"),
        (lambda: ring_layers(torch.ones(1, 3, 4, 4), torch.ones(2, 3, 3, 3, 3), torch.ones(1, 3)), "bias must"),
        (lambda: PlainCNN((28, 28), 4, 4, 10, sigma_w=1.0), "image must"),
        (lambda: PlainCNN((1, 28, 28), 4, 4, 10, sigma_w=1.0, kernels="delta"), "kernels must be one of"),
        (lambda: PlainCNN((1, 28, 28), 4, 4, 10, sigma_w=1.0)(torch.ones(1, 2, 28, 28)), "x must have shape"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
