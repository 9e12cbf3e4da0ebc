r"""Where something of the library comes from: BibTeX from the works that its docstring names.

A docstring ends its text with the word Source, a colon and the works, between semicolons: each by its arXiv number, or
by its authors' names and its year. A module whose docstring names sources speaks for all that it holds. The works are
those of the book's references.bib, which an installed package carries with it.

>>> from ortholab import cite, theory
>>> print(cite(theory.haar).splitlines()[0])
@article{stewart1980efficient,
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from .errors import ArgumentError, bad

__all__ = ["BibTeX", "Entry", "cite", "entries", "keys_in", "source_of"]

_HERE = Path(__file__).resolve().parent
# In an installed package beside this file; in a clone there is one file only, the book's.
_PLACES = (_HERE / "references.bib", _HERE.parent / "book" / "references.bib")
_ARXIV = r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}"
_SOURCE = re.compile(r"\bSources?:\s+(.*?)(?=\n\s*\n|\Z)", flags=re.S)
_DECK = "deck2019"


class BibTeX(str):
    """BibTeX entries as text, shown line by line where a notebook or a console shows a value.

    >>> BibTeX("@misc{a,\\n}")
    @misc{a,
    }
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Entry:
    """One work of references.bib: its key, its fields by lower-case name, and its BibTeX as it stands there.

    >>> entries()["saxe2014exact"].surnames, entries()["saxe2014exact"].arxiv
    (('saxe', 'mcclelland', 'ganguli'), '1312.6120')
    """

    key: str
    kind: str
    fields: dict[str, str]
    text: str

    @property
    def surnames(self) -> tuple[str, ...]:
        """The authors' surnames, in small ASCII letters; one empty name if there is no author."""
        return tuple(_fold(author.split(",")[0]) for author in self.fields.get("author", "").split(" and "))

    @property
    def year(self) -> str:
        """The year of publication."""
        return self.fields.get("year", "")

    @property
    def arxiv(self) -> str:
        """The arXiv number; empty if there is none."""
        said = self.fields.get("note", "") + " " + self.fields.get("url", "")
        found = re.search(rf"(?:arXiv:\s*|arxiv\.org/abs/)({_ARXIV})", said)
        return found[1] if found else ""

    @property
    def link(self) -> str:
        """The address of the work, from its url, doi or arXiv number; empty if it has none of them."""
        if "doi" in self.fields:
            return "https://doi.org/" + self.fields["doi"]
        return self.fields.get("url") or (f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else "")


def _fold(name: str) -> str:
    """Leave of a name what is written alike in BibTeX, in UTF-8 and in ASCII."""
    name = re.sub(r"\\l\b", "l", name)
    name = re.sub(r"\\[^a-zA-Z]|\\[a-zA-Z]\b", "", name)
    decomposed = unicodedata.normalize("NFKD", re.sub(r"[{}'\s-]", "", name))
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalpha()).lower()


