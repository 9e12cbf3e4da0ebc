"""The ledger: each claim of the 2019 deck, the function that tests it, and its verdict.

A chapter's claims live in one module of this package (``ortholab/claims/isometry.py`` for chapter I), found when the
ledger is first read; deleting the module removes its claims and nothing else.  A verdict is never stored: it is
recomputed, once a process, wherever it is shown, and the tests hold it equal to the recorded one.

>>> ledger = Ledger()
>>> @ledger.claim("X", deck="slide 0", statement="Twice two is $4$.", page="1-isometry/jacobian", recorded="holds")
... def twice_two():
...     return Verdict("holds", 2 * 2, "twice two", "Checked by arithmetic.")
>>> ledger.get("X").verdict().number
4
"""

from __future__ import annotations

import functools
import html
import importlib
import math
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .._html import Html, check_text, inline, plain, style
from ..errors import ArgumentError, bad, check_choice, check_number

__all__ = ["KINDS", "LEDGER", "Claim", "Ledger", "Verdict", "claim", "get", "show", "table"]

KINDS = ("holds", "holds if", "fails")
_CLASS = {"holds": "ol-holds", "holds if": "ol-conditional", "fails": "ol-fails"}
_MARK = {"holds": "✓", "holds if": "◐", "fails": "✗"}


@dataclass(frozen=True)
class Verdict:
    """What the test of a claim found.

    ``kind``: "holds", "holds if" or "fails"; ``number``: the number that decides, with its ``meaning`` in words;
    ``summary``: the verdict in a sentence; ``condition``: when it holds, for "holds if" only.
    The texts may hold ``$math$``.

    >>> Verdict("fails", 0.00412, "the median", "Only the mean is fixed.").figure
    '0.00412'
    """

    kind: str
    number: float | str
    meaning: str
    summary: str
    condition: str = ""

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_text("meaning", self.meaning)
        check_text("summary", self.summary)
        if not isinstance(self.number, str) and not math.isfinite(check_number("number", self.number)):
            raise bad("number", self.number, "finite")
        if (self.kind == "holds if") != bool(self.condition):
            raise ArgumentError(f"condition must be given for 'holds if', and for it only; got {self.condition!r}")

    @property
    def figure(self) -> str:
        """The number as it is printed."""
        return self.number if isinstance(self.number, str) else f"{self.number:.4g}"


@dataclass(frozen=True)
class Claim:
    """A claim of the deck: its place there, what it says in our words, its test, and its page in the book.

    ``recorded`` (and ``recorded_number`` within the relative ``tolerance``) is the verdict that the tests expect.

    >>> item = Claim("X", "slide 0", "One is 1.", lambda: Verdict("holds", 1, "one", "So."), "a/page", "holds")
    >>> item.verdict().kind, item.disagreement()
    ('holds', '')
    """

    id: str
    deck: str
    statement: str
    test: Callable[[], Verdict] = field(repr=False)
    page: str
    recorded: str
    recorded_number: float | str | None = None
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        for name in ("id", "deck", "statement", "page"):
            check_text(name, getattr(self, name))
        check_choice("recorded", self.recorded, KINDS)
        if not callable(self.test):
            raise bad("test", self.test, "a function without arguments that returns a Verdict")

    def verdict(self) -> Verdict:
        """Return the verdict of the test, which is run once a process."""
        return _recompute(self.test)

    def disagreement(self) -> str:
        """Return how the recomputed verdict differs from the recorded one; empty if it does not."""
        found = self.verdict()
        if found.kind != self.recorded:
            number = f"{found.figure}: {found.meaning}"
            return f"claim {self.id}: recorded {self.recorded!r}, recomputed {found.kind!r} ({number})"
        want = self.recorded_number
        if want is None or want == found.number:
            return ""
        both_numbers = not isinstance(want, str) and not isinstance(found.number, str)
        if both_numbers and math.isclose(want, found.number, rel_tol=self.tolerance):
            return ""
        return f"claim {self.id}: recorded {want!r} ({found.meaning}), recomputed {found.number!r}"

    def _repr_html_(self) -> str:
        return box(self).html


