"""Remember the functions of the loaded modules before a student's code runs; put them back before a test, and tell.

Patching ``numpy.allclose`` or ``ortholab.check`` would let a wrong answer pass. A test therefore runs after
:func:`restore`, and what was changed is named in a note to the instructor.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable

WATCHED = {"numpy", "ortholab", "builtins", "math", "copy", "json", "contextlib", "threading", "time", "signal"}
WATCHED |= {"operator", "functools", "itertools", "random", "statistics", "types"}
# Of the large packages, what a check calls: to look through all of torch takes a tenth of a second for each test.
WATCHED_MODULES = {"torch", "torch.linalg", "torch.nn.functional", "torch.autograd", "torch.func", "scipy.linalg"}
WATCHED_MODULES |= {"scipy.integrate", "scipy.optimize", "scipy.special", "scipy.stats", "array_api_compat"}
UNWATCHED = ("numpy.f2py", "numpy.testing", "numpy.ma", "ortholab.explore", "ortholab.course.warm")


def _watched(name: str) -> bool:
    return name in WATCHED_MODULES or (name.split(".")[0] in WATCHED and not name.startswith(UNWATCHED))


class Snapshot:
    """The callables of the watched modules, the code behind each function, and the modules themselves."""

    def __init__(self) -> None:
        self.modules = {n: m for n, m in sys.modules.items() if m is not None and _watched(n)}
        self.names: list[tuple[dict, str, str, object]] = []
        self.codes: list[tuple[str, types.FunctionType, tuple]] = []
        self.classes: list[tuple[type, str, str, object]] = []
        seen: set[int] = set()
        for module_name, module in self.modules.items():
            for name, value in list(vars(module).items()):
                if callable(value):
                    self.names.append((vars(module), name, f"{module_name}.{name}", value))
                    self._look_inside(f"{module_name}.{name}", value, seen)
        self.hooks = (list(sys.meta_path), list(sys.path_hooks), sys.displayhook, sys.stdout, sys.stderr)

    def _look_inside(self, label: str, value: object, seen: set[int]) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            self.codes.append((label, value, (value.__code__, value.__defaults__, value.__kwdefaults__)))
        elif isinstance(value, type) and str(getattr(value, "__module__", "")).startswith("ortholab."):
            for name, inner in list(vars(value).items()):
                if isinstance(inner, types.FunctionType):
                    self.classes.append((value, name, f"{label}.{name}", inner))
                    self._look_inside(f"{label}.{name}", inner, seen)

    def restore(self) -> list[str]:
        """Put back what was changed, and return the names of it, sorted."""
        changed = set()
        for name, module in self.modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                changed.add(name)
        for space, name, label, value in self.names:
            if space.get(name) is not value:
                space[name] = value
                changed.add(label)
        for owner, name, label, value in self.classes:
            if vars(owner).get(name) is not value:
                setattr(owner, name, value)
                changed.add(label)
        for label, function, parts in self.codes:
            if (function.__code__, function.__defaults__, function.__kwdefaults__) != parts:
                function.__code__, function.__defaults__, function.__kwdefaults__ = parts
                changed.add(label)
        sys.meta_path[:], sys.path_hooks[:] = self.hooks[:2]
        return sorted(changed)


def watch_hooks() -> Callable[[], bool]:
    """Forbid further audit hooks, which could read a test's text; return a function that tells if one was tried."""
    tried = []

    def hook(event: str, arguments: tuple) -> None:
        if event == "sys.addaudithook" and armed:
            tried.append(event)
            raise RuntimeError("audit hooks are not available here")

    armed: list = []
    sys.addaudithook(hook)
    armed.append(True)
    return lambda: bool(tried)
