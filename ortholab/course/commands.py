"""The commands of the course: `ortholab grade`, `ortholab course release`, `ortholab course report`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

RosterOption = Annotated[Path | None, typer.Option(help="The platform's table of students (CSV).")]
HandOption = Annotated[Path | None, typer.Option("--by-hand", help="Marks by hand: a filled-in by-hand.csv.")]
SourcesOption = Annotated[Path | None, typer.Option(help="Folder of the sources (default: this project's own).")]


def add(app: typer.Typer, failures: Callable[..., contextlib.AbstractContextManager]) -> None:
    """Add the commands to the command line; ``failures`` turns our errors into one line."""
    course = typer.Typer(help="The student release and the reports of a graded class.", no_args_is_help=True)
    app.add_typer(course, name="course")

    @app.command("grade")
    def grade(
        folder: Annotated[Path, typer.Argument(help="Folder of submissions, as a learning platform packs them.")],
        out: Annotated[Path, typer.Option(help="Where marks, pages and the gradebook go.")] = Path("graded"),
        jobs: Annotated[int | None, typer.Option(help="Submissions at a time (default: the cores).")] = None,
        cell_seconds: Annotated[float, typer.Option(help="Limit of a cell, and of a test, in processor time.")] = 30,
        seconds: Annotated[float, typer.Option(help="Limit of a whole submission.")] = 120,
        memory: Annotated[int, typer.Option(help="Memory of a submission's process in MB.")] = 3072,
        roster: RosterOption = None,
        by_hand: HandOption = None,
        sources: SourcesOption = None,
    ) -> None:
        """Grade a folder of submissions, each on its own behind walls: marks, feedback pages, a class summary."""
        with failures(False):
            from ortholab.course import class_run, grade
            from ortholab.course.limits import MB, Limits

            limits = Limits(cell=cell_seconds, test=cell_seconds, whole=seconds, memory=memory * MB)
            chosen = sources or grade.SOURCES
            path = class_run.run(
                folder, out, sources=chosen, jobs=jobs, limits=limits, roster=roster, by_hand=by_hand, progress=print
            )
            print(f"open {path}")

    @course.command("release")
    def release(
        out: Annotated[Path, typer.Option(help="Folder of the zip.")] = Path("dist"), sources: SourcesOption = None
    ) -> None:
        """Make the students' zip: every assignment without its solutions and hidden tests, and a README."""
        with failures(False):
            from ortholab.course import grade
            from ortholab.course import release as making

            print(making.release(sources or grade.SOURCES, out))

    @course.command("report")
    def report(
        out: Annotated[Path, typer.Argument(help="Folder of a graded class.")] = Path("graded"),
        roster: RosterOption = None,
        by_hand: HandOption = None,
    ) -> None:
        """Write tables and pages again, after marks by hand in by-hand.csv or in nbgrader's formgrader."""
        with failures(False):
            from ortholab.course import class_run

            print(f"open {class_run.again(out, roster=roster, by_hand=by_hand)}")
