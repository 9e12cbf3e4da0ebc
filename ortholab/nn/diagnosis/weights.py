"""How far a layer's matrices are from a multiple of an orthogonal one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ortholab.nn.diagnosis.trace import Event

LARGEST = 3000  # short side up to which singular values are computed


@dataclass(frozen=True)
class WeightSpectrum:
    """Extreme singular values of a layer's matrices, and ``distance``: the root of the mean of (s/rms(s) - 1)^2.

    0 for c Q with Q semi-orthogonal; 0.55 for a wide square Gaussian matrix. The largest distance of its matrices.
    """

    distance: float
    s_min: float
    s_max: float


def matrices(module: nn.Module) -> list[torch.Tensor]:
    """Return the matrices (out, in) of a layer: kernels flattened, gates and projections apart.

    >>> [tuple(W.shape) for W in matrices(nn.LSTM(3, 5))]
    [(5, 3), (5, 3), (5, 3), (5, 3), (5, 5), (5, 5), (5, 5), (5, 5)]
    """
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        found = [p for name, p in module.named_parameters() if name.startswith("weight_")]
        n = module.hidden_size
        return [block.detach() for p in found for block in (p.split(n) if p.shape[0] % n == 0 else (p,))]
    if isinstance(module, nn.MultiheadAttention):
        inner = [module.in_proj_weight] if module.in_proj_weight is not None else []
        apart = [w for w in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight) if w is not None]
        blocks = [block for p in inner for block in p.split(module.embed_dim)] + apart
        return [block.detach() for block in (*blocks, module.out_proj.weight)]
    weight = getattr(module, "weight", None)
    found = [weight] if isinstance(weight, torch.Tensor) else list(module.parameters(recurse=False))
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        found = [weight.transpose(0, 1)]
    return [p.detach().flatten(1) for p in found if p.ndim >= 2]


def weight_spectrum(event: Event) -> WeightSpectrum:
    """Return the :class:`WeightSpectrum` of a layer; NaN where it has no matrix or one too large (3000)."""
    rows = []
    for W in matrices(event.module):
        if not 0 < min(W.shape) <= LARGEST or not bool(torch.isfinite(W).all()):
            continue
        W = W.double().cpu()
        gram = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W  # the short side: enough for a distance
        s = np.sqrt(np.maximum(torch.linalg.eigvalsh(gram).numpy(), 0.0))
        rms = float(np.sqrt(np.mean(s**2)))
        distance = float(np.sqrt(np.mean((s / rms - 1) ** 2))) if rms > 0 else np.nan
        rows.append((distance, float(s[0]), float(s[-1])))
    if not rows:
        return WeightSpectrum(np.nan, np.nan, np.nan)
    distances, lows, highs = zip(*rows, strict=True)
    return WeightSpectrum(max(distances), min(lows), max(highs))
