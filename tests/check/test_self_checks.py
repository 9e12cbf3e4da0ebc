"""The book's self-checks: the first try on the page fails with a hint, and a mended one passes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
# page: words that the first try hears, what is wrong in it, what mends it
MENDED = {
    "1-isometry/jacobian": ("off by 1 in an entry", "slopes[:, None] * W", "np.eye(len(x)) + slopes[:, None] * W"),
    "1-isometry/signal_propagation": ("not", "(1 + a)", "(1 + a**2)"),
    "2-initialization/relu_vs_hardtanh": ("not", "(1 - alpha**2) ** 2", "((1 - alpha**2) / (1 + alpha**2)) ** 2"),
    "3-constraints/stiefel": ("slope 0.5", "turning(W, X) / 2", "turning(W, X)"),
    "3-constraints/soft_constraints": ("a factor is lost", "4 * W", "4 / g**2 * W"),
    "4-gain/gain_adjusted_penalty": (
        "The direction is wrong",
        "W @ (W.T @ W / g**2 - np.eye(W.shape[1]))",
        "W * (np.sum(W**2, axis=0) / g**2 - 1)",
    ),
}


def self_checks() -> dict[str, list[str]]:
    """Return the code of the self-checks of each page."""
    found = {}
    for path in sorted(BOOK.glob("[1-9]-*/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        codes = ["".join(c["source"]) for c in cells if "self-check" in c["metadata"].get("tags", [])]
        if codes:
            found[f"{path.parent.name}/{path.stem}"] = codes
    return found


FOUND = self_checks()


def printed(code: str, capsys) -> list[str]:
    """Run a self-check alone, as a reader may who goes to it first; return what each check says."""
    exec(compile(code, "<self-check>", "exec"), {"__name__": "__main__"})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 78
    return re.split(r" (?=Not yet: |Nothing)", " ".join(lines))


def test_every_chapter_has_one():
    assert {page.split("/")[0] for page in FOUND} == {p.name for p in BOOK.glob("[1-4]-*")}
    assert FOUND.keys() == MENDED.keys()


@pytest.mark.parametrize("page", FOUND)
def test_the_first_try_fails_with_a_hint_and_the_mended_one_passes(page, capsys):
    words, wrong, right = MENDED[page]
    for code in FOUND[page]:
        said = printed(code, capsys)
        assert said
        assert all(line.startswith("Not yet: ") and words in line for line in said), said
        assert wrong in code
        mended = printed(code.replace(wrong, right), capsys)
        assert mended == ["Nothing is missing."] * len(said)
