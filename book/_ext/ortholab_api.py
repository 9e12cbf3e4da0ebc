"""The API's pages: Sphinx's autodoc over the public names, with this house's plain docstrings made ready for it.

``.. public:: ortholab.theory`` lists a module's public names, grouped by the files that define them. A docstring here
is plain text: formulas stand indented, products and absolute values are written with * and |. reStructuredText reads
those as markup, so they are escaped; indented lines become blocks, and the works that a docstring names become links
to the bibliography.
"""

from __future__ import annotations

import importlib
import inspect
import re

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ortholab import _public, citation

# What stays as it is: literal text, and roles.
_KEPT = re.compile(r"``.+?``|:[a-z:]+:`[^`]+`|\$[^$]+\$")
_ROLE = re.compile(r":(func|class|mod|meth|data|attr|obj|exc):`~?([^`]+)`")


def escape(text: str) -> str:
    """Escape what reStructuredText would read as markup in a line of plain text.

    >>> print(escape("|x| * y of ``a * b``, W_, `c`"))
    \\|x\\| \\* y of ``a * b``, W\\_, \\`c\\`
    """
    parts, last = [], 0
    for kept in _KEPT.finditer(text):
        parts += [re.sub(r"([\\*|`_])", r"\\\1", text[last : kept.start()]), _dollars(kept[0])]
        last = kept.end()
    return "".join(parts) + re.sub(r"([\\*|`_])", r"\\\1", text[last:])


def _dollars(kept: str) -> str:
    return f":math:`{kept[1:-1]}`" if kept.startswith("$") else kept


def public_names() -> dict[int, str]:
    """Return the dotted public name of every public object and module, by the object's identity."""
    found = {id(obj): name for name, obj in reversed(_public.objects().items())}
    return found | {id(importlib.import_module(name)): name for name in _public.MODULES}


def link(kind: str, target: str, module: str, owner: str, known: dict[int, str]) -> str:
    """Write a role that leads to a documented name; what is not public becomes literal text."""
    short = target.rsplit(".", 1)[-1]
    shown = f"``{short}``" if kind != "mod" else f"``{target}``"
    for start in (target, f"{module}.{target}", f"{owner}.{target}"):
        try:
            obj = citation._resolve(start)
        except (ValueError, ImportError):
            continue
        if id(obj) in known:
            return shown if kind == "mod" else f":py:obj:`{short} <{known[id(obj)]}>`"
    return shown


def prepare(lines: list[str], module: str, owner: str, known: dict[int, str]) -> list[str]:
    """Turn a plain docstring into reStructuredText."""
    made: list[str] = []
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    for block in blocks:
        rows = block.split("\n")
        # The lines of a paragraph may run into an indented formula without a blank line between.
        while rows:
            indented = rows[0].startswith("    ")
            doctest = rows[0].lstrip().startswith(">>>")
            end = next(
                (k for k, row in enumerate(rows) if not doctest and row.startswith("    ") != indented), len(rows)
            )
            part, rows = rows[:end], rows[end:]
            if doctest:
                made += [*part, ""]
            elif indented:
                made += [".. code-block:: none", "   :class: ol-formula", "", *("   " + row[4:] for row in part), ""]
            else:
                text = escape(" ".join(row.strip() for row in part))
                made += [_ROLE.sub(lambda m: link(m[1], m[2], module, owner, known), text), ""]
    return made


def works(obj: object) -> str:
    """Write the works that an object comes from as links to the bibliography; "" if it names none."""
    keys = citation.keys_in(citation.source_of(obj))
    return ", ".join(f":cite:t:`{key}`" for key in keys)


def process(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Prepare a docstring for autodoc, and say at its end where the thing comes from."""
    if not name.startswith("ortholab"):
        return
    known = app.env.temp_data.get("ortholab_public") or public_names()
    app.env.temp_data["ortholab_public"] = known
    module = getattr(obj, "__module__", None) or ".".join(name.split(".")[:2])
    text = prepare(list(lines), module, name if what == "class" else name.rpartition(".")[0], known)
    if what in ("function", "class") and (cited := works(obj)):
        text += [f"From {cited}.", ""]
    lines[:] = text


class Public(SphinxDirective):
    """``.. public:: ortholab.theory``: every public function and class of a module, by the files that define them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Hand autodoc one directive a name."""
        name = self.arguments[0]
        module = importlib.import_module(name)
        groups: dict[str, list[str]] = {}
        for short in _public.names(module):
            obj = getattr(module, short)
            if inspect.isclass(obj) or inspect.isroutine(obj):
                groups.setdefault(obj.__module__, []).append(short)
        text: list[str] = []
        for home in sorted(groups, key=lambda home: (home != name, home)):
            if home != name:
                says = inspect.getdoc(importlib.import_module(home)).split("\n")[0]
                if "._" not in home:  # a private module is no place to import from
                    text += [f".. rubric:: {home.removeprefix('ortholab.')}", ""]
                text += [escape(says), ""]
            for short in sorted(groups[home], key=str.lower):
                obj = getattr(module, short)
                if inspect.isclass(obj):
                    text += [f".. autoclass:: {name}.{short}", "   :members:", ""]
                else:
                    text += [f".. autofunction:: {name}.{short}", ""]
        values = [n for n in _public.names(module) if not _is_code(getattr(module, n))]
        if values:
            text = [f"Values: {', '.join(f'``{n}``' for n in values)}.", "", *text]
        node = nodes.container(classes=["ol-api"])
        node["support_smartquotes"] = False  # phi' is no quotation
        self.state.nested_parse(StringList(text, source=f"<public names of {name}>"), self.content_offset, node)
        return [node]


def _is_code(obj: object) -> bool:
    return inspect.isclass(obj) or inspect.isroutine(obj) or inspect.ismodule(obj)


def setup(app: Sphinx) -> None:
    """Register the directive and autodoc's hook."""
    for name in ("sphinx.ext.autodoc", "sphinx.ext.viewcode"):
        app.setup_extension(name)
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", process)
    app.connect("config-inited", set_config)


def set_config(app: Sphinx, config: object) -> None:
    """Set autodoc's looks: one argument a line where a signature is long, types by their short names."""
    config.autodoc_typehints = "signature"
    config.autodoc_typehints_format = "short"
    config.autodoc_preserve_defaults = True
    config.autodoc_member_order = "bysource"
    config.python_use_unqualified_type_names = True
    config.python_maximum_signature_line_length = 70
    config.toc_object_entries_show_parents = "hide"
    config.viewcode_line_numbers = False
    # Types of other libraries, and names that are not public, lead nowhere; that is no error.
    config.nitpick_ignore_regex = [*config.nitpick_ignore_regex, (r"py:.*", r".*")]
