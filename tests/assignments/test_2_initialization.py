"""Assignment 2: what its worked answers say holds. Its answers, right and wrong: test_answers.py."""

from __future__ import annotations

import sources

NAME = "2-initialization"


def test_the_worked_conclusion_agrees_with_the_experiment():
    space = {}
    for given in ("setup", "race-given"):
        exec(next(c.text for c in sources.cells(NAME) if c.grade_id == given), space)
    exec(sources.answer(NAME, "race"), space)
    ratio, low, _ = space["compare"](space["steps"], range(10))
    assert low > 3
    assert ratio > 5
    assert max(space["steps"]("gaussian", seed) for seed in range(10)) < space["BUDGET"]
