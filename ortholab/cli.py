"""The command ``ortholab``: list, run, status, show, verify, data get, diagnose, grade, course.

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ortholab.course.commands import add as add_course_commands
from ortholab.diagnose_command import add as add_diagnose
from ortholab.errors import ArgumentError, OrtholabError

app = typer.Typer(
    help="Run the experiments of Orthogonality Lab, and look after their results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

StoreOption = Annotated[Path, typer.Option("--store", envvar="ORTHOLAB_STORE", help="Folder of the results.")]
TierOption = Annotated[str, typer.Option("--tier", help="quick, full or paper.")]
SeedsOption = Annotated[int | None, typer.Option("--seeds", help="Number of seeds: 0, 1, ... instead of the tier's.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be given many times.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="An experiment of `ortholab list`, or module:NAME.")]
RUNS = Path("runs")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List what can be run, and what each tier costs on one core."""
    from ortholab.experiments.registry import EXPERIMENTS

    if as_json:
        _print_json([_about(e) for e in EXPERIMENTS.values()])
        return
    for experiment in EXPERIMENTS.values():
        print(f"{experiment.name:22s} {experiment.title}")
        print(f"{'':22s} {experiment.shows}; data: {', '.join(experiment.data) or 'none'}")
        for tier, cost in experiment.costs.items():
            print(f"{'':22s}   --tier {tier:6s} {cost} on one core")


def _about(experiment) -> dict:
    costs = {tier: {"units": c.units, "seconds": c.seconds} for tier, c in experiment.costs.items()}
    words = {"name": experiment.name, "title": experiment.title, "shows": experiment.shows}
    return words | {"data": list(experiment.data), "tiers": costs}


