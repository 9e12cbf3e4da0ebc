"""Orthogonality Lab: the library behind the book.

Subpackages load when they are first used, so that ``import ortholab`` is quick and never imports torch:

* ``ortholab.theory``  infinite-width theory and its finite-width twins (numpy and scipy only)
* ``ortholab.nn``      networks, their Jacobians (torch); ``ortholab.diagnose`` says what is wrong with one
* ``ortholab.data``    data sets
* ``ortholab.plot``    the book's figures
* ``ortholab.derive``  derivations whose steps are checked
* ``ortholab.explore`` explorables: pictures with sliders, in a notebook and in the built page
* ``ortholab.check``   property checks for answers, with messages that teach (numpy only)
* ``ortholab.claims``  the ledger: each claim of the 2019 deck, its test and its verdict

``ortholab.cite(obj)`` gives the BibTeX of the works that an object comes from.
"""

from importlib import import_module as _import_module

__version__ = "0.1.0"

_SUBMODULES = (
    "check", "citation", "claims", "data", "derive", "errors", "experiments", "explore", "nn", "plot", "sequences",
    "theory",
)  # fmt: skip
_FUNCTIONS = {"cite": "ortholab.citation", "diagnose": "ortholab.nn.diagnosis"}

__all__ = ["__version__", *_SUBMODULES, *_FUNCTIONS]


def __getattr__(name):
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(_import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
