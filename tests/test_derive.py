"""Derivations: true steps pass, false ones stop, wrong forms are shown failing."""

import json
import re

import numpy as np
import pytest
import sympy

from ortholab.derive import DEFINITION, Derivation, Step, identity, numerical
from ortholab.errors import ArgumentError, DerivationError


def step(check, **fields):
    return Step(r"a &= b", "Because $x < 1$.", check, **fields)


def outcome(check):
    return check.run()


@pytest.mark.parametrize(
    ("lhs", "rhs", "symbols"),
    [
        ("sin(t)**2 + cos(t)**2", "1", {"t": "real"}),
        ("sqrt(x**2)", "x", {"x": "positive"}),
        ("Integral(exp(-z**2/2)/sqrt(2*pi), (z, -oo, oo))", "1", {"z": "real"}),
        ("gamma*beta - beta*gamma + lam", "lam", {"gamma": "real", "beta": "real", "lam": "real"}),
        ("Sum(k, (k, 1, n))", "n*(n + 1)/2", {"n": "positive integer", "k": "integer"}),
        ("log(x**a)", "a*log(x)", {"x": (0.5, 2), "a": (-2, 2)}),
    ],
)
def test_true_identities_hold_by_symbols(lhs, rhs, symbols):
    found = outcome(identity(lhs, rhs, **symbols))
    assert found.holds
    assert "symbols" in found.result


def test_sympy_expressions_and_matrices():
    a, b = sympy.symbols("a b", real=True)
    turn = sympy.Matrix([[sympy.cos(a), -sympy.sin(a)], [sympy.sin(a), sympy.cos(a)]])
    assert outcome(identity(turn.T * turn, sympy.eye(2))).holds
    assert not outcome(identity(turn * turn, sympy.eye(2))).holds
    assert outcome(identity((a + b) ** 3 - a**3 - b**3, 3 * a * b * (a + b))).holds


def test_an_identity_that_sympy_cannot_decide_is_tested_numerically():
    """tanh^2 = 1 - sech^2 under a Gaussian integral without a closed form."""
    weight = "exp(-z**2/2)/sqrt(2*pi)"
    left, right = (f"Integral({weight}*({f}), (z, -oo, oo))" for f in ("tanh(z)**2", "1 - 1/cosh(z)**2"))
    found = outcome(identity(left, right, z="real", symbolic=False))
    assert found.holds
    assert "numbers: equal to 25 digits" in found.result
    assert not outcome(identity(left, f"{right} + 1e-5", z="real", symbolic=False)).holds
    undecided = outcome(identity("floor(x) + floor(-x)", "-1", x=(0.1, 0.9)))
    assert undecided.holds
    assert "numbers" in undecided.result


def test_a_false_identity_gives_a_counter_example():
    found = outcome(identity("(a + b)**2", "a**2 + b**2", a="real", b="real"))
    assert not found.holds
    left, right = (float(v) for v in re.search(r"left (\S+), right (\S+)$", found.result).groups())
    a, b = (float(v) for v in re.search(r"a=(\S+), b=([^:\s]+)", found.result).groups())
    assert left == pytest.approx((a + b) ** 2, rel=1e-2)
    assert right == pytest.approx(a**2 + b**2, rel=1e-2)


def test_an_identity_that_is_nearly_true_is_false():
    assert not outcome(identity("sin(x)", "x - x**3/6 + x**5/120", x=(0.01, 0.02))).holds
    assert not outcome(identity("22/7", "pi")).holds


def test_numerical_checks():
    def cyclic(rng):
        a, b = rng.normal(size=(2, 5, 5))
        return np.trace(a @ b), np.trace(b @ a)

    def not_commuting(rng):
        a, b = rng.normal(size=(2, 5, 5))
        return a @ b, b @ a

    assert outcome(numerical(cyclic, 1e-12)).holds
    assert not outcome(numerical(not_commuting, 1e-12)).holds
    assert outcome(numerical(lambda rng: 1e-13, 1e-12)).holds
    assert not outcome(numerical(lambda rng: 1e-11, 1e-12)).holds


def test_numerical_errors_are_relative_and_the_worst_counts():
    assert outcome(numerical(lambda rng: (1e9, 1e9 + 1), 1e-8)).holds
    assert not outcome(numerical(lambda rng: (1e-9, 2e-9), 1e-8)).holds
    calls = []

    def once(rng):
        calls.append(rng.integers(10**9))
        return (1.0, 1.0 if len(calls) != 3 else 2.0)

    found = outcome(numerical(once, 1e-3, instances=5))
    assert not found.holds
    assert len(set(calls)) == 5
    assert "worst relative error 0.5" in found.result


