"""An explorable: a function with typed controls and a declared picture, and the one way in which every host asks it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass

from ortholab.errors import ArgumentError, OrtholabError, bad
from ortholab.explore.controls import Control, Plane, Value, flatten
from ortholab.explore.picture import Picture

MOST_STORED = 80


@dataclass(frozen=True)
class Explorable:
    """A question that a reader answers by moving controls.

    ``compute`` gets the control values as keyword arguments and returns a :class:`Picture`; it uses numpy, scipy and
    :mod:`ortholab.theory` only, and its randomness comes from fixed seeds, so that it answers alike everywhere.
    ``caption`` and ``alt`` belong to the picture at the default values, which a page without JavaScript shows.
    A page without Python has the answers at :meth:`states`: the grid over the controls named in ``grid``, and every
    stored position of each other control with the rest at their defaults.
    ``slow`` says why a move takes longer than a tenth of a second, where it does.

    >>> from ortholab import explore
    >>> isinstance(explore.get("phase_plane"), Explorable)
    True
    """

    name: str
    title: str
    question: str
    answer: str
    caption: str
    alt: str
    controls: tuple[Control, ...]
    compute: Callable[..., Picture]
    grid: tuple[str, ...] = ()
    slow: str = ""

    def __post_init__(self):
        flatten(self.controls)
        unknown = [name for name in self.grid if name not in self.defaults()]
        if unknown:
            raise bad("grid", self.grid, f"names of controls ({', '.join(self.defaults())})")

    def defaults(self) -> dict[str, Value]:
        """The values that the controls start with."""
        return {control.name: control.default for control in flatten(self.controls)}

    def live(self) -> Explorable:
        """Return what a kernel shows: the same; a film opens at its first frame there."""
        return self

    def check(self, values: dict[str, object]) -> dict[str, Value]:
        """Return a value for every control, checked; those that are missing get their default.

        Raises ArgumentError for a name that is no control and for a value that a control does not allow.
        """
        if not isinstance(values, dict):
            raise bad("values", values, "a dictionary of control values")
        known = {control.name: control for control in flatten(self.controls)}
        for name in values:
            if name not in known:
                raise bad("values", name, f"names of controls of {self.name!r}: {', '.join(known)}")
        return {name: control.check(values.get(name, control.default)) for name, control in known.items()}

    def picture(self, **values: Value) -> Picture:
        """Compute the picture at these values (the defaults where none is given)."""
        return self.compute(**self.check(values))

    def answer_text(self, request: str) -> str:
        """Answer a JSON object of control values with JSON: ``{"picture": ...}`` or ``{"error": "..."}``.

        This is the one door: a kernel, the browser's Python and the build all go through it. An error that the reader
        can mend is a message; any other is a message too, with its type, for a page must not fall silent.
        """
        try:
            return json.dumps({"picture": self.picture(**json.loads(request)).declare()}, allow_nan=False)
        except OrtholabError as error:
            return json.dumps({"error": str(error)})
        except Exception as error:
            return json.dumps({"error": f"{type(error).__name__} in {self.name}: {error}"})

    def states(self) -> list[dict[str, Value]]:
        """List the settings that a page stores, the default first."""
        home = self.defaults()
        flat = {control.name: control for control in flatten(self.controls)}
        found = [home]
        for corner in itertools.product(*(flat[name].positions() for name in self.grid)):
            found.append(home | dict(zip(self.grid, corner, strict=True)))
        for name, control in flat.items():
            if name not in self.grid:
                found += [home | {name: value} for value in control.positions()]
        unique = list({json.dumps(state): state for state in found}.values())
        if len(unique) > MOST_STORED:
            raise ArgumentError(f"{self.name} stores {len(unique)} states; at most {MOST_STORED}: lower `stored`")
        return unique

    def declare(self) -> dict[str, object]:
        """Describe the explorable to a front end, as plain JSON values."""
        planes = [
            {"x": control.x.name, "y": control.y.name, "panel": control.panel}
            for control in self.controls
            if isinstance(control, Plane)
        ]
        return {
            "name": self.name, "title": self.title, "question": self.question, "answer": self.answer,
            "caption": self.caption, "controls": [control.declare() for control in flatten(self.controls)],
            "planes": planes, "slow": self.slow,
        }  # fmt: skip
