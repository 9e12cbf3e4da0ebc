"""What the site's tests and the picture tool share: the pages, a local server, and a browser page that is offline."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# A site built elsewhere (jupyter-book build . --path-output DIR) can be tested too.
SITE = Path(os.environ.get("ORTHOLAB_SITE", ROOT / "_build" / "html"))
WIDTHS = (1440, 390)


def toc_files(root: Path = ROOT) -> list[str]:
    """List the documents of ``_toc.yml`` in order, without their suffix."""

    def walk(entry: object) -> Iterator[str]:
        if isinstance(entry, dict):
            for key, value in entry.items():
                if key in ("root", "file"):
                    yield value
                elif isinstance(value, list):
                    yield from walk(value)
        elif isinstance(entry, list):
            for item in entry:
                yield from walk(item)

    return list(walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))))


def pages() -> list[str]:
    """List the HTML pages of the book, and the search page, relative to the site."""
    return [f"{name}.html" for name in toc_files()] + ["search.html"]


def find_chromium() -> str | None:
    """Find a Chromium: $CHROMIUM, Debian's, or any on the path; one without windows takes a third less time a page."""
    names = (os.environ.get("CHROMIUM"), "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def launch(playwright: object) -> object:
    """Start Chromium, cut off from all other hosts; what it writes goes to the project's folder, not to HOME."""
    own = str(ROOT / ".make" / "chromium")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    return playwright.chromium.launch(
        executable_path=find_chromium(),
        args=["--no-sandbox", "--disable-dev-shm-usage", alone, *quiet],
        env={**os.environ, "XDG_CONFIG_HOME": own, "XDG_CACHE_HOME": own},
    )


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files without writing a line for each."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free local port; yield its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@dataclass
class Trouble:
    """What went wrong on a page."""

    external: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def without_formulas(target: object) -> None:
    """Give the pages of a context, or one page, an empty script for MathJax."""
    empty = {"content_type": "text/javascript", "body": ""}
    target.route("**/mathjax/*.js", lambda request_route: request_route.fulfill(**empty))


@contextlib.contextmanager
def open_page(
    browser: object,
    url: str,
    *,
    width: int = 1440,
    scheme: str = "light",
    formulas: bool = True,
    sharp: float = 1,
    text: str = "",
) -> Iterator[tuple[object, Trouble]]:
    """Open a page, note every request that would leave this machine (it finds no host), and wait for its formulas.

    They take half or more of the time that a page takes to open; without them MathJax is an empty script. ``text`` is
    HTML that stands in for the page's own.
    """
    local = url.split("/", 3)[2]
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        device_scale_factor=sharp,
    )
    context.set_default_navigation_timeout(120_000)  # on a busy machine a page can take half a minute
    trouble = Trouble()

    def note(request: object) -> None:
        if not request.url.startswith((f"http://{local}/", "data:", "blob:")):
            trouble.external.append(request.url)

    context.on("request", note)
    if not formulas:
        without_formulas(context)
    if text:
        context.route(url, lambda route: route.fulfill(content_type="text/html; charset=utf-8", body=text), times=1)
    page = context.new_page()
    page.on("pageerror", lambda error: trouble.errors.append(f"page error: {error}"))
    page.on("console", lambda m: trouble.errors.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("response", lambda r: trouble.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    try:
        page.goto(url, wait_until="load")
        if formulas:
            page.wait_for_function(
                "() => !document.querySelector('script[src*=mathjax]') || window.MathJax?.startup?.promise"
            )
            page.evaluate("() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")
        yield page, trouble
    finally:
        context.close()


def need(present: object, what: str) -> None:
    """Skip the test, or fail it under CI=true, unless ``present``."""
    if present:
        return
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"{what} (a failure under CI=true)", pytrace=False)
    pytest.skip(what)
