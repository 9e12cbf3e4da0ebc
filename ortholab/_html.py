"""The small HTML that figures, derivations and claims share: escaped text with mathematics, and a mime bundle.

Mathematics is left as LaTeX inside ``<span class="math">\\(...\\)</span>``: MathJax sets it in the built book and
JupyterLab sets it in an output.  Nothing here emits a script.
"""

from __future__ import annotations

import html
import re

from ._tokens import DARK_NOTEBOOK, css, declarations
from .errors import ArgumentError, bad

_PIECE = re.compile(r"\\\$|\$([^$]+)\$([,.;:!?)]*)|`([^`]+)`|\*\*([^*]+)\*\*")


def check_text(name: str, value: object) -> str:
    """Return ``value`` stripped, or raise ArgumentError unless it is a string with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise bad(name, value, "a non-empty string")
    return value.strip()


def math(latex: str, display: bool = False) -> str:
    r"""Return LaTeX as an element that MathJax sets, in the book and in JupyterLab.

    >>> math("a < b")
    '<span class="math notranslate nohighlight">\\(a &lt; b\\)</span>'
    """
    left, right, tag = (r"\[", r"\]", "div") if display else (r"\(", r"\)", "span")
    return f'<{tag} class="math notranslate nohighlight">{left}{html.escape(latex, quote=False)}{right}</{tag}>'


def inline(text: str) -> str:
    r"""Return HTML of a plain sentence: escaped, with ``$math$``, ```code```, ``**strong**`` and ``\$``.

    >>> inline("`phi` is < 1 at $q$")
    '<code>phi</code> is &lt; 1 at <span class="math notranslate nohighlight">\\(q\\)</span>'
    """

    def piece(match: re.Match) -> str:
        if match[1] is not None:
            # A line may break after mathematics that MathJax has set, even before a comma: keep the two together.
            return f'<span style="white-space:nowrap">{math(match[1])}{match[2]}</span>' if match[2] else math(match[1])
        if match[3] is not None:
            return f"<code>{html.escape(match[3], quote=False)}</code>"
        return "&#36;" if match[4] is None else f"<strong>{inline(match[4])}</strong>"

    if "$" in _PIECE.sub("", text):
        raise ArgumentError(f"text must close every $ that it opens (write \\$ for a dollar sign); got {text!r}")
    out, end = [], 0
    for match in _PIECE.finditer(text):
        out += [html.escape(text[end : match.start()], quote=False), piece(match)]
        end = match.end()
    return "".join([*out, html.escape(text[end:], quote=False)])


def plain(text: str) -> str:
    r"""Return the sentence for a text terminal: math without its dollars, code without its ticks.

    >>> plain(r"at $q$, costs \$1")
    'at q, costs $1'
    """
    return _PIECE.sub(lambda m: (m[1] or "") + (m[2] or "") or m[3] or plain(m[4] or "$"), text)


def style(rules: str = "", tokens: tuple[str, ...] = ()) -> str:
    """Return a ``<style>`` element that an output needs where the book's stylesheet is absent.

    ``tokens`` get their dark values in the dark themes of JupyterLab, VS Code and Colab.  ``rules`` should use
    ``:where()``, so that the book's stylesheet wins over them; one selector in each, for a browser tries a list of them
    on every element of the page.
    """
    dark = f"{DARK_NOTEBOOK} .ol{{{declarations('dark', tokens)}}}" if tokens else ""
    rules = re.sub(r"@\((\w+)\)", lambda m: css(m[1]), rules)
    return f"<style>{' '.join((rules + dark).split())}</style>" if rules or dark else ""


class Html:
    """HTML with a text fallback (and, for figures, an image) that any notebook front end can show."""

    def __init__(self, markup: str, text: str, png: bytes | None = None):
        self.html, self.text, self.png = markup, text, png

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        bundle: dict[str, object] = {"text/html": self.html, "text/plain": self.text}
        return bundle | ({"image/png": self.png} if self.png else {})

    def __repr__(self) -> str:
        return self.text

    def show(self) -> None:
        """Display the HTML in a notebook, or print the text elsewhere."""
        try:
            from IPython.core.getipython import get_ipython
            from IPython.display import display
        except ImportError:
            print(self.text)
            return
        if get_ipython() is None:
            print(self.text)
        else:
            display(self)
