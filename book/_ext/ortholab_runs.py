"""Executed notebooks: what their outputs depend on, where they lie, and how the build runs several at once.

The build reads each notebook's outputs from jupyter-cache. They get there in one of two ways: the build itself runs
what is missing (:func:`run_missing`), or nbval has run it before and put it there (``ortholab_nbval.py``).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

import joblib
import nbformat
from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from ortholab_cells import marks_run_nothing

marks_run_nothing()
ROOT = Path(__file__).resolve().parents[2]
JOBS = "ORTHOLAB_JOBS"
LONGEST = "claims.ipynb"  # it recomputes every claim: side by side with others, it starts first
MOST_JOBS = 4  # unless JOBS says more: each kernel holds torch, about half a gigabyte
logger = logging.getLogger(__name__)


def library_hash(root: Path = ROOT) -> str:
    """Hash everything that a notebook's outputs depend on besides its own cells."""
    digest = hashlib.sha256()
    sources = [*root.glob("ortholab/**/*.py"), *root.glob("ortholab/**/*.mplstyle"), *root.glob("book/results/**/*")]
    for path in [root / "requirements.txt", *sorted(p for p in sources if p.is_file())]:
        if path.exists():
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def verdicts(root: Path = ROOT) -> Path:
    """Return the folder of the ledger's verdicts as this very state of the library computes them."""
    return root / ".make" / "verdicts" / library_hash(root)


def share_verdicts(root: Path = ROOT) -> None:
    """Let all processes of this library's very state share the ledger's verdicts: four of them train networks."""
    os.environ.setdefault("ORTHOLAB_VERDICTS", str(verdicts(root)))


def keep(folder: Path, path: Path, notebook: nbformat.NotebookNode, seconds: float) -> None:
    """Put an executed notebook into the cache at ``folder``; several processes may do so at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        get_cache(folder).cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def jobs() -> int:
    """Return how many notebooks run at once: ORTHOLAB_JOBS, or as many as there are cores, at most four."""
    given = os.environ.get(JOBS, "").strip()
    if not given:
        return min(joblib.cpu_count(), MOST_JOBS)
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"{JOBS} must be a whole number from 1; got {given!r}")
    return int(given)


async def run_all(paths: list[Path], folder: Path, timeout: int, at_once: int) -> None:
    """Run notebooks, ``at_once`` at a time, each in its own folder, and keep those that ran through."""
    free = asyncio.Semaphore(at_once)
    # Kernels side by side take one core each.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}

    async def run(path: Path) -> None:
        async with free:
            notebook, began = nbformat.read(path, as_version=4), time.perf_counter()
            place = {"metadata": {"path": str(path.parent)}}
            client = NotebookClient(notebook, timeout=timeout, resources=place, record_timing=False)
            try:
                await client.async_execute(env=environment)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                # myst-nb runs it again and reports what it finds.
                logger.info("%s did not run through (%s): it runs again, by itself", path.name, type(error).__name__)
            else:
                keep(folder, path, notebook, time.perf_counter() - began)

    await asyncio.gather(*(run(path) for path in paths))


def run_missing(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Before the pages are read, run the notebooks among them that the cache lacks: myst-nb would run one by one."""
    at_once = jobs()
    if app.config.nb_execution_mode != "cache" or at_once == 1:
        return
    folder = Path(app.config.nb_execution_cache_path)
    cache, missing = get_cache(folder), []
    for path in (Path(env.doc2path(name)) for name in docnames):
        if path.suffix == ".ipynb":
            try:
                cache.match_cache_notebook(nbformat.read(path, as_version=4))
            except KeyError:
                missing.append(path)
    missing.sort(key=lambda path: path.name != LONGEST)
    if len(missing) > 1:
        logger.info("running %d notebooks, %d at once", len(missing), at_once)
        asyncio.run(run_all(missing, folder, app.config.nb_execution_timeout, at_once))
