"""Claim (D), the hard constraint against the spectral margin, and the caption of Figure 5."""

from __future__ import annotations

import functools

from . import Verdict, claim

PAGE = "3-constraints/spectral_margin"


@functools.cache
def _runs():
    from ortholab.experiments.margin_result import claim_runs

    return claim_runs()


@claim(
    "D",
    deck="claim (D), Figure 5",
    statement="Hard orthogonality hurts a recurrent network, and a margin around 1 for its singular values helps.",
    page=PAGE,
    recorded="holds if",
    recorded_number=0.185,
    tolerance=0.15,
)
def hard_orthogonality_hurts() -> Verdict:
    """MNIST by pixel, 14 x 14: hard against free weights and tanh; then a gain, and then linear units."""
    runs = _runs()
    hurts, margin, gain = (runs.difference("margin 0", name) for name in ("none", "margin 1", "margin 0 gain 1.05"))
    linear = runs.difference("none", "margin 0 linear")
    holds = hurts.low > 0 and margin.low > 0
    conditional = holds and gain.low > 0 and linear.low > 0
    return Verdict(
        "holds if" if conditional else "holds" if holds else "fails",
        hurts.value,
        "training cost of the hard network minus that of the free one, after 100 updates, MNIST in 196 steps, tanh",
        f"{hurts.seeds} paired seeds, 95 % interval {_interval(hurts)}. A margin of 1 lowers the cost by "
        f"{margin.value:.2f} ({_interval(margin)}). So does a gain: $W = 1.05\\,Q$ with all singular values equal, by "
        f"{gain.value:.2f} ({_interval(gain)}). And a hard network without its tanh is {linear.value:.2f} "
        f"({_interval(linear)}) below the free one with it.",
        interval=(hurts.low, hurts.high),
        condition=r"the activation shrinks gradients, as $\tanh$ does, and no gain makes up for it"
        if conditional
        else "",
    )


def _interval(estimate) -> str:
    return f"{estimate.low:.2f} to {estimate.high:.2f}"


@claim(
    "5-caption",
    deck="caption of Figure 5",
    statement="The best results come without a margin.",
    page=PAGE,
    recorded="fails",
    recorded_number=0.23,
    tolerance=0.2,
)
def best_without_margin() -> Verdict:
    """The free tanh network against a hard one that is linear, in the same runs."""
    gap = _runs().difference("none", "margin 0 linear")
    return Verdict(
        "fails" if gap.low > 0 else "holds",
        gap.value,
        "training cost of the free network (tanh) minus that of a hard, linear one, after 100 updates",
        f"{gap.seeds} paired seeds, 95 % interval {_interval(gap)}. The best of these networks has a margin of exactly "
        "0. What it does without is the tanh.",
        interval=(gap.low, gap.high),
    )
