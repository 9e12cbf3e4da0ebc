"""Checks of learning in deep linear networks: the time of a two-layer mode from any start, and a race of two starts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad

from ortholab.check._core import CheckFailed, call, close, generator, number
from ortholab.check._mistakes import recognise


def learning_time(time: Callable, seed: int = 0) -> None:
    """Check that ``time(a, b, u_f, s)`` is the time in which u = a b reaches u_f, of two layers and one mode.

    tau a' = b (s - u), tau b' = a (s - u), so tau u' = sqrt(c^2 + 4 u^2) (s - u) with c = a^2 - b^2; the time is in
    units of tau, for a b < u_f < s, and infinity if the mode never gets there. To 1e-6. Raises CheckFailed.

    >>> learning_time(lambda a, b, u_f, s: np.log(u_f * (s - a * b) / (a * b * (s - u_f))) / (2 * s))
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: ... It is the time of a balanced start: ...
    """
    rng = generator(seed)
    cases = [(0.5, 0.5, 0.9, 1.0), (1.5, 0.2, 1.9, 2.0), (0.1, 1.2, 0.8, 1.0), (1.0, 0.0, 0.95, 1.0)]
    cases += [(1.0, -0.4, 0.9, 1.0), (0.3, -0.299, 0.9, 1.0)]
    a, b = rng.uniform(0.1, 1.5), rng.uniform(-0.5, 0.5)
    s = float(rng.uniform(1, 2))
    cases.append((a, b, s * float(rng.uniform(0.8, 0.99)), s))
    for a, b, u_f, s in cases:
        on = f"a = {a:.4g}, b = {b:.4g}, u_f = {u_f:.4g}, s = {s:.4g}"
        want = _time(a, b, u_f, s)
        got = number(_finite(call(time, a, b, u_f, s, on=on), on), name="the time", on=on)
        close(got, want, tol=1e-6, name="the time", on=on, suggests=recognise(_time_mistakes(a, b, u_f, s), tol=1e-5))
    for a, b in ((0.0, 0.0), (0.7, -0.7)):
        on = f"a = {a}, b = {b}, whose mode never gets above 0"
        got = call(time, a, b, 0.9, 1.0, on=on)
        if not isinstance(got, float | int | np.floating) or got != math.inf:
            raise CheckFailed(f"the time is {got!r}, not infinity", on, "With c = 0 the speed vanishes at u = 0.")


def _finite(value: object, on: str) -> object:
    if isinstance(value, float | np.floating) and value == math.inf:
        raise CheckFailed("the time is infinite", on, "With c = a^2 - b^2 not 0 the speed never vanishes below s.")
    return value


def _integral(speed: Callable, u_0: float, u_f: float) -> float:
    """int du / speed(u) from u_0 to u_f; in logit(u_f - ...) nothing is singular as u_f < s."""
    inside = [u for u in (0.0,) if u_0 < u < u_f]
    return float(quad(lambda u: 1 / speed(u), u_0, u_f, points=inside or None, limit=400, epsabs=1e-12)[0])


def _time(a: float, b: float, u_f: float, s: float) -> float:
    c = a * a - b * b
    return _integral(lambda u: math.sqrt(c * c + 4 * u * u) * (s - u), a * b, u_f)


def _time_mistakes(a: float, b: float, u_f: float, s: float) -> list[tuple]:
    u_0, c = a * b, a * a - b * b
    odds = math.log((s - u_0) / (s - u_f))
    right = _time(a, b, u_f, s)
    mistakes = [
        (_integral(lambda u: math.hypot(c, u) * (s - u), u_0, u_f), "(a^2 + b^2)^2 = c^2 + 4 u^2: the 4 is missing."),
        (
            _integral(lambda u: (abs(c) + 2 * abs(u) + 1e-300) * (s - u), u_0, u_f) if c else 0,
            "It adds |c| and 2u: they add in squares.",
        ),
        (odds / (a * a + b * b), "a^2 + b^2 is kept at its start: it grows with u."),
        (_integral(lambda u: math.sqrt(c * c + 4 * u * u), u_0, u_f), "The error s - u is missing in the speed."),
        (2 * right, "Twice too long: both layers learn, so u' has two terms."),
        (-right, "The sign is turned: integrate from u_0 = a b up to u_f."),
        (right / 2, "Half of the time: the exponent 2 of E was counted twice, perhaps."),
    ]
    d = a - b
    mistakes.append(
        (
            _integral(lambda u: math.sqrt(d * d + 4 * u * u) * (s - u), u_0, u_f),
            "c is a^2 - b^2, which is conserved; a - b is not.",
        )
    )
    if u_0 > 0:
        words = "It is the time of a balanced start: here a and b differ, and c = a^2 - b^2 speeds the mode up."
        mistakes.append((math.log(u_f * (s - u_0) / (u_0 * (s - u_f))) / (2 * s), words))
    if c:
        mistakes.append(
            (
                _integral(lambda u: math.sqrt(c * c + 4 * u * u) * (s - u), 0.0, u_f),
                "It starts from u = 0, not from u_0 = a b.",
            )
        )
    return mistakes


def race(steps: Callable, seed: int = 0) -> None:
    """Check ``steps(kind, seed)``: the steps of a deep linear network at the best step size of a grid.

    Whole numbers, the same for a seed, and a Gaussian start of 12 layers slower than an orthogonal one beyond chance.
    Raises CheckFailed.

    >>> race(lambda kind, seed: 3)
    Traceback (most recent call last):
    ortholab.check._core.CheckFailed: Gaussian starts take 1 times as many steps, theory expects more, ...
    """
    seeds = [int(s) for s in generator(seed).choice(1000, 6, replace=False)]
    found = {}
    for kind in ("orthogonal", "gaussian"):
        on = f"{kind} start, seeds {seeds}"
        found[kind] = [number(call(steps, kind, s, on=on, seconds=30), name="steps", on=on) for s in seeds]
        if any(value != int(value) or value < 1 for value in found[kind]):
            raise CheckFailed(f"a number of steps is {min(found[kind])}", on, "Count whole steps from 1 on.")
        if call(steps, kind, seeds[0], on=on, seconds=30) != found[kind][0]:
            raise CheckFailed("the same seed gives two answers", on, "Make every random number from the seed.")
    orthogonal, gaussian = np.array(found["orthogonal"]), np.array(found["gaussian"])
    if orthogonal.max() > 12:
        raise CheckFailed(
            f"an orthogonal start takes {orthogonal.max():.0f} steps; at its best step size a few do",
            f"seeds {seeds}",
            "Does each start get its own best step size from the whole grid? Is the threshold relative to the target?",
        )
    if np.median(gaussian / orthogonal) < 1.5:
        raise CheckFailed(
            f"Gaussian starts take {np.median(gaussian / orthogonal):.2g} times as many steps, theory expects more",
            f"seeds {seeds}",
            "Is the kind of the weights passed on to every layer?",
        )
