"""The mark and the chain: well-formed, in tokens, and drawn from the formulas that they depict."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ortholab import drawings
from ortholab._tokens import TOKENS
from ortholab.errors import ArgumentError

SVG = "{http://www.w3.org/2000/svg}"


def points(glyph, number):
    text = re.findall(r'points="([^"]+)"', glyph)[number]
    return np.array([[float(v) for v in pair.split(",")] for pair in text.split()])


@pytest.mark.parametrize("theme", [None, "light", "dark"])
@pytest.mark.parametrize("draw", [drawings.mark, lambda theme: drawings.chain("wide", theme)])
def test_drawings_are_well_formed_and_use_tokens_only(draw, theme):
    svg = draw(theme=theme)
    root = ET.fromstring(svg)
    assert root.tag == SVG + "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label") == root.find(SVG + "title").text
    assert "@" not in svg
    assert not re.search(r' (?:fill|stroke)="(?!none)', svg)  # paint stands in style, where var() is understood
    colours = set(re.findall(r"#[0-9a-f]{6}", svg))
    assert colours <= set(TOKENS[theme or "light"].values())
    assert ("var(--ol-" in svg) == (theme is None)


def test_mark_is_small_square_and_keeps_its_lengths():
    svg = drawings.mark()
    assert 'viewBox="0 0 32 32"' in svg
    assert len(svg) < 2500
    for number in range(3):
        corners = points(svg, number)
        sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
        assert sides == pytest.approx([14 * 2**0.5] * 4, abs=0.02)
        assert corners.min() > 1
        assert corners.max() < 31


def test_chain_has_six_nodes_in_order_and_two_layouts():
    both = drawings.chain()
    assert both.count("<svg") == 2
    for layout in ("wide", "narrow"):
        root = ET.fromstring(drawings.chain(layout))
        text = " ".join(root.itertext())
        assert [text.index(f"{number}. {node.title}") for number, node in enumerate(drawings._NODES, 1)]
        assert len(re.findall("<polyline", drawings.chain(layout))) > 15
        assert root.find(SVG + "desc") is not None
    with pytest.raises(ArgumentError, match="layout"):
        drawings.chain("tall")
    with pytest.raises(ArgumentError, match="theme"):
        drawings.mark("sepia")


def test_no_word_leaves_the_narrow_drawing():
    """Words are drawn by the reader's font: allow 0.56 em a letter."""
    root = ET.fromstring(drawings.chain("narrow"))
    width = float(root.get("viewBox").split()[2])
    for text in root.iter(SVG + "text"):
        if text.get("text-anchor") is None and float(text.get("x")) > drawings.W:
            assert float(text.get("x")) + 0.56 * float(text.get("font-size")) * len(text.text) < width + 4


def test_cobweb_ends_at_the_fixed_point():
    from ortholab.theory import q_star

    x, y = re.search(r'cx="([\d.]+)" cy="([\d.]+)"', drawings._cobweb()).groups()
    q = float(x) / drawings.W * 1.55
    assert q == pytest.approx(q_star("tanh", 1.7, 0.3), abs=0.02)
    assert q == pytest.approx((1 - float(y) / drawings.H) * 1.55, abs=0.02)


def test_spectrum_is_fuss_catalan():
    """Its right end is the edge sqrt((L+1)^(L+1) / L^L) for L = 4."""
    curve = points(drawings._density(), 1)
    assert curve[:, 0].max() / drawings.W * 3.7 == pytest.approx((5**5 / 4**4) ** 0.5, abs=0.03)


def test_depth_scale_is_one_over_log_chi():
    from ortholab.theory import chi

    curve = points(drawings._depth(), 3)  # the ordered branch
    for x, y in curve[:: len(curve) // 4]:
        sigma_w = 0.9 + 1.1 * x / drawings.W
        xi = 24 * (1 - y / drawings.H)
        assert xi == pytest.approx(-1 / np.log(chi("tanh", sigma_w, 0.3)), rel=0.03)


def test_drawing_can_be_saved(tmp_path):
    path = tmp_path / "mark.svg"
    drawings.mark("light").save(path)
    assert ET.parse(path).getroot().tag == SVG + "svg"
    assert "<figure" in drawings.mark()._repr_html_()


def test_a_notebook_in_a_dark_theme_gets_the_dark_tokens():
    shown = drawings.chain()._repr_html_()
    assert f"--ol-chaotic: {TOKENS['dark']['chaotic']}" in shown
    assert "--ol-relu" not in shown  # only what is drawn
