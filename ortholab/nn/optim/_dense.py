"""Steps whose direction has the size of the matrix: from a gradient, a skew matrix or a tangent vector, to the new W.

Small matrices of one shape are stacked and go through each operation together: at 64 x 64 a call costs as much as its
product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ortholab.nn.optim._moves import cayley_skew_, cayley_tangent, polar_near, qr_near, riemannian, shortening

STACKED = 192  # up to this size


@dataclass
class DenseStep:
    """The step of one or several matrices, prepared: ``gradient`` is skew (S, with S W the Riemannian gradient) or an
    upright tangent vector of W, with a first axis if there are several; ``probe`` their Frobenius norms (..., 1, 1).
    ``W`` is the parameter, or a stacked copy of several."""

    parameters: list[nn.Parameter]
    group: dict
    path: str
    W: torch.Tensor
    gradient: torch.Tensor
    probe: torch.Tensor

    def move_(self, states: list[dict], direction: Callable, transport: Callable, allowed: float):
        """Take the step; return for each matrix the bound of the error added, 0 growth of an old one, and if cut.

        ``direction(state, gradient, probe)`` gives (direction, factor): the step is lr * factor * direction.
        """
        group, W, several = self.group, self.W, len(self.parameters) > 1
        state = _together(states) if several else states[0]
        rate, gain = -group["lr"] if group["maximize"] else group["lr"], group["gain"]
        vector, factor = direction(state, self.gradient, self.probe)
        kind, way = self.path.split()
        # In units of Q: Q <- R(Q, -T Q) if T is skew, R(Q, -T) if T is an upright tangent vector.
        factor = factor * (rate if kind == "skew" else rate / gain)
        T = vector.mul_(factor) if vector is self.gradient else vector * factor
        if (kind, way) == ("skew", "cayley"):
            error, cut = cayley_skew_(W, T, allowed, group["max_step"])
        else:
            error, cut = 0.0, shortening(T, group["max_step"])
            T = T if cut is None else T * cut
            wide = W.shape[-2] < W.shape[-1]
            Q = (W.mT if wide else W) / gain
            new = RETRACT[way](Q, T.neg_() if kind == "tangent" else -(T @ Q))
            W.copy_((new.mT if wide else new) * gain)
            if kind == "tangent":
                transport(state, new)
            cut = cut is not None
        if several:
            torch._foreach_copy_(self.parameters, W.unbind())
            _apart(state, states)
        return [(error, 0.0, cut)] * len(self.parameters)


RETRACT = {
    "qr": lambda Q, X: qr_near(Q + X),
    "polar": lambda Q, X: polar_near(Q + X),
    # X is tangent but for rounding, and Cayley alone lets an error grow with every step: measured, 1e-4 after 300.
    "cayley": lambda Q, X: polar_near(cayley_tangent(Q, X)),
}


def prepare(parameters: list[nn.Parameter], group: dict, path: str, P: torch.Tensor | None = None) -> DenseStep:
    """From the gradients, or from P = G W^T where a layer gave it, to the Riemannian gradients."""
    gain, half = group["gain"], group["metric"] == "euclidean"
    if len(parameters) > 1:
        W, G = torch.stack([p.data for p in parameters]), torch.stack([p.grad for p in parameters])
    else:
        W, G = parameters[0].detach(), parameters[0].grad  # detach, not data: writing to W is to count as a change
    if path.startswith("skew"):
        P = G @ W.mT if P is None else P
        gradient = P - P.mT
        unit = (0.5 if half else 1.0) / gain**2
        if unit != 1:
            gradient.mul_(unit)
    elif W.shape[-2] < W.shape[-1]:
        gradient = riemannian(W.mT / gain, G.mT, group["metric"])
    else:
        gradient = riemannian(W / gain, G, group["metric"])
    probe = torch.linalg.vector_norm(gradient, dim=(-2, -1), keepdim=True)
    return DenseStep(parameters, group, path, W, gradient, probe)


def _together(states: list[dict]) -> dict:
    """One state of stacked tensors; what is not a tensor of the matrix's kind is the same in all of them."""
    first = states[0]
    return {
        key: torch.stack([s[key] for s in states]) if isinstance(value, torch.Tensor) and value.ndim else value
        for key, value in first.items()
    }


def _apart(state: dict, states: list[dict]) -> None:
    """Hand what _together stacked, or what a first step made, back to the single states."""
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            continue
        for k, single in enumerate(states):
            if value.ndim == 0:
                single[key] = value.clone()
            elif key in single:
                single[key].copy_(value[k])
            else:
                single[key] = value[k].clone()
