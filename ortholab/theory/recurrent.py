"""Mean-field theory of a recurrent network that is driven by its inputs, and the gain that is critical for them.

The network is h_t = phi(a_t) with a_t = W h_{t-1} + W_in x_t + b, the same W at every step. ``gain`` is what sigma_w
is elsewhere: W = gain times a Haar matrix, or Var W_ij = gain^2 / n. The drive is u_t = W_in x_t + b, and its variance
over the units, the ``input_variance``, stands where sigma_b^2 stands in a deep network. That W is one matrix changes
nothing here: q_t needs only the law of one a_t, not how a_t and a_s go together. Sources: Poole et al. 2016
(arXiv 1606.05340) for the map; Chen, Pennington, Schoenholz 2018 (1806.05394) for recurrent networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab._scipy import optimize
from ortholab.errors import ArgumentError, NoFixedPointError, bad, check_array, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.critical import critical_at, critical_point

_MAX_GAIN = 1e3


def critical_gain(activation: str | Activation, input_variance: float) -> float:
    """Return the gain g at which chi = g^2 E[phi'(sqrt(q) z)^2] = 1, at the q that this drive keeps up.

    q = g^2 E[phi(sqrt(q) z)^2] + input_variance. For linear and ReLU networks phi'^2 has the same mean at every q,
    so the answer is 1 and sqrt(2) for every drive, though with a drive q then grows without bound. Holds for n ->
    infinity and a drive of one variance at all times. Raises ArgumentError for input_variance < 0 and
    NoFixedPointError if there is no such gain or more than one.

    >>> [round(critical_gain("tanh", v), 3) for v in (2e-5, 0.01, 0.1, 0.5)]
    [1.025, 1.193, 1.409, 1.686]
    """
    activation = get_activation(activation)
    input_variance = check_number("input_variance", input_variance, low=0.0)
    if activation.degree_one:
        return critical_at(activation, 1.0).sigma_w
    return critical_point(activation, input_variance**0.5).sigma_w


def input_variances(x: np.ndarray, weight_variance: float, bias_variance: float = 0.0) -> np.ndarray:
    """Return the variance over units of the drive W_in x_t + b for each sequence and step, shape (batch, T).

    v_t = |x_t|^2 Var(W_in entry) + Var(b entry), for inputs (T, batch, n_in). Glorot's W_in has weight_variance
    2/(n_in + n). Exact as the mean over W_in and b; the units of one network scatter about it by O(1/sqrt(n)).
    Raises ArgumentError.

    >>> input_variances(np.ones((2, 1, 3)), 0.1).round(2).tolist()
    [[0.3, 0.3]]
    """
    x = check_array("x", x, ndim=3)
    weight_variance = check_number("weight_variance", weight_variance, low=0.0)
    bias_variance = check_number("bias_variance", bias_variance, low=0.0)
    return np.einsum("tbi,tbi->bt", x, x) * weight_variance + bias_variance


def variances(activation: str | Activation, gain: float, input_variances: np.ndarray, start: float = 0.0) -> np.ndarray:
    """Return q_t, the variance of a_t, for a drive of variance v_t at step t; both of shape (..., T).

    q_t = g^2 E[phi(sqrt(q_{t-1}) z)^2] + v_t, with q_1 = g^2 ``start`` + v_1, where start is the mean square of h_0.
    Holds for n -> infinity at fixed T. Raises ArgumentError, also when q overflows (a linear network in chaos).

    >>> variances("linear", 1.0, np.array([0.5, 0.0, 0.5])).tolist()
    [0.5, 0.5, 1.0]
    """
    activation, gain, drive = _point(activation, gain, input_variances)
    memory = np.full(drive.shape[:-1], check_number("start", start, low=0.0))
    q = np.empty_like(drive)
    for t in range(drive.shape[-1]):
        q[..., t] = gain**2 * memory + drive[..., t]
        if not np.all(q[..., t] < 1e150):
            raise ArgumentError(f"gain = {gain:g}: the variance overflows at step {t + 1}; use fewer steps")
        memory = np.asarray(activation.mean_square(q[..., t]))
    return q


def log_chis(activation: str | Activation, gain: float, q: np.ndarray) -> np.ndarray:
    """Return log(g^2 E[phi'(sqrt(q_t) z)^2]), the growth of the mean of s^2 in step t, with the shape of ``q``.

    Added up over t it is the logarithm of the mean of the squared singular values of J_t = D_t W ... D_1 W, for
    n -> infinity. Raises ArgumentError for gain <= 0 and q < 0.

    >>> log_chis("relu", 2**0.5, np.array([0.1, 3.0])).round(12).tolist()
    [0.0, 0.0]
    """
    activation, gain, q = _point(activation, gain, q, "q")
    with np.errstate(divide="ignore"):
        return 2 * np.log(gain) + np.log(activation.slope_moment(q))


def critical_gain_over_time(activation: str | Activation, input_variances: np.ndarray) -> float:
    """Return the gain at which log chi_t is 0 on average over the steps (and over sequences), from h_0 = 0.

    At this gain the mean of s^2 of J_T starts and ends at 1 (for one sequence; over several in the geometric mean),
    and moves in between where the drive's variance does. ``input_variances``: (..., T), as :func:`input_variances`
    gives them. With one variance at all times and T -> infinity it is :func:`critical_gain`.
    Raises ArgumentError, and NoFixedPointError if no gain up to 1000 is enough.

    >>> round(critical_gain_over_time("tanh", np.full(28, 0.1)), 2), round(critical_gain("tanh", 0.1), 2)
    (1.35, 1.41)
    """
    activation, _, drive = _point(activation, 1.0, input_variances)
    if activation.degree_one:
        return critical_at(activation, 1.0).sigma_w

    def growth(log_gain: float) -> float:
        gain = float(np.exp(log_gain))
        return float(np.mean(log_chis(activation, gain, variances(activation, gain, drive))))

    low = high = 0.0
    while growth(high) < 0:
        low, high = high, high + 0.25
        if high > np.log(_MAX_GAIN):
            raise NoFixedPointError(f"no gain up to {_MAX_GAIN:g} is critical for {activation.name} and this drive")
    while growth(low) > 0:
        low, high = low - 0.25, low
    return float(np.exp(optimize.brentq(growth, low, high, xtol=1e-10)))


@dataclass(frozen=True)
class Trajectory:
    """One run of a network: ``W`` (n, n), pre-activations ``a``, states ``h`` and ``slopes`` phi'(a), each (T, n).

    >>> run = trajectory("tanh", np.eye(8), np.ones((5, 8)))
    >>> run.W.shape, run.h.shape
    ((8, 8), (5, 8))
    """

    W: np.ndarray
    a: np.ndarray
    h: np.ndarray
    slopes: np.ndarray

    def factors(self, start: int = 0, stop: int | None = None) -> list[np.ndarray]:
        """Return [D_t W for t = start+1 .. stop], first applied first: the factors of dh_stop/dh_start."""
        return [d[:, None] * self.W for d in self.slopes[start:stop]]


def trajectory(
    activation: str | Activation, W: np.ndarray, drive: np.ndarray, h: np.ndarray | None = None
) -> Trajectory:
    """Run h_t = phi(W h_{t-1} + u_t) for a drive u of shape (T, n) from h_0 = ``h`` (n,), default 0.

    The finite-width twin of :func:`variances`, :func:`log_chis` and of the spectra of J_t. Raises ArgumentError, also
    when the state overflows.

    >>> run = trajectory("tanh", np.eye(2), np.zeros((3, 2)))
    >>> run.a.shape, [F.tolist() for F in run.factors(stop=1)]
    ((3, 2), [[[1.0, 0.0], [0.0, 1.0]]])
    """
    activation = get_activation(activation)
    W, drive = check_array("W", W, ndim=2), check_array("drive", drive, ndim=2)
    n = len(W)
    if W.shape != (n, n) or n == 0:
        raise bad("W", W.shape, "a square matrix")
    if drive.shape[1] != n or len(drive) == 0:
        raise bad("drive", drive.shape, f"of shape (T, {n}) with T >= 1")
    h = np.zeros(n) if h is None else check_array("h", h, ndim=1)
    if len(h) != n:
        raise bad("h", h.shape, f"of shape ({n},)")
    a, states = np.empty_like(drive), np.empty_like(drive)
    for t, u in enumerate(drive):
        with np.errstate(over="ignore", invalid="ignore"):
            a[t] = W @ h + u
        if not np.isfinite(a[t]).all():
            raise ArgumentError(f"W is too large: the state overflows at step {t + 1}; use fewer steps")
        h = states[t] = activation.phi(a[t])
    return Trajectory(W, a, states, activation.dphi(a))


def _point(activation, gain, values, name="input_variances") -> tuple[Activation, float, np.ndarray]:
    gain = check_number("gain", gain, low=0.0, open_low=True)
    values = check_array(name, values, low=0.0)
    if values.ndim == 0 or values.size == 0:
        raise bad(name, values.shape, "of shape (..., T) with T >= 1")
    return get_activation(activation), gain, values
