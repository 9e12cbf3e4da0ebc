"""Checks of chapter II's spectra: Fuss-Catalan moments, a bottleneck's moments, and how small q* must be."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
from scipy.optimize import brentq

from ortholab.check._core import CheckFailed, call, close, generator, number
from ortholab.check._mistakes import recognise
from ortholab.theory import expect


def fuss_catalan(moments: Callable, seed: int = 0) -> None:
    """Check that ``moments(depth, count)`` is m_1, ..., m_count of s^2 for a product of Gaussian matrices.

    m_k = binom((L+1) k, k-1) / k, the coefficients of m = z (1 + m)^(L+1); to twelve digits. Raises CheckFailed.

    >>> fuss_catalan(lambda L, count: [comb((L + 1) * k, k - 1) / k for k in range(1, count + 1)])
    """
    rng = generator(seed)
    for depth, count in ((1, 5), (3, 4), (int(rng.integers(3, 9)), int(rng.integers(5, 8))), (20, 1)):
        on = f"depth {depth}, {count} moments"
        k = range(1, count + 1)
        want = np.array([comb((depth + 1) * j, j - 1) // j for j in k], dtype=float)
        mistakes = [
            ([1.0, *want[:-1]], "It begins with m_0 = 1: the list begins with m_1."),
            ([comb(depth * j, j - 1) / j for j in k], "It is the answer for one layer less: the power is L + 1."),
            ([comb((depth + 1) * j, j - 1) for j in k], "The factor 1/k is missing."),
            ([comb((depth + 1) * j, j) / j for j in k], "The coefficient is that of m^(k-1), not of m^k."),
            ([comb((depth + 1) * j, j) for j in k], "The coefficient is that of m^(k-1), and 1/k stands before it."),
            (want / want.max(), "The moments are not normalised: m_1 is 1, and the rest grow."),
            ([comb(2 * j, j) / (j + 1) for j in k], "These are the Catalan numbers, the answer for one layer."),
            (np.cumprod(np.full(count, depth + 1.0)) / (depth + 1), "They are no powers of L + 1, beyond m_2."),
        ]
        got = call(moments, depth, count, on=on)
        close(got, want, tol=1e-11, name="(m_1, ...)", on=on, suggests=recognise(mistakes, tol=1e-9))


def bottleneck(moments: Callable, seed: int = 0) -> None:
    """Check that ``moments(widths, count)`` is m_1, ..., m_count of J^T J, Gaussian layers of ``widths`` N_0 ... N_L.

    W_l has entries of variance 1 / N_l, the number of its rows, so |Wx|^2 is |x|^2 on average. With r_l = N_0 / N_l,

        m = z (1 + m) (1 + r_1 m) ... (1 + r_L m),   m_k = [m^(k-1)] ((1 + m) prod_l (1 + r_l m))^k / k.

    Raises CheckFailed.

    >>> bottleneck(lambda widths, count: _lagrange([1.0, *(widths[0] / n for n in widths[1:])], count))
    """
    rng = generator(seed)
    random = [int(n) for n in rng.integers(2, 9, size=int(rng.integers(3, 6)))]
    for widths, count in (((4, 4, 4), 4), ((4, 8), 3), ((8, 2, 4), 4), (tuple(random), 5)):
        on = f"widths {widths}, {count} moments"
        r = widths[0] / np.array(widths[1:])
        step = np.array(widths[:-1]) / np.array(widths[1:])
        want = _lagrange([1.0, *r], count)
        mistakes = [
            (_lagrange([1.0, *(1 / r)], count), "The ratios are turned over: r_l = N_0 / N_l."),
            (_lagrange([1.0, *step], count), "The ratios are of neighbours: each r_l compares with N_0, the input."),
            (_lagrange(r, count), "The factor 1 + m is missing: it stands for J^T J itself, whatever the layers."),
            (_lagrange(np.ones(len(widths)), count), "It takes all widths as equal."),
            (want * widths[0] / widths[-1], "It is the mean over N_L eigenvalues: J^T J has N_0."),
            ([1.0, *want[:-1]], "It begins with m_0 = 1: the list begins with m_1."),
            (want * np.arange(1, count + 1), "The factor 1/k is missing."),
        ]
        got = call(moments, list(widths), count, on=on)
        close(got, want, tol=1e-9, name="(m_1, ...)", on=on, suggests=recognise(mistakes, tol=1e-9))


def _lagrange(ratios: object, count: int) -> np.ndarray:
    """[m^(k-1)] prod (1 + r m)^k / k for k = 1..count, over all r of ``ratios``."""
    base = np.poly1d([1.0])
    for r in ratios:
        base = base * np.poly1d([r, 1.0])
    power, out = np.poly1d([1.0]), []
    for k in range(1, count + 1):
        power = power * base
        out.append(power.coeffs[::-1][k - 1] / k)
    return np.array(out)


SLOPES = (
    ("tanh", lambda h: 1 - np.tanh(h) ** 2),
    ("erf(sqrt(pi) h / 2)", lambda h: np.exp(-np.pi / 4 * h * h)),
    ("h / sqrt(1 + h^2)", lambda h: (1 + h * h) ** -1.5),
    ("arctan", lambda h: 1 / (1 + h * h)),
)


def isometric_q(largest_q: Callable, seed: int = 0) -> None:
    """Check that ``largest_q(dphi, depth, variance)`` is the q* at which s^2 has this variance; orthogonal weights.

    L (mu_2 / mu_1^2 - 1) = variance with mu_k = E[phi'(h)^(2k)], h ~ N(0, q*); to 1e-5. A ValueError where every small
    q* has a larger variance. Raises CheckFailed.

    >>> isometric_q(lambda dphi, depth, variance: _solve(lambda q: _relative(dphi, q), variance))
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: ... The variance is L times one layer's: the depth is missing.
    """
    rng = generator(seed)
    for depth, variance in ((8, 0.25), (int(rng.integers(20, 200)), float(rng.uniform(0.1, 1)))):
        name, dphi = SLOPES[int(rng.integers(len(SLOPES)))]
        on = f"phi = {name}, depth {depth}, variance {variance:.3g}"
        got = number(call(largest_q, dphi, depth, variance, on=on), name="q*", on=on)
        want = _solve(lambda q, d=dphi: _relative(d, q), variance / depth)

        def hint(ratio: np.ndarray, one: np.ndarray, right=want, given=(dphi, depth, variance)) -> str:
            return recognise(_q_mistakes(*given), tol=1e-4)(ratio * right, one * right)

        close(got / want, 1.0, tol=1e-5, name="q*, divided by the right one,", on=on, suggests=hint)
    on = "a leaky ReLU of slopes 1 and 1/2, whose spectrum does not depend on q*"

    def guarded() -> object:
        try:
            return largest_q(lambda h: np.where(h > 0, 1.0, 0.5), 10, 0.25)
        except ValueError:
            return None

    guarded.__name__ = getattr(largest_q, "__name__", "largest_q")
    if call(guarded, on=on) is not None:
        raise CheckFailed("a q* was returned where the variance is 3.6 at every one", on, "Raise ValueError there.")


def _relative(dphi: Callable, q: float) -> float:
    first, second = _moments(dphi, q)
    return second / first**2 - 1


def _moments(dphi: Callable, q: float) -> tuple[float, float]:
    """mu_1 and mu_2."""
    return expect(lambda h: dphi(h) ** 2, q), expect(lambda h: dphi(h) ** 4, q)


def _solve(value: Callable, goal: float) -> float:
    """The smallest q in (1e-9, 1e3) at which a function that begins below ``goal`` has this value, or NaN."""
    grid = np.linspace(np.log(1e-9), np.log(1e3), 60)
    above = np.array([value(np.exp(t)) > goal for t in grid])
    if above[0] or not above.any():
        return float("nan")
    first = int(np.argmax(above))
    return float(np.exp(brentq(lambda t: value(np.exp(t)) - goal, grid[first - 1], grid[first], xtol=1e-13)))


def _q_mistakes(dphi: Callable, depth: int, variance: float) -> list[tuple]:
    def first_slope(q: float) -> float:
        mean, square = expect(dphi, q), expect(lambda h: dphi(h) ** 2, q)
        return square / mean**2 - 1

    def unsquared(q: float) -> float:
        return 1 - _moments(dphi, q)[1] / _moments(dphi, q)[0]

    def not_relative(q: float) -> float:
        return _moments(dphi, q)[1] - _moments(dphi, q)[0] ** 2

    right = _solve(lambda q: _relative(dphi, q), variance / depth)
    mistakes = [
        (_solve(lambda q: _relative(dphi, q), variance), "The variance is L times one layer's: the depth is missing."),
        (_solve(lambda q: _relative(dphi, q), variance**2 / depth), "The variance was squared once too often."),
        (_solve(first_slope, variance / depth), "mu_k is the mean of phi'^(2k), since the law is that of s^2."),
        (_solve(unsquared, variance / depth), "mu_1 enters squared."),
        (_solve(not_relative, variance / depth), "It is the plain variance of phi'^2: divide by mu_1^2."),
        (right**0.5, "It is the standard deviation of h: q* is its variance."),
        (right**2, "It is the square: h = sqrt(q) z."),
    ]
    return [(value, words) for value, words in mistakes if np.isfinite(value)]
