"""The small markup of an explorable's words: ``σ_w``, ``x^{2}``, ``code`` in backticks, **strong**.

It needs no typesetter, so the same words serve a page, a slider's label, an axis in SVG and a screen reader.
"""

from __future__ import annotations

import html
import math
import re

_PIECE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|([_^])(?:\{([^{}]+)\}|(\w+|\*))")


def pieces(text: str) -> list[tuple[str, str]]:
    """Split into ``(kind, words)`` with kinds ``text``, ``sub``, ``sup``, ``code`` and ``strong``.

    >>> pieces("σ_w^{2} at `x`")
    [('text', 'σ'), ('sub', 'w'), ('sup', '2'), ('text', ' at '), ('code', 'x')]
    """
    out, end = [], 0
    for match in _PIECE.finditer(text):
        if match.start() > end:
            out.append(("text", text[end : match.start()]))
        code, strong, script, braced, bare = match.groups()
        if script:
            out.append(("sub" if script == "_" else "sup", braced or bare))
        else:
            out.append(("code", code) if code else ("strong", strong))
        end = match.end()
    return [*out, ("text", text[end:])] if end < len(text) else out


def to_html(text: str) -> str:
    """Return HTML, escaped.

    >>> to_html("χ_1 < 1")
    'χ<sub>1</sub> &lt; 1'
    """
    tags = {"text": None, "strong": "strong", "code": "code", "sub": "sub", "sup": "sup"}
    out = ""
    for kind, words in pieces(text):
        words = to_html(words) if kind == "strong" else html.escape(words, quote=False)
        out += f"<{tags[kind]}>{words}</{tags[kind]}>" if tags[kind] else words
    return out


def to_plain(text: str) -> str:
    """Return the words alone, as a screen reader or a terminal wants them.

    >>> to_plain("σ_w^{2} is **one**")
    'σ_w^2 is one'
    """
    mark = {"sub": "_", "sup": "^"}
    return "".join(
        mark.get(kind, "") + (to_plain(words) if kind == "strong" else words) for kind, words in pieces(text)
    )


def to_mathtext(text: str) -> str:
    """Return the words for matplotlib, subscripts and superscripts as mathtext.

    >>> to_mathtext("gain σ_w")
    'gain σ$_{\\\\mathrm{w}}$'
    """
    out = ""
    for kind, words in pieces(text.replace("$", r"\$")):
        if kind in ("sub", "sup"):
            out += "$" + {"sub": "_", "sup": "^"}[kind] + r"{\mathrm{" + words.replace("*", r"\ast") + "}}$"
        else:
            out += words
    return out


def number(value: float, digits: int = 3) -> str:
    """Write a number for a sentence: ``digits`` significant ones, thousands apart, powers of ten as such.

    >>> number(1250.4), number(0.00084), number(3.21e9), number(0), number(float("inf"))
    ('1,250', '0.00084', '3.21·10^{9}', '0', '∞')
    """
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "undefined"
    power = math.floor(math.log10(abs(value))) if value else 0
    if value and not -5 < power < 6:
        return f"{value / 10.0**power:.{digits}g}·10^{{{power}}}"
    rounded = float(f"{value:.{digits}g}")
    return (
        f"{rounded:,.{max(0, digits - 1 - power)}f}".rstrip("0").rstrip(".")
        if power < digits - 1
        else f"{rounded:,.0f}"
    )
