"""How claims look: the box of one, the table of many, and the deck's contents with the verdicts on each item."""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .._html import Html, inline, plain, style

Claim = Verdict = Any  # those of the package, which shows them by this module

_CLASS = {"holds": "ol-holds", "holds if": "ol-conditional", "fails": "ol-fails"}
_MARK = {"holds": "✓", "holds if": "◐", "fails": "✗"}


def contents(parts: Mapping[str, Mapping[str, Sequence[Claim]]], root: str = "..") -> Html:
    """Return the deck's parts, each item with its claims, as an HTML table with a text fallback."""
    rows, lines = [], []
    for part, items in parts.items():
        rows.append(f'<tr><th scope="colgroup" colspan="2">{html.escape(part)}</th></tr>')
        for name, claims in items.items():
            found = []
            for item in claims:
                page = f'<a href="{html.escape(f"{root}/{item.page}.html")}">{_page_name(item)}</a>'
                row = f'<a href="#{anchor(item)}">{html.escape(item.id)}</a>'
                found.append(f"{badge(item.verdict())} {row}, {page}")
            rows.append(f'<tr><th scope="row">{html.escape(name)}</th><td>{"<br>".join(found)}</td></tr>')
            lines.append(f"{name}: " + ", ".join(f"{item.id} {item.verdict().kind}" for item in claims))
    markup = (
        f'<div class="ol ol-ledger ol-deck-index">{style(_RULES, _TOKENS)}<table><tbody>{"".join(rows)}</tbody></table>'
        "</div>"
    )
    return Html(markup, "\n".join(lines))


def anchor(item: Claim) -> str:
    """Return the id of a claim's row in the table, for links to it."""
    return "claim-" + re.sub(r"[^a-z0-9]+", "-", item.id.lower()).strip("-")


def _page_name(item: Claim) -> str:
    return html.escape(item.page.split("/")[-1].replace("_", " "))


def _test_source(item: Claim) -> str:
    """The function that tests a claim: its name, and its code behind it."""
    name = html.escape(f"{item.test.__module__}.{item.test.__qualname__}")
    try:
        code = html.escape(textwrap.dedent(inspect.getsource(item.test)))
    except (OSError, TypeError):
        return f"<code>{name}</code>"
    return f"<details><summary>Test: <code>{name}</code></summary><pre>{code}</pre></details>"


def badge(verdict: Verdict) -> str:
    """Return the verdict as a coloured word with a mark."""
    mark = f'<span aria-hidden="true">{_MARK[verdict.kind]}</span>'
    return f'<span class="ol-badge {_CLASS[verdict.kind]}">{mark} {verdict.kind}</span>'


def box(item: Claim) -> Html:
    """Return the box of a claim as HTML with a text fallback."""
    found = item.verdict()
    condition = f'<p class="ol-condition">Holds if {inline(found.condition)}.</p>' if found.condition else ""
    markup = (
        f'<div class="ol ol-claim {_CLASS[found.kind]}">{style(_RULES, _TOKENS)}'
        f'<p class="ol-claim-head"><strong>Claim {html.escape(item.id)}</strong> '
        f'<span class="ol-deck">{inline(item.deck)}</span> {badge(found)}</p>'
        f'<p class="ol-statement">{inline(item.statement)}</p>{condition}'
        f'<p class="ol-number"><strong>{html.escape(found.figure)}</strong> {inline(found.meaning)}</p>'
        f'<p class="ol-summary">{inline(found.summary)}</p></div>'
    )
    return Html(markup, _text(item))


def sheet(items: tuple[Claim, ...], root: str = "..") -> Html:
    """Return a ledger as an HTML table with a text fallback."""
    rows = []
    for item in items:
        found = item.verdict()
        condition = f" {inline(found.condition)}" if found.condition else ""
        link = f'<a href="{html.escape(f"{root}/{item.page}.html")}">{_page_name(item)}</a>'
        head = f'{html.escape(item.id)}<br><span class="ol-deck">{inline(item.deck)}</span><br>{link}'
        cells = {
            "Statement": inline(item.statement) + _test_source(item),
            "Verdict": badge(found) + condition,
            "Number": f"<strong>{html.escape(found.figure)}</strong> {inline(found.meaning)}",
        }
        row = "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in cells.items())
        rows.append(f'<tr id="{anchor(item)}"><th scope="row">{head}</th>{row}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Claim", "Statement", "Verdict", "Number"))
    markup = (
        f'<div class="ol ol-ledger">{style(_RULES, _TOKENS)}<table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return Html(markup, "\n\n".join(_text(item) for item in items))


def _text(item: Claim) -> str:
    found = item.verdict()
    condition = f" {plain(found.condition)}" if found.condition else ""
    return (
        f"Claim {item.id} ({plain(item.deck)}): {found.kind}{condition}\n  {plain(item.statement)}\n"
        f"  {found.figure}: {plain(found.meaning)}\n  {plain(found.summary)}"
    )


_TOKENS = ("ink", "muted", "line", "holds", "fails", "conditional")
_RULES = """
:where(.ol-claim){margin:1.2em 0;padding:.6em 1em;border-left:4px solid @(line);max-width:46em}
:where(.ol-claim.ol-holds){border-color:@(holds)}:where(.ol-claim.ol-fails){border-color:@(fails)}
:where(.ol-claim.ol-conditional){border-color:@(conditional)}
:where(.ol-claim p){margin:.2em 0}:where(.ol-deck){color:@(muted)}
:where(.ol-badge){font-weight:600;white-space:nowrap}:where(.ol-badge.ol-holds){color:@(holds)}
:where(.ol-badge.ol-fails){color:@(fails)}:where(.ol-badge.ol-conditional){color:@(conditional)}
:where(.ol-ledger table){border-collapse:collapse;width:100%}
:where(.ol-ledger th[scope=row]) :where(.ol-deck,a){font-weight:400}:where(.ol-ledger tbody th){width:22%}
:where(.ol-ledger th),:where(.ol-ledger td){text-align:left;vertical-align:top;padding:.4em .6em}
.jp-RenderedHTMLCommon .ol-ledger :is(th,td){text-align:left;vertical-align:top;white-space:normal}
:where(.ol-ledger th),:where(.ol-ledger td){border-bottom:1px solid @(line)}
:where(.ol-ledger details){margin-top:.4em;color:@(muted)}
:where(.ol-ledger pre){font-size:.8em;max-width:60em;overflow-x:auto}
:where(.ol-ledger th[scope=colgroup]){padding-top:1.2em}
@media(max-width:700px){:where(.ol-ledger thead){position:absolute;clip-path:inset(50%)}
:where(.ol-ledger tr),:where(.ol-ledger th),:where(.ol-ledger td){display:block;border:0;padding:.1em 0}
:where(.ol-ledger tbody th){width:auto}
:where(.ol-ledger tr){border-bottom:1px solid @(line);padding:.6em 0}
:where(.ol-ledger td[data-label])::before{content:attr(data-label) ": ";color:@(muted)}}
"""
