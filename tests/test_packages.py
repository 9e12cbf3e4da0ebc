"""The wheel and the source archive: what is in them, and that the wheel works where there is nothing else of ours."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
BIBLIOGRAPHY = "ortholab/references.bib"  # setup.py puts the book's there


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> Path:
    """A folder with what `make dist` builds. Without network: the build uses what is installed."""
    folder = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, cwd=folder)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def files_of_the_library() -> set[str]:
    """What git has under ortholab/ (where there is no git: every file but caches)."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "ortholab"], cwd=ROOT,
                            capture_output=True, text=True)  # fmt: skip
    if listed.returncode == 0:
        return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    found = (path for path in (ROOT / "ortholab").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_holds_the_library_and_nothing_else(archives):
    with zipfile.ZipFile(archives / f"ortholab-{VERSION}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
    info = f"ortholab-{VERSION}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == files_of_the_library() | {BIBLIOGRAPHY}
    assert {info + "licenses/LICENSE", info + "licenses/LICENSE-TEXT", info + "entry_points.txt"} <= names


def test_the_source_archive_can_be_built_again(archives):
    with tarfile.open(archives / f"ortholab-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    # The wheel is built from it: `build` makes the archive first.
    assert files_of_the_library() | {"book/references.bib"} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= names


def test_the_wheel_works_in_an_empty_environment(archives, tmp_path):
    """A new environment holds the wheel, and beside it only the packages that it asks for."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    place = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    words = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
        "--no-deps",
        "--no-index",
    ]
    wheel = archives / f"ortholab-{VERSION}-py3-none-any.whl"
    subprocess.run([*words, "--no-index", "--target", str(place), str(wheel)], check=True, timeout=120)
    # The dependencies as they are installed here. A .pth inside that folder is not read: this checkout stays unseen.
    (place / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*words: str) -> str:
        clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [str(python), *words], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("-c", "import ortholab; print(ortholab.__file__)").strip() == str(place / "ortholab" / "__init__.py")
    code = (
        "import ortholab\n"
        "for name in ortholab.__all__: getattr(ortholab, name)\n"
        "from ortholab.theory import critical_point\n"
        "print(f'{critical_point(\"tanh\", sigma_b=0.05).sigma_w:.5f}')\n"
        "from ortholab import data, explore\n"
        "print(data.mnist('train', 10).images.shape, len(explore.GALLERY))\n"
        "print(type(explore.get('phase_plane')).__name__, ortholab.cite('ortholab.theory.haar')[:8])\n"
    )
    first, second, third = run("-W", "error::RuntimeWarning", "-c", code).splitlines()
    assert first == "1.12254"
    assert second.startswith("(10, 28, 28) ")
    assert third == "Explorable @article"
    assert "deep_nets" in run("-m", "ortholab", "list")
