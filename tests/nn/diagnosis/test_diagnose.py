"""Known faults get their verdicts, the numbers agree with torch's own Jacobian, and the network stays as it was."""

import copy
import json
import math
import random

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, svds
from torch import nn

import ortholab
from ortholab.errors import ArgumentError
from ortholab.nn import MLP, RNN
from ortholab.nn.diagnosis import Limits, diagnose
from ortholab.nn.diagnosis.bidiagonal import golub_kahan
from ortholab.nn.diagnosis.directions import directions
from ortholab.nn.diagnosis.end_to_end import Differential, end_to_end
from ortholab.nn.diagnosis.patients import PATIENTS, LastStep, images, vectors
from ortholab.theory import JacobianSpectrum, isometric_start

START = isometric_start("tanh", 200)


@pytest.fixture(scope="module")
def reports():
    """Every case's report (each network is diagnosed once)."""
    return {name: ortholab.diagnose(case.model(), case.batch(), samples=1) for name, case in PATIENTS.items()}


@pytest.mark.parametrize("name", PATIENTS)
def test_the_verdict_is_right(reports, name):
    report = reports[name]
    assert report.verdict == PATIENTS[name].verdict, report.words
    assert report.sound == (report.verdict == "sound")
    text = str(report)
    assert report.verdict.upper() in text.splitlines()[0]
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["verdict"] == report.verdict
    assert len(report.table()) == len(report.rows)
    assert "<table" in report._repr_html_()
    assert len(report.figure().axes) == 2


def test_the_words_hold_the_numbers(reports):
    factor = reports["tanh, ordered"].growth ** (1 / 199)
    assert 0.87 < factor < 0.91  # sigma_w = 0.9 with a slope just below 1
    assert f"{factor:.3g} a layer" in reports["tanh, ordered"].words
    assert "2 (LogOfRelu)" in reports["infinite logarithm"].words
    assert "100%" in reports["dead ReLUs"].words
    assert "through time" in reports["LSTM"].words
    assert "first embedding" in reports["transformer"].jacobian_words()
    assert "not isometry" in reports["tanh, critical Gaussian"].words


def test_the_suggested_start_is_the_theorys(reports):
    found = reports["tanh, ordered"].suggestion.start
    assert (found.activation, found.depth) == ("tanh", 200)
    assert found.sigma_w == pytest.approx(START.sigma_w)
    relu = reports["plain CNN of 100 layers"].suggestion
    assert relu.start.sigma_w == pytest.approx(math.sqrt(2))
    assert not relu.start.isometric
    assert "delta-orthogonal" in relu.words
    for name, word in (("ResNet-20", "residual"), ("LSTM", "forget-gate"), ("transformer", "branches")):
        assert reports[name].suggestion.start is None
        assert word in reports[name].suggestion.words


def test_gains_are_those_of_the_mean_field(reports):
    """Backward gain of W and phi together is chi; forward the variance map: both 1 at the critical start."""
    table = reports["tanh, critical orthogonal"].table()
    layers = table[table.kind == "linear"]
    assert np.abs(layers.backward - START.sigma_w**2).max() < 1e-5  # W = sigma_w Q at every layer
    chi = layers.backward.to_numpy() * layers.slope.to_numpy()
    assert abs(np.log(chi).mean()) < 2e-3
    assert layers.distance.max() < 1e-5
    gauss = reports["tanh, critical Gaussian"].table()
    assert abs(gauss[gauss.kind == "linear"].distance.mean() - 0.55) < 0.03


def exact(model, x, sample):
    """J of one sample by torch's own function, an oracle that is not ours."""
    model = copy.deepcopy(model).double()

    def alone(row):
        full = x.double().clone()
        full[sample] = row
        return model(full)[sample].flatten()

    return torch.autograd.functional.jacobian(alone, x[sample].double()).flatten(1).numpy()


SMALL = {
    "wide": (lambda: MLP(7, 9, 3, 4, sigma_w=1.2, generator=0), vectors(3, 7)),
    "tall": (lambda: MLP(3, 9, 3, sigma_w=1.2, generator=0), vectors(3, 3)),
    "square": (lambda: MLP(6, 6, 3, activation="erf", sigma_w=1.2, generator=0), vectors(3, 6)),
    "convolution": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
                                          nn.Flatten(), nn.Linear(64, 5)), images(3, 8)),
    "batch normalisation": (lambda: nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 6)),
                            vectors(4, 5)),
    "LSTM": (lambda: LastStep(2, 5), torch.randn(3, 4, 2)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 8, dropout=0, batch_first=True), torch.randn(2, 3, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_the_jacobian_is_torchs(name):
    torch.manual_seed(1)
    build, x = SMALL[name]
    model = build()
    report = diagnose(model, x, samples=2)
    assert report.spectrum.method == "exact"
    assert report.spectrum.coupled == (name == "batch normalisation")
    for i in range(report.spectrum.samples):
        s = np.sort(np.linalg.svd(exact(model, x, i), compute_uv=False))
        assert np.allclose(report.spectrum.s[i], s, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(160, 160), (160, 200), (200, 160)])
