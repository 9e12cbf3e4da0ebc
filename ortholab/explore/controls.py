"""Typed controls of an explorable: a range, a choice, a switch, a formula, and a point that is dragged on a plane.

A control lists what it can be set to, so that no front end ever computes a value: a range is a list of numbers, and
a slider holds an index into it.  ``check`` returns a clean value or raises ArgumentError with the control's name.
Words may hold ``σ_w``, ``x^{2}`` and ``code``; see :mod:`ortholab.explore.markup`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ortholab.errors import ArgumentError, bad, check_int, check_number

Value = float | int | str | bool


@dataclass(frozen=True)
class Range:
    """A number between ``low`` and ``high``, both reachable, at ``count`` values that are evenly spaced.

    ``log`` spaces them evenly in the logarithm (low > 0), ``whole`` rounds them to integers and drops repetitions.
    ``stored`` is the number of those values at which a page without Python has an answer; the default is one of them.

    >>> Range("depth", "depth L", 1, 64, 8, log=True, whole=True, count=7, stored=3).values
    (1, 2, 4, 8, 16, 32, 64)
    """

    name: str
    label: str
    low: float
    high: float
    default: float
    count: int = 101
    log: bool = False
    whole: bool = False
    stored: int = 7

    def __post_init__(self):
        low, high = check_number("low", self.low), check_number("high", self.high)
        if not low < high or (self.log and low <= 0):
            raise bad("low", self.low, "below high, and above 0 on a logarithmic range")
        check_int("count", self.count, 2)
        check_int("stored", self.stored, 1)
        if self.default not in self.values:
            near = min(self.values, key=lambda v: abs(v - self.default))
            raise bad("default", self.default, f"one of the values of the range {self.name!r} (the nearest is {near})")

    @cached_property
    def values(self) -> tuple[float, ...]:
        """Every value that the control can take, in rising order."""
        if self.log:
            points = np.geomspace(self.low, self.high, self.count)
            points = [float(f"{v:.4g}") for v in points]
        else:
            digits = max(0, 2 - math.floor(math.log10((self.high - self.low) / (self.count - 1))))
            points = [round(float(v), digits) for v in np.linspace(self.low, self.high, self.count)]
        return tuple(dict.fromkeys(round(v) for v in points)) if self.whole else tuple(dict.fromkeys(points))

    def positions(self) -> tuple[float, ...]:
        """The values that are stored at build time: ``stored`` of them, both ends and the default included.

        >>> Range("a", "a", 0, 1, 0.9, count=11, stored=3).positions()
        (0.0, 0.9, 1.0)
        """
        values = self.values
        if self.stored == 1:
            return (self.default,)
        at = {round(i) for i in np.linspace(0, len(values) - 1, min(self.stored, len(values)))}
        home = values.index(self.default)
        between = at - {0, len(values) - 1}
        if home not in at and between:
            at.remove(min(between, key=lambda i: abs(i - home)))
        at.add(home)
        return tuple(values[i] for i in sorted(at))

    def check(self, value: object) -> float:
        """Return ``value`` if it is one of the values, or raise ArgumentError.

        A number within 1e-9 of a value is that value: a front end may have written it with fewer digits.
        """
        number = check_number(self.name, value, low=min(self.low, self.values[0]), high=max(self.high, self.values[-1]))
        near = min(self.values, key=lambda v: abs(v - number))
        if abs(near - number) > 1e-9 * max(1.0, abs(near)):
            raise bad(self.name, value, f"one of the {len(self.values)} values from {self.low:g} to {self.high:g}")
        return near

    def declare(self) -> dict[str, object]:
        """Describe the control to a front end, as plain JSON values."""
        return {"kind": "range", "name": self.name, "label": self.label, "values": list(self.values),
                "default": self.default}  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """One of a few named options: ``options`` maps each value to the words that the reader sees.

    >>> Choice("start", "start", {"orthogonal": "orthogonal", "gaussian": "Gaussian"}, "orthogonal").positions()
    ('orthogonal', 'gaussian')
    """

    name: str
    label: str
    options: dict[str, str]
    default: str

    def __post_init__(self):
        if len(self.options) < 2 or self.default not in self.options:
            raise bad("default", self.default, f"one of at least two options; there are {list(self.options)}")

    def positions(self) -> tuple[str, ...]:
        """Every option is stored."""
        return tuple(self.options)

    def check(self, value: object) -> str:
        """Return ``value`` if it is an option, or raise ArgumentError."""
        if not isinstance(value, str) or value not in self.options:
            raise bad(self.name, value, "one of " + ", ".join(map(repr, self.options)))
        return value

    def declare(self) -> dict[str, object]:
        """Describe the control to a front end."""
        return {"kind": "choice", "name": self.name, "label": self.label, "options": list(self.options.items()),
                "default": self.default}  # fmt: skip


@dataclass(frozen=True)
class Switch:
    """On or off.

    >>> Switch("clip", "clip the gradient", False).check(True)
    True
    """

    name: str
    label: str
    default: bool = False

    def positions(self) -> tuple[bool, ...]:
        """Both are stored."""
        return (False, True)

    def check(self, value: object) -> bool:
        """Return ``value`` if it is True or False, or raise ArgumentError."""
        if not isinstance(value, bool):
            raise bad(self.name, value, "True or False")
        return value

    def declare(self) -> dict[str, object]:
        """Describe the control to a front end."""
        return {"kind": "switch", "name": self.name, "label": self.label, "default": self.default}


@dataclass(frozen=True)
class Formula:
    """A function of x that the reader types; :mod:`ortholab.explore.formula` reads it, and nothing executes it.

    ``shown_when`` = (name of a choice, value) hides the box unless that choice has that value.

    >>> Formula("phi", "φ(x) =", "tanh(x)").check("x / (1 + abs(x))")
    'x / (1 + abs(x))'
    """

    name: str
    label: str
    default: str
    shown_when: tuple[str, str] | None = None

    def positions(self) -> tuple[str, ...]:
        """Only the default is stored: no page can store what a reader might type."""
        return (self.default,)

    def check(self, value: object) -> str:
        """Return the text if it can be read as a formula, or raise ArgumentError that says what is wrong with it."""
        from ortholab.explore.formula import parse

        if not isinstance(value, str):
            raise bad(self.name, value, "a formula in x, as text")
        parse(value)
        return value

    def declare(self) -> dict[str, object]:
        """Describe the control to a front end."""
        return {"kind": "formula", "name": self.name, "label": self.label, "default": self.default,
                "shown_when": list(self.shown_when) if self.shown_when else None}  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """A point that is dragged on a panel of the picture: two ranges, each with its own slider for the keyboard.

    ``panel`` is the index of the panel whose axes are the two numbers.

    >>> point = Plane(Range("a", "a", 0, 1, 0.5), Range("b", "b", 0, 1, 0.5), panel=0)
    >>> [part.name for part in point.parts]
    ['a', 'b']
    """

    x: Range
    y: Range
    panel: int = 0

    @property
    def parts(self) -> tuple[Range, Range]:
        """The two ranges."""
        return self.x, self.y


Control = Range | Choice | Switch | Formula | Plane


def flatten(controls: tuple[Control, ...]) -> tuple[Range | Choice | Switch | Formula, ...]:
    """List the controls with each plane as its two ranges; a name may occur once only.

    >>> flatten((Switch("clip", "clip"),))[0].name
    'clip'
    """
    flat = tuple(part for control in controls for part in (control.parts if isinstance(control, Plane) else (control,)))
    names = [control.name for control in flat]
    if len(set(names)) < len(names):
        raise ArgumentError(f"controls must have different names; got {names}")
    return flat
