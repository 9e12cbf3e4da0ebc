"""Numbers read off tensors while a network runs, without gradients and unseen by the function mode that records it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch

SAMPLE = 512  # entries of an output that are kept, to compare with what the next layer reads


def quietly(function: Callable) -> Callable:
    """Run a measurement without gradients, and unseen by the function mode."""

    @functools.wraps(function)
    def measured(*args):
        with torch.no_grad(), torch._C.DisableTorchFunction():
            return function(*args)

    return measured


@quietly
def mean_square(x: torch.Tensor) -> float:
    return float(x.detach().double().square().mean()) if x.numel() else np.nan


@quietly
def sample(x: torch.Tensor) -> np.ndarray:
    return x.detach().flatten()[:SAMPLE].double().cpu().numpy().copy()


@quietly
def not_finite(x: torch.Tensor) -> str:
    if bool(torch.isfinite(x).all()):
        return ""
    return "NaN" if bool(torch.isnan(x).any()) else "inf"


@quietly
def slopes(phi: Callable, h: torch.Tensor, axis: int) -> tuple[float, float]:
    """Return the mean squared slope, and the share of units (along ``axis``) whose slope is below 1e-3 everywhere."""
    with torch.enable_grad():
        leaf = h.clone().requires_grad_()
        (slope,) = torch.autograd.grad(phi(leaf).sum(), leaf)
    squares = slope.detach().double().square()
    largest = squares.movedim(axis, 0).flatten(1).amax(1)
    return float(squares.mean()), float((largest < 1e-6).double().mean())
