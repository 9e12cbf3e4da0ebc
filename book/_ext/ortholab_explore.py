"""The explorables' part of the build: scripts, the library's bundle, a copy of Pyodide, and the tags on a page."""

from __future__ import annotations

import hashlib
import html
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ortholab import explore
from ortholab.explore import front, pyodide
from ortholab.explore.bundle import bundle

FOLDER = "explore"


def stored_values_only() -> None:
    """Let the notebooks of the build write plain HTML with stored values instead of widgets."""
    os.environ[explore.STATIC] = "1"


def write_assets(generated: Path) -> dict[str, object]:
    """Write the explorables' files into the folder of generated assets; return the front end's configuration.

    A copy of Pyodide comes from the folder named in ORTHOLAB_PYODIDE, hash by hash; without one the page takes the
    same files from jsDelivr.
    """
    target = generated / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    library = bundle()
    texts = {"explorable.js": front.script(), "worker.js": front.worker(), "explorable.css": front.stylesheet()}
    contents = {name: text.encode() for name, text in texts.items()} | {"ortholab.zip": library}
    for name, content in contents.items():
        path = target / name
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)

    copy, source = target / f"pyodide-{pyodide.VERSION}", pyodide.find()
    if source is None:
        shutil.rmtree(copy, ignore_errors=True)
    else:
        copy.mkdir(exist_ok=True)
        for name in pyodide.BYTES:
            if not (copy / name).exists() or (copy / name).stat().st_size != (source / name).stat().st_size:
                shutil.copyfile(source / name, copy / name)
    return {
        "version": {name: hashlib.sha256(content).hexdigest()[:10] for name, content in contents.items()},
        "bundle_sha256": hashlib.sha256(library).hexdigest(),
        "copy": source is not None,
    }


def tags(body: str, pathto: Callable, assets: dict) -> str:
    """Return the stylesheet and the script of a page that has explorables; nothing for any other page."""
    if 'class="ol ol-explorable"' not in body:
        return ""
    folder = pathto(f"_static/{FOLDER}/", 1)
    version = assets["version"]
    config = {
        "base": folder,
        "worker": f"worker.js?v={version['worker.js']}",
        "bundle": f"ortholab.zip?v={version['ortholab.zip']}",
        "bundle_sha256": assets["bundle_sha256"],
        "sources": [f"{folder}pyodide-{pyodide.VERSION}/"] * assets["copy"] + [pyodide.CDN],
        "files": {name: {"sha256": pyodide.FILES[name], "bytes": size} for name, size in pyodide.BYTES.items()},
        "later": list(pyodide.LATER),
        "megabytes": round(sum(size for name, size in pyodide.BYTES.items() if name not in pyodide.LATER) / 1e6),
    }
    written = html.escape(json.dumps(config), quote=True)
    return (
        f'<link rel="stylesheet" href="{folder}explorable.css?v={version["explorable.css"]}" />'
        f'<script defer src="{folder}explorable.js?v={version["explorable.js"]}" data-config="{written}"></script>'
    )
