"""A plain deep convolutional network: no normalisation, no skip connection, one of three laws of its kernels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ortholab.errors import ArgumentError, bad, check_choice, check_int, check_number
from ortholab.nn.convolution import delta_orthogonal_
from ortholab.nn.init import check_torch_generator, gaussian_, orthogonal_
from ortholab.nn.mlp import pick_device
from ortholab.nn.ring_layers import ring_layers


def _on_rows(law):
    """Return a law of kernels: ``law`` on the matrix (c_out, taps c_in) whose rows are the filters."""

    def fill(kernel: torch.Tensor, sigma_w: float, generator: torch.Generator | int | None) -> torch.Tensor:
        law(kernel.view(kernel.shape[0], -1), sigma_w, generator)
        return kernel

    return fill


# In each of them the entries of all taps that lead to one output have variances that add up to sigma_w^2.
KERNELS = {
    "delta-orthogonal": delta_orthogonal_,
    "reshaped orthogonal": _on_rows(orthogonal_),
    "gaussian": _on_rows(gaussian_),
}


class PlainCNN(nn.Module):
    """Three strided convolutions, ``depth`` ring convolutions h = W * x + b, x = tanh(h), and a linear readout.

    Images (B, c, height, width) are brought to an eighth of their sides by three 3 x 3 convolutions of stride 2; then
    all layers are 3 x 3, keep ``channels``, and have circular padding. ``kernels`` is the law of those layers:
    "delta-orthogonal", "gaussian" (variance sigma_w^2 / (9 channels)) or "reshaped orthogonal" (the filters as rows
    of a semi-orthogonal matrix: what torch.nn.init.orthogonal_ does). Strided layers, the readout (of all pixels) and
    the biases are Gaussian, and equal for all laws of one seed. Raises ArgumentError.
    Source: Xiao et al. 2018 (arXiv 1806.05393).

    >>> net = PlainCNN((1, 28, 28), 8, 5, 10, sigma_w=1.0, kernels="delta-orthogonal", generator=0)
    >>> net(torch.ones(2, 1, 28, 28)).shape, net.features(torch.ones(2, 1, 28, 28)).shape
    (torch.Size([2, 10]), torch.Size([2, 8, 4, 4]))
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        channels: int,
        depth: int,
        n_out: int,
        *,
        sigma_w: float,
        sigma_b: float = 0.0,
        kernels: str = "delta-orthogonal",
        generator: torch.Generator | int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if not isinstance(image, tuple | list) or len(image) != 3:
            raise bad("image", image, "(channels, height, width)")
        colours, height, width = (check_int(f"image[{i}]", m, 1) for i, m in enumerate(image))
        channels, self.depth = check_int("channels", channels, 1), check_int("depth", depth, 1)
        n_out = check_int("n_out", n_out, 1)
        sigma_w, sigma_b = (
            check_number("sigma_w", sigma_w, low=0, open_low=True),
            check_number("sigma_b", sigma_b, low=0),
        )
        check_choice("kernels", kernels, tuple(KERNELS))
        generator, device = check_torch_generator(generator), pick_device(device)

        def draw(*shape: int, law=KERNELS["gaussian"]) -> torch.Tensor:
            return law(torch.empty(shape), sigma_w, generator)

        def layer(weight: torch.Tensor) -> nn.ParameterList:
            bias = sigma_b * torch.randn(weight.shape[0], generator=generator)
            return nn.ParameterList([nn.Parameter(value.to(device)) for value in (weight, bias)])

        self.stem = nn.ModuleList(layer(draw(channels, c, 3, 3)) for c in (colours, channels, channels))
        self.readout = layer(draw(n_out, channels, -(-height // 8), -(-width // 8)))
        self.bias = nn.Parameter((sigma_b * torch.randn(self.depth, channels, generator=generator)).to(device))
        law = KERNELS[kernels]  # drawn last: the laws draw different numbers of normal variables
        drawn = torch.stack([draw(channels, channels, 3, 3, law=law) for _ in range(self.depth)])
        self.kernels = nn.Parameter(drawn.to(device))

    def reduced(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the ring layers get of the images: (B, channels, height / 8, width / 8), both rounded up."""
        colours = self.stem[0][0].shape[1]
        if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] != colours:
            got = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise ArgumentError(f"x must have shape (B, {colours}, height, width); got {got}")
        for weight, bias in self.stem:
            x = torch.tanh(F.conv2d(x, weight, bias, stride=2, padding=1))
        return x

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output of the last ring layer, of the same shape."""
        return ring_layers(self.reduced(x), self.kernels, self.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the readout, (B, n_out)."""
        weight, bias = self.readout
        return F.linear(self.features(x).flatten(1), weight.flatten(1), bias)
