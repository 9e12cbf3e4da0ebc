"""The command `ortholab diagnose module:factory`: build the user's network, print its report."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ortholab.errors import ArgumentError, bad, check_int


def add(app: typer.Typer, failures: Callable[..., contextlib.AbstractContextManager], print_json: Callable) -> None:
    """Add the command to the command line; ``failures`` turns our errors into one line."""

    @app.command("diagnose")
    def diagnose(
        factory: Annotated[str, typer.Argument(metavar="MODULE:FACTORY", help="In this folder: a function that returns "
                                               "a model, or (model, batch).")],
        shape: Annotated[str | None, typer.Option(help="Of one input (3,32,32): draw a random batch.")] = None,
        batch: Annotated[int, typer.Option(help="Samples of the random batch.")] = 8,
        seed: Annotated[int, typer.Option(help="Of the factory, the random batch and the probes.")] = 0,
        figure: Annotated[Path | None, typer.Option(help="Write the figure to this file (.png, .svg, .pdf).")] = None,
        strict: Annotated[bool, typer.Option(help="Exit with 2 unless the network is sound.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    ) -> None:  # fmt: skip
        """Say what is wrong with a network of yours, and which start would suit it."""
        with failures(as_json):
            report = run(factory, shape, batch, seed)
            if as_json:
                print_json(report.to_dict())
            else:
                print(report)
            if figure is not None:
                try:
                    report.figure().savefig(figure, dpi=200)
                except (OSError, ValueError) as error:
                    raise ArgumentError(f"figure {figure} can't be written: {error}") from None
            if strict and not report.sound:
                raise typer.Exit(2)


def run(factory: str, shape: str | None, batch: int, seed: int):
    """Build the network (and the batch) and return its Report. Raises ArgumentError."""
    import torch
    from torch import nn

    from ortholab.nn.diagnosis import diagnose

    batch, seed = check_int("--batch", batch, 1), check_int("--seed", seed)
    make = find(factory)
    torch.manual_seed(seed)
    try:
        made = make() if callable(make) and not isinstance(make, nn.Module) else make
    except Exception as error:
        raise ArgumentError(f"factory {factory} failed: {type(error).__name__}: {error}") from error
    model, data = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise bad("factory", type(model).__name__, "a function that returns a torch.nn.Module, or (module, batch)")
    if shape is not None:
        data = torch.randn(batch, *_sizes(shape), generator=torch.Generator().manual_seed(seed))
        data = data.to(next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32))
    if data is None:
        raise ArgumentError(f"--shape must be given (3,32,32, say), or {factory} must return (model, batch)")
    return diagnose(model, data, seed=seed)


def find(factory: str) -> object:
    """Return the object ``module:name``, with the current folder on the path while it is imported."""
    module, colon, name = factory.partition(":")
    if not colon or not module or not name:
        raise bad("factory", factory, "MODULE:FACTORY, such as mynet:build")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found = importlib.import_module(module.removesuffix(".py").replace("/", "."))
    except Exception as error:
        raise ArgumentError(f"module {module} can't be imported: {type(error).__name__}: {error}") from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
    if not hasattr(found, name):
        raise ArgumentError(f"module {module} must have {name}; it has none")
    return getattr(found, name)


def _sizes(shape: str) -> tuple[int, ...]:
    try:
        return tuple(check_int("--shape", int(part), 1) for part in shape.split(","))
    except ValueError:
        raise bad("--shape", shape, "sizes with commas, such as 3,32,32") from None
