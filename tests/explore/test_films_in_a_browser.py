"""A film in Chromium without the book: Play runs the stored frames of a page, and trains where there is a kernel."""

from __future__ import annotations

import html
import json

import pytest

from ortholab.explore import Choice, Panel, Picture, front, page
from ortholab.explore.film import Film

pytestmark = pytest.mark.browser

# An anywidget model whose kernel is this process: `ask` is Film.answer_text.
MODEL = """([spec, stored]) => {
  const heard = [];
  const tell = (message) => heard.forEach((f) => f(message));
  const model = {
    get: (key) => ({ spec, stored })[key],
    on: (_, f) => heard.push(f),
    send: (m) => {
      if (m.kind === "ping") setTimeout(() => tell({ kind: "pong" }), 5);
      if (m.kind === "ask") ask(m.request).then((text) => tell({ kind: "answer", id: m.id, text }));
    },
  };
  front.render({ model, el: document.querySelector("main") });
}"""


def toy() -> tuple[Film, list[str]]:
    """A film of a number that is halved five times, and the list of what was trained."""
    made = []

    def halve(start):
        for k in range(6):
            made.append(f"{start}{k}")
            yield Picture([Panel("x", "y", xlim=(0, 1), ylim=(0, 1)).line([0, 1], [0, 0.5**k])], f"{start} {0.5**k}.")

    words = ("toy", "A toy", "What happens?", "It halves.", "A line.", "A line that sinks.")
    choice = Choice("start", "start", {"first": "first", "second": "second"}, "first")
    return Film(*words, (choice,), halve, frames=6, updates=10), made


@pytest.fixture
def tab(browser):
    """An empty tab; the test fails if the page has an error."""
    tab, errors = browser.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    tab.close()
    assert errors == []


def play(tab) -> None:
    """Press Play and wait for the film's end."""
    tab.click(".ol-x-play")
    assert tab.inner_text(".ol-x-play") == "Pause"
    tab.wait_for_function("document.querySelector('.ol-x-play').textContent === 'Play'")


def test_a_page_plays_its_stored_frames(tab, tmp_path):
    film, made = toy()
    settings = {"base": "", "worker": "", "bundle": "", "sources": [], "files": {}, "packages": [], "megabytes": 0}
    (tmp_path / "front.js").write_text(front.script(), encoding="utf-8")
    (tmp_path / "page.html").write_text(
        f"<!doctype html><meta charset=utf-8><body>{page.html(film, 'Watch')}"
        f'<script src="front.js" data-config="{html.escape(json.dumps(settings))}"></script>',
        encoding="utf-8",
    )
    assert sorted(made) == sorted(f"{start}{k}" for start in ("first", "second") for k in range(6))
    tab.goto((tmp_path / "page.html").as_uri())
    assert tab.inner_text(".ol-x-readout") == "first 0.03125."
    assert tab.locator(".ol-x-start").is_hidden(), "a film offers no Python"
    tab.select_option("select", "second")
    tab.evaluate("""() => {
      window.seen = [];
      const readout = document.querySelector(".ol-x-readout");
      new MutationObserver(() => seen.push(readout.textContent)).observe(readout, { childList: true });
    }""")
    play(tab)
    seen = tab.evaluate("window.seen")
    assert seen == [f"second {0.5**k}." for k in range(6)]


def test_a_kernel_trains_as_the_film_plays(tab):
    film, made = toy()
    live = film.live()
    first = json.loads(live.answer_text("{}"))
    assert made == ["first0"]
    stored = {"arrays": [], "states": [{"values": live.defaults(), "answer": first}]}
    tab.set_content("<!doctype html><main></main>")
    tab.expose_function("ask", live.answer_text)
    tab.add_script_tag(content=front.module().replace("export default", "window.front ="))
    tab.evaluate(MODEL, [live.declare(), stored])
    tab.wait_for_function("document.querySelector('.ol-x-status').textContent.startsWith('Press Play')")
    play(tab)
    tab.wait_for_function("document.querySelector('.ol-x-readout').textContent === 'first 0.03125.'")
    assert made == [f"first{k}" for k in range(6)]
    tab.locator("input[type=range]").fill("1")
    tab.wait_for_function("document.querySelector('.ol-x-readout').textContent === 'first 0.5.'")
    assert len(made) == 6, "a frame that was trained is remembered"