@app.command()
def run(
    name: NameArgument,
    tier: TierOption = "quick",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    jobs: Annotated[int, typer.Option(help="Processes, or workers of a local Ray.")] = 1,
    threads: Annotated[int, typer.Option(help="Threads of each unit; results depend on it in the last digits.")] = 1,
    seeds: SeedsOption = None,
    settings: SetOption = None,
    store: StoreOption = RUNS,
    backend: Annotated[str, typer.Option(help="processes, dask or ray.")] = "processes",
    address: Annotated[str | None, typer.Option(help="The cluster's, such as tcp://HOST:PORT.")] = None,
    gpus: Annotated[float, typer.Option(help="GPUs that a unit asks for, on Ray.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Run what is missing of an experiment. A run that was stopped or killed goes on with the same command."""
    with _failures(as_json, again=True):
        from ortholab.experiments.engine import run as run_experiment
        from ortholab.progress import view

        with view(as_json) as listener:
            done = run_experiment(
                name,
                tier,
                store=store,
                device=device,
                jobs=jobs,
                seeds=seeds,
                settings=_pairs(settings),
                backend=backend,
                address=address,
                gpus=gpus,
                threads=threads,
                listener=listener,
            )
        from ortholab.experiments.results import provenance

        line = provenance(done.read_manifest())
        if as_json:
            _print_json({"event": "finished", "folder": str(done.folder), "provenance": line})
        else:
            print(f"complete: {done.folder}\n{line}")


@app.command()
def status(store: StoreOption = RUNS, as_json: JsonOption = False) -> None:
    """Tell how far each run in the store is."""
    with _failures(as_json):
        from ortholab.experiments.results import overview

        rows = overview(store)
        if as_json:
            _print_json(rows)
        elif not rows:
            print(f"{store} holds no results")
        for row in [] if as_json else rows:
            state = "complete" if row["complete"] else f"running, process {row['owner']}" if row["owner"] else "stopped"
            cut = f", {row['checkpoints']} begun" if row["checkpoints"] else ""
            print(f"{row['folder']}  {row['stored']}/{row['units']} units{cut}  {state}")


@app.command()
def show(
    name: NameArgument,
    tier: TierOption = "quick",
    seeds: SeedsOption = None,
    settings: SetOption = None,
    store: StoreOption = RUNS,
    figure: Annotated[Path | None, typer.Option(help="Write the figure to this file (.png, .svg, .pdf).")] = None,
    partial: Annotated[bool, typer.Option(help="Show a run that is not complete.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show an experiment's stored results: a table over seeds, where they come from, and the figure."""
    with _failures(as_json):
        from ortholab.experiments.registry import find
        from ortholab.experiments.results import load
        from ortholab.experiments.worker import load_object

        experiment = find(name)
        results = load(store, experiment, tier, seeds=seeds, settings=_pairs(settings), partial=partial)
        table = load_object(experiment.summarise)(results) if experiment.summarise else results.summary()
        if as_json:
            _print_json({"provenance": results.provenance, "rows": json.loads(table.to_json(orient="records"))})
        else:
            print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
            print(results.provenance)
        if figure is not None:
            if experiment.figure is None:
                raise ArgumentError(f"{experiment.name} has no figure of its own: its page in the book draws it")
            try:
                load_object(experiment.figure)(results).savefig(figure, dpi=200)
            except (OSError, ValueError) as error:
                raise ArgumentError(f"figure {figure} can't be written: {error}") from None


@app.command()
def verify(store: StoreOption = RUNS, as_json: JsonOption = False) -> None:
    """Check every stored result against its manifest; exit with 1 where one is missing, damaged or changed."""
    with _failures(as_json):
        from ortholab.experiments.results import verify as verify_store

        reports = verify_store(store)
        if as_json:
            _print_json([vars(r) for r in reports])
        else:
            for r in reports:
                found = "damaged" if r.problems else "whole" if r.complete else "whole so far, not complete"
                print("\n  ".join([f"{r.folder}: {r.units} units, {found}", *r.problems]))
            if not reports:
                print(f"{store} holds no results")
        if any(r.problems for r in reports):
            raise typer.Exit(1)


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist or cifar10")], as_json: JsonOption = False
) -> None:
    """Fetch a data set into the user's cache, and check every byte."""
    with _failures(as_json):
        from ortholab import data

        more = {"download": True, "progress": not as_json}
        loaders = {
            "mnist": lambda split: data.mnist(split, source="full", **more),
            "cifar10": lambda split: data.cifar10(split, **more),
        }
        if name not in loaders:
            raise ArgumentError(f"data set must be one of {', '.join(loaders)}; got {name!r}")
        found = [loaders[name](split) for split in ("train", "test")]
        if as_json:
            _print_json([{k: getattr(d, k) for k in ("name", "split", "source", "sha256")} for d in found])
        else:
            print("\n".join(f"{d!r}: SHA-256 {d.sha256}" for d in found))


def _pairs(settings: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in settings or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ArgumentError(f"--set must be KEY=VALUE; got {text!r}")
        pairs[key.strip()] = value.strip()
    return pairs


@contextlib.contextmanager
def _failures(as_json: bool, again: bool = False) -> Iterator[None]:
    """Turn our errors into one line and exit code 1, and Ctrl-C or a SIGTERM into how to go on and 130 or 143."""
    caught = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: (caught.append(number), _interrupt()))
    try:
        yield
    except OrtholabError as error:
        _complain(type(error).__name__, " ".join(str(error).split()), as_json)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        text = "stopped"
        if again:
            text += f"; what is done is stored. Go on with: {shlex.join(['ortholab', *sys.argv[1:]])}"
        _complain("Stopped", text, as_json)
        raise typer.Exit(143 if caught else 130) from None
    except BrokenPipeError:  # the reader of our output (head, say) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _complain(kind: str, text: str, as_json: bool) -> None:
    if as_json:
        _print_json({"event": "error", "error": kind, "message": text})
    print(f"{'' if kind == 'Stopped' else 'error: '}{text}", file=sys.stderr, flush=True)


def _print_json(value: object) -> None:
    print(json.dumps(value, default=str), flush=True)


add_diagnose(app, _failures, _print_json)
add_course_commands(app, _failures)


def main() -> None:
    """Run the command line."""
    app()
