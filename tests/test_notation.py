"""Every code name on the notation page exists in the library."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from ortholab import nn, theory
from ortholab.theory import deep_linear, simulate, stiefel

PAGE = Path(__file__).parents[1] / "book" / "appendix" / "notation.md"
ROWS = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| $")]
NAMES = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[3])})


def parameters() -> set[str]:
    """Names of the arguments and local symbols that public functions use."""
    modules = (theory, simulate, deep_linear, stiefel, nn)
    functions = [f for module in modules for f in vars(module).values() if inspect.isfunction(f)]
    names = {p for f in functions for p in inspect.signature(f).parameters}
    for made in (nn.MLP, theory.JacobianSpectrum, theory.UniversalSpectrum):
        names |= set(inspect.signature(made.__init__).parameters)
    return names | {"W"}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists(name):
    if name.startswith("scipy."):
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute)
    elif "." in name:
        owner, attribute = name.split(".")
        owner = getattr(theory, owner, None) or getattr(nn, owner)
        assert hasattr(owner, attribute) or attribute in owner.__dataclass_fields__
    else:
        assert any(hasattr(m, name) for m in (theory, simulate, nn)) or name in parameters()


def test_every_row_has_a_symbol_and_a_meaning():
    assert len(ROWS) > 25
    assert all(row[1].strip() and row[2].strip() for row in ROWS)
