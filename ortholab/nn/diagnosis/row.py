"""What is known of one call of a layer or an activation: a row of the report's table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One call of a layer or of an activation.

    ``forward``: mean square of the output over that of the input. ``backward``: E|J^T v|^2 / E|v|^2 of the layer alone
    for the gradients v that arrive. ``rms``: root mean square of the output. ``gradient``: size of the gradient at the
    output, the last layer's being 1. ``distance``, ``s_min``, ``s_max``: of the weights, see WeightSpectrum.
    ``gradient_norm``: of the weights' own gradient. ``slope``: mean squared slope of the activation. ``dead``: share of
    units without slope. NaN where there is nothing to measure.

    >>> import torch
    >>> from ortholab.nn.diagnosis import diagnose
    >>> [row] = diagnose(torch.nn.Linear(3, 2), torch.zeros(4, 3)).rows
    >>> row.kind, row.shape
    ('linear', (4, 2))
    """

    name: str
    what: str
    kind: str
    shape: tuple[int, ...]
    forward: float
    backward: float
    rms: float
    gradient: float
    distance: float
    s_min: float
    s_max: float
    gradient_norm: float
    slope: float
    dead: float
