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


def audit(page: object, axe: str) -> list[str]:
    """Audit an open page in light and dark, with everything that can be opened open: what is hidden must pass too."""
    if not page.evaluate("() => !!window.axe"):
        page.evaluate(axe)
    page.evaluate("() => document.querySelectorAll('details').forEach(e => e.open = true)")
    allowed = {rule: list(selectors) for rule, selectors in ALLOWED.items()}
    found = []
    for theme, rules in (("light", None), ("dark", ["color-contrast"])):  # only colours depend on the theme
        page.evaluate(f"() => {{ document.documentElement.dataset.theme = {json.dumps(theme)}; }}")
        page.wait_for_timeout(50)
        found += [f"{theme}: {line}" for line in page.evaluate(AUDIT, [allowed, rules])]
    return found
