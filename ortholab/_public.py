"""What is public: the modules that a reader may import from, and the names in each, in the order of the API pages."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

# The API's pages, each with its modules.
PAGES = {
    "theory": (
        "ortholab.theory",
        "ortholab.theory.simulate",
        "ortholab.theory.deep_linear",
        "ortholab.theory.recurrent",
        "ortholab.theory.stiefel",
        "ortholab.theory.retractions",
        "ortholab.theory.penalties",
        "ortholab.theory.penalty_flow",
    ),
    "since": (
        "ortholab.theory.convolution",
        "ortholab.theory.newton_schulz",
        "ortholab.theory.spectral_step",
        "ortholab.theory.ring",
        "ortholab.theory.reflections",
    ),
    "nn": (
        "ortholab.nn",
        "ortholab.nn.schedules",
        "ortholab.nn.parametrize",
        "ortholab.nn.optim",
        "ortholab.nn.diagnosis",
    ),
    "experiments": ("ortholab.data", "ortholab.sequences", "ortholab.experiments"),
    "tools": ("ortholab.derive", "ortholab.explore", "ortholab.plot", "ortholab.claims", "ortholab.citation"),
    "check": ("ortholab.check",),
}
MODULES = tuple(module for page in PAGES.values() for module in page)


def names(module: ModuleType) -> list[str]:
    """List the public names of a module: its ``__all__``, or what it defines itself without an underscore.

    >>> import ortholab.theory.retractions as retractions
    >>> names(retractions)
    ['cayley', 'qr', 'polar', 'exponential']
    """
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [n for n, o in vars(module).items() if n[0] != "_" and getattr(o, "__module__", None) == module.__name__]


def objects() -> dict[str, object]:
    """Return every public function and class by its dotted name; no module and no plain value."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for short in names(module):
            obj = getattr(module, short)
            if inspect.isclass(obj) or inspect.isroutine(obj):
                found[f"{name}.{short}"] = obj
    return found
