"""The same sweep by processes, on a real Dask scheduler with two workers, and on a real local Ray; workers that die."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ortholab.errors import RunError
from ortholab.experiments import load, run
from ortholab.experiments.encoding import to_text
from ortholab.experiments.engine import Listener


def worker_paths() -> str:
    """PYTHONPATH of the workers: the toy and the library."""
    here = os.path.dirname(__file__)
    return os.pathsep.join([here, os.path.dirname(os.path.dirname(here)), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="module")
def dask_address():
    """A scheduler and two worker processes that talk over loopback; one that dies is started anew."""
    distributed = pytest.importorskip("distributed", reason="ortholab[dask] is not installed")
    import dask

    with dask.config.set({"distributed.nanny.environ": {"PYTHONPATH": worker_paths()}}):
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
            silence_logs="CRITICAL", protocol="tcp://",
        )  # fmt: skip
        yield cluster.scheduler_address
        cluster.close()


@pytest.fixture(scope="module")
def ray_local():
    """A Ray of two workers on this machine, shared by the tests: to start one takes some seconds."""
    ray = pytest.importorskip("ray", reason="ortholab[ray] is not installed (there is no wheel for some systems)")
    words = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error", "object_store_memory": 10**8}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", worker_paths())
        try:
            ray.init(num_cpus=2, **words)
        except Exception as error:  # on a busy machine its own agents can miss a time limit that can't be set
            pytest.skip(f"Ray did not start here: {error}")
    yield
    ray.shutdown()


@pytest.fixture
def clusters(request):
    """The words that name each cluster."""
    return {
        "dask": lambda: {"backend": "dask", "address": request.getfixturevalue("dask_address")},
        "ray": lambda: request.getfixturevalue("ray_local") or {"backend": "ray", "jobs": 2},
    }


def toy(tmp_path, **more):
    from toy_experiment import TOY

    return run(TOY, store=tmp_path, **more)


def bits(folder) -> list[str]:
    results = load(folder)
    return [to_text([unit, found]) for unit, found in zip(results.units, results.metrics, strict=True)]


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_cluster_gives_the_bits_of_this_process(tmp_path, clusters, name):
    """One sweep with a worker killed in its middle, and a unit that was begun here and is ended there."""
    settings = {
        "kinds": ("plain", "kill"), "seeds": (0, 1, 2, 3), "segments": 6, "nap": 0.02,
        "log": str(tmp_path / "log"), "marker": str(tmp_path / "marker"),
    }  # fmt: skip

    class Stop(Listener):
        def unit(self, name, seconds, stored):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path / "cluster", settings=settings, listener=Stop())
    target = toy(tmp_path / "cluster", settings=settings, **clusters[name]())
    computed = (tmp_path / "log").read_text().split("\n")[:-1]
    assert (tmp_path / "marker").exists()  # a worker did die
    assert len(set(computed)) == 8 * 6
    assert len(computed) <= 8 * 6 + 1  # it cost the segment in flight
    assert [r["backend"] for r in target.read_manifest()["runs"]] == ["serial", name]
    assert bits(target.folder) == bits(toy(tmp_path / "here", settings=settings).folder)
    processes = toy(tmp_path / "processes", settings=settings, jobs=2)
    assert bits(processes.folder) == bits(target.folder)


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_a_failing_unit_is_named_and_the_others_are_stored(tmp_path, clusters, name):
    with pytest.raises(RunError, match=r"2 of 4 units failed.* ZeroDivisionError: made to fail"):
        toy(tmp_path, settings={"kinds": ("fail", "plain"), "seeds": (0, 1)}, **clusters[name]())
    folder = next(tmp_path.glob("toy/*"))
    assert [u["kind"] for u in load(folder, partial=True).units] == ["plain"] * 2


def test_dask_torch_units_give_the_bits_of_this_process(tmp_path, dask_address):
    settings = {"depths": (2, 16), "starts": ("gaussian", "orthogonal"), "width": 20}
    here = run("linear_depth", seeds=1, settings=settings, store=tmp_path / "here")
    there = run("linear_depth", seeds=1, settings=settings, store=tmp_path / "a", backend="dask", address=dask_address)
    assert bits(here.folder) == bits(there.folder)


def test_ctrl_c_leaves_a_dask_cluster_free(tmp_path, dask_address):
    """Workers give up what they compute: the log stops growing."""
    settings = {"seeds": tuple(range(4)), "segments": 200, "nap": 0.05, "log": str(tmp_path / "log")}

    class Stop(Listener):
        def progress(self, done):
            if sum(part for part, _ in done.values()) > 2:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        toy(tmp_path, settings=settings, backend="dask", address=dask_address, listener=Stop())
    time.sleep(0.5)
    lines = (tmp_path / "log").read_text()
    time.sleep(0.5)
    assert (tmp_path / "log").read_text() == lines
    assert len(lines.split("\n")) < 4 * 200


def test_a_dask_unit_that_kills_every_worker_is_given_up(tmp_path, dask_address):
    with pytest.raises(RunError, match="workers died 4 times"):
        toy(tmp_path, settings={"kinds": ("kill", "plain"), "seeds": (0,)}, backend="dask", address=dask_address)
    assert len(load(next(tmp_path.glob("toy/*")), partial=True)) == 1


def test_a_ray_cluster_is_found_by_its_address(tmp_path, ray_local):
    import ray

    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-m", "ortholab", "run", "toy_experiment:TOY", "--backend", "ray", "--address", address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert bits(tmp_path / "runs" / "toy" / "quick") == bits(toy(tmp_path / "here").folder)


def test_gpus_that_ray_lacks_are_refused(tmp_path, ray_local):
    with pytest.raises(RunError, match="each unit asks for 64 GPU, but the Ray cluster has"):
        toy(tmp_path, backend="ray", jobs=1, gpus=64)


def test_a_ray_of_its_own_is_started_and_stopped(tmp_path):
    """Without an address; in a process of its own, since this one may have a Ray already."""
    pytest.importorskip("ray", reason="ortholab[ray] is not installed (there is no wheel for some systems)")
    command = [sys.executable, "-m", "ortholab", "run", "toy_experiment:TOY", "--backend", "ray", "--jobs", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180)
    if "no Ray answers at local" in done.stderr:  # its agents missed its own time limit, twice
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert bits(tmp_path / "runs" / "toy" / "quick") == bits(toy(tmp_path / "here").folder)
