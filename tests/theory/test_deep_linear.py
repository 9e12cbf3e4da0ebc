"""Saxe's modes: closed forms, an ODE solver, and real deep linear networks trained by gradient descent."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ortholab.errors import ArgumentError
from ortholab.theory import deep_linear as dl
from ortholab.theory.fuss_catalan import fuss_catalan_cdf


@pytest.mark.parametrize(
    ("u0", "printed"),
    [
        (0.9, ("0.747", "0.794", "0.806")),
        (0.5, ("2.944", "3.670", "3.892")),
        (0.1, ("5.142", "11.041", "14.089")),
        (0.01, ("7.540", "54.13", "106.49")),
    ],
)
def test_printed_learning_times(u0, printed):
    for n, text in zip((2, 10, np.inf), printed, strict=True):
        digits = len(text.partition(".")[2])
        assert f"{dl.steps_to_learn(u0, 0.95, n):.{digits}f}" == text
    assert dl.depth_penalty(u0, 0.95) == pytest.approx(1 / u0 - 1 / 0.95, rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 100, np.inf])
@pytest.mark.parametrize(("s", "u0"), [(1.0, 0.01), (3.0, 0.2), (0.5, 1e-3)])
def test_trajectories_against_an_ode_solver(n, s, u0):
    many = 1 if n == np.inf else n
    power = 2 - (0 if n == np.inf else 2 / n)
    end = dl.scaled_learning_time(u0, 0.99 * s, n, s=s) / many
    t = np.linspace(0, 1.3 * end, 40)
    ode = solve_ivp(
        lambda t, u: many * u**power * (s - u), (0, t[-1]), [u0], "DOP853", rtol=1e-12, atol=1e-14, t_eval=t
    )
    np.testing.assert_allclose(dl.trajectory(t, u0, n, s=s), ode.y[0], rtol=1e-9)
    if n != np.inf:
        assert dl.trajectory(2.5 * dl.learning_time(u0, 0.9 * s, n, s=s), u0, n, s=s, tau=2.5) == pytest.approx(0.9 * s)
        assert dl.learning_time(u0, 0.9 * s, n, s=s, tau=2.5) == pytest.approx(
            2.5 * dl.learning_time(u0, 0.9 * s, n, s=s)
        )


def test_trajectories_reach_the_end_and_keep_shapes():
    late = dl.trajectory(np.array([[0.0, 1e9]]), 0.1, 7, s=2.0)
    assert late.shape == (1, 2)
    assert late[0] == pytest.approx([0.1, 2.0], rel=1e-13)
    assert dl.trajectory(1e9, 1e-3, np.inf) == pytest.approx(1.0)
    assert isinstance(dl.trajectory(1.0, 0.1, 2), float)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10])
def test_trained_networks_follow_every_mode(n):
    """Whitened inputs, three modes of strengths 3, 1.5, .7 in random frames, 6 x 6 matrices, small steps: within 1%."""
    rng = np.random.default_rng(n)
    s, u0 = np.array([3.0, 1.5, 0.7]), np.array([0.3, 0.1, 0.05])
    left, right = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    W = dl.aligned_start(u0, 6, n, rng=rng)
    W[0], W[-1] = W[0] @ right.T, left @ W[-1] if n > 1 else left @ (W[-1] @ right.T)
    target = (left[:, :3] * s) @ right[:, :3].T
    end = max(dl.learning_time(a, 0.98 * b, n, s=b) for a, b in zip(u0, s, strict=True))
    step = min(end / 1500, dl.best_step(n, s=3.0) / 50)
    every = max(1, int(end / step / 60))
    products = dl.train(W, target, step=step, steps=60 * every, every=every)
    modes = left.T @ products @ right
    t = np.arange(len(products)) * every * step
    for k in range(3):
        np.testing.assert_allclose(modes[:, k, k], dl.trajectory(t, u0[k], n, s=s[k]), rtol=0.01)
    assert np.abs(modes[:, 3:, :]).max() < 1e-10  # no other mode wakes up
    assert modes[-1, 2, 2] > 0.95 * 0.7


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_hessian_by_differences_and_the_step_that_diverges(n, s):
    a = np.full(n, s ** (1 / n))
    loss = lambda a: 0.5 * (s - np.prod(a)) ** 2  # noqa: E731
    h, eye = 1e-4, np.eye(n)
    hessian = [
        [
            (loss(a + h * (i + j)) - loss(a + h * (i - j)) - loss(a + h * (j - i)) + loss(a - h * (i + j)))
            / (4 * h * h)
            for j in eye
        ]
        for i in eye
    ]
    assert np.linalg.eigvalsh(hessian)[-1] == pytest.approx(dl.hessian_top(n, s=s), rel=1e-5)
    start = [np.full((1, 1), 0.98 * a[0])] * n
    target = np.full((1, 1), s)
    below = dl.train(start, target, step=1.9 * dl.best_step(n, s=s), steps=300)
    assert below[-1, 0, 0] == pytest.approx(s, rel=1e-6)
    above = dl.train(start, target, step=2.1 * dl.best_step(n, s=s), steps=30)
    assert abs(above[-1, 0, 0] - s) > abs(above[0, 0, 0] - s)


def test_orthogonal_starts_have_strength_one_and_gaussian_ones_follow_fuss_catalan():
    assert np.abs(dl.start_log_strengths("orthogonal", 30, 64, rng=0)).max() < 1e-12
    for n in (1, 5):
        log_s = np.sort(dl.start_log_strengths("gaussian", 200, n, rng=1))
        empirical = (np.arange(200) + 0.5) / 200
        assert np.abs(fuss_catalan_cdf(np.exp(log_s), n) - empirical).max() < 0.03
    medians = [np.median(dl.start_log_strengths("gaussian", 60, n, rng=2)) for n in (2, 8, 32)]
    assert medians[0] > medians[1] > medians[2]
    assert medians[2] < -10  # half of the modes start below 1e-4


def test_mean_log_length_is_exact():
    rng = np.random.default_rng(0)
    total = np.zeros(4000)
    for _ in range(3):  # each step multiplies |v|^2 by chi^2_width / width, whatever v is
        total += 0.5 * np.log(rng.chisquare(5, 4000) / 5)
    assert total.mean() == pytest.approx(dl.mean_log_length(5, 3), abs=4 * total.std() / 4000**0.5)
    direct = []
    for _ in range(2000):
        v = np.ones(5) / 5**0.5
        for _ in range(3):
            v = rng.standard_normal((5, 5)) / 5**0.5 @ v
        direct.append(np.log(np.linalg.norm(v)))
    assert np.mean(direct) == pytest.approx(dl.mean_log_length(5, 3), abs=4 * np.std(direct) / 2000**0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dl.learning_time(0.0, 0.5, 2), "u0 must be"),
        (lambda: dl.learning_time(0.5, 0.4, 2), "uf must be"),
        (lambda: dl.learning_time(0.5, 1.0, 2), "uf must be"),
        (lambda: dl.learning_time(0.5, 0.9, np.inf), "n must be finite"),
        (lambda: dl.scaled_learning_time(0.5, 0.9, 0), "n must be"),
        (lambda: dl.scaled_learning_time(0.5, 0.9, 2.5), "n must be"),
        (lambda: dl.trajectory([-1.0], 0.5, 2), "t must"),
        (lambda: dl.trajectory(1.0, 0.5, 2, tau=0.0), "tau must be"),
        (lambda: dl.start_log_strengths("uniform", 5, 2, rng=0), "kind must be"),
        (lambda: dl.aligned_start([1.0, 1.0], 1, 2, rng=0), "strengths must have at most"),
        (lambda: dl.train([np.eye(2)], np.eye(3), step=0.1, steps=3), "must chain"),
        (lambda: dl.train([np.eye(2)], 2 * np.eye(2), step=5.0, steps=99), "diverges at step"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
