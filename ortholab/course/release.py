"""The student release: every source without its solutions and hidden tests, a README and the data, in one zip."""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path

from ortholab.course.gradebook import CourseFolder
from ortholab.course.source import Source, leaks, public, read_all, secrets
from ortholab.errors import RunError

TOP = "orthogonality-lab-course"
WHEN = (2019, 7, 1, 0, 0, 0)  # fixed, so that the same sources give the same bytes

README = """# Orthogonality Lab: the assignments

One notebook a chapter. Work in JupyterLab, with the package `ortholab`. In a clone of the book's repository:

    pip install {package} jupyterlab

and then, in this folder:

    jupyter lab

Or put this folder into the clone and run `make lab` there.

{table}

How it works
- Write your answer where a cell says `YOUR CODE HERE` or `YOUR ANSWER HERE`, and keep the names that it gives.
- The locked cell below it holds checks. Run it: silence means that they pass, a message says which property fails, on
  which input, and what that suggests.
- Your instructor's copy has further checks of the same properties: other seeds, sizes and edge cases.
- Parts do not depend on each other: a wrong answer in one costs nothing in the next.
- A loop that never ends, or more than {memory} of memory, costs the part that it is in, and no other.
- Before you submit: Kernel > Restart Kernel and Run All Cells, save, submit the .ipynb files under their own names.
"""


def release(sources: Path, out: Path, package: str = ".") -> Path:
    """Make the release of all assignments in ``sources`` through nbgrader, and return the path of the zip in ``out``.

    ``package``: what the README tells students to install. A folder ``data`` beside the sources goes into the zip.
    Raises ArgumentError if there is no source, RunError without nbgrader or if a line of a solution or of a hidden test
    stands in the result: then no zip is written.
    """
    read = read_all(Path(sources))
    with tempfile.TemporaryDirectory(prefix="ortholab-release-") as temporary:
        course = CourseFolder(Path(temporary))
        files = {f"{name}.ipynb": course.assign(source).read_bytes() for name, source in read.items()}
    files["README.md"] = readme(read, package).encode()
    data = Path(sources) / "data"
    for path in sorted(data.rglob("*")) if data.is_dir() else []:
        if path.is_file():
            files[str(path.relative_to(sources))] = path.read_bytes()
    found = leaked({name: body.decode(errors="ignore") for name, body in files.items()}, read)
    if found:
        raise RunError(f"the release would show what is to stay hidden: {found[0]}")
    Path(out).mkdir(parents=True, exist_ok=True)
    path = Path(out) / f"{TOP}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(f"{TOP}/{name}", WHEN), files[name], zipfile.ZIP_DEFLATED)
    return path


def leaked(texts: dict[str, str], sources: dict[str, Source]) -> list[str]:
    """Return "file: line" for every secret line of a source in ``texts``; escapes of JSON and HTML are undone."""
    shown = "\n".join(public(source) for source in sources.values())
    hidden = {line for source in sources.values() for line in secrets(source) if line not in shown}
    found = []
    for name, text in texts.items():
        found += [f"{name}: {line}" for line in leaks(unescape(text), hidden)]
        found += [f"{name}: {mark}" for mark in ("### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS") if mark in text]
    return found


def unescape(text: str) -> str:
    r"""Return a text as a reader sees it: HTML tags and entities, and the escapes of JSON, undone.

    >>> unescape('<span>a</span> &lt; \\"b\\"')
    'a < "b"'
    """
    import html

    text = re.sub(r"</?(?:span|code|pre|div|p|em|strong|a)\b[^>]*>", "", text)
    return html.unescape(text).replace('\\"', '"').replace("\\\\", "\\")


def readme(sources: dict[str, Source], package: str = ".") -> str:
    """Return the README for students: a table of the assignments, their parts, points and minutes, and the rules."""
    from ortholab.course.limits import Limits

    rows = ["| Notebook | Parts | Points | Minutes |", "|---|---|---|---|"]
    for name, source in sources.items():
        rows.append(f"| {name}.ipynb | {len(source.parts)} | {source.total:g} | {source.minutes or 'not stated'} |")
    memory = f"{Limits().memory >> 30} GB"
    return README.format(table="\n".join(rows), package=package, memory=memory)
