"""Muon: steepest descent under the spectral norm, for matrices that are free."""

from __future__ import annotations

import torch

from ortholab.errors import check_number
from ortholab.nn.optim._matrix import MatrixOptimiser, check_steps, polar_factor


class Muon(MatrixOptimiser):
    r"""W <- (1 - lr weight_decay) W - lr c polar(m): every singular direction of the average gradient moves equally.

    polar(m) = U V^T for m = U S V^T is the X with ||X||_2 <= 1 and the largest <m, X>. ``steps`` Newton-Schulz steps of
    the quintic (3.4445, -4.7750, 2.0315) from m / ||m||_F stand for it, whose singular values end in [0.68, 1.21] where
    those of m / ||m||_F are above about 0.01; ``steps=None`` computes it exactly. c = sqrt(max(1, n_out / n_in)) with
    ``by_shape`` (tall matrices take longer steps), else 1. m is the average that :class:`MatrixOptimiser` states.

    All parameters are matrices (..., n_out, n_in); vectors go to another optimiser. It is torch.optim.Muon, which a
    test holds it to, but for three things: it computes in the gradient's own precision (torch's in bfloat16), it can be
    exact, and takes batches of matrices. Raises ArgumentError. Source: Jordan and others 2024.

    >>> W = torch.nn.Parameter(torch.diag(torch.tensor([1.0, 2.0])))
    >>> (W**2).sum().backward()
    >>> Muon([W], lr=0.5, momentum=0.0, nesterov=False, steps=None).step()
    >>> W.detach()
    tensor([[0.5000, 0.0000],
            [0.0000, 1.5000]])
    """

    starts_on_manifold = False

    def __init__(
        self,
        params,
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        steps: int | None = 5,
        by_shape: bool = True,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay, "steps": steps,
            "by_shape": by_shape,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _check_group(self, group: dict) -> None:
        super()._check_group(group)
        check_number("weight_decay", group["weight_decay"], low=0)
        check_steps(group)

    def _one(self, W: torch.Tensor, group: dict) -> None:
        n_out, n_in = W.shape[-2:]
        factor = max(1.0, n_out / n_in) ** 0.5 if group["by_shape"] else 1.0
        super()._one(W, {**group, "rate": group["lr"] * factor})

    def _move(self, X, G, group, state):
        kept = 1 - group["lr"] * group["weight_decay"]
        return kept * X - group["rate"] * polar_factor(G, group["steps"])
