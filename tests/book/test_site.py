"""The built book without a browser: every page is there, every link resolves, and nothing comes from another host."""

from __future__ import annotations

import functools
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from ortholab_address import read_address
from site_tools import SITE, pages, toc_files

pytestmark = pytest.mark.site

PAGES = pages()
# What a browser fetches by itself: the element and the attribute that holds the address.
FETCHED = [
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("link", "href"),
    ("source", "src"),
    ("object", "data"),
]
# `rel` values of <link> that name a page and fetch nothing.
NAMES_ONLY = {"canonical", "author", "index", "search", "next", "prev", "copyright", "license"}
CSS_ADDRESS = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


# Half of a page's elements or more: words of highlighted code, and the shapes of figures.
WORD = re.compile(r'<span class="[a-z0-9 ]+">([^<]*)</span>')
SHAPE = re.compile(r"<(path|use|rect|circle|line|polyline|polygon)\b[^>]*?(?:/>|></\1>)")


def lean(text: str) -> str:
    """Leave out a page's words of code and shapes, which have no id, no link and nothing to fetch.

    >>> lean('<pre><span class="n">x</span> <span id="a">y</span></pre><svg><path id="b"/><path d="M0 0"/></svg>')
    '<pre>x <span id="a">y</span></pre><svg><path id="b"/></svg>'
    """
    for _ in range(2):  # a word of a signature is two spans
        text = WORD.sub(r"\1", text)
    return SHAPE.sub(lambda m: m[0] if re.search(r"\bid=|url\(|//", m[0]) else "", text)


@functools.cache
def soup(path: Path) -> BeautifulSoup:
    """Parse a page once."""
    return BeautifulSoup(lean(path.read_text(encoding="utf-8")), "html.parser")


@functools.cache
def anchors(path: Path) -> frozenset[str]:
    """List everything on a page that a link can point to."""
    page = soup(path)
    named = {tag["name"] for tag in page.find_all("a", attrs={"name": True})}
    return frozenset({tag["id"] for tag in page.find_all(id=True)} | named)


def is_external(target: str) -> bool:
    """Tell whether an address leaves the site."""
    return urlsplit(target).netloc != "" and not target.startswith("data:")


def broken_links(path: Path, site: Path) -> list[str]:
    """List the links of a page whose file or anchor does not exist."""
    found = []
    for tag in soup(path).find_all("a", href=True):
        parts = urlsplit(tag["href"])
        if parts.scheme in ("http", "https", "mailto") or parts.netloc or tag["href"] in ("#", ""):
            continue
        target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
        if not target.is_relative_to(site.resolve()) or not target.is_file():
            found.append(f"{tag['href']}: no such file")
        elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors(target):
            found.append(f"{tag['href']}: no such anchor")
    return found


def external_resources(path: Path) -> list[str]:
    """List what a page would fetch from another host."""
    found = []
    for name, attribute in FETCHED:
        for tag in soup(path).find_all(name, attrs={attribute: True}):
            if name == "link" and NAMES_ONLY.issuperset(tag.get("rel", [])):
                continue
            if is_external(tag[attribute]):
                found.append(tag[attribute])
    for tag in soup(path).find_all("style"):
        found += CSS_ADDRESS.findall(tag.get_text())
    for tag in soup(path).find_all(style=True):
        found += CSS_ADDRESS.findall(tag["style"])
    return found


def test_every_entry_of_the_contents_has_a_page(site):
    assert len(toc_files()) >= 5
    missing = [name for name in toc_files() if not (site / f"{name}.html").is_file()]
    assert not missing
    for name in toc_files():
        assert len(soup(site / f"{name}.html").find("article").get_text(strip=True)) > 80, f"{name} is empty"


def test_the_root_forwards_to_the_first_page(site):
    assert re.search(r"url=[\"']?book/index\.html", (site / "index.html").read_text(encoding="utf-8"), re.I)


@pytest.mark.parametrize("name", PAGES)
def test_links_resolve(site, name):
    assert not broken_links((site / name).resolve(), site)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_comes_from_another_host(site, name):
    assert not external_resources(site / name)


def test_stylesheets_fetch_nothing_from_another_host(site):
    sheets = list((site / "_static").rglob("*.css"))
    assert any(sheet.name == "ortholab.css" for sheet in sheets)
    found = {s.name: CSS_ADDRESS.findall(s.read_text(encoding="utf-8", errors="replace")) for s in sheets}
    assert not {name: addresses for name, addresses in found.items() if addresses}


# Such a rule makes a browser style the whole page anew whenever a script gives <html> a class.
RESTYLES_ALL = re.compile(r"[^{};,]*\[class[^]]*\][^{};,]*[\s>+~]\*(?:::?[\w-]+)*\s*(?=[,{])")


