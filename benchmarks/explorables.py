"""The explorables in a browser: from the click to the first live result, and a move of each.

Needs the built book with Pyodide beside it (ORTHOLAB_PYODIDE, then make book) and a Chromium.
Run: python benchmarks/explorables.py
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "book"))

from explorables import MOVE, has_python, placed, start
from site_tools import SITE, find_chromium, launch, open_page, serve

from ortholab import explore

STARTS, MOVES = 5, 40


def main() -> int:
    """Print the table."""
    from ask import moves
    from playwright.sync_api import sync_playwright

    if not find_chromium() or not has_python():
        print("needs a Chromium, and the built book with Pyodide beside it", file=sys.stderr)
        return 1
    with serve(SITE) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        home = "book/1-isometry/order_to_chaos.html"
        seconds = []
        for _ in range(STARTS):  # a new context each: nothing is cached
            with open_page(browser, f"{address}/{home}") as (page, _):
                seconds.append(start(page))
        print(f"Click to first live result, {STARTS} fresh pages: median {statistics.median(seconds):.1f} s, "
              f"{min(seconds):.1f} to {max(seconds):.1f}.")  # fmt: skip
        print("Then, by explorable: seconds from the click on its page to the first live result (one fresh page);")
        print(f"a move, from the control to the drawn answer, {MOVES} random moves (ms): median, 90th percentile, most")
        for name, found in placed().items():
            alive = [n for n in found if n in explore.names()]
            if not alive:
                continue
            with open_page(browser, f"{address}/{name}") as (page, _):
                first = start(page)
                for explorable in alive:
                    states = moves(explorable, MOVES + 1, seed=3)
                    page.evaluate(MOVE, [explorable, states[0]])
                    took = sorted(page.evaluate(MOVE, [explorable, values])["total"] for values in states[1:])
                    middle, high = statistics.median(took), took[int(0.9 * len(took))]
                    print(f"  {explorable:20s} {first:6.1f} {middle:8.0f} {high:6.0f} {took[-1]:6.0f}")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
