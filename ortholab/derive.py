r"""Derivations whose steps are checked when they are made, so that a false step stops the page.

A step is a formula, its reason in words, and a check: a sympy identity, a numerical test on random instances (where
symbols do not reach: random matrices, limits), or ``DEFINITION`` for a line that only names something.

>>> right = identity("(a + b)**2", "a**2 + 2*a*b + b**2", a="real", b="real")
>>> wrong = identity("(a + b)**2", "a**2 + b**2", a="real", b="real")
>>> steps = [
...     Step(r"(a + b)^2 &= a^2 + 2ab + b^2", "Expand.", right),
...     Step(r"(a + b)^2 &= a^2 + b^2", "Forgets the cross term.", wrong, expect="fails"),
... ]
>>> Derivation("A square", steps)
Derivation: A square
 1. [ok]    (a + b)^2 = a^2 + 2ab + b^2
            Expand. (symbols: the difference simplifies to 0)
 2. [wrong] (a + b)^2 = a^2 + b^2
            Forgets the cross term. (at a=..., b=...: left ..., right ...)
"""

from __future__ import annotations

import ast
import html
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ._html import check_text, inline, math, plain, style
from .errors import ArgumentError, DerivationError, bad, check_choice, check_int, check_number

__all__ = ["DEFINITION", "Derivation", "Outcome", "Step", "identity", "numerical"]


@dataclass(frozen=True)
class Outcome:
    """What a check found: whether it holds, in one line how or where it fails, and both sides."""

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


@dataclass(frozen=True)
class Step:
    r"""One line of a derivation.

    ``latex``: the formula, with ``&`` where the lines are aligned; ``reason``: why it follows, in words, may hold
    ``$math$``; ``check``: :func:`identity`, :func:`numerical` or ``DEFINITION``; ``expect``: "holds", or "fails" for
    a formula that is wrong (in the 2019 deck, or in common belief); ``deck``: its number there, e.g. "(4)";
    ``label``: the words beside a wrong form.
    """

    latex: str
    reason: str
    check: Check
    expect: str = "holds"
    deck: str | None = None
    label: str = "as printed in the deck"

    def __post_init__(self) -> None:
        check_text("latex", self.latex)
        check_text("reason", self.reason)
        if not isinstance(self.check, Check):
            raise bad("check", self.check, "identity(...), numerical(...) or DEFINITION")
        check_choice("expect", self.expect, ("holds", "fails"))
        if self.check is DEFINITION and self.expect == "fails":
            raise ArgumentError("a DEFINITION has no check, so it cannot be expected to fail")


