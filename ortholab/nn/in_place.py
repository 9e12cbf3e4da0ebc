"""Activations and their slopes in place, for training steps that are written out: one pass over memory each."""

from __future__ import annotations

import torch

_aten = torch.ops.aten

# phi in place, and g <- g phi'(h) in place from x = phi(h).
PHI = {"tanh": torch.tanh_, "relu": torch.relu_, "hard_tanh": lambda x: x.clamp_(-1, 1), "linear": lambda x: x}
SLOPE = {
    "tanh": lambda g, x: _aten.tanh_backward.grad_input(g, x, grad_input=g),
    "relu": lambda g, x: _aten.threshold_backward.grad_input(g, x, 0, grad_input=g),
    "hard_tanh": lambda g, x: _aten.hardtanh_backward.grad_input(g, x, -1, 1, grad_input=g),
    "linear": lambda g, x: g,
}
