"""Assignment 4: what its worked answers say holds. Its answers, right and wrong: test_answers.py."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sources

from ortholab.theory import haar

NAME = "4-gain"


def test_the_derivation_holds_in_numbers():
    """Fresh factors (1 - a) I + a g D Q multiply the mean of s^2 by (1 - a)^2 + a^2 chi; a shared Q does not."""
    rng = np.random.default_rng(0)
    n, gain, leak, draws = 8, 1.3, 0.4, 4000
    slopes = rng.uniform(0.2, 1.0, (3, n))
    predicted = np.prod((1 - leak) ** 2 + leak**2 * gain**2 * np.mean(slopes**2, axis=1))
    J = np.broadcast_to(np.eye(n), (draws, n, n))
    for d in slopes:
        J = (1 - leak) * J + leak * gain * d[:, None] * haar(n, rng=rng, batch=(draws,)) @ J
    squares = np.sum(J**2, axis=(1, 2)) / n
    assert abs(squares.mean() - predicted) < 4 * squares.std() / draws**0.5

    Q, t = haar(400, rng=rng), 5
    factor = (1 - leak) * np.eye(400) + leak * gain * Q
    angle = np.linspace(0, 2 * np.pi, 1001)[:-1]
    integral = np.mean(abs(1 - leak + leak * gain * np.exp(1j * angle)) ** (2 * t))
    assert np.sum(np.linalg.matrix_power(factor, t) ** 2) / 400 == pytest.approx(integral, rel=0.03)
    assert integral > 1.5 * ((1 - leak) ** 2 + (leak * gain) ** 2) ** t


def test_the_model_conclusion_states_what_the_runs_give(capsys):
    assert sources.run(NAME, "audit")["audit-visible"] is None
    printed = capsys.readouterr().out
    stated = next(cell.text for cell in sources.cells(NAME) if cell.grade_id == "conclusion")
    rows = re.findall(r"adjusted - (\w+): (\S+) \[(\S+), (\S+)\] points, (.+)", printed)
    assert len(rows) == 2
    for name, mean, low, high, said in rows:
        found = re.search(rf"minus {name}\* is \$(\S+)\$[^$]*\$\[(\S+), (\S+)\]\$: ([^;,.]*)", stated)
        assert [float(v) for v in found.groups()[:3]] == pytest.approx([float(v) for v in (mean, low, high)], abs=0.3)
        assert said in found[4]