class Derivation:
    """A titled list of steps, all checked when it is made.

    Raises DerivationError, with the title, the step and both sides, at the first step that is not as it says.
    """

    def __init__(self, title: str, steps: Sequence[Step]):
        self.title = check_text("title", title)
        self.steps = tuple(steps)
        if not self.steps or not all(isinstance(step, Step) for step in self.steps):
            raise bad("steps", steps, "a non-empty sequence of Step")
        self.outcomes = tuple(self._verify(number, step) for number, step in enumerate(self.steps, 1))

    def _verify(self, number: int, step: Step) -> Outcome:
        outcome = step.check.run()
        if outcome.holds == (step.expect == "holds"):
            return outcome
        where = f"{self.title!r}, step {number}: {_flat(step.latex)}"
        if step.expect == "fails":
            raise DerivationError(f"{where}\n  is expected to fail but holds ({outcome.result})")
        raise DerivationError(
            f"{where}\n  does not hold: {outcome.result}\n  left:  {outcome.left}\n  right: {outcome.right}"
        )

    def __repr__(self) -> str:
        lines = [f"Derivation: {plain(self.title)}"]
        for number, (step, outcome) in enumerate(zip(self.steps, self.outcomes, strict=True), 1):
            mark = "[def]" if step.check is DEFINITION else "[ok]" if step.expect == "holds" else "[wrong]"
            tag = f"   deck {step.deck}" if step.deck else ""
            why = "" if step.check is DEFINITION else f" ({outcome.result})"
            lines += [f"{number:2d}. {mark:7s} {_flat(step.latex)}{tag}", f"{'':12s}{plain(step.reason)}{why}"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = "".join(_item(*args) for args in zip(self.steps, self.outcomes, strict=True))
        title = inline(self.title)
        tokens = ("ink", "muted", "line", "holds", "fails")
        return (
            f'<div class="ol ol-derivation">{style(_RULES, tokens)}<p class="ol-title">Derivation: {title}</p>'
            f'<ol class="ol-steps" role="list">{items}</ol></div>'
        )


def identity(lhs: object, rhs: object, **symbols: str | tuple[float, float]) -> Check:
    """Check that two expressions are equal: by sympy, or at random points with 50 digits where sympy cannot decide.

    ``lhs`` and ``rhs`` are sympy expressions, or strings whose names are all declared in ``symbols``: each name gets
    an assumption of sympy's ("real", "positive", "integer", ...) or a range (low, high) that it is tested in.
    """
    if isinstance(lhs, str) and isinstance(rhs, str) and lhs.split() == rhs.split():
        raise ArgumentError(f"lhs and rhs are the same expression, so nothing is checked; got {lhs!r}")
    table = {name: _symbol(name, kind) for name, kind in symbols.items()}
    left, right = _parse("lhs", lhs, table), _parse("rhs", rhs, table)
    ranges = {table[name]: kind for name, kind in symbols.items() if isinstance(kind, tuple)}
    given = ", ".join(f"{k} {v}" if isinstance(v, str) else f"{k} in {v}" for k, v in symbols.items())
    source = f"{lhs}\n  == {rhs}" + (f"\nfor {given}" if given else "")
    return Check("identity", source, lambda: _decide(left, right, ranges))


def numerical(fn: Callable[[np.random.Generator], object], tol: float, *, instances: int = 5, seed: int = 0) -> Check:
    """Check on random instances: ``fn(rng)`` returns (left, right), equal within ``tol``, or a single error <= ``tol``.

    The error of a pair is the largest |left - right| over the largest |left| or |right|; the seeds are fixed.
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
        if np.broadcast_shapes(left.shape, right.shape) != left.shape:
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
    try:
        return sympy.Symbol(name, **{word: True for word in kind.replace(",", " ").split()})
    except (TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(f"{name} must have assumptions that sympy knows; got {kind!r} ({error})") from None


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


def _decide(left, right, ranges: dict) -> Outcome:
    import sympy

    sides = {"left": str(left), "right": str(right)}
    difference = left - right
    zero = difference.doit()
    zero = zero.applyfunc(sympy.simplify) if isinstance(zero, sympy.MatrixBase) else sympy.simplify(zero)
    if zero == 0 or getattr(zero, "is_zero_matrix", False):
        return Outcome(True, "symbols: the difference simplifies to 0", **sides)
    return _decide_numerically(left, right, ranges, sides)


def _decide_numerically(left, right, ranges: dict, sides: dict, points: int = 6, digits: int = 50) -> Outcome:
    """Compare both sides at random rational points; sympy's ``simplify`` proves equality but never inequality."""
    import sympy

    rng = np.random.default_rng(0)
    names = sorted(left.free_symbols | right.free_symbols, key=str)
    used = 0
    for _ in range(10 * points):
        point = {s: _draw(s, ranges.get(s), rng) for s in names}
        a, b = (sympy.Matrix([side.subs(point).doit()]).evalf(digits) for side in (left, right))
        gap, size = (a - b).norm(sympy.oo), max(a.norm(sympy.oo), b.norm(sympy.oo), 1)
        if not (gap.is_number and gap.is_finite):
            continue  # outside the domain: draw again
        used += 1
        if gap > size * sympy.Float(10) ** (-digits // 2):
            at = ", ".join(f"{s}={float(v):.4g}" for s, v in point.items()) or "these numbers"
            values = [str(sympy.N(side[0], 6)) if side.shape == (1, 1) else str(side.tolist()) for side in (a, b)]
            return Outcome(False, f"at {at}: left {values[0]}, right {values[1]}", **sides)
        if used == (points if names else 1):
            return Outcome(True, f"sympy cannot decide; equal to {digits // 2} digits at {used} random points", **sides)
    raise DerivationError(f"the identity could not be tested: no finite value at random points\n  {left}\n  {right}")


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


def _flat(latex: str) -> str:
    return " ".join(re.sub(r"(?<!\\)&", "", latex).split())


def _item(step: Step, outcome: Outcome) -> str:
    """Return one step as a list item: formula (two aligned halves), reason, and the check behind its mark."""
    halves = re.split(r"(?<!\\)&", step.latex, maxsplit=1)
    # The empty group gives the relation that opens a right half its space.
    cells = [math(r"\displaystyle " + "{} " * (k > 0) + half.strip()) for k, half in enumerate(halves)]
    if len(cells) == 1:
        formula = f'<div class="ol-formula ol-whole">{cells[0]}</div>'
    else:
        sides = f'<span class="ol-lhs">{cells[0]}</span><span class="ol-rhs">{cells[1]}</span>'
        formula = f'<div class="ol-formula">{sides}</div>'
    tag = f'<span class="ol-deck">deck {html.escape(step.deck)}</span> ' if step.deck else ""
    if step.check is DEFINITION:
        check = '<p class="ol-check">definition</p>'
    else:
        good = step.expect == "holds"
        mark = ("ol-holds", "✓ checked") if good else ("ol-fails", f"✗ wrong, {html.escape(step.label)}")
        check = (
            f'<details class="ol-check"><summary><span class="{mark[0]}">{mark[1]}</span></summary>'
            f'<pre tabindex="0"><code>{html.escape(step.check.source, quote=False)}</code></pre>'
            f"<p>{html.escape(outcome.result, quote=False)}</p></details>"
        )
    kind = "" if step.expect == "holds" else ' class="ol-wrong"'
    return f'<li{kind}>{formula}<div class="ol-reason">{tag}{inline(step.reason)}</div>{check}</li>'


_RULES = """
:where(.ol-derivation){margin:1.2em 0;max-width:46em}
:where(.ol-derivation .ol-title){font-weight:600;margin:0 0 .4em}
:where(.ol-derivation ol){margin:0;padding:0;list-style:none;counter-reset:ol-step}
:where(.ol-derivation ol){display:grid;grid-template-columns:max-content minmax(0,1fr)}
:where(.ol-derivation li){grid-column:1/-1;position:relative;margin:0 0 .7em;padding-left:2em;counter-increment:ol-step}
:where(.ol-derivation li,.ol-derivation .ol-formula){display:grid;grid-template-columns:subgrid}
:where(.ol-derivation li>*,.ol-derivation .ol-whole>*){grid-column:1/-1;min-width:0}
:where(.ol-derivation .ol-lhs){justify-self:end;align-self:center}:where(.ol-derivation .ol-rhs){align-self:center}
:where(.ol-derivation li)::before{content:counter(ol-step);position:absolute;left:0;top:.25em;color:@(muted)}
@media(max-width:600px){:where(.ol-derivation li,.ol-derivation .ol-formula){display:block}}
:where(.ol-derivation .ol-formula){overflow-x:auto;overflow-y:hidden;padding:.15em 0}
:where(.ol-derivation .ol-reason,.ol-derivation p){margin:0}
:where(.ol-derivation details,.ol-derivation p.ol-check,.ol-derivation .ol-deck){color:@(muted);font-size:.88em}
:where(.ol-derivation summary){cursor:pointer;width:max-content}
:where(.ol-derivation .ol-holds){color:@(holds)}:where(.ol-derivation .ol-fails){color:@(fails)}
:where(.ol-derivation pre){overflow-x:auto;margin:.3em 0;padding:.5em .8em;border-left:2px solid @(line)}
"""
