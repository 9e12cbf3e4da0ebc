"""Answers to the assignments, right and wrong: how each differs, its whole cell, the words that it must hear.

Two kinds of files hold them: `changes_*.py` changes one piece of the source's own answer, `wrong_*.txt` and
`right_*.txt` have code that runs after it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import NamedTuple

import sources


class Answer(NamedTuple):
    """``code`` runs after the source's answer to ``part`` and replaces a function of it; ``words`` of its message."""

    part: str
    what: str
    words: str
    code: str

    def __str__(self) -> str:
        return f"{self.part}: {self.what}"


def read(file: str) -> list[Answer]:
    """Return the blocks of a file of this folder, each headed by a line `### part | how it differs | words`."""
    blocks = Path(__file__).with_name(file).read_text(encoding="utf-8").split("\n### ")[1:]
    found = []
    for block in blocks:
        head, code = block.split("\n", 1)
        part, what, words = (piece.strip() for piece in head.split("|"))
        found.append(Answer(part, what, words, code))
    return found


class Case(NamedTuple):
    """An answer to try: ``text`` is the whole cell, ``words`` of the message that it must earn (none if right)."""

    name: str
    part: str
    what: str
    words: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}, {self.part}: {self.what}"


def wrong(name: str) -> list[Case]:
    """Return the wrong answers to an assignment."""
    return _cases(name, "wrong")


def right(name: str) -> list[Case]:
    """Return right answers to an assignment that go another way than its own."""
    return _cases(name, "right")


def _cases(name: str, kind: str) -> list[Case]:
    stem = name.replace("-", "_")
    if Path(__file__).with_name(f"{kind}_{stem}.txt").exists():
        found = read(f"{kind}_{stem}.txt")
        return [Case(name, a.part, a.what, a.words, f"{sources.answer(name, a.part)}\n\n{a.code}") for a in found]
    found = getattr(importlib.import_module(f"changes_{stem}"), kind.upper())
    return [
        Case(name, part, f"{old} -> {new}", "".join(words), sources.changed(name, part, old, new))
        for part, old, new, *words in found
    ]
