"""The ledger: every registered claim is recomputed; the machinery says what is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ortholab_runs import verdicts

from ortholab import claims
from ortholab.claims import LEDGER, Claim, Ledger, Verdict, _kept, box, contents, sheet
from ortholab.claims._deck import CLAIMS, EQUATIONS, FIGURES, ITEMS, PARTS, SYSTEMS
from ortholab.errors import ArgumentError

BOOK = Path(__file__).resolve().parents[1] / "book"
# Claims that train networks, ten to thirty seconds each. The ledger's page recomputes them all, in `make test` too,
# and its assertion is the same as the first test's here: once is enough.
TRIED_ON_THE_PAGE = ("C", "D", "5-caption", "E", "gain-adjusted-wins")


@pytest.fixture
def recomputed(monkeypatch):
    """The ledger's page, which `make test` runs next, takes verdicts from here; here none is taken from elsewhere."""
    claims._recompute.cache_clear()
    monkeypatch.setenv(_kept.VARIABLE, str(verdicts()))
    monkeypatch.setattr(_kept, "read", lambda test: None)


@pytest.mark.usefixtures("recomputed")
@pytest.mark.parametrize("id", [item.id for item in LEDGER if item.id not in TRIED_ON_THE_PAGE])
def test_recomputed_verdict_equals_the_recorded_one(id):
    kept = _kept.place(claims.get(id).test)
    kept.unlink(missing_ok=True)
    assert claims.get(id).disagreement() == ""
    assert kept.is_file()


