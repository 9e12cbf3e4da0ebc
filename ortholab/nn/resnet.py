"""Residual networks for images of 32 x 32: depth 6k + 2 in three stages, drawn from an explicit generator."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.init import check_torch_generator


class ResNet(nn.Module):
    """The residual network of He et al. for CIFAR: three stages of k blocks, width, 2 width and 4 width channels.

        x -> relu(x' + BN(K_2 * relu(BN(K_1 * x)))),

    with kernels K of 3 x 3, batch normalisation BN, and x' = x, or at the start of the second and third stage every
    second pixel of x with zero channels added (their option A: no weights). A kernel before the first stage, the mean
    over all pixels and a linear readout make ``depth`` = 6 k + 2 layers of weights: 20, 32, 56, 110. Kernels are
    N(0, 2 / (9 out)) (He et al. 2015, the variance that keeps gradients), the readout uniform within 1 / sqrt(n_in).
    ``generator`` is a torch.Generator, a seed, or None for torch's global one; it draws on its own device, so a seed is
    one network everywhere. Images x have shape (rows, channels, height, width), height and width >= 4.
    Raises ArgumentError. Source: He, Zhang, Ren, Sun 2016, section 4.2.

    >>> model = ResNet(20, generator=0)
    >>> sum(p.numel() for p in model.parameters()), model(torch.zeros(2, 3, 32, 32)).shape
    (269722, torch.Size([2, 10]))
    """

    def __init__(
        self,
        depth: int = 20,
        n_out: int = 10,
        *,
        width: int = 16,
        channels: int = 3,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        self.depth, self.width = check_int("depth", depth, 8), check_int("width", width, 1)
        if (self.depth - 2) % 6:
            raise bad("depth", depth, "6 k + 2 for an integer k >= 1, such as 20, 32, 56 or 110")
        self.channels = check_int("channels", channels, 1)
        n_out = check_int("n_out", n_out, 1)
        generator = check_torch_generator(generator)
        self.first = _kernel(self.channels, self.width, 1)
        self.first_norm = nn.BatchNorm2d(self.width)
        self.blocks = nn.ModuleList()
        n_in = self.width
        for stage in range(3):
            for k in range((self.depth - 2) // 6):
                stride = 2 if stage and not k else 1
                self.blocks.append(Block(n_in, self.width << stage, stride))
                n_in = self.width << stage
        self.readout = nn.utils.skip_init(nn.Linear, n_in, n_out)
        self._draw(generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, shape (rows, n_out). Raises ArgumentError for images of another shape."""
        if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] != self.channels or min(x.shape[2:]) < 4:
            got = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ArgumentError(f"x must have shape (rows, {self.channels}, height, width), both >= 4; got {got}")
        x = F.relu_(self.first_norm(self.first(x)))
        for block in self.blocks:
            x = block(x)
        return self.readout(x.mean((2, 3)))

    def kernels(self) -> dict[str, nn.Parameter]:
        """Return the convolution kernels (out, in, 3, 3) by the name of their parameter, in the order of the layers."""
        return {name: p for name, p in self.named_parameters() if p.ndim == 4}

    def extra_repr(self) -> str:
        return f"depth={self.depth}, width={self.width}"

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        device = generator.device if generator is not None else "cpu"
        for kernel in self.kernels().values():
            draw = torch.randn(kernel.shape, generator=generator, device=device)
            kernel.copy_(draw * math.sqrt(2 / (kernel.shape[0] * kernel[0, 0].numel())))
        bound = 1 / math.sqrt(self.readout.in_features)
        for p in (self.readout.weight, self.readout.bias):
            p.copy_((2 * torch.rand(p.shape, generator=generator, device=device) - 1) * bound)


class Block(nn.Module):
    """Two kernels with normalisation and a shortcut without weights; ``stride`` 2 halves the picture.

    >>> Block(4, 8, 2)(torch.zeros(1, 4, 8, 8)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.kernel_1, self.norm_1 = _kernel(n_in, n_out, stride), nn.BatchNorm2d(n_out)
        self.kernel_2, self.norm_2 = _kernel(n_out, n_out, 1), nn.BatchNorm2d(n_out)
        self.stride, self.added = stride, n_out - n_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu_(self.norm_1(self.kernel_1(x)))
        y = self.norm_2(self.kernel_2(y))
        if self.stride > 1 or self.added:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return F.relu_(y + x)


def _kernel(n_in: int, n_out: int, stride: int) -> nn.Conv2d:
    return nn.utils.skip_init(nn.Conv2d, n_in, n_out, 3, stride=stride, padding=1, bias=False)
