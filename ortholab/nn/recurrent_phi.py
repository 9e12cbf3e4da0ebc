"""The activations of the recurrent loops: phi in place, and its slope from h = phi(a) alone."""

from __future__ import annotations

import numpy as np
import torch

from ortholab.nn.in_place import PHI, SLOPE

ACTIVATIONS = (*PHI, "modrelu")
SMALL = 0.05  # root mean square of a chunk's signal below which the fast tanh would lose digits


class Plain:
    """phi and phi' by torch, h = phi(W h + W_in x + b)."""

    factor = 1.0

    def __init__(self, name: str, b: torch.Tensor) -> None:
        self._phi, self.slope_, self.outer_bias = PHI[name], SLOPE[name], b

    def choose(self, drive: torch.Tensor, before: torch.Tensor):
        """Return phi in place for the times of a chunk, given what drives it and the state before."""
        return self._phi

    def bias_gradient(self, D: torch.Tensor, H: torch.Tensor) -> torch.Tensor:
        """dLoss/db from D and H over (..., times * rows, n)."""
        return torch.sum(D, -2)


class NumpyTanh(Plain):
    """numpy's tanh is the faster one on CPUs."""

    def choose(self, drive: torch.Tensor, before: torch.Tensor):
        return _numpy_tanh_


class FastTanh(Plain):
    """tanh(a) = 2 sigma(2 a) - 1 in float32 on a CPU: a third of the time of numpy's tanh.

    Its error is absolute, about 1e-7, not relative to h. A chunk of times with small signals goes by numpy's tanh.
    """

    factor = 2.0

    def __init__(self, name: str, b: torch.Tensor) -> None:
        super().__init__(name, b)
        self._minus = torch.tensor(-1.0)

    def choose(self, drive: torch.Tensor, before: torch.Tensor):
        # A sample of the sequences is enough: the choice is about digits, and whole arrays would cost 3% of a step.
        signals = (_mean_square(drive[..., ::8, :]) / 4 + _mean_square(before[..., ::8, :])).reshape(-1).tolist()
        return self._exact if any(0 < s < SMALL**2 for s in signals) else self._fast

    def _fast(self, a2: torch.Tensor) -> None:
        torch.add(self._minus, a2.sigmoid_(), alpha=2, out=a2)

    def _exact(self, a2: torch.Tensor) -> None:
        _numpy_tanh_(a2.mul_(0.5))


class ModReLU:
    """h = sign(a) relu(|a| + b), a without a bias. So phi' = 1 where h is not 0, and dh/db = sign(h)."""

    factor = 1.0

    def __init__(self, b: torch.Tensor) -> None:
        self._b, self.outer_bias = b.unsqueeze(-2), torch.zeros_like(b)

    def choose(self, drive: torch.Tensor, before: torch.Tensor):
        return self._phi

    def _phi(self, a: torch.Tensor) -> None:
        sign = torch.sign(a)
        a.abs_().add_(self._b).relu_().mul_(sign)

    def slope_(self, D: torch.Tensor, h: torch.Tensor) -> None:
        SLOPE["relu"](D, h.abs())

    def bias_gradient(self, D: torch.Tensor, H: torch.Tensor) -> torch.Tensor:
        return torch.sum(torch.sign(H).mul_(D), -2)


def recurrent_phi(name: str, like: torch.Tensor, b: torch.Tensor):
    """Return the fastest form of an activation for weights like ``like``."""
    if name == "modrelu":
        return ModReLU(b)
    if name == "tanh" and like.device.type == "cpu":
        return (FastTanh if like.dtype == torch.float32 else NumpyTanh)(name, b)
    return Plain(name, b)


def _numpy_tanh_(a: torch.Tensor) -> None:
    view = a.numpy()
    np.tanh(view, out=view)


def _mean_square(a: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(a, dim=(-2, -1)) ** 2 / (a.shape[-2] * a.shape[-1])
