"""The public face of the library: every name explained, with an example, its shapes, and the works it comes from."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ortholab
from ortholab import _public, citation
from ortholab.citation import cite, entries, keys_in, source_of
from ortholab.errors import ArgumentError

LIBRARY = Path(ortholab.__file__).parent
BOOK = LIBRARY.parent / "book"
OBJECTS = _public.objects()
# Tools of this book, which come from no other work.
OWN = (
    "ortholab.check.",  # the checks of this book's exercises
    "ortholab.citation.",
    "ortholab.claims.",
    "ortholab.derive.",
    "ortholab.experiments.",  # the engine
    "ortholab.explore.",
    "ortholab.nn.diagnosis.",  # what diagnose returns; diagnose itself names the sources
    "ortholab.plot.",
    "ortholab.data.Dataset",
    "ortholab.data.standardise",
)
SOURCED = {
    name: obj
    for name, obj in OBJECTS.items()
    if not name.startswith(OWN) and not source_of(obj).startswith("this book")  # worked out here, and said so
}
# A shape, or that the thing is entry by entry: what a docstring on arrays says of them.
SHAPE = re.compile(
    r"\bshapes?\b|\(\.\.\.|\([a-zA-Z0-9_+ ]+, ?[a-zA-Z0-9_+ ,]*\)|\b\w+ x \w+\b|matri"
    r"|vector|tensor|array|entr|broadcast|scalar"
)
ARRAYS = re.compile(r"ndarray|ArrayLike|Tensor|\bArray\b")


def docstrings() -> list[tuple[str, str]]:
    """List (file, docstring) for every docstring of the library."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
                found.append((path.relative_to(LIBRARY).as_posix(), text))
    return found


def test_each_public_module_imports_and_each_listed_name_is_there():
    for name in _public.MODULES:
        module = importlib.import_module(name)
        missing = [short for short in _public.names(module) if not hasattr(module, short)]
        assert missing == [], name
    assert len(OBJECTS) > 200
    packages = {name for name in ortholab.__all__ if inspect.ismodule(getattr(ortholab, name))} - {"errors"}
    assert packages <= {name.split(".")[1] for name in _public.MODULES}


def test_what_the_pages_import_is_public():
    """A reader who copies a cell finds its names of theory and of networks on the API pages."""
    known, hidden = {id(obj) for obj in OBJECTS.values()}, set()
    for path in sorted(BOOK.glob("[1-9]-*/*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            text = "".join(cell["source"])
            for home, listed in re.findall(
                r"^from (ortholab\.(?:theory|nn)(?:\.\w+)*) import (\([^)]*\)|.*)$", text, flags=re.M
            ):
                for name in re.findall(r"\w+(?: as \w+)?", listed):
                    obj = getattr(importlib.import_module(home), name.split(" ")[0], None)  # None: a module
                    if (inspect.isclass(obj) or inspect.isroutine(obj)) and id(obj) not in known:
                        hidden.add(f"{path.stem}: {home}.{name}")
    assert {name for name in hidden if ".patients." not in name} == set()  # the networks that two pages examine
    assert hidden


def test_each_public_module_stands_on_its_page():
    for page, modules in _public.PAGES.items():
        text = (BOOK / "appendix" / "api" / f"{page}.md").read_text(encoding="utf-8")
        assert re.findall(r"^\.\. public:: (\S+)$", text, flags=re.M) == list(modules), page


def test_every_public_name_has_a_docstring_of_its_own_with_an_example():
    def owes(obj: object) -> str:
        text = inspect.getdoc(obj) or ""
        if not text or (inspect.isclass(obj) and obj.__doc__ is None):
            return "a docstring"
        examples = [line for line in text.splitlines() if line.lstrip().startswith(">>>")]
        return "" if any("SKIP" not in line for line in examples) else "an example"

    assert {name: owes(obj) for name, obj in OBJECTS.items() if owes(obj)} == {}


def test_docstrings_on_arrays_say_what_shape_they_have():
    def silent(obj: object) -> bool:
        try:
            signature = str(inspect.signature(obj))
        except ValueError:
            return False
        return bool(ARRAYS.search(signature)) and not SHAPE.search(inspect.getdoc(obj))

    assert [name for name, obj in OBJECTS.items() if silent(obj)] == []


def test_every_public_name_has_a_source_or_needs_none():
    assert [name for name, obj in SOURCED.items() if not source_of(obj)] == []
    assert len(SOURCED) > 150
    assert [prefix for prefix in OWN if not any(name.startswith(prefix) for name in OBJECTS)] == []


def test_cite_gives_every_source():
    for name, obj in SOURCED.items():
        text = cite(obj)
        assert text.startswith("@"), name
        assert text.count("\n@") + 1 == len(keys_in(source_of(obj))), name
        assert cite(name) == text


def test_every_work_that_a_source_names_is_known():
    """As many works come out as the sentence has years or arXiv numbers that stand apart."""
    for file, text in docstrings():
        for sentence in citation._SOURCE.findall(text):
            pieces = [
                piece for piece in re.split(r";\s*", sentence) if re.search(r"\b(19|20)\d\d\b|\d{4}\.\d{5}", piece)
            ]
            assert len(keys_in(sentence)) >= len(pieces), f"{file}: {sentence!r} gives {keys_in(sentence)}"


def test_every_arxiv_number_in_a_docstring_is_in_the_bibliography():
    known = {entry.arxiv for entry in entries().values()}
    said = {
        (file, number)
        for file, text in docstrings()
        for number in re.findall(r"\b\d{4}\.\d{5}\b|\d{4}\.\d{4}\b(?=\))", text)
        if re.search(rf"(arXiv\s+|\(){re.escape(number)}", text)
    }
    assert len(said) > 20
    assert {pair for pair in said if pair[1] not in known} == set()


def test_sources_are_read_as_they_are_written():
    assert keys_in("Saxe et al. (arXiv 1312.6120); Bjorck and Bowie 1971; Penson, Zyczkowski 2011.") == (
        "saxe2014exact",
        "bjorck1971iterative",
        "penson2011product",
    )
    assert keys_in("Lezcano-Casado 2019.") == ("lezcano2019cheap", "lezcano2019trivializations")
    assert keys_in("Lezcano-Casado, Martinez-Rubio 2019.") == ("lezcano2019cheap",)
    assert keys_in("Nobody 2019; this page.") == ()
    assert keys_in("the 2019 deck, equation (1)") == ("deck2019",)


def test_cite_shows_itself_and_takes_names_values_methods_and_modules():
    text = cite("ortholab.nn.MLP")
    assert isinstance(text, str)
    assert repr(text) == str(text)
    assert "@inproceedings{poole2016exponential" in cite(ortholab.theory.mean_field)
    assert cite(ortholab.theory.TANH) == cite(ortholab.theory.Activation)
    assert cite(ortholab.theory.Activation.mean_square) == cite(ortholab.theory.Activation)


@pytest.mark.parametrize("obj", ["ortholab.theory.nothing", "numpy.linalg", 3, len, "ortholab.plot.show"])
def test_cite_says_what_it_cannot_find(obj):
    with pytest.raises(ArgumentError, match="obj must be"):
        cite(obj)


def test_citing_theory_loads_no_torch():
    code = "import ortholab, sys; ortholab.cite('ortholab.theory.chi'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=LIBRARY.parent)
