"""What every check shares: the failure that teaches, the guarded call, the reading of an answer.

A check takes a student's function or array, tries a property on random inputs, and returns None or raises
:class:`CheckFailed`. It imports numpy alone, keeps its own references to what it calls, and never changes an input.
"""

from __future__ import annotations

import contextlib
import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SECONDS = 10.0  # of the processor: on a busy machine a right answer may wait long without working long
PATIENCE = 12  # times as many on the clock, for an answer that sleeps


class CheckFailed(AssertionError):
    """A property that an answer lacks: ``property`` (what failed), ``on`` (which input), ``suggests`` (why, perhaps).

    >>> str(CheckFailed("the result has the wrong sign", "a 2 x 3 matrix", "Is the minus of the gradient missing?"))
    'the result has the wrong sign, on a 2 x 3 matrix. Is the minus of the gradient missing?'
    """

    def __init__(self, property: str, on: str = "", suggests: str = "") -> None:
        self.property, self.on, self.suggests = property, on, suggests
        super().__init__(_sentence(property + (f", on {on}" if on else "")) + (f" {suggests}" if suggests else ""))


class TooSlow(BaseException):
    """Raised in a student's code by the alarm; no `except Exception` of theirs can swallow it."""


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else text + "."


def call(function: Callable, *arguments: Any, on: str = "", seconds: float = SECONDS, keeps: bool = True) -> Any:
    """Return ``function(*arguments)``, or raise CheckFailed if it can't be called, fails, is slow or changes its input.

    ``on`` names the input in the message. ``keeps=False`` allows a change in place. The arguments that the function
    gets are copies, so no answer spoils the check's own data.

    >>> call(lambda x: 2 * x, np.ones(2)).tolist()
    [2.0, 2.0]
    """
    if not callable(function):
        raise CheckFailed(f"a function is expected, not {_kind(function)}")
    name = getattr(function, "__name__", "the function")
    given = [_copied(a) for a in arguments]
    start = time.process_time()
    try:
        with _alarm(seconds):
            result = function(*given)
    except NotImplementedError:
        raise CheckFailed(f"{name} is not written yet", suggests="Replace the line that raises.") from None
    except TooSlow:
        raise CheckFailed(f"{name} takes more than {seconds:g} s", on, "Does a loop never end?") from None
    except Exception as error:
        raise CheckFailed(f"{name} stops with {type(error).__name__}: {_short(str(error))}", on) from error
    if time.process_time() - start > seconds:  # where no alarm is to be had
        raise CheckFailed(f"{name} takes more than {seconds:g} s", on)
    if keeps and not all(_same(a, b) for a, b in zip(arguments, given, strict=True)):
        raise CheckFailed(f"{name} changes its input in place", on, "Work on a copy, or build a new array.")
    return result


def _copied(value: Any) -> Any:
    """Copy an argument to any depth; a generator by its state, which is several times as quick as deepcopy."""
    if type(value) is not np.random.Generator:
        return copy.deepcopy(value)
    bits = value.bit_generator
    seeds = bits.seed_seq
    if type(seeds) is not np.random.SeedSequence:
        return copy.deepcopy(value)
    spawned = {"spawn_key": seeds.spawn_key, "n_children_spawned": seeds.n_children_spawned}
    again = type(bits)(np.random.SeedSequence(seeds.entropy, pool_size=seeds.pool_size, **spawned))
    again.state = bits.state
    return np.random.Generator(again)


