"""The landing method: no retraction; a pull towards the manifold and a step size that cannot leave its surroundings."""

from __future__ import annotations

import torch

from ortholab.errors import ArgumentError, check_number
from ortholab.nn.optim._matrix import MatrixOptimiser


class Landing(MatrixOptimiser):
    r"""X <- X - eta (skew(G X^T) X + pull X (X^T X - I)), with eta = lr, or less where that would leave the tube.

    skew(M) = (M - M^T) / 2. The first term is the gradient's rotation, which changes X^T X at second order only,
    wherever X is; on the manifold it is half the canonical gradient. The second is the gradient of ||X^T X - I||^2 / 4.
    With E = X^T X - I, d = ||E||_F and g the norm of the bracket, a step leaves ||E||_F <= d - 2 eta pull d (1 - d) +
    eta^2 g^2 while 2 eta pull <= 1, and the longest eta that keeps this below ``tube`` is

        (pull d (1 - d) + sqrt((pull d (1 - d))^2 + g^2 (tube - d))) / g^2.

    Shorter steps are counted in ``state[W]["capped"]``. In the long run E is about lr / (2 pull) times the square of
    the first term. A wide W is read as its transpose. It begins on the manifold; ``project=True`` moves it there.
    Raises ArgumentError. Sources: Ablin and Peyre 2022, arXiv:2102.07432; Ablin and others 2024, arXiv:2303.16510.

    >>> W = torch.nn.Parameter(torch.eye(2))
    >>> (W[0, 1] * 3 + W[0, 0]).backward()
    >>> Landing([W], lr=0.1).step()
    >>> W.detach().round(decimals=3)
    tensor([[ 1.0000, -0.1500],
            [ 0.1500,  1.0000]])
    """

    def __init__(
        self,
        params,
        lr: float = 0.1,
        *,
        pull: float = 1.0,
        tube: float = 0.5,
        momentum: float = 0.0,
        nesterov: bool = False,
        project: bool = False,
    ) -> None:
        defaults = {"lr": lr, "pull": pull, "tube": tube, "momentum": momentum, "nesterov": nesterov}
        super().__init__(params, defaults, project)

    def _check_group(self, group: dict) -> None:
        super()._check_group(group)
        check_number("pull", group["pull"], low=0, open_low=True)
        check_number("tube", group["tube"], low=0, high=0.9, open_low=True)

    def _move(self, X, G, group, state):
        E = X.mT @ X
        turn = rotation(X, G, E)
        E.diagonal(dim1=-2, dim2=-1).sub_(1)
        field = turn.add_(X @ E, alpha=group["pull"])
        d, g2 = _norm(E), _norm(field) ** 2
        if not bool((d < 0.95).all()):
            raise ArgumentError(
                f"a weight must have ||W^T W - I||_F < 0.95 to be drawn back; it was changed to {float(d.max()):.3g}"
            )
        slack = group["pull"] * d * (1 - d)
        root = (slack**2 + g2 * (group["tube"] - d)).clamp_min(0).sqrt()
        longest = torch.where(g2 > 0, (slack + root) / g2.clamp_min(torch.finfo(X.dtype).tiny), torch.inf)
        rate = torch.minimum(longest, torch.full_like(longest, min(float(group["lr"]), 0.5 / group["pull"])))
        state["capped"] += int((rate < float(group["lr"])).any())
        return X - rate * field


def rotation(X: torch.Tensor, G: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    """skew(G X^T) X = (G X^T X - X G^T X) / 2, by products no larger than X: ``gram`` is X^T X."""
    return (G @ gram - X @ (G.mT @ X)).div_(2)


def _norm(M: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(M, dim=(-2, -1), keepdim=True)