def test_without_the_matrix_both_ends_are_within_two_per_cent(shape):
    n_out, n_in = shape
    model = MLP(n_in, [n_in] * 4 + [n_out], activation="tanh", sigma_w=1.1, generator=0)
    x = vectors(2, n_in, size=0.4)
    full = diagnose(model, x, exact_up_to=400, samples=1).spectrum
    free = diagnose(model, x, exact_up_to=10).spectrum
    assert (full.method, free.method) == ("exact", "matrix-free")
    assert free.resolved
    for name in ("s_max", "s_min"):
        bound, error = getattr(free, name.replace("s_", "error_")), abs(getattr(free, name) - getattr(full, name))
        assert error <= 0.02 * getattr(full, name)
        assert bound <= 0.02 * getattr(full, name)
        assert error <= bound * 1.0001 + 1e-9
    J = exact(model, x, 0)
    products = LinearOperator(J.shape, matvec=J.dot, rmatvec=J.T.dot, dtype=float)
    assert free.s_max == pytest.approx(svds(products, k=1, return_singular_vectors=False, rng=0)[0], rel=0.01)


def test_where_the_smallest_cannot_be_had_the_report_says_so():
    model = MLP(170, 170, 20, activation="linear", sigma_w=1.0, weights="gaussian", generator=0)
    report = diagnose(model, vectors(1, 170), exact_up_to=10)
    free, full = report.spectrum, diagnose(model, vectors(1, 170)).spectrum
    assert not free.resolved
    assert "not resolved" in report.jacobian_words()
    assert free.s_max == pytest.approx(full.s_max, rel=0.01)
    assert free.s_min >= full.s_min * 0.99 - 1e-12  # an upper bound


@pytest.mark.parametrize("shape", [(30, 30), (60, 20)])
def test_bidiagonalisation_bounds_its_errors(shape):
    A = np.random.default_rng(0).standard_normal(shape) + 3 * np.eye(*shape)
    exact_values = np.linalg.svd(A, compute_uv=False)
    for steps in (5, 12, shape[1]):
        found = golub_kahan(A.dot, A.T.dot, shape[1], steps=steps, tolerance=0, rng=np.random.default_rng(1))
        gaps = np.abs(exact_values[:, None] - found.s).min(0)
        assert (gaps <= found.errors + 1e-12).all()
        assert found.weights.sum() == pytest.approx(1)
    assert np.allclose(found.s, exact_values[::-1])


def test_the_differential_is_right_by_finite_differences():
    model = MLP(5, 7, 2, 4, activation="tanh", sigma_w=1.3, generator=0, dtype=torch.float64)
    x = vectors(3, 5).double().requires_grad_()
    d = Differential(x, model(x))
    v, step = np.random.default_rng(0).standard_normal(5), 1e-6
    moved = x.detach().clone()
    moved[1] += step * torch.as_tensor(v)
    other = x.detach().clone()
    other[1] -= step * torch.as_tensor(v)
    difference = (model(moved) - model(other))[1].detach().numpy() / (2 * step)
    assert np.allclose(d.push(v, 1), difference, atol=1e-8)
    u = np.random.default_rng(1).standard_normal(4)
    assert d.pull(u, 1) @ v == pytest.approx(u @ d.push(v, 1))


def test_the_count_of_directions_agrees_with_the_full_jacobian_and_with_the_theory():
    model = MLP(80, 80, 10, activation="tanh", sigma_w=1.2, generator=0, dtype=torch.float64)
    x = vectors(40, 80, size=0.7).double().requires_grad_()
    torch.manual_seed(0)
    found = directions(model(x), x, 0, 16)
    full = end_to_end(Differential(x, model(x)), samples=40, exact_up_to=80, rng=None, variable="")
    s = full.s**2
    assert found.count == pytest.approx((s.sum(1) ** 2).mean() / (s**2).sum(1).mean(), rel=0.1)
    law = JacobianSpectrum("tanh", 10, weights="orthogonal", q=0.03, sigma_w=1.0)
    assert 0 < law.relative_variance < 1  # so an isometric network keeps more than half of its directions


