"""Assignment 1: its own answers pass, and each plausible wrong answer fails with the words that help."""

from __future__ import annotations

import pytest
import sources

NAME = "1-isometry"

# part, piece of its answer, what stands there instead, words of the message
WRONG = [
    ("ordered-product", "d[:, None] * (W @ J)", "J @ (d[:, None] * W)", "layer 1 acts first, so it stands rightmost"),
    ("ordered-product", "d[:, None] * (W @ J)", "W @ J", "off by"),
    ("ordered-product", "return J\n", "return J.T\n", "transpose"),
    ("ordered-product", "return J\n", "print(J)\n", "`return` missing"),
    ("ordered-product", "J = slopes[0][:, None] * weights[0]", "J = slopes[0] * weights[0]", "rows"),
    ("ordered-product", "J = slopes[0][:, None]", "weights[0] *= slopes[0][:, None]; J = 1", "in place"),
    ("audit", "return shear, np.eye(3),", "return np.diag([1.0, 30.0]), np.eye(3),", "For which square matrices"),
    ("audit", "return shear, np.eye(3),", "return shear, np.eye(1),", "is right (to 0.1) on the second"),
    ("audit", "np.eye(3)[:, :2]", "shear", "What shape tells them apart"),
    ("audit", "np.eye(3)[:, :2]", "np.eye(3)[:2]", "At least as many rows"),
    ("audit", "np.linalg.svd(J, compute_uv=False)", "np.sort(abs(np.linalg.eigvals(J)))[::-1]", "eigenvalue"),
    ("audit", "np.abs(s**2 - 1).max()", "np.linalg.norm(J.T @ J - 1, 2)", "matrix of ones"),
    ("audit", "np.abs(s**2 - 1).max()", "np.linalg.norm(J @ J.T - np.eye(len(J)), 2)", "J J^T was compared"),
    ("audit", "np.abs(s**2 - 1).max()", "np.abs(s - 1).max()", "compares s with 1"),
    ("audit", "np.abs(s**2 - 1).max()", "np.linalg.norm(J.T @ J - np.eye(J.shape[1]))", "Frobenius"),
    ("audit", "s[0], s[-1],", "s[-1], s[0],", "swapped"),
    ("audit", "s[0], s[-1],", "s[0] ** 2, s[-1] ** 2,", "take the root"),
    ("critical-line", "np.sqrt(variance_w), np.sqrt(variance_b)", "variance_w, variance_b", "take the roots"),
    ("critical-line", "np.sum(weight * dphi(h) ** 2)", "np.sum(weight * dphi(h)) ** 2", "not the square of the mean"),
    ("critical-line", "h = np.sqrt(q) * z", "h = z", "do not depend on q"),
    ("critical-line", "h = np.sqrt(q) * z", "h = q * z", "is h = sqrt(q) z"),
    ("critical-line", "hermite_e.hermegauss", "hermite.hermgauss", "`hermegauss`"),
    ("critical-line", "q - variance_w * np", "q - np", "sigma_w^2 is missing"),
    ("critical-line", "raise ValueError(f", "return np.nan, str(f", "none exists"),
    ("critical-line", "hermegauss(150)", "hermegauss(24)", "too few nodes"),
    ("skip-theory", "(alpha**2 + beta**2 * chi) * a", "(alpha + beta * chi) * a", "enter squared"),
    ("skip-theory", "(alpha**2 + beta**2 * chi) * a", "beta**2 * chi * a", "skip path alpha^2 is missing"),
    ("skip-theory", "(alpha**2 + beta**2 * chi) * a", "(alpha + beta * chi**0.5) ** 2 * a", "mixed term"),
    ("skip-theory", "        r = alpha**2 * r + beta**2 *", "        _ =", "r changes from layer to layer"),
    ("skip-theory", "r = alpha**2 * r + beta**2 *", "r =", "The signal skips"),
    ("skip-theory", "chi = sigma_w**2 *", "chi =", "sigma_w^2 is missing"),
    ("skip-theory", "a, out = 1.0, []", "a, out = 1.0, [1.0]", "shape"),
    ("skip-simulation", "alpha * J + beta * dphi", "beta * dphi", "missing in the Jacobian"),
    ("skip-simulation", "sigma_w=sigma_w,", "sigma_w=sigma_w * N**0.5,", "too large"),
    ("skip-simulation", "dphi(h)[:, None] * (W @ J)", "(W @ J)", "slopes phi'(h) are missing"),
    ("skip-simulation", "np.sum(J**2) / N", "np.sum(J**2)", "divide by N"),
    ("skip-simulation", "x = alpha * x + beta * phi(h)", "x = beta * phi(h)", "missing in the signal"),
    ("skip-simulation", "rng=rng", "rng=np.random.default_rng()", "come from rng"),
    ("log-length", "return 0.0, mean,", "return mean, mean,", "logarithm of the mean comes first"),
    ("log-length", "return 0.0, mean,", "return 0.0, 0.0,", "Jensen"),
    ("log-length", "+ np.log(2 / width)", "", "log(2/N) is missing"),
    ("log-length", "depth * (digamma(width / 2) + np.log(2 / width))", "-depth / width", "limit of large N"),
    ("log-length", "polygamma(1, width / 2)", "polygamma(1, width)", "psi' is taken at N"),
    ("log-length", "depth * polygamma(1, width / 2)", "2 * depth / width", "2L/N is the limit"),
    ("log-length", "digamma(width / 2)", "digamma(width)", "belongs at N/2"),
    ("walk", "stats.t.ppf(0.975, d.size - 1)", "1.96", "Student's t"),
    ("walk", "ppf(0.975,", "ppf(0.95,", "take 0.975"),
    ("walk", "d.std(ddof=1)", "d.std()", "ddof=1"),
    ("walk", " / np.sqrt(d.size)", "", "sqrt(n) smaller"),
    ("walk", "np.asarray(a) - np.asarray(b)", "np.asarray(b) - np.asarray(a)", "b - a"),
    ("walk", "d.std(ddof=1)", "(np.var(a, ddof=1) + np.var(b, ddof=1)) ** 0.5", "separate samples"),
    ("walk", "sigma_w=np.sqrt(2)", "sigma_w=1.0", "sigma_w^2 = 2"),
    ("walk", "np.mean(h**2)", "np.mean(h**2) ** 0.5", "a length"),
    ("walk", "default_rng(seed)", "default_rng(0)", "Make the generator from the seed"),
    ("walk", "default_rng(seed)", "default_rng()", "same seed gives two answers"),
    ("walk", "draw_weights(kind,", 'draw_weights("gaussian",', "the mean of gaussian weights"),
    ("walk", "return interval(a, b)", "return interval(b, a)", "experiment"),
]


