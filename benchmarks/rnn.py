"""A training step of an Elman network (tanh, Adam, float32, batch 128) beside torch.nn.RNN, a loop of torch's
operations under autograd, and its matrix products; then an ensemble, and a hard constraint.

Run: python benchmarks/rnn.py
"""

from _compare import machine  # isort: skip  # first: it sets the threads

import os
import statistics
import time
from collections.abc import Callable

import torch

from ortholab.nn.recurrent_step import RecurrentStep
from ortholab.nn.rnn import RNN
from ortholab.nn.rnn_ensemble import RNNEnsemble
from ortholab.nn.stiefel_weights import StiefelWeights

RATE = 1e-6  # small: the networks stay near their start, so that every repeat does the same work
BATCH, CLASSES = 128, 10
SIZES = (
    (28, 28, 64, 11, 10),
    (28, 28, 128, 11, 10),
    (784, 1, 128, 5, 1),
)  # times, inputs, units, repeats, calls a turn


def cpu_medians(functions: dict[str, Callable[[], object]], repeats: int, inner: int = 1) -> dict[str, float]:
    """Median seconds of the processor's time, in turns: waiting for a core that other work has does not count."""
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            for _ in range(inner):
                function()
            times[name].append((time.process_time() - start) / inner)
    return {name: statistics.median(values) for name, values in times.items()}


def products(T: int, n: int) -> dict[str, Callable[[], None]]:
    """The step's products of size n alone, operands in the cache but for D^T H, with W as it is and transposed."""
    X, W = torch.randn(BATCH, n), torch.randn(n, n) / n**0.5
    out, G = torch.empty(BATCH, n), torch.empty(n, n)
    H, D = torch.randn(T * BATCH, n), torch.randn(T * BATCH, n)

    def run(right: torch.Tensor) -> None:
        for _ in range(2 * T):
            torch.mm(X, right, out=out)
        torch.mm(D.t(), H, out=G)

    return {"products": lambda: run(W), "products, W^T": lambda: run(W.t())}


def batch_of(T: int, n_in: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(T, BATCH, n_in, generator=generator), torch.randint(CLASSES, (BATCH,), generator=generator)


def steps(T: int, n_in: int, n: int) -> tuple[dict[str, Callable[[], None]], dict[str, float]]:
    """Training steps on equal networks, all by Adam: each keeps its last loss in the second dict."""
    x, y = batch_of(T, n_in)
    trainer = RecurrentStep(RNN(n_in, n, CLASSES, generator=0), BATCH, T, "adam", rate=RATE, through_time=False)
    behind, loop = RNN(n_in, n, CLASSES, generator=0), RNN(n_in, n, CLASSES, generator=0)
    peer, readout = torch.nn.RNN(n_in, n), torch.nn.Linear(n, CLASSES)
    with torch.no_grad():
        for p, q in zip(peer.parameters(), (loop.W_in, loop.W, loop.b, loop.b), strict=True):
            p.copy_(q)
        readout.weight.copy_(loop.W_out)
        readout.bias.zero_()
    losses: dict[str, float] = {}

    def by_autograd(name: str, forward: Callable, parameters: list) -> Callable[[], None]:
        optimiser = torch.optim.Adam(parameters, RATE, fused=True)

        def step() -> None:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(x), y)
            loss.backward()
            optimiser.step()
            losses[name] = loss.item()

        return step

    def ours() -> None:
        losses["ours"] = trainer.step(x, y[None])

    return {
        "ours": ours,
        "ours, autograd": by_autograd("ours, autograd", lambda x: behind(x)[0], list(behind.parameters())),
        "nn.RNN": by_autograd("nn.RNN", lambda x: readout(peer(x)[0][-1]), [*peer.parameters(), *readout.parameters()]),
        "loop": by_autograd("loop", lambda x: loop.plain(x)[0], list(loop.parameters())),
    }, losses


