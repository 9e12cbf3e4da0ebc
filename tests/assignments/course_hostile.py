"""Twenty submissions of the toy assignment: honest, wrong, broken and hostile, with the marks that each deserves.

The parts: a gradient (10 visible + 20 hidden), an orthogonal matrix (15 + 35), a proof marked by hand (20).
"""

from __future__ import annotations

import json
from pathlib import Path

from course_submissions import TOY, answered, solved, stripped, write

from ortholab.course.source import tag

SOURCE = TOY / "1-toy.ipynb"
GRADIENT = "def gradient(W):\n    return 4 * W**3\n"

READER = """
import gc, os, inspect
found = []
for top in ("/tmp", "/home", "/var", "/work", "/srv", "/mnt", {outside!r}):
    for folder, folders, files in os.walk(top):
        folders[:] = [f for f in folders if f not in ("site-packages", "node_modules")]
        found += [os.path.join(folder, name) for name in files if name.endswith((".ipynb", ".db"))]
texts = [v for o in gc.get_objects() if type(o) is dict for v in o.values() if type(v) is str]
texts += [v for o in gc.get_objects() if type(o) is list for v in o if type(v) is str]
texts += get_ipython().history_manager.input_hist_raw
print("FOUND", found, sum("(W**4)" + ".sum()" in text for text in texts))
def gradient(W):
    frame, seen = inspect.currentframe(), []
    while frame:
        seen.append(str({{k: v for k, v in frame.f_locals.items() if isinstance(v, (str, dict))}}))
        frame = frame.f_back
    raise ValueError("READ " + " ".join(s for s in seen if "hidden_quartic" in s or "W**4" in s))
"""
WRITER = (
    GRADIENT
    + """
import os
for path in ({outside!r}, {outside!r} + "/../escaped", "/usr/escaped", "/etc/escaped"):
    try:
        os.makedirs(path, exist_ok=True)
        with open(path + "/written-by-a-student", "w") as file:
            file.write("x")
    except OSError as error:
        print(error)
for path in {others!r}:
    try:
        open(path, "w").write("spoilt")
    except OSError as error:
        print(error)
"""
)
PATCHER = """
import numpy, ortholab.check, ortholab.check.general, builtins
from ortholab import check
nothing = lambda *a, **k: None
check.gradient = check.agrees = ortholab.check.general.gradient = ortholab.check._core.close = nothing
numpy.allclose = lambda *a, **k: True
numpy.abs = lambda *a, **k: numpy.zeros(1)
check.CheckFailed.__init__ = nothing
all = any = lambda *a: True
def gradient(W):
    return 5 * W
"""
LATE_PATCHER = """
def gradient(W):
    import ortholab.check.general as general
    general.CheckFailed = Warning
    np.abs = lambda x: np.zeros(1)
    return 5 * W
"""
STUBBORN = (
    GRADIENT + "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass\n"
)
FORKS = (
    GRADIENT
    + """
import os, time
for _ in range(500):
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError:
        break
"""
)
WARNS = """
import sys, warnings
def gradient(W):
    warnings.warn("careful")
    print("x", file=sys.stderr)
    return 4 * W**3
"""


def answers(outside: Path, others: list[str]) -> dict[str, tuple[dict[str, str], float, str]]:
    """Return by student: answers, the points deserved (without the proof), a word of the note or message expected."""
    words = {"outside": str(outside), "others": others}
    return {
        "loops_in_cell": ({"gradient": GRADIENT + "while True:\n    pass\n"}, 80, "did not end in time"),
        "loops_in_function": ({"gradient": "def gradient(W):\n    while True:\n        pass\n"}, 50, "takes more than"),
        "stubborn_loop": ({"gradient": STUBBORN}, 50, "did not end in time"),
        "ten_gigabytes": ({"gradient": "x = np.ones(10**10 // 8)\n" + GRADIENT}, 50, "too much memory"),
        "renames": ({"gradient": "def my_gradient(W):\n    return 4 * W**3\n"}, 50, "`my_gradient` is: was it renamed"),
        "syntax": ({"gradient": "def gradient(W)\n    return 4 * W**3\n"}, 50, "syntax error in line 1"),
        "floods": ({"gradient": GRADIENT + "for _ in range(100):\n    print('x' * 10**6)\n"}, 80, "100 MB"),
        "reads": ({"gradient": READER.format(**words)}, 50, "look at it by hand"),
        "writes": ({"gradient": WRITER.format(**words)}, 80, ""),
        "patches": ({"gradient": PATCHER}, 50, "the code changed"),
        "patches_late": ({"gradient": LATE_PATCHER}, 50, "the code changed"),
        "exits": ({"gradient": "import os\nos._exit(0)\n"}, 50, "ended its process"),
        "exits_in_test": ({"gradient": "import os\ndef gradient(W):\n    os._exit(0)\n"}, 50, "killed or ended itself"),
        "forks": ({"gradient": FORKS}, 80, ""),
        "warns": ({"gradient": WARNS}, 80, ""),
        "half_right": ({"gradient": "def gradient(W):\n    return 2 * W**3\n"}, 50, "0.5 times the right one"),
    }


def hand_in(folder: Path, outside: Path) -> dict[str, tuple[float, str]]:
    """Write the twenty submissions; return by student the points deserved and the words expected."""
    name, expected = SOURCE.stem, {}
    write(solved(SOURCE), folder, "reference", name)
    write(stripped(SOURCE), folder, "untouched", name)
    expected |= {"reference": (80, ""), "untouched": (0, "Not answered yet")}
    cut = solved(SOURCE)
    cut.cells = [c for c in cut.cells if not tag(c).get("grade_id", "").startswith("gradient")]
    write(cut, folder, "deletes", name)
    expected["deletes"] = (50, "was deleted")
    broken = folder / "not_json" / f"{name}.ipynb"
    broken.parent.mkdir(parents=True)
    broken.write_text(json.dumps({"cells": []})[:-3] + "<<<<<<< HEAD", encoding="utf-8")
    expected["not_json"] = (0, "not a notebook")
    others = [str(folder / "reference" / f"{name}.ipynb"), str(broken)]
    for student, (texts, points, word) in answers(outside, others).items():
        write(answered(SOURCE, texts), folder, student, name)
        expected[student] = (points, word)
    return expected