def array(value: Any, shape: tuple[int, ...] | None = None, *, name: str = "the result", on: str = "") -> np.ndarray:
    """Return ``value`` as a float64 array, or raise CheckFailed unless it is real, finite and of ``shape``.

    A torch tensor is taken with its gradient cut off; an entry -1 of ``shape`` allows any length.

    >>> array([[1, 2]], (1, -1)).tolist()
    [[1.0, 2.0]]
    """
    if value is None:
        raise CheckFailed(f"{name} is None", on, "Is a `return` missing?")
    value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    try:
        read = np.asarray(value)
    except (TypeError, ValueError):
        raise CheckFailed(f"{name} is {_kind(value)}, not an array of numbers", on) from None
    if read.dtype.kind == "c":
        raise CheckFailed(f"{name} is complex", on, "Singular values are real; eigenvalues need not be.")
    if read.dtype.kind not in "iuf":
        raise CheckFailed(f"{name} is {_kind(value)}, not an array of numbers", on)
    if shape is not None and not _fits(read.shape, shape):
        raise CheckFailed(f"{name} has shape {read.shape}, not {shape}", on, _shape_hint(read.shape, shape))
    if not np.isfinite(read).all():
        raise CheckFailed(f"{name} has entries that are NaN or infinite", on, "Is there a division by zero?")
    return read.astype(np.float64)


def number(value: Any, *, name: str = "the result", on: str = "") -> float:
    """Return ``value`` as a float, or raise CheckFailed unless it is one finite real number.

    >>> number(np.array(3))
    3.0
    """
    return float(array(value, (), name=name, on=on))


def close(
    got: Any,
    want: Any,
    *,
    tol: float = 1e-8,
    name: str = "the result",
    on: str = "",
    suggests: str | Callable[[np.ndarray, np.ndarray], str] = "",
) -> None:
    """Raise CheckFailed unless max |got - want| <= tol max(1, max |want|).

    ``suggests`` is the hint, or a function of (got, want) that finds it: the right answer to a wrong question, say.

    >>> close([1.0, 2.0], [1.0, 2.0])
    """
    want = np.asarray(want, dtype=np.float64)
    got = array(got, want.shape, name=name, on=on)
    error = float(np.abs(got - want).max(initial=0.0))
    if error > tol * max(1.0, float(np.abs(want).max(initial=0.0))):
        hint = suggests(got, want) if callable(suggests) else suggests
        if got.size == 1:
            raise CheckFailed(f"{name} is {got.item():.6g}, not {want.item():.6g}", on, hint)
        raise CheckFailed(
            f"{name} is off by {error:.2g} in an entry (the largest is {np.abs(want).max():.3g})", on, hint
        )


def generator(seed: int) -> np.random.Generator:
    """Return the generator of the check's random inputs."""
    return np.random.default_rng(seed)


def slope(sizes: Any, errors: Any) -> float:
    """Return the slope of log(errors) against log(sizes), the measured order of a method.

    >>> round(slope([0.1, 0.01], [0.02, 0.0002]), 6)
    2.0
    """
    return float(np.polyfit(np.log(np.asarray(sizes)), np.log(np.maximum(np.asarray(errors), 1e-300)), 1)[0])


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block after ``seconds`` of work, where signals allow it: not on Windows, not in a thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TooSlow

    outer, start = signal.getitimer(signal.ITIMER_REAL)[0], time.monotonic()
    clocks = [(signal.ITIMER_PROF, signal.SIGPROF, seconds)]
    if not 0 < outer < PATIENCE * seconds:  # an alarm of the grader's that is due sooner stays
        clocks.append((signal.ITIMER_REAL, signal.SIGALRM, PATIENCE * seconds))
    before = [signal.signal(number, ring) for _, number, _ in clocks]
    for timer, _, limit in clocks:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(clocks, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
        if outer and len(clocks) == 2:
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - start), 1e-3))


def _same(a: Any, b: Any) -> bool:
    a, b = (x.detach().cpu().numpy() if hasattr(x, "detach") else x for x in (a, b))
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.shape == b.shape
            and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return True


def _fits(shape: tuple[int, ...], allowed: tuple[int, ...]) -> bool:
    return len(shape) == len(allowed) and all(want in (-1, got) for got, want in zip(shape, allowed, strict=True))


def _shape_hint(got: tuple[int, ...], want: tuple[int, ...]) -> str:
    if len(got) >= 2 and got[::-1] == tuple(want):
        return "It is the transpose of what is asked."
    return "Is it the sum or mean that is asked, or each entry?" if math.prod(got) != math.prod(want) else ""


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def _short(text: str, limit: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
