"""Figure 3 A of the 2019 deck: how long a deep *linear* network takes to learn MNIST, against its depth and its start.

The figure is Saxe, McClelland and Ganguli's (2014, arXiv 1312.6120). A linear network of n weight matrices sees its
data through two matrices only, C = E[x x^T] and T = E[y x^T]: full-batch gradient descent on E|y - W_n ... W_1 x|^2 / 2
is computed from them exactly, and one step is one epoch.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from ortholab import data
from ortholab.errors import ArgumentError, bad, check_choice, check_grid, check_int, check_number
from ortholab.experiments.estimate import half_width
from ortholab.experiments.trial import OneSegment
from ortholab.nn import pick_device
from ortholab.theory import gaussian

STARTS = ("gaussian", "orthogonal", "pretrained")
DIVERGED = 1e4  # an error of this many times the zero network's is divergence


@dataclass(frozen=True)
class LinearDepthSpec:
    """What is trained: every start x depth x seed, each at every step size. The defaults are the quick tier.

    A network has ``depth`` = n matrices: n - 1 square ones of ``width`` d, then a readout (10, d). ``rates`` are step
    sizes in units of 1/n. The starts of one seed share their Gaussian draws of variance 1/d (for a square layer that is
    Glorot's too): "orthogonal" takes the polar factor of each (Haar distributed; the readout gets orthonormal rows),
    "pretrained" trains each square layer as a tied linear autoencoder, from the bottom up (:func:`pretrain`), below a
    Gaussian readout. ``threshold`` is the error at which a network has learnt, in units of the zero network's.
    ``dtype`` is that of training; the data and the starts are computed in float64.
    Raises ArgumentError.

    >>> LinearDepthSpec(depths=[4, 8], seeds=range(2)).seeds
    (0, 1)
    """

    depths: tuple[int, ...] = (2, 4, 8, 16, 32, 100)
    starts: tuple[str, ...] = STARTS
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    width: int = 80
    rates: tuple[float, ...] = tuple(2 ** (k / 2) for k in range(-9, 4))
    threshold: float = 0.05
    max_steps: int = 100
    n_train: int = 4000
    whiten: bool = True
    pretrain_steps: int = 40
    pretrain_rate: float = 0.125
    dtype: str = "float32"

    def __post_init__(self) -> None:
        def tidy(name, value):
            object.__setattr__(self, name, value)

        tidy("depths", check_grid("depths", self.depths, lambda name, v: check_int(name, v, 1)))
        tidy("starts", check_grid("starts", self.starts, lambda name, v: check_choice(name, v, STARTS)))
        tidy("seeds", check_grid("seeds", self.seeds, check_int))
        tidy(
            "rates",
            tuple(sorted(check_grid("rates", self.rates, lambda k, v: check_number(k, v, low=0, open_low=True)))),
        )
        tidy("threshold", check_number("threshold", self.threshold, low=0, high=1, open_low=True, open_high=True))
        tidy("pretrain_rate", check_number("pretrain_rate", self.pretrain_rate, low=0, open_low=True))
        for name in ("max_steps", "n_train"):
            tidy(name, check_int(name, getattr(self, name), 1))
        tidy("width", check_int("width", self.width, 10))
        tidy("pretrain_steps", check_int("pretrain_steps", self.pretrain_steps))
        check_choice("dtype", self.dtype, ("float32", "float64"))
        if not isinstance(self.whiten, bool):
            raise bad("whiten", self.whiten, "True or False")

    @property
    def units(self) -> tuple[Unit, ...]:
        """The separate pieces of work; the outcome of one does not depend on the others."""
        return tuple(Unit(a, n, k) for a in self.starts for n in self.depths for k in self.seeds)


def full() -> LinearDepthSpec:
    """Return the full tier: more seeds and depths, a finer grid of step sizes, a wider network and a larger budget.

    >>> len(full().seeds)
    10
    """
    depths = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 80, 100)
    rates = tuple(2 ** (k / 8) for k in range(-56, 13))
    return LinearDepthSpec(depths, seeds=range(10), width=128, rates=rates, max_steps=5000, dtype="float64")


@dataclass(frozen=True)
class Unit:
    """One start, depth and seed: the piece of work that is run, stored and resumed on its own."""

    start: str
    depth: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What one unit gave.

    ``steps`` is the fewest epochs to the threshold over all step sizes, inf if none gets there in ``max_steps``;
    ``step_size`` the one that took them (ties, and runs cut short: the one of least error then); ``error`` its error;
    ``at_edge`` whether it is the first or last of the grid; ``diverged`` how many step sizes had diverged by then;
    ``distance`` the largest |W^T W - I|_F / sqrt(d) of a square layer at the start.
    """

    steps: float
    step_size: float
    error: float
    at_edge: bool
    diverged: int
    distance: float


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval; ``lower_bound`` says that a run in the numerator was cut short."""

    value: float
    low: float
    high: float
    lower_bound: bool


@dataclass(frozen=True, eq=False)
class LinearDepthResult:
    """What came out: arrays of shape (starts, depths, seeds) named as in :class:`Outcome`, and the problem solved."""

    spec: LinearDepthSpec
    problem: Problem
    steps: np.ndarray
    step_size: np.ndarray
    error: np.ndarray
    at_edge: np.ndarray
    diverged: np.ndarray
    distance: np.ndarray
    seconds: float

    def of(self, start: str, name: str = "steps") -> np.ndarray:
        """Return the array ``name`` of one start, shape (depths, seeds)."""
        check_choice("start", start, self.spec.starts)
        check_choice("name", name, ("steps", "step_size", "error", "at_edge", "diverged", "distance"))
        return getattr(self, name)[self.spec.starts.index(start)]

    def at_least(self, start: str) -> np.ndarray:
        """Return the steps with ``max_steps`` in place of inf: lower bounds where a run was cut short."""
        return np.minimum(self.of(start), self.spec.max_steps)

    def interval(self, start: str, name: str = "steps") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (mean, low, high) over seeds for each depth: the geometric mean and its 95 % t interval.

        ``steps`` are those of :meth:`at_least`. With one seed the interval is the value. For positive quantities only.
        """
        values = self.at_least(start) if name == "steps" else self.of(start, name)
        return _interval(np.log(values))

    def ratio(self, start: str, deep: int, shallow: int) -> Ratio:
        """Return steps(deep)/steps(shallow): geometric mean over paired seeds with its 95 % t interval."""
        check_choice("deep", deep, self.spec.depths)
        check_choice("shallow", shallow, self.spec.depths)
        i, j = self.spec.depths.index(deep), self.spec.depths.index(shallow)
        steps = self.at_least(start)
        if np.isinf(self.of(start)[j]).any():
            raise ArgumentError(f"shallow = {shallow}: some runs were cut short, so the ratio has no bound")
        value, low, high = _interval(np.log(steps[i] / steps[j]))
        return Ratio(float(value), float(low), float(high), bool(np.isinf(self.of(start)[i]).any()))

    def spread(self, start: str, resamples: int = 2000) -> Ratio:
        """Return max/min over depth of the seeds' mean steps, with a 95 % interval by bootstrap over seeds.

        Seeds are drawn with replacement, all depths of a seed together. A maximum only grows by noise, so the value
        is biased upwards.
        """
        steps, resamples = self.at_least(start), check_int("resamples", resamples, 1)
        draws = np.random.default_rng(0).integers(steps.shape[1], size=(resamples, steps.shape[1]))
        means = steps[:, draws].mean(axis=2)
        low, high = np.quantile(means.max(0) / means.min(0), (0.025, 0.975))
        mean = steps.mean(axis=1)
        return Ratio(float(mean.max() / mean.min()), float(low), float(high), bool(np.isinf(self.of(start)).any()))


@dataclass(frozen=True, eq=False)
class Problem:
    """What a linear network sees of the data: C = E[x x^T] (d, d), T = E[y x^T] (10, d), and how much was kept.

    ``strengths`` are T's singular values; ``kept`` the share of the pixels' mean square in the d components;
    ``condition`` the ratio of the largest and the least second moment among them, before any whitening.
    """

    C: np.ndarray
    T: np.ndarray
    strengths: np.ndarray
    kept: float
    condition: float
    data_source: str
    data_sha256: str


def prepare(spec: LinearDepthSpec, dataset: data.Dataset | None = None) -> Problem:
    """Return the problem: the first ``n_train`` images, projected on their d = ``width`` leading components.

    Components are eigenvectors of the pixels' second moment E[p p^T], p in [0, 1]; nothing is centred, so that the mean
    image is (nearly) the first of them and no bias is needed. ``whiten``: each component is divided by its root mean
    square, so C = I. Otherwise all are divided by one number that makes tr C = d. Targets are sqrt(10) times one-hot
    (sqrt(classes)): E[y y^T] = I for balanced classes, so whitened strengths are at most 1 or so. Raises ArgumentError.

    >>> problem = prepare(LinearDepthSpec(width=20))
    >>> bool(np.allclose(problem.C, np.eye(20))), problem.strengths.round(2)[:3].tolist()
    (True, [0.97, 0.87, 0.84])
    """
    dataset = data.mnist("train", spec.n_train, source="embedded") if dataset is None else dataset
    if not isinstance(dataset, data.Dataset):
        raise bad("dataset", type(dataset).__name__, "an ortholab.data.Dataset")
    if len(dataset) < spec.n_train:
        raise bad("n_train", spec.n_train, f"at most {len(dataset)}, the number of images in {dataset!r}")
    p = dataset.flat[: spec.n_train].astype(np.float64)
    classes = len(dataset.classes)
    y = np.eye(classes)[dataset.labels[: spec.n_train]] * classes**0.5
    moments, axes = np.linalg.eigh(p.T @ p / len(p))
    moments, axes = moments[::-1], axes[:, ::-1]
    if spec.width > (moments > 1e-10 * moments[0]).sum() or spec.width < classes:
        raise bad("width", spec.width, f"between {classes} and the rank of the data, {(moments > 1e-10).sum()}")
    kept, axes = moments[: spec.width], axes[:, : spec.width]
    axes = axes * np.sign(axes.sum(axis=0))  # an eigenvector's sign is the library's accident
    x = p @ axes / np.sqrt(kept if spec.whiten else kept.mean())
    C, T = x.T @ x / len(x), y.T @ x / len(x)
    if spec.whiten:
        C = np.eye(spec.width)  # it is I but for rounding
    strengths = np.linalg.svd(T, compute_uv=False)
    share, condition = float(kept.sum() / moments.sum()), float(kept[0] / kept[-1])
    return Problem(C, T, strengths, share, condition, dataset.source, dataset.sha256)


def start_weights(spec: LinearDepthSpec, unit: Unit, problem: Problem) -> list[np.ndarray]:
    """Return the matrices of one start, first applied first: n - 1 of shape (d, d), then the readout (10, d).

    >>> spec = LinearDepthSpec(width=10)
    >>> [W.shape for W in start_weights(spec, Unit("orthogonal", 3, 0), prepare(spec))]
    [(10, 10), (10, 10), (10, 10)]
    """
    rng = np.random.default_rng([unit.seed, unit.depth])
    outputs, d = problem.T.shape
    W = [gaussian(d, rng=rng) for _ in range(unit.depth - 1)] + [gaussian(outputs, d, rng=rng)]
    if unit.start == "orthogonal":
        return [polar(w) for w in W]
    if unit.start == "pretrained":
        return [*pretrain(W[:-1], problem.C, rate=spec.pretrain_rate, steps=spec.pretrain_steps), W[-1]]
    return W


def polar(W: np.ndarray) -> np.ndarray:
    """Return the polar factor U V^T of W = U S V^T: the matrix with orthonormal rows (or columns) nearest to W.

    >>> polar(np.diag([3.0, -0.1])).round(12).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    u, _, vt = np.linalg.svd(W, full_matrices=False)
    return u @ vt


def pretrain(layers: list[np.ndarray], C: np.ndarray, *, rate: float, steps: int) -> list[np.ndarray]:
    """Train each layer as a tied linear autoencoder on the output of the layers below; return the trained layers.

        minimise E|x - W^T W x|^2 / 2 by full-batch descent:  W <- W + rate/|C|_2 W (E C + C E),  E = I - W^T W,

    with C the second moment of that layer's input. For C = I gradient flow leads to W's polar factor.
    Raises ArgumentError when a layer diverges (rate too large).

    >>> W = pretrain([np.diag([0.5, 1.5])], np.eye(2), rate=0.1, steps=100)[0]
    >>> W.round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    out, eye = [], np.eye(len(C))
    for W in layers:
        scaled = rate / np.linalg.norm(C, 2) * C
        for _ in range(steps):
            EC = (eye - W.T @ W) @ scaled
            W = W + W @ (EC + EC.T)
            if not np.abs(W).max() < 1e3:
                raise bad("pretrain_rate", rate, f"smaller: layer {len(out) + 1}'s autoencoder diverges")
        out.append(W)
        C = W @ C @ W.T
    return out


class Descent:
    """Gradient descent on many copies of one network, each with its own step size: W[l] has shape (copies, n_l, n_l-1).

    ``error()`` measures E|(P* - P) x|^2 / E|P* x|^2, P = W_n ... W_1, P* = T C^-1 the best linear map. One step costs
    3 n products of a (10, d) by a (d, d) matrix: with A_l = W_n ... W_(l+1) and F_l = (T - P C)(W_(l-1) ... W_1)^T,
    both (10, d) and built layer by layer, W_l's negative gradient is A_l^T F_l. ``alive`` holds the numbers of the
    copies that have not diverged; the others are dropped.
    """

    def __init__(
        self, weights, problem: Problem, step_sizes, *, dtype: str = "float64", device: torch.device | str = "cpu"
    ) -> None:
        def tensor(value):
            return torch.as_tensor(np.asarray(value), dtype=getattr(torch, dtype), device=device)

        self.sizes = tensor(step_sizes).view(-1, 1, 1)
        self.alive = torch.arange(len(self.sizes), device=device)
        self.W = [tensor(w).repeat(len(self.sizes), 1, 1) for w in weights]  # repeat copies, expand would not
        self.C = None if np.array_equal(problem.C, np.eye(len(problem.C))) else tensor(problem.C)
        self.best = tensor(np.linalg.solve(problem.C, problem.T.T).T)
        self.unit = float(np.sum(problem.T * np.linalg.solve(problem.C, problem.T.T).T))
        self._forward()

    def _forward(self) -> None:
        """Build A_l from the top down, the product, and its distance from the best map."""
        self.A = [self.W[-1]]
        for W in self.W[-2::-1]:
            self.A.append(torch.bmm(self.A[-1], W))
        self.product = self.A.pop()
        self.A.reverse()  # A[i] stands above layer i = 0 .. n - 2
        self.gap = self.best - self.product
        self.F = self.gap if self.C is None else self.gap @ self.C

    def error(self) -> np.ndarray:
        """Return the error of each live copy, in units of the zero network's; not finite where it overflowed."""
        return ((self.gap * self.F).sum(dim=(1, 2)) / self.unit).cpu().numpy().astype(np.float64)

    def keep(self, which: np.ndarray) -> None:
        """Drop all copies but those of the boolean mask ``which``."""
        rows = torch.as_tensor(np.flatnonzero(which), device=self.alive.device)
        self.alive, self.sizes, self.F = self.alive[rows], self.sizes[rows], self.F[rows]
        self.gap, self.product = self.gap[rows], self.product[rows]
        self.W, self.A = [w[rows] for w in self.W], [a[rows] for a in self.A]

    def step(self) -> None:
        """Take one step of gradient descent in every live copy."""
        F = self.F * self.sizes
        for W, A in zip(self.W, self.A, strict=False):  # all but the readout, which has no A
            above = torch.bmm(F, W.mT)
            W.baddbmm_(A.mT, F)
            F = above
        self.W[-1].add_(F)
        self._forward()


def run_unit(spec: LinearDepthSpec, unit: Unit, problem: Problem, *, device: torch.device | str = "cpu") -> Outcome:
    """Train one start, depth and seed at every step size at once, until the first of them reaches the threshold."""
    sizes = np.array(spec.rates) / unit.depth
    weights = start_weights(spec, unit, problem)
    off = [np.linalg.norm(w.T @ w - np.eye(len(w))) / len(w) ** 0.5 for w in weights[:-1]]
    descent = Descent(weights, problem, sizes, dtype=spec.dtype, device=device)
    for step in range(spec.max_steps + 1):
        error = descent.error()
        fine = error < DIVERGED  # False for NaN too
        if not fine.all():
            descent.keep(fine)
            error = error[fine]
        if not error.size or error.min() <= spec.threshold:
            break
        if step < spec.max_steps:
            descent.step()
    lost = len(sizes) - error.size
    if not error.size:
        return Outcome(math.inf, float(sizes[0]), math.inf, True, lost, max(off, default=0.0))
    at = int(descent.alive[int(error.argmin())])
    steps = float(step) if error.min() <= spec.threshold else math.inf
    edge = at in (0, len(sizes) - 1)
    return Outcome(steps, float(sizes[at]), float(error.min()), edge, lost, max(off, default=0.0))


def run(
    spec: LinearDepthSpec, dataset: data.Dataset | None = None, *, device: str = "cpu", progress: bool = False
) -> LinearDepthResult:
    """Run every unit of the specification on one thread; the default data are the embedded MNIST images.

    ``device``: "cpu", "cuda", "mps" or "auto" (the CPU for float64 where there is only mps, which has none). The answer
    depends on the specification, the data and torch's version only. Raises ArgumentError.

    >>> result = run(LinearDepthSpec(depths=(2, 8), seeds=(0,), starts=("orthogonal",), width=20))
    >>> result.steps.shape, bool(np.isfinite(result.steps).all())
    ((1, 2, 1), True)
    """
    if not isinstance(spec, LinearDepthSpec):
        raise bad("spec", type(spec).__name__, "a LinearDepthSpec")
    place = pick_device(device)
    if place.type == "mps" and spec.dtype == "float64":
        if device != "auto":
            raise bad("device", device, "'cpu', 'cuda' or 'auto': mps has no float64")
        place = torch.device("cpu")
    problem = prepare(spec, dataset)
    started, threads = time.perf_counter(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        outcomes = [run_unit(spec, unit, problem, device=place) for unit in _bar(spec.units, progress)]
    finally:
        torch.set_num_threads(threads)
    shape = (len(spec.starts), len(spec.depths), len(spec.seeds))

    def column(name):
        return np.array([getattr(outcome, name) for outcome in outcomes]).reshape(shape)

    names = ("steps", "step_size", "error", "at_edge", "diverged", "distance")
    return LinearDepthResult(spec, problem, *map(column, names), time.perf_counter() - started)


def start(spec: LinearDepthSpec, unit: Unit, device: str) -> OneSegment:
    """Return the trial of one unit on the embedded MNIST images, for the engine; its metrics are those of an Outcome.

    >>> trial = start(LinearDepthSpec(width=20), Unit("orthogonal", 2, 0), "cpu")
    >>> trial.advance(), sorted(trial.metrics())
    (True, ['at_edge', 'distance', 'diverged', 'error', 'step_size', 'steps'])
    """
    images = _images(spec.n_train)
    problem = _problem(spec)
    return OneSegment(lambda: asdict(run_unit(spec, unit, problem, device=torch.device(device))), datasets=(images,))


@lru_cache(maxsize=1)
def _images(n: int) -> data.Dataset:
    return data.mnist("train", n, source="embedded")


@lru_cache(maxsize=1)
def _problem(spec: LinearDepthSpec) -> Problem:
    return prepare(spec, _images(spec.n_train))


def claim_ratios(seeds: tuple[int, ...] = (0, 1, 2, 3, 4), max_steps: int = 80) -> tuple[Ratio, Ratio]:
    """Return the two ratios that try claim (B): orthogonal max/min of steps over depths 2 to 100, Gaussian n = 32 to 4.

    The quick tier but for what neither ratio needs; Gaussian runs stop after ``max_steps``, so their ratio is a lower
    bound. About 5 s on one core.
    """
    flat = run(LinearDepthSpec(starts=("orthogonal",), seeds=seeds)).spread("orthogonal")
    spec = LinearDepthSpec(depths=(4, 32), starts=("gaussian",), seeds=seeds, max_steps=max_steps)
    return flat, run(spec).ratio("gaussian", 32, 4)


def _interval(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Geometric mean and 95 % t interval over the last axis."""
    mean, n = logs.mean(axis=-1), logs.shape[-1]
    half = half_width(logs) if n > 1 else 0.0
    return np.exp(mean), np.exp(mean - half), np.exp(mean + half)


def _bar(units, progress: bool):
    from tqdm import tqdm

    return tqdm(units, disable=not progress, desc="linear depth", unit="run")


# The paper's networks are 1,000 wide; the embedded images span fewer directions than that.
tiers = {"quick": LinearDepthSpec(), "full": full(), "paper": replace(full(), width=500)}
