"""The optimisers' arguments: sorting parameters into constrained and free ones, and the start on the manifold."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from ortholab.errors import ArgumentError, bad, check_number
from ortholab.nn.optim._drift import tolerance
from ortholab.nn.optim._moves import frobenius, gram_minus_one
from ortholab.theory import stiefel

NEAR = 0.01  # an orthogonality error of rounding, or of a start in low precision; above, the matrix was not meant so


def check_lr(lr: object) -> float:
    """A step size: a finite number >= 0 (a tensor of one entry too)."""
    if type(lr) is float and 0 <= lr < math.inf:
        return lr
    return check_number("lr", lr.item() if isinstance(lr, torch.Tensor) and lr.numel() == 1 else lr, low=0)


def sort_parameters(params: object, constrained: object, defaults: dict):
    """Return groups (each all constrained or all free), the parameters' names, and the nn.Linear that owns a weight."""
    names: dict[nn.Parameter, str] = {}
    owners: dict[nn.Parameter, nn.Module] = {}
    if isinstance(params, nn.Module):
        names = {p: name for name, p in params.named_parameters()}
        owners = _owners(params)
        params = list(params.parameters())
    if isinstance(params, torch.Tensor) or not isinstance(params, Iterable):
        raise bad("params", type(params).__name__, "a module, or an iterable of parameters, named pairs or groups")
    listed = list(params)
    if not listed:
        raise bad("params", listed, "at least one parameter")
    groups = [dict(g) for g in listed] if isinstance(listed[0], dict) else [{"params": listed}]
    for group in groups:
        group["params"] = [group["params"]] if isinstance(group["params"], torch.Tensor) else list(group["params"])
        for i, p in enumerate(group["params"]):
            if isinstance(p, tuple) and len(p) == 2:  # (name, parameter), as model.named_parameters() gives them
                names[p[1]], group["params"][i] = p
    everything = [p for group in groups for p in group["params"]]
    for i, p in enumerate(everything):
        if not isinstance(p, torch.Tensor):
            raise bad(f"params[{i}]", p, "a torch tensor")
    if len({id(p) for p in everything}) < len(everything):
        raise ArgumentError("params must not hold a parameter twice")
    if constrained is None:
        return groups, names, owners
    chosen = _chosen(constrained, names, owners)
    for p, name in chosen.items():
        if not any(p is q for q in everything):
            raise ArgumentError(f"constrained must be among params; {name} is not")
        names.setdefault(p, name)
    return [part for group in groups for part in _split(group, chosen)], names, owners


def _split(group: dict, chosen: dict) -> list[dict]:
    """A group's constrained part and its free part."""
    if "stiefel" in group:
        raise ArgumentError("constrained must be None where groups have a key 'stiefel'; got both")
    parts = {flag: [p for p in group["params"] if (p in chosen) is flag] for flag in (True, False)}
    return [{**group, "params": parts[flag], "stiefel": flag} for flag in (True, False) if parts[flag]]


def _owners(module: nn.Module) -> dict[nn.Parameter, nn.Module]:
    """The nn.Linear of each weight that belongs to one and no more: a shared weight's gradient has several parts."""
    found: dict[nn.Parameter, list] = {}
    for part in module.modules():
        for name, p in part.named_parameters(recurse=False):
            found.setdefault(p, []).append((part, name))
    return {p: uses[0][0] for p, uses in found.items() if len(uses) == 1 and uses[0][1] == "weight"}


def _chosen(constrained: object, names: dict, owners: dict) -> dict[nn.Parameter, str]:
    """The constrained parameters by name: parameters as they are, a module's weight, else every nn.Linear's in it."""
    if isinstance(constrained, torch.Tensor | nn.Module):
        constrained = [constrained]
    if not isinstance(constrained, Iterable) or isinstance(constrained, str):
        raise bad("constrained", constrained, "parameters and modules")
    chosen: dict[nn.Parameter, str] = {}
    for i, item in enumerate(constrained):
        where = f"constrained[{i}]"
        if isinstance(item, torch.Tensor):
            found = [item]
        elif isinstance(item, nn.Module):
            own = getattr(item, "weight", None)
            inside = [item] if isinstance(own, nn.Parameter) else [m for m in item.modules() if type(m) is nn.Linear]
            if not inside:
                raise bad(where, item, "a parameter, a module with a weight, or one that holds an nn.Linear")
            found = [m.weight for m in inside]
            for m in inside:
                owners.setdefault(m.weight, m)
        else:
            raise bad(where, item, "a parameter or a module")
        for p in found:
            if p in chosen:
                raise ArgumentError(f"{where} must not be named twice; got {names.get(p, chosen[p])} again")
            chosen[p] = names.get(p, where)
    return chosen


@torch.no_grad()
def start_on_manifold(name: str, W: torch.Tensor, gain: float, project: bool) -> None:
    """Check a constrained parameter; polish a start that is orthogonal but for rounding, project one that is not.

    Raises ArgumentError for a parameter that cannot be constrained, or if W is off by more than NEAR and ``project`` is
    false. A start within the tolerance is left as it is, bit for bit.
    """
    if W.ndim < 2 or 0 in W.shape:
        raise ArgumentError(
            f"{name} must have shape (..., n_out, n_in) to be constrained, none empty; got {tuple(W.shape)} "
            "(say which are, by constrained=[...])"
        )
    if W.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(f"{name} must be float32 or float64 to be constrained; got {W.dtype}")
    if not W.requires_grad:
        raise ArgumentError(f"{name} must require a gradient to be constrained; it is frozen")
    if not bool(torch.isfinite(W).all()):
        raise ArgumentError(f"{name} must be finite; some entries of shape {tuple(W.shape)} are not")
    wide = W.shape[-2] < W.shape[-1]
    Q = (W.mT if wide else W).double() / gain
    E = gram_minus_one(Q)
    error = frobenius(E)
    if error <= tolerance(W):
        return
    if float(E.abs().max()) > NEAR:
        if not project:
            side = "rows" if wide else "columns"
            raise ArgumentError(
                f"{name} must have orthonormal {side} times gain = {gain:g} at the start, within {NEAR}; the largest "
                f"entry of |W^T W / gain^2 - I| is {float(E.abs().max()):.3g} (short side). Initialise it so, or pass "
                "project=True"
            )
        Q = stiefel.project(Q)
    else:
        for _ in range(20):
            Q = Q - Q @ E / 2
            E = gram_minus_one(Q)
            if frobenius(E) < 1e-3 * tolerance(W) or frobenius(E) < 1e-14 * math.sqrt(Q.shape[-1]):
                break
    W.copy_((Q.mT if wide else Q) * gain)
