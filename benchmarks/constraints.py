"""Training steps with orthogonal weights beside the unconstrained step, torch's parametrisations, geotorch, geoopt, QR.

Run: python benchmarks/constraints.py [speed momentum exactness loss] [--threads 2] [--widths 64 ...]

A step is forward, backward and update of a tanh network of square n x n layers and a free readout, float32, on fixed
random batches of a ten-class problem that a random network made. All methods take turns in one process.
"""

from _compare import machine  # isort: skip  # first: it sets the threads

import argparse
import statistics
import time

import torch
from torch import nn

from ortholab.nn import haar
from ortholab.nn.optim import StiefelAdam, StiefelSGD

try:
    import geoopt
    import geotorch
except ImportError:  # the comparison goes on without them
    geoopt = geotorch = None

SETTINGS = ((64, 128), (128, 128), (256, 128), (512, 32), (1024, 128))
LAYERS = {64: 4, 128: 4, 256: 4, 512: 4, 1024: 4}
CLASSES = 10


def network(n: int, layers: int, seed: int = 0) -> nn.Sequential:
    """Orthogonal layers without bias, and a readout."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for _ in range(layers):
        layer = nn.utils.skip_init(nn.Linear, n, n, bias=False)
        layer.weight = nn.Parameter(haar(n, generator=generator, dtype=torch.float64).float())
        parts += [layer, nn.Tanh()]
    readout = nn.utils.skip_init(nn.Linear, n, CLASSES)
    with torch.no_grad():
        readout.weight.normal_(std=n**-0.5, generator=generator)
        readout.bias.zero_()
    return nn.Sequential(*parts, readout)


def batches(n: int, batch: int, count: int = 32, seed: int = 1) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Gaussian inputs with the classes that another network gives them."""
    generator = torch.Generator().manual_seed(seed)
    teacher = network(n, 1, seed + 1)
    out = []
    for _ in range(count):
        x = torch.randn(batch, n, generator=generator)
        with torch.no_grad():
            out.append((x, teacher(x).argmax(1)))
    return out


def hidden(model: nn.Sequential) -> list[nn.Linear]:
    return [m for m in model if isinstance(m, nn.Linear)][:-1]


class ByHand(torch.optim.SGD):
    """What one writes at first: a step along the canonical Riemannian gradient, then torch.linalg.qr, signs fixed."""

    def __init__(self, model: nn.Sequential, lr: float) -> None:
        self.constrained = [m.weight for m in hidden(model)]
        held = set(self.constrained)
        super().__init__([p for p in model.parameters() if p not in held], lr)

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for W in self.constrained:
            W.grad = None

    @torch.no_grad()
    def step(self, closure=None):
        lr = self.param_groups[0]["lr"]
        for W in self.constrained:
            Q, R = torch.linalg.qr(W - lr * (W.grad - W @ (W.grad.T @ W)))
            W.copy_(Q * R.diagonal().sign())
        return super().step(closure)


def of_geoopt(model: nn.Sequential) -> None:
    for layer in hidden(model):
        layer.weight = geoopt.ManifoldParameter(layer.weight.data, manifold=geoopt.Stiefel())


def of_torch(way: str):
    def constrain(model: nn.Sequential) -> None:
        for layer in hidden(model):
            nn.utils.parametrizations.orthogonal(layer, orthogonal_map=way)

    return constrain


def of_geotorch(model: nn.Sequential) -> None:
    for layer in hidden(model):
        start = layer.weight.data.clone()
        geotorch.orthogonal(layer, "weight")
        layer.weight = start


def sgd(momentum: float = 0.0):
    """Name -> (how to constrain the model, its optimiser at step size lr).

    For square W geoopt's canonical step is twice the gradient's (its skew matrix is u x^T - x u^T for u = S x, that is
    2 S): at half the step size it takes the steps of the others.
    """
    plain = lambda model, lr: torch.optim.SGD(model.parameters(), lr, momentum=momentum)  # noqa: E731
    found = {
        "plain": (None, plain),
        "ortholab": (
            None,
            lambda model, lr: StiefelSGD(model, lr, momentum=momentum, constrained=hidden(model)),
        ),
        "geoopt": (
            of_geoopt,
            lambda model, lr: geoopt.optim.RiemannianSGD(_halved(model, lr), lr, momentum=momentum),
        ),
    }
    if geoopt is None:
        del found["geoopt"]
    if momentum:
        return found
    found["QR by hand"] = (None, ByHand)
    for way in ("cayley", "householder", "matrix_exp"):
        found[f"torch {way}"] = (of_torch(way), plain)
    if geotorch is not None:
        found["geotorch"] = (of_geotorch, plain)
    return found


