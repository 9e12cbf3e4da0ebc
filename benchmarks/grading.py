"""Twenty submissions of the course's own assignments, ten of them hostile or broken: how long does grading take?

Needs the extra `course`. Run: python benchmarks/grading.py
It grades with the limits that `ortholab grade` has by default, and fails if a submission gets other marks than it
deserves.
"""

from __future__ import annotations

import csv
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "assignments"))

import answers
from course_hostile import PATCHER, READER, WRITER
from course_submissions import answered, solved, stripped, write

from ortholab.course import class_run, grade
from ortholab.course.source import Source, read_all, tag

JOBS = 2
LOOP = "\nwhile True:\n    pass\n"
FLOOD = "\nfor _ in range(100):\n    print('x' * 10**6)\n"
MEMORY = "import numpy as np\nnp.ones(10**10 // 8)\n"


def own(source: Source, cell: str) -> str:
    """Return the perfect answer in a cell."""
    return next(c.source for c in solved(source.path).cells if tag(c).get("grade_id") == cell)


def name_of(source: Source, cell: str) -> str:
    """Return the name of the function that an answer defines."""
    return re.search(r"def (\w+)", own(source, cell))[1]


def lost(source: Source, cell: str) -> float:
    """Return the points of the automatic tests of the part that a cell belongs to."""
    part = next(p for p in source.parts if cell in p.answers)
    return sum(points for key, points in part.points.items() if key not in part.manual)


def full(source: Source) -> float:
    """Return the points of all automatic tests."""
    return sum(points for part in source.parts for key, points in part.points.items() if key not in part.manual)


def hand_in(folder: Path, sources: dict[str, Source]) -> dict[tuple[str, str], float | None]:
    """Write the class; return by student and assignment the points deserved before the marks by hand.

    None: fewer than all, as one part is wrong.
    """
    expected: dict[tuple[str, str], float | None] = {}

    def submit(student: str, name: str, points: float | None, texts: dict[str, str]) -> None:
        write(answered(sources[name].path, texts), folder, student, name)
        expected[student, name] = points

    one, two, three, four = sources
    for name in sources:
        submit(f"perfect-{name[0]}", name, full(sources[name]), {})
    write(stripped(sources[one].path), folder, "untouched", one)
    expected["untouched", one] = 0

    def change(student: str, name: str, cell: str, text: str, right: bool = False) -> None:
        submit(student, name, full(sources[name]) - (0 if right else lost(sources[name], cell)), {cell: text})

    outside, others = str(folder.parent / "outside"), [str(folder / f"perfect-{n[0]}" / f"{n}.ipynb") for n in sources]
    words = {"outside": outside, "others": others}
    # The bodies of the toy's hostile answers, before and after the right one.
    change("loops", one, "walk", own(sources[one], "walk") + LOOP, right=True)
    endless = f"def {name_of(sources[two], 'bottleneck')}(widths, count):\n    while True:\n        pass\n"
    change("loops-in-a-function", two, "bottleneck", endless)
    change("ten-gigabytes", three, "logs", MEMORY + own(sources[three], "logs"))
    change("renames", four, "alternating", own(sources[four], "alternating").replace("def ", "def my_"))
    change("syntax", one, "critical-line", own(sources[one], "critical-line").replace("):", ")"))
    change("floods", two, "haar", own(sources[two], "haar") + FLOOD, right=True)
    change("reads", three, "half", READER.format(**words) + own(sources[three], "half"), right=True)
    change("writes", four, "leaky", WRITER.format(**words) + own(sources[four], "leaky"), right=True)
    change("patches", one, "ordered-product", PATCHER + "def jacobian(weights, slopes):\n    return weights[0]\n")
    cut = solved(sources[two].path)
    cut.cells = [c for c in cut.cells if not tag(c).get("grade_id", "").startswith("isometric-q")]
    write(cut, folder, "deletes", two)
    expected["deletes", two] = full(sources[two]) - lost(sources[two], "isometric-q")
    path = write(stripped(sources[four].path), folder, "not-json", four)
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    expected["not-json", four] = 0
    for name, file in ((three, "wrong_3_constraints.txt"), (four, "wrong_4_gain.txt")):
        found = answers.read(file)
        for wrong in (found[1], found[-1]):
            text = own(sources[name], wrong.part) + "\n\n" + wrong.code
            submit(f"mistaken-{wrong.part}", name, None, {wrong.part: text})
    return expected


def main() -> int:
    """Grade the class, print times and marks."""
    sources = read_all(grade.SOURCES)
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        (base / "outside").mkdir()
        expected = hand_in(base / "submitted", sources)
        before = {p: p.read_bytes() for p in (base / "submitted").rglob("*") if p.is_file()}
        class_run.run(base / "submitted", base / "graded", jobs=JOBS)
        run = json.loads((base / "graded" / "run.json").read_text(encoding="utf-8"))
        got = {}
        for name in sources:
            with open(base / "graded" / f"marks-{name}.csv", newline="", encoding="utf-8") as file:
                got |= {(line["student"], name): float(line["total [100]"]) for line in csv.DictReader(file)}
        times = [g["seconds"] for g in run["done"]]
        print(f"{len(expected)} submissions of {len(sources)} assignments, {JOBS} at a time on {os.cpu_count()} cores: "
              f"{run['seconds']:.0f} s in all; one takes {statistics.median(times):.1f} s (median), "
              f"at most {max(times):.1f} s. Isolation: {run['done'][0]['level']}.")  # fmt: skip
        print(f"{'submission':<22}{'assignment':<18}{'seconds':>8}{'marks':>7}{'deserved':>10}")
        wrong = 0
        for graded in run["done"]:
            key = graded["student"], graded["assignment"]
            right = expected[key]
            fine = got[key] == right if right is not None else got[key] < full(sources[key[1]])
            wrong += not fine
            deserved = "less" if right is None else f"{right:g}"
            print(f"{key[0]:<22}{key[1]:<18}{graded['seconds']:>8.1f}{got[key]:>7g}{deserved:>10}"
                  f"{'' if fine else '   WRONG'}  {'; '.join(graded['notes'])[:90]}")  # fmt: skip
        touched = [str(p) for p, body in before.items() if p.read_bytes() != body] + list(base.rglob("written-by*"))
        print("No other file was touched." if not touched else f"TOUCHED: {touched}")
    return int(bool(wrong or touched))


if __name__ == "__main__":
    sys.exit(main())