def test_points_add_up():
    marks = sources.marks(NAME)
    assert sum(marks.values()) == 100
    manual = sum(c.points for c in sources.cells(NAME) if c.graded and c.solution)
    assert 10 <= manual <= 20


@pytest.mark.parametrize("part", sources.parts(NAME))
def test_the_source_passes(part):
    outcome = sources.run(NAME, part)
    assert outcome
    assert all(error is None for error in outcome.values()), outcome


@pytest.mark.parametrize("part", sources.parts(NAME))
def test_the_untouched_stub_fails_and_says_so(part):
    outcome = sources.run(NAME, part, sources.stub(NAME, part))
    assert all("is not written yet" in str(error) for error in outcome.values()), outcome


@pytest.mark.parametrize("part", sources.parts(NAME))
def test_every_part_has_four_wrong_answers(part):
    assert sum(1 for wrong in WRONG if wrong[0] == part) >= 4


@pytest.mark.parametrize(("part", "old", "new", "words"), WRONG)
def test_a_wrong_answer_fails_with_the_right_message(part, old, new, words):
    assert words in sources.message(NAME, part, sources.changed(NAME, part, old, new))


# right answers that go another way: no false alarm
OTHER_WAYS = [
    ("ordered-product", "d[:, None] * (W @ J)", "np.diag(d) @ W @ J"),
    ("ordered-product", "return J\n", "return J.tolist()\n"),
    ("audit", "np.linalg.svd(J, compute_uv=False)", "np.sqrt(abs(np.linalg.eigvalsh(J.T @ J)[::-1]))"),
    ("audit", "np.abs(s**2 - 1).max()", "np.linalg.norm(J.T @ J - np.eye(J.shape[1]), 2)"),
    (
        "critical-line",
        "np.polynomial.hermite_e.hermegauss(150)",
        "(lambda z: (z, np.exp(-z * z / 2)))(np.linspace(-9, 9, 2001))",
    ),
    ("critical-line", "return np.sqrt(variance_w), np.sqrt(variance_b)", "return [variance_w**0.5, variance_b**0.5]"),
    ("skip-theory", "return np.array(out)", "return out"),
    ("skip-simulation", "gaussian(N, sigma_w=sigma_w, rng=rng)", "rng.normal(0, sigma_w / N**0.5, (N, N))"),
    ("skip-simulation", "np.sum(J**2) / N", "np.mean(np.linalg.svd(J, compute_uv=False) ** 2)"),
    ("log-length", "return 0.0, mean, variance", "return np.array([0, mean, variance])"),
    (
        "walk",
        "return d.mean() - half, d.mean() + half",
        "return stats.t.interval(0.95, d.size - 1, d.mean(), stats.sem(d))",
    ),
    ("walk", "np.log(q[-1] / q[0])", "2 * np.log(np.linalg.norm(h)) - np.log(40 * q[0])"),
]


@pytest.mark.parametrize(("part", "old", "new"), OTHER_WAYS)
def test_a_right_answer_may_go_another_way(part, old, new):
    outcome = sources.run(NAME, part, sources.changed(NAME, part, old, new))
    assert all(error is None for error in outcome.values()), outcome


def test_the_worked_conclusion_agrees_with_the_experiment():
    space = {}
    exec(next(c.text for c in sources.cells(NAME) if c.grade_id == "setup"), space)
    exec(sources.answer(NAME, "walk"), space)
    low, high = space["experiment"](range(100))
    assert 0 < low < 59 / 40 < high
    assert abs((low + high) / 2 - 1.4) < 0.05
