"""The engine: equal bits however a run is cut up, failures that lose nothing, and a manifest that tells the truth."""

import gc
import importlib
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import ortholab
from ortholab import data
from ortholab.errors import ArgumentError, RunError, StoreError
from ortholab.experiments import load, run, verify
from ortholab.experiments.encoding import to_text
from ortholab.experiments.engine import Listener, Plan
from ortholab.experiments.registry import EXPERIMENTS, Experiment, find
from ortholab.experiments.specification import adjust, describe, unit_names
from ortholab.experiments.store import Store
from ortholab.experiments.trial import OneSegment, Trial
from ortholab.experiments.worker import Task, compute


def bits(folder) -> dict[str, str]:
    """The metrics of each unit by name, as exact text, but for the times."""
    results = load(folder)
    kept = [{k: v for k, v in found.items() if not k.startswith("seconds")} for found in results.metrics]
    return {to_text(unit): to_text(found) for unit, found in zip(results.units, kept, strict=True)}


def toy(tmp_path, **more):
    from toy_experiment import TOY

    return run(TOY, store=tmp_path, **more)


def test_the_same_specification_gives_the_same_bits(tmp_path):
    first, second = toy(tmp_path / "a").folder, toy(tmp_path / "b", jobs=2).folder
    assert bits(first) == bits(second)
    assert len(set(bits(first).values())) == 3  # and the seeds differ
    other = toy(tmp_path / "c", settings={"rate": 0.25}).folder
    assert set(bits(first).values()).isdisjoint(bits(other).values())


class StopAt(Listener):
    """Ctrl-C after so many notes of progress."""

    def __init__(self, count: int) -> None:
        self.count = count

    def progress(self, done) -> None:
        self.count -= 1
        if self.count < 0:
            raise KeyboardInterrupt


def test_ctrl_c_at_any_segment_leaves_a_store_that_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("ortholab.experiments.worker.PROGRESS_EVERY", 0.0)
    log = tmp_path / "log"
    settings = {"log": str(log), "nap": 0.01}
    whole = bits(toy(tmp_path / "whole", settings=settings).folder)
    log.unlink()
    for stop in range(7):
        with pytest.raises(KeyboardInterrupt):
            toy(tmp_path / "cut", settings=settings, listener=StopAt(stop % 4))
    target = toy(tmp_path / "cut", settings=settings)
    assert bits(target.folder) == whole
    assert min(load(target.folder).seconds) >= 5 * 0.01  # the time before each cut counts
    computed = log.read_text().split("\n")[:-1]
    assert len(computed) == len(set(computed)) == 15  # it stopped between segments: none was computed twice


class Begun(Listener):
    """Says down a pipe that the run is at work."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe

    def begin(self, store, total, stored) -> None:
        self.pipe.send(stored)


def run_toy(folder, settings, pipe) -> None:
    """The whole life of a process that is going to be killed."""
    toy(folder, settings=settings, listener=Begun(pipe))


@pytest.fixture
def processes():
    """A context that forks from a process that has loaded what a run needs, and nothing else: a start costs little."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ortholab.experiments.engine", "numpy", "threadpoolctl", "pytest"])
    return context


def test_killed_at_twenty_random_moments(tmp_path, processes):
    """Each kill costs the segment in flight at most, nothing partial is read, and the bits are those of one run."""
    log, rng = tmp_path / "log", random.Random(0)
    # 120 segments of 20 ms, of which kills leave half; a state of 160 kB is large enough to be cut while it is written
    settings = {"segments": 40, "size": 20_000, "nap": 0.02, "log": str(log)}

    def start(folder):
        ours, theirs = processes.Pipe()
        process = processes.Process(target=run_toy, args=(folder, settings, theirs))
        process.start()
        theirs.close()
        ours.recv()  # it is at work
        return process

    killed = 0
    while killed < 20:
        process = start(tmp_path / "cut")
        time.sleep(rng.uniform(0.0, 0.12))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        assert all(report.problems == () for report in verify(tmp_path / "cut"))
        assert killed == 20 or process.exitcode == -signal.SIGKILL, "it was done before 20 kills: make it longer"
    process = start(tmp_path / "cut")
    process.join()
    assert process.exitcode == 0
    computed = log.read_text().split("\n")[:-1]
    assert len(set(computed)) == 3 * 40
    assert len(computed) - len(set(computed)) <= killed
    target = toy(tmp_path / "whole", settings=settings | {"nap": 0.0})
    (cut,) = (path.parent for path in (tmp_path / "cut").glob("*/*/manifest.json"))
    assert bits(cut) == bits(target.folder)
    assert not [*cut.glob("units/*.checkpoint")]


