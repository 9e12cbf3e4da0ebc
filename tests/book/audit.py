"""The accessibility audit by axe-core, shared by the desktop's and the phone's tests."""

from __future__ import annotations

import json

# Findings of axe-core that are the theme's own, each confined to the part of the page where it stands. Whatever else
# axe calls serious or critical fails the test.
ALLOWED = {
    # The theme's "Copy" and search buttons show an icon and a shortcut beside a longer spoken name.
    "label-content-name-mismatch": (".search-button", ".copybtn", ".prev-next-area", ".btn"),
    # sphinxcontrib-bibtex's citations carry ARIA roles (doc-biblioentry) without the list that they ask for.
    "aria-required-children": (".citation-list",),
    "aria-required-parent": ("[role='doc-biblioentry']", ".citation"),
    # Sphinx sets each parameter of a long signature on a line of its own, in a list without terms.
    "definition-list": ("dt.sig",),
    "dlitem": ("dt.sig",),
    "aria-deprecated-role": ("[role='doc-biblioentry']", ".citation"),
}

AUDIT = """async ([allowed, rules]) => {
  const options = {resultTypes: ['violations']};
  if (rules) options.runOnly = {type: 'rule', values: rules};
  const context = {include: document, exclude: ['mjx-container > *', 'figure svg > *']};
  const result = await axe.run(context, options);
  const found = [];
  for (const rule of result.violations) {
    if (!['serious', 'critical'].includes(rule.impact)) continue;
    for (const node of rule.nodes) {
      const element = document.querySelector(node.target.flat().join(' '));
      if (element && (allowed[rule.id] || []).some(selector => element.closest(selector))) continue;
      found.push(`${rule.id} (${rule.impact}) ${node.target.join(' ')}: ${node.html.slice(0, 120)}`);
    }
  }
  return found;
}"""


# axe walks over every element, also over those that it is told to leave out, and a page has up to 40,000: the insides
# of formulas and of figures, and each word of code. This takes out what it leaves out, and of the words of code and of
# signatures all but the first of each look, so that the rest is judged ten times as fast and no differently. What gives
# a name or a role, or takes the focus, stays; formulas keep their size and their words, in the text as plain words.
TRIM = r"""() => {
  const named = new Set();
  for (const attribute of ['aria-labelledby', 'aria-describedby'])
    for (const e of document.querySelectorAll(`[${attribute}]`))
      e.getAttribute(attribute).split(/\s+/).filter(Boolean).forEach(id => named.add(id));
  const boxes = [...document.querySelectorAll('mjx-container')].map(e => [e, e.getBoundingClientRect(),
    getComputedStyle(e).display === 'block' ? 'block' : 'inline-block']);
  const alike = new Set();
  for (const [e, {width, height}, display] of boxes) {
    const words = document.createElement('span');
    words.textContent = e.querySelector('mjx-assistive-mml')?.textContent || '';
    words.style.cssText = 'position: absolute; overflow: hidden; width: 1px; height: 1px';
    const box = {display, width: `${width}px`, height: `${height}px`};
    const look = `${display} ${e.closest('.admonition, figure, table, .ol')?.className}`;
    const inText = e.parentElement.matches('p span.math') && !e.closest('a, button, summary');
    if (alike.has(look) && inText) {  // one element that holds the words
      const math = e.parentElement;
      math.replaceChildren(words.textContent);
      Object.assign(math.style, {...box, overflow: 'hidden'});
    } else {
      e.replaceChildren(words);
      Object.assign(e.style, box);
    }
    alike.add(look);
  }
  const kept = 'title, desc, a, foreignObject, [tabindex], [role], [aria-label]';
  for (const e of document.querySelectorAll('figure svg > *'))
    if (!e.matches(kept) && !e.querySelector(kept) && ![e, ...e.querySelectorAll('[id]')].some(i => named.has(i.id)))
      e.remove();
  const seen = new Set();
  for (const pre of document.querySelectorAll('pre, dt.sig')) {
    const place = [pre, pre.closest('[class*=highlight]'), pre.closest('.admonition, .ol')].map(e => e?.className);
    for (const e of [...pre.querySelectorAll('span')].reverse()) {
      if (e.getAttributeNames().some(name => !['class', 'style'].includes(name))) continue;
      const look = [...place, e.parentElement.className, e.className, e.style.cssText].join('|');
      if (seen.has(look)) e.replaceWith(...e.childNodes);
      seen.add(look);
    }
    pre.normalize();
  }
}"""


def audit(page: object, axe: str, *, dark: bool = True) -> list[str]:
    """Audit an open page, its colours in light and dark, with everything open that can be opened: it must pass too.

    The page is no good for anything else afterwards.
    """
    if not page.evaluate("() => !!window.axe"):
        page.evaluate(axe)
    page.evaluate("() => document.querySelectorAll('details').forEach(e => e.open = true)")
    page.evaluate(TRIM)
    allowed = {rule: list(selectors) for rule, selectors in ALLOWED.items()}
    found = []
    # Only colours depend on the theme.
    runs = {"light": None, "dark": ["color-contrast"]} if dark else {"light": None}
    for theme, rules in runs.items():
        page.evaluate(f"() => {{ document.documentElement.dataset.theme = {json.dumps(theme)}; }}")
        page.wait_for_timeout(50)
        found += [f"{theme}: {line}" for line in page.evaluate(AUDIT, [allowed, rules])]
    return found
