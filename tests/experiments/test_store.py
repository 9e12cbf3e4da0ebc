"""The store: exact values, whole files or none, damage that is named, one writer at a time."""

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from ortholab.errors import ArgumentError, StoreError
from ortholab.experiments import load, run, store, verify
from ortholab.experiments.encoding import dump, from_plain, plain, to_text, undump
from ortholab.experiments.store import Store, write_atomically


def toy(tmp_path, **settings):
    from toy_experiment import TOY

    return run(TOY, settings=settings, store=tmp_path)


def contents(folder: Path) -> dict[str, str]:
    files = (p for p in Path(folder).rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def state() -> dict:
    generator = torch.Generator().manual_seed(3)
    return {
        "none": None,
        "int": 2**70,
        "float": [0.1, float("inf"), float("-inf"), -0.0],
        "text": "q* é",
        "tuple": (1, ("a", True)),
        3: {"exp_avg": torch.randn(3, 2, generator=generator), "step": torch.tensor(7.0)},
        "rng": generator.get_state(),
        "half": torch.randn(4, generator=generator).bfloat16(),
        "arrays": [np.arange(6, dtype=np.float32).reshape(2, 3).T, np.array(2.5), np.zeros((0, 3)), np.array(["x"])],
        "scalar": np.float32(0.1),
        "numpy": np.random.default_rng(1).bit_generator.state,
        "$odd": 1,
    }


def same(a, b) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return repr(a) == repr(b)


def test_a_checkpoint_comes_back_with_every_bit():
    dump(state(), stream := BytesIO())
    assert same(undump(BytesIO(stream.getvalue())), state())


def test_a_checkpoint_that_is_cut_or_changed_is_refused():
    dump({"W": np.random.default_rng(0).standard_normal(300), "step": 4}, stream := BytesIO())
    blob = stream.getvalue()
    for length in range(0, len(blob), 53):
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            undump(BytesIO(blob[:length]))
    at = blob.index(np.random.default_rng(0).standard_normal(300).tobytes()) + 100
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        undump(BytesIO(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]))


def test_metrics_come_back_with_every_bit():
    value = {"s": np.linspace(0, 1, 7, dtype=np.float32), "loss": [0.1, float("nan"), 1e-320], "n": np.int64(3)}
    back = from_plain(json.loads(to_text(value)))
    assert same(back["s"], value["s"])
    assert repr(back["loss"]) == repr(value["loss"])
    assert back["n"] == 3


@pytest.mark.parametrize("value", [object(), {"f": len}, np.array([None])])
def test_what_cannot_be_stored_is_refused(value):
    with pytest.raises(ArgumentError, match="stored"):
        plain(value)


@pytest.mark.parametrize("stage", ["write", "fsync", "replace"])
@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "can't be written")])
def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path, monkeypatch, stage, code, words):
    path = tmp_path / "result.json"
    path.write_text("old")

    def fail(*args):
        raise OSError(code, os.strerror(code))

    def write(stream):
        stream.write(b"half of the new")
        if stage == "write":
            fail()

    if stage != "write":
        monkeypatch.setattr(store.os, stage, fail)
    with pytest.raises(StoreError, match=words):
        write_atomically(path, write)
    monkeypatch.undo()
    assert contents(tmp_path) == {str(path): hashlib.sha256(b"old").hexdigest()}


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from ortholab.experiments import store
from ortholab.experiments.store import Store

stage, folder = sys.argv[1:]
target = Store.at(folder)
def die(*args): os.kill(os.getpid(), signal.SIGKILL)
real = os.replace
if stage == "fsync": store.os.fsync = die
if stage == "before": store.os.replace = die
if stage == "after": store.os.replace = lambda a, b: (real(a, b), die())
class Half(dict):
    pass
