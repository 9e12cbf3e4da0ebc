"""Leave a network as it was found: weights, buffers, gradients, modes, hooks, attributes and random numbers."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Restore everything in the end, also after an error.

    Every entry of every module's ``__dict__`` is put back (so hooks, modes, counters and stored states too, and what
    was added goes), every parameter and buffer that was written to gets its old values, and the states of torch's,
    numpy's and Python's random generators return.

    >>> model = nn.Linear(2, 2)
    >>> with untouched(model):
    ...     _ = model.eval(), model.weight.data.zero_(), torch.rand(1)
    >>> model.training, bool(model.weight.abs().sum() > 0)
    (True, True)
    """
    modules = [(module, _shallow(module)) for module in model.modules()]
    tensors = [*model.parameters(), *model.buffers()]
    values = [(t, t.detach().clone(), t.requires_grad, t.grad, _copy(t.grad)) for t in tensors]
    devices = sorted({t.device.index for t in tensors if t.device.type == "cuda"})
    numbers, python = np.random.get_state(), random.getstate()  # noqa: NPY002  the global state is what a model may use
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        np.random.set_state(numbers)  # noqa: NPY002
        random.setstate(python)
        for module, found in modules:
            _put_back(module, found)
        with torch.no_grad():
            for tensor, value, needs, grad, grad_value in values:
                # Compared as bytes would be: NaN is equal to itself here.
                if not torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(value)):
                    tensor.copy_(value)
                tensor.requires_grad_(needs)
                tensor.grad = grad
                if grad is not None:
                    grad.copy_(grad_value)


def _copy(grad: torch.Tensor | None) -> torch.Tensor | None:
    return None if grad is None else grad.detach().clone()


def _shallow(module: nn.Module) -> dict[str, object]:
    """The module's attributes, with its own dictionaries (parameters, buffers, hooks) copied one level deep."""
    return {k: (v, dict(v)) if isinstance(v, dict) else (v, None) for k, v in module.__dict__.items()}


def _put_back(module: nn.Module, found: dict[str, tuple[object, dict | None]]) -> None:
    for key in [k for k in module.__dict__ if k not in found]:
        del module.__dict__[key]
    for key, (value, entries) in found.items():
        module.__dict__[key] = value
        if entries is not None and (
            len(value) != len(entries) or any(value.get(k) is not v for k, v in entries.items())
        ):
            value.clear()
            value.update(entries)
