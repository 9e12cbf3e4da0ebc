"""The pictures of the book that the README and the landing page show: parts of built pages, into book/_assets.

``python tests/book/pictures.py`` after `make book`; commit what changed. A test asks for each where it is shown.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from PIL import Image, ImageOps
from site_tools import ROOT, SITE, find_chromium, launch, open_page, serve

ASSETS = ROOT / "book" / "_assets"
# File, page, the element that is shown, and what is opened before.
PICTURES = {
    "explorable.png": ("1-isometry/order_to_chaos", "figure.ol-explorable", ""),
    "derivation.png": ("1-isometry/jacobian", ".ol-derivation", ".ol-derivation details"),
    "claim.png": ("2-initialization/relu_vs_hardtanh", ".ol-claim", ""),
    "diagnosis.png": ("5-since-the-slides/diagnosis", "figure.ol-figure", ""),
}
MARGIN = 18
COLOURS = 128  # enough for lines and letters; a quarter of the bytes


def main() -> int:
    """Take each picture at desktop width, half as sharp again as on the page."""
    from playwright.sync_api import sync_playwright

    if not find_chromium():
        print("error: no Chromium was found (install Debian's chromium, or set CHROMIUM)", file=sys.stderr)
        return 1
    with serve(SITE) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        for file, (name, element, opened) in PICTURES.items():
            with open_page(browser, f"{address}/book/{name}.html", sharp=1.5) as (page, _):
                if opened:
                    page.locator(opened).first.evaluate("e => e.open = true")
                data = page.locator(element).first.screenshot()
            image = ImageOps.expand(Image.open(io.BytesIO(data)).convert("RGB"), MARGIN, "white").quantize(COLOURS)
            image.save(ASSETS / file, optimize=True)
            print(f"{file}: {image.width} x {image.height}, {(ASSETS / file).stat().st_size / 1e3:.0f} kB")
        browser.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
