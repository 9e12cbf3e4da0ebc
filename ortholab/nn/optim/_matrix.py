"""What Muon, ManifoldMuon, Landing and OneStep share: matrices only, an average of gradients, and a step for each."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ortholab.errors import ArgumentError, bad, check_number
from ortholab.nn.optim._arguments import check_lr, start_on_manifold


class MatrixOptimiser(torch.optim.Optimizer):
    """The base; a subclass says how a matrix moves (``_move``), and whether it has to begin on the manifold.

    The direction is m, with m <- momentum m + (1 - momentum) G from 0, as torch's Muon has it: an average, so that
    ``lr`` means the same with every momentum. With ``nesterov`` it is momentum m + (1 - momentum) G with the new m.
    """

    starts_on_manifold = True

    def __init__(self, params, defaults: dict, project: bool = False) -> None:
        self._project = bool(project)
        if isinstance(params, nn.Module):
            params = params.parameters()
        if isinstance(params, torch.Tensor) or not isinstance(params, Iterable):
            raise bad("params", type(params).__name__, "a module, or an iterable of matrices or groups")
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict) -> None:
        """Add a group with its options, checked as the constructor's."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._check_group(group)
            for i, p in enumerate(group["params"]):
                self._check_start(f"params[{i}]", p)
        except ArgumentError:
            self.param_groups.pop()
            raise

    def _check_group(self, group: dict) -> None:
        check_lr(group["lr"])
        check_number("momentum", group["momentum"], low=0, high=1, open_high=True)
        if group["nesterov"] and group["momentum"] == 0:
            raise ArgumentError("nesterov must go with a momentum > 0; got nesterov=True and momentum=0")

    def _check_start(self, name: str, W: torch.Tensor) -> None:
        if W.ndim < 2 or 0 in W.shape:
            raise ArgumentError(
                f"{name} must be a matrix (..., n_out, n_in), none empty; got shape {tuple(W.shape)}. Give vectors to "
                "another optimiser"
            )
        if self.starts_on_manifold:
            start_on_manifold(name, W, 1.0, self._project)

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step; ``closure`` computes the loss anew and is returned.

        Nothing is changed if a gradient is not finite: ArgumentError.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            check_lr(group["lr"])
            for p in group["params"]:
                if p.grad is not None and not bool(torch.isfinite(p.grad).all()):
                    raise ArgumentError(
                        f"the gradient of a parameter of shape {tuple(p.shape)} must be finite; it is not, and no "
                        "parameter was changed"
                    )
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._one(p, group)
        return loss

    def _one(self, W: torch.Tensor, group: dict) -> None:
        state, momentum = self.state[W], group["momentum"]
        if not state:
            state["capped"] = 0
        G = W.grad
        if momentum:
            m = state.setdefault("momentum_buffer", torch.zeros_like(G))
            m.lerp_(G, 1 - momentum)
            G = G.lerp(m, momentum) if group["nesterov"] else m
        if W.shape[-2] < W.shape[-1]:
            W.copy_(self._move(W.mT, G.mT, group, state).mT)
        else:
            W.copy_(self._move(W, G, group, state))

    def _move(self, X: torch.Tensor, G: torch.Tensor, group: dict, state: dict) -> torch.Tensor:
        """The next X for an upright X (n >= k) and its direction G; a subclass defines it."""
        raise NotImplementedError


def check_steps(group: dict) -> None:
    """``steps``: None for singular values, else the number of Newton-Schulz steps."""
    steps = group["steps"]
    if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool) or steps < 1):
        raise bad("steps", steps, "an integer >= 1, or None for the exact polar factor")


def polar_factor(G: torch.Tensor, steps: int | None) -> torch.Tensor:
    """U V^T of an upright G: by singular values (None; those that are rounding, not), or ``steps`` of the quintic."""
    if steps is None:
        U, s, Vh = torch.linalg.svd(G, full_matrices=False)
        kept = s > max(G.shape[-2:]) * torch.finfo(G.dtype).eps * s[..., :1]
        return (U * kept.to(G.dtype).unsqueeze(-2)) @ Vh
    a, b, c = 3.4445, -4.7750, 2.0315  # ortholab.theory.newton_schulz.QUINTIC
    top = G.abs().amax(dim=(-2, -1), keepdim=True)
    X = G / torch.where(top > 0, top, 1.0)
    length = torch.linalg.vector_norm(X, dim=(-2, -1), keepdim=True)
    X = X / torch.where(length > 0, length, 1.0)
    for _ in range(steps):
        S = X.mT @ X
        X = a * X + X @ (b * S + c * (S @ S))
    return X
