"""Recurrent weights that no constraint holds: they follow the loss, and a soft penalty if there is one.

Sources: Bansal, Chen, Wang 2018 (arXiv 1810.09102); the deck, equation (10).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ortholab.errors import check_choice, check_number
from ortholab.nn.soft_gradients import add_published, add_so
from ortholab.nn.step_rules import rule

PENALTIES = ("sum", "mean", "published")


def _add_mean(grad: torch.Tensor, W: torch.Tensor, weight: float, gain: float) -> None:
    add_so(grad, W, weight / min(W.shape) ** 2, gain)


_ADD: dict[str, Callable] = {"sum": add_so, "mean": _add_mean, "published": add_published}


class PenalisedWeights:
    """Moves W by an optimiser of :mod:`~ortholab.nn.step_rules` on dLoss/dW + weight x the gradient of a penalty.

        "sum"        |W^T W / gain^2 - I|_F^2, the deck's equation (10); with gain 1 its equation (8)
        "mean"       the same over the number of entries, n^2
        "published"  the mean of (W^T W / gain^2 - 1)^2 over all entries, as in the code that was published

    ``gain`` is the penalty's; the gain of the start is the caller's. Weight 0 leaves the loss alone:
    W is free, at an optimiser and a rate of its own. Raises ArgumentError.

    >>> W = 3 * torch.eye(2)
    >>> update = PenalisedWeights(W, "sgd", rate=0.05, penalty="sum", weight=1.0, gain=2.0)
    >>> for _ in range(200):
    ...     update.update(W, torch.zeros(2, 2))
    >>> torch.allclose(W, 2 * torch.eye(2))
    True
    """

    def __init__(
        self,
        W: torch.Tensor,
        optimiser: str = "adam",
        *,
        rate: float,
        penalty: str = "sum",
        weight: float = 0.0,
        gain: float = 1.0,
        **settings: float,
    ) -> None:
        self.penalty = check_choice("penalty", penalty, PENALTIES)
        self.weight = check_number("weight", weight, low=0)
        self.gain = check_number("gain", gain, low=1e-6, high=1e6)
        self._rule = rule(optimiser, [W], rate, **settings)

    @torch.no_grad()
    def update(self, W: torch.Tensor, G: torch.Tensor) -> None:
        """Move W one step; ``G`` = dLoss/dW is used up."""
        if self.weight:
            _ADD[self.penalty](G, W, self.weight, self.gain)
        self._rule.begin()
        self._rule.apply(0, W, G)

    def state_dict(self) -> dict:
        """Return the averages."""
        return self._rule.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Copy in what ``state_dict`` gave."""
        self._rule.load_state_dict(state)
