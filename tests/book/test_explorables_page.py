"""Explorables in a real browser: without JavaScript, from stored values, and computed by Python in the page."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator

import pytest
from audit import audit
from explorables import FIGURE, MOVE, VIEW, figures, has_python, live, placed, start
from site_tools import ROOT, find_chromium, need, open_page

from ortholab import explore
from ortholab.explore import pyodide

pytestmark = [pytest.mark.site, pytest.mark.browser]

PLACED = placed()
ALIVE = {page: [n for n in found if n in explore.names()] for page, found in PLACED.items()}
ALIVE = {page: found for page, found in ALIVE.items() if found}
# The page with the reader's own formula stands for all where one page is enough. The explorables have nothing to do
# with MathJax, which takes most of the time that a page takes to open: several tests open only this page with it.
HOME = next((page for page, found in ALIVE.items() if "phase_plane" in found), "none")


@pytest.fixture(scope="module")
def with_python(site):
    """The site, if Pyodide lies beside it. It is no part of the project, so its absence skips even under CI."""
    if not has_python():
        pytest.skip("no Pyodide beside the pages: name its folder in ORTHOLAB_PYODIDE and build again")
    return site


@pytest.fixture(scope="module")
def moved(site, address, browser, with_python) -> Iterator[tuple[object, object]]:
    """One page whose Python runs, for the tests that only move controls; to start Python takes some seconds.

    It is HOME, with the explorables of all other pages after its own. All pages start Python alike: a test says so.
    """
    text = (site / HOME).read_text(encoding="utf-8")
    own = figures(text)
    others = {name: (site / page).read_text(encoding="utf-8") for page in ALIVE if page != HOME for name in ALIVE[page]}
    last = list(own.values())[-1]
    text = text.replace(last, last + "".join(figures(other)[name] for name, other in others.items()))
    with live(browser, f"{address}/{HOME}", formulas=False, text=text) as found:
        yield found


def test_every_explorable_and_film_has_its_place(site):
    found = [name for names in PLACED.values() for name in names]
    assert sorted(found) == sorted((*explore.names(), *explore.FILMS))
    assert len(explore.names()) >= 12


def test_the_appendix_lists_each_with_its_page(site):
    text = (ROOT / "book" / "appendix" / "explorables.md").read_text(encoding="utf-8")
    first = sum(size for name, size in pyodide.BYTES.items() if name not in pyodide.LATER)
    later = sum(pyodide.BYTES.values()) - first
    assert f"{first / 1e6:.0f} MB, once, and {later / 1e6:.0f} MB more" in text
    text = re.sub(r"(?<![|\n])\n(?!\n)", " ", text)  # a paragraph is one line
    for page, names in PLACED.items():
        for name in names:
            line = text[text.index(f"*{explore.get(name).title}*") :].split("\n")[0]
            assert page.removeprefix("book/").replace(".html", ".ipynb") in line, name


@pytest.mark.parametrize("name", PLACED)
def test_without_javascript_the_picture_is_there(address, browser, name):
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/{name}")
    figures = page.locator(FIGURE)
    assert figures.count() == len(PLACED[name])
    for i in range(figures.count()):
        figure = figures.nth(i)
        box = figure.locator(".ol-x-still svg.ol-wide, .ol-x-still svg:only-child").first.bounding_box()
        assert box["width"] > 300
        assert box["height"] > 100
        assert len(figure.locator("figcaption").inner_text()) > 40
        assert figure.locator("svg[role=img]").first.get_attribute("aria-label")
    context.close()


def test_all_pages_start_python_alike(site):
    """One script and one configuration: what holds for the Python of one page holds for that of all."""
    told = re.compile(r'<script[^>]*src="[^"]*/(explorable\.js[^"]*)"[^>]*data-config="([^"]*)"')
    found = {told.search((site / name).read_text(encoding="utf-8")).groups() for name in PLACED}
    assert len(found) == 1


@pytest.mark.parametrize("name", PLACED)
def test_a_page_gains_little_before_the_click(site, name):
    """Compressed: the figures with their stored values, the script and the stylesheet. The bar is 300 kB."""
    text = (site / name).read_text(encoding="utf-8")
    assets = site / "_static" / "explore"
    gained = [(assets / part).read_bytes() for part in ("explorable.js", "explorable.css")]
    gained += [piece.encode() for piece in figures(text).values()]
    assert sum(len(gzip.compress(part, 6)) for part in gained) <= 300_000


@pytest.mark.parametrize("name", PLACED)
def test_from_a_file_the_stored_values_answer(site, browser, name):
    """``file://`` starts no worker: each control still moves the picture, and never shows what is not stored."""
    from same import differences
    from site_tools import Trouble, without_formulas

    trouble = Trouble()
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.on("pageerror", lambda error: trouble.errors.append(str(error)))
    if name != HOME:
        without_formulas(page)
    page.goto((site / name).as_uri())
    page.wait_for_function("() => window.ortholabExplore")
    for explorable in PLACED[name]:
        spec = page.evaluate(f"name => ({VIEW})(name).spec", explorable)
        for control in spec["controls"]:
            if control["kind"] != "range":
                continue
            for value in (control["values"][0], control["values"][-1]):
                page.evaluate(f"([n, c, v]) => ({VIEW})(n).change(c, v)", [explorable, control["name"], value])
                shown = page.evaluate(
                    f"n => {{ const v = ({VIEW})(n); return [v.values, v.picture, v.el.dataset.host]; }}",
                    explorable,
                )
                assert shown[2] == "stored"
                assert shown[0][control["name"]] == value
                native = json.loads(explore.answer(explorable, json.dumps(shown[0]))) if explorable in ALIVE else None
                assert native is None or not differences(shown[1], native["picture"])
    assert "make serve" in page.locator(".ol-x-status").first.inner_text() or all(
        n in explore.FILMS for n in PLACED[name]
    )
    assert trouble.errors == []
    page.close()


