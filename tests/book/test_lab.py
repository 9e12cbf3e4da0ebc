"""Explorables in JupyterLab, in a real browser, with a real kernel: every one answers, as the native Python does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import explorables  # noqa: F401  (puts tests/explore on the path)
import pytest
from same import differences
from site_tools import ROOT

from ortholab import explore

pytestmark = [pytest.mark.site, pytest.mark.browser]

CELL = "from ortholab import explore\n\nfor name in [*explore.names(), *explore.FILMS]:\n    explore.show(name)"
# Move the first slider of an explorable to a new place by its own events; resolves to the next answer.
MOVE = """live => new Promise((resolve, reject) => {
  live.addEventListener('ortholab:answer', event => resolve(event.detail), {once: true});
  setTimeout(() => reject(new Error('no answer: ' + live.innerText.slice(-300))), 60000);
  const slider = [...live.querySelectorAll('input[type=range]')].find(e => e.offsetParent);
  slider.value = Number(slider.value) + 1 <= slider.max ? Number(slider.value) + 1 : Number(slider.value) - 1;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
})"""


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Run JupyterLab on a folder and a free port, with settings of its own; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(folder / f".{name}") for name in ("CONFIG", "RUNTIME")}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--IdentityProvider.token=", "--ServerApp.password=",
        f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0",
        "--ServerApp.allow_root=True",
    ]  # fmt: skip
    environment = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
    environment.pop(explore.STATIC, None)
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(120):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=2).close()
                    break
                assert server.poll() is None, (folder / "lab.log").read_text()[-2000:]
                time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, browser) -> Iterator[object]:
    """A notebook with every explorable and film, open in JupyterLab and executed."""
    folder = tmp_path_factory.mktemp("lab")
    cell = {"cell_type": "code", "id": "all", "metadata": {}, "outputs": [], "execution_count": None, "source": CELL}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    text = json.dumps({"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    (folder / "all.ipynb").write_text(text)
    with lab(folder) as address:
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(f"{address}/lab/tree/all.ipynb?reset")
        page.wait_for_selector(".jp-Notebook .cm-content", timeout=60_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=60_000)
        for _ in range(8):  # a notebook that is still being laid out can miss the key
            page.wait_for_timeout(4000)
            page.locator(".jp-Notebook .cm-content").first.click()
            page.keyboard.press("Control+Enter")
            page.wait_for_timeout(8000)
            if page.locator(".ol-x-live").count():
                break
        count = len(explore.names()) + len(explore.FILMS)
        page.wait_for_function(f"() => document.querySelectorAll('.ol-x-live').length === {count}", timeout=120_000)
        yield page
        page.close()


@pytest.mark.parametrize("name", [*explore.names(), *explore.FILMS])
def test_the_kernel_answers(notebook, name):
    index = [*explore.names(), *explore.FILMS].index(name)
    live = notebook.locator(".ol-x-live").nth(index)
    live.scroll_into_view_if_needed()
    notebook.wait_for_function(
        "i => document.querySelectorAll('.ol-x-live')[i].dataset.state === 'live'", arg=index, timeout=60_000
    )
    detail = live.evaluate(MOVE)
    assert detail["host"] == "kernel"
    native = json.loads(explore.answer(name, json.dumps(detail["values"])))
    # A film trains in single precision, in another process: its words and shapes are held to the same seed elsewhere.
    if name in explore.names():
        assert not differences(native, detail["answer"])
    else:
        assert native.keys() == detail["answer"].keys() == {"picture"}
    assert live.locator("svg.ol-x-panel").count() == len(native["picture"]["panels"])
    assert "kernel" in live.locator(".ol-x-status").inner_text()
