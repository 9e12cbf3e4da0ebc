"""The spectrum of J J^T against closed forms, an independent solver, sampled networks and its own moments."""

import sys
from math import comb
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, optimize, special

from ortholab.errors import ArgumentError, NoFixedPointError
from ortholab.theory import simulate
from ortholab.theory.activations import ERF, GELU, HARD_TANH, RELU, TANH, get_activation, own_activation
from ortholab.theory.ensembles import weights as draw_weights
from ortholab.theory.free_moments import free_moments
from ortholab.theory.fuss_catalan import fuss_catalan_cdf, fuss_catalan_density, fuss_catalan_edge
from ortholab.theory.spectrum import JacobianSpectrum
from ortholab.theory.universality import UniversalSpectrum

sys.path.insert(0, str(Path(__file__).parent))
from rotation import dense_law, rotate

LEAKY = own_activation("leaky", lambda x: np.where(x > 0, x, 0.3 * x), kinks=(0.0,), degree_one=True)
STEPS = own_activation(  # slopes 1/2 and 2 far out, 1 in the middle: three atoms
    "three slopes",
    lambda x: np.where(x < -1, 0.5 * (x + 1) - 1, np.where(x > 1, 2 * (x - 1) + 1, x)),
    lambda x: np.where(x < -1, 0.5, np.where(x > 1, 2.0, 1.0)),
    kinks=(-1.0, 1.0),
)
SOFTPLUS = own_activation("softplus", lambda x: np.logaddexp(0, x), special.expit)
MIXED = own_activation(
    "clipped sine", lambda x: np.where(np.abs(x) < 1, np.sin(x), np.sign(x) * np.sin(1)), kinks=(-1, 1)
)


def same(found, wanted):
    np.testing.assert_allclose(np.array(found).reshape(-1, 2), np.array(wanted).reshape(-1, 2), rtol=1e-9, atol=1e-12)


# ---- the table of known values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "weights", "q", "values"),
    [
        ("relu", "gaussian", None, {8: ("6.60", "16.0"), 32: ("13.19", "64.00"), 128: ("26.38", "256"), 200: "32.97"}),
        ("relu", "orthogonal", None, {8: ("4.51", "8.0"), 32: ("9.25", "32.0"), 128: ("18.62", "128.0"), 200: "23.29"}),
        ("tanh", "orthogonal", 1 / 64, {8: ("1.082", "0.014"), 32: ("1.202", "0.054"), 128: ("1.468", "0.216")}),
        ("tanh", "orthogonal", 0.25, {8: ("2.05", "1.10"), 32: ("3.64", "4.38"), 128: ("7.00", "17.5")}),
        ("tanh", "orthogonal", 1.0, {8: ("3.65", "4.67"), 32: ("7.17", "18.7"), 128: ("14.27", "74.7")}),
        ("tanh", "gaussian", 1 / 64, {8: ("4.81", "8.01"), 32: ("9.41", "32.1"), 128: ("18.7", "128")}),
        ("linear", "gaussian", None, {1: "2.000", 5: "3.864", 16: "6.697", 32: "9.399", 100: "16.528", 200: "23.346"}),
    ],
)  # fmt: skip
def test_printed_values(name, weights, q, values):
    for depth, wanted in values.items():
        spectrum = JacobianSpectrum(name, depth, q=q, weights=weights)
        for text, value in zip(
            (wanted,) if isinstance(wanted, str) else wanted, (spectrum.s_max, spectrum.variance), strict=False
        ):
            assert f"{value:.{len(text.partition('.')[2])}f}" == text


