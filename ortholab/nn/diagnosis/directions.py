"""How many directions carry the signal up to the last layer: what a readout of ten classes hides."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ortholab.nn.diagnosis.end_to_end import Differential


@dataclass(frozen=True)
class Directions:
    """``count`` = (tr JJ^T)^2 / tr (JJ^T)^2 of J = dz/dx, z what the last layer reads; ``shape`` of J.

    ``share`` = (count - 1)/(m - 1), m the short side: 1 for an isometry up to scale, 0 where one direction carries all.
    With mean 1 and variance nu of the spectrum of JJ^T it is about 1/(1 + nu).
    """

    shape: tuple[int, int]
    count: float
    share: float


def directions(z: torch.Tensor, x: torch.Tensor, batch_dim: int, probes: int) -> Directions | None:
    """Estimate :class:`Directions` from pairs of independent probes v, w ~ N(0, I) sent back from z to x.

    E |J^T v|^2 = tr JJ^T, and E (J^T v . J^T w)^2 = tr (JJ^T)^2 since E vv^T = I: no forward product is needed. Both
    are averaged over pairs and samples, so both are unbiased. None where there are fewer than four directions.
    """
    d = Differential(x, z, batch_dim)
    m = min(d.shape)
    if m < 4 or probes < 2:
        return None
    v = torch.randn(probes, *d.y.shape, dtype=d.y.dtype, device=d.y.device)
    try:
        g = d.pull_rows(v)
    except RuntimeError:  # an operation that torch can't batch over cotangents
        g = torch.stack([d.pull_rows(row) for row in v])
    g = g.detach().double()
    g = g / g.abs().max().clamp_min(1e-300)  # squares of squares must neither overflow nor vanish
    gram = torch.einsum("apn,bpn->pab", g, g)
    off = ~torch.eye(probes, dtype=torch.bool, device=gram.device)
    norms = gram.diagonal(dim1=-2, dim2=-1)
    first = (norms.unsqueeze(-1) * norms.unsqueeze(-2))[:, off].mean(1)
    second = gram[:, off].square().mean(1)
    if not float(second.sum()) > 0:
        return None
    count = min(max(float(first.sum() / second.sum()), 1.0), float(m))
    return Directions(d.shape, count, (count - 1) / (m - 1))
