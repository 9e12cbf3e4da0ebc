"""The hard constraint as a recurrent update: W stays gain times an orthogonal matrix.

Source: Wen and Yin 2013.
"""

from __future__ import annotations

import copy

import torch

from ortholab.errors import ArgumentError, bad, check_choice, check_number
from ortholab.nn.optim import StiefelAdam, StiefelSGD

OPTIMISERS = {"adam": StiefelAdam, "sgd": StiefelSGD}


class StiefelWeights:
    """Moves a square W = gain Q so that Q stays orthogonal: the ``recurrent`` update of a hard constraint.

        S = (G W^T - W G^T) / gain^2,   W <- (I + T/2)^(-1) (I - T/2) W,   T = rate S ("sgd"), or S by Adam's averages

    G = dLoss/dW. ``W`` comes as gain times an orthogonal matrix, as ``RNN(gain=...)`` starts it; other ``settings``
    (momentum, betas, retraction) go to :class:`~ortholab.nn.optim.StiefelAdam` or
    :class:`~ortholab.nn.optim.StiefelSGD`, which move it and say what holds: ||Q^T Q - I||_F stays below 1e-6 sqrt(n)
    in float32, at any number of steps. Raises ArgumentError.

    >>> W = 1.1 * torch.eye(3)
    >>> update = StiefelWeights(W, rate=0.1, gain=1.1)
    >>> for _ in range(200):  # minimise |W - A|^2 / 2 for A = 2 C, C a cyclic permutation: 1.1 C is nearest
    ...     update.update(W, W - 2 * torch.eye(3).roll(1, 0))
    >>> torch.allclose(W, 1.1 * torch.eye(3).roll(1, 0), atol=1e-4)
    True
    """

    def __init__(
        self, W: torch.Tensor, *, rate: float, optimiser: str = "adam", gain: float = 1.0, **settings: object
    ) -> None:
        if not isinstance(W, torch.Tensor) or W.ndim != 2 or W.shape[0] != W.shape[1]:
            raise bad("W", tuple(getattr(W, "shape", ())) or type(W).__name__, "a square matrix")
        self.gain = check_number("gain", gain, low=0, open_low=True)
        check_number("rate", rate, low=0, open_low=True)
        kind = OPTIMISERS[check_choice("optimiser", optimiser, tuple(OPTIMISERS))]
        self._W = torch.nn.Parameter(W.detach())  # W's own memory
        try:
            # Named, so that messages name W; no layer gives its gradient as a product here.
            self._optimiser = kind([("W", self._W)], rate, gain=self.gain, low_rank=False, **settings)
        except TypeError as error:
            raise ArgumentError(f"settings must be those of {kind.__name__}: {error}") from None

    @property
    def rate(self) -> float:
        """The step size; may be set between steps."""
        return self._optimiser.param_groups[0]["lr"]

    @rate.setter
    def rate(self, value: float) -> None:
        self._optimiser.param_groups[0]["lr"] = check_number("rate", value, low=0, open_low=True)

    def update(self, W: torch.Tensor, G: torch.Tensor) -> None:
        """Move W along the manifold, one step down G = dLoss/dW. Raises ArgumentError for another W than the first."""
        if W.data_ptr() != self._W.data_ptr() or W.shape != self._W.shape:
            raise ArgumentError("W must be the tensor that this update was made for; got another one")
        self._W.grad = G
        self._optimiser.step()
        self._W.grad = None

    @torch.no_grad()
    def error(self) -> float:
        """Return ||W^T W / gain^2 - I||_F, computed in float64."""
        Q = self._W.double() / self.gain
        return float(torch.linalg.matrix_norm(Q.T @ Q - torch.eye(len(Q), dtype=Q.dtype, device=Q.device)))

    def state_dict(self) -> dict:
        """Return the averages and the account of rounding: in use, to be saved before the next step. W is not in it."""
        return self._optimiser.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Copy in what ``state_dict`` gave, W having been restored before; the rate is the saved one."""
        self._optimiser.load_state_dict(copy.deepcopy(state))