def test_a_killed_worker_costs_a_segment(tmp_path):
    settings = {"kinds": ("plain", "kill"), "log": str(tmp_path / "log"), "marker": str(tmp_path / "marker")}
    target = toy(tmp_path, jobs=2, settings=settings)
    assert (tmp_path / "marker").exists()  # a worker did die
    results = load(target.folder)
    pairs = zip(results.where(kind="plain").metrics, results.where(kind="kill").metrics, strict=True)
    assert all(to_text(a) == to_text(b) for a, b in pairs)  # the kinds differ in nothing else
    computed = (tmp_path / "log").read_text().split("\n")[:-1]
    assert len(set(computed)) == 6 * 5
    assert len(computed) <= 6 * 5 + 2  # of the worker that died and of the other, which loky ends too


def test_a_unit_that_kills_every_worker_ends_the_run_and_no_other_result_is_lost(tmp_path):
    with pytest.raises(RunError, match="workers died 4 times"):
        toy(tmp_path, jobs=1 + 1, settings={"kinds": ("plain", "kill"), "seeds": (0,)})
    assert len(load(next(tmp_path.glob("toy/*")), partial=True)) == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_unit_that_fails_is_named_and_the_others_are_stored(tmp_path, jobs):
    with pytest.raises(RunError, match=r"3 of 6 units failed.* fail-0-\w+: ZeroDivisionError: made to fail"):
        toy(tmp_path, jobs=jobs, settings={"kinds": ("fail", "plain")})
    folder = next(tmp_path.glob("toy/*"))
    assert [u["kind"] for u in load(folder, partial=True).units] == ["plain"] * 3
    assert "made to fail" in next(folder.glob("units/fail-0-*.traceback")).read_text()
    with pytest.raises(StoreError, match="not complete"):
        load(folder)


def test_a_worker_whose_run_is_over_stops_before_it_writes(tmp_path):
    from toy_experiment import TOY, ToySpec

    target = toy(tmp_path)
    spec = ToySpec(seeds=(9,))
    (name, unit), sha = next(iter(unit_names(spec).items())), Plan.make(TOY).sha256
    task = Task(name, TOY.start, spec, unit, sha, str(target.folder), token="of a run that was killed")
    outcome = compute(task)
    assert outcome.error == "the run that asked for this unit is over"
    assert outcome.fatal is RunError
    orphan = compute(replace(task, token=None, parent=1 if os.getppid() != 1 else 2))
    assert orphan.error == outcome.error
    assert not target.checkpoint_path(name).exists()


def test_a_worker_that_does_not_see_the_store_computes_all_the_same(tmp_path):
    from toy_experiment import TOY, ToySpec

    spec = ToySpec()
    for name, unit in unit_names(spec).items():
        outcome = compute(Task(name, TOY.start, spec, unit, "s", str(tmp_path / "not" / "there"), token="t"))
        assert outcome.error is None
        assert outcome.checkpoints is False
        assert outcome.segments == 5
    assert not (tmp_path / "not").exists()


