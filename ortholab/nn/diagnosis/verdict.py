"""From numbers to words: what is wrong with a network at its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ortholab.errors import check_number
from ortholab.nn.diagnosis.directions import Directions
from ortholab.nn.diagnosis.end_to_end import EndToEnd
from ortholab.nn.diagnosis.trace import Trace


@dataclass(frozen=True)
class Limits:
    """Where a number becomes a finding.

    ``vanish`` and ``explode``: growth of the gradient from the last layer to the first (or through time). ``share``:
    how evenly the directions of J carry the signal: 1 for an isometry, 0 for rank one, 1/50 for a fiftieth of an
    isometry's directions. ``dead``: share of a layer's units without a slope anywhere in the batch. They are
    conventions: at 1e-3 a step size that suits the last layer is a thousand times too small for the first.

    >>> Limits().vanish
    0.001
    """

    vanish: float = 1e-3
    explode: float = 1e3
    share: float = 0.02
    dead: float = 0.75

    def __post_init__(self) -> None:
        for name, high in (("vanish", 1.0), ("share", 1.0), ("dead", 1.0)):
            check_number(name, getattr(self, name), low=0.0, high=high)
        check_number("explode", self.explode, low=1.0)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: ``kind`` ("nan", "dead", "vanish", "explode", "ill-conditioned") and what to read.

    >>> Finding("nan", "infinite weights in layer 3").kind
    'nan'
    """

    kind: str
    words: str


def growth(trace: Trace) -> tuple[float, int]:
    """Return the factor by which gradients change from the output of the last layer to that of the first, and L - 1."""
    if trace.depth < 2:
        return 1.0, 0
    first, last = trace.layers[0].back_out, trace.layers[-1].back_out
    return float(np.sqrt(first / last)) if last > 0 else 0.0, trace.depth - 1


def not_finite(where: str, what: str) -> Finding:
    """Return the finding for a NaN or an infinite number."""
    return Finding("nan", f"{what} in {where}: it appears there first")


def judge(
    trace: Trace, spectrum: EndToEnd, body: Directions | None, times: Sequence[np.ndarray], limits: Limits
) -> list[Finding]:
    """Return the findings, the gravest first; none means sound."""
    last = _conditioning(trace, spectrum, body, limits)
    return [*_dead(trace, limits), *_depth(trace, limits), *_time(times, limits), *last]


def _dead(trace: Trace, limits: Limits) -> list[Finding]:
    worst = max((e for e in trace.events if e.dead >= limits.dead), key=lambda e: e.dead, default=None)
    if worst is None:
        return []
    count = sum(e.dead >= limits.dead for e in trace.events if e.kind == "activation")
    words = f"dead units: {worst.dead:.0%} of the units of {worst.name} have no slope anywhere in the batch"
    return [Finding("dead", words + (f" ({count} activations are like that)" if count > 1 else ""))]


def _depth(trace: Trace, limits: Limits) -> list[Finding]:
    factor, steps = growth(trace)
    if not steps or limits.vanish <= factor <= limits.explode:
        return []
    kind = "vanish" if factor < limits.vanish else "explode"
    if factor == 0:
        return [Finding(kind, "gradients vanish: none at all reaches the first layer")]
    words = f"gradients {kind}: a factor of {factor ** (1 / steps):.3g} a layer, {factor:.2g} over {steps + 1} layers"
    squares = [e.square_out for e in trace.layers[:-1] if e.square_out > 0]  # the readout may well be small or large
    if len(squares) > 1:
        forward = float(np.sqrt(squares[-1] / squares[0]))
        if not limits.vanish <= forward <= limits.explode:
            words += f"; signals too, {forward:.2g} on the way forward"
    return [Finding(kind, words)]


def _time(times: Sequence[np.ndarray], limits: Limits) -> list[Finding]:
    for profile in times:
        if len(profile) > 1 and profile[-1] > 0:
            factor, steps = float(profile[0] / profile[-1]), len(profile) - 1
            if not limits.vanish <= factor <= limits.explode:
                kind = "vanish" if factor < limits.vanish else "explode"
                each = factor ** (1 / steps)
                return [Finding(kind, f"gradients {kind} through time: a factor of {each:.3g} a step, "
                                      f"{factor:.2g} over {steps} steps")]  # fmt: skip
    return []


def _conditioning(trace: Trace, spectrum: EndToEnd, body: Directions | None, limits: Limits) -> list[Finding]:
    """The finding that the mean hides: few directions carry the signal, to the output or to what the readout reads."""
    m = min(spectrum.shape)
    found = [(spectrum.share, m, "the output")] if m >= 4 and np.isfinite(spectrum.share) else []
    if body is not None:
        found.append((body.share, min(body.shape), "the last layer"))
    share, m, where = min(found, default=(1.0, 0, ""))
    if share >= limits.share:
        return []
    factor, steps = growth(trace)
    mean = f"a factor of {factor ** (1 / steps):.3g} a layer on average" if steps and factor else "whatever the mean"
    words = (
        f"ill-conditioned, with {mean}: of {m} directions {1 + share * (m - 1):.2g} carry the signal to {where} "
        f"(to the output s_max is {spectrum.s_max:.3g}, root mean square {np.sqrt(spectrum.mean_square):.3g})"
    )
    if limits.vanish <= factor <= limits.explode:
        words += "; chi = 1 is not isometry"
    return [Finding("ill-conditioned", words)]
