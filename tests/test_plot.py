"""The house style: tokens, contrast, captions, the two layouts, and SVG that is the same every time."""

import functools
import re
from itertools import combinations

import numpy as np
import pytest

from ortholab import _svg, plot
from ortholab._html import inline, plain, style
from ortholab._tokens import NAMES, TEXT, TOKENS, css, declarations
from ortholab.errors import ArgumentError


def linear(colour):
    v = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2.2's contrast ratio."""
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (light + 0.05) / (dark + 0.05)


# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}
# Colours that meet in one figure.
MEET = [
    ("orthogonal", "gaussian", "relu", "extra", "theory"),
    ("ordered", "chaotic", "theory"),
    ("data", "theory", "orthogonal"),
]


def oklab(rgb):
    cone = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.793617785, -0.0040720468],
            [1.9779984951, -2.428592205, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.808675766],
        ]
    )
    return lab @ np.cbrt(np.clip(cone @ np.clip(rgb, 0, 1), 0, None))


@pytest.mark.parametrize("theme", TOKENS)
def test_tokens_stand_out_from_paper(theme):
    tokens = TOKENS[theme]
    for paper in {"light": ("#ffffff",), "dark": ("#14181e", "#121212", "#111111")}[theme]:
        assert min(contrast(tokens[name], paper) for name in TEXT) >= 4.5
        assert contrast(tokens["line"], paper) >= 3


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", TOKENS)
def test_colours_that_meet_differ_for_every_eye(theme, sight):
    """0.09 in OKLab is about nine times the smallest difference that is seen side by side."""
    seen = {name: oklab(SIGHT[sight] @ linear(hex_)) for name, hex_ in TOKENS[theme].items()}
    for group in MEET:
        for a, b in combinations(group, 2):
            assert np.linalg.norm(seen[a] - seen[b]) > 0.08, (a, b)


def test_series_differ_without_colour():
    series = ("orthogonal", "gaussian", "relu", "extra")
    assert len({str(plot._LINES.get(name, "-")) for name in series}) == len(series)
    assert len({plot._MARKERS.get(name, "o") for name in series}) == len(series)


def test_both_themes_have_every_token_and_no_hex_is_shared():
    assert set(TOKENS["light"]) == set(TOKENS["dark"]) == set(NAMES)
    assert len(set(TOKENS["light"].values())) == len(NAMES)  # the hex is how a drawn colour is recognised
    assert plot._ON_IMAGE not in TOKENS["light"].values()


@functools.cache
def figure(**names):
    """Draw two panels; the same names give the picture that was drawn."""
    fig, (left, right) = plot.subplots(ncols=2, sharey=True)
    x = np.linspace(0, 1, 40)
    plot.theory(left, x, x, label="one", color="orthogonal")
    plot.theory(left, x, x + 1e-3, label="two", color="gaussian")
    plot.simulation(left, x[::8], x[::8], 0.1 + 0 * x[::8], color="gaussian")
    plot.simulation(right, x, x, (x - 0.1, x + 0.1), color="relu", band=True, label="three")
    left.set(xlabel="$x$", ylabel="$y$")
    return plot.render(fig, caption="It is $x < 2$.", alt='Two "lines" & points', **names)


@pytest.mark.parametrize("missing", ["caption", "alt"])
def test_caption_and_alt_are_required(missing):
    fig, _ = plot.subplots()
    texts = {"caption": "A finding.", "alt": "A line."}
    with pytest.raises(ArgumentError, match=missing):
        plot.show(fig, **texts | {missing: "  "})
    with pytest.raises(TypeError, match=missing):
        plot.show(fig, **{key: value for key, value in texts.items() if key != missing})


def test_every_token_becomes_a_custom_property():
    markup = figure(name="fig-a").html
    for name in ("orthogonal", "gaussian", "relu", "ink"):
        assert css(name) in markup
    svgs = "".join(re.findall(r"<svg.*?</svg>", markup, flags=re.S))
    bare = set(re.findall(r"#[0-9a-f]{6}\b", re.sub(r"var\(--ol-[^;\"]*", "", svgs)))
    assert not bare & set(TOKENS["light"].values())
    assert "--ol-orthogonal: " + TOKENS["dark"]["orthogonal"] in markup  # dark notebooks
    assert "<script" not in markup


def test_a_figure_styles_itself_alone():
    """matplotlib's rule for every element of the page is gone; the joints and ends of lines are the root's own."""
    svgs = re.findall(r"<svg.*?</svg>", figure(name="fig-a").html, flags=re.S)
    assert len(svgs) == 2
    assert all("<style" not in svg for svg in svgs)
    assert all('stroke-linejoin="round" stroke-linecap="butt"' in svg[: svg.index(">")] for svg in svgs)


def test_caption_is_escaped_and_its_math_marked():
    markup = figure(name="fig-a").html
    assert r'<span class="math notranslate nohighlight">\(x &lt; 2\)</span>.</span></figcaption>' in markup
    assert 'aria-label="Two &quot;lines&quot; &amp; points"' in markup
    assert markup.count('role="img"') == 2


