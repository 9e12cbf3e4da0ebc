"""Answers that are no answers: whatever a function returns or raises, the checks say so in words and never crash."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ortholab.check import CheckFailed

spec = importlib.util.spec_from_file_location("assignment_sources", Path(__file__).with_name("sources.py"))
sources = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
if not hasattr(sources, "run"):
    spec.loader.exec_module(sources)

JUNK = {
    "None": None, "text": "0.5", "NaN": float("nan"), "infinity": float("inf"), "an object": object(),
    "an empty list": [],
    "a dict": {}, "a complex number": 1j, "True": True, "-1": -1, "a pair": (1.0, 2.0), "a triple": (1.0, 2.0, 3.0),
    "a class": int, "an empty array": np.zeros((0, 0)), "a vector": np.zeros(3), "NaNs": np.full((4, 4), np.nan),
    "a ragged list": [[1.0], [1.0, 2.0]], "a pair of texts": ("W", "X"), "a huge matrix": np.full((2, 2), 1e200),
    "a row of none": np.zeros((1, 0)), "integers": np.arange(4).reshape(2, 2),
    "a dict of None": {"adjusted - plain": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def spaces() -> dict[str, dict]:
    """The names that each assignment's own cells make, once a module."""
    return {}


def prepare(spaces: dict, name: str) -> dict:
    if name not in spaces:
        spaces[name] = {"__name__": "assignment"}
        for cell in sources.cells(name):
            if cell.kind == "code" and not cell.solution and not cell.is_test and "simulation" not in cell.id:
                exec(compile(cell.text, cell.id, "exec"), spaces[name])
    return dict(spaces[name])


def functions(name: str, part: str) -> list[str]:
    tree = ast.parse(sources.answer(name, part))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("name", ["3-constraints", "4-gain"])
@pytest.mark.parametrize("kind", [*JUNK, "an exception"])
def test_junk_is_refused_in_words(name, kind, spaces):
    def junk(*arguments):
        if kind == "an exception":
            raise KeyError("x")
        return JUNK[kind]

    for part in sources.parts(name):
        for function in functions(name, part):
            space = prepare(spaces, name)
            exec(compile(sources.answer(name, part), part, "exec"), space)
            space[function] = junk
            failed = 0
            for test in sources.tests(name, part):
                if test.grade_id == "audit-visible" and function == "verdict":
                    continue  # it trains networks before anything is said
                try:
                    exec(compile(test.text, test.id, "exec"), space)
                except CheckFailed:
                    failed += 1
            assert failed, (part, function)