def test_the_ledgers_page_tries_every_claim():
    cells = json.loads((BOOK / "appendix" / "claims.ipynb").read_text(encoding="utf-8"))["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]
    assert 'assert all(claim.disagreement() == "" for claim in claims.LEDGER)' in lines
    assert {claims.get(id).id for id in TRIED_ON_THE_PAGE} == set(TRIED_ON_THE_PAGE)


# Shown in the ledger and tried on their page by other means: there the work is cited.
CITED = {
    "saxe": "saxe2014exact",
    "pennington-2017": "pennington2017resurrecting",
    "pennington-2018": "pennington2018emergence",
    "vorontsov": "vorontsov2017orthogonality",
    "helfrich": "helfrich2018orthogonal",
    "huang": "huang2018orthogonal",
    "bansal": "bansal2018gain",
}


def test_each_item_of_the_deck_has_its_claims():
    assert list(EQUATIONS) == [f"equation ({n})" for n in range(1, 11)]
    assert list(FIGURES) == [f"Figure {n}" for n in range(2, 9)]
    assert list(CLAIMS) == [f"claim ({letter})" for letter in "ABCDE"]
    assert len(SYSTEMS) == 8
    known = {item.id for item in LEDGER}
    assert {name: ids for name, ids in ITEMS.items() if not ids or not set(ids) <= known} == {}
    assert known == {id for ids in ITEMS.values() for id in ids}, "a claim belongs to no item"


@pytest.mark.parametrize("item", list(LEDGER), ids=lambda item: item.id)
def test_the_page_of_a_claim_shows_it(item):
    cells = json.loads((BOOK / f"{item.page}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    if item.id in CITED:
        assert CITED[item.id] in text
    elif item.id == "figure-2":
        assert "Figure 2" in text
    else:
        assert f'claims.show("{item.id}")' in text


def test_the_deck_map_names_every_item():
    text = (BOOK / "appendix" / "deck_map.ipynb").read_text(encoding="utf-8")
    rows = [f"| ({n}) |" for n in range(1, 11)] + [f"| Figure {n} |" for n in (2, 3, 4, 5, 6)] + ["| Figures 7, 8 |"]
    rows += [f"| ({letter}) |" for letter in "ABCDE"] + list(CITED.values())
    assert [row for row in rows if row not in text] == []


def test_contents_lead_to_rows_and_pages(ledger):
    found = contents({"Part": {"thing": list(ledger)}}, "..")
    table = sheet(tuple(ledger)).html
    assert set(re.findall(r'href="#([^"]+)"', found.html)) == set(re.findall(r'<tr id="([^"]+)"', table))
    assert 'href="../1-isometry/spectrum.html"' in found.html
    assert found.text == "thing: A fails, (7) holds if"
    assert 'Return Verdict("fails"'.lower() in table.lower().replace("&quot;", '"')  # the test's code
    assert set(PARTS) == {"Equations", "Figures", "Claims", "Cited systems"}


def test_an_interval_is_shown_and_holds_its_number():
    assert Verdict("holds", 2.0, "m", "s", interval=(1.5, 2.25)).figure == "2 (95 %: 1.5 to 2.25)"
    with pytest.raises(ArgumentError, match="interval must be"):
        Verdict("holds", 2.0, "m", "s", interval=(2.5, 3.0))


@pytest.fixture
def ledger():
    made = Ledger()

    @made.claim("A", deck="slide 3", statement="$\\chi = 1 < 2$.", page="1-isometry/spectrum", recorded="fails")
    def first():
        return Verdict("fails", 0.004, "median $s$", "Only the mean is fixed.")

    @made.claim(
        "(7)", deck="equation (7)", statement="The edge.", page="1-isometry/order_to_chaos", recorded="holds if"
    )
    def second():
        return Verdict("holds if", "1.2 & 3", "edge", "So it is.", condition="$L(1-p) > 1$")

    return made


def test_claims_are_listed_in_order_and_found_by_id(ledger):
    assert [item.id for item in ledger] == ["A", "(7)"]
    assert len(ledger) == 2
    assert ledger.get("A").verdict().number == 0.004
    with pytest.raises(ArgumentError, match=r"id must be one of 'A', '\(7\)'; got 'B'"):
        ledger.get("B")


def test_a_taken_id_is_refused_but_a_rerun_cell_is_not(ledger):
    with pytest.raises(ArgumentError, match=r"'A' is taken by .*first"):

        @ledger.claim("A", deck="d", statement="s", page="p", recorded="holds")
        def other():
            """Another claim under a taken id."""

    old = ledger.get("A")
    ledger.register(Claim("A", "slide 4", "s", old.test, "p", "fails"))
    assert ledger.get("A").deck == "slide 4"
    assert len(ledger) == 2


def test_a_verdict_is_computed_once_a_process(ledger):
    calls = []

    @ledger.claim("C", deck="d", statement="s", page="p", recorded="holds")
    def counted():
        calls.append(1)
        return Verdict("holds", 1, "m", "s")

    item = ledger.get("C")
    item.verdict(), item.verdict(), box(item), sheet(tuple(ledger))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("recorded", "number", "words"),
    [
        ("fails", None, "recorded 'fails', recomputed 'holds'"),
        ("holds", 2.0, "recorded 2.0"),
        ("holds", "1.0", "recorded '1.0'"),
        ("holds", 1.04, ""),
        ("holds", None, ""),
    ],
)
def test_disagreement_with_the_record_is_said(recorded, number, words):
    item = Claim("X", "d", "s", lambda: Verdict("holds", 1.0, "m", "s"), "p", recorded, number)
    assert words in item.disagreement()
    assert bool(words) == bool(item.disagreement())


def test_box_shows_verdict_number_and_condition(ledger):
    first, second = (box(item) for item in ledger)
    assert 'class="ol ol-claim ol-fails"' in first.html
    assert "</span> fails</span>" in first.html  # a word, not only a colour or a mark
    assert "<strong>0.004</strong> median" in first.html
    assert r"\(\chi = 1 &lt; 2\)" in first.html
    assert "Holds if" not in first.html
    assert r"Holds if <span" in second.html
    assert "1.2 &amp; 3" in second.html
    assert "<script" not in first.html + second.html
    assert first.text.startswith("Claim A (slide 3): fails\n")
    assert "holds if L(1-p) > 1" in second.text


def test_table_has_a_row_a_claim_and_links_to_its_page(ledger):
    markup = sheet(tuple(ledger), "..").html
    assert markup.count("<tr") == 3
    assert 'href="../1-isometry/spectrum.html"' in markup
    assert markup.count('scope="row"') == 2
    assert "order to chaos" in markup


def test_show_and_table_print_text_outside_a_notebook(ledger, monkeypatch, capsys):
    monkeypatch.setattr(claims, "LEDGER", ledger)
    monkeypatch.setattr(claims, "get", ledger.get)
    claims.show("A")
    claims.table()
    printed = capsys.readouterr().out
    assert printed.count("Claim A (slide 3): fails") == 2
    assert "<" not in printed.replace("1 < 2", "")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Verdict("true", 1, "m", "s"), "kind must be one of 'holds', 'holds if', 'fails'"),
        (lambda: Verdict("holds", float("nan"), "m", "s"), "number must be"),
        (lambda: Verdict("holds", 1, "", "s"), "meaning must be"),
        (lambda: Verdict("holds", 1, "m", ""), "summary must be"),
        (lambda: Verdict("holds if", 1, "m", "s"), "condition must be given"),
        (lambda: Verdict("fails", 1, "m", "s", condition="c"), "condition must be given"),
        (lambda: Claim("A", "", "s", print, "p", "holds"), "deck must be"),
        (lambda: Claim("A", "d", "s", 3, "p", "holds"), "test must be"),
        (lambda: Claim("A", "d", "s", print, "p", "maybe"), "recorded must be one of"),
        (lambda: Claim("A", "d", "s", lambda: 3, "p", "holds").verdict(), "must be a Verdict"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()


def test_chapters_are_found_by_their_module_and_missed_without_it(tmp_path, monkeypatch):
    package = tmp_path / "some_claims"
    package.mkdir()
    (package / "__init__.py").write_text("from ortholab.claims import Ledger\nLEDGER = Ledger(__name__)\n")
    chapter = package / "chapter.py"
    chapter.write_text(
        "from some_claims import LEDGER\nfrom ortholab.claims import Verdict\n"
        "@LEDGER.claim('Z', deck='d', statement='s', page='p', recorded='holds')\n"
        "def z():\n    return Verdict('holds', 1, 'm', 's')\n"
    )
    code = "import some_claims; print([c.id for c in some_claims.LEDGER])"
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}

    def run():
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert run() == "['Z']"
    chapter.unlink()
    assert run() == "[]"


def test_pages_of_one_library_share_a_verdict(monkeypatch, tmp_path):
    """What one process computed another reads, whole; a test from outside the library is never kept."""
    calls = []

    def counted():
        calls.append(1)
        return Verdict("holds if", np.float64(0.5), "m", "s", condition="c", interval=(0.25, 0.75))

    def forget():
        claims._recompute.cache_clear()

    item = Claim("K", "slide 0", "s", counted, "p", "holds if")
    monkeypatch.setenv("ORTHOLAB_VERDICTS", str(tmp_path / "kept"))
    item.verdict(), forget(), item.verdict(), forget()
    assert len(calls) == 2
    assert not (tmp_path / "kept").exists()
    counted.__module__ = "ortholab.claims.planted"
    first = item.verdict()
    forget()
    assert item.verdict() == first == Verdict("holds if", 0.5, "m", "s", condition="c", interval=(0.25, 0.75))
    assert len(calls) == 3
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".json"]
    monkeypatch.delenv("ORTHOLAB_VERDICTS")
    forget(), item.verdict(), forget()
    assert len(calls) == 4