if stage == "half":
    plain_dump = store.dump
    def dump(value, stream):
        plain_dump(value, stream)
        stream.truncate(stream.tell() // 2); stream.flush(); die()
    store.dump = dump
target.write_checkpoint("u", {"name": "u", "specification_sha256": "s", "step": 2, "big": list(range(1000))})
"""


@pytest.mark.parametrize(("stage", "step"), [("half", 1), ("fsync", 1), ("before", 1), ("after", 2)])
def test_killed_while_it_writes(tmp_path, stage, step):
    target = Store(tmp_path, "toy", "quick")
    target.make()
    target.write_checkpoint("u", {"name": "u", "specification_sha256": "s", "step": 1})
    done = subprocess.run([sys.executable, "-c", KILLED_AT, stage, target.folder], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert target.read_checkpoint("u", "s")["step"] == step
    assert target.result_names() == set()
    with target.locked():
        assert not [*target.units.glob(".*")]  # the half file is swept up by the next run


DAMAGE = {
    "edited": (
        lambda path: path.write_text(path.read_text().replace('"diverged": false', '"diverged": true')),
        "changed after",
    ),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "truncated"),
    "emptied": (lambda path: path.write_bytes(b""), "truncated"),
    "missing": (lambda path: path.unlink(), "missing"),
    "respaced": (lambda path: path.write_text(path.read_text() + "\n"), "not the file that the manifest names"),
    "swapped": (lambda path: shutil.copy(sorted(path.parent.glob("*.json"))[1], path), "another unit"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_result_is_named_and_left_alone(tmp_path, kind):
    from toy_experiment import TOY

    target = toy(tmp_path)
    path = sorted(target.units.glob("*.json"))[0]
    damage, words = DAMAGE[kind]
    damage(path)
    before = contents(tmp_path)
    for attempt in (lambda: load(tmp_path, TOY), lambda: load(target.folder), lambda: run(TOY, store=tmp_path)):
        with pytest.raises(StoreError, match=words) as caught:
            attempt()
        assert str(path) in str(caught.value)
    (report,) = verify(tmp_path)
    assert report.units == 2
    assert len(report.problems) == 1
    assert words in report.problems[0]
    assert contents(tmp_path) == before


def test_a_result_can_be_computed_again_once_all_is_moved_away(tmp_path):
    from toy_experiment import TOY

    first = load(toy(tmp_path / "a").folder)
    target = toy(tmp_path / "b")
    shutil.move(target.folder, tmp_path / "away")
    assert same(load(run(TOY, store=tmp_path / "b").folder).metrics, first.metrics)


def test_a_manifest_changed_by_hand_or_cut_is_refused(tmp_path):
    from toy_experiment import TOY

    target = toy(tmp_path)
    text = target.manifest_path.read_text()
    for changed, words in (
        (text.replace('"threads": 1', '"threads": 2'), "changed after"),
        (text[:200], "truncated"),
        (text.replace('"format": 1', '"format": 9'), "format"),
    ):
        assert changed != text
        target.manifest_path.write_text(changed)
        for attempt in (lambda: load(tmp_path, TOY), lambda: run(TOY, store=tmp_path)):
            with pytest.raises(StoreError, match=words):
                attempt()
        assert words in verify(tmp_path)[0].problems[0]
        assert target.manifest_path.read_text() == changed


def test_results_of_another_specification_are_refused_and_kept(tmp_path):
    from toy_experiment import TOY

    target = toy(tmp_path, rate="0.25")
    assert target.folder.name != "quick"
    shutil.move(target.folder, tmp_path / "toy" / "quick")
    before = contents(tmp_path)
    for attempt in (lambda: load(tmp_path, TOY), lambda: run(TOY, store=tmp_path)):
        with pytest.raises(StoreError, match=r"another specification \(rate 0.25 there, 0.5 here\)"):
            attempt()
    assert contents(tmp_path) == before
    assert len(load(tmp_path / "toy" / "quick")) == 3  # by its folder it is still readable


def test_nothing_there_is_said(tmp_path):
    from toy_experiment import TOY

    with pytest.raises(StoreError, match=r"holds no results: `ortholab run toy --tier full` makes them"):
        load(tmp_path, TOY, "full")
    assert verify(tmp_path) == []


def _hold(root, ready, leave):
    with Store(root, "toy", "quick").locked():
        ready.set()
        leave.wait(60)


def test_two_processes_on_one_store(tmp_path):
    from toy_experiment import TOY

    target = toy(tmp_path)
    before = contents(tmp_path)
    context = multiprocessing.get_context("fork")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, leave))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StoreError, match=rf"in use by another run \(process {other.pid}@"):
            run(TOY, store=tmp_path)
        assert target.in_use().startswith(f"{other.pid}@")
        assert len(load(tmp_path, TOY)) == 3  # reading is free
    finally:
        leave.set()
        other.join(30)
    assert target.in_use() is None
    run(TOY, store=tmp_path)
    assert contents(tmp_path) == before


def test_a_lock_ends_with_its_process(tmp_path):
    from toy_experiment import TOY

    target = toy(tmp_path)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, context.Event()))
    other.start()
    assert ready.wait(30)
    os.kill(other.pid, signal.SIGKILL)
    other.join(30)
    assert target.owner() is not None
    assert target.in_use() is None
    run(TOY, store=tmp_path)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system can't be mounted here (not root): only the simulated disk was tested")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_and_is_made_larger(small_disk, tmp_path):
    from toy_experiment import TOY

    settings = {"size": 3000, "seeds": tuple(range(8))}  # 24 kB a state, 33 kB a result
    with pytest.raises(StoreError, match="disk is full"):
        run(TOY, settings=settings, store=small_disk)
    stored = verify(small_disk)[0]
    assert stored.problems == ()
    assert len([*small_disk.glob("toy/*/units/*.json")]) >= 3
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    resumed = load(run(TOY, settings=settings, store=small_disk).folder)
    assert same(resumed.metrics, load(run(TOY, settings=settings, store=tmp_path / "whole").folder).metrics)


def test_a_read_only_store_is_read_and_not_written(small_disk):
    from toy_experiment import TOY

    run(TOY, store=small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert len(load(small_disk, TOY)) == 3
    assert verify(small_disk)[0].complete
    for tier in ("quick", "full"):
        with pytest.raises(StoreError, match="make its folder writable, or name another"):
            run(TOY, tier, store=small_disk)


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    from toy_experiment import TOY

    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        run(TOY, store=tmp_path / "file")
