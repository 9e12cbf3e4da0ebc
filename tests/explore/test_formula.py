"""A reader's formula: what it computes, against numpy and the library's activations, and what it refuses."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.explore.formula import FUNCTIONS, activation, parse
from ortholab.explore.tree import evaluate, kinks
from ortholab.theory import ACTIVATIONS, fixed_points

sys.path.insert(0, str(Path(__file__).parent))
from hostile import HOSTILE

X = np.linspace(-3, 3, 41) + 0.0123


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_gets_a_short_message_at_once(text):
    with pytest.raises(ArgumentError, match=r"^the formula ") as caught:
        activation(text)
    assert len(str(caught.value)) < 260
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"]])
def test_what_is_no_text_is_refused(value):
    with pytest.raises((ArgumentError, TypeError)):
        parse(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x^2", r"\*\* for a power"),
        ("2x", r"\* between '2' and 'x'"),
        ("2(x + 1)", r"\* between '2' and '\('"),
        ("(x)(x)", r"\* between '\)' and '\('"),
        ("sin x", "parentheses after sin"),
        ("tan(x)", "known are x, pi, e and tanh"),
        ("log(x)", "not finite at x = "),
        ("1/x", "not finite at x = 0"),
        ("1/(x - 2)", "not finite at x = 2"),
        ("exp(exp(x))", "not finite at x = 6"),
        ("sign(x)", "jumps by 2 at x = 0"),
        ("sqrt(abs(x))", "too sharply near x = "),
        ("sin(4000*x)", "too sharply"),
        ("abs(sin(40*x))", "kinks between"),
    ],
)
def test_a_slip_gets_a_message_that_helps(text, words):
    with pytest.raises(ArgumentError, match=words):
        activation(text)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("tanh(x)", np.tanh),
        ("x / (1 + abs(x))", lambda x: x / (1 + np.abs(x))),
        ("-x**2", lambda x: -(x**2)),
        ("2**-x", lambda x: 2.0**-x),
        ("2**3**0.5 * x", lambda x: 2 ** (3**0.5) * x),
        ("x - 1 - 2", lambda x: x - 3),
        ("1.5e-1*x + .5", lambda x: 0.15 * x + 0.5),
        ("sin(pi*x)*e", lambda x: np.sin(np.pi * x) * np.e),
        ("(1 + x**2)**(x/3)", lambda x: (1 + x * x) ** (x / 3)),
        ("max(min(x, 1), -1) + clip(2*x, -1, 1)", lambda x: np.clip(x, -1, 1) + np.clip(2 * x, -1, 1)),
        ("×".join(("2", "x")), lambda x: 2 * x),
    ],
)
def test_values_are_numpys_and_slopes_are_differences(text, truth):
    y = evaluate(parse(text), X)
    np.testing.assert_allclose(y.value, truth(X), rtol=1e-14)
    step = 1e-5
    np.testing.assert_allclose(y.slope, (truth(X + step) - truth(X - step)) / (2 * step), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [f for f in FUNCTIONS if f not in ("max", "min", "clip", "log", "sqrt")])
def test_each_function_has_its_own_derivative(name):
    tree, step = parse(f"{name}(x)"), 1e-5
    x = X[np.min(np.abs(X[:, None] - np.array([-1, 0, 1])), axis=1) > 1e-3]
    slope = (evaluate(tree, x + step).value - evaluate(tree, x - step).value) / (2 * step)
    np.testing.assert_allclose(evaluate(tree, x).slope, slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tanh(x)", "tanh"),
        ("max(0, x)", "relu"),
        ("(x + abs(x)) / 2", "relu"),
        ("clip(x, -1, 1)", "hard_tanh"),
        ("min(1, max(-1, x))", "hard_tanh"),
        ("erf(sqrt(pi)/2*x)", "erf"),
        ("x/(1 + exp(-x))", "silu"),
        ("gelu(x)", "gelu"),
        ("x", "linear"),
    ],
)
def test_a_formula_is_the_built_in_activation(text, name):
    mine, known = activation(text), ACTIVATIONS[name]
    assert (mine.kinks, mine.degree_one) == (known.kinks, known.degree_one)
    q = np.array([1e-3, 0.3, 2.0, 50.0])
    np.testing.assert_allclose(mine.mean_square(q), known.mean_square(q), rtol=1e-13)
    np.testing.assert_allclose(mine.slope_moment(q, 2), known.slope_moment(q, 2), rtol=1e-13)
    ours, theirs = (fixed_points(phi, 1.2, 0.3) for phi in (mine, known))
    assert [p.q for p in ours.points] == pytest.approx([p.q for p in theirs.points], rel=1e-11)


def test_kinks_are_found_where_they_are():
    assert kinks(parse("abs(x - 1/3) + max(x, 2 - x)")) == pytest.approx((1 / 3, 1.0), abs=1e-15)
    assert kinks(parse("relu(exp(x) - 2)")) == pytest.approx((np.log(2),), abs=1e-14)
    assert kinks(parse("abs(x**2 - 2)")) == pytest.approx((-(2**0.5), 2**0.5), abs=1e-14)
    assert kinks(parse("tanh(x) * sin(x)")) == ()


def test_a_saturated_slope_is_zero_and_not_nan():
    far = evaluate(parse("1/(1 + exp(-x))"), np.array([-1e3, 1e3]))
    assert (far.value.tolist(), far.slope.tolist()) == ([0.0, 1.0], [0.0, 0.0])
