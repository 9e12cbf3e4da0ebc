"""Experiments: what can be run, and the engine that runs, stores, checks and loads it.

One module an experiment (:mod:`~ortholab.experiments.trainability`, :mod:`~ortholab.experiments.linear_depth`): a
specification (a frozen dataclass whose ``units`` are the separate pieces of work), its ``tiers``, and ``start``, which
makes the :class:`~ortholab.experiments.trial.Trial` of one unit. The way of the data is straight: specification ->
:func:`~ortholab.experiments.engine.run` -> :class:`~ortholab.experiments.store.Store` ->
:func:`~ortholab.experiments.results.load` -> figure. Nothing here imports torch until it is used.
"""

from importlib import import_module as _import_module

_HOME = {
    "Experiment": "registry",
    "Results": "results",
    "Store": "store",
    "Trial": "trial",
    "find": "registry",
    "load": "results",
    "run": "engine",
    "verify": "results",
}
_MODULES = ("linear_depth", "trainability")

__all__ = [*sorted(_HOME), *_MODULES]


def __getattr__(name):
    if name in _HOME:
        return getattr(_import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in _MODULES:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
