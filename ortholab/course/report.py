"""Pages for students and for the instructor: plain HTML, one file each, no script, no line of a hidden test."""

from __future__ import annotations

import html
import re
import statistics
from collections import Counter
from pathlib import Path

from ortholab.course.grade import Graded
from ortholab.course.marks import Row
from ortholab.course.source import Part, Source

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}
table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{text-align:left;vertical-align:top;padding:.35rem .6rem;
border-bottom:1px solid #ccc}td.n,th.n{text-align:right;white-space:nowrap}.bad{color:#9b1c1c}.note{background:#f3f3f3;
padding:.5rem .8rem;border-left:4px solid #888}rect{fill:#2b5f9e}text{font:12px sans-serif;fill:#1b1b1b}
@media(max-width:600px){.says thead{display:none}.says td{display:block;border:0;padding:.1rem 0}
.says td.n{text-align:left}
.says td:first-child{font-weight:600;border-top:1px solid #ccc;padding-top:.6rem}}"""
LEVELS = {
    "namespaces": "Each submission ran behind walls of its own: no network, no other process in sight, a private file "
    "system that shows Python, its packages and the system's libraries read-only and holds nothing of yours. What it "
    "wrote is gone.",
    "user": "This machine allows no namespaces. Each submission ran as a user of its own with limits: it could read "
    "what everybody on this machine can read (sources of the assignments, perhaps), and use the network. This folder "
    "is closed to it.",
    "plain": "This machine allows neither namespaces nor users of their own. Each submission ran with limits only: it "
    "could read and write whatever your account can, the sources of the assignments included, and use the network. "
    "Grade strangers' code in a container or a virtual machine. The sum of its memory was limited only over the "
    "processes of its session, which one can leave.",
}
REMAINS = (
    "At every level: no test is in reach while a student's cells run. A test then calls the student's functions, in "
    "one process with them, and code that is written for that purpose could read the test in that moment or forge its "
    "outcome. The notes name what was changed, and what deserves a look."
)


def page(title: str, body: str) -> str:
    """Return a whole HTML page.

    >>> page("A & B", "<p>x</p>").count("A &amp; B")
    2
    """
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_e(title)}</title>'
    body = f"<body><main><h1>{_e(title)}</h1>{body}</main></body>"
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>{body}</html>'


def _e(text: object) -> str:
    return html.escape(str(text))


def table(head: list[str], rows: list[list[object]], numbers: tuple[int, ...] = ()) -> str:
    """Return a table; columns in ``numbers`` are set right; cells that are already HTML come as ``Raw``."""
    kind = [' class="n"' if i in numbers else "" for i in range(len(head))]
    line = "".join(f'<th scope="col"{k}>{_e(h)}</th>' for h, k in zip(head, kind, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{_cell(x)}</td>" for x, k in zip(row, kind, strict=True)) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{line}</tr></thead><tbody>{body}</tbody></table>"


class Raw(str):
    """Text that is HTML already."""


def _cell(value: object) -> str:
    return value if isinstance(value, Raw) else f"{value:g}" if isinstance(value, float) else _e(value)


def feedback(graded: Graded, row: Row, source: Source) -> str:
    """Return a student's page: marks by part, what each failed check says, what awaits a person, notes on the file."""
    lines = [[_name(part), _points(part, row), _says(part, graded, row)] for part in source.parts]
    told = [n for n in graded.notes if "look at it by hand" not in n]
    notes = f'<div class="note">On your file: {_e("; ".join(told))}.</div>' if told else ""
    awaits = "<p>Parts that a person marks are still open.</p>" if row.pending else ""
    total = f"<p><strong>{row.total:g} of {source.total:g} points</strong></p>"
    parts = table(["Part", "Points", "What the checks say"], lines, (1,))
    return page(f"{source.name}: {graded.student}", f'{total}{awaits}{notes}<div class="says">{parts}</div>')


def _name(part: Part) -> str:
    """Return a part's title without its points and minutes, which the heading repeats."""
    return re.sub(r" \([^()]*\b(?:points|minutes)\b[^()]*\)$", "", part.title)


def _points(part: Part, row: Row) -> str:
    got = sum(row.points.get(cell, 0) for cell in part.points)
    return f"{got:g} of {part.total:g}" + (" (open)" if set(part.points) & set(row.pending) else "")


def _says(part: Part, graded: Graded, row: Row) -> Raw:
    """List a part's messages, each once: the visible and the hidden check often say the same."""
    failed = {graded.messages[cell]: None for cell in part.points if cell in graded.messages}
    lines = [f'<span class="bad">{_e(text)}</span>' for text in failed]
    lines += [_e(row.comments[cell]) for cell in part.points if cell in row.comments]
    if not graded.readable:
        lines = ["The file could not be read."]
    auto = set(part.points) - part.manual
    if auto and graded.readable and not failed:
        lines.insert(0, "All checks pass.")
    return Raw("<br>".join(lines))


def summary(done: list[Graded], rows: list[Row], sources: dict[str, Source], seconds: float, jobs: int) -> str:
    """Return the class page: distribution and commonest failed checks by assignment, notes, isolation, times."""
    body = f"<p>{len(done)} submissions in {seconds:.0f} s, {jobs} at a time.</p>"
    for name, source in sources.items():
        own = [row for row in rows if row.assignment == name]
        if own:
            body += f"<h2>{_e(name)}</h2>" + _distribution(own, source) + _by_part(own, source)
            body += _commonest([g for g in done if g.assignment == name], source)
    noted = [g for g in done if g.notes]
    body += "<h2>Notes</h2>"
    notes = [[g.student, g.assignment, "; ".join(g.notes)] for g in noted]
    body += table(["Student", "Assignment", "Notes"], notes) if notes else "<p>None.</p>"
    body += "<h2>Isolation</h2>" + "".join(f"<p>{_e(LEVELS[level])}</p>" for level in _levels(done))
    body += f"<p>{_e(REMAINS)}</p><h2>Times</h2>"
    times = [[g.student, g.assignment, round(g.seconds, 1)] for g in sorted(done, key=lambda g: -g.seconds)]
    return page("Class summary", body + table(["Student", "Assignment", "Seconds"], times, (2,)))


def _levels(done: list[Graded]) -> list[str]:
    return sorted({g.level for g in done if g.level in LEVELS}, key=list(LEVELS).index)


def _distribution(rows: list[Row], source: Source) -> str:
    """Draw the histogram of the totals in ten bins, and say its median and range."""
    totals = [row.total for row in rows]
    bins = Counter(min(9, int(10 * total / source.total)) for total in totals)
    most = max(bins.values())
    drawn = ""
    for i in range(10):
        height = 100 * bins[i] / most
        drawn += f'<rect x="{40 * i + 2}" y="{116 - height:.0f}" width="36" height="{height:.0f}"></rect>'
        drawn += f'<text x="{40 * i + 20}" y="{112 - height:.0f}" text-anchor="middle">{bins[i] or ""}</text>'
        drawn += f'<text x="{40 * i + 2}" y="132">{source.total * i / 10:g}</text>'
    words = (
        f"Median {statistics.median(totals):g}, from {min(totals):g} to {max(totals):g}, of {source.total:g} points."
    )
    open_ = sum(bool(row.pending) for row in rows)
    words += f" {open_} of {len(rows)} await marks by hand: their totals will rise." if open_ else ""
    figure = f'<svg viewBox="0 0 402 138" role="img" aria-label="Histogram of the totals. {_e(words)}">{drawn}</svg>'
    return f"<figure>{figure}<figcaption>{_e(words)}</figcaption></figure>"


def _by_part(rows: list[Row], source: Source) -> str:
    lines = []
    for part in source.parts:
        got = [sum(row.points.get(cell, 0) for cell in part.points) for row in rows]
        lines.append([_name(part), part.total, round(statistics.mean(got), 1), sum(g == part.total for g in got)])
    return table(["Part", "Points", "Mean", "Full marks"], lines, (1, 2, 3))


def _commonest(done: list[Graded], source: Source) -> str:
    """List the failed checks by how many students failed them; numbers in a message are left out to count like ones."""
    counts: Counter[tuple[str, str]] = Counter()
    for graded in done:
        found = {(_name(source.part_of(cell)), _shape(text)) for cell, text in graded.properties.items()}
        counts.update(found)
    lines = [[part, text, n] for (part, text), n in counts.most_common(12)]
    title = "<h3>Commonest failed checks</h3>"
    return title + (table(["Part", "What failed", "Students"], lines, (2,)) if lines else "<p>None.</p>")


def _shape(text: str) -> str:
    return re.sub(r"(?<![\w.])-?\d+(\.\d+)?(e[-+]?\d+)?(?![\w.])", "#", text)


def write(
    out: Path, done: list[Graded], rows: list[Row], sources: dict[str, Source], seconds: float, jobs: int
) -> Path:
    """Write ``summary.html`` and ``feedback/STUDENT/ASSIGNMENT.html``; return the summary's path."""
    by = {(row.student, row.assignment): row for row in rows}
    for graded in done:
        path = out / "feedback" / graded.student / f"{graded.assignment}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        row = by[graded.student, graded.assignment]
        path.write_text(feedback(graded, row, sources[graded.assignment]), encoding="utf-8")
    path = out / "summary.html"
    path.write_text(summary(done, rows, sources, seconds, jobs), encoding="utf-8")
    return path
