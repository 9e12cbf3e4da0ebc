"""The toy experiment is importable, here and in the processes that tests start."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = str(Path(__file__).parent)
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def toy_path(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    paths = [HERE, ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    sys.modules.pop("toy_experiment", None)


@pytest.fixture
def ortholab(tmp_path, monkeypatch):
    """Run the command line in a folder of its own; return its exit code, stdout and stderr."""
    from typer.testing import CliRunner

    from ortholab.cli import app

    monkeypatch.chdir(tmp_path)

    def call(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    return call