@pytest.mark.parametrize("name", [name for found in ALIVE.values() for name in found])
def test_python_in_the_page_answers_as_here(moved, name):
    """Random moves of every explorable: words equal, numbers to 1e-12; nothing leaves this machine."""
    from ask import moves
    from same import differences

    page, trouble = moved
    for values in moves(name, 8, seed=5):
        detail = page.evaluate(MOVE, [name, values])
        assert detail["host"] == "browser"
        native = json.loads(explore.answer(name, json.dumps(values)))
        assert not differences(native, {"picture": detail["answer"]["picture"]}), values
    assert trouble.external == []
    assert trouble.errors == []
    assert "Python 3.12" in page.locator(f"#explore-{name.replace('_', '-')} .ol-x-status").inner_text()


def test_a_point_is_dragged(moved):
    page, _ = moved
    plane = page.locator("#explore-phase-plane svg.ol-x-plane")
    plane.scroll_into_view_if_needed()
    before = page.evaluate(f"() => ({{...({VIEW})('phase_plane').values}})")
    handle = plane.locator(".ol-x-handle").bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 25, y - 20, steps=5)
    page.mouse.up()
    page.wait_for_function(f"() => !({VIEW})('phase_plane').busy")
    after = page.evaluate(f"() => ({{...({VIEW})('phase_plane').values}})")
    assert after["sigma_w"] > before["sigma_w"]
    assert after["sigma_b"] > before["sigma_b"]
    assert plane.locator(".ol-x-handle").bounding_box()["x"] > handle["x"] + 10


def test_a_typed_formula_reaches_nothing(moved):
    from hostile import TYPED

    assert len(TYPED) >= 50
    page, trouble = moved
    figure = page.locator("#explore-phase-plane")
    chosen = figure.get_by_label("activation")
    before = chosen.input_value()
    chosen.select_option("own")
    box = figure.get_by_role("textbox")
    said = set()
    for count, text in enumerate(TYPED.values()):
        box.fill(text)
        page.wait_for_function(
            f"text => {{ const v = ({VIEW})('phase_plane'); return v.values.formula === text && !v.busy; }}",
            arg=text,
        )
        page.wait_for_function("() => document.querySelector('.ol-x-note').textContent")
        message = figure.locator(".ol-x-note").inner_text()
        assert 10 < len(message) < 400, text
        assert box.get_attribute("aria-invalid") == "true"
        said.add(message)
        if count % 5 == 0 or count == len(TYPED) - 1:
            box.fill("x / (1 + x**2)")  # and the next right formula is answered
            page.wait_for_function("() => !document.querySelector('.ol-x-note').textContent")
    chosen.select_option(before)
    assert len(said) > 5
    assert page.evaluate("() => window.pwned") is None
    assert page.locator(".ol-x-note script, .ol-x-note img").count() == 0
    assert trouble.external == []
    assert trouble.errors == []


def test_memory_is_steady_and_the_worker_ends_with_the_page(address, moved):
    """500 moves: Python's memory does not grow after the first hundred, the page's own by less than 8 MB."""
    from ask import moves

    page, _ = moved
    heap = []
    states = moves("phase_plane", 100, seed=7)
    session = page.context.new_cdp_session(page)
    for k in range(5):
        for values in states:
            detail = page.evaluate(MOVE, ["phase_plane", values])
        session.send("HeapProfiler.collectGarbage")
        own = session.send("Runtime.getHeapUsage")["usedSize"]
        heap.append((detail["answer"]["heap"], own))
        assert len(page.workers) == 1, k
    assert heap[-1][0] <= 1.02 * heap[0][0]
    assert heap[-1][1] <= heap[0][1] + 8e6
    ended = []
    page.workers[0].on("close", lambda worker: ended.append(worker))
    page.goto(f"{address}/book/index.html")  # so it is the last test that moves this page
    page.wait_for_timeout(500)
    assert page.workers == []
    assert len(ended) == 1


