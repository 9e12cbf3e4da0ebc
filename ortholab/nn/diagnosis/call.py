"""A batch as the call of a network: which tensor is differentiated by, and how the call is repeated in float64."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ortholab.errors import ArgumentError, OrtholabError, bad, show
from ortholab.nn.diagnosis.trace import first_tensor


@dataclass(frozen=True)
class Call:
    """Positional and named arguments of the network."""

    args: tuple
    kwargs: dict

    @property
    def variable(self) -> torch.Tensor | None:
        """The first floating-point tensor, or None if the batch holds none (tokens)."""
        return first_tensor((*self.args, *self.kwargs.values()))

    def with_variable(self, dtype: torch.dtype | None) -> tuple[Call, torch.Tensor | None]:
        """Return the call with every floating-point tensor in ``dtype``, and its variable as a leaf with a gradient."""
        old, leaf = self.variable, None

        def swap(value: object) -> object:
            nonlocal leaf
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                new = value.detach().to(dtype or value.dtype).clone()
                if value is old:
                    leaf = new.requires_grad_() if leaf is None else leaf
                    return leaf
                return new
            if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
                return type(value)(swap(v) for v in value)
            return {k: swap(v) for k, v in value.items()} if isinstance(value, dict) else value

        made = Call(tuple(swap(a) for a in self.args), {k: swap(v) for k, v in self.kwargs.items()})
        return made, leaf


def as_call(batch: object) -> Call:
    """Return a tensor, a tuple or list (arguments) or a dict (named arguments) as a Call. Raises ArgumentError.

    >>> as_call(torch.ones(2, 3)).variable.shape
    torch.Size([2, 3])
    """
    if isinstance(batch, torch.Tensor):
        call = Call((batch,), {})
    elif isinstance(batch, dict) and all(isinstance(k, str) for k in batch):
        call = Call((), dict(batch))
    elif isinstance(batch, tuple | list):
        call = Call(tuple(batch), {})
    else:
        raise bad("batch", batch, "a tensor, a tuple of the network's arguments, or a dict of named ones")
    found = first_tensor((*call.args, *call.kwargs.values()), floating=False)
    if found is None or found.numel() == 0:
        raise ArgumentError(f"batch must hold a tensor with at least one entry; got {show(batch)}")
    return call


def run(model: nn.Module, call: Call, seed: int) -> torch.Tensor:
    """Return the first floating-point tensor of the output, with the random numbers of ``seed``. Raises ArgumentError.

    Attention takes its plain form, which can be differentiated twice; so do recurrent layers on a GPU.
    """
    torch.manual_seed(seed)
    try:
        with torch.enable_grad(), _plain_kernels(model):
            output = model(*call.args, **call.kwargs)
    except OrtholabError:
        raise
    except Exception as error:
        raise ArgumentError(f"model must run on batch; it failed: {type(error).__name__}: {error}") from error
    y = first_tensor(output)
    if y is None or y.numel() == 0:
        raise ArgumentError(f"model must return a floating-point tensor; got {show(output)}")
    return y


@contextlib.contextmanager
def _plain_kernels(model: nn.Module) -> Iterator[None]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    recurrent = any(isinstance(m, nn.RNNBase) for m in model.modules())
    cudnn = torch.backends.cudnn.flags(enabled=False) if recurrent else contextlib.nullcontext()
    with sdpa_kernel(SDPBackend.MATH), cudnn:
        yield


def in_precision(model: nn.Module, dtype: torch.dtype) -> nn.Module | None:
    """Return a copy in ``dtype``; None where there is none (no float64 on the device, or no copy of the module)."""
    try:
        twin = copy.deepcopy(model).to(dtype)
    except Exception:
        return None
    for p in twin.parameters():
        p.grad = None
        if p.is_floating_point():
            p.requires_grad_(True)
    return twin
