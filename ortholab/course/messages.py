"""From what a test said to what a student reads: one or two plain sentences, and never a line of a hidden test."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ortholab.course.source import Part, leaks

WITHHELD = "The test failed; its message repeats lines of the test and is withheld."
LONGEST = 500
PEEKS = {
    "gc.get_": "gc",
    "_getframe": "sys._getframe",
    "currentframe": "inspect.currentframe",
    "inspect.stack": "inspect.stack",
    "f_back": "frames",
    "tb_frame": "frames",
    "ctypes": "ctypes",
    "os._exit": "os._exit",
    "settrace": "sys.settrace",
    "setprofile": "sys.setprofile",
    "addaudithook": "sys.addaudithook",
    "__code__": "__code__",
    "/proc/": "/proc",
    "HIDDEN TESTS": "a search for hidden tests",
    "gradebook.db": "the gradebook",
}


@dataclass(frozen=True)
class Answer:
    """A part's answer cells: were they deleted or left as they were, how they ended, what the student defines."""

    deleted: bool
    untouched: bool
    ended: list[dict]
    defines: frozenset[str]


def about_test(result: dict, part: Part, answer: Answer, hidden: set[str], seconds: float) -> str:
    """Return the message of one failed test; an empty string if it passed.

    >>> about_test({"status": "ok"}, Part("1", {}, frozenset(), (), frozenset()), None, set(), 60)
    ''
    """
    status, name = result["status"], result.get("ename", "")
    if status == "ok":
        return ""
    if answer.untouched:
        return "The answer cell of this part was deleted." if answer.deleted else "Not answered yet."
    text = {
        "timeout": f"The test did not end within {seconds:g} s. Does a loop never end?",
        "died": "The test's process was killed or ended itself. Does the answer need too much memory, or call exit?",
        "lost": "The test could not be run: time or memory ran out before it.",
        "forged": "The test did not end as a test ends: the answer seems to end the process itself.",
    }.get(status)
    if text is None and "missing" in result:
        text = _about_missing(result["missing"], part, answer)
    elif text is None and "check" in result:
        text = result["evalue"]
    elif text is None and name == "AssertionError":
        text = result["evalue"] or "An assertion of the test failed."
    elif text is None and name == "NotImplementedError":
        text = "Not written yet: replace the line that raises NotImplementedError."
    elif text is None:
        text = f"The test stops with {name}: {result.get('evalue', '')}"
    text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
    return WITHHELD if leaks(text, hidden) else text


def _about_missing(name: str, part: Part, answer: Answer) -> str:
    stopped = [text for text in map(about_cell, answer.ended) if text]
    if stopped:
        return f"`{name}` is not defined: the answer cell {stopped[0]}"
    others = sorted(answer.defines - part.names)
    if name in part.names and others:
        return f"`{name}` is not defined, but `{others[0]}` is: was it renamed? Keep the name that the stub gives."
    return f"`{name}` is not defined."


def about_cell(result: dict) -> str:
    """Say how one of the student's cells ended, or nothing if it ran.

    >>> about_cell({"status": "error", "ename": "SyntaxError", "evalue": "invalid syntax (<x>, line 2)", "line": 2})
    'has a syntax error in line 2: invalid syntax.'
    """
    status, name = result.get("status"), result.get("ename", "")
    words = re.sub(r" \(<[^)]*\)$", "", result.get("evalue", ""))[:160]
    if status == "timeout":
        return "did not end in time and was interrupted."
    if status == "died":
        return "ended its process. Does it need too much memory, or call exit?"
    if status != "error":
        return ""
    if "line" in result:
        return f"has a syntax error in line {result['line']}: {words}."
    if name == "MemoryError":
        return f"asked for too much memory: {words}."
    if name == "NotImplementedError":
        return "is not written yet."
    return f"stops with {name}: {words}."


def peeks(code: str) -> list[str]:
    """Return what in a student's code deserves a look by hand, as it can serve to read or forge tests.

    >>> peeks("import sys\\nsys._getframe()")
    ['sys._getframe']
    """
    return sorted({label for word, label in PEEKS.items() if word in code})
