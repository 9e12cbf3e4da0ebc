"""One voice: every page of the chapters opens, asks, answers and ends in the same form."""

from __future__ import annotations

import json
import re

import pytest
from site_tools import ROOT

PAGES = sorted(ROOT.glob("book/[1-9]-*/*.ipynb"))
OPENING = ("After this page you can\n\n- ", "**Needs** ", "**Runs in** ", "**Slides** ")
# Words of advertising, and fillers that carry nothing.
HYPE = re.compile(
    r"(?i)\b(state-of-the-art|cutting-edge|groundbreaking|revolutionary|seamless\w*|leverag\w+|delv\w+|game-chang\w+|"
    r"it is worth noting|needless to say|obviously|of course,|very unique|in today's)\b"
)


def faults(notebook: dict) -> list[str]:
    """List where a page leaves the book's form."""
    cells = notebook["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    text, found = "\n".join(texts), []
    found += [f"the opening lacks {part.strip()!r}" for part in OPENING if part not in texts[0]]
    heads = re.findall(r"(?m)^## (.+)$", re.sub(r"(?ms)^```python.*?^```", "", text))
    if heads[-3:] != ["What was checked", "Exercises", "References"]:
        found.append(f"it ends with {heads[-3:]}")
    asked = re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text)
    answered = re.findall(r"\{solution\} (\S+)\n:class: dropdown", text)
    if len(asked) < 3 or asked != answered:
        found.append(f"exercises {asked} have the solutions {answered}")
    found += [f"a box is titled {title!r}" for title in re.findall(r"\{admonition\} (Erratum\b.*)", text)]
    found += [f"it says {word[0]!r}" for word in HYPE.finditer(text)]
    hidden = [cell for cell in cells if cell["id"].endswith("-answers")]
    found += [f"{cell['id']} is shown" for cell in hidden if cell["metadata"].get("tags") != ["remove-cell"]]
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_keeps_the_form(path):
    assert faults(json.loads(path.read_text(encoding="utf-8"))) == []


GOOD = """# A page

Why?

After this page you can

- do it.

**Needs** nothing. **Runs in** a second. **Slides** none.

## What was checked

All.

## Exercises
"""
ASKED = "\n```{exercise} One\n:label: x-ex-NUMBER\n\nDo it.\n```\n"
DONE = "\n````{solution} x-ex-NUMBER\n:class: dropdown\n\nDone.\n````\n"


def made(text: str, exercises: int = 3, solutions: int = 3, tags: tuple = ("remove-cell",)) -> dict:
    """Make a page."""
    for k in range(exercises):
        text += (ASKED + DONE * (k < solutions)).replace("NUMBER", str(k))
    answers = {"cell_type": "code", "id": "x-answers", "metadata": {"tags": list(tags)}, "source": ["assert True"]}
    return {"cells": [{"cell_type": "markdown", "id": "x", "source": [f"{text}\n## References\n\n- None."]}, answers]}


def test_the_check_finds_what_is_missing():
    assert faults(made(GOOD)) == []
    assert faults(made(GOOD.replace("**Needs**", "Needs"))) == ["the opening lacks '**Needs**'"]
    assert faults(made(GOOD.replace("## What was checked", "## Summary")))[0].startswith("it ends with")
    assert faults(made(GOOD, solutions=2))[0].startswith("exercises")
    assert faults(made(GOOD, exercises=2))[0].startswith("exercises")
    assert faults(made(GOOD + "\nA seamless page.")) == ["it says 'seamless'"]
    assert faults(made(GOOD + "\n```{admonition} Erratum: it\n:class: erratum\n```")) == [
        "a box is titled 'Erratum: it'"
    ]
    assert faults(made(GOOD, tags=())) == ["x-answers is shown"]
