"""Chapter IV, the recurrent Jacobian: its printed form, and the gain at which a recurrent network is critical."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from ortholab.claims import Verdict, claim
from ortholab.theory import critical_gain, haar
from ortholab.theory.recurrent import trajectory

PAGE = "4-gain/rnn_jacobian"


@claim(
    "rnn-product",
    deck="slide group IV, the Jacobian of a recurrent network",
    statement=r"The Jacobian over $t$ steps is $W^t \prod_i D_i$.",
    page=PAGE,
    recorded="fails",
    recorded_number=1.197,
    tolerance=0.02,
)
def powers_and_slopes_apart() -> Verdict:
    """Hold the printed form against central finite differences (tanh, n = 30, t = 20, gain 1.2, 20 networks)."""
    n, t, step = 30, 20, 1e-5
    printed, interleaved, linear = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        W, u = 1.2 * haar(n, rng=rng), 0.1**0.5 * rng.standard_normal((t + 1, n))
        run = trajectory("tanh", W, u)
        # a_{t+1} as a function of a_1: shift the first drive.
        moves = [[_last(W, u, s * step * e) for e in np.eye(n)] for s in (1, -1)]
        J = (np.array(moves[0]) - np.array(moves[1])).T / (2 * step)
        power, right = np.linalg.matrix_power(W, t), np.eye(n)
        for d in run.slopes[:t]:
            right = W @ (d[:, None] * right)
        size = np.linalg.norm(J)
        printed.append(np.linalg.norm(power * np.prod(run.slopes[:t], axis=0) - J) / size)
        interleaved.append(np.linalg.norm(right - J) / size)
        straight = trajectory("linear", W, u)
        linear.append(np.linalg.norm(power * np.prod(straight.slopes[:t], axis=0) - power) / np.linalg.norm(power))
    wrong, true = float(np.mean(printed)), float(np.max(interleaved))
    refuted = wrong > 0.1 and true < 1e-5 and max(linear) < 1e-12
    return Verdict(
        "fails" if refuted else "holds",
        wrong,
        "mean relative error of the printed form for tanh networks ($n = 30$, $t = 20$, gain 1.2)",
        rf"It is the interleaved product $W D_t \cdots W D_1$ (largest error {true:.0e}): the same $W$ stands between "
        rf"all the $D_i$, which do not commute with it. Errors from {min(printed):.2f} to {max(printed):.2f} in "
        "20 networks. The two agree if the network is linear, or if all $D_i$ but the first are multiples of $I$.",
    )


def _last(W: np.ndarray, u: np.ndarray, shift: np.ndarray) -> np.ndarray:
    moved = u.copy()
    moved[0] += shift
    return trajectory("tanh", W, moved).a[-1]


@claim(
    "gain-1.025",
    deck="Figures 7 and 8, the gain that they use",
    statement="A gain of 1.025 makes a tanh network critical.",
    page=PAGE,
    recorded="holds if",
    recorded_number=2.086e-5,
    tolerance=0.02,
)
def critical_input_variance() -> Verdict:
    """Solve for the input variance at which 1.025 is the critical gain; others for comparison."""

    def gap(log_variance: float) -> float:
        return critical_gain("tanh", float(np.exp(log_variance))) - 1.025

    variance = float(np.exp(brentq(gap, np.log(1e-6), np.log(1e-3), xtol=1e-3)))
    others = {v: critical_gain("tanh", v) for v in (0.01, 0.1, 0.5)}
    small = variance < 1e-3 and others[0.01] > 1.1
    return Verdict(
        "holds if" if small else "fails",
        variance,
        "variance of the inputs' drive, over units, at which 1.025 is the critical gain of a tanh network",
        "Variances of .01, .1 and .5 need gains of " + ", ".join(f"{g:.3f}" for g in others.values()) + ".",
        condition="the drive of the inputs is nearly nothing" if small else "",
    )
