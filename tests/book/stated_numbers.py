"""Find every number that a page states, and whether a cell computes it.

A notebook is cut at its headings of level 2. A number in a caption, a box or a sentence must be a value of the code in
its own section: in an assert (itself, rounded as written, or between the two bounds of a comparison), in a derivation's
check, or as a setting. Numbers in the opening, in "What was checked" and after it may come from anywhere on the page,
and the settings of a stored run that the page loads are in its manifest, which loading checks.
"""

from __future__ import annotations

import ast
import contextlib
import json
import operator
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

# What draws: its numbers are places on the paper.
DRAWS = {
    *("set", "plot", "semilogy", "semilogx", "loglog", "direct_label", "text", "annotate", "axhline", "axvline"),
    *("subplots", "legend", "scatter", "errorbar", "tick_params", "set_xticks", "set_yticks", "set_xlim", "set_ylim"),
    *("show", "print", "histogram", "heat", "colour", "axvspan", "axhspan", "label", "theory", "simulation", "band"),
}
# Inside these functions of ours and of Python everything else is a value.
MATHS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.FloorDiv: operator.floordiv,
}  # fmt: skip
SCIENCE = r"(?:(?P<head>\d+(?:\.\d+)?)\s*(?:\\cdot|\\times|×)\s*)?10\^\{?(?P<power>[-−]?\d+)\}?"
PLAIN = r"(?P<plain>\d{1,3}(?:(?:,|\{,\}|\\,)\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
NUMBER = re.compile(rf"(?<![\w.^_/⟦-])(?:{SCIENCE}|{PLAIN})(?P<percent>\s*\\?%)?(?![\w]|\.\d)")
# Structure, not findings: the words before a number, or after it.
BEFORE = re.compile(
    r"(?i)\b(?:equations?|eqs?\.|figures?|fig\.|sections?|slides?|steps?|theorems?|propositions?|lemmas?|chapters?|pages?|"
    r"claims?|cases?|parts?|exercises?|algorithms?|tables?|appendix|versions?|python|arXiv|seeds?|CIFAR|float|int|VGG|ResNet)"
    r"[-~ :(]*(?:\d+\)?\s*(?:,|-|and|to|or)\s*)*\(?$"
)
# A level of confidence, an angle, or the time that a page takes.
AFTER = re.compile(
    r"(?i)^\s*(?:-?\s*\w+\s+)?(?:confidence|intervals?|bands?|bootstrap|quantile|percentile|level|limits?|prediction)|^\s*°"
)
PERCENT = re.compile(r"(?: (?:and|to|or) \d[\d.]*)?\$?(?:\s*\\?%|,? points?\b)")  # "46 and 50 %", "24 points"
TIMES = re.compile(r"\*\*Runs in\*\*[^.]*\.")
SMALL = 12  # whole numbers up to here are words of the sentence: "5 digits", "layer 3"


@dataclass(frozen=True)
class Stated:
    """A number as it stands: its value, half of its last place, and where it is."""

    page: str
    section: str
    place: str  # caption, box, prose or solution
    sentence: str
    text: str
    value: float
    half: float
    percent: bool

    def __str__(self) -> str:
        return f"{self.page} [{self.section}] {self.place}: {self.text!r} in {self.sentence!r}"


@dataclass
class Values:
    """What a piece of code knows: its constants, and the pairs of bounds of its comparisons."""

    numbers: set[float] = field(default_factory=set)
    bounds: set[tuple[float, float]] = field(default_factory=set)
    settings: set[float] = field(default_factory=set)  # named: assigned, or passed by a keyword
    words: set[str] = field(default_factory=set)  # short strings: one may name a stored run

    def add(self, other: Values) -> None:
        """Take the values of another piece too."""
        self.numbers |= other.numbers
        self.bounds |= other.bounds
        self.settings |= other.settings
        self.words |= other.words

    def hold(self, stated: Stated) -> bool:
        """Tell whether a stated number is one of these, rounded as it is written."""
        forms = [(stated.value, stated.half)]
        if stated.percent:
            forms.append((stated.value / 100, stated.half / 100))
        for value, half in forms:
            room = half * (1 + 1e-9) + 1e-12 * abs(value)
            if any(abs(number - value) <= room for number in self.numbers):
                return True
            wide = max(0.25 * abs(value), 4 * half)
            if any(low <= value <= high and high - low <= wide for low, high in self.bounds):
                return True
        return False


@dataclass
class Section:
    """The cells between two headings of level 2."""

    title: str
    texts: list[tuple[str, str]] = field(default_factory=list)  # place and text
    values: Values = field(default_factory=Values)


# ------------------------------------------------------------------------------------------------------ what code knows


