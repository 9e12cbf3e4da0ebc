"""Checks for networks with skip connections: x^l = alpha x^(l-1) + beta phi(W^l x^(l-1)), odd phi, Gaussian weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ortholab.check._core import CheckFailed, array, call, close, generator
from ortholab.check._mistakes import recognise
from ortholab.theory import expect

ODD = (
    ("tanh", np.tanh, lambda h: 1 - np.tanh(h) ** 2),
    ("arctan", np.arctan, lambda h: 1 / (1 + h * h)),
    ("sin", np.sin, np.cos),
)


def skip_means(means: Callable, seed: int = 0) -> None:
    """Check that ``means(phi, dphi, alpha, beta, sigma_w, r, depth)`` is a_1, ..., a_L at infinite width, shape (L,).

    a_l is the mean squared singular value of the first l layers, ``r`` = |x^0|^2 / N:

        q^l = sigma_w^2 r^(l-1),   a_l = (alpha^2 + beta^2 sigma_w^2 E[phi'(h)^2]) a_(l-1),
        r^l = alpha^2 r^(l-1) + beta^2 E[phi(h)^2],   h ~ N(0, q^l).

    To 1e-4. Raises CheckFailed.

    >>> skip_means(lambda phi, dphi, alpha, beta, sigma_w, r, depth: [alpha + beta] * depth)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: a_1, ..., a_L is 1.5, not ...
    """
    rng = generator(seed)
    grid = [(1.0, 0.5, 1.2, 0.8, 1), (0.8, 0.7, 1.5, 0.6, 6), (0.0, 1.0, 1.3, 0.5, 5)]
    grid.append((*rng.uniform(0.4, 1.1, size=2), rng.uniform(0.8, 2), rng.uniform(0.2, 1), int(rng.integers(3, 9))))
    for case in grid:
        name, phi, dphi = ODD[int(rng.integers(len(ODD)))]
        (alpha, beta, sigma_w, r), depth = (float(v) for v in case[:4]), case[4]
        on = f"phi = {name}, alpha {alpha:.3g}, beta {beta:.3g}, sigma_w {sigma_w:.3g}, r {r:.3g}, depth {depth}"
        want = _means(phi, dphi, alpha, beta, sigma_w, r, depth)
        got = call(means, phi, dphi, alpha, beta, sigma_w, r, depth, on=on)
        mistakes = _means_mistakes(phi, dphi, alpha, beta, sigma_w, r, depth)
        close(got, want, tol=1e-4, name="a_1, ..., a_L", on=on, suggests=recognise(mistakes, tol=1e-4))


def _moments(phi: Callable, dphi: Callable, sigma_w: float, r: float) -> tuple[float, float]:
    """E[phi^2] and chi = sigma_w^2 E[phi'^2] at q = sigma_w^2 r."""
    q = sigma_w**2 * r
    return expect(lambda h: phi(h) ** 2, q), sigma_w**2 * expect(lambda h: dphi(h) ** 2, q)


def _means(phi, dphi, alpha, beta, sigma_w, r, depth, factor=None, signal=None) -> np.ndarray:
    """The recursion; ``factor`` (of chi) and ``signal`` (of r and E[phi^2]) replace its two rules by wrong ones."""
    factor = factor or (lambda chi: alpha**2 + beta**2 * chi)
    signal = signal or (lambda r, square: alpha**2 * r + beta**2 * square)
    a, out = 1.0, []
    for _ in range(depth):
        square, chi = _moments(phi, dphi, sigma_w, r)
        a, r = a * factor(chi), signal(r, square)
        out.append(a)
    return np.array(out)


def _means_mistakes(phi, dphi, alpha, beta, sigma_w, r, depth) -> list[tuple]:
    given = (phi, dphi, alpha, beta, sigma_w, r, depth)
    right = _means(*given)
    factors = np.diff(np.log(np.concatenate([[1.0], right])))
    return [
        (_means(*given, factor=lambda chi: alpha + beta * chi), "The coefficients enter squared: a is a mean square."),
        (_means(*given, factor=lambda chi: alpha**2 + beta * chi), "beta enters squared."),
        (
            _means(*given, factor=lambda chi: (alpha + beta * chi**0.5) ** 2),
            "The two paths add in squares: the mixed term 2 alpha beta tr(M^T D W M) has mean 0 as N grows.",
        ),
        (_means(*given, factor=lambda chi: beta**2 * chi), "The skip path alpha^2 is missing in the factor."),
        (_means(*given, factor=lambda chi: alpha**2 + beta**2 * chi / sigma_w**2), "sigma_w^2 is missing in chi."),
        (_means(*given, signal=lambda r, square: r), "r changes from layer to layer; yours stays at its start."),
        (_means(*given, signal=lambda r, square: square), "The signal skips, too: r^l = alpha^2 r + beta^2 E[phi^2]."),
        (_means(*given, signal=lambda r, square: alpha * r + beta * square), "The coefficients of r enter squared."),
        (
            _means(*given, signal=lambda r, square: sigma_w**2 * (alpha**2 * r + beta**2 * square)),
            "r is |x|^2 / N; sigma_w^2 enters when q is made of it, once.",
        ),
        (np.exp(factors), "These are the layers' factors: a_l is their product up to layer l."),
        (np.log(right), "It is log a_l."),
        (right**0.5, "It is the root: a_l is the mean of s^2."),
    ]


def skip_network(network: Callable, seed: int = 0) -> None:
    """Check that ``network(phi, dphi, alpha, beta, sigma_w, x, depth, rng)`` samples a_1, ..., a_L of one network.

    ``x`` is the input (N,), ``rng`` a numpy Generator; W has independent entries of variance sigma_w^2 / N. Exact where
    the answer is known at every width, then the mean over networks against theory. Raises CheckFailed.

    >>> skip_network(lambda phi, dphi, alpha, beta, sigma_w, x, depth, rng: [0.0] * depth)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: ... The skip path is missing in the Jacobian.
    """
    rng = generator(seed)
    name, phi, dphi = ODD[int(rng.integers(len(ODD)))]
    x = rng.standard_normal(30)
    on = "beta = 0, where the network is alpha^l times the identity"
    got = call(network, phi, dphi, 0.5, 0.0, 1.0, x, 4, generator(seed), on=on)
    want = 0.25 ** np.arange(1, 5)
    known = [
        (0 * want, "The skip path is missing in the Jacobian."),
        (0.5 ** np.arange(1, 5), "s is not squared."),
        (30 * want, "It is the sum of the s^2: divide by N."),
    ]
    close(got, want, tol=1e-9, name="a_1, ..., a_L", on=on, suggests=recognise(known))
    on = "the same generator twice"
    first, again = (array(call(network, phi, dphi, 0.5, 0.5, 1.0, x, 4, generator(seed), on=on)) for _ in range(2))
    close(again, first, tol=1e-12, name="a", on=on, suggests="Every random number must come from rng.")
    for alpha, beta, sigma_w, r in ((1.0, 0.5, 1.4, 1.0), (0.0, 1.0, 1.5, 1.0), (0.7, 0.9, 1.2, 0.5)):
        on = f"phi = {name}, alpha {alpha}, beta {beta}, sigma_w {sigma_w}, r {r}; mean of 16 networks of width 120"
        given = (phi, dphi, alpha, beta, sigma_w)
        runs = []
        for _ in range(16):
            x = rng.standard_normal(120)
            x *= (120 * r) ** 0.5 / np.linalg.norm(x)
            answer = call(network, *given, x, 5, generator(int(rng.integers(2**31))), on=on)
            runs.append(array(answer, (5,), name="a_1, ..., a_5", on=on))
        if np.ptp(runs, axis=0).max() < 1e-9:
            raise CheckFailed("every network gives the same numbers", on, "Draw the weights from rng.")
        _near_theory(np.array(runs), given, r, on)


def _near_theory(runs: np.ndarray, given: tuple, r: float, on: str) -> None:
    mean, want = runs.mean(axis=0), _means(*given, r, 5)
    # beside four standard errors of the mean, 10 % for what theory lacks at width 120
    allowed = 0.1 + 4 * runs.std(axis=0, ddof=1) / np.maximum(mean, 1e-300) / len(runs) ** 0.5
    if np.all(np.abs(np.log(np.maximum(mean, 1e-300) / want)) <= allowed):
        return
    hints = [
        (words, np.abs(np.log(np.maximum(mean, 1e-300) / np.maximum(wrong, 1e-300))).max())
        for wrong, words in _network_mistakes(given, r)
    ]
    words, distance = min(hints, key=lambda pair: pair[1])
    raise CheckFailed(
        f"a_5 is {mean[-1]:.3g} on average, theory says {want[-1]:.3g}", on, words if distance < 0.1 else ""
    )


def _network_mistakes(given: tuple, r: float) -> list[tuple]:
    phi, dphi, alpha, beta, sigma_w = given
    half = (phi, dphi, alpha, beta, sigma_w * 120**-0.5)
    wide = (phi, dphi, alpha, beta, sigma_w * 120**0.5)
    return [
        (_means(*given, r, 5, factor=lambda chi: beta**2 * chi), "The skip path is missing in the Jacobian."),
        (_means(*given, r, 5, signal=lambda r, square: square), "The skip path is missing in the signal."),
        (_means(*given, r, 5, signal=lambda r, square: beta**2 * square), "The skip path is missing in the signal."),
        (_means(*given, r, 5, signal=lambda r, square: r), "The signal is not passed on to the next layer."),
        (
            _means(phi, np.ones_like, alpha, beta, sigma_w, r, 5),
            "The slopes phi'(h) are missing in the Jacobian.",
        ),
        (_means(*half, r, 5), "The weights are too small: their standard deviation is sigma_w / sqrt(N)."),
        (_means(*wide, r, 5), "The weights are too large: their standard deviation is sigma_w / sqrt(N)."),
        (_means(*given, r, 5) * 120, "It is the sum of the s^2: divide by N."),
        (_means(*given, r, 5) ** 0.5, "s is not squared."),
    ]
