"""Deep linear networks: the learning of each mode, exactly (Saxe, McClelland, Ganguli 2014, arXiv 1312.6120).

A network of n weight matrices, y = W_n ... W_1 x, trained on whitened inputs by gradient descent on
E = ||Sigma_yx - W_n ... W_1||_F^2 / 2. From balanced and aligned starts each singular mode of Sigma_yx, of strength
s, learns alone: its strength u, the product of n equal factors a = u^(1/n), follows tau a' = a^(n-1) (s - a^n), or

    tau u' = n u^(2 - 2/n) (s - u).

``tau`` = 1/(step size): time then counts steps. All times below hold for u_0 in (0, s).

Source: Saxe, McClelland, Ganguli 2014 (arXiv 1312.6120).
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ortholab._scipy import integrate, special
from ortholab.errors import ArgumentError, bad, check_array, check_generator, check_int, check_number
from ortholab.theory.ensembles import haar
from ortholab.theory.ensembles import weights as draw_weights
from ortholab.theory.products import log_singular_values


def _depth(n: int | float) -> float:
    """The number of weight matrices as a float: an integer >= 1, or infinity for the limit."""
    if isinstance(n, float) and n == math.inf:
        return n
    return float(check_int("n", n, 1))


def _check_mode(u0: float, uf: float, s: float) -> None:
    check_number("s", s, low=0.0, open_low=True)
    check_number("u0", u0, low=0.0, high=s, open_low=True, open_high=True)
    check_number("uf", uf, low=u0, high=s, open_high=True)


def learning_time(u0: float, uf: float, n: int | float, *, s: float = 1.0, tau: float = 1.0) -> float:
    """Return the time in which a mode grows from ``u0`` to ``uf`` in a network of ``n`` weight matrices.

        n = 1:      t = tau ln[(s - u0)/(s - uf)]
        n = 2:      t = tau/(2s) ln[uf (s - u0)/(u0 (s - uf))]
        otherwise:  t = tau/n int du / (u^(2 - 2/n) (s - u)),   by quadrature.

    0 < u0 <= uf < s. For n = infinity the time goes to 0 like 1/n; n t is :func:`scaled_learning_time`. Raises
    ArgumentError out of range. Source: arXiv 1312.6120.

    >>> round(2 * learning_time(0.1, 0.95, 2), 3)
    5.142
    """
    if _depth(n) == math.inf:
        raise bad("n", n, "finite (the time itself goes to 0 like 1/n; use scaled_learning_time)")
    return scaled_learning_time(u0, uf, n, s=s) * _tau(tau) / n


def scaled_learning_time(u0: float, uf: float, n: int | float, *, s: float = 1.0) -> float:
    """Return n t / tau = int_{u0}^{uf} du / (u^(2 - 2/n) (s - u)), finite as n -> infinity.

    At n = infinity it is s^-2 ln[uf (s - u0)/(u0 (s - uf))] + 1/(s u0) - 1/(s uf). With s = 1 it exceeds n = 2 by
    exactly 1/u0 - 1/uf: the whole price of depth. Raises ArgumentError unless 0 < u0 <= uf < s.

    >>> round(scaled_learning_time(0.01, 0.95, float("inf")), 2)
    106.49
    """
    n = _depth(n)
    _check_mode(u0, uf, s)
    # ln[uf (s-u0) / (u0 (s-uf))], from differences of logs: nothing overflows
    odds = math.log(uf) - math.log(u0) + math.log(s - u0) - math.log(s - uf)
    if n == 1:
        return math.log(s - u0) - math.log(s - uf)
    if n == 2:
        return odds / s
    if n == math.inf:
        return odds / s**2 + (1 / u0 - 1 / uf) / s
    # In logit(u/s) the integrand is s^(-p) (u/s)^(1-p) = smooth and bounded by its ends.
    power = 2 - 2 / n
    low, high = (math.log(u) - math.log(s - u) for u in (u0, uf))
    value, _ = integrate.quad(
        lambda v: (s / (1 + math.exp(-v))) ** (1 - power) / s, low, high, epsabs=0, epsrel=1e-12, limit=500
    )
    return value


def _tau(tau: float) -> float:
    return check_number("tau", tau, low=0.0, open_low=True)


def trajectory(
    t: np.ndarray | float, u0: float, n: int | float, *, s: float = 1.0, tau: float = 1.0
) -> np.ndarray | float:
    """Return the mode strength u(t), with the shape of ``t`` >= 0; for n = infinity, t counts n times the time.

    Closed forms: n = 1, u = s - (s - u0) exp(-t/tau); n = 2, u = s/(1 + (s/u0 - 1) exp(-2 s t/tau)); n = infinity, by
    Lambert's W. Otherwise the inverse of :func:`scaled_learning_time`, by Newton's method on it. Relative accuracy
    about 1e-10 in u and in s - u. Raises ArgumentError unless 0 < u0 < s. Source: arXiv 1312.6120.

    >>> round(trajectory(1.0, 0.01, 2), 6)
    0.069453
    """
    n = _depth(n)
    _check_mode(u0, u0, s)
    times = check_array("t", t, low=0.0)
    flat = times.reshape(-1) / _tau(tau) * (1 if n == math.inf else n)
    if n == 1:
        out = s - (s - u0) * np.exp(-flat)
    elif n == 2:
        out = s / (1 + (s / u0 - 1) * np.exp(-s * flat))
    elif n == math.inf:
        out = _infinite(flat, u0, s)
    else:
        out = _inverse(flat, u0, n, s)
    out = out.reshape(times.shape)
    return out if times.ndim else float(out)


def _infinite(time: np.ndarray, u0: float, s: float) -> np.ndarray:
    """Solve ln[u/(s-u)] - s/u = c: with y = s/u - 1 it is y + ln y = -c - 1, so y = W(exp(-c - 1))."""
    c = math.log(u0) - math.log(s - u0) - s / u0 + s**2 * time
    exponent = -c - 1
    with np.errstate(over="ignore"):
        y = special.lambertw(np.exp(np.minimum(exponent, 600))).real
    large = exponent > 600
    y[large] = exponent[large] - np.log(exponent[large])
    for _ in range(3):  # sharpens the large ones; the others stay
        y[large] -= (y[large] + np.log(y[large]) - exponent[large]) / (1 + 1 / y[large])
    return s / (1 + y)


def _inverse(time: np.ndarray, u0: float, n: float, s: float) -> np.ndarray:
    """u(t) from a high-order integration in v = logit(u/s): dv/dtheta = s^(2 - 2/n) sigmoid(v)^(1 - 2/n)."""
    power = 1 - 2 / n
    v = math.log(u0) - math.log(s - u0)
    # time as a function of v by Gauss-Legendre panels; v rises by panels until the last time is passed
    x, w = np.polynomial.legendre.leggauss(20)

    def rate(at: np.ndarray) -> np.ndarray:
        return s**-1 * (s / (1 + np.exp(-at))) ** (-power)  # d time / d v

    edges, clock = [v], [0.0]
    while clock[-1] < time.max(initial=0.0) and edges[-1] < 50:  # by then s - u is below the last digit
        half = 0.25
        clock.append(clock[-1] + half * float(np.sum(w * rate(edges[-1] + half * (x + 1)))))
        edges.append(edges[-1] + 2 * half)
    edges_, clock_ = np.array(edges), np.array(clock)
    panel = np.clip(np.searchsorted(clock_, time, side="right") - 1, 0, len(edges) - 1)
    start = edges_[panel]
    time = np.minimum(time, clock_[-1])
    value = np.minimum(start + (time - clock_[panel]) / rate(start), start + 0.5)
    for _ in range(12):
        half = 0.5 * (value - start)
        spent = half * np.sum(w * rate(start[:, None] + half[:, None] * (x + 1)), axis=1)
        value = value - (clock_[panel] + spent - time) / rate(value)
    return s / (1 + np.exp(-value))


def hessian_top(n: int, *, s: float = 1.0) -> float:
    """Return the largest eigenvalue n s^(2 - 2/n) of E's Hessian at the optimum of one mode (n equal factors).

    >>> hessian_top(4)
    4.0
    """
    n, s = check_int("n", n, 1), check_number("s", s, low=0.0, open_low=True)
    return n * s ** (2 - 2 / n)


def best_step(n: int, *, s: float = 1.0) -> float:
    """Return the step size 1/hessian_top, the largest for which the strongest mode ``s`` is approached steadily.

    It falls like 1/n. At twice this step size gradient descent diverges.

    >>> best_step(4)
    0.25
    """
    return 1 / hessian_top(n, s=s)


def steps_to_learn(u0: float, uf: float, n: int | float, *, s: float = 1.0) -> float:
    """Return the gradient steps from ``u0`` to ``uf`` at the best step size: s^(2 - 2/n) times the scaled time.

    Bounded as n grows when u0 is of order s; 1/u0 more steps when it is not. Holds for small steps (tau' is Euler's).

    >>> round(steps_to_learn(0.9, 0.95, 10), 3)
    0.794
    """
    value = scaled_learning_time(u0, uf, n, s=s)
    return value * s ** (2 - (0 if n == math.inf else 2 / n))


def depth_penalty(u0: float, uf: float, *, s: float = 1.0) -> float:
    """Return the steps that an infinitely deep network needs beyond n = 2: exactly 1/u0 - 1/uf for s = 1.

    >>> round(depth_penalty(0.5, 0.95), 6)
    0.947368
    """
    return steps_to_learn(u0, uf, math.inf, s=s) - steps_to_learn(u0, uf, 2, s=s)


def start_log_strengths(kind: str, width: int, n: int, *, rng: np.random.Generator | int) -> np.ndarray:
    """Return the logs of the composite strengths in one random start: the singular values of W_n ... W_1, (width,).

    ``kind`` "orthogonal": all strengths are 1 at every depth. "gaussian" (entries of variance 1/width): the median
    strength falls exponentially in n, so that by 1/u0 most modes wait exponentially long; for width -> infinity the
    law is fuss_catalan_density. Descending. Raises ArgumentError for another kind.

    >>> float(abs(start_log_strengths("orthogonal", 8, 50, rng=0)).max()) < 1e-13
    True
    """
    width, n, rng = check_int("width", width, 1), check_int("n", n, 1), check_generator(rng)
    return log_singular_values([draw_weights(kind, width, rng=rng) for _ in range(n)])


def mean_log_length(width: int, n: int) -> float:
    """Return E log(|W_n ... W_1 v| / |v|) for Gaussian matrices of variance 1/width: n [psi(width/2) - ln(width/2)]/2.

    Exact at every width, about -n/(2 width): one fixed direction keeps its length while n << width, though the
    singular values spread at any width.

    >>> round(mean_log_length(50, 100), 3)
    -1.007
    """
    n, width = check_int("n", n, 1), check_int("width", width, 1)
    return 0.5 * n * float(special.digamma(width / 2) - math.log(width / 2))


def aligned_start(strengths: np.ndarray, width: int, n: int, *, rng: np.random.Generator | int) -> list[np.ndarray]:
    """Return n width x width matrices whose product has the modes e_i with ``strengths`` u_i, balanced and aligned.

    W_l = R_{l+1} diag(u^(1/n)) R_l^T with Haar R_l between and R_1 = R_{n+1} = I; unused modes start at 0.

    >>> W = aligned_start([0.5, 0.1], 3, 4, rng=0)
    >>> (W[3] @ W[2] @ W[1] @ W[0]).round(12).diagonal().tolist()
    [0.5, 0.1, 0.0]
    """
    u = check_array("strengths", strengths, ndim=1, low=0.0)
    width, n, rng = check_int("width", width, 1), check_int("n", n, 1), check_generator(rng)
    if u.size > width:
        raise ArgumentError(f"strengths must have at most width = {width} entries; got {u.size}")
    a = np.zeros(width)
    a[: u.size] = u ** (1 / n)
    frames = [np.eye(width), *(haar(width, rng=rng) for _ in range(n - 1)), np.eye(width)]
    return [(frames[i + 1] * a) @ frames[i].T for i in range(n)]


def train(weights: list[np.ndarray], target: np.ndarray, *, step: float, steps: int, every: int = 1) -> np.ndarray:
    """Train a real deep linear network on whitened inputs; return the products at steps 0, every, 2 every, ...

    Full-batch gradient descent on ||target - W_n ... W_1||_F^2 / 2, ``target`` = Sigma_yx. The result has shape
    (1 + steps // every, *target.shape). The weights are copied. Raises ArgumentError for shapes that do not chain and
    when training diverges (step larger than 2 / hessian_top).

    >>> train([np.eye(1) * 0.5, np.eye(1) * 0.5], np.eye(1), step=0.1, steps=200)[-1].round(6).tolist()
    [[1.0]]
    """
    W = [check_array(f"weights[{i}]", w, ndim=2).copy() for i, w in enumerate(weights)]
    target = check_array("target", target, ndim=2)
    step, steps, every = check_number("step", step, low=0.0), check_int("steps", steps), check_int("every", every, 1)
    chain = all(b.shape[1] == a.shape[0] for a, b in pairwise(W)) if W else False
    if not chain or (W[-1].shape[0], W[0].shape[1]) != target.shape:
        raise ArgumentError(f"weights must chain to the target's shape {target.shape}; got {[w.shape for w in W]}")
    out = []
    for k in range(steps + 1):
        below = [np.eye(target.shape[1])]  # below[l] = W_l ... W_1
        for w in W:
            below.append(w @ below[-1])
        if k % every == 0:
            out.append(below[-1])
        error = target - below[-1]
        if not np.isfinite(error).all() or np.abs(error).max() > 1e6:
            raise ArgumentError(f"step = {step:g}: training diverges at step {k}; use less than 2 / hessian_top")
        back = error
        for i in range(len(W) - 1, -1, -1):
            change = back @ below[i].T
            back = W[i].T @ back
            W[i] += step * change
    return np.array(out)