def test_a_unit_done_but_not_stored_is_not_computed_again(tmp_path):
    """A coordinator that is killed while results wait for it loses none of them."""
    from toy_experiment import TOY, ToySpec

    spec = ToySpec(log=str(tmp_path / "log"))
    plan = Plan.make(TOY, settings={"log": spec.log})
    target = toy(tmp_path, settings={"log": spec.log})
    before = bits(target.folder)
    name, unit = next(iter(unit_names(spec).items()))
    target.result_path(name).unlink()
    target.manifest_path.unlink()
    with target.locked() as token:
        target.write_manifest({"specification_sha256": plan.sha256})
        waiting = compute(Task(name, TOY.start, spec, unit, plan.sha256, str(target.folder), token=token))
    target.manifest_path.unlink()
    assert waiting.segments == 5
    lines = (tmp_path / "log").read_text()
    assert bits(toy(tmp_path, settings={"log": spec.log}).folder) == before
    assert (tmp_path / "log").read_text() == lines


def test_memory_does_not_grow_with_the_units_done(tmp_path):
    """Units 20 to 200, with 80 kB of state and 110 kB of result each: what stays is less than three results in all."""
    sizes = []

    class Watch(Listener):
        def unit(self, name, seconds, stored):
            if stored in (20, 200):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        toy(tmp_path, settings={"size": 10_000, "segments": 1, "seeds": tuple(range(200))}, listener=Watch())
    finally:
        tracemalloc.stop()
    assert len(sizes) == 2
    assert sizes[1] - sizes[0] < 300_000  # about 100 kB of it are the manifest's 180 new lines


def test_the_manifest_tells_what_was_run(tmp_path):
    target = toy(tmp_path, seeds=2, settings={"segments": "3"})
    manifest = target.read_manifest()
    assert target.folder.name == f"quick-{manifest['specification_sha256'][:8]}"
    assert (manifest["experiment"], manifest["tier"], manifest["seeds"]) == ("toy", "quick", [0, 1])
    assert manifest["specification"]["segments"] == 3
    assert (manifest["device"], manifest["threads"], manifest["complete"]) == ("cpu", 1, True)
    (only,) = manifest["runs"]
    assert only["versions"]["ortholab"] == ortholab.__version__
    assert only["versions"]["numpy"] == np.__version__
    assert only["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", only["commit"])
    assert 0 < sum(entry["seconds"] for entry in manifest["units"].values()) <= only["seconds"] + 0.01
    line = load(target.folder).provenance
    assert line.startswith("quick tier, specification ")
    assert "2 units, 2 seeds; commit " in line
    assert "cpu (1 thread)" in line


def test_a_second_run_computes_nothing_and_changes_nothing(tmp_path):
    log = tmp_path / "log"
    target = toy(tmp_path, settings={"log": str(log)})
    before, lines = target.manifest_path.read_bytes(), log.read_text()
    toy(tmp_path, settings={"log": str(log)})
    assert (target.manifest_path.read_bytes(), log.read_text()) == (before, lines)


