"""The command line: what it prints, its exit codes, and one clear line for each failure."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from ortholab import cli
from ortholab.errors import ArgumentError, DataError

TOY = "toy_experiment:TOY"
SLOW = ["--set", "nap=0.1", "--set", "segments=1000"]


def rows(done) -> list:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_help_and_list_are_light():
    code = (
        "import sys\nfrom ortholab.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'sympy', 'sklearn', 'pandas', 'joblib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for words in (["--help"], ["run", "--help"], ["list"]):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "linear_depth" in done.stdout
    assert "--tier full" in done.stdout


def test_list_for_scripts(ortholab):
    ((first, *_),) = rows(ortholab("list", "--json"))
    assert first.keys() == {"name", "title", "shows", "data", "tiers"}
    assert first["tiers"]["quick"]["units"] > 0


def test_run_status_show_verify(ortholab, tmp_path):
    done = ortholab("run", TOY, "--jobs", 2, "--seeds", 2, "--set", "segments=3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert re.search(r"runs/toy/quick-\w{8}: 2 units, 0 stored already\n1/2 plain-\d-\w{8} 0.\d s; ", done.stdout)
    assert re.search(
        r"\ncomplete: runs/toy/quick-\w{8}\nquick tier, specification \w{8}; 2 units, 2 seeds", done.stdout
    )
    ((row,),) = rows(ortholab("status", "--json"))
    assert (row["stored"], row["units"], row["complete"], row["owner"]) == (2, 2, True, None)
    assert "2/2 units  complete" in ortholab("status").stdout
    (shown,) = rows(ortholab("show", TOY, "--seeds", 2, "--set", "segments=3", "--json"))
    assert shown["rows"][0]["seeds"] == 2
    table = ortholab("show", TOY, "--seeds", 2, "--set", "segments=3").stdout
    assert table.split()[:3] == ["kind", "seeds", "mean"]
    ((report,),) = rows(ortholab("verify", "--json"))
    assert (report["units"], report["problems"], report["complete"]) == (2, [], True)
    path = next(tmp_path.glob("runs/toy/*/units/*.json"))
    path.write_text(path.read_text()[:-9])
    done = ortholab("verify")
    assert done.returncode == 1
    assert f"{path.relative_to(tmp_path)} is truncated" in done.stdout
    for words in (["show"], ["run"]):
        done = ortholab(*words, TOY, "--seeds", 2, "--set", "segments=3")
        assert done.returncode == 1
        assert re.fullmatch(r"error: runs/\S+ is truncated: move it away and run it again\n", done.stderr)


def test_run_for_scripts(ortholab):
    events = rows(ortholab("run", TOY, "--json"))
    assert [e["event"] for e in events] == ["begin", "unit", "unit", "unit", "finished"]
    assert events[2]["stored"] == 2
    done = ortholab("run", "nothing", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == "ArgumentError"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "fig99"], r"experiment must be one of trainability, .*; got 'fig99'"),
        (["run", "no_such_module:X"], r"'no_such_module:X' can't be loaded: No module named 'no_such_module'"),
        (["run", TOY, "--tier", "huge"], r"tier must be one of 'quick', 'full' for toy; got 'huge'"),
        (["run", TOY, "--set", "widht=3"], r"setting must be one of kinds, .*; got 'widht'"),
        (["run", TOY, "--set", "segments"], r"--set must be KEY=VALUE; got 'segments'"),
        (["run", TOY, "--set", "segments=x"], r"segments must be an integer; got 'x'"),
        (["run", "linear_depth", "--set", "depths=0"], r"depths\[0\] must be an integer >= 1; got 0"),
        (["run", TOY, "--device", "tpu"], r"device must be 'auto', .*; got 'tpu'"),
        (["run", TOY, "--backend", "slurm"], r"backend must be one of 'processes', 'dask', 'ray'; got 'slurm'"),
        (["show", TOY], r"runs/toy/quick holds no results: `ortholab run toy --tier quick` makes them"),
        (["show", "nothing"], r"experiment must be one of .*"),
        (["data", "get", "imagenet"], r"data set must be one of mnist, cifar10; got 'imagenet'"),
        (["run", TOY, "--store", "/dev/null/x"], r"/dev/null/x\S+ can't be written: Not a directory"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_1(ortholab, tmp_path, words, message):
    done = ortholab(*words)
    assert done.returncode == 1
    assert re.fullmatch(f"error: {message}\n", done.stderr), done.stderr
    assert done.stdout == ""
    assert not [*tmp_path.rglob("*.json")]


def test_data_get_says_what_it_has_and_what_it_lacks(ortholab, tmp_path, monkeypatch):
    from ortholab import data

    def loader(name, fetched):
        def load(split, **more):
            assert more.pop("download") is True
            fetched.append(split)
            if name == "mnist":
                raise DataError("train-images-idx3-ubyte.gz could not be fetched")
            return data.digits(3)

        return load

    for name in ("mnist", "cifar10"):
        monkeypatch.setattr(data, name, loader(name, fetched := []))
        done = ortholab("data", "get", name)
        if name == "mnist":
            assert (done.returncode, done.stderr) == (1, "error: train-images-idx3-ubyte.gz could not be fetched\n")
        else:
            assert done.stdout.count(data.digits(3).sha256) == 2
            assert fetched == ["train", "test"]


def test_data_that_are_not_there_end_a_run_at_once(ortholab, tmp_path, monkeypatch):
    monkeypatch.setenv("ORTHOLAB_DATA", str(tmp_path))
    words = ["--set", "dataset=cifar10", "--set", "n_test=10", "--device", "cpu"]
    monkeypatch.setattr("ortholab._cifar.cache_folder", lambda: tmp_path)
    done = ortholab("run", "deep_nets", *words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: CIFAR-10 is not on this machine")
    assert done.stderr.count("\n") == 1


def test_what_typer_itself_refuses_has_exit_code_2(ortholab):
    for words in (["run", TOY, "--jobs", "many"], ["run"], ["fly"]):
        assert ortholab(*words).returncode == 2


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_cluster_that_is_not_there(ortholab, backend):
    pytest.importorskip({"dask": "distributed", "ray": "ray"}[backend], reason=f"ortholab[{backend}] is not installed")
    done = ortholab("run", TOY, "--backend", backend, "--address", "tcp://127.0.0.1:9")
    assert done.returncode == 1
    what = {"dask": "Dask scheduler", "ray": "Ray head node"}[backend]
    assert done.stderr.startswith(f"error: no {what} at tcp://127.0.0.1:9 (Connection refused): start it")
    assert done.stderr.count("\n") == 1
    if backend == "dask":
        assert "needs the scheduler's address" in ortholab("run", TOY, "--backend", "dask").stderr


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed(tmp_path, backend):
    package = {"dask": "distributed", "ray": "ray"}[backend]
    code = f"import sys; sys.modules[{package!r}] = None; from ortholab.cli import main; main()"
    words = ["run", TOY, "--backend", backend, "--address", "tcp://127.0.0.1:9"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"pip install 'ortholab[{backend}]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("jobs", "number", "code"), [(1, signal.SIGINT, 130), (2, signal.SIGINT, 130), (2, signal.SIGTERM, 143)]
)
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(ortholab, tmp_path, jobs, number, code):
    words = ["run", TOY, "--jobs", str(jobs), "--set", "nap=0.05", "--set", "segments=12"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ortholab", *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.readline()  # a unit is stored, the others are not
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to the workers too
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    command = f"ortholab run {TOY} --jobs {jobs} --set nap=0.05 --set segments=12"
    assert err == f"stopped; what is done is stored. Go on with: {command}\n"
    ((row,),) = rows(ortholab("status", "--json"))
    assert 1 <= row["stored"] < 3
    assert row["owner"] is None
    assert not row["complete"]
    assert "stopped" in ortholab("status").stdout
    assert rows(ortholab("verify", "--json"))[0][0]["problems"] == []
    assert ortholab(*words).returncode == 0
    assert rows(ortholab("status", "--json"))[0][0]["complete"]


def test_a_second_run_on_the_store_is_refused(ortholab, tmp_path):
    command = [sys.executable, "-m", "ortholab", "run", TOY, *SLOW]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    try:
        done = ortholab("run", TOY, *SLOW)
        assert done.returncode == 1
        assert re.search(rf"is in use by another run \(process {process.pid}@\S+\): wait for it", done.stderr)
        assert f"running, process {process.pid}@" in ortholab("status").stdout
    finally:
        process.kill()
        process.communicate()


def test_bars_on_a_terminal(tmp_path):
    """A pseudo-terminal gets bars with the time left; the units under way are on it."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "ortholab", "run", TOY, "--jobs", "2", "--set", "nap=0.12", "--set", "segments=20"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "140"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    seen, until = b"", time.monotonic() + 90
    while time.monotonic() < until:
        try:
            seen += os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
    os.close(leader)
    assert process.wait(10) == 0, seen.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert "━" in text
    assert re.search(r"plain-0-\w{8} +━+.*\d+ %", text)
    assert re.search(r"\d/3 units, \d+ min \d\d s left", text)


