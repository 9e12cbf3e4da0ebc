"""The residual network: sizes of He et al., its block against plain formulas, and the first steps of ResNet-110."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ortholab.errors import ArgumentError
from ortholab.nn.resnet import Block, ResNet
from ortholab.nn.soft import SoftOrthogonality


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_sizes_are_those_of_the_paper(depth, millions):
    model = ResNet(depth, generator=0)
    size = sum(p.numel() for p in model.parameters())
    assert size / 1e6 == pytest.approx(millions, abs=0.05 if depth == 110 else 0.006)
    assert len(model.kernels()) + 1 == depth  # the readout is the last layer of weights


def test_pictures_halve_twice_and_any_size_above_four_goes():
    seen = []
    model = ResNet(8, 7, width=4, channels=1, generator=0)
    for block in model.blocks:
        block.register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape[1:])))
    assert model(torch.zeros(2, 1, 14, 14)).shape == (2, 7)
    assert seen == [(4, 14, 14), (8, 7, 7), (16, 4, 4)]


def test_a_block_is_the_formula():
    torch.manual_seed(0)
    block = Block(3, 6, 2).double()
    for norm in (block.norm_1, block.norm_2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    for layer in (block.kernel_1, block.kernel_2):
        nn.init.normal_(layer.weight)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)

    def normalised(h, norm):
        mean, var = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), keepdim=True, correction=0)
        scaled = (h - mean) / (var + norm.eps).sqrt()
        return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]

    h = F.relu(normalised(F.conv2d(x, block.kernel_1.weight, stride=2, padding=1), block.norm_1))
    h = normalised(F.conv2d(h, block.kernel_2.weight, padding=1), block.norm_2)
    shortcut = torch.cat([x[:, :, ::2, ::2], torch.zeros(4, 3, 4, 4, dtype=torch.float64)], 1)
    torch.testing.assert_close(block(x), F.relu(h + shortcut), rtol=1e-10, atol=1e-10)


def test_the_start_is_the_generators_alone_and_has_the_stated_law():
    state = torch.random.get_rng_state()
    one, two, other = ResNet(20, generator=3), ResNet(20, generator=3), ResNet(20, generator=4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.first.weight, other.first.weight)
    for kernel in one.kernels().values():
        want = 2 / (9 * kernel.shape[0])
        assert kernel.var().item() == pytest.approx(want, rel=5 * math.sqrt(2 / kernel.numel()))
    assert one.readout.weight.abs().max() <= 1 / math.sqrt(64)


def test_the_loss_does_not_see_the_length_of_a_kernel():
    """Batch normalisation divides it out, so the gradient is orthogonal to the kernel (Euler's theorem)."""
    model = ResNet(8, width=4, generator=0).double()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-30
    x = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    F.cross_entropy(model(x), torch.arange(5)).backward()
    for kernel in model.kernels().values():
        inner, sizes = (kernel.detach() * kernel.grad).sum(), kernel.detach().norm() * kernel.grad.norm()
        assert abs(inner.item()) < 1e-12 * sizes.item()


@pytest.mark.parametrize("penalty", ["so", "dso", "mc", "srip"])
def test_first_steps_of_resnet_110_on_generated_images_of_100_classes(penalty):
    model = ResNet(110, 100, generator=0)
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(8, 3, 32, 32, generator=generator), torch.randint(100, (8,), generator=generator)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    soft = SoftOrthogonality(model.kernels().items(), penalty, 1e-2).attach(optimiser)
    values, losses = [soft.value()], []
    for _ in range(3):
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        values.append(soft.value())
    assert soft.steps == 3
    assert len(soft.places) == 109
    assert values[0] > values[1] > values[2] > values[3]
    assert all(math.isfinite(value) for value in losses)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ResNet(21), "depth must be 6 k \\+ 2"),
        (lambda: ResNet(2), "depth must be an integer >= 8; got 2"),
        (lambda: ResNet(20, width=0), "width must be an integer >= 1"),
        (lambda: ResNet(20, generator="seed"), "generator must be a torch.Generator"),
        (lambda: ResNet(8)(torch.zeros(1, 1, 32, 32)), r"x must have shape \(rows, 3, height, width\)"),
        (lambda: ResNet(8)(torch.zeros(1, 3, 3, 32)), "both >= 4; got"),
        (lambda: ResNet(8)([1.0]), "got list"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
