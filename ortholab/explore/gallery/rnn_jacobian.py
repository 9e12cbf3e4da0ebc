"""The Jacobian of a recurrent network through time: which gain keeps it alive depends on the input."""

from __future__ import annotations

import functools

import numpy as np

from ortholab.explore.controls import Choice, Range
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Panel, Picture
from ortholab.theory import TANH, expect, weights
from ortholab.theory.recurrent import log_chis, trajectory, variances

N, STEPS, SEED = 64, 16, 0
MEASURED = (1, 2, 4, 6, 8, 10, 12, 14, 16)
GAINS, DRIVES = (0.7, 2.0), (0.001, 1.0)
LOWEST = {"orthogonal": (-20, -1.4), "gaussian": (-28, -1.9)}  # of log s, and of its rate


def _log_slope(q: np.ndarray) -> np.ndarray:
    """E log phi'(sqrt(q) z) of tanh; log cosh in the form that neither overflows nor cancels."""
    return expect(lambda h: -2 * (np.logaddexp(h, -h) - np.log(2)), q)


def _gain(q: np.ndarray, variance: float) -> np.ndarray:
    """The gain whose fixed point under this drive is q > variance: the map, solved for the gain."""
    return np.sqrt((q - variance) / TANH.mean_square(q))


@functools.lru_cache(maxsize=64)
def _rates(variance: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Gains, and the rates of the root mean square and of the mean logarithm there; last, the critical gain."""
    q = variance + np.geomspace(1e-5, 4, 40)
    gain = _gain(q, variance)
    rms = np.log(gain) + 0.5 * np.log(TANH.slope_moment(q))

    # theory.critical_gain finds the same root for any activation, in ten times the time; and scipy's root finder would
    # be all that this page needs of scipy, 20 MB in a browser. The rate rises with q: halve until nothing is left.
    low, high = np.log(1e-6), np.log(4)
    for _ in range(54):
        middle = 0.5 * (low + high)
        at = variance + np.exp(middle)
        rises = np.log(_gain(at, variance)) + 0.5 * np.log(TANH.slope_moment(at)) > 0
        low, high = (low, middle) if rises else (middle, high)
    return gain, rms, np.log(gain) + _log_slope(q), float(_gain(variance + np.exp(low), variance))


@functools.lru_cache(maxsize=2)
def _draws(kind: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    return weights(kind, N, sigma_w=1.0, rng=rng), rng.standard_normal((STEPS, N))


def _measured(kind: str, gain: float, variance: float) -> np.ndarray:
    """The log of the largest singular value, of their root mean square, and their mean log, at the MEASURED steps."""
    W, drive = _draws(kind)
    run = trajectory("tanh", gain * W, variance**0.5 * drive)
    J, found = np.eye(N), []
    volume = np.cumsum(np.linalg.slogdet(gain * W)[1] / N + np.log(run.slopes).mean(1))
    for t, factor in enumerate(run.factors(), 1):
        J = factor @ J
        if t in MEASURED:
            largest, rms = np.linalg.norm(J, 2), np.linalg.norm(J) / N**0.5
            found.append((np.log(largest), np.log(rms), volume[t - 1]))
    return np.array(found).T


def compute(kind: str, gain: float, variance: float) -> Picture:
    """Singular values of J_t at this gain, theory and one network; and the rates at all gains."""
    q = variances("tanh", gain, np.full(STEPS, variance))
    steps, loss = np.arange(STEPS + 1), 0.5 * (kind == "gaussian")
    rms = np.concatenate([[0], np.cumsum(0.5 * log_chis("tanh", gain, q))])
    mean = np.concatenate([[0], np.cumsum(np.log(gain) + _log_slope(q) - loss)])
    largest, rms_measured, mean_measured = _measured(kind, gain, variance)
    fan = Panel("steps t", "log s of J_t", xlim=(0, STEPS), ylim=(LOWEST[kind][0], 8)).guide(y=0)
    fan.points(MEASURED, largest, label="largest", color="extra")
    fan.line(steps, rms, label="root mean square").points(MEASURED, rms_measured)
    fan.line(steps, mean, label="mean log s", dashed=True).points(MEASURED, mean_measured, color=kind)
    gains, rms_rate, log_rate, critical = _rates(variance)
    rates = Panel("gain g", "growth of log s a step", xlim=GAINS, ylim=(LOWEST[kind][1], 0.6)).guide(y=0).guide(x=gain)
    inside = (gains > 0.9 * GAINS[0]) & (gains < 1.1 * GAINS[1])  # each curve reaches the panel's edges
    rates.line(gains[inside], rms_rate[inside], label="root mean square")
    rates.line(gains[inside], log_rate[inside] - loss, label="mean log s", dashed=True)
    rates.guide(x=critical, label="critical", color="chaotic")
    facts = {
        "critical gain": critical,
        "log rms s, theory": rms[-1],
        "log rms s, measured": rms_measured[-1],
        "mean log s, theory": mean[-1],
        "mean log s, measured": mean_measured[-1],
        "best rate of mean log s": (log_rate - loss).max(),
    }
    return Picture([fan, rates], _readout(gain, critical, rms[-1], mean[-1]), facts)


def _readout(gain: float, critical: float, rms: float, mean: float) -> str:
    side = "at" if abs(gain - critical) < 0.025 else "below" if gain < critical else "above"
    return (
        f"The gain {gain:g} is {side} the critical {critical:.2f}. After {STEPS} steps the root mean square of the "
        f"singular values is e^{{{rms:.1f}}} and the typical one e^{{{mean:.1f}}}."
    )


EXPLORABLE = Explorable(
    name="rnn_jacobian",
    title="Which gain carries a gradient through time?",
    question=(
        "Inputs of variance 0.1 drive the network. Which gain holds the root mean square of the singular values? "
        "Where does that gain go when the inputs become faint, 0.001? And does any gain hold the typical one?"
    ),
    answer=(
        "1.41 at variance 0.1, and 1.09 at 0.001: a stronger input drives more units into saturation, and a larger "
        "gain must make up for it. No gain holds the typical singular value: at variance 0.1 its logarithm loses at "
        "least 0.23 a step, at any gain, and 0.5 more with Gaussian weights."
    ),
    caption=(
        "Left, singular values of the Jacobian over t steps of a tanh network, gain 1, input variance 0.1: theory "
        "(lines) and one network of 64 units (points). Right, the rates at every gain: that of the root mean square "
        "is 0 at 1.41."
    ),
    alt=(
        "Left, three series fall from 0 over 16 steps: the largest least, the mean logarithm most. Right, two curves "
        "over the gain: one crosses 0 near 1.41, the other stays below 0."
    ),
    controls=(
        Choice("kind", "W", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "orthogonal"),
        Range("gain", "gain g", *GAINS, 1.0, count=27, stored=9),
        Range("variance", "input variance", *DRIVES, 0.1, count=31, log=True, stored=7),
    ),
    compute=compute,
    grid=("gain", "variance"),
)