@functools.cache
def _recompute(test: Callable[[], Verdict]) -> Verdict:
    verdict = test()
    if not isinstance(verdict, Verdict):
        raise bad("the result of a claim's test", verdict, "a Verdict")
    return verdict


class Ledger:
    """A registry of claims by id, in the order in which they were registered.

    >>> len(Ledger())
    0
    """

    def __init__(self, package: str | None = None):
        self._claims: dict[str, Claim] = {}
        self._package = package
        self._loaded = package is None

    def register(self, new: Claim) -> Claim:
        """Add a claim; the id must be new (running a notebook cell or reloading a module replaces its own claim)."""
        old = self._claims.get(new.id)
        if old and (old.test.__module__, old.test.__qualname__) != (new.test.__module__, new.test.__qualname__):
            raise ArgumentError(f"id must be new; {new.id!r} is taken by {old.test.__module__}.{old.test.__qualname__}")
        self._claims[new.id] = new
        return new

    def claim(self, id: str, **fields) -> Callable[[Callable[[], Verdict]], Callable[[], Verdict]]:
        """Register the decorated test function as a claim; ``fields`` are those of :class:`Claim`.

        >>> ledger = Ledger()
        >>> @ledger.claim("X", deck="slide 0", statement="One is 1.", page="a/page", recorded="holds")
        ... def one():
        ...     return Verdict("holds", 1, "one", "So.")
        >>> [item.id for item in ledger]
        ['X']
        """

        def decorate(test: Callable[[], Verdict]) -> Callable[[], Verdict]:
            self.register(Claim(id=id, test=test, **fields))
            return test

        return decorate

    def get(self, id: str) -> Claim:
        """Return the claim with this id; ArgumentError lists the known ones.

        >>> get("no such claim")
        Traceback (most recent call last):
        ortholab.errors.ArgumentError: id must be one of ...
        """
        self._load()
        if id not in self._claims:
            raise bad(
                "id", id, "one of " + ", ".join(map(repr, self._claims)) if self._claims else "registered (none is)"
            )
        return self._claims[id]

    def __iter__(self) -> Iterator[Claim]:
        """The claims by chapter (the folder of their pages), in the order of registration within one."""
        self._load()
        return iter(sorted(self._claims.values(), key=lambda item: item.page.partition("/")[0]))

    def __len__(self) -> int:
        self._load()
        return len(self._claims)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
            importlib.import_module(f"{self._package}.{module.name}")


LEDGER = Ledger(__name__)
claim = LEDGER.claim
get = LEDGER.get


def show(id: str) -> None:
    """Display the box of one claim: where the deck makes it, its verdict, the number, the condition.

    >>> show("1-condition")
    Claim 1-condition ...
    """
    box(get(id)).show()


def table(root: str = "..", ids: Iterable[str] | None = None) -> None:
    """Display the whole ledger, or the claims ``ids`` of it; ``root`` leads from the page to the chapters' folder.

    Raises ArgumentError for an unknown id.

    >>> table(ids=["1-condition"])
    Claim 1-condition ...
    """
    sheet(tuple(LEDGER) if ids is None else tuple(map(get, ids)), root).show()


def badge(verdict: Verdict) -> str:
    """Return the verdict as a coloured word with a mark."""
    mark = f'<span aria-hidden="true">{_MARK[verdict.kind]}</span>'
    return f'<span class="ol-badge {_CLASS[verdict.kind]}">{mark} {verdict.kind}</span>'


