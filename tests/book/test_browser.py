"""Every page in a real browser that is cut off from the network: formulas, errors, widths and accessibility."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audit import AUDIT, TRIM, audit
from site_tools import open_page, pages

from ortholab._tokens import TOKENS

pytestmark = [pytest.mark.site, pytest.mark.browser]

PAGES = pages()

FORMULAS = r"""() => {
  const unset = [...document.querySelectorAll('span.math, div.math')].filter(e => !e.querySelector('mjx-container'));
  const errors = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')];
  const walker = document.createTreeWalker(document.querySelector('article') || document.body, NodeFilter.SHOW_TEXT);
  const raw = [];
  for (let node; (node = walker.nextNode());) {
    if (node.parentElement.closest('pre, code, script, style, mjx-container, mjx-assistive-mml, textarea')) continue;
    const found = node.data.match(/\\\(|\\\)|\\\[|\\\]|\$\$|\\(?:frac|sigma|chi|mathbb|mathcal|left|begin)\b/);
    if (found) raw.push(node.data.trim().slice(0, 80));
  }
  return {unset: unset.map(e => e.textContent.slice(0, 80)), errors: errors.map(e => e.textContent.slice(0, 80)), raw};
}"""

# What sticks out of the page (and is not inside something that scrolls by itself).
OVERFLOW = r"""() => {
  const width = document.documentElement.clientWidth;
  const scrolls = e => { for (; e && e !== document.body; e = e.parentElement) {
    if (/(auto|scroll|hidden|clip)/.test(getComputedStyle(e).overflowX)) return true; } return false; };
  const out = [...document.querySelectorAll('.bd-article-container *, footer *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && (box.right > width + 1 || box.left < -1) && !scrolls(e.parentElement); });
  return {extra: document.documentElement.scrollWidth - width,
          out: out.slice(0, 5).map(e => e.tagName + '.' + e.className.toString().slice(0, 60))};
}"""

# Where the focus is, and whether one sees it.
FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
  return {text: (e.textContent || '').trim().slice(0, 40),
          ring: box.width > 0 && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
          inside: e.closest('article') ? 'article' : e.closest('.bd-sidebar-primary') ? 'sidebar' : 'frame',
          html: e.outerHTML.slice(0, 100)};
}"""


@pytest.fixture(scope="class")
def opened(request, address, browser) -> Iterator[tuple[object, object]]:
    """One page, open at desktop width in light mode; its tests share it, from the first to the last."""
    with open_page(browser, f"{address}/{request.param}") as found:
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Open the pages of a class one after another."""
    if "opened" in metafunc.fixturenames:
        metafunc.parametrize("opened", metafunc.cls.pages, indirect=True, scope="class")


class Checks:
    """What holds on every page. In two halves, since xdist gives a class to one process."""

    pages: tuple[str, ...] = ()

    def test_a_page_is_quiet_and_local(self, opened):
        _, trouble = opened
        assert trouble.external == []
        assert trouble.failed == []
        assert trouble.errors == []

    def test_formulas_are_set(self, opened):
        page, _ = opened
        assert page.evaluate(FORMULAS) == {"unset": [], "errors": [], "raw": []}

    @pytest.mark.parametrize("width", [1440, 390])
    def test_no_sideways_scrolling(self, opened, width):
        page, _ = opened
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        found = page.evaluate(OVERFLOW)
        assert found["extra"] <= 0, found["out"]
        assert found["out"] == []

    @pytest.mark.parametrize("width", [390, 1440])
    def test_nothing_serious_for_axe(self, opened, axe, width):
        """At a phone's and at a desktop's width, here in dark too; the audit spoils the page, so it comes late."""
        page, trouble = opened
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)  # for the theme, which makes what now scrolls reachable by keyboard
        found = audit(page, axe, dark=width > 390)
        assert not found, "\n".join(found)
        assert trouble.external == []
        assert trouble.errors == []

    def test_on_paper_the_title_stands(self, opened):
        """After the audit, which leaves the title and makes the page light."""
        page, _ = opened
        page.emulate_media(media="print")
        title = page.locator(".bd-article h1, .bd-search-container h1").first
        assert title.evaluate("e => e.getBoundingClientRect().height") > 0


class TestOddPages(Checks):
    pages = PAGES[::2]


class TestEvenPages(Checks):
    pages = PAGES[1::2]


# One page of each kind.
KINDS = ["book/index", "book/1-isometry/order_to_chaos", "book/appendix/claims", "book/appendix/api/tools", "search"]


@pytest.mark.parametrize("name", KINDS)
def test_nothing_serious_for_axe_as_a_phone_loads_it(address, browser, axe, name):
    """The checks above make an open page narrow; here it is narrow from the start."""
    with open_page(browser, f"{address}/{name}.html", width=390) as (page, trouble):
        found = audit(page, axe)
        assert not found, "\n".join(found)
        assert trouble.external == []
        assert trouble.errors == []


@pytest.mark.parametrize("name", ["book/index.html", "book/1-isometry/jacobian.html"])
def test_the_keyboard_shows_where_it_is(address, browser, name):
    """Tab reaches the skip link first, then the search, the contents and the text, each with a ring around it."""
    with open_page(browser, f"{address}/{name}") as (page, _):
        stops, beyond = [], 0
        while beyond < 5 and len(stops) < 200:  # past the contents, which grow with the book, and a little further
            page.keyboard.press("Tab")
            stops.append(page.evaluate(FOCUSED))
            beyond += stops[-1]["inside"] == "article"
        assert "Skip to main content" in stops[0]["text"]
        stops = [stop for stop in stops if not stop["html"].startswith("<body")]  # a short page starts again
        assert not [stop for stop in stops if not stop["ring"]]
        assert {"sidebar", "article"} <= {stop["inside"] for stop in stops}


def test_a_phone_in_dark_mode_is_dark(address, browser):
    """The page follows the reader's colour scheme, and a figure has its narrow layout."""
    with open_page(browser, f"{address}/book/1-isometry/jacobian.html", width=390, scheme="dark") as (page, trouble):
        luminance = page.evaluate(
            "() => getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).slice(0, 3)"
            ".reduce((sum, v) => sum + Number(v), 0) / 765"
        )
        assert luminance < 0.2
        shown = "e => getComputedStyle(e).display !== 'none'"
        assert page.locator("figure.ol-figure svg.ol-narrow").first.evaluate(shown)
        assert not page.locator("figure.ol-figure svg.ol-wide:has(~ svg.ol-narrow)").first.evaluate(shown)
        assert trouble.errors == []


def test_a_dark_page_is_dark_before_the_themes_script(address, browser):
    """That script comes last; until then, the page must not be light, nor in the theme's own colours."""
    context = browser.new_context(color_scheme="dark")
    context.route("**/pydata-sphinx-theme.js*", lambda route: route.abort())
    page = context.new_page()
    page.goto(f"{address}/book/index.html")
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    paper = "() => getComputedStyle(document.documentElement).getPropertyValue('--ol-paper')"
    assert page.evaluate(paper).strip() == TOKENS["dark"]["paper"]
    context.close()


def test_search_finds_a_word(address, browser):
    """The search works without the network."""
    with open_page(browser, f"{address}/search.html?q=isometry") as (page, trouble):
        page.wait_for_selector("#search-results li a", timeout=15_000)
        assert trouble.external == []
        assert trouble.errors == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "external"),
        ("<script>throw new Error('planted')</script>", "errors"),
        ('<img src="gone.png" alt="gone">', "failed"),
    ],
)
def test_the_browser_checks_can_fail(tmp_path, browser, body, said):
    """A planted request, error or missing file is seen."""
    from site_tools import serve

    (tmp_path / "page.html").write_text(f"<!doctype html><title>x</title>{body}")
    with serve(tmp_path) as here, open_page(browser, f"{here}/page.html") as (_, trouble):
        assert getattr(trouble, said)


