"""Checks of single formulas: an identity by sympy or by digits, and a numerical test on random instances.

They are the checks of :mod:`ortholab.derive`, which shows them; here is only what decides.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .errors import ArgumentError, DerivationError, bad, check_int, check_number

__all__ = ["DEFINITION", "Check", "Outcome", "identity", "numerical"]


@dataclass(frozen=True)
class Outcome:
    """What a check found: whether it holds, in one line how or where it fails, and both sides.

    >>> Outcome(True, "as said").holds
    True
    """

    holds: bool
    result: str
    left: str = ""
    right: str = ""


@dataclass(frozen=True)
class Check:
    """A test of one step: ``run()`` gives the outcome, ``source`` is what the reader sees."""

    kind: str
    source: str
    run: Callable[[], Outcome] = field(repr=False)


# For a step that names something and so has nothing to test; it must be said explicitly.
DEFINITION = Check("definition", "", lambda: Outcome(True, "a definition: nothing to check"))


def identity(lhs: object, rhs: object, *, symbolic: bool = True, **symbols: str | tuple[float, float]) -> Check:
    """Check that two expressions are equal: by sympy, or at random points with 50 digits where sympy cannot decide.

    The points come first, so a false identity is refuted quickly; then ``simplify`` tries to prove a true one, unless
    ``symbolic`` is False (it can take minutes over an integral that has no closed form).
    ``lhs`` and ``rhs`` are sympy expressions, or strings whose names are all declared in ``symbols``: each name gets
    an assumption of sympy's ("real", "positive", "integer", ...) or a range (low, high) that it is tested in.

    >>> identity("(a + b)**2", "a**2 + b**2", a="real", b="real").run().holds
    False
    """
    if isinstance(lhs, str) and isinstance(rhs, str) and lhs.split() == rhs.split():
        raise ArgumentError(f"lhs and rhs are the same expression, so nothing is checked; got {lhs!r}")
    import sympy

    table = {name: _symbol(name, kind) for name, kind in symbols.items()}
    left, right = _parse("lhs", lhs, table), _parse("rhs", rhs, table)
    ranges = {table[name]: kind for name, kind in symbols.items() if isinstance(kind, tuple)}
    given = ", ".join(f"{k} {v}" if isinstance(v, str) else f"{k} in {v}" for k, v in symbols.items())
    # As written: sympy's own printer evaluates integrals in order to sort the terms, which can take a minute.
    texts = tuple(side if isinstance(side, str) else sympy.sstr(side, order="none") for side in (lhs, rhs))
    source = "\n  == ".join(texts) + (f"\nfor {given}" if given else "")
    return Check("identity", source, lambda: _decide(left, right, texts, ranges, symbolic))


def numerical(fn: Callable[[np.random.Generator], object], tol: float, *, instances: int = 5, seed: int = 0) -> Check:
    """Check on random instances: ``fn(rng)`` returns (left, right), equal within ``tol``, or a single error <= ``tol``.

    The error of a pair is the largest |left - right| over the largest |left| or |right|; the seeds are fixed.

    >>> numerical(lambda rng: (rng.normal(size=3).sum(), 0.0), 1e-9).run().holds
    False
    """
    if not callable(fn):
        raise bad("fn", fn, "a function of a numpy Generator")
    tol, instances = check_number("tol", tol, low=0), check_int("instances", instances, 1)
    seed = check_int("seed", seed)
    return Check("numerical", _source(fn), lambda: _sample(fn, tol, instances, seed))


def _sample(fn: Callable, tol: float, instances: int, seed: int) -> Outcome:
    worst, sides = -1.0, (0.0, 0.0)
    for instance in range(instances):
        value = fn(np.random.default_rng([seed, instance]))
        left, right = (np.asarray(v) for v in (value if isinstance(value, tuple) else (value, 0.0)))
        if left.shape != right.shape and left.ndim and right.ndim:
            raise DerivationError(f"a check returned sides of different shapes: {left.shape} and {right.shape}")
        size = max(np.abs(left).max(initial=0), np.abs(right).max(initial=0)) if isinstance(value, tuple) else 1.0
        error = np.abs(left - right).max(initial=0) / (size or 1.0)
        error = float(error) if np.isfinite(error) else np.inf
        if error > worst:
            worst, sides = error, (left, right)
    words = "relative error" if isinstance(value, tuple) else "error"
    result = f"{instances} random instances (seed {seed}): worst {words} {worst:.2g}, tolerance {tol:.2g}"
    if worst > tol and all(side.size == 1 for side in sides) and isinstance(value, tuple):
        result += f"; left {sides[0].item():.6g}, right {sides[1].item():.6g}"
    return Outcome(worst <= tol, result, _brief(sides[0]), _brief(sides[1]))


def _brief(value: np.ndarray) -> str:
    return np.array2string(value, precision=6, threshold=12, edgeitems=2).replace("\n", "")


def _symbol(name: str, kind: object):
    import sympy

    if isinstance(kind, tuple) and len(kind) == 2 and kind[0] < kind[1]:
        return sympy.Symbol(name, real=True, positive=kind[0] >= 0 or None)
    if not isinstance(kind, str):
        raise bad(name, kind, "an assumption of sympy such as 'real' or 'positive', or a range (low, high)")
    words = kind.replace(",", " ").split()
    known = sympy.Symbol("x").assumptions0.keys() | sympy.Symbol("x", integer=True, positive=True).assumptions0.keys()
    if not words or not set(words) <= known:
        raise ArgumentError(f"{name} must have assumptions that sympy knows, such as 'positive'; got {kind!r}")
    return sympy.Symbol(name, **dict.fromkeys(words, True))


def _parse(name: str, value: object, table: dict):
    import sympy

    try:
        parsed = sympy.sympify(value, locals=dict(table))
    except (sympy.SympifyError, SyntaxError, TypeError, AttributeError) as error:
        raise ArgumentError(f"{name} must be an expression that sympy can read; got {value!r} ({error})") from None
    if isinstance(value, str):
        unknown = {s.name for s in parsed.atoms(sympy.Symbol)} - set(table)
        if unknown:
            raise ArgumentError(f"{name} must use declared names only; undeclared: {', '.join(sorted(unknown))}")
    return parsed


# A smaller gap can be the error of a quadrature, over a kink say: a larger one settles the matter.
LARGE = 1e-6


def _decide(left, right, texts: tuple[str, str], ranges: dict, symbolic: bool) -> Outcome:
    import sympy

    found, gap = _at_random_points(left, right, texts, ranges)
    if gap > LARGE or not symbolic:
        return found
    zero = (left - right).doit()
    zero = zero.applyfunc(sympy.simplify) if isinstance(zero, sympy.MatrixBase) else sympy.simplify(zero)
    if zero == 0 or getattr(zero, "is_zero_matrix", False):
        return Outcome(True, "symbols: the difference simplifies to 0", *texts)
    return found


def _at_random_points(
    left, right, texts: tuple[str, str], ranges: dict, points: int = 6, digits: int = 50
) -> tuple[Outcome, float]:
    """Compare both sides at random rational points: sympy's ``simplify`` proves equality but never inequality.

    Returns the outcome and the relative gap at the point that decided.
    """
    import sympy

    rng = np.random.default_rng(0)
    names = sorted(left.free_symbols | right.free_symbols, key=str)
    used, tolerance = 0, sympy.Float(10) ** (-digits // 2)
    for _ in range(10 * points):
        point = {s: _draw(s, ranges.get(s), rng) for s in names}
        for evaluate in (_by_mpmath, _by_sympy):  # quick; then slow, which follows its own rounding
            a, b = (evaluate(side, point, digits) for side in (left, right))
            gap = _gap(a, b)
            if gap is not None and not tolerance < gap < LARGE:
                break
        if gap is None:
            continue  # outside the domain: draw again
        used += 1
        if gap > tolerance:
            at = ", ".join(f"{s}={float(v):.4g}" for s, v in point.items()) or "these numbers"
            values = [str(v[0].evalf(6)) if v.shape == (1, 1) else str(v.evalf(4).tolist()) for v in (a, b)]
            return Outcome(False, f"at {at}: left {values[0]}, right {values[1]}", *texts), float(gap)
        if used == (points if names else 1):
            result = f"numbers: equal to {digits // 2} digits at {used} random point{'s' * (used > 1)}"
            return Outcome(True, result, *texts), float(gap)
    raise DerivationError("the identity could not be tested: no finite value at random points\n  " + "\n  ".join(texts))


def _gap(a, b) -> object:
    """Return the relative difference of two matrices of numbers, None where either is not finite."""
    if not all(entry.is_number and entry.is_finite for entry in (*a, *b)):
        return None
    size = max(abs(entry) for entry in (*a, *b)) or 1
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) / size


def _by_mpmath(side, point: dict, digits: int):
    import mpmath
    import sympy

    integrals: dict = {}

    def hide(node):
        """Integrals are evaluated apart: in a sum, lambdify's printer would evaluate them to sort the terms."""
        if isinstance(node, sympy.Integral):
            return integrals.setdefault(node, sympy.Dummy())
        return node.func(*map(hide, node.args)) if node.args else node

    try:
        rest = sympy.Matrix([side]).applyfunc(hide)
        with mpmath.workdps(digits):
            at = [mpmath.mpf(v.p) / v.q for v in point.values()]
            values = [sympy.lambdify([*point], node, "mpmath")(*at) for node in integrals]
            value = sympy.lambdify([*point, *integrals.values()], rest, "mpmath")(*at, *values)
        return sympy.Matrix(value.rows, value.cols, lambda i, j: sympy.sympify(value[i, j]))
    except (TypeError, ValueError, NameError, AttributeError, ArithmeticError, KeyError, mpmath.libmp.NoConvergence):
        return sympy.Matrix([sympy.nan])  # some functions it does not know: sympy decides


