"""Design tokens: every colour of the book, once, for light and dark paper.

A token has one meaning on every page (``orthogonal`` is always the same blue).  In HTML and SVG a colour is
written as the custom property ``--ol-<name>``; the site's stylesheet is generated from this table.
The tests hold each pair to its contrast, and the colours that meet in one figure to a distance that survives
simulated protanopia, deuteranopia and tritanopia.
"""

from __future__ import annotations

from .errors import check_choice

TOKENS: dict[str, dict[str, str]] = {
    "light": {
        "ink": "#1c2128",  # text, axes
        "muted": "#57606a",  # secondary text
        "line": "#868e99",  # rules, frames, guides
        "paper": "#ffffff",
        "accent": "#0b5a8f",  # links and the one accent of the page
        "orthogonal": "#1f45a6",
        "gaussian": "#8a3d06",
        "relu": "#2c8262",
        "extra": "#a846cc",  # a further series
        "theory": "#262d36",
        "data": "#8a5a00",  # real data, or a simulation that has no colour of its own
        "ordered": "#0b6f8c",
        "chaotic": "#a3363a",
        "holds": "#1a7340",
        "fails": "#b3261e",
        "conditional": "#8c5300",
    },
    "dark": {
        "ink": "#e6edf3",
        "muted": "#a3adb8",
        "line": "#6e7781",
        "paper": "#14181e",
        "accent": "#6db6ec",
        "orthogonal": "#6f8df0",
        "gaussian": "#dc7440",
        "relu": "#6fda86",
        "extra": "#cfa4ea",
        "theory": "#dfe5eb",
        "data": "#e3b341",
        "ordered": "#3fc0e6",
        "chaotic": "#d8618c",
        "holds": "#5fcf8a",
        "fails": "#ff8a80",
        "conditional": "#f0b35a",
    },
}

NAMES = tuple(TOKENS["light"])

# Colours that are read as text (labels at line ends included) and colours that only draw rules.
TEXT = tuple(name for name in NAMES if name not in ("paper", "line"))

# Where JupyterLab's own ink and paper are the better fallback for a page without the book's stylesheet.
_JUPYTER = {"ink": "--jp-ui-font-color1", "muted": "--jp-ui-font-color2", "paper": "--jp-layout-color0"}


def token(name: str, theme: str = "light") -> str:
    """Return the hex colour of a token.

    >>> token("paper")
    '#ffffff'
    """
    return TOKENS[check_choice("theme", theme, tuple(TOKENS))][check_choice("color", name, NAMES)]


def css(name: str) -> str:
    """Return the CSS value of a token, with a fallback for pages that lack the stylesheet.

    >>> css("orthogonal")
    'var(--ol-orthogonal, #1f45a6)'
    """
    colour = token(name)
    if name in _JUPYTER:
        colour = f"var({_JUPYTER[name]}, {colour})"
    return f"var(--ol-{name}, {colour})"


def declarations(theme: str, names: tuple[str, ...] = NAMES) -> str:
    """Return ``--ol-ink: #1c2128; ...`` for one theme: the body of a CSS rule.

    >>> declarations("dark", ("paper",))
    '--ol-paper: #14181e;'
    """
    return " ".join(f"--ol-{name}: {token(name, theme)};" for name in names)


# The dark themes of JupyterLab, VS Code and Colab, where an output stands without the book's stylesheet.
DARK_NOTEBOOK = ':is(body[data-jp-theme-light="false"], body.vscode-dark, html[theme="dark"])'
