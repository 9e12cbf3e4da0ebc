"""Answers to assignment 2: each is the source's own with one piece of its text changed."""

from __future__ import annotations

INTEGRAND = "lambda f: 0.5 / (s - c / 2 * np.sinh(f))"
RELATIVE = "mu_2 / mu_1**2 - 1"
FIX = "Q * np.where(np.diag(R) < 0, -1.0, 1.0)"
# part, piece of its answer, what stands there instead, words of the message
WRONG = [
    ("fuss-catalan", "range(depth + 1)", "range(depth)", "one layer less"),
    ("fuss-catalan", "return m[1:]", "return np.concatenate([[1.0], m[1:-1]])", "begins with m_0"),
    ("fuss-catalan", "return m[1:]", "return m", "shape"),
    ("fuss-catalan", "range(depth + 1)", "range(2)", "Catalan numbers"),
    ("fuss-catalan", "return m[1:]", "return m[1:] * np.arange(1, count + 1)", "factor 1/k"),
    ("fuss-catalan", "for _ in range(count):", "for _ in range(2):", "off by"),
    ("bottleneck", "widths[0] / np.array(widths[1:], dtype=float)", "np.array(widths[1:]) / widths[0]", "turned over"),
    ("bottleneck", "widths[0] / np.array", "np.array(widths[:-1]) / np.array", "of neighbours"),
    ("bottleneck", "F = np.array([1.0, 1.0])", "F = np.array([1.0])", "1 + m is missing"),
    ("bottleneck", "[1.0, r]", "[1.0, 1.0]", "all widths as equal"),
    ("bottleneck", "power[k - 1] / k", "power[k - 1]", "factor 1/k"),
    ("bottleneck", "np.array(found)", "np.array(found) * widths[0] / widths[-1]", "N_L eigenvalues"),
    ("haar", "return Q[0, 0]", "return Q[0, 1]", "Which entries know of R's signs"),
    ("haar", "return Q[0, 0]", "return Q[0, 0] ** 2", "not 0"),
    ("haar", "return Q[0, 0]", "return 0.0", "within what chance does"),
    ("haar", "return Q[0, 0]", "return Q[0]", "shape"),
    ("haar", FIX, "Q", "multiply Q's columns by the signs of diag(R)"),
    ("haar", FIX, "rng.standard_normal((n, n)) / n**0.5", "not orthogonal ones"),
    ("haar", "rng.standard_normal((n, n))", "rng.uniform(size=(n, n))", "symmetric about 0"),
    ("haar", f"return {FIX}", f"Q = {FIX}; Q[:, 0] *= np.linalg.det(Q); return Q", "both equally likely"),
    ("haar", f"return {FIX}", "return np.eye(n)[rng.permutation(n)]", "only permutes the axes"),
    ("haar", "rng.standard_normal((n, n))", "np.random.standard_normal((n, n))", "come from rng"),
    ("haar", "rng.standard_normal((n, n))", "np.random.default_rng(0).standard_normal((n, n))", "the same matrix"),
    ("isometric-q", f"depth * ({RELATIVE})", RELATIVE, "the depth is missing"),
    ("isometric-q", RELATIVE, "1 - mu_2 / mu_1", "mu_1 enters squared"),
    ("isometric-q", RELATIVE, "mu_2 - mu_1**2", "plain variance"),
    ("isometric-q", "dphi(h) ** 4, q)", "dphi(h) ** 2, q); mu_1 = expect(dphi, q)", "phi'^(2k)"),
    ("isometric-q", "q = np.exp(log_q)", "q = np.exp(log_q) ** 2", "standard deviation of h"),
    (
        "isometric-q",
        'raise ValueError("the variance is too large at every q*")',
        "return 0.0",
        "Raise ValueError there",
    ),
    ("learning-time", "abs(a**2 - b**2)", "0.0", "balanced start"),
    ("learning-time", "abs(a**2 - b**2)", "abs(a - b)", "which is conserved"),
    ("learning-time", INTEGRAND, "lambda f: 1 / (s - c / 2 * np.sinh(f))", "Twice too long"),
    ("learning-time", INTEGRAND, "lambda f: 0.5", "s - u is missing"),
    ("learning-time", "np.arcsinh(2 * u_0 / c),", "0.0,", "not from u_0 = a b"),
    ("learning-time", "return np.inf", "return np.nan", "not infinity"),
    ("learning-time", "return value", "return -value", "sign is turned"),
    ("learning-time", "return value", "return np.inf", "the time is infinite"),
    ("race", "t = stats.t.ppf(0.975, len(logs) - 1)", "t = 1.96", "Student's t"),
    ("race", "ddof=1", "ddof=0", "ddof=1"),
    ("race", " / np.sqrt(len(logs))", "", "sqrt(n) smaller"),
    (
        "race",
        'run("gaussian", seed) / run("orthogonal", seed)',
        'run("orthogonal", seed) / run("gaussian", seed)',
        "over",
    ),
    ("race", "return np.exp(np.mean(logs)", "return (np.mean(logs)", "exponentiate at the end"),
    ("race", "[0.0, -half, half]", "[-half, 0.0, half]", "order asked for"),
    ("race", "for seed in seeds\n", "for seed in seeds[:4]\n", "never made"),
    ("race", "for seed in seeds\n", "for seed in range(10)\n", "the given seeds"),
    ("race", "for size in STEP_SIZES", "for size in STEP_SIZES[:1]", "best step size"),
    ("race", "start(kind, seed)", 'start("orthogonal", seed)', "passed on to every layer"),
    ("race", "start(kind, seed)", "start(kind, np.random.default_rng().integers(99))", "same seed"),
    ("race", "except ArgumentError:", "except KeyError:", "ArgumentError"),
]

# right answers that go another way: part, piece of the answer, what stands there instead
RIGHT = [
    ("fuss-catalan", "return m[1:]", "return [round(v) for v in m[1:]]"),
    ("bottleneck", "return np.array(found)", "return tuple(found)"),
    ("haar", "return Q[0, 0]", "return np.linalg.det(Q)"),
    ("haar", "return Q[0, 0]", "return np.trace(Q)"),
    ("haar", FIX, "Q * rng.choice([-1.0, 1.0], size=n)"),
    (
        "haar",
        f"return {FIX}",
        "U, _, V = np.linalg.svd(rng.standard_normal((n, n))); return U @ V",
    ),
    ("isometric-q", "float(np.exp(brentq(excess, low, high, xtol=1e-12)))", "np.exp(brentq(excess, low, high))"),
    (
        "learning-time",
        "value, _ = quad(",
        "value, _ = quad(lambda f: 0.5 / (s - c / 2 * np.sinh(f)), low, high); _ = quad(",
    ),
    ("race", "return best\n", "return float(best)\n"),
    (
        "race",
        "return np.exp(np.mean(logs) + np.array([0.0, -half, half]))",
        "return [float(np.exp(np.mean(logs) + e)) for e in (0, -half, half)]",
    ),
]