def _by_sympy(side, point: dict, digits: int):
    import sympy

    return sympy.Matrix([side.subs(point)]).evalf(digits)


def _draw(symbol, interval: tuple[float, float] | None, rng: np.random.Generator):
    import sympy

    if symbol.is_integer:
        return sympy.Integer(int(rng.integers(1 if symbol.is_positive else -6, 8)))
    low, high = interval or ((0.1, 3) if symbol.is_nonnegative else (-3, 3))
    return sympy.Rational(int(1e6 * rng.uniform(low, high)), 10**6)


def _source(fn: Callable) -> str:
    """Return the source of a function as the reader should see it: of a lambda, its own text only."""
    try:
        text = textwrap.dedent(inspect.getsource(fn)).strip()
    except (OSError, TypeError):
        return f"{getattr(fn, '__qualname__', repr(fn))} (source not at hand)"
    if fn.__name__ != "<lambda>":
        return text
    lines, _ = inspect.findsource(fn)
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return text
    spans = [p for p in fn.__code__.co_positions() if p[0] is not None and p[3] > 0]
    start = min((p[0], p[2]) for p in spans)
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            inside = (node.lineno, node.col_offset) <= start <= (node.end_lineno, node.end_col_offset)
            if inside and start >= (node.body.lineno, node.body.col_offset):
                text = ast.get_source_segment("".join(lines), node) or text
    return textwrap.dedent(text)
