"""The book's own Sphinx extension: design tokens, drawings, launch buttons, page descriptions, and no thebe."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

import ortholab_api
import ortholab_cards
import ortholab_cells
import ortholab_course
import ortholab_explore
import ortholab_reproduce
import ortholab_runs
from ortholab import drawings
from ortholab._tokens import TOKENS

HERE = Path(__file__).resolve().parent
DRAWINGS = {"chain": drawings.chain, "mark": drawings.mark}
STYLE = re.compile(r"<style\b.*?</style>", re.DOTALL)
# The theme's script says at its end whether "auto" is light or dark; said at once, nothing is styled twice or flashes.
THEME = """{
  const root = document.documentElement.dataset;
  if (!["light", "dark"].includes(root.theme))
    root.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}"""


def token_css(tokens: dict[str, dict[str, str]]) -> str:
    """Write the design tokens as CSS custom properties, light by default and for print, dark on ``data-theme=dark``.

    >>> print(token_css({"light": {"ink": "#111111"}, "dark": {"ink": "#eeeeee"}}))
    :root { --ol-ink: #111111; }
    @media not print { html[data-theme="dark"] { --ol-ink: #eeeeee; } }
    """
    light, dark = (
        " ".join(f"--ol-{name}: {value};" for name, value in tokens[mode].items()) for mode in ("light", "dark")
    )
    return f':root {{ {light} }}\n@media not print {{ html[data-theme="dark"] {{ {dark} }} }}'


def favicon(svg: str, tokens: dict[str, dict[str, str]]) -> str:
    """Put the tokens into the mark itself: a favicon stands outside the page, where the page's CSS does not reach."""
    end = svg.index(">") + 1
    light, dark = (";".join(f"--ol-{n}:{v}" for n, v in tokens[mode].items()) for mode in ("light", "dark"))
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    return svg[:end] + style + svg[end:]


def set_config(app: Sphinx, config: Config) -> None:
    """Set what depends on other files: the buttons, the cache folder and the generated assets."""
    site = os.environ.get("ORTHOLAB_URL", "").strip()  # the public address of the pages, set where they are published
    if site:
        config.html_baseurl = site.rstrip("/") + "/"
    options = dict(config.html_theme_options)
    if options.get("repository_url"):
        options.update(use_repository_button=True, use_issues_button=True, use_edit_page_button=True)
    else:
        # No address, no button: a dead link helps nobody.
        for key in ("launch_buttons", "repository_url", "repository_branch"):
            options.pop(key, None)
    config.html_theme_options = options
    config.html_sidebars = {"**": ["ortholab-brand.html", "search-button-field.html", "sbt-sidebar-nav.html"]}
    config.templates_path = [*config.templates_path, str(HERE / "templates")]

    # jupyter-cache keys a run by the notebook's cells alone; a changed library must run them again too. The config
    # value below (rebuild "env") makes Sphinx read every page again, the new folder makes myst-nb execute it.
    config.ortholab_hash = ortholab_runs.library_hash()
    ortholab_runs.share_verdicts()
    caches = Path(app.outdir).parent / ".jupyter_cache"
    config.nb_execution_cache_path = str(caches / config.ortholab_hash)
    for old in caches.glob("*"):
        if old.name != config.ortholab_hash:
            shutil.rmtree(old, ignore_errors=True)

    generated = Path(app.outdir).parent / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    for name, text in {"tokens.css": token_css(TOKENS) + "\n", "favicon.svg": favicon(drawings.mark(), TOKENS)}.items():
        target = generated / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    ortholab_cards.write_card(generated)
    config.ortholab_explore = ortholab_explore.write_assets(generated)
    kept = Path(app.outdir).parent / ".course_release"
    config.ortholab_course_zip = str(ortholab_course.write_release(generated, kept))
    config.html_static_path = [*config.html_static_path, str(generated)]
    config.html_favicon = str(generated / "favicon.svg")


def set_page(app: Sphinx, pagename: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Drop thebe's scripts (its config is emitted twice and throws) and describe the page."""

    def is_thebe(asset: object) -> bool:
        attributes = getattr(asset, "attributes", {})
        name = str(getattr(asset, "filename", "") or "").lower()
        return "thebe" in name or "THEBE" in str(attributes.get("body", ""))

    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context.get(kind, []) if not is_thebe(asset)]
    context["ortholab_mark"] = drawings.mark()
    # A folded cell is named by its text ("Show the code"), by eye and by ear.
    if "body" in context:
        context["body"] += ortholab_explore.tags(context["body"], context["pathto"], app.config.ortholab_explore)
        context["body"] = context["body"].replace('<summary aria-label="Toggle hidden content">', "<summary>")
        context["body"] = once(STYLE, context["body"])
    ortholab_cards.add(app, pagename, context, doctree)


def write_side_by_side(app: Sphinx, env: BuildEnvironment) -> None:
    """Let a second process write pages while this one resolves them; reading, which some extensions bar, is over."""
    if sys.platform == "linux":  # elsewhere a forked process may not use what its parent had loaded
        app.parallel = max(app.parallel, ortholab_runs.jobs())


def once(pattern: re.Pattern[str], text: str) -> str:
    """Leave only the first of equal matches: each output brings its style, and a browser tries every copy.

    >>> once(STYLE, "<style>a{}</style><p><style>b{}</style><style>a{}</style></p>")
    '<style>a{}</style><p><style>b{}</style></p>'
    """
    seen: set[str] = set()

    def first(match: re.Match[str]) -> str:
        new = match[0] not in seen
        seen.add(match[0])
        return match[0] if new else ""

    return pattern.sub(first, text)


def drop_thebe_config(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Remove the thebe configuration that the theme's default extension writes into each page's body."""
    for node in list(doctree.findall(nodes.raw)):
        if "text/x-thebe-config" in node.rawsource + node.astext() or "kernelName = " in node.astext():
            node.parent.remove(node)


def mark_proof(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give the word "Proof." that opens a proof its own class, so that the stylesheet can set it."""
    for admonition in doctree.findall(nodes.admonition):
        if "proof" not in admonition["ids"] or not admonition.astext().startswith("Proof. "):
            continue
        first = next(iter(admonition.findall(nodes.Text)))
        rest = nodes.Text(str(first).removeprefix("Proof. "))
        first.parent.replace(first, [nodes.inline("", "Proof.", classes=["ol-proof-word"]), nodes.Text(" "), rest])


def drop_repeated_ids(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Repair the ids that sphinx-proof, sphinx-exercise and citations in docstrings give alike on a page."""
    for node in doctree.findall(nodes.section):
        node["ids"] = [i for i in node["ids"] if i not in ("proof-content", "exercise-content", "solution-content")]
    unnamed = [node for node in doctree.findall(nodes.admonition) if node["ids"] == ["proof"]]
    for number, node in enumerate(unnamed, start=1):
        node["ids"] = [f"proof-{number}"]
    seen: set[str] = set()  # each docstring of an API page numbers its citations anew; nothing links to them
    for node in doctree.findall(nodes.Element):
        node["ids"] = [i for i in node["ids"] if i not in seen or not re.fullmatch(r"id\d+", i)]
        seen.update(node["ids"])


class Drawing(SphinxDirective):
    """``{drawing} chain``: an inline SVG from ortholab.drawings, with the directive's content as its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the figure, or stop the build on an unknown name."""
        name = self.arguments[0]
        if name not in DRAWINGS:
            raise self.error(f"unknown drawing {name!r}; there are {', '.join(sorted(DRAWINGS))}")
        caption = nodes.container(classes=["ol-caption"])
        self.state.nested_parse(self.content, self.content_offset, caption)
        markup = f'<figure class="ol-figure ol-drawing"><div class="ol-scroll">{DRAWINGS[name]()}</div>'
        start = nodes.raw("", markup, format="html")
        if not self.content:
            return [start, nodes.raw("", "</figure>", format="html")]
        return [
            start,
            nodes.raw("", "<figcaption>", format="html"),
            caption,
            nodes.raw("", "</figcaption></figure>", format="html"),
        ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    ortholab_explore.stored_values_only()
    ortholab_course.setup(app)
    ortholab_api.setup(app)
    ortholab_reproduce.setup(app)
    ortholab_cells.marks_run_nothing()
    app.add_config_value("ortholab_hash", "", "env", types=[str])
    app.add_config_value("ortholab_explore", {}, "html", types=[dict])
    # Its first use writes every page again, so that pages of an older build get their marks too.
    app.add_config_value("ortholab_cells", "marked", "html", types=[str])
    app.add_directive("drawing", Drawing)
    app.add_js_file(None, body=THEME, priority=0)
    app.connect("config-inited", set_config)
    app.connect("env-before-read-docs", ortholab_runs.run_missing)
    app.connect("doctree-resolved", drop_thebe_config, priority=900)
    app.connect("doctree-resolved", mark_proof)
    app.connect("doctree-resolved", drop_repeated_ids)
    app.connect("doctree-resolved", ortholab_cells.mark_cells)
    app.connect("env-updated", write_side_by_side)
    # After every other handler has added its scripts.
    app.connect("html-page-context", set_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
