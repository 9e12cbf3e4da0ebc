"""What pyproject.toml cannot say: the bibliography is one file, the book's, and a package carries a copy of it."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithReferences(build_py):
    """Put book/references.bib beside the modules; an editable install reads the book's own."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            target = str(Path(self.build_lib) / "ortholab" / "references.bib")
            self.copy_file(str(Path("book") / "references.bib"), target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List the copy too, so that an uninstall removes it."""
        return [*super().get_outputs(include_bytecode), str(Path(self.build_lib) / "ortholab" / "references.bib")]


setup(cmdclass={"build_py": BuildWithReferences})
