r"""What the penalty lambda ||W^T W / gain^2 - I||_F^2 does to singular values: its flow, its steps, its hold.

Alone, the penalty leaves the singular vectors of W where they are, and each singular value moves by itself:

    ds/dt = -(4 lambda / gain^2) s (s^2 / gain^2 - 1),    so (s / gain)^2 obeys the logistic equation.

Rest points are 0 (unstable) and the gain (stable, approached at the rate 8 lambda / gain^2). The deck's equation (8) is
the case gain = 1, (10) the case gain = sigma_w. Time is that of gradient flow, t = step size x number of steps. The
values hold for any matrix, at any size: the short side decides how many singular values there are.

The last two functions are about another penalty, that of the code published with the deck, which subtracts the matrix
of ones instead of I. Functions take numbers or arrays of singular values, and raise ArgumentError for what is not
finite.

Sources: the deck, equations (8) and (10); Bansal, Chen, Wang 2018 (arXiv 1810.09102).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ortholab.errors import ArgumentError, NoFixedPointError, bad, check_array, check_int, check_number

LARGEST = 1e6  # singular values and gains beyond it belong to no network, and nothing below it overflows


def singular_value(start: ArrayLike, t: ArrayLike, *, coefficient: float = 1.0, gain: float = 1.0) -> np.ndarray:
    """Singular values at time t >= 0 of the flow of the penalty alone, from ``start`` at time 0.

        s(t) = gain start / sqrt(start^2 (1 - e^-x) + gain^2 e^-x),    x = 8 lambda t / gain^2.

    ``start`` and ``t`` are broadcast. Exact: both terms under the root are positive, so nothing cancels. A singular
    value of 0 stays 0. Raises ArgumentError also for a negative start, time or coefficient.

    >>> singular_value([0.0, 0.5, 1.25, 2.0], 1.0, gain=1.25).round(4).tolist()
    [0.0, 1.2308, 1.25, 1.2523]
    """
    start, t = _values("start", start), check_array("t", t, low=0)
    gain = _gain(gain)
    x = 8 * check_number("coefficient", coefficient, low=0) * t / gain**2
    # hypot and half the exponent: squares of tiny values would underflow
    root = np.hypot(start * np.sqrt(-np.expm1(-x)), gain * np.exp(-x / 2))
    return np.where(start > 0, gain * start / np.where(root > 0, root, 1.0), 0.0)


def decay_rate(*, coefficient: float = 1.0, gain: float = 1.0) -> float:
    """Rate at which s - gain shrinks near the gain: 8 lambda / gain^2.

    The slope of ds/dt at s = gain. Near 0, a singular value grows at half that rate.

    >>> decay_rate(coefficient=0.5, gain=2.0)
    1.0
    """
    return 8 * check_number("coefficient", coefficient, low=0) / _gain(gain) ** 2


def time_between(start: float, end: float, *, coefficient: float = 1.0, gain: float = 1.0) -> float:
    """Time that the flow needs from the singular value ``start`` to ``end``, which lies between start and the gain.

        t = gain^2 / (8 lambda) ln[(gain^2 / start^2 - 1) / (gain^2 / end^2 - 1)].

    Raises ArgumentError for an ``end`` that the flow does not reach from ``start``: the gain itself is not reached.

    >>> round(time_between(1.25, 1.125), 4)
    0.0674
    """
    gain = _gain(gain)
    start = check_number("start", start, low=0, high=LARGEST, open_low=True)
    end = check_number("end", end, low=0, high=LARGEST, open_low=True)
    if not (start <= end < gain or start >= end > gain):
        raise bad("end", end, f"between start = {start:g} and gain = {gain:g}, which is never reached")
    ratio = (gain - start) * (gain + start) * end**2 / ((gain - end) * (gain + end) * start**2)
    return math.log(ratio) / _rate(coefficient, gain)


def descend(start: ArrayLike, steps: int, *, rate: float, coefficient: float = 1.0, gain: float = 1.0) -> np.ndarray:
    """Singular values under ``steps`` steps of gradient descent with step size ``rate``; shape (steps + 1, ...).

        r <- |r (1 + a - a r^2)|,    r = s / gain,    a = 4 rate lambda / gain^2.

    The gain attracts if a < 1. With a = 1/2 it does so quadratically: that step is Bjorck's, W (3 I - W^T W) / 2. The
    values stay bounded if a <= 2 and r^2 <= 1 + 2 / a. Above that r they diverge, and for a > 2 nearly all do:
    ArgumentError is raised.

    >>> descend([0.5, 1.5], 2, rate=0.125).round(4).tolist()
    [[0.5, 1.5], [0.6875, 0.5625], [0.8688, 0.7548]]
    """
    start, gain = _values("start", start), _gain(gain)
    rate = check_number("rate", rate, low=0, open_low=True)
    a = 4 * rate * check_number("coefficient", coefficient, low=0) / gain**2
    if a > 2:
        raise bad(
            "rate", rate, f"such that 4 rate coefficient / gain^2 <= 2 (it is {a:.3g}): nearly every start diverges"
        )
    limit = gain * math.sqrt(1 + 2 / a) if a else math.inf
    if start.size and start.max() > limit:
        raise ArgumentError(f"start must be at most {limit:.4g}, or descent diverges; got {start.max():.4g}")
    path = np.empty((check_int("steps", steps) + 1, *start.shape))
    path[0] = start
    for k in range(steps):
        r = path[k] / gain
        # no value leaves [0, limit], but at its end one rounding would grow without bound
        path[k + 1] = np.minimum(np.abs(path[k] * (1 + a * (1 - r) * (1 + r))), limit)
    return path


def largest_rate(*, coefficient: float = 1.0, gain: float = 1.0) -> float:
    """Step size below which gradient descent on the penalty alone is stable at the gain: gain^2 / (4 lambda).

    >>> largest_rate(coefficient=0.5, gain=2.0)
    2.0
    """
    return 2 / _rate(coefficient, _gain(gain))


def breaking_force(*, coefficient: float = 1.0, gain: float = 1.0) -> float:
    """The largest force towards 0 that the penalty can balance: 8 lambda / (3 sqrt(3) gain), at s = gain / sqrt(3).

    >>> round(breaking_force(), 4)
    1.5396
    """
    gain = _gain(gain)
    return _rate(coefficient, gain) * gain / (3 * math.sqrt(3))


def balance(force: ArrayLike, *, coefficient: float = 1.0, gain: float = 1.0) -> np.ndarray:
    """Stable singular value where the penalty balances a steady force: the largest root of the cubic

        force + (4 lambda / gain^2) s (s^2 / gain^2 - 1) = 0.

    ``force`` is u^T G v for the loss's gradient G and the singular vectors u, v of s: positive towards 0. For a small
    one s is gain - force gain^2 / (8 lambda). Raises NoFixedPointError above :func:`breaking_force`, where no positive
    singular value can rest.

    >>> balance([-0.08, 0.0, 0.08], coefficient=1.0).round(4).tolist()
    [1.0099, 1.0, 0.9898]
    """
    force, gain = check_array("force", force), _gain(gain)
    share = force / breaking_force(coefficient=coefficient, gain=gain)  # the cubic's discriminant: 1 where it breaks
    if share.size and share.max() > 1:
        raise NoFixedPointError(
            f"force must be at most {force.max() / share.max():.4g} for a balance to exist; got {force.max():.4g}"
        )
    inside = np.cos(np.arccos(np.clip(-share, -1, 1)) / 3)
    outside = np.cosh(np.arccosh(np.maximum(-share, 1)) / 3)
    return 2 / math.sqrt(3) * gain * np.where(share < -1, outside, inside)


def coefficient_to_hold(force: float, end: float, *, gain: float = 1.0) -> float:
    """The coefficient lambda under which a singular value rests at ``end`` although ``force`` pulls it off the gain.

        lambda = force gain^2 / (4 end (1 - end^2 / gain^2)).

    ``force`` > 0 pulls towards 0, so ``end`` must lie between gain / sqrt(3), where the penalty breaks, and the gain;
    force < 0 needs an end above the gain. Raises ArgumentError.

    >>> round(coefficient_to_hold(0.08, 0.99), 3)
    1.015
    """
    gain = _gain(gain)
    force = check_number("force", force)
    if force == 0:
        raise bad("force", force, "a finite number other than 0")
    end = check_number("end", end, low=0, high=LARGEST, open_low=True)
    if not (gain / math.sqrt(3) <= end < gain if force > 0 else end > gain):
        side = f"in [gain / sqrt(3), gain) = [{gain / math.sqrt(3):.4g}, {gain:g})" if force > 0 else f"> {gain:g}"
        raise bad("end", end, side + f" for force = {force:g}")
    return force * gain**4 / (4 * end * (gain - end) * (gain + end))


def published_flow(
    t: ArrayLike, *, width: int, coefficient: float = 1.0, gain: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Singular values under the penalty of the published code alone, from W = gain Q, Q orthogonal, at time t >= 0.

        lambda mean_ij ((W^T W / gain^2)_ij - 1)^2 = (lambda / N^2) ||W^T W / gain^2 - 1 1^T||_F^2,    N = width.

    Returns (along, others): the one whose right singular vector is 1 / sqrt(N), which grows to gain sqrt(N), and the
    N - 1 others, which fall to 0 like gain / sqrt(1 + 8 lambda t / (N gain)^2). Raises ArgumentError.

    >>> along, others = published_flow([0.0, 1000.0, 1e6], width=16)
    >>> along.round(3).tolist(), others.round(3).tolist()
    ([1.0, 4.0, 4.0], [1.0, 0.176, 0.006])
    """
    t, N, gain = check_array("t", t, low=0), check_int("width", width, 1), _gain(gain)
    coefficient = check_number("coefficient", coefficient, low=0)
    # In the direction of the ones it is the flow of a penalty with the identity whose gain is gain sqrt(N).
    along = singular_value(gain, t, coefficient=coefficient, gain=gain * math.sqrt(N))
    return along, gain / np.sqrt(1 + 8 * coefficient * t / (N * gain) ** 2)


