"""Rooms one by one: what a cell and a test may do, what forging gets, and the levels without namespaces."""

from __future__ import annotations

import os
import sys

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("grading is tested on Linux", allow_module_level=True)

import signal
import subprocess
import time

from ortholab.course.driver import Cell, Job, Warm, run
from ortholab.course.limits import MB, Limits

LIMITS = Limits(cell=6, test=6, whole=40, memory=1024 * MB, file=2 * MB, disk=8 * MB)
CHECKED = "from ortholab import check\ncheck.agrees(f, lambda x: 2 * x, [(1.0,), (3.0,)])"


@pytest.fixture(scope="module")
def warm():
    """Warm up once."""
    with Warm() as warm:
        yield warm


@pytest.fixture(scope="module")
def open_warm():
    """The same without namespaces: what a machine that allows none gets."""
    with Warm(wall=False) as warm:
        yield warm


def outcome(warm, *cells, tests=(CHECKED,), given=""):
    """Run cells and tests that are named by their place."""
    named = [Cell(f"c{i}", c) for i, c in enumerate(cells)], [Cell(f"t{i}", t) for i, t in enumerate(tests)]
    return run(warm, Job(*named, given), LIMITS)


def verdicts(found) -> list[str]:
    """Return the status of each test, in order."""
    return [found.tests[key]["status"] for key in sorted(found.tests, key=lambda k: int(k[1:]))]


RIGHT = "def f(x):\n    return 2 * x"
WRONG = "def f(x):\n    return 3 * x"


def test_a_right_answer_passes_and_a_wrong_one_says_why(warm):
    assert verdicts(outcome(warm, RIGHT)) == ["ok"]
    found = outcome(warm, WRONG)
    assert verdicts(found) == ["error"]
    assert found.tests["t0"]["check"]["property"] == "the result is 3, not 2"
    assert found.notes == []


def test_figures_tables_and_prints_are_kept(warm):
    found = outcome(warm, "import matplotlib.pyplot as plt\nprint('hello')\nplt.plot([1, 2])\nplt.show()\n{'a': 1}")
    kinds = [set(shown["data"]) for shown in found.cells["c0"]["shown"]]
    assert kinds == [{"text/plain", "image/png"}, {"text/plain"}]
    assert found.cells["c0"]["printed"] == "hello\n"


def test_magics_and_await_work(warm):
    found = outcome(warm, "%matplotlib inline\nimport asyncio\nx = await asyncio.sleep(0, 5)", tests=["assert x == 5"])
    assert verdicts(found) == ["ok"]


def test_a_test_leaves_nothing_to_the_next(warm):
    found = outcome(
        warm, "memory = []\ndef f(x):\n    memory.append(x)\n    return len(memory)", tests=["assert f(1) == 1"] * 3
    )
    assert verdicts(found) == ["ok"] * 3


def test_autograd_works_in_cells_and_in_tests(warm):
    code = "import torch\nW = torch.ones(3, requires_grad=True)\n(W**2).sum().backward()\nassert W.grad[0] == 2"
    assert verdicts(outcome(warm, code, tests=[code, code])) == ["ok", "ok"]


