"""Assignment 1: what its worked answers say holds. Its answers, right and wrong: test_answers.py."""

from __future__ import annotations

import sources

NAME = "1-isometry"


def test_the_worked_conclusion_agrees_with_the_experiment():
    space = {}
    exec(next(c.text for c in sources.cells(NAME) if c.grade_id == "setup"), space)
    exec(sources.answer(NAME, "walk"), space)
    low, high = space["experiment"](range(100))
    assert 0 < low < 59 / 40 < high
    assert abs((low + high) / 2 - 1.4) < 0.05
