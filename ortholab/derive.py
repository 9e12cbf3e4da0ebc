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

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ._checks import DEFINITION, Check, Outcome, identity, numerical
from ._html import check_text, inline, math, plain, style
from .errors import ArgumentError, DerivationError, bad, check_choice

__all__ = ["DEFINITION", "Derivation", "Outcome", "Step", "identity", "numerical"]


@dataclass(frozen=True)
class Step:
    r"""One line of a derivation.

    ``latex``: the formula, with ``&`` where the lines are aligned; ``reason``: why it follows, in words, may hold
    ``$math$``; ``check``: :func:`identity`, :func:`numerical` or ``DEFINITION``; ``expect``: "holds", or "fails" for
    a formula that is wrong (in the 2019 deck, or in common belief); ``deck``: its number there, e.g. "(4)";
    ``label``: the words beside a wrong form; by default "as printed in the deck" where ``deck`` is given.

    >>> Step("2x &= x + x", "Add.", identity("2*x", "x + x", x="real")).check.run().holds
    True
    """

    latex: str
    reason: str
    check: Check
    expect: str = "holds"
    deck: str | None = None
    label: str = ""

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

    >>> Derivation("One", [Step("2 &= 1 + 1", "Add.", identity("2", "1 + 1"))])
    Derivation: One
     1. [ok]    2 = 1 + 1
                Add. (...)
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
        label = step.label or ("as printed in the deck" if step.deck else "")
        wrong = f"✗ wrong, {html.escape(label)}" if label else "✗ wrong, as its check shows"
        mark = ("ol-holds", "✓ checked") if good else ("ol-fails", wrong)
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
:where(.ol-derivation li),:where(.ol-derivation .ol-formula){display:grid;grid-template-columns:subgrid}
:where(.ol-derivation li>*),:where(.ol-derivation .ol-whole>*){grid-column:1/-1;min-width:0}
:where(.ol-derivation .ol-lhs){justify-self:end;align-self:center}:where(.ol-derivation .ol-rhs){align-self:center}
:where(.ol-derivation li)::before{content:counter(ol-step);position:absolute;left:0;top:.25em;color:@(muted)}
@media(max-width:600px){:where(.ol-derivation li),:where(.ol-derivation .ol-formula){display:block}}
:where(.ol-derivation .ol-formula){overflow-x:auto;overflow-y:hidden;padding:.15em 0}
:where(.ol-derivation .ol-reason),:where(.ol-derivation p){margin:0}
:where(.ol-derivation details),:where(.ol-derivation p.ol-check),:where(.ol-derivation .ol-deck){color:@(muted)}
:where(.ol-derivation details),:where(.ol-derivation p.ol-check),:where(.ol-derivation .ol-deck){font-size:.88em}
:where(.ol-derivation summary){cursor:pointer;width:max-content}
:where(.ol-derivation .ol-holds){color:@(holds)}:where(.ol-derivation .ol-fails){color:@(fails)}
:where(.ol-derivation pre){overflow-x:auto;margin:.3em 0;padding:.5em .8em;border-left:2px solid @(line)}
"""
