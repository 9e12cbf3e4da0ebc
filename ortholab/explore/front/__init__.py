"""The front end, put together from its two files: as an ES module for a kernel, as a plain script for the page."""

from __future__ import annotations

import re
from pathlib import Path

from ortholab._tokens import DARK_NOTEBOOK, NAMES, css, declarations

HERE = Path(__file__).resolve().parent
_EXPORT = "export default { render, boot };\n"


def _joined() -> str:
    """draw.js and explorable.js as one text without imports and exports but the last."""
    draw = re.sub(r"(?m)^export (function|const)", r"\1", (HERE / "draw.js").read_text(encoding="utf-8"))
    main = (HERE / "explorable.js").read_text(encoding="utf-8")
    main = re.sub(r'(?m)^import .* from "\./draw\.js";\n', "", main)
    if not main.endswith(_EXPORT) or re.search(r"(?m)^(import|export) ", draw + main.removesuffix(_EXPORT)):
        raise AssertionError("the front end's files import or export more than front/__init__.py knows")
    return draw + main


def module() -> str:
    """Return the ES module whose default export has ``render({model, el})``: what anywidget loads."""
    return _joined()


def script() -> str:
    """Return the plain script that the built page loads, also from ``file://``, where no module may be imported.

    Its element carries the configuration: ``data-config`` is JSON with the worker's folder and where Python lies.
    """
    body = _joined().removesuffix(_EXPORT)
    return (
        "(() => {\n" + body + "const config = JSON.parse(document.currentScript.dataset.config);\n"
        "window.ortholabExplore = boot(config);\n})();\n"
    )


def worker() -> str:
    """Return the script of the Web Worker."""
    return (HERE / "worker.js").read_text(encoding="utf-8")


def stylesheet(tokens: bool = False) -> str:
    """Return the stylesheet; with ``tokens`` the design tokens too, for a page without the book's own stylesheet."""
    rules = (HERE / "explorable.css").read_text(encoding="utf-8")
    if not tokens:
        return rules
    light = " ".join(f"--ol-{name}: {css(name)};" for name in NAMES)
    light = re.sub(r"var\(--ol-\w+, (.*?)\);", r"\1;", light)
    return f":where(.ol-explorable) {{ {light} }}\n{DARK_NOTEBOOK} .ol-explorable {{ {declarations('dark')} }}\n{rules}"
