"""The browser's Python, run by Node, answers what the native one answers: words equal, numbers to 1e-12."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ortholab import explore
from ortholab.explore.controls import Formula, flatten

sys.path.insert(0, str(Path(__file__).parent))
from ask import in_node, missing, moves
from hostile import TYPED
from same import differences

RANDOM = 12  # settings of each explorable, besides those that a page stores

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "all is here")


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str]]:
    """Every stored state, random moves, and the formulas that a page must refuse."""
    asked = []
    for name in explore.names():
        states = [*explore.get(name).states(), *moves(name, RANDOM, seed=1)]
        asked += [(name, json.dumps(state)) for state in states]
        boxes = [control for control in flatten(explore.get(name).controls) if isinstance(control, Formula)]
        for box in boxes:
            shown = dict([box.shown_when]) if box.shown_when else {}
            asked += [(name, json.dumps(shown | {box.name: text})) for text in (box.default, *TYPED.values())]
    return asked


@pytest.fixture(scope="module")
def answers(pairs) -> list[str]:
    """What the browser's Python says to each."""
    return [line["answer"] for line in in_node(pairs)[1]]


@pytest.mark.parametrize("name", explore.names())
def test_every_answer_equals_the_native_one(name, pairs, answers):
    asked = [(request, answer) for (of, request), answer in zip(pairs, answers, strict=True) if of == name]
    assert len(asked) > RANDOM
    wrong = []
    for request, answer in asked:
        found = differences(json.loads(explore.answer(name, request)), json.loads(answer))
        wrong += [f"{request[:200]} {line}" for line in found[:3]]
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:12])


def test_hostile_formulas_get_a_message(pairs, answers):
    refused = 0
    for (name, request), answer in zip(pairs, answers, strict=True):
        boxes = [control.name for control in flatten(explore.get(name).controls) if isinstance(control, Formula)]
        if any(json.loads(request).get(box) in TYPED.values() for box in boxes):
            message = json.loads(answer).get("error", "")
            assert 10 < len(message) < 400, request
            assert "Error in" not in message, message  # an error that nobody foresaw
            refused += 1
    assert refused >= 2 * len(TYPED) >= 100  # two explorables have a box


def test_a_wrong_answer_is_seen(answers):
    """The comparison is not blind: one number of the first picture moved by 1e-9 of the largest is found."""
    right = json.loads(answers[0])
    wrong = json.loads(answers[0])
    mark = next(m for panel in wrong["picture"]["panels"] for m in panel["marks"] if m.get("y"))
    mark["y"][0] = mark["y"][0] + 1e-9 * max(abs(v) for v in mark["y"] if v is not None)
    assert differences(right, right) == []
    assert len(differences(right, wrong)) == 1
