"""Starts: the laws of a weight (Gaussian, Haar), and a whole network at its critical point."""

from ortholab.nn.init.draws import check_torch_generator, gaussian_, haar, orthogonal_

__all__ = ["check_torch_generator", "gaussian_", "haar", "orthogonal_"]