@pytest.mark.parametrize(("square", "orthogonal", "gaussian"), [(1.05, 2.04, 23.4), (2.0, 16.3, 28.5)])
def test_the_depth_200_networks_of_the_paper(square, orthogonal, gaussian):
    """At exact criticality; sigma_b^2 rounded to .104 already loses 2%, as chi^100 = .983 says."""
    q = optimize.brentq(lambda q: TANH.slope_moment(q) - 1 / square, 1e-6, 5)
    assert JacobianSpectrum("tanh", 200, q=q).s_max == pytest.approx(orthogonal, rel=3e-3)
    assert JacobianSpectrum("tanh", 200, q=q, weights="gaussian").s_max == pytest.approx(gaussian, rel=3e-3)
    if square == 2.0:
        rounded = JacobianSpectrum("tanh", 200, sigma_w=2**0.5, sigma_b=0.104**0.5)
        assert rounded.chi**100 == pytest.approx(0.983, abs=1e-3)
        assert rounded.s_max == pytest.approx(16.028, abs=1e-3)


def test_relu_edge_at_depth_200():
    assert round(JacobianSpectrum("relu", 200, weights="gaussian").lambda_max, 3) == 1087.315


# ---- edges and atoms, each against a second computation -------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 10, 100, 1000])
@pytest.mark.parametrize("q", [0.1, 0.25, 1.0, 30.0])
def test_piecewise_linear_edges_and_atoms(depth, q):
    p, L = special.erf(1 / np.sqrt(2 * q)), depth
    gauss = JacobianSpectrum("hard_tanh", L, q=q, weights="gaussian")
    z = (-(L - 1) + np.sqrt((L - 1) ** 2 + 4 * L * p)) / (2 * L)  # positive root of L z^2 + (L - 1) z - p
    assert np.isclose(gauss.log_edges[1], np.log((1 + z) / z) + L * np.log((z + p) / p), rtol=1e-12, atol=1e-11)
    same(gauss.atoms, [(0.0, 1 - p)])
    orthogonal = JacobianSpectrum("hard_tanh", L, q=q)
    excess = L * (1 - p)
    if L > 1:  # the deck's form of (7) is always the edge of the band ...
        deck = -np.log(p) + np.log(1 - p) + L * np.log(L) - (L - 1) * np.log(L - 1)
        assert np.isclose(orthogonal.log_bands[-1][1], deck, rtol=1e-12, atol=1e-11)
    if excess < 1:  # ... and lambda_max only where no atom stands above it
        same(orthogonal.atoms, [(0.0, 1 - p), (p**-L, 1 - excess)])
        assert np.isclose(orthogonal.lambda_max, p**-L, rtol=1e-12)
        assert L == 1 or orthogonal.log_bands[-1][1] < -L * np.log(p)
    else:
        same(orthogonal.atoms, [(0.0, 1 - p)])


@pytest.mark.parametrize("name", ["tanh", "erf"])
@pytest.mark.parametrize(("depth", "q"), [(2, 0.3), (8, 0.05), (50, 2.0), (300, 1e-3)])
def test_smooth_edges_by_minimisation(name, depth, q):
    act = get_activation(name)
    d, weight = dense_law(act.dphi, q)
    for kind in ("orthogonal", "gaussian"):

        def log_lambda(log_gap, kind=kind):
            x = 1 + np.exp(log_gap)
            m = np.sum(weight * d / (x - d))
            value = np.log((1 + m) / m) + depth * (np.log(m * x) - np.log(np.sum(weight * d)))
            return value - (depth * np.log(1 + m) if kind == "orthogonal" else 0.0)

        grid = np.linspace(-16, 9, 400)
        start = grid[np.argmin([log_lambda(g) for g in grid])]
        best = optimize.minimize_scalar(log_lambda, bracket=(start - 0.1, start, start + 0.1), options={"xtol": 1e-10})
        assert JacobianSpectrum(name, depth, q=q, weights=kind).log_edges[1] == pytest.approx(best.fun, abs=1e-9)


def test_variance_of_erf_is_closed():
    for q, depth in [(0.1, 3), (1.0, 50)]:
        excess = (1 + np.pi * q) / np.sqrt(1 + 2 * np.pi * q) - 1
        assert JacobianSpectrum("erf", depth, q=q).variance == pytest.approx(depth * excess, rel=1e-12)
        gauss = JacobianSpectrum("erf", depth, q=q, weights="gaussian")
        assert gauss.variance == pytest.approx(depth * (excess + 1), rel=1e-12)


