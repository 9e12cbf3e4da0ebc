"""Starts: the laws of a weight (Gaussian, Haar), and a whole network at its critical point."""

from ortholab.nn.init.draws import check_torch_generator, gaussian_, haar, orthogonal_

__all__ = ["CriticalStart", "check_torch_generator", "critical_", "gaussian_", "haar", "orthogonal_"]

_LATER = ("CriticalStart", "critical_")  # they need the diagnosis, which needs the rest of ortholab.nn


def __getattr__(name):
    if name in _LATER:
        from ortholab.nn.init import critical

        return getattr(critical, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