def test_same_figure_same_bytes():
    one, two = figure(), figure.__wrapped__()
    assert one.html == two.html
    assert one.png == two.png


def test_ids_are_unique_and_every_reference_is_met():
    markup = figure(name="fig-a").html + figure(name="fig-b").html
    ids = re.findall(r' id="([^"]+)"', markup)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', markup)) <= set(ids)
    assert "fig-a" in ids


def test_without_a_name_the_anchor_comes_from_the_content():
    assert re.search(r'id="fig-[0-9a-f]{10}"', figure().html)
    with pytest.raises(ArgumentError, match="name"):
        figure(name="Fig 1")


def test_phone_layout_stacks_the_panels_and_labels_shared_axes():
    markup = figure(name="fig-a").html
    boxes = [[float(v) for v in box.split()] for box in re.findall(r'viewBox="([^"]+)"', markup)]
    (wide, narrow) = boxes
    assert wide[2] == pytest.approx(72 * plot.WIDTH)
    assert narrow[2:] == pytest.approx([72 * _svg.NARROW, 144 * _svg.PANEL])
    fig, (left, right) = plot.subplots(ncols=2, sharey=True)
    left.set_ylabel("loss")
    plot.render(fig, caption="c", alt="a")
    assert right.get_ylabel() == "loss"
    fig, _ = plot.subplots()
    assert plot.render(fig, caption="c", alt="a", phone=False).html.count("<svg") == 1


def test_direct_labels_do_not_overlap():
    fig, ax = plot.subplots()
    for k in range(4):
        plot.direct_label(ax, 0.5, 0.5 + 1e-3 * k, f"label {k}")
    _svg.separate_labels(fig)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert [box.y0 for box in boxes] == sorted(box.y0 for box in boxes)  # the order of the points is kept


def test_everything_stays_inside_the_picture():
    fig, ax = plot.subplots()
    plot.heat(ax, np.arange(30), np.arange(20), np.ones((20, 30)), label="a long name $q^*$")
    _svg.svg_narrow(fig)
    fig.draw_without_rendering()
    for part in fig.axes:
        box = part.get_tightbbox()
        assert box.x0 >= -1
        assert box.x1 <= fig.bbox.x1 + 1


def test_files_stay_small():
    rng = np.random.default_rng(0)
    fig, (left, right) = plot.subplots(ncols=2)
    plot.heat(left, np.arange(200), np.arange(200), rng.normal(size=(200, 200)), label="z", levels=[2.5])
    plot.theory(right, np.arange(5000), np.cumsum(rng.normal(size=5000)))
    assert len(plot.render(fig, caption="c", alt="a").html) < 600_000  # two layouts
    fig, ax = plot.subplots()
    plot.theory(ax, np.arange(5000), np.sin(np.arange(5000) / 300), label="sine")
    assert len(plot.render(fig, caption="c", alt="a").html) < 60_000


def test_helpers_refuse_what_they_cannot_draw():
    _, ax = plot.subplots()
    with pytest.raises(ArgumentError, match="color must be one of"):
        plot.theory(ax, [0, 1], [0, 1], color="blue")
    with pytest.raises(ArgumentError, match="one length"):
        plot.theory(ax, [0, 1], [0, 1, 2])
    with pytest.raises(ArgumentError, match="z must have shape"):
        plot.heat(ax, np.arange(3), np.arange(2), np.zeros((3, 2)), label="z")
    with pytest.raises(ArgumentError, match="samples must be finite"):
        plot.histogram(ax, [0.0, np.nan])
    with pytest.raises(ArgumentError, match="M must have 2"):
        plot.matrix(ax, np.zeros(3))
    with pytest.raises(ArgumentError, match="ncols"):
        plot.subplots(ncols=0)


def test_histogram_and_matrix_draw_what_they_are_given():
    _, (left, right) = plot.subplots(ncols=2)
    samples = np.random.default_rng(0).normal(size=1000)
    plot.histogram(left, samples, bins=20, label="samples")
    values, edges, _ = left.patches[0].get_data()
    assert np.sum(values * np.diff(edges)) == pytest.approx(1)
    image = plot.matrix(right, np.diag([1.0, -3.0]))
    assert image.get_clim() == (-3.0, 3.0)


def test_inline_text():
    assert inline("a **b $c$** d").startswith("a <strong>b <span")
    assert plain("a **b $c$** `d`, $e$.") == "a b c d, e."
    assert re.search(r'<span style="white-space:nowrap">.*\\\(x\\\)</span>,</span> y', inline("$x$, y"))
    with pytest.raises(ArgumentError, match="close every"):
        inline("costs $3")


def test_style_needs_no_script_and_names_tokens():
    assert style() == ""
    assert style(".x{color:@(fails)}") == f"<style>.x{{color:{css('fails')}}}</style>"
    assert declarations("light", ("ink",)) in ":root { " + declarations("light") + " }"