def adam():
    found = {
        "plain": (None, lambda model, lr: torch.optim.Adam(model.parameters(), lr)),
        "ortholab": (None, lambda model, lr: StiefelAdam(model, lr, constrained=hidden(model))),
        "geoopt": (of_geoopt, lambda model, lr: geoopt.optim.RiemannianAdam(_root(model, lr), lr)),
    }
    if geoopt is None:
        del found["geoopt"]
    return found


def _halved(model: nn.Sequential, lr: float) -> list[dict]:
    held = {m.weight for m in hidden(model)}
    return [
        {"params": list(held), "lr": lr / 2},
        {"params": [p for p in model.parameters() if p not in held], "lr": lr},
    ]


def _root(model: nn.Sequential, lr: float) -> list[dict]:
    """geoopt's Adam divides by the gradient's canonical norm, ||D||_F / sqrt 2 for square W, ours by ||D||_F / n."""
    groups = _halved(model, lr)
    groups[0]["lr"] *= hidden(model)[0].in_features / 2**0.5
    return groups


class Method:
    """One network under one constraint, stepped through the batches."""

    def __init__(self, n, data: list, constrain, optimiser, lr: float, layers: int | None = None, seed=0) -> None:
        self.model, self.data, self.count = network(n, layers or LAYERS[n], seed), data, 0
        if constrain is not None:
            constrain(self.model)
        self.optimiser = optimiser(self.model, lr)
        self.loss = torch.tensor(0.0)

    def step(self) -> None:
        x, y = self.data[self.count % len(self.data)]
        self.count += 1
        self.optimiser.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimiser.step()
        self.loss = loss.detach()

    def run(self, steps: int) -> float:
        """Seconds a step, all that the steps contain included: with one thread of processor time, else of the wall.

        Other processes on the machine lengthen the first much less than the second (they still cost it its caches).
        """
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        start = clock()
        for _ in range(steps):
            self.step()
        return (clock() - start) / steps

    @torch.no_grad()
    def error(self) -> float:
        """The largest ||W W^T - I||_F of a layer, in units of sqrt(n), computed in float64."""
        found = []
        for layer in hidden(self.model):
            W = layer.weight.detach().double()
            found.append(float(torch.linalg.matrix_norm(W @ W.T - torch.eye(len(W), dtype=W.dtype))) / len(W) ** 0.5)
        return max(found)

    @torch.no_grad()
    def mean_loss(self) -> float:
        """The loss over all batches."""
        return statistics.fmean(float(nn.functional.cross_entropy(self.model(x), y)) for x, y in self.data)


def compare(n: int, batch: int, methods: dict, lr: float, rounds: int, slice_seconds: float) -> None:
    """Print each method's milliseconds a step, its ratios, and error and loss after equal numbers of steps.

    The methods take turns: in each round one runs as many steps as fill ``slice_seconds`` (at least one), so that the
    steps in which a matrix is polished are in the mean of a slice. The median over the rounds is given, and what the
    polishing steps add to ours is in "mean": the mean over all rounds.
    """
    data = batches(n, batch)
    made = {name: Method(n, data, *parts, lr) for name, parts in methods.items()}
    times, steps = {}, {}
    for name, method in made.items():
        first = method.run(1)
        slow = first > 1.5 and name not in ("plain", "ortholab", "geoopt")  # one step tells enough
        times[name] = [first] if slow else []
        steps[name] = 0 if slow else max(1, round(slice_seconds / method.run(1)))
    for _ in range(rounds):
        for name, method in made.items():
            if steps[name]:
                times[name].append(method.run(steps[name]))
    took = {name: statistics.median(values) for name, values in times.items()}
    mean = statistics.fmean(times["ortholab"])
    print(
        f"n = {n}, batch {batch}, step size {lr:g}, {LAYERS[n]} layers, {rounds} rounds of {slice_seconds:g} s; "
        f"ortholab's mean over all its steps {1e3 * mean:.3f} ms"
    )
    fast = [name for name in made if took[name] < 6 * took["ortholab"]]
    last = {name: max(made[m].count for m in (fast if name in fast else [name])) for name in made}
    for name, method in made.items():
        while method.count < last[name]:
            method.step()
        print(
            f"  {name:17s} {1e3 * took[name]:9.3f} ms | {took[name] / took['plain']:7.2f} x plain | "
            f"{took[name] / took['ortholab']:7.2f} x ortholab | after {method.count:4d} steps: "
            f"error {method.error():.1e} sqrt(n), loss {method.mean_loss():.4f}",
            flush=True,
        )


