"""Optimisers that keep weight matrices orthogonal: each step goes along the Stiefel manifold."""

from ortholab.nn.optim.adam import StiefelAdam
from ortholab.nn.optim.sgd import StiefelSGD

__all__ = ["StiefelAdam", "StiefelSGD"]
