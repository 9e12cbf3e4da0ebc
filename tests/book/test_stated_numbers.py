"""No sentence, box or caption of the book states a number that no cell computes."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from site_tools import ROOT
from stated_numbers import SHOWS, numbers_in, read, stored_settings, unproved

PAGES = sorted([*ROOT.glob("book/[1-9]-*/*.ipynb"), *ROOT.glob("book/appendix/*.ipynb")])
SOLUTION = "one run of the program that stands below it; it takes minutes"
SETTING = "a setting in the explorable's own code, which computes the rest of its box"
# Page, a piece of the sentence (or "[a section]"), and why no cell of the page holds its numbers.
EXCEPTIONS = (
    ("audit", "[The plan]", "a plan, committed before its runs and not to be changed; its pilots were not kept"),
    ("atlas", "free, Gaussian start | 0.87", SOLUTION),
    ("learning_dynamics", "In one seed the run takes 59 steps", SOLUTION),
    ("soft_constraints", "on average over eight seeds", SOLUTION),
    ("soft_constraints", "SO is ahead by 2.1 points", SOLUTION),
    ("soft_constraints", "at 0.1 the same eight seeds gave 4.2", SOLUTION),
    ("soft_constraints", "drops at epochs 20, 50, 70 and 120 of 200", "the length of the paper's training"),
    ("soft_constraints", "The deck's figure shows ResNet-110", "the length of the training in the deck's figure"),
    ("soft_constraints", "median of 200 random starts", SETTING),
    ("spectral_margin", "in a matrix of 24 rows", SETTING),
    ("spectrum", "two networks of width 80", SETTING),
    ("spectral_margin", "60,000 training images", "the size of MNIST; the manifest holds its hash"),
    ("spectral_margin", "CODE and autograd, to $10^{-10}$", "the library's own tests hold it"),
    ("spectral_margin", "its orthogonality over 500 steps", "the library's own tests hold it"),
    ("spectral_margin", "In one seed, after 1,800 updates", SOLUTION),
    ("training_deep_nets", "The isometric network still wins, in 7 steps", SOLUTION),
    ("training_deep_nets", "In three seeds of the small race", SOLUTION),
    ("training_deep_nets", "But the network needs no fewer steps", SOLUTION),
)
STORED = stored_settings(ROOT / "book" / "results")


@functools.cache
def missing_on(path: Path) -> tuple:
    """List the numbers of a page that no cell computes; a *try it* box says its answer and its caption."""
    from ortholab import explore

    notebook = read(path)
    shown = {name for cell in notebook["cells"] for name in SHOWS.findall("".join(cell["source"]))}
    boxes = {name: f"{explore.get(name).answer}\n\n{explore.get(name).caption}" for name in shown}
    return tuple(unproved(path.stem, notebook, STORED, boxes))


def excused(number: object, exceptions: tuple = EXCEPTIONS) -> list[tuple]:
    """List the exceptions that a number falls under."""
    return [
        item
        for item in exceptions
        if item[0] == number.page and (item[1] in number.sentence or item[1] == f"[{number.section}]")
    ]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_stated_number_is_computed_near_it(path):
    missing = [str(number) for number in missing_on(path) if not excused(number)]
    assert missing == [], "state it in an assert of a cell in the same section, or change the sentence"


def test_every_exception_is_needed():
    used = {item for path in PAGES for number in missing_on(path) for item in excused(number)}
    assert [item for item in EXCEPTIONS if item not in used] == []


# --------------------------------------------------------------------------------------------- the check can fail

CODE = """
depth, width = 30, 400
sigma_w = 1.3
share = found(depth)
assert round(share, 2) == 0.87 and 0.9 < other < 0.94
assert small < 1e-5 and abs(scale - 3.3) < 0.05
derived = Step("a", "b", identity("0.849*x", "8*x/(3*pi)", x="real"))
ax.set(xlim=(0, 77.7))
plot.show(fig, name="x", caption=f"At width 400 it is 87 %, the gain {gain:.2f} and the rate {CAPTION}.", alt="66.6")
"""


def page(prose: str = "", caption: str = "3.3", kind: str = "markdown") -> dict:
    """Make a notebook of two sections with one sentence in the second."""
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "**Runs in** about 45 seconds.\n", "\n", "## First"]},
        {"cell_type": "code", "source": ["assert far == 0.123 and steps == 512\n"]},
        {"cell_type": kind, "source": ["## Second\n", "\n", prose]},
        {"cell_type": "code", "source": [CODE.replace("{CAPTION}", caption)]},
        {"cell_type": "markdown", "source": ["## References\n", "\n", "A paper on 10,000 layers."]},
    ]
    return {"cells": cells}


def told(prose: str = "", caption: str = "3.3") -> list[str]:
    """Return the numbers of a planted sentence that the check does not find."""
    return [number.text for number in unproved("planted", page(prose, caption), {"race": {640.0}})]


@pytest.mark.parametrize(
    "sentence",
    [
        "A share of 0.87 is left, or 87 %.",
        "Between 87 and 94 % are left.",
        "It is 0.92, within the bounds of the assert.",
        "At depth 30 and width 400, with $\\sigma_w = 1.3$.",
        "It falls below $10^{-5}$, that is 1e-5.",
        "The mean is $0.849$, which a step of the derivation says.",
        "At 512 steps, a whole number that was set further up.",
        "See equation (17), Figure 31, step 14 and page 99, of 2019.",
        "The 95 % interval, the 99 % band, an angle of 45°.",
        "{cite:t}`someone2019paper` report 0.77 at 123 layers.",
        "As `f(0.77)` says, and ![a](b-0.77.png).",
        "```{exercise} Find it\n:label: e-x\n\nTake $N = 999$ and 0.77.\n```",
    ],
)
def test_what_is_computed_set_or_structure_passes(sentence):
    assert told(sentence) == []


@pytest.mark.parametrize(
    ("sentence", "wrong"),
    [
        ("A share of 0.86 is left.", ["0.86"]),
        ("A share of 88 % is left.", ["88 %"]),
        ("The gap is 0.123, which another section computes.", ["0.123"]),
        ("It is 0.95, outside the bounds.", ["0.95"]),
        ("At $\\sigma_w = 1.4$.", ["1.4"]),
        ("It falls below $10^{-6}$.", ["10^{-6}"]),
        ("It needs 1,300 steps.", ["1,300"]),
        ("It is 77.7, a limit of an axis.", ["77.7"]),
        ("A third, 66.6, of the text for the blind.", ["66.6"]),
        ("Between 13 and 87 points are left.", ["13"]),
        ("```{admonition} A box\n:class: atscale\n\nIt is 0.86.\n```", ["0.86"]),
        ("```{admonition} It is 0.86\n:class: erratum\n\nSo.\n```", ["0.86"]),
        ("````{solution} e-x\n:class: dropdown\n\nIt is $0.86$.\n\n```python\nx = 5\n```\n````", ["0.86"]),
        ("```{prf:proof}\nThe constant is 0.86.\n```", ["0.86"]),
        ("> **It is 0.86 and 0.84.**", ["0.86", "0.84"]),
    ],
)
def test_a_planted_number_is_found(sentence, wrong):
    assert told(sentence) == wrong


def test_captions_are_read_and_what_an_f_string_computes_is_not_asked_for():
    assert told(caption="3.3") == []
    assert told(caption="3.4") == ["3.4"]


def test_the_settings_of_a_stored_run_count_only_where_it_is_loaded():
    with_run = page("After 640 steps.")
    with_run["cells"][1]["source"] = ['stored = load("../results", "race", "full")']
    assert told("After 640 steps.") == ["640"]
    assert unproved("planted", with_run, {"race": {640.0}}) == []


def test_a_box_to_try_is_read_too():
    """Its words stand in the library, so the page must hold the numbers that they give away."""
    with_box = page()
    with_box["cells"][3]["source"] += ['explore.show("toy")']
    said = {"toy": "At depth 30 a share of 87 % is left.", "other": "0.77"}
    assert unproved("planted", with_box, {}, said) == []
    said["toy"] = "At depth 30 a share of 88 % is left."
    assert [number.text for number in unproved("planted", with_box, {}, said)] == ["88 %"]


def test_an_exception_is_for_its_own_sentence():
    (number,) = unproved("planted", page("A share of 0.86 is left."), {})
    assert excused(number, (("planted", "share of 0.86", "a reason"),))
    assert not excused(number, (("planted", "another", "a reason"), ("elsewhere", "share of 0.86", "a reason")))


def test_every_reason_is_said():
    assert all(re.fullmatch(r".{10,}", reason) for _, _, reason in EXCEPTIONS)
    assert len(EXCEPTIONS) < 20


def test_numbers_are_read_as_they_are_written():
    found = {n.text: (n.value, n.percent) for n in numbers_in(r"1,300 and $8 \cdot 10^{-13}$, 12.5\%, 2.5e-3", floor=0)}
    assert found["1,300"] == (1300.0, False)
    assert found[r"8 \cdot 10^{-13}"] == (8e-13, False)
    assert found[r"12.5\%"] == (12.5, True)
    assert found["2.5e-3"] == (2.5e-3, False)
