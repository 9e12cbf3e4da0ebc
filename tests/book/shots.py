"""Full-page pictures of every page of the built book, for people: ``make shots`` writes them to _build/shots."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from site_tools import SITE, WIDTHS, find_chromium, launch, open_page, pages, serve


def main(words: list[str]) -> int:
    """Take the pictures of the pages whose name contains one of ``words`` (of all pages if there is none)."""
    from playwright.sync_api import sync_playwright

    if not find_chromium():
        print("error: no Chromium was found (install Debian's chromium, or set CHROMIUM)", file=sys.stderr)
        return 1
    target = SITE.parent / "shots"
    target.mkdir(exist_ok=True)
    with serve(SITE) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for name in pages():
            if words and not any(word in name for word in words):
                continue
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    with open_page(browser, f"{address}/{name}", width=width, scheme=scheme) as (page, _):
                        path = target / f"{name.removesuffix('.html').replace('/', '-')}-{width}-{scheme}.png"
                        page.screenshot(path=path, full_page=True)
                        print(path)
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