def one_size(T: int, n_in: int, n: int, repeats: int, inner: int) -> None:
    calls, losses = steps(T, n_in, n)
    took = cpu_medians({**products(T, n), **calls}, repeats, inner)
    best, ours = min(took["products"], took["products, W^T"]), took["ours"]
    print(f"{T} x {n}, {n_in} input(s), medians of {repeats} turns of {inner} calls")
    print("   " + " | ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in took.items()))
    print(
        f"   products over ours {best / ours:.2f} | over ours: nn.RNN {took['nn.RNN'] / ours:.2f}, loop "
        f"{took['loop'] / ours:.2f}; over ours behind autograd: nn.RNN {took['nn.RNN'] / took['ours, autograd']:.2f}, "
        f"loop {took['loop'] / took['ours, autograd']:.2f}"
    )
    print("   losses " + ", ".join(f"{name} {loss:.5f}" for name, loss in losses.items()), flush=True)


def ensemble(T: int, n_in: int, n: int, models: int, repeats: int) -> None:
    """An ensemble beside the same networks each with a trainer of its own."""
    x, y = batch_of(T, n_in)

    def fresh() -> list[RNN]:
        return [RNN(n_in, n, CLASSES, generator=seed) for seed in range(models)]

    alone = [RecurrentStep(m, BATCH, T, "adam", rate=RATE, through_time=False) for m in fresh()]
    calls = {"one at a time": lambda: [t.step(x, y[None]) for t in alone]}
    for name, batched in (("ensemble", None), ("in turn", False)):
        trainer = RNNEnsemble(fresh(), BATCH, T, "adam", rate=RATE, batched=batched, through_time=False)
        calls[name] = lambda trainer=trainer: trainer.step(x, y[None])
    took = cpu_medians(calls, repeats, 3)
    print(
        f"ensemble of {models}, {T} x {n}: per network "
        + " | ".join(f"{name} {1e3 * s / models:.2f} ms" for name, s in took.items())
        + f" | one at a time over ensemble {took['one at a time'] / took['ensemble']:.2f}",
        flush=True,
    )


def constraint(T: int, n_in: int, n: int, repeats: int) -> None:
    """A step with W on the manifold beside one whose W is free, and the update of W alone."""
    x, y = batch_of(T, n_in)
    free = RecurrentStep(RNN(n_in, n, CLASSES, generator=0), BATCH, T, "adam", rate=RATE, through_time=False)
    model = RNN(n_in, n, CLASSES, gain=1.1, generator=0)
    hard = StiefelWeights(model.W.data, rate=1e-3, gain=1.1)
    held = RecurrentStep(model, BATCH, T, "adam", rate=RATE, recurrent=hard, through_time=False)
    calls = {"free": lambda: free.step(x, y[None]), "held": lambda: held.step(x, y[None])}
    took = cpu_medians({**products(T, n), **calls}, repeats)
    best = min(took["products"], took["products, W^T"])
    G = held.gradients["W"].clone()
    alone = cpu_medians({"update": lambda: hard.update(model.W.data, G)}, 9)["update"]
    print(
        f"hard constraint, {T} x {n}: products {1e3 * best:.1f} ms | free {1e3 * took['free']:.1f} ms, products over "
        f"it {best / took['free']:.2f} | W = 1.1 Q {1e3 * took['held']:.1f} ms, "
        f"{took['held'] / took['free']:.3f} times | the update of W alone {1e3 * alone:.2f} ms, "
        f"{alone / took['free']:.4f} of a free step | |W^T W / gain^2 - I|_F {hard.error():.1e}",
        flush=True,
    )


def main() -> None:
    torch.manual_seed(0)
    print(machine())
    print(f"processor time of interleaved runs, batch {BATCH}; load average at the start {os.getloadavg()[0]:.1f}")
    for size in SIZES:
        one_size(*size)
    ensemble(28, 28, 64, 8, 7)
    ensemble(28, 28, 128, 8, 7)
    constraint(28, 28, 128, 21)
    constraint(784, 1, 512, 3)
    print(f"load average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