def test_the_command_is_installed_under_its_name():
    if shutil.which("ortholab", path=os.path.dirname(sys.executable)) is None:
        pytest.skip("the environment was made before the command was: install the package again")
    done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "ortholab"), "list"], capture_output=True)
    assert done.returncode == 0


FIGURES = {
    "linear_depth": ("epochs to the threshold", ["depths=2,4", "width=12", "max_steps=30"]),
    "trainability": ("depth $L$", ["depths=2,3", "width=12", "steps=5", "n_train=60"]),
    "deep_nets_depth": ("depth $L$", ["depths=2,3", "width=12", "max_steps=9", "n_train=100", "stop_at=0.01"]),
    "deep_nets": ("test accuracy", ["depths=3", "width=12", "max_steps=4", "n_train=100", "n_test=20"]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_show_writes_the_figure_with_its_provenance(ortholab, tmp_path, name):
    label, settings = FIGURES[name]
    words = ["--seeds", 2, *(word for setting in settings for word in ("--set", setting))]
    assert ortholab("run", name, "--device", "cpu", *words).returncode == 0
    done = ortholab("show", name, *words, "--figure", "figure.svg")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "figure.svg").read_text()
    assert f"<!-- {label} -->" in text
    assert "<!-- quick tier, specification " in text
    done = ortholab("show", name, *words, "--figure", "figure.nothing")
    assert done.returncode == 1
    assert "figure figure.nothing can't be written" in done.stderr


def test_an_experiment_without_a_figure_says_so(ortholab):
    ortholab("run", TOY)
    done = ortholab("show", TOY, "--figure", "figure.svg")
    assert (done.returncode, done.stderr) == (1, "error: toy has no figure of its own: its page in the book draws it\n")


def test_settings_are_pairs():
    assert cli._pairs(["a=1", "b = x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(ArgumentError):
        cli._pairs(["=1"])
