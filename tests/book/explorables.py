"""What the tests and the benchmark of the explorables share: where they stand, and how a browser drives one."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from site_tools import ROOT, SITE, pages

sys.path.insert(0, str(ROOT / "tests" / "explore"))

FIGURE = "figure.ol-explorable"
DATA = re.compile(r'<script type="application/json" class="ol-x-data">(.*?)</script>', re.DOTALL)
WATCH = "() => { window.answers = []; addEventListener('ortholab:answer', e => answers.push(e.detail)); }"
VIEW = "name => ortholabExplore.views.find(view => view.spec.name === name)"
# Move the controls as a hand would: write into the inputs and let their events do the rest. Resolves to the answer.
MOVE = f"""([name, values]) => new Promise(resolve => {{
  const view = ({VIEW})(name);
  const heard = event => {{
    if (JSON.stringify(view.values) !== JSON.stringify(event.detail.values)) return;
    view.el.removeEventListener('ortholab:answer', heard);
    resolve(event.detail);
  }};
  view.el.addEventListener('ortholab:answer', heard);
  view.set(values);
}})"""


def figures(text: str) -> dict[str, str]:
    """Cut the explorables out of a page's HTML, by name."""
    opening = '<figure class="ol ol-explorable"'
    pieces = [opening + piece[: piece.index("</figure>") + len("</figure>")] for piece in text.split(opening)[1:]]
    return {json.loads(DATA.search(piece)[1])["spec"]["name"]: piece for piece in pieces}


def placed(site: Path = SITE) -> dict[str, list[str]]:
    """Find the explorables and films of the built pages: ``{page: [name, ...]}`` for the pages that have any."""
    found = {}
    for name in pages():
        if not (site / name).exists():  # test_site.py says that a page is missing; here it has no explorables
            continue
        here = figures((site / name).read_text(encoding="utf-8"))
        if here:
            found[name] = list(here)
    return found


def has_python(site: Path = SITE) -> bool:
    """Whether a copy of Pyodide lies beside the pages."""
    return any((site / "_static" / "explore").glob("pyodide-*/pyodide.asm.wasm"))


def start(page: object, timeout: float = 120_000) -> float:
    """Press the first start button of an open page; return the seconds until the first live answer."""
    page.evaluate(WATCH)
    return page.evaluate(
        """limit => new Promise((resolve, reject) => {
          const began = performance.now();
          addEventListener('ortholab:answer', () => resolve((performance.now() - began) / 1000), {once: true});
          setTimeout(() => reject(new Error(document.querySelector('.ol-x-status').textContent)), limit);
          document.querySelector('button.ol-x-start:not([hidden])').click();
        })""",
        timeout,
    )


@contextlib.contextmanager
def live(browser: object, url: str, **options: object) -> Iterator[tuple[object, object]]:
    """Open a page and start its Python."""
    from site_tools import open_page

    with open_page(browser, url, **options) as (page, trouble):
        start(page)
        yield page, trouble
