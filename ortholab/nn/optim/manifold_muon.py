"""Manifold Muon: steepest descent under the spectral norm along the Stiefel manifold."""

from __future__ import annotations

from ortholab.errors import check_int, check_number
from ortholab.nn.optim._matrix import MatrixOptimiser, check_steps, polar_factor
from ortholab.nn.optim._moves import polar_near
from ortholab.theory.spectral_step import tangent_direction


class ManifoldMuon(MatrixOptimiser):
    r"""W <- R(W, -lr X): X is the tangent matrix with ||X||_2 <= 1 and the largest inner product with the gradient.

    Square W: X = W polar(skew(W^T m)) in closed form, the polar factor exact (``steps=None``) or by ``steps`` of
    Newton and Schulz; an odd polynomial of a skew matrix is skew, so that X is tangent to rounding either way. Tall and
    wide W: the dual problem of :func:`ortholab.theory.spectral_step.tangent_direction`, at most ``solve_steps``
    reweighted iterations, to a relative gap of ``tol``. R is the polar retraction; where X has only singular values 1
    it divides by sqrt(1 + lr^2). m is the average gradient, as :class:`Muon`'s.

    All parameters are matrices with orthonormal columns (rows, if wide), within 0.01, or ``project=True`` moves them to
    the nearest. ``lr`` <= 1 is an angle's tangent. Raises ArgumentError. Source: Bernstein 2025, "Modular manifolds".

    >>> import torch
    >>> W = torch.nn.Parameter(torch.eye(2))
    >>> (W[0, 1] * 3 + W[0, 0]).backward()
    >>> ManifoldMuon([W], lr=0.75, steps=None).step()
    >>> W.detach().round(decimals=3)
    tensor([[ 0.8000, -0.6000],
            [ 0.6000,  0.8000]])
    """

    def __init__(
        self,
        params,
        lr: float = 0.02,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        steps: int | None = 5,
        solve_steps: int = 10,
        tol: float = 1e-3,
        project: bool = False,
    ) -> None:
        defaults = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "steps": steps, "solve_steps": solve_steps,
            "tol": tol,
        }  # fmt: skip
        super().__init__(params, defaults, project)

    def _check_group(self, group: dict) -> None:
        super()._check_group(group)
        check_number("lr", float(group["lr"]), low=0, high=1)
        check_steps(group)
        check_int("solve_steps", group["solve_steps"])
        check_number("tol", group["tol"], low=0)

    def _move(self, X, G, group, state):
        if X.shape[-2] == X.shape[-1]:
            S = X.mT @ G
            direction = X @ polar_factor((S - S.mT) / 2, group["steps"])
        else:
            direction = tangent_direction(X, G, steps=group["solve_steps"], tol=group["tol"]).direction
        return polar_near(X - float(group["lr"]) * direction)
