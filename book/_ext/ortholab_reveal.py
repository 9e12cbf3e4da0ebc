"""What the slides need beside themselves: reveal.js, and of the book's site its look, formulas and explorables."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent / "slides"
REVEAL_VERSION = "5.2.1"  # the Makefile fetches the same
REVEAL_CDN = f"https://cdn.jsdelivr.net/npm/reveal.js@{REVEAL_VERSION}"
REVEAL_FILES = ("dist/reveal.js", "dist/reveal.css", "dist/reset.css", "plugin/notes/notes.js", "LICENSE")
# Of the book's static files; MathJax's menu and its screen reader's speech are left out.
STATIC = ("tokens.css", "ortholab.css", "pygments.css", "favicon.svg", "explore")
MATHJAX = ("tex-chtml.js", "input/tex/extensions", "output/chtml")


def copy_assets(site: Path, out: Path, reveal: Path) -> str:
    """Copy what the decks need; return where reveal.js lies, seen from a deck."""
    static = out / "_static"
    for name in STATIC + tuple(f"mathjax/{part}" for part in MATHJAX):
        source, target = site / "_static" / name, static / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copyfile(source, target)
    if (site / "_images").exists():
        shutil.copytree(site / "_images", out / "_images", dirs_exist_ok=True)
    for name in ("slides.css", "slides.js"):
        shutil.copyfile(HERE / name, static / name)
    if not (reveal / "dist" / "reveal.js").exists():
        print(f"reveal.js {REVEAL_VERSION} was not found in {reveal}: the decks load it from {REVEAL_CDN}")
        return REVEAL_CDN
    for name in REVEAL_FILES:
        (static / "reveal" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(reveal / name, static / "reveal" / name)
    return "../../_static/reveal"
