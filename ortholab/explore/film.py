"""A film: a short training, live in a kernel frame by frame, and stored frame by frame for a page without one.

A film is an explorable whose last control is the frame.  In a kernel each frame is trained when it is first asked
for, so pressing Play is training.  A page stores all frames of all its settings and computes nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator

from ortholab.errors import bad, check_int
from ortholab.explore.controls import Choice, Range, Switch, Value
from ortholab.explore.explorable import Explorable
from ortholab.explore.picture import Picture

FRAME = "frame"


class Reel:
    """The frames that a training has made so far, for each setting: the training goes on only when it must.

    ``train`` gets the settings as keyword arguments and yields ``frames`` pictures.
    """

    def __init__(self, train: Callable[..., Iterator[Picture]], frames: int):
        self.train, self.frames = train, frames
        self._made: dict[str, list[Picture]] = {}
        self._running: dict[str, Iterator[Picture]] = {}

    def picture(self, index: int, **settings: Value) -> Picture:
        """Return frame ``index`` at these settings, training up to it if it is not there yet."""
        key = json.dumps(settings, sort_keys=True)
        made = self._made.setdefault(key, [])
        if key not in self._running:
            self._running[key] = self.train(**settings)
        while len(made) <= index:
            try:
                made.append(next(self._running[key]))
            except StopIteration:
                raise RuntimeError(f"the training ended after {len(made)} of {self.frames} frames") from None
            except Exception:
                # a generator that raised is finished: forget it, so that the next question starts afresh
                del self._running[key], self._made[key]
                raise
        return made[index]


class Film(Explorable):
    """A short training that is watched.

    ``train(**settings)`` yields one :class:`Picture` for each of ``frames`` moments, ``updates`` / (``frames`` - 1)
    updates apart, the first before any update. ``controls`` are choices and switches: all their combinations are
    stored, at most 80 pictures together. Raises ArgumentError.

    >>> from ortholab.explore import Panel
    >>> def halve():
    ...     for k in range(3):
    ...         yield Picture([Panel(xlim=(0, 1), ylim=(0, 1)).guide(y=0.5**k)], f"{0.5**k}.")
    >>> film = Film("toy", "", "", "", "", "", (), halve, frames=3, updates=20)
    >>> film.picture().readout, film.live().picture().readout
    ('0.25.', '1.0.')
    """

    def __init__(
        self,
        name: str,
        title: str,
        question: str,
        answer: str,
        caption: str,
        alt: str,
        controls: tuple[Choice | Switch, ...],
        train: Callable[..., Iterator[Picture]],
        *,
        frames: int = 26,
        updates: int = 100,
    ):
        check_int("frames", frames, 2)
        if any(not isinstance(control, Choice | Switch) for control in controls):
            raise bad("controls", controls, "choices and switches, since every setting of a film is stored")
        if check_int("updates", updates, 1) % (frames - 1):
            raise bad("updates", updates, f"a multiple of frames - 1 = {frames - 1}")
        frame = Range(FRAME, "updates", 0, updates, updates, count=frames, whole=True, stored=frames)
        reel = Reel(train, frames)

        def compute(**values: Value) -> Picture:
            return reel.picture(frame.values.index(values.pop(FRAME)), **values)

        grid = tuple(control.name for control in (*controls, frame))
        super().__init__(name, title, question, answer, caption, alt, (*controls, frame), compute, grid)

    def live(self) -> Film:
        """Return the same film, rewound: a kernel opens it at the first frame, and trains when it is played."""
        film = copy.copy(self)
        *settings, frame = self.controls
        first = Range(FRAME, frame.label, frame.low, frame.high, 0, count=frame.count, whole=True, stored=frame.stored)
        object.__setattr__(film, "controls", (*settings, first))
        return film

    def declare(self) -> dict[str, object]:
        """Describe the film to a front end: as any explorable, and that its frames play."""
        return super().declare() | {"film": True}
