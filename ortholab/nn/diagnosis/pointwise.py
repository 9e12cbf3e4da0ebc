"""Which activation is it? From the torch function that was called, or from what it does to numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ortholab.errors import ArgumentError
from ortholab.theory import activations as known
from ortholab.theory import common_activations as common
from ortholab.theory.activations import Activation, own_activation

T = torch.Tensor
# Every pointwise function that torch.nn offers, by the objects that a network may call.
_CALLS: dict[str, tuple[Callable, ...]] = {
    "relu": (F.relu, F.relu_, torch.relu, torch.relu_, T.relu, T.relu_),
    "tanh": (F.tanh, torch.tanh, torch.tanh_, T.tanh, T.tanh_),
    "sigmoid": (F.sigmoid, torch.sigmoid, torch.sigmoid_, T.sigmoid, T.sigmoid_, torch.special.expit),
    "hardtanh": (F.hardtanh, F.hardtanh_),
    "clamp": (torch.clamp, torch.clamp_, T.clamp, T.clamp_, torch.clip, T.clip),
    "gelu": (F.gelu,),
    "silu": (F.silu,),
    "elu": (F.elu, F.elu_),
    "selu": (F.selu, torch.selu, torch.selu_, F.selu_),
    "leaky_relu": (F.leaky_relu, F.leaky_relu_),
    "prelu": (F.prelu, torch.prelu, T.prelu),
    "softplus": (F.softplus,),
    "celu": (F.celu, torch.celu),
    "relu6": (F.relu6,),
    "mish": (F.mish,),
    "softsign": (F.softsign,),
    "hardswish": (F.hardswish,),
    "hardsigmoid": (F.hardsigmoid,),
    "logsigmoid": (F.logsigmoid,),
    "sin": (torch.sin, T.sin),
    "arctan": (torch.atan, torch.atan_, T.atan, T.atan_, torch.arctan, torch.arctan_, T.arctan, T.arctan_),
}
CALLS = {call: name for name, calls in _CALLS.items() for call in calls}
_KINKS = {"relu6": (0.0, 6.0), "softsign": (0.0,), "hardswish": (-3.0, 3.0), "hardsigmoid": (-3.0, 3.0)}
# What is compared by values, where a network computes its activation by hand.
_BY_VALUE = (
    known.LINEAR, known.RELU, known.HARD_TANH, known.TANH, known.ERF, known.GELU, known.SILU,
    common.ELU, common.SELU, common.SIGMOID, common.SOFTPLUS,
)  # fmt: skip


@dataclass(frozen=True)
class Pointwise:
    """An activation as it was called: its name, the function of one tensor, and its form for the theory (or None)."""

    name: str
    phi: Callable[[torch.Tensor], torch.Tensor]
    theory: Activation | None


def recognise(func: Callable, args: tuple, kwargs: dict) -> Pointwise | None:
    """Return the activation that the call ``func(*args, **kwargs)`` applies, or None if it is none that we know.

    >>> recognise(torch.tanh, (torch.zeros(2),), {}).theory.name
    'tanh'
    """
    try:
        name = CALLS.get(func)
    except TypeError:  # not hashable
        return None
    if name is None or not args or not isinstance(args[0], torch.Tensor) or not args[0].is_floating_point():
        return None
    rest, more = args[1:], {k: v for k, v in kwargs.items() if k not in ("inplace", "out")}
    if name == "clamp":
        ends = [*rest, more.get("min"), more.get("max")]
        if [e for e in ends if e is not None] not in ([-1, 1], [-1.0, 1.0]):
            return None
        name = "hardtanh"

    def phi(h: torch.Tensor) -> torch.Tensor:
        return func(h.clone(), *rest, **more)  # a clone: the call may be one that writes in place

    if name == "prelu":  # a slope a channel has no single form; one slope is a leaky ReLU's
        slope = args[1].detach() if len(args) > 1 else more["weight"].detach()
        known_slope = common.leaky_relu(float(slope)) if slope.numel() == 1 else None
        return Pointwise(name, phi, known_slope)
    return Pointwise(name, phi, _theory(name, phi))


def _theory(name: str, phi: Callable) -> Activation | None:
    """The theory's object: one of the book's if the values agree on [-4, 4], else made from the torch function."""
    h = torch.linspace(-4, 4, 161, dtype=torch.float64)
    values = phi(h).detach().numpy()
    found = by_values(h.numpy(), values)
    if found is not None:
        return found
    if name == "leaky_relu":
        return common.leaky_relu(float(values[0] / h[0]))

    def numpy_phi(x: np.ndarray) -> np.ndarray:
        return phi(torch.as_tensor(np.asarray(x, dtype=np.float64))).detach().numpy()

    try:
        return own_activation(name, numpy_phi, kinks=_KINKS.get(name, (0.0,) if name in ("elu", "celu") else ()))
    except ArgumentError:
        return None


def by_values(h: np.ndarray, x: np.ndarray) -> Activation | None:
    """Return the activation phi of the book with x = phi(h) at every entry to 1e-3 (GELU's tanh form passes), or None.

    >>> h = np.linspace(-2, 2, 9)
    >>> by_values(h, np.maximum(h, 0)).name
    'relu'
    """
    size = max(float(np.max(np.abs(x), initial=0.0)), 1e-30)
    errors = [float(np.max(np.abs(a.phi(h) - x), initial=0.0)) for a in _BY_VALUE]
    best = int(np.argmin(errors))
    return _BY_VALUE[best] if errors[best] <= 1e-3 * size else None