def test_the_page_checks_can_fail(tmp_path, browser, axe):
    """An unset formula, a wide element and grey text on grey are seen."""
    from site_tools import serve

    (tmp_path / "page.html").write_text(
        "<!doctype html><html lang=en><title>x</title><main class=bd-article-container><article><h1>x</h1>"
        r'<span class="math">\(x\)</span><div style="width: 3000px">wide</div>'
        '<p style="color:#999;background:#aaa">grey</p></article></main></html>'
    )
    with serve(tmp_path) as here, open_page(browser, f"{here}/page.html") as (page, _):
        formulas = page.evaluate(FORMULAS)
        assert formulas["unset"]
        assert formulas["raw"]
        overflow = page.evaluate(OVERFLOW)
        assert overflow["extra"] > 0
        assert overflow["out"]
        page.evaluate(axe)
        assert any(line.startswith("color-contrast") for line in page.evaluate(AUDIT, [{}, None]))


# One fault of each kind that taking elements out could hide, and their rules.
FAULTS = """<!doctype html><html lang=en><title>x</title><style>.k {color: #ccc} .ok {color: #000}
mjx-container {display: inline-block}</style><main><h1>Faults</h1>
<pre class=highlight><span class=ok>fine</span> <span class=ok>fine <span class=k>pale</span></span></pre>
<pre class=highlight><span class=ok>fine <span class=k>pale again</span></span> <span class=k>pale here</span></pre>
<pre><span style="color: #bbb">pale by itself</span></pre><p style="color: #ccc">pale words</p>
<p>fine <span class=math><mjx-container><mjx-math aria-hidden=true>x</mjx-math></mjx-container></span> and
<span class=math><mjx-container><mjx-math aria-hidden=true>x</mjx-math></mjx-container></span></p>
<dl><dt class=sig><span class=ok>fine</span> <span class=ok>fine</span> <span class=k>pale</span></dt><dd>x</dd></dl>
<a href="#a"><mjx-container><mjx-math aria-hidden=true>x</mjx-math></mjx-container></a>
<a href="#b"><mjx-container><mjx-math aria-hidden=true>x</mjx-math><mjx-assistive-mml>x</mjx-assistive-mml>
</mjx-container></a>
<figure><svg role=img width=9 height=9><path d="M0 0"/></svg></figure>
<figure><svg role=img width=9 height=9><title>named</title><path d="M0 0"/></svg></figure>
<figure><svg role=img width=9 height=9 aria-labelledby=t><g><text id=t>named</text></g></svg></figure>
</main></html>"""


def test_taking_elements_out_hides_no_fault(tmp_path, browser, axe):
    """axe says of a page with planted faults the same before and after, but for the words of code that look alike."""
    from site_tools import serve

    (tmp_path / "page.html").write_text(FAULTS)
    with serve(tmp_path) as here, open_page(browser, f"{here}/page.html") as (page, _):
        page.evaluate(axe)
        before = page.evaluate(AUDIT, [{}, None])
        count = page.evaluate("() => document.querySelectorAll('*').length")
        page.evaluate(TRIM)
        after = page.evaluate(AUDIT, [{}, None])
        assert page.evaluate("() => document.querySelectorAll('*').length") < count - 5
    rules = [line.split(" ")[0] for line in before]
    assert sorted(rules) == ["color-contrast"] * 6 + ["link-name", "svg-img-alt"]
    assert sorted(line.split(" ")[0] for line in after) == sorted(rules)[1:]  # "pale again" looks as "pale" does