class Stateful(nn.Module):
    """Everything that a call may change: batch statistics, dropout, a state, a counter, and three random generators."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.a, self.norm, self.drop, self.b = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 6)
        self.calls, self.state, self.fails = 0, None, fails
        self.register_buffer("seen", torch.zeros(6))
        self.a.weight.grad = torch.ones(6, 6)
        self.b.weight.requires_grad_(False)
        self.drop.eval()
        self.handle = self.a.register_forward_hook(lambda module, args, output: output * 1.5)

    def forward(self, x):
        self.calls += 1
        self.seen += x.detach().mean(0)
        self.state = self.norm(self.a(x)).relu_()
        self.extra = self.state * (1 + 0 * random.random() + 0 * np.random.rand())  # noqa: NPY002
        if self.fails:
            raise RuntimeError("on purpose")
        return self.b(self.drop(self.extra))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_changed_even_if_it_fails(training, fails):
    torch.manual_seed(0)
    model = Stateful(fails).train(training)
    model.drop.train(not training)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    hooks = [list(m._forward_hooks.items()) + list(m._forward_pre_hooks.items()) for m in model.modules()]
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    x = vectors(5, 6)
    copy_of_x = x.clone()
    if fails:
        with pytest.raises(ArgumentError, match=r"must run on batch.*on purpose"):
            diagnose(model, x)
    else:
        assert diagnose(model, x).spectrum.coupled == training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert [list(m._forward_hooks.items()) + list(m._forward_pre_hooks.items()) for m in model.modules()] == hooks
    assert (model.calls, model.state, hasattr(model, "extra")) == (0, None, False)
    assert torch.equal(model.a.weight.grad, torch.ones(6, 6))
    assert [p.grad is None for p in model.parameters()] == [False] + [True] * 5
    assert not model.b.weight.requires_grad
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]
    assert torch.equal(x, copy_of_x)
    assert not x.requires_grad


def test_a_network_that_cannot_be_copied_is_measured_as_it_is():
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def __deepcopy__(self, memo):
            raise TypeError("no copies")

        def forward(self, x):
            return torch.tanh(self.layer(x))

    model = Single()
    before = model.layer.weight.detach().clone()
    report = diagnose(model, vectors(2, 4))
    assert "own precision" in report.notes[0]
    s = np.sort(np.linalg.svd(exact_single(model, vectors(2, 4)), compute_uv=False))
    assert np.allclose(report.spectrum.s[0], s, rtol=1e-4)
    assert torch.equal(model.layer.weight, before)


def exact_single(model, x):
    W, b = model.layer.weight.detach().double(), model.layer.bias.detach().double()
    h = x[0].double() @ W.T + b
    return ((1 - torch.tanh(h) ** 2)[:, None] * W).numpy()


def test_gradients_of_a_loss_are_torchs():
    model, x, y = MLP(5, 6, 2, 3, sigma_w=1.0, generator=0), vectors(4, 5), torch.tensor([0, 1, 2, 0])
    report = diagnose(model, x, loss=lambda out: nn.functional.cross_entropy(out, y))
    nn.functional.cross_entropy(model(x), y).backward()
    wanted = [layer.weight.grad.norm() for layer in (*model.layers, model.readout)]
    assert np.allclose(report.table()["gradient norm"].dropna(), wanted, rtol=1e-4)


def test_our_own_recurrent_network_and_named_arguments():
    rnn = RNN(3, 8, 2, generator=0)
    assert diagnose(rnn, torch.randn(2, 5, 3)).spectrum.s_max > 0

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, *, mask, x):
            return {"logits": self.layer(x) * mask}

    report = diagnose(Named(), {"mask": torch.tensor([1, 0]), "x": torch.randn(2, 3)})
    assert report.spectrum.shape == (2, 3)


BAD = {
    "model": (lambda: diagnose("model", vectors()), "model"),
    "batch": (lambda: diagnose(nn.Linear(2, 2), "batch"), "batch"),
    "batch without tensors": (lambda: diagnose(nn.Linear(2, 2), (1, 2)), "batch"),
    "integers and no embedding": (lambda: diagnose(nn.Flatten(), torch.ones(2, 2, dtype=torch.int64)), "model must"),
    "wrong shape": (lambda: diagnose(nn.Linear(2, 2), vectors(2, 3)), "model must run on batch"),
    "probes": (lambda: diagnose(nn.Linear(2, 2), vectors(2, 2), probes=0), "probes"),
    "loss": (lambda: diagnose(nn.Linear(2, 2), vectors(2, 2), loss=3), "loss"),
    "loss of many numbers": (lambda: diagnose(nn.Linear(2, 2), vectors(2, 2), loss=lambda y: y), "loss"),
    "limits": (lambda: diagnose(nn.Linear(2, 2), vectors(2, 2), limits=1.0), "limits"),
    "limit out of range": (lambda: Limits(dead=2.0), "dead"),
    "lazy": (lambda: diagnose(nn.LazyLinear(2), vectors(2, 2)), "lazy"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    call, words = BAD[name]
    with pytest.raises(ArgumentError, match=words):
        call()