def speed(widths: list[int], rounds: int, slice_seconds: float) -> None:
    for n, batch in SETTINGS:
        if n in widths:
            compare(n, batch, sgd(), 0.05, rounds, slice_seconds)


def with_memory(widths: list[int], rounds: int, slice_seconds: float) -> None:
    for n, batch in SETTINGS:
        if n in widths:
            print("momentum 0.9")
            compare(n, batch, sgd(0.9), 0.01, rounds, slice_seconds)
            print("Adam")
            compare(n, batch, adam(), 1e-4, rounds, slice_seconds)


EXACTNESS = {64: 10_000, 128: 10_000, 256: 4_000, 512: 1_000, 1024: 300}


def exactness(widths: list[int], sizes: list[float], steps: int | None) -> None:
    """Print the largest error of a layer after every one of the steps, at each step size, and the plain net's loss."""
    for n, batch in SETTINGS:
        if n not in widths:
            continue
        data = batches(n, batch)
        count = steps or EXACTNESS[n]
        for lr in sizes:
            ours, plain = (Method(n, data, *sgd()[name], lr, 2 if n < 512 else 1) for name in ("ortholab", "plain"))
            worst = 0.0
            for _ in range(count):
                ours.step()
                worst = max(worst, ours.error())
                if n <= 256 or ours.count <= 300:
                    plain.step()
            state = [ours.optimiser.state[m.weight] for m in hidden(ours.model)]
            print(
                f"n = {n}, batch {batch}, step size {lr:g}: largest error of all {count} steps {worst:.2e} sqrt(n); "
                f"{sum(s['capped'] for s in state)} steps capped; loss {ours.mean_loss():.4f} "
                f"(unconstrained, {plain.count} steps: {plain.mean_loss():.4f})",
                flush=True,
            )


def losses(widths: list[int], sizes: list[float], steps: int) -> None:
    """Print the loss after equal numbers of steps under each way of staying on the manifold, over 3 starts."""
    ways = {
        "auto": lambda model, lr: StiefelSGD(model, lr, constrained=hidden(model)),
        "cayley": lambda model, lr: StiefelSGD(model, lr, constrained=hidden(model), retraction="cayley"),
        "polar": lambda model, lr: StiefelSGD(model, lr, constrained=hidden(model), retraction="polar"),
        "qr": lambda model, lr: StiefelSGD(model, lr, constrained=hidden(model), retraction="qr"),
        "QR by hand": ByHand,
    }
    for n, batch in SETTINGS:
        for lr in sizes if n in widths else ():
            print(f"n = {n}, batch {batch}, step size {lr:g}, {steps} steps, mean loss of the last 32 (3 starts):")
            for name, optimiser in ways.items():
                found = []
                for seed in range(3):
                    method = Method(n, batches(n, batch, seed=10 * seed + 1), None, optimiser, lr, seed=seed)
                    for _ in range(steps - 32):
                        method.step()
                    found.append(statistics.fmean(method.step() or float(method.loss) for _ in range(32)))
                print(f"  {name:11s} " + " ".join(f"{value:.4f}" for value in found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=["speed", "momentum"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--widths", type=int, nargs="*", default=list(LAYERS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slice", type=float, default=0.3)
    parser.add_argument("--sizes", type=float, nargs="*", default=[0.05, 0.5])
    parser.add_argument("--steps", type=int)
    chosen = parser.parse_args()
    print(machine().removesuffix("1 thread") + f"{chosen.threads} thread(s)", flush=True)
    torch.set_num_threads(chosen.threads)
    for part in chosen.parts:
        if part == "speed":
            speed(chosen.widths, chosen.rounds, chosen.slice)
        elif part == "momentum":
            with_memory(chosen.widths, chosen.rounds, chosen.slice)
        elif part == "exactness":
            exactness(chosen.widths, chosen.sizes, chosen.steps)
        elif part == "loss":
            losses(chosen.widths, chosen.sizes, chosen.steps or 300)


if __name__ == "__main__":
    main()
