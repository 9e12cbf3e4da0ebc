"""A specification as plain values: its hash, the names of its units, and the settings that a command line gives."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from ortholab.errors import ArgumentError, OrtholabError, bad, check_int, show
from ortholab.experiments.encoding import digest


def describe(value: object) -> object:
    """Return a specification, a unit or a field of one as what JSON can hold, floats with twelve digits.

    Functions go by their names. Raises ArgumentError.

    >>> from dataclasses import make_dataclass
    >>> describe(make_dataclass("Spec", ["depths", "phi"], frozen=True)((4, 8), len))
    {'depths': [4, 8], 'phi': 'builtins.len'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [describe(v) for v in value]
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, float):
        return float(f"{value:.12g}")  # machines differ in the last digit of a power or a sine
    if value is None or isinstance(value, bool | int | str):
        return value
    if callable(value) and hasattr(value, "__qualname__") and "<" not in value.__qualname__:
        return f"{value.__module__}.{value.__qualname__}"
    raise ArgumentError(
        f"a specification must hold numbers, strings, tuples, dataclasses or named functions; got {show(value)}"
    )


def spec_digest(name: str, spec: object) -> str:
    """Return the SHA-256 that identifies a specification of the experiment ``name``."""
    return digest({"experiment": name, "specification": describe(spec)})


def unit_names(spec: object) -> dict[str, object]:
    """Return the units by name: their fields' values, then eight digits of a hash. The names serve as file names.

    >>> from ortholab.experiments.linear_depth import LinearDepthSpec
    >>> list(unit_names(LinearDepthSpec(depths=(2,), starts=("gaussian",), seeds=(0, 1))))
    ['gaussian-2-0-1e06b2dd', 'gaussian-2-1-9eded62e']
    """
    names = {}
    for unit in spec.units:
        fields = describe(unit)
        texts = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in fields.values())
        words = [re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_.") for text in texts]
        name = "-".join([*filter(None, words)])[:60] + "-" + digest(fields)[:8]
        if name in names:
            raise ArgumentError(f"a specification must not hold a unit twice; got {show(unit)}")
        names[name] = unit
    return names


def adjust(spec: object, seeds: int | None = None, settings: Mapping[str, object] | None = None) -> object:
    """Return the specification with the seeds 0 .. ``seeds`` - 1 and with other settings, given as values or as text.

    Raises ArgumentError for an unknown setting and for a value that the specification refuses.

    >>> from ortholab.experiments.linear_depth import LinearDepthSpec
    >>> spec = adjust(LinearDepthSpec(), seeds=2, settings={"depths": "4,8", "width": "20"})
    >>> spec.depths, spec.width, spec.seeds
    ((4, 8), 20, (0, 1))
    """
    changes = {}
    fields = [f.name for f in dataclasses.fields(spec) if f.init]
    for key, value in (settings or {}).items():
        if key not in fields:
            raise bad("setting", key, "one of " + ", ".join(fields))
        changes[key] = _read(key, value, getattr(spec, key))
    if seeds is not None:
        seeds = check_int("seeds", seeds, 1)
        if "seeds" not in fields:
            raise ArgumentError(f"seeds can't be set: {type(spec).__name__} has no field seeds")
        if "seeds" in changes:
            raise ArgumentError("seeds must be given once: by their number or as a setting, not both")
        changes["seeds"] = tuple(range(seeds))
    try:
        return dataclasses.replace(spec, **changes)
    except OrtholabError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise ArgumentError(f"settings {show(changes)} are refused: {error}") from None


def _read(key: str, value: object, current: object) -> object:
    """Give ``value``, if it is text, the type of the setting's current value."""
    if not isinstance(value, str):
        return value
    text = {"true": "True", "false": "False", "none": "None"}.get(value.lower(), value)
    try:
        parsed = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        parsed = value
    if isinstance(current, tuple):
        if isinstance(parsed, str):
            parsed = tuple(part.strip() for part in parsed.split(",") if part.strip())
        return tuple(parsed) if isinstance(parsed, tuple | list) else (parsed,)
    if isinstance(current, str):
        return value
    wanted = {bool: (bool,), int: (int,), float: (int, float)}.get(type(current))
    if wanted and (not isinstance(parsed, wanted) or (isinstance(parsed, bool) and bool not in wanted)):
        raise bad(key, value, {bool: "True or False", int: "an integer", float: "a number"}[type(current)])
    return float(parsed) if isinstance(current, float) else parsed
