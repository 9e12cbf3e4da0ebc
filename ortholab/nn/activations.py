"""Torch twins of the activations in ``ortholab.theory.activations``, by the same names.

Source: Pennington, Schoenholz, Ganguli 2017 (arXiv 1711.04735).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ortholab.errors import ArgumentError, bad, show

Function = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class TorchActivation:
    """A function phi on tensors, entry by entry, and its derivative (0 at a kink, as autograd has it).

    ``dphi_of_x`` gives phi'(h) from x = phi(h) where that is cheaper; it may lose digits where phi is flat.

    >>> double = TorchActivation("double", lambda h: 2 * h, lambda h: 2 * torch.ones_like(h))
    >>> double.phi(torch.tensor([1.0])), double.dphi(torch.tensor([1.0]))
    (tensor([2.]), tensor([2.]))
    """

    name: str
    phi: Function
    dphi: Function
    dphi_of_x: Function | None = None

    def slope(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """phi'(h) for training, where x = phi(h) is known and the last digits do not matter."""
        return self.dphi(h) if self.dphi_of_x is None else self.dphi_of_x(x)


def _sech2(h: torch.Tensor) -> torch.Tensor:
    # 1 - tanh(h)^2 is exactly 0 from |h| = 9 (float32) or 19 (float64) on; this form is right far beyond.
    return torch.cosh(h).pow(-2)


def _normal_density(h: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * h * h) / math.sqrt(2 * math.pi)


def _normal_cdf(h: torch.Tensor) -> torch.Tensor:
    return 0.5 * torch.erfc(-h / math.sqrt(2))


def _silu_slope(h: torch.Tensor) -> torch.Tensor:
    s = torch.sigmoid(h)
    return s * (1 + h * torch.sigmoid(-h))


_HALF_ROOT_PI = math.sqrt(math.pi) / 2

BUILTIN: dict[str, TorchActivation] = {
    a.name: a
    for a in (
        TorchActivation("linear", lambda h: h, torch.ones_like),
        TorchActivation("relu", torch.relu, lambda h: (h > 0).to(h.dtype)),
        TorchActivation("hard_tanh", lambda h: h.clamp(-1, 1), lambda h: (h.abs() < 1).to(h.dtype)),
        TorchActivation("tanh", torch.tanh, _sech2, lambda x: 1 - x * x),
        TorchActivation(
            "erf",
            lambda h: torch.erf(_HALF_ROOT_PI * h),
            lambda h: torch.exp(-((_HALF_ROOT_PI * h) ** 2)),
        ),
        TorchActivation("gelu", lambda h: h * _normal_cdf(h), lambda h: _normal_cdf(h) + h * _normal_density(h)),
        TorchActivation("silu", lambda h: h * torch.sigmoid(h), _silu_slope),
    )
}


def torch_activation(activation: object) -> TorchActivation:
    """Return the torch form of an activation: its name, a builtin of ``ortholab.theory``, or a torch function.

    phi acts entry by entry. The derivative of a function of the reader's own comes from autograd.
    Raises ArgumentError for an unknown name, for an ``Activation`` made from numpy functions (pass its torch
    function instead), and for a function that does not return a tensor of its input's shape and dtype.

    >>> torch_activation("relu").dphi(torch.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 1.])
    """
    if isinstance(activation, TorchActivation):
        return activation
    if isinstance(activation, str):
        if activation not in BUILTIN:
            raise bad("activation", activation, "one of " + ", ".join(map(repr, BUILTIN)) + ", or a torch function")
        return BUILTIN[activation]
    if hasattr(activation, "phi") and hasattr(activation, "dphi"):
        return _twin_of(activation)
    if callable(activation):
        return _own(activation)
    raise bad("activation", activation, "a name (" + ", ".join(map(repr, BUILTIN)) + ") or a torch function")


def _twin_of(activation: object) -> TorchActivation:
    from ortholab.theory import activations as theory

    name = getattr(activation, "name", None)
    if name in BUILTIN and theory.get_activation(name) == activation:
        return BUILTIN[name]
    raise ArgumentError(
        f"activation {show(name)} is made from numpy functions, which torch cannot run: "
        "pass the same function written for tensors, for example activation=lambda h: torch.sin(h)"
    )


def _own(phi: Function) -> TorchActivation:
    name = getattr(phi, "__name__", type(phi).__name__)
    probe = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    try:
        value = phi(probe)
    except Exception as error:
        raise ArgumentError(f"activation {name!r} failed on a float64 tensor of shape (2, 3): {error}") from error
    if not isinstance(value, torch.Tensor) or value.shape != probe.shape or value.dtype != probe.dtype:
        got = f"{tuple(value.shape)} {value.dtype}" if isinstance(value, torch.Tensor) else show(value)
        raise ArgumentError(f"activation {name!r} must return a tensor of its input's shape and dtype; got {got}")

    def dphi(h: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            leaf = h.detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(phi(leaf).sum(), leaf)
        return slope

    return TorchActivation(name, phi, dphi)
