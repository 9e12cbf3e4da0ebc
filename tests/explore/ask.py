"""Ask the explorables in Node, and print how long a move takes there: ``python tests/explore/ask.py NAME ...``.

Needs Node 18 or later and the folder with Pyodide's files in the environment variable ORTHOLAB_PYODIDE.
"""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ortholab import explore
from ortholab.explore import page, pyodide
from ortholab.explore.bundle import bundle
from ortholab.explore.controls import Formula, Range, flatten

LANE = Path(__file__).with_name("lane.mjs")


def missing() -> str:
    """Say what this machine lacks for the lane, or return ''."""
    node = shutil.which("node")
    if not node:
        return "Node is not installed"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 18:
        return f"Node {version} is too old; the lane needs 18 or later"
    return "" if pyodide.find() else f"{pyodide.VARIABLE} does not name a folder with Pyodide {pyodide.VERSION}"


def in_node(pairs: list[tuple[str, str]], timeout: float = 600) -> tuple[float, list[dict]]:
    """Answer (name, request) pairs with the browser's Python; return the ms to load it and a dict for each pair."""
    with tempfile.TemporaryDirectory() as folder:
        archive, requests, answers = (Path(folder) / name for name in ("bundle.zip", "requests.json", "answers.jsonl"))
        archive.write_bytes(bundle())
        requests.write_text(json.dumps(pairs), encoding="utf-8")
        command = ["node", str(LANE), str(pyodide.find()), str(archive), str(requests), str(answers)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        first, *lines = map(json.loads, answers.read_text(encoding="utf-8").splitlines())
    return first["loaded_ms"], lines


def moves(name: str, count: int, seed: int = 0) -> list[dict]:
    """Draw settings as a reader would make them: from the defaults on, one control at a time."""
    rng = np.random.default_rng(seed)
    explorable = explore.get(name)
    controls = [control for control in flatten(explorable.controls) if not isinstance(control, Formula)]
    state, found = explorable.defaults(), []
    for _ in range(count):
        control = controls[rng.integers(len(controls))]
        options = control.values if isinstance(control, Range) else control.positions()
        state = state | {control.name: options[rng.integers(len(options))]}
        found.append(state)
    return found


def stored_bytes(name: str) -> int:
    """Return the compressed size of all answers that a page stores for this explorable."""
    return len(gzip.compress(page.embed(page.stored(explore.get(name))).encode()))


def report(name: str) -> str:
    """Time 30 moves of an explorable here and in Node, and weigh its stored states."""
    requests = [json.dumps(explore.get(name).defaults()), *map(json.dumps, moves(name, 30))]
    native = []
    for request in requests:
        start = time.perf_counter()
        explore.answer(name, request)
        native.append(1000 * (time.perf_counter() - start))
    loaded, answers = in_node([(name, request) for request in requests])
    wasm = [answer["ms"] for answer in answers]
    start = time.perf_counter()
    size, seconds = stored_bytes(name), time.perf_counter() - start
    lines = [
        f"{name}: ms a move, median and most of 30 (first one apart); {len(explore.get(name).states())} states, "
        f"{size / 1000:.1f} kB compressed, {seconds:.1f} s natively"
    ]
    for host, ms in (("native", native), ("Node", wasm)):
        slowest = max(range(1, len(ms)), key=ms.__getitem__)
        lines.append(f"  {host:6s} {statistics.median(ms[1:]):7.1f} {ms[slowest]:7.1f} ({ms[0]:.0f})  "
                     f"slowest at {requests[slowest]}")  # fmt: skip
    failed = [answer["answer"][:300] for answer in answers if answer["answer"].startswith('{"error"')]
    return "\n".join([*lines, *(f"  error: {text}" for text in failed[:3]), f"  (loaded in {loaded:.0f} ms)"])


if __name__ == "__main__":
    if missing():
        raise SystemExit(missing())
    for chosen in sys.argv[1:] or explore.names():
        print(report(chosen), flush=True)