def test_results_as_a_table_and_as_arrays(tmp_path):
    results = load(toy(tmp_path, settings={"kinds": ("plain", "other")}).folder)
    assert results.values("trace").shape == (6, 5)
    assert [u["seed"] for u in results.where(kind="other").units] == [0, 1, 2]
    frame, summary = results.frame(), results.summary()
    assert frame.shape[0] == 6
    assert frame.columns.tolist() == ["kind", "seed", "mean", "diverged", "seconds"]
    assert summary["kind"].tolist() == ["plain", "other"]
    means = frame[frame.kind == "plain"]["mean"]
    assert summary["mean"][0] == pytest.approx(means.mean())
    assert summary["mean ±"][0] == pytest.approx(4.302653 * means.std() / 3**0.5, rel=1e-6)
    for call, words in ((lambda: results.values("loss"), "metric"), (lambda: results.where(kind="?"), "no unit has")):
        with pytest.raises(ArgumentError, match=words):
            call()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tier": "huge"}, "tier must be one of 'quick', 'full' for toy; got 'huge'"),
        ({"settings": {"widht": 3}}, "setting must be one of kinds, seeds, segments"),
        ({"settings": {"segments": "many"}}, "segments must be an integer; got 'many'"),
        ({"settings": {"rate": "True"}}, "rate must be a number"),
        ({"seeds": 0}, "seeds must be an integer >= 1"),
        ({"seeds": 2, "settings": {"seeds": "1,2"}}, "seeds must be given once"),
        ({"device": "tpu"}, "device must be 'auto'"),
        ({"device": "cuda:9"}, "not on this machine"),
        ({"jobs": 0}, "jobs must be an integer >= 1"),
        ({"backend": "slurm"}, "backend must be one of"),
        ({"address": "tcp://127.0.0.1:1"}, "address and gpus are for the backends"),
        ({"settings": {"seeds": "1,1"}}, "must not hold a unit twice"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(tmp_path, arguments, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        toy(tmp_path, **arguments)
    assert not [*tmp_path.rglob("*.json")]


def test_settings_take_the_type_of_what_they_replace():
    from toy_experiment import ToySpec

    spec = adjust(ToySpec(), settings={"kinds": "a,b", "seeds": "4", "rate": "1", "size": "3", "log": "7"})
    assert (spec.kinds, spec.seeds, spec.rate, spec.size, spec.log) == (("a", "b"), (4,), 1.0, 3, "7")
    assert isinstance(spec.rate, float)


def test_a_store_keeps_to_one_device_and_one_number_of_threads(tmp_path):
    toy(tmp_path)
    with pytest.raises(StoreError, match="begun with threads 1, this run has 2"):
        toy(tmp_path, threads=2)


def test_units_keep_to_one_data_set(tmp_path, monkeypatch):
    images = [data.digits(10), data.digits(11)]
    monkeypatch.setattr(f"{__name__}.SETS", images)
    experiment = Experiment("changing", "", "", tiers=f"{__name__}:TIERS", start=f"{__name__}:begin")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    with pytest.raises(StoreError, match="used digits all from scikit-learn, but the units stored in"):
        run(experiment, store=tmp_path)
    (kept,) = load(tmp_path / "changing" / "quick", partial=True).units
    assert kept == {"seed": 0}
    assert load(tmp_path / "changing" / "quick", partial=True).manifest["data"][0]["sha256"] == images[0].sha256


@dataclass(frozen=True)
class _Unit:
    seed: int


@dataclass(frozen=True)
class _Spec:
    units: tuple = (_Unit(0), _Unit(1))


TIERS, SETS = {"quick": _Spec()}, []


def begin(spec, unit, device):
    return OneSegment(lambda: {"one": 1.0}, datasets=(SETS[unit.seed],))


def test_in_worker_sets_the_threads_and_is_otherwise_the_same(tmp_path):
    from toy_experiment import TOY, ToySpec

    name, unit = next(iter(unit_names(ToySpec()).items()))
    code = (
        "import os, sys, json, torch\nfrom toy_experiment import TOY, ToySpec\n"
        "from ortholab.experiments.specification import unit_names\nfrom ortholab.experiments.worker import *\n"
        "name, unit = next(iter(unit_names(ToySpec()).items()))\n"
        "torch.set_num_threads(2); out = in_worker(Task(name, TOY.start, ToySpec(), unit, 's', '/nowhere'))\n"
        "print(json.dumps([torch.get_num_threads(), os.environ['MKL_NUM_THREADS'], out.metrics]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = compute(Task(name, TOY.start, ToySpec(), unit, "s", str(tmp_path / "nowhere")))
    assert json.loads(done.stdout) == [1, "1", json.loads(json.dumps(here.metrics))]


def tell_of_determinism(spec, unit, device):
    """A unit whose metric is whether torch was asked for algorithms that repeat their bits."""
    import torch

    return OneSegment(lambda: {"asked": torch.are_deterministic_algorithms_enabled()})


@pytest.mark.parametrize(("device", "asked"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_on_cuda_torch_is_asked_to_repeat_its_bits(tmp_path, monkeypatch, device, asked):
    import torch

    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is as before when the test ends
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    task = Task("u", f"{__name__}:tell_of_determinism", None, None, "s", str(tmp_path), device=device)
    assert compute(task).metrics == {"asked": asked}
    assert not torch.are_deterministic_algorithms_enabled()
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == asked


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_a_registered_experiment_is_what_its_record_says(name):
    experiment = find(name)
    module, attribute = experiment.tiers.split(":")
    tiers = getattr(importlib.import_module(module), attribute)
    assert experiment.costs.keys() == tiers.keys() <= {"quick", "full", "paper"}
    for tier, spec in tiers.items():
        assert experiment.costs[tier].units == len(unit_names(spec)) == len(spec.units)
        json.dumps(describe(spec))
    spec = tiers["quick"]
    module, function = experiment.start.split(":")
    trial = getattr(importlib.import_module(module), function)(spec, spec.units[0], "cpu")
    assert isinstance(trial, Trial)
    assert {d.name.lower() for d in trial.datasets} <= {d.lower() for d in experiment.data}


def test_the_page_on_running_at_scale_has_the_costs_of_the_records():
    root = Path(__file__).parents[2]
    page = (root / "book/appendix/running_at_scale.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\w+) \| (.*) \| (.*) \|$", page)
    costs = {(e.name, tier): str(cost) for e in EXPERIMENTS.values() for tier, cost in e.costs.items()}
    assert {(name, tier): f"{units} units, {time}" for name, tier, units, time in rows} == costs


def test_linear_depth_through_the_engine_is_its_own_run(tmp_path):
    from ortholab.experiments import linear_depth

    settings = {"depths": (2, 4), "width": 20, "seeds": (0, 1)}
    spec = linear_depth.LinearDepthSpec(**settings)
    results, alone = load(run("linear_depth", store=tmp_path, settings=settings).folder), linear_depth.run(spec)
    for metric in ("steps", "step_size", "error", "distance", "at_edge", "diverged"):
        assert np.array_equal(results.values(metric).reshape(alone.steps.shape), getattr(alone, metric)), metric
    assert results.manifest["data"][0]["sha256"] == alone.problem.data_sha256


def test_trainability_through_the_engine_is_its_own_run(tmp_path):
    from ortholab.experiments import trainability

    settings = {"depths": (2, 3), "sigma_w": (1.0, 1.5), "width": 12, "steps": 8, "n_train": 60, "seeds": (0, 1)}
    alone = trainability.run(trainability.TrainabilitySpec(**settings))
    results = load(run("trainability", store=tmp_path, settings=settings).folder)
    for metric in ("accuracy", "loss", "diverged"):
        stored = results.values(metric).reshape(2, 2, 2).swapaxes(1, 2)
        assert np.array_equal(stored, getattr(alone, metric)), metric
    name, unit = next(iter(unit_names(spec := trainability.TrainabilitySpec(**settings)).items()))
    there = Task(name, "ortholab.experiments.trainability:start", spec, unit, "s", "/nowhere", device="cuda")
    assert "device must be 'cpu'" in compute(there).error


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_deep_nets_cut_after_every_segment_give_the_bits_of_one_run(tmp_path, monkeypatch, optimiser):
    """Weights, averages of the optimiser, batches and records all go through checkpoints."""
    monkeypatch.setattr("ortholab.experiments.worker.PROGRESS_EVERY", 0.0)
    plan = tuple((network, optimiser, (0.01,)) for network in ("tanh1.05-orthogonal", "relu-gaussian"))
    settings = {"plan": plan, "depths": (4,), "width": 12, "max_steps": 16, "segment": 4, "n_train": 200, "n_test": 50}
    cuts = 0
    while True:
        try:
            cut = run("deep_nets", store=tmp_path / "cut", settings=settings, listener=StopAt(1))
            break
        except KeyboardInterrupt:
            cuts += 1
    assert cuts >= 5
    whole = run("deep_nets", store=tmp_path / "whole", settings=settings)
    assert bits(cut.folder) == bits(whole.folder)
    results = load(cut.folder)
    assert {d["name"] for d in results.manifest["data"]} == {"MNIST"}
    assert results.values("steps").shape[0] == 2


def test_a_store_is_found_by_its_folder(tmp_path):
    assert Store.at(Store(tmp_path, "a", "b").folder).folder == tmp_path / "a" / "b"
