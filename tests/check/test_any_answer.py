"""Whatever an answer returns, the checks of chapters I and II say what is wrong in their own words."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from ortholab import check

CHECKS = [
    check.audit_witnesses,
    check.bottleneck,
    check.comparison,
    check.critical_line,
    check.fuss_catalan,
    check.haar,
    check.haar_witness,
    check.isometric_q,
    check.isometry_audit,
    check.learning_time,
    check.log_length,
    check.ordered_jacobian,
    check.paired_interval,
    check.race,
    check.signal_walk,
    check.skip_means,
    check.skip_network,
]
# Returned by a function of any arguments: nothing here is right anywhere.
VALUES = {
    "nothing": None,
    "text": "0.5",
    "not a number": math.nan,
    "infinite": math.inf,
    "complex": 1j,
    "empty": [],
    "ragged": [[1.0, 2.0], [3.0]],
    "dictionary": {"a": 1.0},
    "three texts": ("a", "b", "c"),
    "three nothings": (None, None, None),
    "a huge integer": 10**400,
    "NaN in an array": np.full(3, np.nan),
    "objects": np.array([object(), None, 2]),
    "a set": {1.0, 2.0, 3.0},
    "a function": len,
    "truth": True,
}


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("test", CHECKS, ids=lambda f: f.__name__)
def test_a_strange_value_is_refused_in_words(test, value):
    with pytest.raises(check.CheckFailed) as caught:
        test(lambda *arguments: VALUES[value])
    assert 10 < len(str(caught.value)) < 600


@pytest.mark.parametrize("test", CHECKS, ids=lambda f: f.__name__)
def test_an_answer_that_is_no_function_or_raises_is_refused(test):
    def fails(*arguments):
        raise KeyError("lost")

    def wants_too_few():
        return 1.0

    for answer in (3.0, None, "text", fails, wants_too_few):
        with pytest.raises(check.CheckFailed):
            test(answer)


GENERATORS = {
    "default_rng": lambda: np.random.default_rng(5),
    "MT19937": lambda: np.random.Generator(np.random.MT19937(3)),
    "Philox": lambda: np.random.Generator(np.random.Philox(3)),
    "a child": lambda: np.random.default_rng(5).spawn(2)[1],
}


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_an_answer_gets_a_copy_of_the_generator_as_it_is(make):
    """Half a 64-bit number in store and a child spawned: the copy goes on as deepcopy's does, and the first stays."""
    rng = make()
    rng.integers(5, dtype=np.int32)
    rng.spawn(1)
    before, expected = str(rng.bit_generator.state), copy.deepcopy(rng)

    def draw(r):
        return [*r.integers(9, size=9, dtype=np.int32), *r.standard_normal(3), r.spawn(2)[1].random()]

    assert check._core.call(draw, rng, keeps=False) == draw(expected)
    assert str(rng.bit_generator.state) == before
    assert rng.bit_generator.seed_seq.n_children_spawned == 1
