"""Which layers a network has, and which activation follows each: from a call, or from the order of its modules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ortholab.errors import ArgumentError
from ortholab.nn.diagnosis.call import as_call, run
from ortholab.nn.diagnosis.pointwise import by_values
from ortholab.nn.diagnosis.trace import MATRICES, kind_of, tracing
from ortholab.nn.diagnosis.untouched import untouched
from ortholab.theory.activations import Activation


@dataclass
class Layer:
    """A layer with matrices: the activation that follows it, how often it is called, and what is known of its input."""

    name: str
    kind: str
    what: str
    module: nn.Module
    activation: Activation | None
    calls: int = 1
    square_in: float = np.nan
    steps: int = 0
    ends_branch: bool = False
    norm_in_branch: bool = False


def plan(model: nn.Module, batch: object) -> tuple[list[Layer], int]:
    """Return the layers in order, and the number of residual sums seen (0 without a batch). Raises ArgumentError."""
    layers, branches = _by_order(model) if batch is None else _by_call(model, batch)
    if not layers:
        raise ArgumentError("model must have a layer with weights that is called")
    return layers, branches


def family_of(layers: list[Layer], branches: int) -> str:
    """Return "attention", "recurrent", "residual" or "plain"."""
    kinds = {layer.kind for layer in layers}
    return next((k for k in ("attention", "recurrent") if k in kinds), "residual" if branches else "plain")


def _by_call(model: nn.Module, batch: object) -> tuple[list[Layer], int]:
    call = as_call(batch)
    with untouched(model), tracing(model, measure=False) as trace:
        try:
            run(model, call, 0)
        except ArgumentError:
            if trace.bad is None:  # a network that overflows can still be given a better start
                raise
    found: dict[int, Layer] = {}
    for e in trace.layers:
        if id(e.module) in found:
            found[id(e.module)].calls += 1
            continue
        steps = 0
        if isinstance(e.module, nn.RNNBase) and len(e.shape_in) >= 2:
            steps = e.shape_in[1 if len(e.shape_in) == 3 and e.module.batch_first else 0]
        found[id(e.module)] = Layer(e.name, e.kind, e.what, e.module, e.activation, 1, e.square_in, steps,
                                    e.ends_branch, e.norm_in_branch)  # fmt: skip
    for layer in found.values():
        layer.steps = layer.steps or layer.calls  # a cell is called once a step
    return list(found.values()), trace.residual_sums


def _by_order(model: nn.Module) -> tuple[list[Layer], int]:
    layers: list[Layer] = []
    seen = False
    for name, module in model.named_modules():
        kind = kind_of(name, module)
        if kind in MATRICES and not name.endswith(".out_proj"):
            layers.append(Layer(name or type(module).__name__, kind, type(module).__name__, module, None))
        elif (activation := _pointwise(module)) is not None:
            seen = True
            if layers and layers[-1].activation is None:
                layers[-1].activation = activation
    if layers and not seen and len(layers) > 1:
        raise ArgumentError(
            "batch must be given: model has no activation among its modules, so they can only be found by a call"
        )
    return layers, 0


def _pointwise(module: nn.Module) -> Activation | None:
    """The activation that a module without weights applies entry by entry, or None."""
    home = type(module).__module__
    if home != "torch.nn.modules.activation" or isinstance(module, nn.MultiheadAttention):
        return None
    h = torch.linspace(-4, 4, 161, dtype=torch.float64)
    try:
        with torch.no_grad():
            return by_values(h.numpy(), module(h.clone()).numpy())
    except (RuntimeError, ValueError):
        return None
