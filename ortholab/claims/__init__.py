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
import importlib
import math
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .._html import check_text
from ..errors import ArgumentError, bad, check_choice, check_number
from . import _kept
from ._page import box, contents, sheet

__all__ = ["KINDS", "LEDGER", "Claim", "Ledger", "Verdict", "claim", "get", "index", "show", "table"]

KINDS = ("holds", "holds if", "fails")


@dataclass(frozen=True)
class Verdict:
    """What the test of a claim found.

    ``kind``: "holds", "holds if" or "fails"; ``number``: the number that decides, with its ``meaning`` in words;
    ``interval``: its 95 % interval (low, high), where the number is an estimate;
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
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        check_text("meaning", self.meaning)
        check_text("summary", self.summary)
        if not isinstance(self.number, str) and not math.isfinite(check_number("number", self.number)):
            raise bad("number", self.number, "finite")
        if (self.kind == "holds if") != bool(self.condition):
            raise ArgumentError(f"condition must be given for 'holds if', and for it only; got {self.condition!r}")
        if self.interval is not None:
            low, high = (check_number("interval", end) for end in self.interval)
            if isinstance(self.number, str) or not low <= self.number <= high:
                raise bad("interval", self.interval, f"a pair of ends about the number {self.number!r}")

    @property
    def figure(self) -> str:
        """The number as it is printed, with its interval."""
        if isinstance(self.number, str):
            return self.number
        ends = "" if self.interval is None else " (95 %: {:.3g} to {:.3g})".format(*self.interval)
        return f"{self.number:.4g}{ends}"


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
        """Return the verdict of the test, which is run once a process at most."""
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
    found = _kept.read(test)
    if found is not None:
        return Verdict(**found)
    verdict = test()
    if not isinstance(verdict, Verdict):
        raise bad("the result of a claim's test", verdict, "a Verdict")
    _kept.write(test, verdict)
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


def index(root: str = "..") -> None:
    """Display every equation, figure, claim and cited system of the deck with the verdicts on it.

    Each verdict leads to its row in :func:`table` and its page; ``root`` leads to the chapters' folder.

    >>> from ortholab.claims._deck import ITEMS
    >>> ITEMS["equation (8)"]
    ('stiefel', '8')
    """
    from ._deck import PARTS

    contents(
        {part: {name: [get(i) for i in ids] for name, ids in items.items()} for part, items in PARTS.items()}, root
    ).show()