# ---- known laws -----------------------------------------------------------------------------------------------------


def test_orthogonal_linear_is_one_atom():
    spectrum = JacobianSpectrum("linear", 100, sigma_w=0.9)
    same(spectrum.atoms, [(0.9**200, 1.0)])
    assert spectrum.bands == []
    assert spectrum.cdf([0.0, 0.9**200 * 0.999, 0.9**200 * 1.001]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("depth", [1, 2, 7, 64, 1000])
def test_gaussian_linear_is_fuss_catalan(depth):
    spectrum = JacobianSpectrum("linear", depth, weights="gaussian")
    s = fuss_catalan_edge(depth) * np.linspace(0, 1, 203)[1:-1]
    assert spectrum.s_max == pytest.approx(fuss_catalan_edge(depth), rel=1e-12)
    np.testing.assert_allclose(spectrum.density_of_s(s), fuss_catalan_density(s, depth), rtol=2e-9)
    np.testing.assert_allclose(spectrum.cdf_of_s(s), fuss_catalan_cdf(s, depth), atol=1e-12)


def test_two_relu_layers_are_arcsine():
    """P O P with free projections of rank 1/2: half a zero atom, half the arcsine law on [0, 4]."""
    spectrum = JacobianSpectrum("relu", 2)
    lam = np.linspace(0, 4, 99)[1:-1]
    np.testing.assert_allclose(spectrum.density(lam), 0.5 / np.pi / np.sqrt(lam * (4 - lam)), rtol=1e-9)
    np.testing.assert_allclose(spectrum.cdf(lam), 0.5 + np.arcsin(np.sqrt(lam) / 2) / np.pi, atol=1e-10)


def test_one_orthogonal_layer_is_the_law_of_the_slope():
    spectrum = JacobianSpectrum("erf", 1, q=0.4, sigma_w=1.3)  # lambda = 1.69 exp(-pi q z^2 / 2)
    lam = np.array([1e-6, 0.02, 0.5, 1.2, 1.68])
    z = np.sqrt(-2 * np.log(lam / 1.69) / (np.pi * 0.4))
    np.testing.assert_allclose(spectrum.cdf(lam), 2 * special.ndtr(-z), rtol=1e-11)
    density = 2 * np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / (np.pi * 0.4 * z * lam)
    np.testing.assert_allclose(spectrum.density(lam), density, rtol=1e-8)
    assert spectrum.edges == pytest.approx((0.0, 1.69))
    u = np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(spectrum.cdf(spectrum.quantile(u)), u, atol=1e-12)


def test_one_gaussian_layer_has_the_marchenko_pastur_edges():
    spectrum = JacobianSpectrum("relu", 1, weights="gaussian")  # half of the rows: ratio 1/2, entries of variance 2
    assert spectrum.bands[0] == pytest.approx((2 * (1 - 0.5**0.5) ** 2, 2 * (1 + 0.5**0.5) ** 2))
    low, high = spectrum.bands[0]
    lam = np.linspace(low, high, 41)[1:-1]
    np.testing.assert_allclose(
        spectrum.density(lam), np.sqrt((high - lam) * (lam - low)) / (4 * np.pi * lam), rtol=1e-9
    )


# ---- mass, mean, variance -------------------------------------------------------------------------------------------


def check_integrals(spectrum, tolerance=1e-8):
    mass = spectrum.expect(np.ones_like)
    mean = spectrum.expect(np.exp)
    variance = spectrum.expect(lambda x: (np.exp(x) - spectrum.mean) ** 2)
    assert mass == pytest.approx(1, abs=tolerance), spectrum
    assert mean == pytest.approx(spectrum.mean, rel=tolerance), spectrum
    assert variance == pytest.approx(spectrum.variance, rel=tolerance, abs=1e-14), spectrum


def test_mass_mean_and_variance():
    """A sample of the full product of cases, which benchmarks/spectrum_sweep.py runs through."""
    rng = np.random.default_rng(2019)
    for _ in range(14):
        name = rng.choice(["linear", "relu", "hard_tanh", "tanh", "erf", "gelu"])
        weights = rng.choice(["gaussian", "orthogonal"])
        depth, q = int(rng.choice([1, 2, 3, 10, 32, 100, 1000])), float(rng.choice([1 / 64, 0.25, 1.0]))
        check_integrals(JacobianSpectrum(name, depth, q=q, weights=str(weights)))


@pytest.mark.parametrize(("q", "depth"), [(1 / 64, 10), (1 / 30, 1000)])
def test_tiny_bands_keep_their_digits(q, depth):
    """Hard-tanh with P(phi' = 0) = 1e-15 and 4e-8: the variance is all in a band that next to nothing lives on."""
    check_integrals(JacobianSpectrum("hard_tanh", depth, q=q), 1e-9)
    spectrum = JacobianSpectrum("hard_tanh", depth, q=q)
    variance = spectrum.expect(lambda x: (np.exp(x) - spectrum.mean) ** 2)
    assert variance / spectrum.variance == pytest.approx(1, abs=1e-9)


def test_the_public_density_integrates_to_its_mass():
    """Not the quadrature nodes of the object: scipy's, through density_of_log."""
    for spectrum in (JacobianSpectrum("hard_tanh", 6, q=0.2), JacobianSpectrum("erf", 4, q=0.5, weights="gaussian")):
        low, high = float(spectrum.log_quantile(spectrum.cdf(0.0) + 1e-9)), spectrum.log_bands[-1][1]
        # sqrt edge: log lambda = high - (high - low) t^2
        f = lambda t: 2 * t * (high - low) * float(spectrum.density_of_log(high - (high - low) * t * t))  # noqa: B023, E731
        mass, _ = integrate.quad(f, 0, 1, epsabs=1e-9, limit=200)
        assert mass + sum(m for _, m in spectrum.atoms) == pytest.approx(1, abs=1e-7)


def test_density_is_the_slope_of_the_distribution_function():
    for spectrum in (JacobianSpectrum("gelu", 5, q=0.5), JacobianSpectrum(STEPS, 3, q=0.4), UniversalSpectrum(0.8)):
        u = np.linspace(0.03, 0.97, 40)
        x = np.unique(spectrum.log_quantile(u))
        h = 1e-4
        cdf = [spectrum.cdf_of_log(x + k * h) for k in (-2, -1, 1, 2)]
        slope = (cdf[0] - 8 * cdf[1] + 8 * cdf[2] - cdf[3]) / (12 * h)
        smooth = (np.abs(slope) < 1e2) & (spectrum.density_of_log(x) > 1e-3)
        np.testing.assert_allclose(slope[smooth], spectrum.density_of_log(x)[smooth], rtol=1e-4, atol=1e-6)
        assert smooth.sum() > 10


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_higher_moments(weights):
    for name, depth, q in [("tanh", 3, 0.5), ("relu", 5, 1.0), ("hard_tanh", 9, 0.1), ("gelu", 2, 1.0)]:
        spectrum = JacobianSpectrum(name, depth, q=q, weights=weights, sigma_w=1.1)
        for k in (1, 2, 3, 4):
            assert spectrum.expect(lambda x, k=k: np.exp(k * x)) == pytest.approx(spectrum.moment(k), rel=1e-8)


def test_moments_of_fuss_catalan_are_its_numbers():
    for depth in (1, 2, 5):
        wanted = [comb((depth + 1) * k, k) / (depth * k + 1) for k in range(1, 7)]
        assert free_moments(np.ones(6), depth, gaussian=True) == pytest.approx(wanted)


# ---- no wrong branch ------------------------------------------------------------------------------------------------


def test_against_an_independent_solver():
    """250 random requests against the rotation from the negative axis; the sweep in benchmarks/ makes 10,000."""
    rng = np.random.default_rng(7)
    for name in ("relu", "hard_tanh", "linear", "hard_tanh", "relu"):
        depth, q = int(rng.choice([2, 10, 32, 100, 1000])), float(np.exp(rng.uniform(-2, 1)))
        weights = "gaussian" if name == "linear" else str(rng.choice(["gaussian", "orthogonal"]))
        spectrum = JacobianSpectrum(name, depth, q=q, sigma_w=1.2, weights=weights)
        where = spectrum.log_quantile(spectrum.cdf(0.0) + rng.uniform(0.001, 0.999, 50) * spectrum.continuous_mass)
        m = rotate(where, spectrum.law.atoms, spectrum.law.masses, depth, weights == "gaussian", 2 * np.log(1.2))
        np.testing.assert_allclose(spectrum.density_of_log(where), -m.imag / np.pi, rtol=1e-4, atol=1e-8)


def test_a_smooth_activation_against_the_independent_solver():
    spectrum = JacobianSpectrum("tanh", 20, q=0.6)
    where = spectrum.log_quantile(np.linspace(0.01, 0.99, 12))
    m = rotate(where, *dense_law(TANH.dphi, 0.6, 2000), 20, False, 2 * np.log(spectrum.sigma_w))
    np.testing.assert_allclose(spectrum.density_of_log(where), -m.imag / np.pi, rtol=1e-5)


# ---- sampled networks -----------------------------------------------------------------------------------------------


def free_product(law_of, depth, weights, sigma_w, q, n, draws, rng, quantiles=False):
    """Singular values squared of D_L W_L ... D_1 W_1 with independent slopes, pooled over draws, ascending.

    ``quantiles``: the n pre-activations of a layer are the n quantiles of their law in random order, not n draws.
    That takes away the O(1/sqrt N) fluctuation of the slopes (the largest number of dead units of L layers counts in
    the atom at 0) and leaves the freeness of the factors to be tested.
    """
    out = []
    for _ in range(draws):
        J = np.eye(n)
        for _ in range(depth):
            z = rng.permutation(special.ndtri((np.arange(n) + 0.5) / n)) if quantiles else rng.standard_normal(n)
            J = law_of.dphi(np.sqrt(q) * z)[:, None] * (draw_weights(weights, n, sigma_w=sigma_w, rng=rng) @ J)
        out.append(np.linalg.svd(J, compute_uv=False) ** 2)
    return np.sort(np.concatenate(out))


def kolmogorov(spectrum, sample):
    """Largest distance of distribution functions on lambda >= 1e-28 of the largest, which is what an SVD resolves.

    An exact zero and a lambda below that floor count as the floor, and values within rounding of an atom as on it.
    """
    for place, _ in spectrum.atoms:
        sample = np.where(np.abs(sample - place) <= 1e-9 * place, place, sample)
    floor = 1e-28 * np.max(sample)
    sample, count = np.unique(np.maximum(sample, floor), return_counts=True)
    after = np.cumsum(count) / count.sum()
    before = (after - count / count.sum())[sample > floor]
    below = spectrum.cdf(sample[sample > floor] * (1 - 1e-12))
    return max(np.max(np.abs(spectrum.cdf(sample) - after)), np.max(np.abs(below - before), initial=0.0))


@pytest.mark.parametrize(
    ("activation", "depth", "q", "weights"),
    [
        (HARD_TANH, 8, 0.25, "orthogonal"),
        (RELU, 4, 1.0, "gaussian"),
        (TANH, 5, 0.5, "orthogonal"),
        (GELU, 3, 1.0, "orthogonal"),
        (ERF, 2, 1.0, "gaussian"),
        (LEAKY, 3, 1.0, "orthogonal"),
        (STEPS, 2, 0.2, "orthogonal"),
        (STEPS, 3, 1.0, "gaussian"),
        (SOFTPLUS, 3, 1.0, "orthogonal"),
        (MIXED, 4, 0.3, "orthogonal"),
    ],
    ids=lambda v: getattr(v, "name", v),
)
def test_sampled_products(activation, depth, q, weights):
    """N = 250, 3 draws: eigenvalues are rigid, so the distance is a few / N and not 1 / sqrt(3 N) = 0.04."""
    spectrum = JacobianSpectrum(activation, depth, q=q, weights=weights)
    rng = np.random.default_rng(11)
    sample = free_product(activation, depth, weights, spectrum.sigma_w, q, 250, 3, rng, quantiles=True)
    assert kolmogorov(spectrum, sample) < 0.025
    check_integrals(spectrum, 1e-7)


def test_a_sampled_network_at_its_fixed_point():
    """The Jacobian of a real network (its own h, not drawn), at tanh's q* for (1.3, 0.2)."""
    spectrum = JacobianSpectrum("tanh", 6, sigma_w=1.3, sigma_b=0.2)
    rng = np.random.default_rng(3)
    out = []
    for _ in range(3):
        x = simulate.inputs_at("tanh", spectrum.q, 400, rng=rng)
        factors = simulate.jacobian_factors(
            "tanh", x, depth=6, width=400, sigma_w=1.3, sigma_b=0.2, kind="orthogonal", rng=rng
        )
        out.append(np.linalg.svd(simulate.product(factors), compute_uv=False) ** 2)
    assert kolmogorov(spectrum, np.concatenate(out)) < 0.03
    assert spectrum.chi == pytest.approx(np.mean(np.concatenate(out)) ** (1 / 6), rel=0.02)


# ---- the rest of the object -----------------------------------------------------------------------------------------


def test_an_interior_atom_and_a_gap_are_found():
    """Slopes 1/2, 1, 2 with most of the mass at 1: an atom between bands."""
    spectrum = JacobianSpectrum(STEPS, 3, q=0.15, sigma_w=1.0)
    outer = 2 * special.ndtr(-1 / np.sqrt(0.15))
    same(spectrum.atoms, [(1.0, 1 - 3 * outer)])
    assert len(spectrum.bands) >= 2
    assert spectrum.bands[0][1] < 1 < spectrum.bands[-1][0]
    check_integrals(spectrum)


def test_off_criticality_is_a_dilation():
    one, other = JacobianSpectrum("erf", 7, q=0.3), JacobianSpectrum("erf", 7, q=0.3, sigma_w=1.5)
    shift = 14 * np.log(1.5 / one.sigma_w)
    x = one.log_quantile(np.linspace(0.05, 0.95, 9))
    np.testing.assert_allclose(other.density_of_log(x + shift), one.density_of_log(x), rtol=1e-9)
    assert other.s_max == pytest.approx(one.s_max * np.exp(shift / 2), rel=1e-12)
    assert other.mean == pytest.approx(other.chi**7)


def test_quantiles_invert_the_distribution_function_and_sample_it():
    for spectrum in (JacobianSpectrum("hard_tanh", 5, q=0.2), JacobianSpectrum("gelu", 100, q=1.0, weights="gaussian")):
        u = np.concatenate([np.random.default_rng(0).random(200), [0.0, 1.0]])
        lam = spectrum.log_quantile(u)
        assert np.all(spectrum.cdf_of_log(lam) >= u - 1e-9)
        u, lam = u[np.isfinite(lam)], lam[np.isfinite(lam)]
        inside = spectrum.density_of_log(lam) > 0
        np.testing.assert_allclose(spectrum.cdf_of_log(lam)[inside], u[inside], atol=1e-10)


def test_overflow_is_named_and_logs_still_work():
    spectrum = JacobianSpectrum("relu", 1000, sigma_w=3.0)
    with pytest.raises(ArgumentError, match="log_mean"):
        _ = spectrum.mean
    assert spectrum.log_mean == pytest.approx(1000 * np.log(4.5))
    assert np.isfinite(spectrum.density_of_log(spectrum.log_quantile([0.6, 0.9]))).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "depth must be an integer >= 1"),
        ({"weights": "uniform"}, "weights must be one of"),
        ({"q": -1.0}, "q must be"),
        ({"q": float("nan")}, "q must be"),
        ({"q": None}, "q must be given, or sigma_w"),
        ({"sigma_b": 0.1}, "sigma_b must be left out"),
        ({"sigma_w": 0.0}, "sigma_w must be"),
        ({"activation": "cos"}, "activation must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        JacobianSpectrum(**{"activation": "tanh", "depth": 3, "q": 0.5} | arguments)


def test_what_does_not_exist_is_said():
    with pytest.raises(NoFixedPointError):
        JacobianSpectrum("gelu", 3, sigma_w=5.0)
    with pytest.raises(ArgumentError, match="positive"):
        JacobianSpectrum(HARD_TANH, 3, q=0.5).density(0.0)
    kinked = own_activation("kinked", lambda x: np.where(x > 0, x, 0.5 * x), kinks=(0.0,))
    with pytest.raises(ArgumentError, match="jumps at 0"):
        JacobianSpectrum(kinked, 3, q=0.0)


# ---- Fuss-Catalan and the limits ------------------------------------------------------------------------------------


def test_fuss_catalan_against_exact_arithmetic():
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 40
    for L in (2, 3, 16, 200):
        s = fuss_catalan_edge(L) * np.linspace(0, 1, 40)[1:-1]
        mine, below = fuss_catalan_density(s, L), fuss_catalan_cdf(s, L)
        for value, rho, cdf in zip(s.tolist(), mine.tolist(), below.tolist(), strict=True):
            low, high = mp.mpf(10) ** -30, mp.pi / (L + 1) * (1 - mp.mpf(10) ** -30)
            for _ in range(120):  # log s^2 falls with f
                f = (low + high) / 2
                level = (L + 1) * mp.log(mp.sin((L + 1) * f)) - mp.log(mp.sin(f)) - L * mp.log(mp.sin(L * f))
                low, high = (f, high) if level > 2 * mp.log(value) else (low, f)
            exact = 2 / mp.pi * mp.sqrt(mp.sin(f) ** 3 * mp.sin(L * f) ** (L - 2) / mp.sin((L + 1) * f) ** (L - 1))
            assert abs(rho / exact - 1) < 1e-11
            tail = ((L + 1) * f - L * mp.sin(f) * mp.sin((L + 1) * f) / mp.sin(L * f)) / mp.pi
            assert abs(cdf - (1 - tail)) < 1e-14


def test_fuss_catalan_refuses():
    with pytest.raises(ArgumentError, match="s must"):
        fuss_catalan_density([-1.0], 2)
    with pytest.raises(ArgumentError, match="infinite at 0"):
        fuss_catalan_density(0.0, 2)
    assert fuss_catalan_density([3.0], 1).tolist() == [0.0]


@pytest.mark.parametrize("sigma0", [0.1, 0.9, 1.0, 2.0])
def test_universality_limits(sigma0):
    for kind in ("smooth", "bernoulli"):
        spectrum = UniversalSpectrum(sigma0, kind)
        check_integrals(spectrum)
    assert spectrum.bands[0][1] == pytest.approx(np.e * sigma0**2)
    same(spectrum.atoms, [(np.exp(sigma0**2), 1 - sigma0**2)] if sigma0 < 1 else [])


def test_deep_isometric_networks_reach_the_limits():
    distance = {}
    for name, kind, depth in [("erf", "smooth", 60), ("erf", "smooth", 960), ("hard_tanh", "bernoulli", 400)]:
        act = get_activation(name)
        ratio = lambda t: act.slope_moment(np.exp(t), 2) / act.slope_moment(np.exp(t)) ** 2 - 1  # noqa: B023, E731
        q = np.exp(optimize.brentq(lambda t: depth * ratio(t) - 0.25, -9, 1))  # noqa: B023
        deep, limit = JacobianSpectrum(name, depth, q=q), UniversalSpectrum(0.5, kind)
        x = np.linspace(-2, 1.5, 150)
        distance[name, depth] = np.max(np.abs(deep.cdf_of_log(x) - limit.cdf_of_log(x)))
    assert distance["erf", 960] < 0.35 * distance["erf", 60] < 0.03  # skewness: 1/sqrt(L)
    assert distance["hard_tanh", 400] < 0.002