def test_the_keyboard_alone_is_enough(address, browser, with_python):
    """From the question by Tab: the controls in order, an arrow key moves, the answer is read aloud, Enter starts."""
    with open_page(browser, f"{address}/{HOME}", formulas=False) as (page, _):
        figure = page.locator("#explore-phase-plane")
        figure.locator("select").first.focus()
        reached = set()
        for _ in range(12):
            reached.add(page.evaluate("() => document.activeElement.type || document.activeElement.tagName"))
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            page.keyboard.press("Tab")
        assert {"select-one", "range", "button"} <= reached
        slider = figure.get_by_role("slider").first
        slider.focus()
        before = slider.get_attribute("aria-valuetext")
        page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") != before
        assert slider.evaluate("e => e.labels[0].textContent")
        page.wait_for_function(f"() => ({VIEW})('phase_plane').el.dataset.host === 'browser'", timeout=120_000)
        page.wait_for_function(
            "() => document.querySelector('#explore-phase-plane [role=status]').textContent.length > 10"
        )


def test_axe_finds_nothing_in_a_live_page(address, browser, axe, with_python):
    with live(browser, f"{address}/{HOME}", width=390) as (page, _):
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width
            found = audit(page, axe)
            assert not found, "\n".join(found)


def test_on_paper_the_picture_stands_without_its_controls(address, browser):
    with open_page(browser, f"{address}/{HOME}", formulas=False) as (page, _):
        page.emulate_media(media="print")
        figure = page.locator("#explore-phase-plane")
        assert figure.locator("svg.ol-x-panel").first.is_visible()
        assert not figure.locator(".ol-x-controls").is_visible()
        assert not figure.locator(".ol-x-foot").is_visible()


def test_python_that_ends_under_way_can_start_again(address, browser, with_python):
    """As when a reader leaves and comes back: an answer that will never come must not block the next."""
    with live(browser, f"{address}/{HOME}", formulas=False) as (page, trouble):
        page.evaluate(f"() => {{ ({VIEW})('phase_plane').set({{sigma_w: 2}}); ortholabExplore.browser.end(); }}")
        page.wait_for_function(f"() => !({VIEW})('phase_plane').busy")
        for _ in range(50):  # the browser tells of a worker's end a moment later
            if page.workers:
                page.wait_for_timeout(100)
        assert page.workers == []
        start(page)
        assert page.evaluate(MOVE, ["phase_plane", {"sigma_w": 1.0}])["host"] == "browser"
        assert trouble.errors == []


@pytest.mark.parametrize("broken", ["refused", "wrong bytes"])
def test_a_failed_load_says_so_and_keeps_the_stored_values(address, browser, with_python, broken):
    def meddle(route):
        if broken == "refused":
            route.abort()
        else:
            route.fulfill(status=200, content_type="text/javascript", body="window = 1;")

    with open_page(browser, f"{address}/{HOME}", formulas=False) as (page, trouble):
        page.context.route("**/pyodide-*/pyodide.js", meddle)
        page.locator("button.ol-x-start").first.click()
        page.wait_for_selector("[data-state=failed]", timeout=60_000)
        assert "The stored values remain" in page.locator(".ol-x-status").first.inner_text()
        # The second source was asked, and is refused here.
        assert {url.split("/")[2] for url in trouble.external} == {"cdn.jsdelivr.net"}
        slider = page.locator("#explore-phase-plane").get_by_role("slider").first
        slider.focus()
        page.keyboard.press("End")
        values, host = page.evaluate(
            f"() => {{ const v = ({VIEW})('phase_plane'); return [v.values, v.el.dataset.host]; }}"
        )
        assert host == "stored"
        assert values["sigma_w"] == explore.get("phase_plane").check({})["sigma_w"] or values["sigma_w"] > 2
        assert page.workers == []


def test_nothing_is_asked_of_the_network_before_the_click(address, browser):
    asked = []
    with open_page(browser, f"{address}/{HOME}", formulas=False) as (page, trouble):
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        page.wait_for_timeout(500)
        assert trouble.external == []
        assert not [url for url in asked if "worker.js" in url or "pyodide" in url or "ortholab.zip" in url]
        assert page.workers == []


def test_start_refuses_to_wait_for_ever(tmp_path, browser):
    """The helper that times the start fails when no answer comes."""
    from site_tools import serve

    need(find_chromium(), "no Chromium was found")
    (tmp_path / "page.html").write_text('<span class="ol-x-status">idle</span><button class="ol-x-start">x</button>')
    with (
        serve(tmp_path) as here,
        open_page(browser, f"{here}/page.html") as (page, _),
        pytest.raises(Exception, match="idle"),
    ):
        start(page, timeout=300)
