"""Optimisers for which orthogonality is the geometry: along the Stiefel manifold, near it, or in the step alone."""

from ortholab.nn.optim.adam import StiefelAdam
from ortholab.nn.optim.landing import Landing
from ortholab.nn.optim.manifold_muon import ManifoldMuon
from ortholab.nn.optim.muon import Muon
from ortholab.nn.optim.one_step import OneStep
from ortholab.nn.optim.sgd import StiefelSGD

__all__ = ["Landing", "ManifoldMuon", "Muon", "OneStep", "StiefelAdam", "StiefelSGD"]
