"""When to polish: an account of what takes W off the manifold, kept in the optimiser's state of each matrix.

Three things do. A truncated series: its bound is added up, and for a step that was solved for its rounding, eps
sqrt(k), which does not cancel from step to step. Other rounding: a random walk of about 0.3 eps sqrt(k) a step in
||Q^T Q - I||_F (measured at k = 64 to 1024), from about 1.7 eps sqrt(k) where a polish leaves it. And a low-rank step
multiplies an old error by up to 1 + growth, see LowRankStep.move_. The product of these factors is no useful bound:
measured, errors of 200 steps grew by less than the 50th root of it. So their sum is held below a ``patience``. A polish
measures what it removes: a large error halves the patience and doubles ``care``, a factor of the random walk; small
ones undo this, and lengthen the patience up to 16.
"""

from __future__ import annotations

import math

import torch

START, LARGEST = 4.0, 16.0
STEP, FLOOR = 0.35, 1.7  # in eps sqrt(k): rounding of a step, and of a polish


def tolerance(W: torch.Tensor) -> float:
    """The error ||Q^T Q - I||_F that the optimisers allow at any step: 1e-6 sqrt(k) in float32, 1.9e-15 sqrt(k) in
    float64, which is 8.4 eps for each of the k orthonormal vectors, in the Euclidean sum."""
    return 8.4 * torch.finfo(W.dtype).eps * math.sqrt(min(W.shape[-2:]))


def open_account(state: dict, share: float) -> None:
    """Start with a ``share`` of the way to the first polish behind: not all matrices shall be polished in one step."""
    steps = int(share * ((0.6 * 8.4) ** 2 - FLOOR**2) / STEP**2)
    state.update(drift=0.0, turned=share * START, steps_since=steps, patience=START, care=1.0, capped=0)


def due(state: dict, limit: float, error: float, growth: float, capped: bool) -> bool:
    """Enter a step; say whether W must be polished now."""
    state["drift"] += error
    state["turned"] += growth
    state["steps_since"] += 1
    state["capped"] += capped
    noise = limit / 8.4 * math.sqrt(FLOOR**2 + (STEP * state["care"]) ** 2 * state["steps_since"])
    return capped or state["drift"] + noise > 0.6 * limit or state["turned"] > state["patience"]


def polished(state: dict, limit: float, found: float) -> None:
    """Enter a polish that found W off by ``found``."""
    if found > 0.55 * limit:
        state["patience"], state["care"] = max(state["patience"] / 2, 0.25), min(2 * state["care"], 64.0)
    elif found < 0.45 * limit:
        state["care"] = max(state["care"] / 2, 1.0)
        if state["turned"] > state["patience"]:
            state["patience"] = min(2 * state["patience"], LARGEST)
    state.update(drift=0.0, turned=0.0, steps_since=0)