def test_numerical_is_reproducible_and_refuses_nan_and_wrong_shapes():
    seen = []
    check = numerical(lambda rng: (seen.append(rng.normal()), 0.0)[1], 1.0, instances=3, seed=4)
    check.run(), check.run()
    assert seen[:3] == seen[3:]
    assert not outcome(numerical(lambda rng: (np.nan, 1.0), 1e3)).holds
    assert not outcome(numerical(lambda rng: np.inf, 1e3)).holds
    assert not outcome(numerical(lambda rng: (np.array([1.0, np.nan]), np.ones(2)), 1e3)).holds
    with pytest.raises(DerivationError, match="different shapes"):
        outcome(numerical(lambda rng: (np.ones(3), np.ones((3, 3))), 1.0))
    with pytest.raises(DerivationError, match="different shapes"):
        outcome(numerical(lambda rng: (np.ones((3, 3)), np.ones(3)), 1.0))


def test_a_false_step_stops_and_names_everything():
    with pytest.raises(DerivationError) as caught:
        Derivation("Chi", [step(DEFINITION), step(numerical(lambda rng: (2.0, 3.0), 1e-6))])
    message = str(caught.value)
    for part in ("'Chi'", "step 2", "a = b", "left:  2", "right: 3"):
        assert part in message
    with pytest.raises(DerivationError, match=r"left:  2\*x\n +right: x"):
        Derivation("Chi", [step(identity("2*x", "x", x="real"))])


def test_a_wrong_form_that_holds_stops():
    with pytest.raises(DerivationError, match="expected to fail but holds"):
        Derivation("Chi", [step(identity("x + x", "2*x", x="real"), expect="fails")])


def test_wrong_forms_are_shown_failing():
    wrong = step(numerical(lambda rng: (0.849, 1.0), 1e-2), expect="fails", deck="(4)")
    shown = Derivation("Chi", [wrong])
    markup = shown._repr_html_()
    assert '<li class="ol-wrong">' in markup
    assert "✗ wrong, as printed in the deck" in markup
    assert "left 0.849, right 1" in markup
    assert "deck (4)" in markup
    assert "[wrong]" in repr(shown)
    unprinted = Derivation("Chi", [step(numerical(lambda rng: (0.849, 1.0), 1e-2), expect="fails")])
    assert "✗ wrong, as its check shows" in unprinted._repr_html_()


def test_html_has_every_part_and_no_script():
    def source_to_see(rng):
        return 1.0 < 2.0 and 1e-9

    shown = Derivation("On $s^2$", [step(DEFINITION), step(numerical(source_to_see, 1e-6, seed=7)), step(DEFINITION)])
    markup = shown._repr_html_()
    assert "<script" not in markup
    assert markup.count("<li") == 3
    assert markup.count("<details") == 1
    assert "<summary><span" in markup
    assert "✓ checked" in markup
    assert "return 1.0 &lt; 2.0 and 1e-9" in markup  # the source, escaped
    assert "seed 7" in markup
    assert "tolerance 1e-06" in markup
    assert markup.count(">definition<") == 2
    assert r"\(\displaystyle a\)" in markup
    assert r"\(x &lt; 1\)" in markup
    json.dumps(markup)


def test_source_of_a_lambda_is_its_own_text():
    first, second = numerical(lambda rng: 0.0, 1), numerical(lambda rng: (1.0, 1.0), 1)  # two on a line
    assert first.source == "lambda rng: 0.0"
    assert second.source == "lambda rng: (1.0, 1.0)"


def test_text_form_is_ascii():
    shown = Derivation("Plain", [step(DEFINITION), step(identity("x*x", "x**2", x="real"), deck="(2)")])
    assert repr(shown).isascii()
    assert "[ok]" in repr(shown)
    assert "deck (2)" in repr(shown)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: step(None), "check must be identity"),
        (lambda: step(DEFINITION, expect="maybe"), "expect must be one of"),
        (lambda: step(DEFINITION, expect="fails"), "cannot be expected to fail"),
        (lambda: Step("", "why", DEFINITION), "latex must be"),
        (lambda: Step("a", " ", DEFINITION), "reason must be"),
        (lambda: Derivation("", [step(DEFINITION)]), "title must be"),
        (lambda: Derivation("t", []), "steps must be"),
        (lambda: Derivation("t", [DEFINITION]), "steps must be"),
        (lambda: identity("x + 1", "x + 1", x="real"), "nothing is checked"),
        (lambda: identity("x + y", "x", x="real"), "undeclared: y"),
        (lambda: identity("x +* y", "x", x="real"), "lhs must be an expression"),
        (lambda: identity("x", "2*x", x="reel"), "x must have assumptions"),
        (lambda: identity("x", "2*x", x=(2, 1)), "x must be an assumption"),
        (lambda: numerical(3, 1e-3), "fn must be a function"),
        (lambda: numerical(lambda rng: 0.0, -1), "tol must be"),
        (lambda: numerical(lambda rng: 0.0, 1, instances=0), "instances must be"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()
