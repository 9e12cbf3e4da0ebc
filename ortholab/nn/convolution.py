"""Delta-orthogonal convolution kernels: zero but for an orthogonal matrix at the centre tap."""

from __future__ import annotations

import torch

from ortholab.errors import ArgumentError, bad
from ortholab.nn.init.draws import orthogonal_


def delta_orthogonal_(tensor: torch.Tensor, sigma_w: float = 1.0, generator: torch.Generator | int | None = None):
    """Fill a kernel (c_out, c_in, *k) in place with zeros but for an orthogonal matrix at the centre tap; return it.

    W[:, :, b] = delta_b,centre W_0, where W_0 (c_out, c_in) is drawn by :func:`orthogonal_`: its entries have variance
    sigma_w^2 / c_in. ``k``: one to three odd sizes, the layout of torch's Conv1d, Conv2d and Conv3d. With stride 1 and
    padding (k - 1) / 2 of any kind, the layer is W_0 at every pixel: a square one is sigma_w times an isometry; for
    c_out <= c_in, W_0 W_0^T = sigma_w^2 I, and for c_out > c_in, W_0^T W_0 = sigma_w^2 (c_out / c_in) I.
    Raises ArgumentError. Source: Xiao et al. 2018 (arXiv 1806.05393).

    >>> kernel = delta_orthogonal_(torch.empty(4, 4, 3, 3, dtype=torch.float64), 2.0, generator=0)
    >>> torch.linalg.svdvals(kernel.sum((2, 3))).round(decimals=12).tolist(), int((kernel != 0).sum())
    ([2.0, 2.0, 2.0, 2.0], 16)
    """
    if not isinstance(tensor, torch.Tensor):
        raise bad("tensor", tensor, "a torch tensor")
    if not 3 <= tensor.ndim <= 5 or 0 in tensor.shape or any(k % 2 == 0 for k in tensor.shape[2:]):
        allowed = "(c_out, c_in, *k), with one to three odd kernel sizes k and no axis empty"
        raise ArgumentError(f"tensor must have shape {allowed}; got {tuple(tensor.shape)}")
    centre = orthogonal_(torch.empty(tensor.shape[:2], dtype=tensor.dtype), sigma_w, generator)
    with torch.no_grad():
        tensor.zero_()
        tensor[(..., *(k // 2 for k in tensor.shape[2:]))] = centre
    return tensor
