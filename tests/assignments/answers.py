"""Answers to an assignment, right and wrong, read from a text file: how each differs, its code, what it must hear."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


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
