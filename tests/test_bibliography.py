"""The bibliography: every work has a working link, each stands once, is cited, and every citation is known."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from ortholab import _public
from ortholab.citation import entries, keys_in, parse, source_of

BOOK = Path(__file__).resolve().parents[1] / "book"
TEXT = (BOOK / "references.bib").read_text(encoding="utf-8")
ARXIV = re.compile(r"\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7}")
DOI = re.compile(r"10\.\d{4,9}/\S+")
# Slides that are published nowhere, and two works of print that have neither number.
UNLINKED = {"deck2019", "voiculescu1987multiplication", "higham1989matrix"}
SENTENCE = re.compile(r'\bSources?:\s+(.*?)(?=\n\s*\n|""")', flags=re.S)
REQUIRED = ("author", "title", "year")


def cited() -> set[str]:
    """List every key that the pages cite, and those that the library's sources name (the API's pages show them)."""
    role, found = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`"), set()
    for path in [*BOOK.rglob("*.md"), *BOOK.rglob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        for keys in role.findall(text):
            found |= {key.strip() for key in keys.split(",")}
    return found


CITED = cited()
SOURCES = {key for obj in _public.objects().values() for key in keys_in(source_of(obj))}
LIBRARY = "\n\n".join(path.read_text(encoding="utf-8") for path in (BOOK.parent / "ortholab").rglob("*.py"))


def test_all_entries_are_read():
    assert len(entries()) == len(re.findall(r"(?m)^@\w+\{", TEXT)) > 70
    assert parse(TEXT).keys() == entries().keys()


@pytest.mark.parametrize("key", entries())
def test_an_entry_is_whole_and_leads_somewhere(key):
    entry = entries()[key]
    assert [name for name in REQUIRED if not entry.fields.get(name)] == []
    assert re.fullmatch(r"(18|19|20)\d\d", entry.year)
    assert re.fullmatch(r"[a-z]+\d{4}[a-z0-9]*", key) or key in UNLINKED
    note, url, doi = (entry.fields.get(name, "") for name in ("note", "url", "doi"))
    if "arXiv" in note:
        assert ARXIV.fullmatch(entry.arxiv), "the arXiv number is not well formed"
        assert url == f"https://arxiv.org/abs/{entry.arxiv}", "the link is another paper's"
    if doi:
        assert DOI.fullmatch(doi)
    assert key in UNLINKED or re.fullmatch(r"https://\S+", entry.link)


def test_no_work_stands_twice():
    works = entries().values()
    for what in ("arxiv", "link"):
        values = [getattr(entry, what) for entry in works]
        assert [value for value, n in Counter(filter(None, values)).items() if n > 1] == []
    titles = Counter(re.sub(r"[^a-z]", "", entry.fields["title"].lower()) for entry in works)
    assert [title for title, n in titles.items() if n > 1] == []


def test_every_citation_is_known_and_every_work_is_cited():
    assert CITED - entries().keys() == set()
    inside = {key for sentence in SENTENCE.findall(LIBRARY) for key in keys_in(sentence)}  # of what is not public
    assert entries().keys() - CITED - SOURCES - inside == set()
