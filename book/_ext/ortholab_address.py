"""The repository's address: it stands once, in _config.yml, and everything else is made from it.

``python book/_ext/ortholab_address.py https://github.com/OWNER/NAME`` (or ``make address URL=...``) writes it there and
restamps the first cell of every notebook; with no argument it only restamps, and ``none`` removes the address again.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Colab opens notebooks from GitHub only, so no other host is taken.
ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
# The line in _config.yml: `  url: ""  # comment`, the only key `url` of the block `repository:`.
LINE = re.compile(r'(?m)^(repository:\n(?:[ ]+.*\n)*?[ ]+url[ ]*:[ ]*)"([^"\n]*)"')
FIRST_CELL_ID = "install-ortholab"


def check_address(url: str) -> str:
    """Return the address without a trailing slash or ``.git``, or raise ValueError unless it is empty or on GitHub.

    >>> check_address("https://github.com/ann/lab.git")
    'https://github.com/ann/lab'
    >>> check_address("")
    ''
    """
    url = url.strip().rstrip("/").removesuffix(".git")
    if url and not ADDRESS.fullmatch(url):
        allowed = "look like https://github.com/OWNER/NAME or be empty"
        raise ValueError(f"the repository's address must {allowed}; got {url!r}")
    return url


def read_address(root: Path = ROOT) -> str:
    """Read the repository's address from ``_config.yml`` (an empty string while it is not known)."""
    found = LINE.search((root / "_config.yml").read_text(encoding="utf-8"))
    if not found:
        raise ValueError('_config.yml must have a line `url: "..."` in its block `repository:`')
    return check_address(found.group(2))


def write_address(url: str, root: Path = ROOT) -> None:
    """Write the address into ``_config.yml`` and leave everything else in that file alone."""
    config = root / "_config.yml"
    text = config.read_text(encoding="utf-8")
    if not LINE.search(text):
        raise ValueError('_config.yml must have a line `url: "..."` in its block `repository:`')
    config.write_text(LINE.sub(lambda m: f'{m.group(1)}"{check_address(url)}"', text, count=1), encoding="utf-8")


def first_cell(url: str) -> str:
    """Make the source of a notebook's first code cell, which provides ortholab where it is missing."""
    head = 'from importlib.util import find_spec\n\nif find_spec("ortholab") is None:\n'
    if url:
        # The magic, not `!pip`: it installs into the kernel that runs the notebook.
        return head + f'    %pip install --quiet "ortholab @ git+{url}"'
    return head + (
        "    raise ModuleNotFoundError(\n"
        '        "ortholab is missing: clone the book\'s repository and run `make lab` there"\n'
        "    )"
    )


def notebooks(root: Path = ROOT) -> list[Path]:
    """List every notebook of the book."""
    found = (root / "book").rglob("*.ipynb")
    return sorted(path for path in found if ".ipynb_checkpoints" not in path.parts)


def stamp(path: Path, url: str) -> bool:
    """Write the first code cell of one notebook (insert it if it is not there); say whether the file changed."""
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    cells = notebook["cells"]
    place = next((i for i, cell in enumerate(cells) if cell["cell_type"] == "code"), len(cells))
    if place == len(cells) or cells[place].get("id") != FIRST_CELL_ID:
        cells.insert(place, {"cell_type": "code", "execution_count": None, "id": FIRST_CELL_ID, "outputs": []})
    cells[place]["metadata"] = {**cells[place].get("metadata", {}), "tags": ["remove-cell"]}  # a slide mark stays
    cells[place]["source"] = first_cell(url).splitlines(keepends=True)
    new = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if json.loads(text) == json.loads(new):
        return False
    path.write_text(new, encoding="utf-8")
    return True


def main(arguments: list[str]) -> int:
    """Set the address if one is given, then stamp every notebook."""
    try:
        if arguments:
            write_address("" if arguments[0] == "none" else arguments[0])
        url = read_address()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    changed = [path for path in notebooks() if stamp(path, url)]
    print(f"address: {url or '(not set)'}; {len(changed)} notebook(s) restamped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
