"""One run of Figure 6: a residual network trained with one penalty, an epoch a segment."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from ortholab import data
from ortholab.errors import bad
from ortholab.experiments.soft_constraints import SoftSpec, Unit
from ortholab.nn.mlp import pick_device
from ortholab.nn.resnet import ResNet
from ortholab.nn.schedules import CosineDecay, LinearDecay, Piecewise, bansal
from ortholab.nn.soft import SoftOrthogonality
from ortholab.theory.penalties import kernel_matrix

DIVERGED = 1e4  # a cross-entropy above this is divergence, as is one that is not finite
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def coefficient(schedule: str, first: float, steps: int) -> float | Piecewise | LinearDecay | CosineDecay:
    """Return a schedule of a specification for a run of ``steps`` steps: "constant", "bansal", "linear" or "cosine".

    >>> coefficient("linear", 0.01, 100)(50)
    0.005
    """
    made = {
        "constant": lambda: first,
        "bansal": lambda: bansal(steps, first),
        "linear": lambda: LinearDecay(first, steps),
        "cosine": lambda: CosineDecay(first, steps),
    }
    return made[schedule]()


@lru_cache(maxsize=2)
def load_data(dataset: str, n_train: int | None, n_test: int) -> tuple[data.Dataset, data.Dataset]:
    """Return the training and test sets of a specification; "mnist" is the embedded set. Raises DataError."""
    if dataset == "mnist":
        return data.mnist("train", n_train, source="embedded"), data.mnist("test", n_test, source="embedded")
    fetch = getattr(data, dataset)
    return fetch("train", n_train), fetch("test", n_test)


def start(spec: SoftSpec, unit: Unit, device: str = "cpu") -> SoftTrial:
    """Return a unit's run, ready to advance. Raises ArgumentError and DataError.

    >>> spec = SoftSpec(plan=[("so", 0.01, "constant")], n_train=100, n_test=50, epochs=1)
    >>> trial = start(spec, spec.units[0])
    >>> trial.advance(), trial.metrics()["epochs"]
    (True, [0, 1])
    """
    if not isinstance(spec, SoftSpec):
        raise bad("spec", type(spec).__name__, "a SoftSpec")
    if not isinstance(unit, Unit):
        raise bad("unit", type(unit).__name__, "a Unit of the specification")
    return SoftTrial(spec, unit, device)


class SoftTrial:
    """Trains one unit of a :class:`~ortholab.experiments.soft_constraints.SoftSpec`; the engine's ``Trial``.

    A segment is an epoch. The network comes from the unit's seed, batches, moves and mirrors from another stream of it:
    all penalties of a seed begin at one network and see the same pixels in the same order. Bit for bit the same on one
    machine and one number of threads. Each channel has its mean over the training images taken off and is divided by
    its standard deviation. Networks and images are in the channels-last layout, which is faster on CPUs.
    """

    def __init__(self, spec: SoftSpec, unit: Unit, device: str = "cpu") -> None:
        self.spec, self.unit, self.device = spec, unit, pick_device(device)
        self.datasets = load_data(spec.dataset, spec.n_train, spec.n_test)
        train, test = self.datasets
        self.images = _pooled(train.images, spec.pool)
        if spec.batch > len(train):
            raise bad("batch", spec.batch, f"at most {len(train)}, the number of training images")
        self.mean, self.std = (f(self.images, axis=(0, 1, 2), dtype=np.float64) for f in (np.mean, np.std))
        self.steps_an_epoch = len(train) // spec.batch
        self.steps = spec.epochs * self.steps_an_epoch
        model = ResNet(
            spec.depth, len(train.classes), width=spec.width, channels=self.images.shape[-1], generator=unit.seed
        )
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), spec.rate, momentum=spec.momentum, weight_decay=spec.weight_decay
        )
        self.soft = None
        if unit.penalty != "none":
            lam = coefficient(unit.schedule, unit.coefficient, self.steps)
            self.soft = SoftOrthogonality(self.model.kernels().items(), unit.penalty, lam).attach(self.optimiser)
        self.rng = np.random.default_rng([unit.seed, 1])
        self.x_test = self._inputs(_pooled(test.images, spec.pool))
        self.y_test = torch.from_numpy(test.labels).to(self.device)
        kernels = list(self.model.kernels())
        self.watched = [kernels[i] for i in (0, len(kernels) // 3, 2 * len(kernels) // 3, len(kernels) - 1)]
        self.step, self.diverged = 0, -1
        names = ("loss", "test_loss", "accuracy", "coefficient", "so", "mc", "srip", "norm", "singular_values")
        self.records: dict[str, list] = {name: [] for name in ("epochs", *names, "seconds")}
        self._measure(None, 0.0)

    def advance(self) -> bool:
        """Train one epoch and measure; return True when the run is over (all epochs, or divergence)."""
        if self._over():
            return True
        started = time.perf_counter()
        order = self.rng.permutation(len(self.images))
        losses = []
        self.model.train()
        for at in range(0, self.steps_an_epoch * self.spec.batch, self.spec.batch):  # a short rest is dropped
            losses.append(self._train_one(np.sort(order[at : at + self.spec.batch])))
            if not losses[-1] <= DIVERGED:  # NaN too
                self.diverged = self.step
                return True
        self._measure(sum(losses) / len(losses), time.perf_counter() - started)
        return self._over()

    def progress(self) -> tuple[int, int]:
        """Return (steps done, steps in all)."""
        return (self.steps if self._over() else self.step), self.steps

    def metrics(self) -> dict:
        """Return the curves over ``epochs``, 0 (the start) included.

        ``loss`` is the mean over an epoch's batches without the penalty (at epoch 0 it is the test loss), ``accuracy``
        and ``test_loss`` are on the test images, ``coefficient`` is lambda at that time. Means over all kernels, with E
        the error of the Gram matrix of the short side, m: ``so`` |E|_F, ``mc`` the largest |E_ij|, ``srip`` |E|_2,
        ``norm`` |W|_F / sqrt(m), which is 1 for an orthonormal W. ``singular_values`` has the quantiles 0, 1/4, 1/2,
        3/4, 1 of the kernels ``watched``: shape (epochs, kernels, 5). ``diverged`` is the step of a loss beyond 1e4
        (-1: none), where a run ends.
        """
        return self.records | {
            "watched": self.watched,
            "final_accuracy": self.records["accuracy"][-1],
            "best_accuracy": max(self.records["accuracy"]),
            "diverged": self.diverged,
            "steps_an_epoch": self.steps_an_epoch,
        }

    def state_dict(self) -> dict:
        """Return weights, momenta, the generator, the penalty's state, and all that was recorded."""
        return {
            "model": dict(self.model.state_dict()), "optimiser": self.optimiser.state_dict(),
            "soft": self.soft.state_dict() if self.soft else None, "rng": self.rng.bit_generator.state,
            "step": self.step, "diverged": self.diverged,
            "records": {name: list(values) for name, values in self.records.items()},
        }  # fmt: skip

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.soft:
            self.soft.load_state_dict(state["soft"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.diverged = state["step"], state["diverged"]
        self.records = {name: list(state["records"][name]) for name in self.records}

    def _over(self) -> bool:
        return self.step >= self.steps or self.diverged >= 0

    def _inputs(self, images: np.ndarray) -> torch.Tensor:
        """Images (rows, h, w, channels) as (rows, channels, h, w) in the channels-last layout, standardised."""
        x = ((images - self.mean) / self.std).astype(np.float32)
        return torch.from_numpy(x).permute(0, 3, 1, 2).to(self.device)

    def _augmented(self, rows: np.ndarray) -> np.ndarray:
        images, pad = self.images[rows], self.spec.pad
        if pad:
            height, width = images.shape[1:3]
            corners = self.rng.integers(0, 2 * pad + 1, (len(rows), 2))
            wide = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
            moved = [x[i : i + height, j : j + width] for x, (i, j) in zip(wide, corners, strict=True)]
            images = np.stack(moved)
        if self.spec.flip:
            mirrored = self.rng.integers(0, 2, len(rows)).astype(bool)
            images[mirrored] = images[mirrored, :, ::-1]
        return images

    def _train_one(self, rows: np.ndarray) -> float:
        share = self.step / self.steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.spec.rate * 0.1 ** sum(share >= drop for drop in self.spec.drops)
        x = self._inputs(self._augmented(rows))
        y = torch.from_numpy(self.datasets[0].labels[rows]).to(self.device)
        loss = F.cross_entropy(self.model(x), y)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return loss.item()

    @torch.no_grad()
    def _measure(self, loss: float | None, seconds: float) -> None:
        self.model.eval()
        logits = torch.cat([self.model(x) for x in self.x_test.split(500)]).cpu().double()
        y = self.y_test.cpu()
        test_loss = F.cross_entropy(logits, y).item()
        values = kernel_errors(self.model, self.watched) | {
            "epochs": self.step // self.steps_an_epoch,
            "loss": test_loss if loss is None else loss,
            "test_loss": test_loss,
            "accuracy": (logits.argmax(1) == y).double().mean().item(),
            "coefficient": self.soft.weight if self.soft else 0.0,
            "seconds": seconds,
        }
        for name, record in self.records.items():
            record.append(values[name])


def kernel_errors(model: ResNet, watched: list[str]) -> dict:
    """Return the means of |E|_F, max |E_ij|, |E|_2 and |W|_F / sqrt(m) over a network's kernels, and quantiles.

    In float64, from the kernels as :func:`~ortholab.theory.penalties.kernel_matrix` sees them; see ``metrics`` above.

    >>> errors = kernel_errors(ResNet(8, width=4, generator=0), ["first.weight"])
    >>> sorted(errors), len(errors["singular_values"][0])
    (['mc', 'norm', 'singular_values', 'so', 'srip'], 5)
    """
    rows, quantiles = [], {}
    for name, kernel in model.kernels().items():
        W = kernel_matrix(kernel.detach().cpu().double()).numpy()
        m = min(W.shape)
        s = np.linalg.svd(W, compute_uv=False)
        E = (W @ W.T if W.shape[0] == m else W.T @ W) - np.eye(m)
        error = s**2 - 1
        rows.append((np.sqrt((error**2).sum()), np.abs(E).max(), np.abs(error).max(), np.sqrt((s**2).mean())))
        if name in watched:
            quantiles[name] = np.quantile(s, QUANTILES).tolist()
    means = np.mean(rows, axis=0).tolist()
    named = dict(zip(("so", "mc", "srip", "norm"), means, strict=True))
    return named | {"singular_values": [quantiles[name] for name in watched]}


def _pooled(images: np.ndarray, pool: int) -> np.ndarray:
    """Images (n, h, w) or (n, h, w, channels) as (n, h / pool, w / pool, channels), the means over blocks."""
    n, height, width = images.shape[:3]
    if height % pool or height // pool < 4:
        raise bad("pool", pool, f"a divisor of {height}, the side of an image, that leaves 4 pixels or more")
    return images.reshape(n, height // pool, pool, width // pool, pool, -1).mean((2, 4), dtype=np.float32)
