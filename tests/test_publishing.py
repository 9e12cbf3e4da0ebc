"""The workflow stays thin: it calls targets of the Makefile, tests the Pythons promised, publishes what was built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def jobs() -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))["jobs"]


def steps(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_every_step_is_a_target_of_the_makefile(jobs):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z-]+):.*## ", makefile))
    commands = [command for job in jobs.values() for command in steps(job)]
    assert {"make test", "make book", "make dist", "make pyodide"} <= set(commands)
    assert {command.removeprefix("make ") for command in commands} <= targets


def test_pythons(jobs):
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={pythons[0]}"
    assert jobs["build"]["steps"][1]["with"]["python-version"] in pythons


def test_only_a_tested_book_is_published_and_its_python_was_fetched_first(jobs):
    assert jobs["build"]["needs"] == "test"
    assert jobs["publish"]["needs"] == "build"
    assert jobs["build"]["if"] == "github.ref == 'refs/heads/main'"
    for name, what in (("test", "make test"), ("build", "make book")):
        assert steps(jobs[name]).index("make pyodide") < steps(jobs[name]).index(what)
        folder = re.search(r"(?m)^PYODIDE := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8")).group(1)
        assert jobs[name]["env"]["ORTHOLAB_PYODIDE"] == "${{ github.workspace }}/" + folder
    upload = next(step for step in jobs["build"]["steps"] if "upload-pages" in step.get("uses", ""))
    assert upload["with"]["path"] == "_build/html"
    assert jobs["publish"]["permissions"] == {"pages": "write", "id-token": "write"}