def test_no_rule_of_ours_styles_the_page_anew(site):
    sheet = (site / "_static" / "ortholab.css").read_text(encoding="utf-8")
    assert RESTYLES_ALL.findall(sheet) == []
    assert RESTYLES_ALL.findall('a {} .x div[class="proof admonition"] > * { color: red }')


@pytest.mark.parametrize("name", PAGES)
def test_no_thebe(site, name):
    text = (site / name).read_text(encoding="utf-8")
    scripts = [tag for tag in soup(site / name).find_all(["script", "link"]) if "thebe" in str(tag).lower()]
    assert not scripts
    assert "THEBE_JS_URL" not in text


@pytest.mark.parametrize("name", PAGES)
def test_no_button_without_an_address(site, name):
    """A launch, repository, issue or edit button has somewhere to go, or is not there."""
    page = soup(site / name)
    buttons = [tag.get("href") for tag in page.select(".article-header-buttons a[href]")]
    hosts = {urlsplit(href).netloc for href in buttons if is_external(href)}
    if not read_address():
        assert not hosts
        assert not page.select(".dropdown-launch-buttons, .dropdown-source-buttons")
    else:
        assert hosts <= {"github.com", "mybinder.org", "colab.research.google.com"}


@pytest.mark.parametrize("name", PAGES)
def test_pictures_have_words(site, name):
    page = soup(site / name)
    assert not [tag for tag in page.find_all("img") if not tag.get("alt", "").strip()]
    for figure in page.select("figure.ol-figure"):
        svgs = figure.find_all("svg")
        assert svgs, "a figure without a picture"
        assert all(svg.get("role") == "img" for svg in svgs)
        assert all((svg.get("aria-label") or (svg.title and svg.title.get_text())) for svg in svgs)
        caption = figure.find("figcaption")
        assert caption is not None
        assert len(caption.get_text(strip=True)) > 20


@pytest.mark.parametrize("name", PAGES[:-1])  # the last is the theme's search page, which has no article
def test_one_title_and_no_skipped_heading(site, name):
    levels = [
        int(tag.name[1]) for tag in soup(site / name).select_one("article.bd-article").find_all(re.compile("^h[1-6]$"))
    ]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique(site, name):
    found = [tag["id"] for tag in soup(site / name).find_all(id=True)]
    assert not {i for i in found if found.count(i) > 1}


@pytest.mark.parametrize("name", PAGES)
def test_a_style_stands_once_and_is_for_its_own(site, name):
    """A browser tries each rule on every element: no style of an output comes twice or is for all elements."""
    styles = [tag.get_text() for tag in soup(site / name).body.find_all("style")]
    assert len(styles) == len(set(styles))
    assert not [text for text in styles if re.search(r"(^|[\s,}])\*\s*[,{]", text)]


def test_a_lean_page_keeps_what_the_checks_look_at(site):
    """Ids, links and what is fetched: the same in the whole page, for one with figures and one with signatures."""
    for name in ("book/1-isometry/jacobian.html", "book/appendix/api/nn.html"):
        path = site / name
        whole = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for attribute in ("id", "href", "src", "name", "role", "aria-label"):
            found, want = (
                [tag[attribute] for tag in page.find_all(attrs={attribute: True})] for page in (soup(path), whole)
            )
            assert found == want, attribute
        assert len(soup(path).find_all(True)) < 0.6 * len(whole.find_all(True))


def test_the_checks_can_fail(tmp_path):
    """Each checker finds what is planted."""
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="gone.html">x</a><a href="#gone">x</a><a id="here" href="#here">x</a><a href="../out.html">x</a>'
        '<script src="https://cdn.example/x.js"></script><link rel="stylesheet" href="//cdn.example/x.css">'
        '<link rel="next" href="https://a.example/"><style>@import "https://f.example/f.css";</style>'
        '<p style="background: url(https://i.example/i.png)">x</p><img src="data:image/png;base64,xx">'
    )
    assert [text.split(":")[0] for text in broken_links(page.resolve(), tmp_path)] == [
        "gone.html",
        "#gone",
        "../out.html",
    ]
    assert external_resources(page) == [
        "https://cdn.example/x.js",
        "//cdn.example/x.css",
        "https://f.example/f.css",
        "https://i.example/i.png",
    ]


def test_the_site_under_test_is_newer_than_its_sources(site):
    """A stale book proves nothing."""
    from site_tools import ROOT

    for name in toc_files():
        source = next(path for suffix in (".md", ".ipynb") if (path := ROOT / f"{name}{suffix}").exists())
        assert (SITE / f"{name}.html").stat().st_mtime >= source.stat().st_mtime - 1, f"{name} changed after the build"
