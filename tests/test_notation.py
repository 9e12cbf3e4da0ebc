"""Every code name on the notation page exists in the library's public face; every symbol has one, or a reason."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from ortholab import _public

PAGE = Path(__file__).parents[1] / "book" / "appendix" / "notation.md"
ROWS = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| $")]
NAMES = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[3])})


def parameters() -> set[str]:
    """Names of the arguments that public functions and classes take, and W, which is their first one's."""
    found = {"W"}
    for obj in _public.objects().values():
        try:
            found |= set(inspect.signature(obj).parameters)
        except ValueError:  # a builtin of a base class
            continue
    return found


def resolves(name: str) -> bool:
    """Tell whether a name on the page can be imported, as written, from a public module or from numpy or scipy."""
    if name.startswith(("numpy.", "scipy.")):
        module, attribute = name.rsplit(".", 1)
        return hasattr(importlib.import_module(module), attribute)
    for module in map(importlib.import_module, _public.MODULES):
        obj = module
        for part in name.split("."):
            fields = getattr(obj, "__dataclass_fields__", {})
            obj = getattr(obj, part, fields.get(part))
            if obj is None:
                break
        else:
            return True
    return False


PARAMETERS = parameters()


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists(name):
    assert resolves(name) or name in PARAMETERS


def test_a_name_that_is_not_there_is_found_out():
    assert not resolves("chi_of_everything")
    assert not resolves("Activation.nothing")
    assert "sigma_x" not in PARAMETERS


def test_every_row_has_a_code_name_or_a_reason():
    assert [row[1] for row in ROWS if not re.search(r"`[^`]+`|\([^)]+\)", row[3])] == []
    assert all(len(row) == 7 for row in ROWS), "symbol, meaning, code, deck, papers"


def test_every_row_has_a_symbol_and_a_meaning():
    assert len(ROWS) > 25
    assert all(row[1].strip() and row[2].strip() for row in ROWS)
