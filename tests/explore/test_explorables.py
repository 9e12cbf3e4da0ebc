"""What every explorable must be: answers everywhere, words for everyone, small, and clear about bad input."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from ortholab import explore
from ortholab.errors import ArgumentError
from ortholab.explore import page
from ortholab.explore.controls import Choice, Formula, Range, Switch, flatten

MOST_BYTES = 100_000  # compressed, for all stored states of one explorable

WRONG = {Range: ("high", 1e9, None, [1.0], True), Choice: ("no such option", 1, None),
         Switch: ("yes", 1, None), Formula: ("1 +", 7, None, "__import__('os')")}  # fmt: skip

every = pytest.mark.parametrize("name", explore.names())


@pytest.fixture(scope="module")
def answers():
    """All stored answers of an explorable, computed once: ``answers(name) -> [(state, picture)]``."""
    known: dict[str, list] = {}

    def of(name: str) -> list[tuple[dict, dict]]:
        if name not in known:
            states = explore.get(name).states()
            known[name] = [(state, json.loads(explore.answer(name, json.dumps(state)))) for state in states]
        return known[name]

    return of


def words_of(picture: dict) -> list[str]:
    """Every word that a reader of this picture sees."""
    panels = [panel[key] for panel in picture["panels"] for key in ("x", "y", "title")]
    labels = [mark["label"] for panel in picture["panels"] for mark in panel["marks"]]
    return [*panels, *labels, picture["readout"], *(name for name, _ in picture["facts"])]


@every
def test_declaration(name):
    explorable = explore.get(name)
    spec = explorable.declare()
    assert spec["name"] == name
    assert spec["title"]
    assert all(len(spec[key]) > 20 for key in ("question", "answer", "caption"))
    assert len(explorable.alt) > 40
    assert "?" in explorable.question
    labels = [control["label"] for control in spec["controls"]]
    options = [words for control in spec["controls"] for _, words in control.get("options", ())]
    assert all(labels)
    assert len(set(labels)) == len(labels), "a screen reader could not tell two controls apart"
    words = [*(spec[k] for k in ("title", "question", "answer", "caption", "slow")), explorable.alt, *labels, *options]
    assert [w for w in words if "$" in w or "\\" in w] == []


@every
def test_every_state_answers(name, answers):
    states = answers(name)
    assert states[0][0] == explore.get(name).defaults()
    for state, answer in states:
        assert set(answer) == {"picture"}, (state, answer)
        picture = answer["picture"]
        assert 1 <= len(picture["panels"]) <= 3
        assert 10 < len(picture["readout"]) < 320
        assert picture["readout"].rstrip().endswith((".", "?", "!"))
        assert [w for w in words_of(picture) if "$" in w or "\\" in w or "nan" in w.split()] == [], state
        assert any(mark["label"] for panel in picture["panels"] for mark in panel["marks"]), state
        names = [fact for fact, _ in picture["facts"]]
        assert len(set(names)) == len(names)


@every
def test_axes_stand_still(name, answers):
    """What a panel shows may change with a choice; where its axes end may not change with a slider."""
    explorable = explore.get(name)
    ranges = {control.name for control in flatten(explorable.controls) if isinstance(control, Range)}
    limits = {}
    for state, answer in answers(name):
        key = json.dumps({k: v for k, v in state.items() if k not in ranges})
        found = [[panel["xlim"], panel["ylim"]] for panel in answer["picture"]["panels"]
                 if not any(mark["kind"] == "matrix" for mark in panel["marks"])]  # fmt: skip
        assert all(limit for panel in found for limit in panel), state
        assert limits.setdefault(key, found) == found, state


@every
def test_something_is_inside_the_axes(name, answers):
    """All panels show a mark at the defaults, and some panel in every state (a step of 0 has no error to draw)."""
    for state, answer in answers(name):
        panels = answer["picture"]["panels"]
        shown = [any(inside(mark, panel) for mark in panel["marks"]) for panel in panels]
        assert all(shown) if state == explore.get(name).defaults() else any(shown), (state, shown)


def inside(mark: dict, panel: dict) -> bool:
    """Whether a mark has a point within the panel's limits."""
    if mark["kind"] in ("matrix", "heat"):
        return True
    if mark["kind"] == "guide":
        low, high = panel["xlim" if mark["axis"] == "x" else "ylim"]
        return low <= mark["at"] <= high
    if mark["kind"] == "histogram":
        return max(mark["y"]) > panel["ylim"][0] and mark["edges"][-1] > panel["xlim"][0]
    x = np.array(mark["x"], dtype=float)
    y = np.array(mark["y"] if "y" in mark else mark["high"], dtype=float)
    (left, right), (low, high) = panel["xlim"], panel["ylim"]
    return bool(((x >= left) & (x <= right) & (y >= low) & (y <= high)).any())


@every
def test_controls_do_something(name):
    """Each control, moved alone from the defaults (with what shows it, if it is hidden), changes the picture."""
    explorable = explore.get(name)
    at_home = explorable.answer_text("{}")
    for control in flatten(explorable.controls):
        if isinstance(control, Formula):
            shown = dict([control.shown_when]) if control.shown_when else {}
            first, second = ({**shown, control.name: text} for text in (control.default, "0.5 * tanh(x)"))
            answers = [explorable.answer_text(json.dumps(values)) for values in (first, second)]
            assert answers[0] != answers[1], control.name
        else:
            others = [value for value in control.positions() if value != control.default]
            changed = [explorable.answer_text(json.dumps({control.name: value})) != at_home for value in others]
            assert any(changed) or _moves_elsewhere(explorable, control.name), control.name


def _moves_elsewhere(explorable, name: str) -> bool:
    """Whether a control that does nothing at the defaults does something at another choice or switch."""
    controls = {control.name: control for control in flatten(explorable.controls)}
    for other in (control for control in controls.values() if isinstance(control, Choice | Switch)):
        for value in other.positions():
            moved = [{other.name: value, name: position} for position in controls[name].positions()]
            if len({explorable.answer_text(json.dumps(values)) for values in moved}) > 1:
                return True
    return False


@every
def test_what_is_stored_is_small(name):
    text = page.embed(page.stored(explore.get(name)))
    assert "NaN" not in text
    assert "Infinity" not in text
    assert len(gzip.compress(text.encode())) <= MOST_BYTES


@every
def test_bad_input_is_named(name):
    explorable = explore.get(name)
    for control in flatten(explorable.controls):
        for value in WRONG[type(control)]:
            message = json.loads(explorable.answer_text(json.dumps({control.name: value})))
            assert set(message) == {"error"}, (control.name, value)
            assert "Error in" not in message["error"], message
            if not isinstance(control, Formula):
                assert message["error"].startswith(control.name), message
    for request in ('{"no_such_control": 1}', "[]", "7", "{", ""):
        assert set(json.loads(explorable.answer_text(request))) == {"error"}
    assert "no_such_control" in explorable.answer_text('{"no_such_control": 1}')


def test_unknown_names_are_refused():
    with pytest.raises(ArgumentError, match="name must be one of"):
        explore.get("no such")
    assert len(set(explore.names())) == len(explore.names())
