"""Figures of stored results, as ``ortholab show NAME --figure FILE`` writes them; the book's pages draw richer ones."""

from ortholab.figures.audit import GAIN_LINES, forest, gain, gain_curves, gain_line, gain_spectrum
from ortholab.figures.caption import captioned
from ortholab.figures.constraints import (
    PENALTY_LINES,
    atlas,
    cost_curves,
    geometry,
    margin_line,
    penalty_curves,
    soft_constraints,
    spectral_margin,
)
from ortholab.figures.depth import (
    deep_nets,
    deep_nets_depth,
    learning_curves,
    linear_depth,
    network_line,
    steps_against_depth,
    trainability,
)
from ortholab.figures.sequences import model_scores, moduli, sequence_models
from ortholab.figures.since import KERNEL_LINES, accuracy_against_depth, convolutions, critical_start, start_panels

__all__ = [
    "GAIN_LINES",
    "KERNEL_LINES",
    "PENALTY_LINES",
    "accuracy_against_depth",
    "atlas",
    "captioned",
    "convolutions",
    "cost_curves",
    "critical_start",
    "deep_nets",
    "deep_nets_depth",
    "forest",
    "gain",
    "gain_curves",
    "gain_line",
    "gain_spectrum",
    "geometry",
    "learning_curves",
    "linear_depth",
    "margin_line",
    "model_scores",
    "moduli",
    "network_line",
    "penalty_curves",
    "sequence_models",
    "soft_constraints",
    "spectral_margin",
    "start_panels",
    "steps_against_depth",
    "trainability",
]
