"""Adam on the Stiefel manifold."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.adam import adam

from ortholab.errors import bad, check_number
from ortholab.nn.optim._base import StiefelOptimiser
from ortholab.nn.optim._moves import tangent_


class StiefelAdam(StiefelOptimiser):
    r"""Adam whose constrained matrices stay W = gain Q, Q on the Stiefel manifold.

        free parameters:  torch.optim.Adam
        constrained W:    m <- m + (1 - beta1)(D - m),  v <- v + (1 - beta2)(||D||_F^2 / (n k) - v),
                          W <- R(W, -lr m_hat / (sqrt(v_hat) + eps)),  m_hat = m / (1 - beta1^t), v_hat likewise

    D is the Riemannian gradient. The second moment is one number a matrix, the mean square of D's n k entries: a step
    divided entry by entry would leave the tangent space, and would depend on the basis in which the layer's units are
    written. As it is a mean, ``lr`` means what it means for the free parameters. (geoopt keeps one number too, the sum:
    at equal lr its steps are sqrt(n k) times shorter.) m is carried along as :class:`StiefelSGD`'s v is, and all other
    arguments are those of StiefelSGD. Raises ArgumentError. Sources: Kingma and Ba 2015; Becigneul and Ganea 2019.

    >>> W = torch.nn.Parameter(torch.eye(4, 2))
    >>> optimiser = StiefelAdam([W], lr=0.1)
    >>> for _ in range(200):
    ...     optimiser.zero_grad()
    ...     ((W - torch.eye(4, 2).flip(0)) ** 2).sum().backward()
    ...     optimiser.step()
    >>> W.detach().abs().round(decimals=2).flip(0)
    tensor([[1., 0.], [0., 1.], [0., 0.], [0., 0.]])
    """

    def __init__(
        self,
        params,
        lr: float = 1e-3,
        *,
        constrained=None,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
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
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
            "retraction": retraction, "metric": metric, "gain": gain, "max_step": max_step, "stiefel": True,
        }  # fmt: skip
        super().__init__(params, defaults, constrained, low_rank, project)

    def _check_group(self, group: dict) -> None:
        super()._check_group(group)
        if not isinstance(group["betas"], tuple | list) or len(group["betas"]) != 2:
            raise bad("betas", group["betas"], "two numbers in [0, 1)")
        for i, beta in enumerate(group["betas"]):
            check_number(f"betas[{i}]", beta, low=0, high=1, open_high=True)
        check_number("eps", group["eps"], low=0, open_low=True)

    def _momentum(self, group: dict) -> bool:
        return True

    def _direction(self, state, gradient, size, group, W):
        beta1, beta2 = group["betas"]
        if "exp_avg" not in state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(size)
        state["step"] += 1
        step = state["step"].item()
        # For a square W = gQ the gradient comes as the skew S with D = S W: ||D||_F = gain ||S||_F.
        unit = (group["gain"] if W.shape[-2] == W.shape[-1] else 1.0) / math.sqrt(W.shape[-2] * W.shape[-1])
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].lerp_((size * unit) ** 2, 1 - beta2)
        root = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
        return state["exp_avg"], 1 / (root * (1 - beta1**step))

    def _transport(self, state: dict, Q: torch.Tensor) -> None:
        tangent_(Q, state["exp_avg"])

    def _free_step(self, parameters: list[nn.Parameter], group: dict) -> None:
        for p in parameters:
            if not self.state[p]:
                self.state[p].update(step=torch.zeros(()), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
        get = {name: [self.state[p][name] for p in parameters] for name in ("exp_avg", "exp_avg_sq", "step")}
        adam(
            parameters, [p.grad for p in parameters], get["exp_avg"], get["exp_avg_sq"], [], get["step"],
            amsgrad=False, beta1=group["betas"][0], beta2=group["betas"][1], lr=group["lr"],
            weight_decay=group["weight_decay"], eps=group["eps"], maximize=group["maximize"],
        )  # fmt: skip
