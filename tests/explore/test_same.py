"""What counts as the same answer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from same import differences

ANSWER = {"y": [1.0, None, -4.0], "z": [[0.0, 1.0], [2.0, 3.0]], "facts": [["χ", 1.5], ["none", None]], "words": "so"}


def test_rounding_is_no_difference():
    near = ANSWER | {"y": [1.0 + 3e-12, None, -4.0], "z": [[2e-12, 1.0], [2.0, 3.0]]}
    assert differences(ANSWER, near) == []


@pytest.mark.parametrize(
    "change",
    [{"y": [1.0 + 5e-12, None, -4.0]}, {"y": [1.0, 0.0, -4.0]}, {"y": [1.0, None]}, {"z": [[0.0, 1.0], [2.0, 3.1]]},
     {"facts": [["χ", 1.5000001], ["none", None]]}, {"facts": [["χ", 1.5], ["none", 0.0]]}, {"words": "No"},
     {"facts": [["chi", 1.5], ["none", None]]}],
)  # fmt: skip
def test_anything_else_is(change):
    assert len(differences(ANSWER, ANSWER | change)) == 1
    assert differences(ANSWER, {"y": ANSWER["y"]}) != []