def box(item: Claim) -> Html:
    """Return the box of a claim as HTML with a text fallback."""
    found = item.verdict()
    condition = f'<p class="ol-condition">Holds if {inline(found.condition)}.</p>' if found.condition else ""
    markup = (
        f'<div class="ol ol-claim {_CLASS[found.kind]}">{style(_RULES, _TOKENS)}'
        f'<p class="ol-claim-head"><strong>Claim {html.escape(item.id)}</strong> '
        f'<span class="ol-deck">{inline(item.deck)}</span> {badge(found)}</p>'
        f'<p class="ol-statement">{inline(item.statement)}</p>{condition}'
        f'<p class="ol-number"><strong>{html.escape(found.figure)}</strong> {inline(found.meaning)}</p>'
        f'<p class="ol-summary">{inline(found.summary)}</p></div>'
    )
    return Html(markup, _text(item))


def sheet(items: tuple[Claim, ...], root: str = "..") -> Html:
    """Return a ledger as an HTML table with a text fallback."""
    rows = []
    for item in items:
        found = item.verdict()
        condition = f" {inline(found.condition)}" if found.condition else ""
        page = item.page.split("/")[-1].replace("_", " ")
        link = f'<a href="{html.escape(f"{root}/{item.page}.html")}">{html.escape(page)}</a>'
        head = f'{html.escape(item.id)}<br><span class="ol-deck">{inline(item.deck)}</span><br>{link}'
        cells = {
            "Statement": inline(item.statement),
            "Verdict": badge(found) + condition,
            "Number": f"<strong>{html.escape(found.figure)}</strong> {inline(found.meaning)}",
        }
        row = "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in cells.items())
        rows.append(f'<tr><th scope="row">{head}</th>{row}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Claim", "Statement", "Verdict", "Number"))
    markup = (
        f'<div class="ol ol-ledger">{style(_RULES, _TOKENS)}<table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return Html(markup, "\n\n".join(_text(item) for item in items))


def _text(item: Claim) -> str:
    found = item.verdict()
    condition = f" {plain(found.condition)}" if found.condition else ""
    return (
        f"Claim {item.id} ({plain(item.deck)}): {found.kind}{condition}\n  {plain(item.statement)}\n"
        f"  {found.figure}: {plain(found.meaning)}\n  {plain(found.summary)}"
    )


_TOKENS = ("ink", "muted", "line", "holds", "fails", "conditional")
_RULES = """
:where(.ol-claim){margin:1.2em 0;padding:.6em 1em;border-left:4px solid @(line);max-width:46em}
:where(.ol-claim.ol-holds){border-color:@(holds)}:where(.ol-claim.ol-fails){border-color:@(fails)}
:where(.ol-claim.ol-conditional){border-color:@(conditional)}
:where(.ol-claim p){margin:.2em 0}:where(.ol-deck){color:@(muted)}
:where(.ol-badge){font-weight:600;white-space:nowrap}:where(.ol-badge.ol-holds){color:@(holds)}
:where(.ol-badge.ol-fails){color:@(fails)}:where(.ol-badge.ol-conditional){color:@(conditional)}
:where(.ol-ledger table){border-collapse:collapse;width:100%}
:where(.ol-ledger th[scope=row]) :where(.ol-deck,a){font-weight:400}:where(.ol-ledger tbody th){width:22%}
:where(.ol-ledger th,.ol-ledger td){text-align:left;vertical-align:top;padding:.4em .6em}
.jp-RenderedHTMLCommon .ol-ledger :is(th,td){text-align:left;vertical-align:top;white-space:normal}
:where(.ol-ledger th,.ol-ledger td){border-bottom:1px solid @(line)}
@media(max-width:700px){:where(.ol-ledger thead){position:absolute;clip-path:inset(50%)}
:where(.ol-ledger tr,.ol-ledger th,.ol-ledger td){display:block;border:0;padding:.1em 0}
:where(.ol-ledger tbody th){width:auto}
:where(.ol-ledger tr){border-bottom:1px solid @(line);padding:.6em 0}
:where(.ol-ledger td)::before{content:attr(data-label) ": ";color:@(muted)}}
"""
