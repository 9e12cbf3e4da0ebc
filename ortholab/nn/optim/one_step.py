"""One Bjorck step after each step along the tangent: no retraction is solved, and none is needed."""

from __future__ import annotations

from ortholab.errors import check_number
from ortholab.nn.optim._matrix import MatrixOptimiser
from ortholab.nn.optim._moves import shortening
from ortholab.nn.optim.landing import rotation


class OneStep(MatrixOptimiser):
    r"""M = X - lr skew(G X^T) X, then X <- M (3 I - M^T M) / 2: a rotation's tangent, and one step of Bjorck's cubic.

    skew(M) = (M - M^T) / 2; on the manifold the first step goes along half the canonical gradient. With X^T X = I + E
    it leaves M^T M = I + F, F = E + lr^2 (...), and the second leaves -3 F^2 / 4 + F^3 / 4: an error of the fourth
    order in the step, which does not add up from step to step. Five products. A tangent step with ||.||_2 above
    ``max_step`` is shortened to it, and counted in ``state[W]["capped"]``: beyond sqrt 2 the cubic would turn singular
    values over. A wide W is read as its transpose. Raises ArgumentError. Source: Javaloy and Vergari 2026 (POGO, of
    which this is the step with plain or averaged gradients), arXiv:2602.14656; Bjorck and Bowie 1971.

    >>> import torch
    >>> W = torch.nn.Parameter(torch.eye(2))
    >>> (W[0, 1] * 3 + W[0, 0]).backward()
    >>> OneStep([W], lr=0.1).step()
    >>> W.detach().round(decimals=3)
    tensor([[ 0.9890, -0.1480],
            [ 0.1480,  0.9890]])
    """

    def __init__(
        self,
        params,
        lr: float = 0.1,
        *,
        max_step: float = 0.5,
        momentum: float = 0.0,
        nesterov: bool = False,
        project: bool = False,
    ) -> None:
        defaults = {"lr": lr, "max_step": max_step, "momentum": momentum, "nesterov": nesterov}
        super().__init__(params, defaults, project)

    def _check_group(self, group: dict) -> None:
        super()._check_group(group)
        check_number("max_step", group["max_step"], low=0, high=1, open_low=True)

    def _move(self, X, G, group, state):
        move = rotation(X, G, X.mT @ X).mul_(float(group["lr"]))
        cut = shortening(move, group["max_step"])
        if cut is not None:
            state["capped"] += 1
            move = move * cut
        M = X - move
        return 1.5 * M - 0.5 * (M @ (M.mT @ M))