FORGERIES = {
    "shadowed builtins": (
        WRONG + "\nall = any = lambda *a: True\nabs = lambda x: 0",
        ["assert all([f(1) == 2])", "assert abs(f(1) - 2) < 1"],
    ),
    "changed builtins": ("import builtins\nbuiltins.all = lambda *a: True\n" + WRONG, ["assert all([f(1) == 2])"]),
    "numpy": (
        "import numpy as np\nnp.allclose = lambda *a, **k: True\n" + WRONG,
        ["import numpy as np\nassert np.allclose(f(1), 2)"],
    ),
    "inside numpy": (
        "import sys\nimport numpy as np\nsys.modules['numpy._core.numeric'].isclose = lambda *a, **k: np.array(True)\n"
        + WRONG,
        ["import numpy as np\nassert np.allclose(f(1), 2)"],
    ),
    "code of a check": (
        "from ortholab import check\ncheck.agrees.__code__ = (lambda *a, **k: None).__code__\n" + WRONG,
        [CHECKED],
    ),
    "another module": (
        "import sys, types\nsys.modules['ortholab.check'] = types.SimpleNamespace(agrees=print)\n" + WRONG,
        [CHECKED],
    ),
    "an always equal": ("class Yes(float):\n    __eq__ = lambda *a: True\ndef f(x):\n    return Yes(3)", [CHECKED]),
    "exit": ("import os\ndef f(x):\n    os._exit(0)", [CHECKED]),
    "exit by name": ("def f(x):\n    raise SystemExit(0)", [CHECKED]),
    "patch in the test": (
        "import ortholab.check.general as g\ndef f(x):\n    g.close = lambda *a, **k: None\n    return 3 * x",
        [CHECKED],
    ),
    "a copy goes on": ("import os\ndef f(x):\n    return 3 * x if os.fork() else os._exit(0)", [CHECKED]),
    "answers itself": (
        "import os, json, struct\ndef f(x):\n    data = json.dumps({'op': 'test', 'status': 'ok'}).encode()\n"
        "    for fd in range(3, 64):\n        try:\n            os.write(fd, struct.pack('!I', len(data)) + data)\n"
        "        except OSError:\n            pass\n    os._exit(0)",
        [CHECKED],
    ),
    "an audit hook": ("import sys\nsys.addaudithook(lambda *a: None)\n" + WRONG, [CHECKED]),
    "a tracer": ("import sys\nsys.settrace(lambda *a: None)\n" + WRONG, [CHECKED]),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forging_gains_nothing(warm, name):
    code, tests = FORGERIES[name]
    found = outcome(warm, code, tests=tests)
    assert "ok" not in verdicts(found)


def test_the_given_definitions_win_over_the_students(warm):
    given = "import numpy as np\ndef colleague(n):\n    return np.ones((n, n))"
    found = outcome(
        warm, "def colleague(n):\n    return 0\nnp = None", tests=["assert colleague(2).sum() == 4"], given=given
    )
    assert verdicts(found) == ["ok"]


def test_limits_of_files_memory_and_disk(warm):
    found = outcome(
        warm,
        "open('a', 'wb').write(bytes(3 << 20))",
        "x = bytearray(2 << 30)",
        "for i in range(20):\n    open(f'b{i}', 'wb').write(bytes(1 << 20))",
        "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)",
        RIGHT,
    )
    names = [found.cells[f"c{i}"].get("ename") for i in range(5)]
    assert names[:2] == ["OSError", "MemoryError"]
    assert found.level != "namespaces" or names[2:4] == ["OSError", "OSError"]
    assert names[4] is None
    assert verdicts(found) == ["ok"]


HOARD = """
import os, time
def hoard():
    for _ in range(6):
        if os.fork() == 0:
            x = bytearray(400 << 20)
            time.sleep(60)
            os._exit(0)
    for _ in range(6):
        os.wait()
"""


@pytest.mark.parametrize(
    "cells",
    [(HOARD + "hoard()", RIGHT), (HOARD + "def f(x):\n    hoard()\n    return 2 * x",)],
    ids=["in a cell", "in a test"],
)
def test_processes_that_hoard_memory_together_are_ended(warm, cells):
    start = time.monotonic()
    found = outcome(warm, *cells, tests=[CHECKED, "assert 1 + 1 == 2"])
    assert any("its processes together" in note for note in found.notes)
    assert verdicts(found)[1] == "ok"
    assert time.monotonic() - start < 45


def test_a_part_that_uses_a_name_again_does_not_harm_an_earlier_one(warm):
    cells = [Cell("c0", RIGHT), Cell("names", names=("f", "absent")), Cell("c1", WRONG)]
    found = run(warm, Job(cells, [Cell("t0", CHECKED)]), LIMITS)
    assert verdicts(found) == ["ok"]


def test_what_kills_the_room_costs_only_itself(warm):
    found = outcome(
        warm,
        "x = 1",
        "import os, signal\nos.kill(os.getpid(), 9)\nos._exit(1)",
        RIGHT,
        tests=[CHECKED, "assert x == 1"],
    )
    assert found.cells["c1"]["status"] == "died"
    assert verdicts(found) == ["ok", "ok"]


def test_too_many_deaths_end_it(warm):
    found = outcome(warm, *["import os\nos._exit(0)"] * 5)
    assert verdicts(found) == ["lost"]


def test_without_namespaces_limits_still_hold(open_warm):
    found = outcome(
        open_warm,
        "x = bytearray(2 << 30)",
        "import os\nwho = os.getuid()",
        RIGHT,
        tests=[CHECKED, f"assert who != {os.getuid()}"],
    )
    assert found.level in ("user", "plain")
    assert found.cells["c0"]["ename"] == "MemoryError"
    assert verdicts(found) == ["ok", "ok" if found.level == "user" else "error"]


def test_a_killed_grader_leaves_nothing_running(tmp_path):
    code = (
        "import os\nfrom ortholab.course.driver import *\nfrom ortholab.course.limits import Limits\n"
        "with Warm() as warm:\n    room = warm.open(Limits())\n    print(room.pid, warm.process.pid, flush=True)\n"
        "    room.ask({'op': 'cell', 'code': 'while True: pass'}, 600)"
    )
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in grader.stdout.readline().split()]
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    for _ in range(300):
        if not any(os.path.exists(f"/proc/{pid}") for pid in pids):
            break
        time.sleep(0.1)
    assert [pid for pid in pids if os.path.exists(f"/proc/{pid}")] == []
