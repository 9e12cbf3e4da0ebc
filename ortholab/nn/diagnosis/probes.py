"""Random vectors sent back through a network: the gain of every layer, and the gradient of every weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ortholab.errors import ArgumentError, bad
from ortholab.nn.diagnosis.trace import Event, Trace


@dataclass(frozen=True)
class Probes:
    """What came back of ``count`` probes: the squared gradient of each weight by its id, and |J|_F^2 of the batch."""

    count: int
    weights: dict[int, float]
    square: float


def send_back(
    y: torch.Tensor, x: torch.Tensor, trace: Trace, model: nn.Module, count: int, loss: Callable | None
) -> Probes:
    """Send ``count`` vectors v ~ N(0, I) back from y to x and to every weight; the trace adds up what passes.

    E |J^T v|^2 = tr J J^T = |J|_F^2 (Hutchinson 1990), for the network and for every part of it; the relative error is
    at most sqrt(2 / count), less where many directions carry the signal. With ``loss``, the weights' gradients are
    those of loss(y). Raises ArgumentError.
    """
    weights = [p for p in model.parameters() if p.requires_grad]
    squares, total = dict.fromkeys(map(id, weights), 0.0), 0.0
    generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    for _ in range(count):
        v = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
        g, *rest = torch.autograd.grad(y, [x, *weights], v, retain_graph=True, allow_unused=True)
        total += _square([g]) / count
        for p, found in zip(weights, rest, strict=True):
            squares[id(p)] += _square([found]) / count
    trace.counting = False
    if loss is not None:
        value = loss(y)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise bad("loss", value, "a function of the output that returns one number as a tensor")
        if not value.requires_grad:
            raise ArgumentError("loss must be differentiable: its value does not depend on the output")
        found = torch.autograd.grad(value.reshape(()), weights, retain_graph=True, allow_unused=True)
        squares = {id(p): _square([g]) for p, g in zip(weights, found, strict=True)}
    return Probes(count, squares, total)


def gradient_norm(event: Event, probes: Probes) -> float:
    """Return the norm of the gradient of a layer's own weights (biases left out); NaN if it holds none."""
    if event.module is None:
        return np.nan
    deep = isinstance(event.module, nn.MultiheadAttention) or hasattr(event.module, "parametrizations")
    own = [p for p in event.module.parameters(recurse=deep) if p.ndim >= 2 and id(p) in probes.weights]
    return float(np.sqrt(sum(probes.weights[id(p)] for p in own))) if own else np.nan


def through_time(event: Event) -> np.ndarray | None:
    """Return |d y_T / d x_t| (Frobenius, estimated with one probe a sample) for t = 1 .. T of a recurrent layer."""
    if event.sequence is None or isinstance(event.module, nn.RNNCellBase):
        return None
    x, y = event.sequence
    if x is y or x.ndim < 2:
        return None
    axis = 1 if x.ndim == 3 and event.module.batch_first else 0
    last = y.select(axis, -1)
    if event.module.bidirectional:
        last = last[..., : last.shape[-1] // 2]  # the half that has read the whole sequence
    (g,) = torch.autograd.grad(last, x, torch.randn_like(last), retain_graph=True)
    return g.movedim(axis, 0).flatten(1).norm(dim=1).detach().double().cpu().numpy()


def _square(tensors: Iterable[torch.Tensor | None]) -> float:
    return float(sum(g.detach().double().square().sum() for g in tensors if g is not None))