def parse(text: str) -> dict[str, Entry]:
    """Read BibTeX as the book writes it: a field a line, an entry closed by a brace of its own.

    Raises ArgumentError for a key that stands twice.
    """
    found: dict[str, Entry] = {}
    for match in re.finditer(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}", text, flags=re.M | re.S):
        kind, key, body = match.groups()
        if key in found:
            raise ArgumentError(f"text must have each key once; got {key!r} twice")
        fields = {name.lower(): value for name, value in re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", body, re.M)}
        found[key] = Entry(key, kind.lower(), fields, match[0])
    return found


@functools.cache
def entries() -> dict[str, Entry]:
    """Return the works of references.bib by their keys, in its order.

    >>> entries()["kingma2015adam"].link
    'https://arxiv.org/abs/1412.6980'
    """
    for place in _PLACES:
        if place.is_file():
            return parse(place.read_text(encoding="utf-8"))
    raise FileNotFoundError(f"references.bib is missing: looked for {' and '.join(map(str, _PLACES))}")


def keys_in(source: str) -> tuple[str, ...]:
    """Return the keys of the works that a sentence on sources names, in its order.

    What it does not know it passes over.

    >>> keys_in("Saxe et al. (arXiv 1312.6120); Kingma and Ba 2015; the deck, equation (2).")
    ('saxe2014exact', 'kingma2015adam', 'deck2019')
    """
    by_arxiv = {entry.arxiv: entry.key for entry in entries().values() if entry.arxiv}
    found: list[tuple[int, str]] = []
    if (deck := re.search(r"\b(2019 |the )deck\b", source)) and _DECK in entries():
        found.append((deck.start(), _DECK))
    for match in re.finditer(_ARXIV, source):
        if match[0] in by_arxiv:
            found.append((match.start(), by_arxiv[match[0]]))
    known = {name for entry in entries().values() for name in entry.surnames}
    for year in re.finditer(r"\b(?:19|20)\d\d\b", source):
        # The authors are named since the last semicolon or year; the first of them is the work's first.
        before = re.split(r";|\b(?:19|20)\d\d\b", source[: year.start()])[-1]
        named = [name for word in re.findall(r"[A-Z][\w'’-]+", before) if (name := _fold(word)) in known]
        for entry in entries().values():
            if named and entry.year == year[0] and entry.surnames[0] == named[0] and {*named} <= {*entry.surnames}:
                found.append((year.start(), entry.key))
    return tuple(dict.fromkeys(key for _, key in sorted(found)))


def source_of(obj: object) -> str:
    """Return what the docstring of ``obj`` says of its source; else what its module's says, "" if neither does.

    A value (an activation, say) has the source of its class.

    >>> source_of("ortholab.theory.chi")[:20]
    'Poole et al. 2016 (a'
    """
    obj = _resolve(obj)
    if not (inspect.ismodule(obj) or inspect.isroutine(obj) or inspect.isclass(obj) or isinstance(obj, property)):
        obj = type(obj)
    texts = [inspect.getdoc(obj) or ""]
    if not inspect.ismodule(obj):
        module = sys.modules.get(getattr(obj, "__module__", None) or "")
        owner = getattr(obj, "__qualname__", "").rpartition(".")[0]
        if owner and module is not None and "<" not in owner:
            texts.append(inspect.getdoc(functools.reduce(getattr, owner.split("."), module)) or "")
        texts.append(inspect.getdoc(module) or "")
    for text in texts:
        if pieces := _SOURCE.findall(text):
            return " ".join("; ".join(pieces).split())
    return ""


def _resolve(obj: object) -> object:
    """Find what a dotted name means; anything else is itself."""
    if not isinstance(obj, str):
        return obj
    first, *rest = obj.split(".")
    if first != "ortholab":
        raise bad("obj", obj, "an object of ortholab, or its dotted name, as 'ortholab.theory.chi'")
    found: object = importlib.import_module(first)
    for done, part in enumerate(rest, start=1):
        try:
            found = (
                getattr(found, part)
                if hasattr(found, part)
                else importlib.import_module(".".join([first, *rest[:done]]))
            )
        except ModuleNotFoundError:
            raise bad("obj", obj, "an object of ortholab, or its dotted name, as 'ortholab.theory.chi'") from None
    return found


def cite(obj: object) -> BibTeX:
    """Return the BibTeX of the works that an object of the library comes from.

    ``obj`` is a function, a class, a value or a module of ortholab, or its dotted name. The works are those that its
    docstring names, or else its module's. Raises ArgumentError if neither names one.

    >>> print(cite("ortholab.theory.deep_linear.trajectory").splitlines()[0])
    @inproceedings{saxe2014exact,
    """
    source = source_of(obj)
    keys = keys_in(source)
    if not keys:
        said = f": it says {source!r}" if source else ""
        raise bad("obj", obj, f"an object whose docstring, or whose module's, names a source{said}")
    return BibTeX("\n\n".join(entries()[key].text for key in keys))
