"""The house: requirements that agree, imports that go one way, and a package that loads in a moment."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ortholab

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch"}

# What each part of the library may import from the rest; `errors` and the standard library are open to all.
MAY_IMPORT = {
    "errors": set(),
    "theory": {"errors"},
    "nn": {"errors", "theory"},
    "nn/diagnosis": {"errors", "theory", "nn", "plot"},  # a report draws its own figure
    "sequences": {"errors"},
    "check": {"errors", "theory"},
    "explore": {"errors", "theory", "plot"},
    # They train; the rest of explore needs no torch.
    "explore/films": {"errors", "theory", "explore", "nn", "data", "sequences"},
    "experiments": {"errors", "theory", "nn", "data", "sequences"},
    "progress": {"errors", "experiments"},
    "figures": {"errors", "experiments", "plot"},
    "course": {"errors", "check"},
    "diagnose_command": {"errors", "nn"},
    "cli": {"errors", "experiments", "data", "progress", "course", "diagnose_command"},
}
# Modules that a part must not need at all.
MUST_NOT_IMPORT = {
    "theory": {"torch", "matplotlib", "sympy", "IPython"},
    "nn": {"matplotlib"},
    "check": {"matplotlib", "sympy", "IPython"},
    "explore": {"torch", "sympy"},
}


def project() -> dict:
    """Read the block [project] of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def wanted() -> dict[str, Requirement]:
    """List every requirement of pyproject.toml by name."""
    lines = [*project()["dependencies"], *(r for extra in project()["optional-dependencies"].values() for r in extra)]
    found = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    return {name: requirement for name, requirement in found.items() if name != "ortholab"}  # an extra of extras


def test_conda_environment_equals_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip_lines = next(entry["pip"] for entry in environment if isinstance(entry, dict))
    lines = [*(entry for entry in environment if isinstance(entry, str)), *pip_lines]
    lines = [line for line in lines if line not in ("pip", "--editable .")]
    found = {}
    for line in lines:
        requirement = Requirement(line)
        found[canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))] = requirement.specifier
    assert found.pop("python") == Requirement("python" + project()["requires-python"]).specifier
    assert found == {name: requirement.specifier for name, requirement in wanted().items()}
    assert "--editable ." in pip_lines


def test_every_requirement_is_pinned_in_its_range():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)$", text))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    assert sum(1 for line in text.splitlines() if line and not line.startswith("#")) == len(pins), "a line is no pin"
    assert {name for name in wanted() if name not in pins} == set()
    outside = {name: pins[name] for name, r in wanted().items() if not r.specifier.contains(pins[name])}
    assert outside == {}


def test_each_file_that_starts_first_is_there(pytestconfig):
    names = pytestconfig.pluginmanager.getplugin(str(ROOT / "tests" / "conftest.py")).LONGEST
    assert len(set(names)) == len(names) > 5
    assert [name for name in names if not (ROOT / "tests" / name).is_file()] == []


def test_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project()["version"] == ortholab.__version__
    assert {"message", "title", "authors"} <= citation.keys()


def imported(path: Path) -> set[str]:
    """List the absolute module names that a file of ortholab imports, anywhere in it."""
    package = path.relative_to(ROOT).with_suffix("").parts
    package = package[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_imports_go_one_way(part):
    folder = ROOT / "ortholab" / part
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    inside = [ROOT / "ortholab" / other for other in MAY_IMPORT if other.startswith(part + "/")]  # parts of their own
    files = [path for path in files if not any(path.is_relative_to(other) for other in inside)]
    assert files
    for path in files:
        names = imported(path)
        inner = {name.split(".")[1] for name in names if name.startswith("ortholab.")}
        # `ortholab._checks` and its like are private helpers that import nothing but errors.
        assert {n for n in inner if not n.startswith("_")} <= MAY_IMPORT[part] | {part.split("/")[0]}, path
        assert {name.split(".")[0] for name in names}.isdisjoint(MUST_NOT_IMPORT.get(part, set())), path


def resolved(name: str, modules: dict[str, Path]) -> str:
    """Name the file of ortholab that an imported name comes from ("" for a name from elsewhere)."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def test_no_module_waits_for_itself():
    """The imports of the whole library, those inside functions and for types alone included, have no circle.

    What a package loads when asked for an attribute (its ``import_module``) is not seen here, and may look back.
    """
    modules = {}
    for path in sorted((ROOT / "ortholab").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        modules[name] = path
    graph = {name: {resolved(n, modules) for n in imported(path)} - {"", name} for name, path in modules.items()}
    assert graph["ortholab.experiments.deep_trial"] >= {"ortholab.experiments.deep_nets", "ortholab.nn.deep_step"}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which lists the circle


def python(code: str, timeout: float = 240) -> str:
    """Run code in a fresh interpreter in the repository; return what it prints, or fail with what it says."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# As if neither were installed: `import torch` raises, and no trace of it is in sys.modules.
BLOCK_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def test_theory_imports_without_torch_and_matplotlib():
    loaded = python(BLOCK_TORCH + "import ortholab.theory; print(*sorted({m.split('.')[0] for m in sys.modules}))")
    assert "numpy" in loaded.split()
    assert "scipy" not in loaded.split()  # it loads when first used: in a browser it is half of what must be fetched


def test_theory_works_without_torch():
    """Every public function's example, in an interpreter where `import torch` fails (all must have one).

    The rest of tests/theory runs once, with torch at hand; Pyodide, which has no torch, runs the explorables.
    """
    out = python(
        BLOCK_TORCH + "import pytest; raise SystemExit(pytest.main(['-p', 'no:cacheprovider', '-p', 'no:xdist',"
        " '-o', 'addopts=--import-mode=importlib', '--doctest-modules', 'ortholab/theory']))",
        timeout=600,
    )
    passed = re.search(r"(\d+) passed", out)
    assert passed, out
    assert int(passed[1]) > 50


def test_import_is_quick_and_light():
    """At most 0.2 s, the median of five fresh interpreters, whose own start is not counted."""
    code = (
        "import sys, time; before = time.perf_counter(); import ortholab; seconds = time.perf_counter() - before\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'sympy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\nprint(seconds)"
    )
    assert statistics.median(float(python(code)) for _ in range(5)) <= 0.2


def test_every_listed_submodule_exists():
    import ortholab

    assert all(hasattr(getattr(ortholab, name), "__name__") for name in ortholab.__all__[1:])


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_a_benchmark_imports(path, monkeypatch):
    """Importing a benchmark runs nothing but its definitions."""
    monkeypatch.syspath_prepend(str(path.parent))
    specification = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.__doc__
