"""Many convolutions on a ring in a row, h = W * x + b and x = tanh(h), with the gradient written out.

A ring convolution is a gather and a product: each pixel collects its neighbours in one row of length taps c, and the
kernel is a matrix (taps c, c). Thousands of small layers cost little more than their products this way.

Source: Xiao et al. 2018 (arXiv 1806.05393).
"""

from __future__ import annotations

from functools import lru_cache

import torch

from ortholab.errors import ArgumentError


@lru_cache(maxsize=8)
def _neighbours(batch: int, height: int, width: int, tall: int, wide: int, device: torch.device) -> torch.Tensor:
    """Row numbers of the (tall, wide) neighbours of each pixel of each image, flat (batch pixels taps,)."""
    rows = torch.arange(batch * height * width).view(batch, height, width)
    shifts = [(i - tall // 2, j - wide // 2) for i in range(tall) for j in range(wide)]
    found = torch.stack([torch.roll(rows, (-i, -j), (1, 2)) for i, j in shifts], -1)
    return found.flatten().to(device)


class _Rings(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, kernels, bias):
        batch, c, height, width = x.shape
        taps = kernels[0, 0, 0].numel()
        at = _neighbours(batch, height, width, *kernels.shape[3:], x.device)
        flat = kernels.permute(0, 3, 4, 2, 1).reshape(len(kernels), taps * c, c).contiguous()
        states = x.new_empty(len(kernels) + 1, batch * height * width, c)
        states[0] = x.permute(0, 2, 3, 1).reshape(-1, c)
        for layer, W in enumerate(flat):
            rows = states[layer].index_select(0, at).view(-1, taps * c)
            torch.addmm(bias[layer], rows, W, out=states[layer + 1]).tanh_()
        ctx.save_for_backward(states, kernels, at)
        ctx.shape = x.shape
        return states[-1].view(batch, height, width, c).permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        states, kernels, at = ctx.saved_tensors
        batch, c, height, width = ctx.shape
        taps = kernels[0, 0, 0].numel()
        # The transpose of a ring convolution is one with the kernel turned about its centre and its channels swapped.
        turned = kernels.flip(3, 4).permute(0, 3, 4, 1, 2).reshape(len(kernels), taps * c, c).contiguous()
        slopes, to_bias = torch.empty_like(kernels), kernels.new_empty(len(kernels), c)
        g = g.permute(0, 2, 3, 1).reshape(-1, c)
        for layer in range(len(kernels) - 1, -1, -1):
            g = torch.ops.aten.tanh_backward(g, states[layer + 1])
            rows = states[layer].index_select(0, at).view(-1, taps * c)
            slopes[layer] = (g.mT @ rows).view(c, *kernels.shape[3:], c).permute(0, 3, 1, 2)
            to_bias[layer] = g.sum(0)
            g = g.index_select(0, at).view(-1, taps * c) @ turned[layer]
        return g.view(batch, height, width, c).permute(0, 3, 1, 2), slopes, to_bias


def ring_layers(x: torch.Tensor, kernels: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Send x (B, c, height, width) through L layers x <- tanh(W_l * x + b_l) with circular padding; same shape.

    ``kernels``: (L, c, c, k_1, k_2) with odd sizes, ``bias``: (L, c). Equal to torch.nn.functional.conv2d after
    circular padding, layer by layer, to rounding; first derivatives only. Raises ArgumentError.

    >>> ring_layers(torch.ones(2, 3, 4, 5), torch.zeros(7, 3, 3, 3, 3), torch.zeros(7, 3)).shape
    torch.Size([2, 3, 4, 5])
    """
    if x.ndim != 4:
        raise ArgumentError(f"x must have shape (B, c, height, width); got {tuple(x.shape)}")
    c = x.shape[1]
    shape = tuple(kernels.shape)
    if len(shape) != 5 or shape[1:3] != (c, c) or 0 in shape or any(k % 2 == 0 for k in shape[3:]):
        raise ArgumentError(f"kernels must have shape (L, {c}, {c}, k_1, k_2) with odd k_1 and k_2; got {shape}")
    if tuple(bias.shape) != (shape[0], c):
        raise ArgumentError(f"bias must have shape ({shape[0]}, {c}); got {tuple(bias.shape)}")
    return _Rings.apply(x, kernels, bias)
