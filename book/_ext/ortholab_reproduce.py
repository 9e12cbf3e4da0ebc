"""``{reproduce}``: every figure and what makes it again, from the registry, the stored results and the pages."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ortholab.experiments.registry import EXPERIMENTS, Experiment
from ortholab.experiments.results import provenance

ROOT = Path(__file__).resolve().parents[2]
STORE = "book/results"


def chapters(root: Path = ROOT) -> list[Path]:
    """List the chapters' notebooks in order."""
    parts = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    files = [root / f"{entry['file']}.ipynb" for part in parts if part["numbered"] for entry in part["chapters"]]
    return [path for path in files if path.exists()]


def code_cells(notebook: Path) -> list[str]:
    """Return the sources of a notebook's code cells."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def figures(cells: list[str]) -> list[tuple[str, bool]]:
    """List the figures of a page: the name of each, and whether its caption gives the provenance of a stored run.

    >>> figures(['plot.show(fig, caption=f"x {runs.provenance}", name="a")', 'plot.show(f, caption="y", name="b")'])
    [('a', True), ('b', False)]
    """
    found = []
    for source in cells:
        for call in re.split(r"plot\.show\(", source)[1:]:
            if name := re.search(r'\bname="([^"]+)"', call):
                found.append((name[1], "provenance" in call))
    return found


def stored(root: Path = ROOT) -> dict[tuple[str, str], dict]:
    """Return the manifest of every result that the book keeps, by experiment and tier."""
    manifests = sorted((root / STORE).glob("*/*/manifest.json"))
    return {(p.parts[-3], p.parts[-2]): json.loads(p.read_text(encoding="utf-8")) for p in manifests}


def users(name: str, root: Path = ROOT) -> list[Path]:
    """List the pages whose code names an experiment, as an argument or as a module."""
    used = re.compile(rf"[\"']{name}[\"']|\bimport {name}\b|\bexperiments\.{name}\b|\b{name}\.\w+\(")
    return [path for path in chapters(root) if any(used.search(source) for source in code_cells(path))]


def link(page: Path, anchor: str = "", text: str = "") -> str:
    """Write a link to a page, from the appendix."""
    words = text or page.stem.replace("_", " ")
    place = f"../{page.parent.name}/{page.stem}.html" + (f"#{anchor}" if anchor else "")
    return f'<a href="{place}">{html.escape(words)}</a>'


def of_experiment(experiment: Experiment, kept: dict[tuple[str, str], dict], root: Path = ROOT) -> list[str]:
    """Write what makes one experiment's figures again."""
    pages = ", ".join(link(page) for page in users(experiment.name, root))
    where = f"Page: {pages}." if pages else "No page loads it: other experiments stand on it."
    lines = [f"**{experiment.title}** (`{experiment.name}`). For: {experiment.shows}. {where}", ""]
    for tier, cost in experiment.costs.items():
        store = f" --store {STORE}" if (experiment.name, tier) in kept else ""
        lines += [f"- `ortholab run {experiment.name} --tier {tier}{store}`: {cost}."]
        if store:
            lines += [f"  Stored: {provenance(kept[experiment.name, tier])}."]
    return [*lines, ""]


def text(root: Path = ROOT) -> list[str]:
    """Write the page's body: experiments first, then the figures of each page."""
    kept = stored(root)
    lines = []
    for experiment in EXPERIMENTS.values():
        lines += of_experiment(experiment, kept, root)
    lines += [
        "**Figures, page by page.** Each page makes its figures when it is run: "
        "`jupyter nbconvert --to notebook --execute PAGE.ipynb`, or *Run all* in JupyterLab. "
        "A star marks those that load a stored run.",
        "",
    ]
    for page in chapters(root):
        named = ", ".join(
            link(page, name, name) + ("\\*" if kept_run else "") for name, kept_run in figures(code_cells(page))
        )
        if named:
            lines += [f"- {link(page)}: {named}"]
    return [*lines, ""]


class Reproduce(SphinxDirective):
    """``{reproduce}``: the list that :func:`text` writes."""

    def run(self) -> list[nodes.Node]:
        """Parse the list as part of the page."""
        for path in [*chapters(), *(ROOT / STORE).glob("*/*/manifest.json")]:
            self.env.note_dependency(str(path))
        node = nodes.container(classes=["ol-reproduce"])
        self.state.nested_parse(StringList(text(), source="<the registry of experiments>"), self.content_offset, node)
        return [node]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("reproduce", Reproduce)