def published_spectrum(W: ArrayLike, t: ArrayLike, *, coefficient: float = 1.0, gain: float = 1.0) -> np.ndarray:
    """Singular values, descending, under the penalty of the published code alone, from W (n, k) of rank k at time 0.

    The flow is linear in B = gain^2 (W^T W)^-1: with e = 1 / sqrt(k), the unit vector of ones, and
    x = 4 lambda t / (k gain^2),

        B(t) = F B F + (1 - e^-2x) / k e e^T + (2 x / k) (I - e e^T),    F = I - (1 - e^-x) e e^T,

    the solution of B' = 2 c I - c (1 1^T B + B 1 1^T), c = x / (k t). Then s = gain / sqrt(eigenvalues of B(t)).
    Times (T,) give shape (T, k). Raises ArgumentError, also for a W whose columns are dependent or nearly so.

    >>> published_spectrum(np.eye(4), [0.0, 100.0]).round(3).tolist()
    [[1.0, 1.0, 1.0, 1.0], [2.0, 0.14, 0.14, 0.14]]
    """
    W, t, gain = check_array("W", W, ndim=2), check_array("t", t, ndim=1, low=0), _gain(gain)
    if not W.size or np.abs(W).max() > LARGEST:
        raise bad("W", W, f"a matrix with entries of at most {LARGEST:g}")
    k = W.shape[1]
    _, s, V = np.linalg.svd(W, full_matrices=False)
    if len(s) < k or not s[-1] > 1e-6 * s[0]:
        raise bad("W", W.shape, "of full column rank, its singular values within a factor of 1e6")
    x = (4 * check_number("coefficient", coefficient, low=0) * t / (k * gain**2))[:, None, None]
    ones, across = np.full((k, k), 1 / k), np.eye(k) - 1 / k  # the two projections
    root_B = (gain / s)[:, None] * (V @ (across + np.exp(-x) * ones))
    root_rest = np.sqrt(-np.expm1(-2 * x) / k) * ones + np.sqrt(2 * x / k) * across
    # singular values of a root of B(t): its eigenvalues would lose twice as many digits
    return gain / np.linalg.svd(np.concatenate([root_B, root_rest], axis=1), compute_uv=False)[:, ::-1]


def _rate(coefficient: float, gain: float) -> float:
    return 8 * check_number("coefficient", coefficient, low=0, open_low=True) / gain**2


def _gain(gain: object) -> float:
    return check_number("gain", gain, low=1 / LARGEST, high=LARGEST)


def _values(name: str, value: object) -> np.ndarray:
    return check_array(name, value, low=0, high=LARGEST)
