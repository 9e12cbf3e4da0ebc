"""Stochastic gradient descent on the Stiefel manifold."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.sgd import sgd

from ortholab.errors import ArgumentError, check_number
from ortholab.nn.optim._base import StiefelOptimiser
from ortholab.nn.optim._moves import tangent_


class StiefelSGD(StiefelOptimiser):
    r"""Gradient descent whose constrained matrices stay W = gain Q, Q on the Stiefel manifold.

        free parameters:  torch.optim.SGD
        constrained W:    D = G - W G^T W / gain^2,   v <- momentum v + D,   W <- R(W, -lr v)

    G = dL/dW, (..., n_out, n_in); D is the canonical Riemannian gradient. With metric="euclidean" it is
    G - W sym(W^T G) / gain^2, for square W half of that. A wide W has orthonormal rows, and each formula is read for
    W^T. R is the ``retraction``: "cayley", "qr", "polar" as in :mod:`ortholab.theory.retractions`; "auto" is Cayley for
    a square W and where the low-rank form wins, else polar. v is carried along: for a square W it is v = S W with S
    skew, and S is kept; otherwise v is projected on the new tangent space.

    ``params``: a module, parameters, or groups with a key ``stiefel``. ``constrained``: the parameters or modules that
    are on the manifold (a module stands for its weight, else for every nn.Linear in it); None: all, or as the groups
    say. The weight of an nn.Linear in a module that is given in either is updated from the layer's inputs and output
    gradients where that is fewer operations. Then no weight gradient is formed: ``W.grad`` is a stand-in of NaN that
    must not be changed (no clipping, no scaling); ``low_rank=False`` brings the gradient back. :meth:`describe` says
    which path each matrix takes. A step with ||lr v / gain||_2 above ``max_step`` <= 1 is shortened, and counted in
    ``state[W]["capped"]``. ``weight_decay`` acts on free parameters only. ``project=True`` moves a start that is not
    orthogonal to the nearest point.

    ||W^T W / gain^2 - I||_F (short side, k x k) is to stay below 1e-6 sqrt(k) in float32 and 1.9e-15 sqrt(k) in
    float64. On a GPU a step waits for the device once for all matrices, and once more for each on a dense path. Raises
    ArgumentError; a gradient that is not finite is refused before anything has changed. Sources: Wen and Yin 2013;
    Absil, Mahony, Sepulchre 2008; Li, Li, Todorovic 2020 (the cap).

    >>> layer = torch.nn.Linear(6, 6)
    >>> W = torch.nn.init.orthogonal_(layer.weight)
    >>> optimiser = StiefelSGD(layer, lr=0.1, constrained=[layer])
    >>> print(optimiser.describe())
    weight (6, 6): skew cayley; low-rank cayley up to 1 rows
    """

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        *,
        constrained=None,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        maximize: bool = False,
        retraction: str = "auto",
        metric: str = "canonical",
        gain: float = 1.0,
        max_step: float = 1.0,
        low_rank: bool = True,
        project: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay, "maximize": maximize,
            "retraction": retraction, "metric": metric, "gain": gain, "max_step": max_step, "stiefel": True,
        }  # fmt: skip
        super().__init__(params, defaults, constrained, low_rank, project)

    def _check_group(self, group: dict) -> None:
        super()._check_group(group)
        check_number("momentum", group["momentum"], low=0, high=1, open_high=True)
        if group["nesterov"] and group["momentum"] == 0:
            raise ArgumentError("nesterov must go with a momentum > 0; got nesterov=True and momentum=0")

    def _momentum(self, group: dict) -> bool:
        return group["momentum"] > 0

    def _direction(self, state, gradient, size, group, W):
        momentum = group["momentum"]
        if momentum == 0:
            return gradient, 1.0
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = gradient.clone()
        else:
            state["momentum_buffer"].mul_(momentum).add_(gradient)
        v = state["momentum_buffer"]
        return (gradient.add(v, alpha=momentum) if group["nesterov"] else v), 1.0

    def _transport(self, state: dict, Q: torch.Tensor) -> None:
        if "momentum_buffer" in state:
            tangent_(Q, state["momentum_buffer"])

    def _free_step(self, parameters: list[nn.Parameter], group: dict) -> None:
        buffers = [self.state[p].get("momentum_buffer") for p in parameters]
        sgd(
            parameters, [p.grad for p in parameters], buffers, weight_decay=group["weight_decay"],
            momentum=group["momentum"], lr=group["lr"], dampening=0.0, nesterov=group["nesterov"],
            maximize=group["maximize"],
        )  # fmt: skip
        if group["momentum"]:
            for p, buffer in zip(parameters, buffers, strict=True):
                self.state[p]["momentum_buffer"] = buffer