def folded(node: ast.AST) -> float | None:
    """Return the value of an expression of constants alone."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = folded(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.BinOp) and type(node.op) in MATHS:
        left, right = folded(node.left), folded(node.right)
        if left is not None and right is not None:
            with contextlib.suppress(ArithmeticError, ValueError):
                found = MATHS[type(node.op)](left, right)
                return float(found) if isinstance(found, float | int) else None
    return None


def called(node: ast.Call) -> str:
    """Name the function that a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def values_of(source: str) -> Values:
    """Collect what a cell's code knows; drawing and printing calls know nothing."""
    found = Values()
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic
        return found

    def strings(node: ast.AST) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                found.numbers.update(number.value for number in numbers_in(inner.value, floor=0))

    def walk(node: ast.AST, checked: bool) -> None:
        value = folded(node)
        if value is not None:
            found.numbers.add(abs(value))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.words.add(node.value)
            if re.fullmatch(r"[-+\d.,e\s]+", node.value):  # a row of a table, to be compared with what is computed
                strings(node)
        if isinstance(node, ast.Call):
            if called(node) in DRAWS and not checked:
                # A computed argument may still call for values: `plot.theory(ax, n, density(n, depth=8))`.
                for inner in [*node.args, *(word.value for word in node.keywords)]:
                    for call in (n for n in ast.walk(inner) if isinstance(n, ast.Call) and called(n) not in DRAWS):
                        walk(call, checked)
                return
            if called(node) == "identity":
                strings(node)
        if isinstance(node, ast.Assert):
            checked = True
            strings(node.test)
        if isinstance(node, ast.Assign | ast.keyword) and not checked:
            found.settings.update(abs(value) for n in ast.walk(node.value) if (value := folded(n)) is not None)
        if checked and isinstance(node, ast.Compare) and len(node.ops) == 2:
            low, high = folded(node.left), folded(node.comparators[1])
            if low is not None and high is not None:
                found.bounds.add((min(low, high), max(low, high)))
        for child in ast.iter_child_nodes(node):
            walk(child, checked)

    walk(tree, False)
    return found


