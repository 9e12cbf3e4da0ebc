"""The limit of an answer's time counts work, so that a busy machine fails nobody; loops and sleepers still end."""

from __future__ import annotations

import signal
import time

import pytest

from ortholab.check import _core


def test_a_loop_without_end_is_stopped():
    def loop():
        while True:
            pass

    with pytest.raises(_core.CheckFailed, match="takes more than"):
        _core.call(loop, seconds=0.2)


def test_waiting_is_no_work():
    assert _core.call(lambda: time.sleep(0.5) or 7, seconds=0.1) == 7


def test_a_sleeper_is_woken(monkeypatch):
    monkeypatch.setattr(_core, "PATIENCE", 2)
    before = time.perf_counter()
    with pytest.raises(_core.CheckFailed, match="takes more than"):
        _core.call(lambda: time.sleep(60), seconds=0.2)
    assert time.perf_counter() - before < 30


def test_the_alarms_are_put_back():
    kinds = (signal.SIGALRM, signal.SIGPROF)
    handlers = [signal.getsignal(kind) for kind in kinds]
    _core.call(lambda: None)
    assert [signal.getsignal(kind) for kind in kinds] == handlers
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("outer", [5.0, 1000.0])
def test_an_alarm_of_the_grader_keeps_running(outer):
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, outer)
    try:
        _core.call(lambda: time.sleep(0.3))
        assert outer - 5 < signal.getitimer(signal.ITIMER_REAL)[0] < outer - 0.2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
