"""Copies and pickles of constrained modules, which torch's parametrisation shares or forbids."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch.nn.utils import parametrize


def make_portable(module: torch.nn.Module) -> None:
    """Let ``module``, once parametrised, be copied and pickled: each copy gets a class of its own.

    torch makes a class for a parametrised module, with the weight as a property. Its deepcopy gives that class to the
    copy too, so that undoing the one takes the weight from the other; and it refuses to pickle, since a class made on
    the fly cannot be found again. Here the module's own class and its state are stored, and the rest is made again.
    """
    made = type(module)
    made.__reduce_ex__ = _reduce
    made.__deepcopy__ = _deepcopy
    made.__getstate__ = made.__bases__[0].__getstate__


def _reduce(module: torch.nn.Module, protocol: int) -> tuple:
    return _restore, (type(module).__bases__[0], _state(module))


def _deepcopy(module: torch.nn.Module, memo: dict) -> torch.nn.Module:
    own = type(module).__bases__[0]
    replica = own.__new__(own)
    memo[id(module)] = replica
    return _fill(replica, copy.deepcopy(_state(module), memo))


def _state(module: torch.nn.Module) -> dict[str, Any]:
    """Return the module's dictionary without what is computed from the free parameters."""
    state = dict(module.__dict__)
    if isinstance(module, torch.nn.RNNBase):  # keeps a list of its weights, and weak references to them
        state.pop("_flat_weight_refs", None)
        state["_flat_weights"] = [None] * len(module._flat_weights)
    return state


def _restore(own: type, state: dict[str, Any]) -> torch.nn.Module:
    return _fill(own.__new__(own), state)


def _fill(module: torch.nn.Module, state: dict[str, Any]) -> torch.nn.Module:
    module.__setstate__(state)
    parametrize._inject_new_class(module)
    for name in module.parametrizations:
        parametrize._inject_property(module, name)
    make_portable(module)
    if isinstance(module, torch.nn.RNNBase):
        module._init_flat_weights()
    return module