def captions(source: str) -> Iterator[str]:
    """Yield each caption that a cell writes; what an f-string computes becomes a mark."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = node.value

    def literal(node: ast.AST) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(literal(part) if isinstance(part, ast.Constant) else "⟦⟧" for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return literal(node.left) + literal(node.right)
        if isinstance(node, ast.Name) and node.id in names:
            return literal(names.pop(node.id))
        return "⟦⟧"

    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "caption":
            yield literal(node.value)


# ---------------------------------------------------------------------------------------------------- what a page says


@dataclass(frozen=True)
class Found:
    """One number in a text."""

    start: int
    text: str
    value: float
    half: float
    percent: bool


def numbers_in(text: str, floor: int = SMALL) -> Iterator[Found]:
    """Yield the numbers of a text, save the structural ones; inside ``$...$`` whole numbers are algebra."""
    spans = [m.span() for m in re.finditer(r"\$[^$]*\$", text)]
    for match in NUMBER.finditer(text):
        before, after = text[: match.start()], text[match.end() :]
        percent = bool(match["percent"] or PERCENT.match(after))
        if match["power"]:
            power = int(match["power"].replace("−", "-"))
            head = match["head"] or "1"
            value = float(head) * 10.0**power
            half = 0.5 * 10.0 ** (power - len(head.partition(".")[2]))
            if not match["head"] and abs(power) <= 2:
                continue
        else:
            plain = re.sub(r",|\{,\}|\\,", "", match["plain"])
            value, mantissa = float(plain), plain.lower().partition("e")
            places = len(mantissa[0].partition(".")[2]) - int(mantissa[2] or 0)
            half = 0.5 * 10.0 ** (-places)
            whole = "." not in plain and "e" not in plain.lower()
            in_maths = any(start <= match.start() < end for start, end in spans)
            if whole and not percent and (in_maths or value <= floor):
                continue
            if whole and not percent and 1900 <= value <= 2030 and "," not in match["plain"]:
                continue
            if whole and not percent and floor and BEFORE.search(before):
                continue
        if AFTER.search(after) and (percent or after.lstrip().startswith("°")):
            continue
        yield Found(match.start(), match.group().strip(), value, half, percent)


CITES = re.compile(r"\{cite:?\w*\}`[^`]*`")
REPORTS = re.compile(
    r"CITED[^.;]*\b(?:reports?|reported|finds?|found|shows?|proves?|proved|states?|trains?|trained|uses?|used)\b"
)
ROLES = re.compile(r"\{(?:doc|eq|ref|prf:ref|numref|term|download|course-zip|abbr)[:\w]*\}`[^`]*`")
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\([^)]*\)")


def plain_text(text: str) -> str:
    """Take away what is no sentence: code, roles, targets of links, labels, displayed formulas."""
    text = re.sub(r"(?ms)^\$\$.*?^\$\$.*?$", " ", text)
    text = re.sub(r"(?m)^:[\w-]+:.*$", " ", text)
    text = re.sub(r"(?m)^\(\S+\)=$", " ", text)
    text = LINK.sub("]", CODE.sub("CODE", ROLES.sub("REF", CITES.sub("CITED", TIMES.sub(" ", text)))))
    return re.sub(r"<!--.*?-->", " ", text)


def pieces(source: str) -> Iterator[tuple[str, str]]:
    """Cut a Markdown cell into headings, and texts by place; questions and raw code state nothing."""
    kind, block = "prose", []
    stack: list[tuple[str, str]] = []
    for line in [*source.split("\n"), "# end of the cell"]:
        opened = re.match(r"\s*(`{3,}|:{3,})(\{?[\w:-]*\}?)", line)
        if opened and stack and opened[1] == stack[-1][0] and not opened[2]:
            yield kind, "\n".join(block)
            block = []
            stack.pop()
            kind = stack[-1][1] if stack else "prose"
            continue
        if opened and (opened[2] or not stack):
            yield kind, "\n".join(block)
            block = []
            name = opened[2].strip("{}")
            inner = {"admonition": "box", "solution": "solution", "exercise": "question", "math": "code"}.get(name)
            if not opened[2].startswith("{"):
                inner = "program" if kind == "solution" else "code"
            kind = inner or kind
            stack.append((opened[1], kind))
            block = [line.partition("}")[2]] if kind == "box" else []
            continue
        if not stack and (heading := re.match(r"(#+) (.*)", line)):
            yield kind, "\n".join(block)
            block = []
            if line != "# end of the cell":
                yield "#" * len(heading[1]), heading[2]
            continue
        block.append(line)


SHOWS = re.compile(r"explore\.show\(\s*[\"'](\w+)[\"']")


def sections(notebook: dict, explorables: Mapping[str, str] = MappingProxyType({})) -> list[Section]:
    """Cut a notebook at its headings of level 2; ``explorables`` holds the words of each *try it* box by its name."""
    found = [Section("opening")]
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found[-1].values.add(values_of(source))
            found[-1].texts += [("caption", text) for text in captions(source)]
            found[-1].texts += [("box", plain_text(explorables.get(name, ""))) for name in SHOWS.findall(source)]
            continue
        for place, text in pieces(source):
            if place == "##":
                found.append(Section(text))
            elif place == "program":  # of a solution: its settings
                found[-1].values.add(values_of(text))
            elif place in ("prose", "box", "solution") and text.strip():
                found[-1].texts.append((place, plain_text(text)))
    return found


def sentence_at(text: str, place: int) -> str:
    """Return the sentence of a text around a place."""
    ends = [m.end() for m in re.finditer(r"(?<=[.?!:;])\s+(?=\S)|\n\s*\n|\n[-*] ", text)]
    start = max((end for end in ends if end <= place), default=0)
    stop = min((end for end in ends if end > place), default=len(text))
    return " ".join(text[start:stop].split())


def stated(page: str, section: Section) -> Iterator[Stated]:
    """Yield the numbers that a section states."""
    if section.title == "References":
        return
    for place, text in section.texts:
        for number in numbers_in(text):
            where = sentence_at(text, number.start)
            if REPORTS.search(where):
                continue
            yield Stated(page, section.title, place, where, number.text, number.value, number.half, number.percent)


CLOSING = re.compile(
    r"(?i)^(what was checked|the answers|do it again|summary|exercises|references|opening|what to take)"
)


def stored_settings(folder: Path) -> dict[str, set[float]]:
    """Read the numbers in the specification of each stored run, by the run's name."""
    found: dict[str, set[float]] = {}

    def walk(value: object) -> Iterator[float]:
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from walk(inner)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield abs(float(value))

    for path in folder.glob("*/*/manifest.json"):
        specification = read(path)["specification"]
        found.setdefault(path.parts[-3], set()).update(walk(specification))
    return found


def unproved(
    page: str,
    notebook: dict,
    stored: Mapping[str, set[float]],
    explorables: Mapping[str, str] = MappingProxyType({}),
) -> list[Stated]:
    """List the numbers of a page that no cell near them computes; ``stored`` is from :func:`stored_settings`."""
    parts, whole = sections(notebook, explorables), Values()
    for part in parts:
        whole.add(part.values)
    # A whole number, or a value that has a name, may have been set further up.
    settings = Values({number for number in whole.numbers if number == int(number)} | whole.settings)
    settings.numbers.update(*(stored[name] for name in whole.words & stored.keys()))
    missing = []
    for part in parts:
        near = Values()
        near.add(whole if CLOSING.match(part.title) else part.values)
        near.add(settings)
        missing += [number for number in stated(page, part) if not near.hold(number)]
    return missing


def read(path: Path) -> dict:
    """Read a notebook, or a manifest."""
    return json.loads(path.read_text(encoding="utf-8"))
