"""Films: they train when asked, remember what they made, and show what their words say."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from ortholab import explore
from ortholab.errors import ArgumentError
from ortholab.explore import Choice, Panel, Picture, Range, page
from ortholab.explore.film import Film


def toy(frames=3, updates=20, controls=(), fail_at=None, length=None):
    """A film of a number that is halved, and the list of the frames that it computed."""
    made = []

    def halve(**settings):
        for k in range(length or frames):
            if k == fail_at and len(made) == k:
                made.append("failed")
                raise ArithmeticError("once")
            made.append(k)
            yield Picture([Panel(xlim=(0, 1), ylim=(0, 1)).guide(y=0.5**k)], f"{0.5**k} {settings}.", {"s": 0.5**k})

    words = ("toy", "A toy", "What?", "That.", "A caption.", "A line.")
    return Film(*words, controls, halve, frames=frames, updates=updates), made


def test_frames_are_trained_once_and_only_when_asked():
    film, made = toy()
    assert made == []
    assert film.picture(frame=10).facts == {"s": 0.5}
    assert made == [0, 1]
    assert film.picture().facts == {"s": 0.25}
    assert film.picture(frame=0).facts == {"s": 1.0}
    assert made == [0, 1, 2]


def test_each_setting_has_its_own_training():
    film, made = toy(controls=(Choice("start", "start", {"a": "a", "b": "b"}, "a"),))
    assert "'b'" in film.picture(start="b", frame=0).readout
    assert "'a'" in film.picture(start="a", frame=0).readout
    assert made == [0, 0]
    assert len(film.states()) == 6


def test_declaration_and_rewinding():
    film, _ = toy()
    spec, live = film.declare(), film.live().declare()
    assert spec["film"] is live["film"] is True
    assert spec["controls"][-1]["name"] == "frame"
    assert spec["controls"][-1]["values"] == [0, 10, 20]
    assert (spec["controls"][-1]["default"], live["controls"][-1]["default"]) == (20, 0)
    assert film.defaults() == {"frame": 20}, "rewinding makes another film"
    assert film.states()[0] == {"frame": 20}
    assert film.live().picture().facts == {"s": 1.0}


def test_a_page_stores_every_frame():
    film, made = toy()
    stored = page.stored(film)
    assert [state["values"]["frame"] for state in stored["states"]] == [20, 0, 10]
    assert made == [0, 1, 2]


def test_a_training_that_failed_starts_afresh():
    film, made = toy(fail_at=1)
    assert "ArithmeticError" in film.answer_text('{"frame": 20}')
    assert json.loads(film.answer_text('{"frame": 20}'))["picture"]["facts"] == [["s", 0.25]]
    assert made == [0, "failed", 0, 1, 2]


def test_a_training_that_is_too_short_says_so():
    film, _ = toy(length=2)
    assert "ended after 2 of 3 frames" in film.answer_text("{}")
    assert "ended after 2 of 3 frames" in film.answer_text("{}"), "also when asked again"


@pytest.mark.parametrize(
    ("change", "name"),
    [({"frames": 1}, "frames"), ({"updates": 0}, "updates"), ({"updates": 21}, "updates"),
     ({"controls": (Range("rate", "rate", 0, 1, 0),)}, "controls")],
)  # fmt: skip
def test_bad_films_are_refused(change, name):
    with pytest.raises(ArgumentError, match=name):
        toy(**change)


def test_bad_input_is_named():
    film, made = toy()
    assert "frame" in json.loads(film.answer_text('{"frame": 5}'))["error"]
    assert made == []


@pytest.mark.parametrize("name", explore.FILMS)
def test_the_films_of_the_book(name):
    """All frames of all settings: words, limits that stand still, and a small file."""
    film = explore.get(name)
    assert isinstance(film, Film)
    words = [film.title, film.question, film.answer, film.caption, film.alt]
    assert all(len(text) > 10 and "$" not in text and "\\" not in text for text in words)
    text = page.embed(page.stored(film))
    assert len(gzip.compress(text.encode())) < 100_000
    pictures = [film.picture(**state).declare() for state in film.states()]
    limits = {json.dumps([[p["xlim"], p["ylim"]] for p in picture["panels"]]) for picture in pictures}
    assert len(limits) == 1
    for picture in pictures:
        assert picture["readout"].startswith("After ")
        for panel in picture["panels"]:
            for mark in panel["marks"]:
                y = np.array(mark.get("y", [mark.get("at")]), dtype=float)
                low, high = panel["ylim" if mark.get("axis") != "x" else "xlim"]
                assert np.nanmin(y) >= low
                assert np.nanmax(y) <= high


def test_deep_training_is_as_its_answer_says():
    film = explore.get("deep_training")
    facts = {(depth, k): film.picture(depth=depth, frame=k).facts for depth in ("8", "48") for k in (0, 40, 100)}
    assert min(facts["8", 100][f"accuracy, {kind}"] for kind in ("orthogonal", "Gaussian")) > 0.7
    assert facts["48", 40]["accuracy, orthogonal"] > 0.7 > facts["48", 100]["accuracy, Gaussian"]
    assert facts["48", 0]["largest s, orthogonal"] < 1.4
    assert facts["48", 100]["largest s, orthogonal"] > 3
    assert facts["48", 100]["median s, orthogonal"] < 0.5


def test_rnn_penalties_is_as_its_answer_says():
    film = explore.get("rnn_penalties")
    start, *end = [film.picture(penalty="none", frame=0).facts,
                   *(film.picture(penalty=p).facts for p in ("none", "plain", "adjusted"))]  # fmt: skip
    assert start["largest s"] == pytest.approx(1.25, abs=1e-5)
    assert start["smallest s"] == pytest.approx(1.25, abs=1e-5)
    none, plain, adjusted = end
    assert abs(none["mean s"] - 1.25) < 0.04
    assert plain["mean s"] < 1.05
    assert abs(adjusted["mean s"] - 1.25) < 0.03
    spread = [facts["largest s"] - facts["smallest s"] for facts in (none, adjusted)]
    assert spread[1] < 0.55 * spread[0]
    assert 0.6 < min(facts["accuracy"] for facts in end) < max(facts["accuracy"] for facts in end) < 0.8
