"""The glossary: every term is used on the page that it leads to, explained shortly, and in order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGE = (BOOK / "appendix" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^(\S.*)\n  (\S.*)$", PAGE.split("{glossary}")[1], flags=re.M)


def words(page: str) -> str:
    """Return the prose of a page, in small letters, with single spaces."""
    cells = json.loads((BOOK / page).read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"\s+", " ", text.lower())


def test_the_list_is_as_long_as_it_looks_and_in_order():
    terms = [term.lower() for term, _ in ENTRIES]
    assert 30 <= len(terms) <= 80
    assert terms == sorted(terms)
    assert len(set(terms)) == len(terms)
    body = PAGE.split("{glossary}")[1]
    assert len(re.findall(r"(?m)^\w", body)) == len(terms), "a term has no explanation"


@pytest.mark.parametrize(("term", "says"), ENTRIES, ids=[term for term, _ in ENTRIES])
def test_a_term_is_used_on_its_page_and_explained_shortly(term, says):
    found = re.search(r"^(.*\.) \[[^]]+\]\(\.\./([\w/-]+\.ipynb)\)\.$", says)
    assert found, "an explanation, then the link to its page"
    text = words(found[2])
    assert (r"\chi" if term == "chi" else term.lower()) in text
    assert len(found[1].split()) <= 40
    assert 1 <= len(re.findall(r"[.:]\s|\.$", found[1])) <= 3
