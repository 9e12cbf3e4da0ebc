"""An experiment that takes no time, whose units can be slow, fail, or kill their process: for the engine's tests."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ortholab.experiments.registry import Experiment


@dataclass(frozen=True)
class ToySpec:
    kinds: tuple[str, ...] = ("plain",)
    seeds: tuple[int, ...] = (0, 1, 2)
    segments: int = 5
    size: int = 10
    nap: float = 0.0
    rate: float = 0.5
    log: str = ""  # a file that gets a line for each segment computed
    marker: str = ""  # "kill": the process dies, once if a marker is named and each time if not

    @property
    def units(self) -> tuple[ToyUnit, ...]:
        return tuple(ToyUnit(kind, seed) for kind in self.kinds for seed in self.seeds)


@dataclass(frozen=True)
class ToyUnit:
    kind: str
    seed: int


class ToyTrial:
    """A random walk through sin: any step left out, doubled or out of order shows in every digit."""

    def __init__(self, spec: ToySpec, unit: ToyUnit) -> None:
        self.spec, self.unit, self.step = spec, unit, 0
        self.rng = np.random.default_rng(unit.seed)
        self.W = self.rng.standard_normal(spec.size)
        self.trace: list[float] = []

    def advance(self) -> bool:
        if self.spec.log:
            with open(self.spec.log, "a") as log:
                log.write(f"{self.unit.kind}-{self.unit.seed} {self.step}\n")
        if self.spec.nap:
            time.sleep(self.spec.nap)
        if self.unit.kind == "fail" and self.step == 1:
            raise ZeroDivisionError("made to fail")
        if self.unit.kind == "kill" and self.step == 2 and not (self.spec.marker and Path(self.spec.marker).exists()):
            if self.spec.marker:
                Path(self.spec.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.W = np.sin(3 * self.W) + self.spec.rate * self.rng.standard_normal(self.spec.size)
        self.trace.append(float(self.W[0]))
        self.step += 1
        return self.step >= self.spec.segments

    def state_dict(self) -> dict:
        return {"step": self.step, "W": self.W, "trace": self.trace, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict) -> None:
        self.step, self.W, self.trace = state["step"], state["W"], state["trace"]
        self.rng.bit_generator.state = state["rng"]

    def metrics(self) -> dict:
        return {"trace": self.trace, "final": self.W, "mean": float(self.W.mean()), "diverged": False}

    def progress(self) -> tuple[int, int]:
        return self.step, self.spec.segments


def start(spec: ToySpec, unit: ToyUnit, device: str) -> ToyTrial:
    return ToyTrial(spec, unit)


tiers = {"quick": ToySpec(), "full": ToySpec(seeds=tuple(range(8)))}

TOY = Experiment("toy", "A toy", "no figure", tiers="toy_experiment:tiers", start="toy_experiment:start")
