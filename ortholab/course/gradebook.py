"""The way through nbgrader: a course folder in its layout, its release, its autograding in two halves, its gradebook.

nbgrader's autograde overwrites locked cells, runs the notebook in one kernel and stores the grades. Here the halves
before and after the run are nbgrader's own; the run between them is :mod:`ortholab.course.driver`'s.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ortholab.course.source import Source
from ortholab.errors import RunError

COURSE = "ortholab"


def nbgrader() -> Any:
    """Import nbgrader, or raise RunError that says how to install it."""
    try:
        import nbgrader
    except ImportError:
        raise RunError("grading needs nbgrader: pip install 'ortholab[course]'") from None
    return nbgrader


@contextlib.contextmanager
def _with_nbgrader() -> Iterator[None]:
    """Spare nbgrader a process for each new gradebook, and keep its warnings under SQLAlchemy 2 quiet."""
    from nbgrader import api
    from sqlalchemy import Engine, event
    from sqlalchemy.exc import SAWarning

    before = api.get_alembic_version
    api.get_alembic_version = schema
    event.listen(Engine, "connect", _quick)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Object of type", SAWarning)
            yield
    finally:
        event.remove(Engine, "connect", _quick)
        api.get_alembic_version = before


@functools.cache
def schema() -> str:
    """Return the version of the gradebook's tables. nbgrader starts `alembic` to learn it, which takes some seconds."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(nbgrader().__file__).parent / "alembic").replace("%", "%%"))
    return ScriptDirectory.from_config(config).get_current_head()


def _quick(connection: Any, record: Any) -> None:
    """Let the system write when it likes: nbgrader commits after every cell, and a lost gradebook is made again."""
    connection.execute("PRAGMA synchronous = OFF")


class CourseFolder:
    """An nbgrader course folder: source/, release/, submitted/STUDENT/ASSIGNMENT/, autograded/, gradebook.db."""

    def __init__(self, root: Path) -> None:
        nbgrader()
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        # For nbgrader's own tools, the formgrader among them, started in this folder.
        text = f'c = get_config()\nc.CourseDirectory.course_id = "{COURSE}"\n'
        (self.root / "nbgrader_config.py").write_text(text, encoding="utf-8")
        # A logger of this folder's own: a named one would keep the handlers of folders that are gone.
        self.log = logging.Logger("ortholab.course.nbgrader", logging.WARNING)
        self.log.addHandler(logging.FileHandler(self.root / "nbgrader.log", delay=True))

    @property
    def database(self) -> str:
        """The gradebook's address."""
        return f"sqlite:///{self.root / 'gradebook.db'}"

    def notebook(self, step: str, student: str, assignment: str) -> Path:
        """Return where a notebook stands in a step (submitted, autograded)."""
        return self.root / step / student / assignment / f"{assignment}.ipynb"

    def assign(self, source: Source) -> Path:
        """Make the student version of one source, enter it into the gradebook; return its path."""
        from nbgrader.converters import GenerateAssignment

        folder = self.root / "source" / source.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.path, folder / f"{source.name}.ipynb")
        self._convert(GenerateAssignment, source.name)
        return self.root / "release" / source.name / f"{source.name}.ipynb"

    def sanitise(self, assignment: str) -> None:
        """Overwrite the locked cells of every submission of an assignment with the source's (nbgrader's first half)."""
        from nbgrader.converters import Autograde
        from nbgrader.converters.base import BaseConverter

        class Sanitise(Autograde):
            def convert_single_notebook(self, notebook_filename: str) -> None:
                self._sanitizing = True
                self._init_preprocessors()
                BaseConverter.convert_single_notebook(self, notebook_filename)

        self._convert(Sanitise, assignment, "*")

    def record(self, assignment: str) -> None:
        """Store the marks of every executed notebook in the gradebook (nbgrader's second half)."""
        from nbgrader import preprocessors
        from nbgrader.converters import Autograde
        from nbgrader.converters.base import BaseConverter

        steps = ("LimitOutput", "SaveAutoGrades", "AssignLatePenalties", "CheckCellMetadata")

        class Record(Autograde):
            _sanitizing = False

            def init_destination(self, assignment_id: str, student_id: str) -> bool:
                return True

            def init_assignment(self, assignment_id: str, student_id: str) -> None: ...

            def convert_single_notebook(self, notebook_filename: str) -> None:
                self._sanitizing = False
                self._init_preprocessors()
                BaseConverter.convert_single_notebook(self, notebook_filename)

        converter = self._converter(Record, assignment, "*")
        converter.autograde_preprocessors = [getattr(preprocessors, name) for name in steps]
        self._start(converter, assignment)

    def _converter(self, kind: type, assignment: str, student: str) -> Any:
        from nbgrader.coursedir import CourseDirectory
        from traitlets.config import Config

        config = Config()
        config.CourseDirectory.root = str(self.root)
        config.CourseDirectory.course_id = COURSE
        config.CourseDirectory.db_url = self.database
        folder = CourseDirectory(config=config, log=self.log)
        folder.assignment_id, folder.student_id = assignment, student
        return kind(coursedir=folder, config=config, log=self.log, permissions=644, force=True)

    def _convert(self, kind: type, assignment: str, student: str = ".") -> None:
        self._start(self._converter(kind, assignment, student), assignment)

    def _start(self, converter: Any, assignment: str) -> None:
        from nbgrader.converters.base import NbGraderException

        try:
            with _with_nbgrader():
                converter.start()
        except NbGraderException as error:
            raise RunError(f"nbgrader failed on {assignment}: {error}; see {self.root / 'nbgrader.log'}") from None

    @contextlib.contextmanager
    def open(self) -> Iterator[Any]:
        """Open the gradebook."""
        from nbgrader.api import Gradebook

        with _with_nbgrader(), Gradebook(self.database, COURSE) as book:
            yield book

    def enter_zero(self, student: str, assignment: str) -> None:
        """Enter a submission of which nothing can be graded."""
        with self.open() as book:
            book.update_or_create_student(student)
            submission = book.update_or_create_submission(assignment, student)
            for notebook in submission.notebooks:
                for grade in notebook.grades:
                    grade.auto_score, grade.needs_manual_grade = 0, False
            book.db.commit()
